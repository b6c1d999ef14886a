/* Where the reductions and the waits of a file stand. */
#include "schedule/csv.h"
#include "schedule/rows.h"

#include <stdio.h>

enum { SEEN_NOT, SEEN_PENDING, SEEN_ENDED };

typedef struct checker {
    const weft_csv_reader *reader;
    const weft_schedule *schedule;
    weft_wait *waits; /* (waits of the reader) */
    size_t *end;      /* (S) behind the last action that adds to the gradients */
    size_t *begun;    /* (SEND_F or SEND_B, S, M), then (S) of REDUCE_GRAD: the action */
    uint8_t *seen;    /* (the same) */
    size_t next;      /* wait */
} checker;

/* Where a SEND or REDUCE_GRAD is recorded. */
static size_t place_of(const checker *c, weft_action of)
{
    size_t S = (size_t)c->schedule->stages, M = (size_t)c->schedule->microbatches;
    if (of.kind == WEFT_REDUCE_GRAD) return 2 * S * M + of.stage;
    return ((of.kind == WEFT_SEND_F ? 0 : S) + of.stage) * M + of.microbatch;
}

static bool is_waited_for(weft_action action)
{
    return action.kind == WEFT_SEND_F || action.kind == WEFT_SEND_B || action.kind == WEFT_REDUCE_GRAD;
}

/* "has no 0SEND_F0 before it in its row", or with the wait of that. */
static weft_status reject_lone(const checker *c, const weft_csv_action *action, const weft_csv_wait *wait)
{
    weft_text why;
    weft_text_init(&why);
    weft_text_add(&why, "has no ");
    (wait ? weft_action_print : weft_wait_print)(wait ? wait->cell.action : action->action, &why);
    weft_text_add(&why,
                  wait ? " before it in its row, which it could end" : " behind it in its row, which would end it");
    weft_status status = wait ? weft_csv_reject_wait(c->reader, wait, weft_text_get(&why))
                              : weft_csv_reject(c->reader, action, weft_text_get(&why));
    weft_text_fini(&why);
    return status;
}

/* Gradients are divided by the number of micro-batches in a REDUCE_GRAD. */
static weft_status check_reduction(const checker *c, size_t i)
{
    const weft_csv_action *cell = &c->reader->actions[i];
    size_t complete = c->end[cell->action.stage];
    char why[96];
    if (c->seen[place_of(c, cell->action)] != SEEN_NOT)
        return weft_csv_reject(c->reader, cell,
                               "is there twice: gradients are divided by the number of micro-batches in each");
    if (complete <= i) return WEFT_OK;
    weft_action missed = c->schedule->actions[complete - 1];
    snprintf(why, sizeof why, "comes before %u%s%u, whose gradients it would miss", (unsigned)missed.stage,
             weft_action_info_get((weft_action_kind)missed.kind)->name, (unsigned)missed.microbatch);
    return weft_csv_reject(c->reader, cell, why);
}

static weft_status begin(checker *c, size_t i, size_t *pending)
{
    const weft_csv_action *cell = &c->reader->actions[i];
    size_t place = place_of(c, cell->action);
    char why[96];
    if (cell->action.kind == WEFT_REDUCE_GRAD) {
        TRY(check_reduction(c, i));
        if (c->reader->wait_count && *pending != WEFT_NOWHERE) {
            snprintf(why, sizeof why, "begins before %uWAIT_REDUCE_GRAD: a rank has one reduction pending at most",
                     (unsigned)c->schedule->actions[*pending].stage);
            return weft_csv_reject(c->reader, cell, why);
        }
        *pending = i;
    } else if (c->reader->wait_count && c->seen[place] != SEEN_NOT) {
        return weft_csv_reject(c->reader, cell, "is there twice");
    }
    c->begun[place] = i;
    c->seen[place] = SEEN_PENDING;
    return WEFT_OK;
}

