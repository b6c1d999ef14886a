#include "schedule/rows.h"

#include <string.h>

enum { CIRCLE_SHOWN = 12 };

/* What a row does next, and what it waits for. */
typedef struct row {
    size_t next, wait; /* its next action; its next wait, of all */
    size_t need;       /* the action that it waits for; WEFT_NOWHERE: one that is in no row */
    int32_t on;        /* the rank that has that action; -1: it waits for none */
    int32_t waiters;   /* ranks that wait for this one: the first, or -1 */
    int32_t sibling;   /* the next one that waits for the same rank, or -1 */
    int32_t mark;      /* of the walk that has been here */
} row;

typedef struct runner {
    const weft_schedule *schedule;
    const weft_wait *waits;
    size_t wait_count;
    size_t *at;     /* (SEND_F .. RECV_B, S, M) where each message is, or WEFT_NOWHERE */
    row *rows;      /* (P) */
    int32_t *stack; /* ranks to look at */
    int32_t depth;
} runner;

static size_t *message_at(const runner *r, weft_action_kind kind, size_t stage, size_t microbatch)
{
    size_t S = (size_t)r->schedule->stages, M = (size_t)r->schedule->microbatches;
    return &r->at[((kind - WEFT_SEND_F) * S + stage) * M + microbatch];
}

static bool is_message(weft_action action)
{
    return action.kind >= WEFT_SEND_F && action.kind <= WEFT_RECV_B;
}

/* The action that must be done before the pass, in the row of another rank; false where there is none. */
static bool pass_need(const runner *r, weft_action action, size_t *out)
{
    const weft_schedule *schedule = r->schedule;
    bool forward = action.kind == WEFT_F;
    int32_t from = (int32_t)action.stage + (forward ? -1 : 1);
    if (!forward && action.kind != WEFT_B && action.kind != WEFT_I) return false;
    if (from < 0 || from >= schedule->stages) return false;
    if (schedule->stage_rank[from] == schedule->stage_rank[action.stage]) return false;
    *out = *message_at(r, forward ? WEFT_SEND_F : WEFT_SEND_B, (size_t)from, action.microbatch);
    return true;
}

/* The RECV that meets the SEND which the wait ends; false for the wait of a reduction, which all its members come to
 * alike. */
static bool wait_need(const runner *r, const weft_wait *wait, size_t *out)
{
    weft_action send = r->schedule->actions[wait->of];
    if (send.kind == WEFT_REDUCE_GRAD) return false;
    bool forward = send.kind == WEFT_SEND_F;
    int32_t to = (int32_t)send.stage + (forward ? 1 : -1);
    *out = WEFT_NOWHERE;
    if (to >= 0 && to < r->schedule->stages)
        *out = *message_at(r, forward ? WEFT_RECV_F : WEFT_RECV_B, (size_t)to, send.microbatch);
    return true;
}

static bool stands_before_wait(const runner *r, const row *self)
{
    return self->wait < r->wait_count && r->waits[self->wait].before == self->next;
}

/* Whether the rank can go no further now: then it is on the list of the rank that it waits for. */
static bool must_wait(runner *r, int32_t rank)
{
    row *self = &r->rows[rank];
    size_t need = 0;
    bool waits = stands_before_wait(r, self);
    if (!(waits ? wait_need(r, &r->waits[self->wait], &need) : pass_need(r, r->schedule->actions[self->next], &need)))
        return false;
    int32_t on = need == WEFT_NOWHERE ? rank : r->schedule->stage_rank[r->schedule->actions[need].stage];
    if (need != WEFT_NOWHERE && need < r->rows[on].next) return false;
    self->need = need;
    self->on = on;
    if (need == WEFT_NOWHERE) return true;
    self->sibling = r->rows[on].waiters;
    r->rows[on].waiters = rank;
    return true;
}

/* Puts those that waited for the rank back on the stack. They look again, and may find that it is too early. */
static void wake(runner *r, row *self)
{
    for (int32_t rank = self->waiters; rank >= 0; rank = r->rows[rank].sibling) {
        r->rows[rank].on = -1;
        r->stack[r->depth++] = rank;
    }
    self->waiters = -1;
}

/* Runs the row as far as it goes. */
static void run_row(runner *r, int32_t rank)
{
    row *self = &r->rows[rank];
    size_t begin = self->next, end = r->schedule->first[rank + 1];
    while ((self->next < end || stands_before_wait(r, self)) && !must_wait(r, rank)) {
        if (stands_before_wait(r, self))
            self->wait++;
        else
            self->next++;
    }
    if (self->next > begin) wake(r, self);
}

