/* Messages and reductions written out, in the order in which torch.distributed.pipelining places them
 * (docs/schedule-csv.md). */
#include "schedule/rows.h"

#include <string.h>

typedef struct placer {
    const weft_schedule *from;
    bool *forward, *backward; /* (S, M) placed: F; B or I */
    size_t *next, *count;     /* (P) the first action that is not placed; actions placed */
    weft_action **rows;       /* (P) room for a pass with its two messages each */
} placer;

static size_t cell(const placer *p, weft_action action)
{
    return (size_t)action.stage * (size_t)p->from->microbatches + action.microbatch;
}

static void put(placer *p, int32_t rank, weft_action_kind kind, uint32_t stage, uint32_t microbatch)
{
    p->rows[rank][p->count[rank]++] =
        (weft_action){.kind = kind, .stage = stage & (WEFT_STAGES_LIMIT - 1), .microbatch = microbatch};
}

static bool is_ready(const placer *p, weft_action action)
{
    size_t at = cell(p, action), M = (size_t)p->from->microbatches;
    if (action.kind == WEFT_F) return action.stage == 0 || p->forward[at - M];
    if (action.kind == WEFT_W) return p->backward[at];
    return p->forward[at] && ((int32_t)action.stage == p->from->stages - 1 || p->backward[at + M]);
}

/* The message at both of its ends, where the other stage is on another rank. */
static void put_message(placer *p, int32_t rank, weft_action action)
{
    bool forward = action.kind == WEFT_F;
    int32_t to = (int32_t)action.stage + (forward ? 1 : -1);
    if (action.kind == WEFT_W || to < 0 || to >= p->from->stages || p->from->stage_rank[to] == rank) return;
    put(p, rank, forward ? WEFT_SEND_F : WEFT_SEND_B, action.stage, action.microbatch);
    put(p, p->from->stage_rank[to], forward ? WEFT_RECV_F : WEFT_RECV_B, (uint32_t)to, action.microbatch);
}

/* Places the rank's next pass if what it needs is there. */
static bool place_one(placer *p, int32_t rank)
{
    if (p->next[rank] == p->from->first[rank + 1]) return false;
    weft_action action = p->from->actions[p->next[rank]];
    if (!is_ready(p, action)) return false;
    p->next[rank]++;
    put(p, rank, (weft_action_kind)action.kind, action.stage, action.microbatch);
    if (action.kind == WEFT_F) p->forward[cell(p, action)] = true;
    if (action.kind == WEFT_B || action.kind == WEFT_I) p->backward[cell(p, action)] = true;
    put_message(p, rank, action);
    return true;
}

static weft_status place_all(placer *p, weft_error *error)
{
    const weft_schedule *from = p->from;
    for (bool moved = true; moved;) {
        moved = false;
        for (int32_t rank = 0; rank < from->ranks; rank++) moved |= place_one(p, rank);
    }
    for (int32_t rank = 0; rank < from->ranks; rank++) {
        if (p->next[rank] == from->first[rank + 1]) continue;
        weft_action action = from->actions[p->next[rank]];
        FAIL(error, WEFT_INVALID, "schedule %s: rank %d can never run %u%s%u; 'weft verify' says why", from->name, rank,
             (unsigned)action.stage, weft_action_info_get((weft_action_kind)action.kind)->name, action.microbatch);
    }
    return WEFT_OK;
}

static weft_status prepare(placer *p, weft_arena *arena, weft_error *error)
{
    const weft_schedule *from = p->from;
    size_t P = (size_t)from->ranks, cells = (size_t)from->stages * (size_t)from->microbatches;
    TRY(weft_arena_take(arena, cells, sizeof *p->forward, &p->forward, error));
    TRY(weft_arena_take(arena, cells, sizeof *p->backward, &p->backward, error));
    TRY(weft_arena_take(arena, P, sizeof *p->next, &p->next, error));
    TRY(weft_arena_take(arena, P, sizeof *p->count, &p->count, error));
    TRY(weft_arena_take(arena, P, sizeof *p->rows, &p->rows, error));
    for (size_t r = 0; r < P; r++) {
        p->next[r] = from->first[r];
        TRY(weft_arena_take(arena, 3 * (from->first[r + 1] - from->first[r]), sizeof **p->rows, &p->rows[r], error));
    }
    return WEFT_OK;
}

static bool adds_gradients(weft_action action)
{
    return action.kind == WEFT_B || action.kind == WEFT_W;
}

static bool is_send(weft_action action)
{
    return action.kind == WEFT_SEND_F || action.kind == WEFT_SEND_B;
}