static weft_status end(checker *c, size_t *pending)
{
    const weft_csv_wait *wait = &c->reader->waits[c->next];
    weft_action of = wait->cell.action;
    bool known = (int32_t)of.stage < c->schedule->stages && of.microbatch < (uint32_t)c->schedule->microbatches;
    size_t place = known ? place_of(c, of) : 0, first = c->schedule->first[wait->cell.row - 1];
    if (!known || c->seen[place] == SEEN_NOT || c->begun[place] < first) return reject_lone(c, NULL, wait);
    if (c->seen[place] == SEEN_ENDED) return weft_csv_reject_wait(c->reader, wait, "is there twice");
    c->seen[place] = SEEN_ENDED;
    if (of.kind == WEFT_REDUCE_GRAD) *pending = WEFT_NOWHERE;
    c->waits[c->next++] = (weft_wait){c->begun[place], wait->before};
    return WEFT_OK;
}

static weft_status check_row(checker *c, int32_t rank)
{
    size_t first = c->schedule->first[rank], stop = c->schedule->first[rank + 1], pending = WEFT_NOWHERE;
    for (size_t i = first; i <= stop; i++) {
        while (c->next < c->reader->wait_count && c->reader->waits[c->next].before == i &&
               c->reader->waits[c->next].cell.row == (uint32_t)rank + 1)
            TRY(end(c, &pending));
        if (i < stop && is_waited_for(c->schedule->actions[i])) TRY(begin(c, i, &pending));
    }
    for (size_t i = first; i < stop && c->reader->wait_count; i++) {
        weft_action action = c->schedule->actions[i];
        if (is_waited_for(action) && c->seen[place_of(c, action)] == SEEN_PENDING)
            return reject_lone(c, &c->reader->actions[i], NULL);
    }
    return WEFT_OK;
}

/* No rank waits for ever. */
static weft_status prove(const checker *c)
{
    weft_circle circle = {0};
    weft_text why;
    weft_text_init(&circle.words);
    weft_text_init(&why);
    weft_status status = weft_rows_find_circle(c->schedule, c->waits, c->reader->wait_count, &circle, c->reader->error);
    if (status == WEFT_OK && circle.length) {
        weft_text_add(&why, "waits for ever when each row is one list: %s", weft_text_get(&circle.words));
        status = circle.wait != WEFT_NOWHERE
                     ? weft_csv_reject_wait(c->reader, &c->reader->waits[circle.wait], weft_text_get(&why))
                     : weft_csv_reject(c->reader, &c->reader->actions[circle.action], weft_text_get(&why));
    }
    weft_text_fini(&circle.words);
    weft_text_fini(&why);
    return status;
}

static weft_status check(checker *c, weft_arena *arena)
{
    size_t S = (size_t)c->schedule->stages, places = 2 * S * (size_t)c->schedule->microbatches + S;
    TRY(weft_arena_take(arena, S, sizeof *c->end, &c->end, c->reader->error));
    TRY(weft_arena_take(arena, places, sizeof *c->begun, &c->begun, c->reader->error));
    TRY(weft_arena_take(arena, places, sizeof *c->seen, &c->seen, c->reader->error));
    TRY(weft_arena_take(arena, c->reader->wait_count, sizeof *c->waits, &c->waits, c->reader->error));
    for (size_t i = 0; i < c->reader->count; i++) {
        weft_action action = c->schedule->actions[i];
        if (action.kind == WEFT_B || action.kind == WEFT_W) c->end[action.stage] = i + 1;
    }
    for (int32_t rank = 0; rank < c->schedule->ranks; rank++) TRY(check_row(c, rank));
    return c->reader->wait_count ? prove(c) : WEFT_OK;
}

weft_status weft_csv_check_waits(const weft_csv_reader *reader, const weft_schedule *schedule)
{
    checker c = {.reader = reader, .schedule = schedule};
    weft_arena arena;
    bool any = reader->wait_count > 0;
    for (size_t i = 0; i < reader->count && !any; i++) any = schedule->actions[i].kind == WEFT_REDUCE_GRAD;
    if (!any) return WEFT_OK;
    weft_arena_init(&arena);
    weft_status status = check(&c, &arena);
    weft_arena_fini(&arena);
    return status;
}