static weft_status prepare(runner *r, weft_arena *arena, weft_error *error)
{
    const weft_schedule *schedule = r->schedule;
    size_t P = (size_t)schedule->ranks, cells = (size_t)schedule->stages * (size_t)schedule->microbatches;
    size_t kinds = WEFT_RECV_B - WEFT_SEND_F + 1, wait = 0;
    TRY(weft_arena_take(arena, cells, kinds * sizeof *r->at, &r->at, error));
    TRY(weft_arena_take(arena, P, sizeof *r->rows, &r->rows, error));
    TRY(weft_arena_take(arena, P, sizeof *r->stack, &r->stack, error));
    memset(r->at, 0xff, cells * kinds * sizeof *r->at);
    for (size_t i = 0; i < schedule->first[P]; i++) {
        weft_action action = schedule->actions[i];
        if (is_message(action)) *message_at(r, (weft_action_kind)action.kind, action.stage, action.microbatch) = i;
    }
    for (size_t rank = 0; rank < P; rank++) {
        while (wait < r->wait_count && r->waits[wait].before <= schedule->first[rank]) wait++;
        r->rows[rank] = (row){.next = schedule->first[rank], .wait = wait, .on = -1, .waiters = -1, .sibling = -1};
    }
    for (int32_t rank = schedule->ranks; rank-- > 0;) r->stack[r->depth++] = rank;
    return WEFT_OK;
}

/* A row waits for one other at most: following them from a rank leads round a circle, or to its end. */
static int32_t circle_from(runner *r, int32_t start, int32_t *out_rank)
{
    int32_t rank = start, length = 0;
    while (r->rows[rank].on >= 0 && r->rows[rank].need != WEFT_NOWHERE && !r->rows[rank].mark) {
        r->rows[rank].mark = start + 1;
        rank = r->rows[rank].on;
    }
    if (r->rows[rank].mark != start + 1) return 0; /* one that an earlier walk has seen, or an end */
    *out_rank = rank;
    do length++;
    while ((rank = r->rows[rank].on) != *out_rank);
    return length;
}

static void print_stuck(const runner *r, const row *self, weft_text *out)
{
    if (stands_before_wait(r, self))
        weft_wait_print(r->schedule->actions[r->waits[self->wait].of], out);
    else
        weft_action_print(r->schedule->actions[self->next], out);
}

static void describe(const runner *r, int32_t rank, weft_text *out)
{
    const row *self = &r->rows[rank], *other = &r->rows[self->on];
    weft_text_add(out, "rank %d waits %s ", (int)rank, stands_before_wait(r, self) ? "in" : "to run");
    print_stuck(r, self, out);
    weft_text_add(out, " because rank %d has not come to ", (int)self->on);
    weft_action_print(r->schedule->actions[self->need], out);
    weft_text_add(out, ", which is behind ");
    print_stuck(r, other, out);
    weft_text_add(out, " in its row");
}

/* From its first wait on, or from the rank given. */
static void say_circle(const runner *r, int32_t rank, weft_circle *out)
{
    for (int32_t i = 0; i < out->length && !stands_before_wait(r, &r->rows[rank]); i++) rank = r->rows[rank].on;
    const row *first = &r->rows[rank];
    out->wait = stands_before_wait(r, first) ? first->wait : WEFT_NOWHERE;
    out->action = first->next;
    for (int32_t i = 0; i < out->length && i < CIRCLE_SHOWN; i++, rank = r->rows[rank].on) {
        if (i) weft_text_add(&out->words, "; ");
        describe(r, rank, &out->words);
    }
    if (out->length > CIRCLE_SHOWN) weft_text_add(&out->words, "; and so on, %d waits in all", (int)out->length);
}

static weft_status find(runner *r, weft_circle *out, weft_error *error)
{
    int32_t shortest = 0, rank = 0;
    while (r->depth > 0) run_row(r, r->stack[--r->depth]);
    for (int32_t start = 0; start < r->schedule->ranks; start++) {
        int32_t length = circle_from(r, start, &rank);
        if (!length || (out->length && length >= out->length)) continue;
        out->length = length;
        shortest = rank;
    }
    if (!out->length) return WEFT_OK;
    say_circle(r, shortest, out);
    return weft_text_check(&out->words, error);
}

weft_status weft_rows_find_circle(const weft_schedule *schedule, const weft_wait *waits, size_t wait_count,
                                  weft_circle *out, weft_error *error)
{
    runner r = {.schedule = schedule, .waits = waits, .wait_count = wait_count};
    weft_arena arena;
    weft_arena_init(&arena);
    weft_status status = prepare(&r, &arena, error);
    if (status == WEFT_OK) status = find(&r, out, error);
    weft_arena_fini(&arena);
    return status;
}