/* Copies a row, with REDUCE_GRAD of a stage behind the last of what is left to add to its gradients, and behind its
 * SEND, for which another rank waits. left (S): 0 for a stage that gets none. */
static void copy_row(const weft_action *row, size_t count, int32_t *left, weft_schedule *to, size_t *at)
{
    weft_action reduce = {.kind = WEFT_REDUCE_GRAD};
    bool due = false;
    for (size_t i = 0; i < count; i++) {
        if (due && !row[i].paired && !is_send(row[i])) {
            to->actions[(*at)++] = reduce;
            due = false;
        }
        to->actions[(*at)++] = row[i];
        if (!adds_gradients(row[i]) || !left[row[i].stage] || --left[row[i].stage]) continue;
        reduce.stage = row[i].stage;
        due = true;
    }
    if (due) to->actions[(*at)++] = reduce;
}

static void count_gradients(const weft_schedule *schedule, int32_t *left)
{
    size_t count = schedule->first[schedule->ranks];
    for (size_t i = 0; i < count; i++) left[schedule->actions[i].stage] += adds_gradients(schedule->actions[i]);
    for (size_t i = 0; i < count; i++)
        if (schedule->actions[i].kind == WEFT_REDUCE_GRAD) left[schedule->actions[i].stage] = 0;
}

/* rows (P): the actions of each rank, with messages. */
static weft_status finish(const weft_schedule *from, weft_action *const *rows, const size_t *counts, weft_schedule *to,
                          weft_error *error)
{
    size_t P = (size_t)from->ranks, S = (size_t)from->stages, most = S, at = 0;
    int32_t *left = NULL;
    TRY(weft_allocate(S, sizeof *to->stage_rank, &to->stage_rank, error));
    TRY(weft_allocate(P + 1, sizeof *to->first, &to->first, error));
    memcpy(to->stage_rank, from->stage_rank, S * sizeof *to->stage_rank);
    for (size_t r = 0; r < P; r++) most += counts[r];
    TRY(weft_allocate(most, sizeof *to->actions, &to->actions, error));
    TRY(weft_allocate(S, sizeof *left, &left, error));
    count_gradients(from, left);
    for (size_t r = 0; r < P; r++) {
        copy_row(rows[r], counts[r], left, to, &at);
        to->first[r + 1] = at;
    }
    weft_free(left);
    return WEFT_OK;
}

/* The rows of a schedule that has its messages. */
static weft_status take_rows(placer *p, weft_arena *arena, weft_error *error)
{
    size_t P = (size_t)p->from->ranks;
    TRY(weft_arena_take(arena, P, sizeof *p->rows, &p->rows, error));
    TRY(weft_arena_take(arena, P, sizeof *p->count, &p->count, error));
    for (size_t r = 0; r < P; r++) {
        p->rows[r] = p->from->actions + p->from->first[r];
        p->count[r] = p->from->first[r + 1] - p->from->first[r];
    }
    return WEFT_OK;
}

static weft_status prove(const weft_schedule *written, weft_error *error)
{
    weft_circle circle = {0};
    weft_text_init(&circle.words);
    weft_status status = weft_rows_find_circle(written, written->waits, written->wait_count, &circle, error);
    if (status == WEFT_OK && circle.length)
        status = weft_fail(error, WEFT_INVALID, "schedule %s cannot end with each row as one list: %s", written->name,
                           weft_text_get(&circle.words));
    weft_text_fini(&circle.words);
    return status;
}

static weft_status write_out(const weft_schedule *schedule, bool waits, weft_schedule *written, weft_arena *arena,
                             weft_error *error)
{
    placer p = {.from = schedule};
    if (schedule->has_messages) {
        TRY(take_rows(&p, arena, error));
    } else {
        TRY(prepare(&p, arena, error));
        TRY(place_all(&p, error));
    }
    TRY(finish(schedule, p.rows, p.count, written, error));
    if (waits) TRY(weft_waits_place(written, error));
    return prove(written, error);
}

weft_status weft_schedule_write_out_messages(const weft_schedule *schedule, bool waits, weft_schedule **out,
                                             weft_error *error)
{
    weft_schedule *written = NULL;
    weft_arena arena;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *written, &written, error));
    *written = *schedule;
    written->stage_rank = NULL;
    written->first = NULL;
    written->actions = NULL;
    written->waits = NULL;
    written->wait_count = 0;
    written->has_messages = true;
    weft_arena_init(&arena);
    weft_status status = write_out(schedule, waits, written, &arena, error);
    weft_arena_fini(&arena);
    if (status == WEFT_OK)
        *out = written;
    else
        weft_schedule_destroy(written);
    return status;
}
