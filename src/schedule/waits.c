/*
 * Where waits stand that weft writes: where torch.distributed.pipelining puts its own.
 *
 * A rank that waits for its SEND_F of (s, m) behind its own backward pass of (s, m) never has to: that pass needs the
 * gradient which the other rank has made from the very message. So its activation, which the send holds, is not kept
 * for longer than the backward pass keeps it anyway. All else waits at the end of the row, where nobody waits for the
 * rank any more: the receivers go on without it. A reduction is waited for at once, so that no second one is pending.
 * Neither place can therefore close a circle that was not there without the waits.
 */
#include "schedule/rows.h"

#include <stdlib.h>

static int by_place(const void *left, const void *right)
{
    const weft_wait *a = left, *b = right;
    if (a->before != b->before) return a->before < b->before ? -1 : 1;
    return a->of < b->of ? -1 : a->of > b->of;
}

/* behind (S, M): the action behind the backward pass, and behind the pair that it may be in. */
static void find_backward(const weft_schedule *schedule, size_t *behind)
{
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        size_t end = schedule->first[rank + 1];
        for (size_t i = schedule->first[rank]; i < end; i++) {
            weft_action action = schedule->actions[i];
            if (action.kind != WEFT_B && action.kind != WEFT_I) continue;
            size_t cell = (size_t)action.stage * (size_t)schedule->microbatches + action.microbatch;
            behind[cell] = i + 1 < end && schedule->actions[i + 1].paired ? i + 2 : i + 1;
        }
    }
}

/* Where the wait of an action stands that is waited for in the middle of its row; 0: nowhere there. */
static size_t early_place(const weft_schedule *schedule, size_t i, const size_t *behind)
{
    weft_action action = schedule->actions[i];
    size_t cell = (size_t)action.stage * (size_t)schedule->microbatches + action.microbatch;
    if (action.kind == WEFT_REDUCE_GRAD) return i + 1;
    return action.kind == WEFT_SEND_F && behind[cell] > i ? behind[cell] : 0;
}

static void place_row(weft_schedule *schedule, int32_t rank, const size_t *behind)
{
    size_t begin = schedule->first[rank], end = schedule->first[rank + 1], count = schedule->wait_count, place;
    for (size_t i = begin; i < end; i++)
        if ((place = early_place(schedule, i, behind))) schedule->waits[schedule->wait_count++] = (weft_wait){i, place};
    qsort(schedule->waits + count, schedule->wait_count - count, sizeof *schedule->waits, by_place);
    for (size_t i = begin; i < end; i++) {
        weft_action action = schedule->actions[i];
        bool sends = action.kind == WEFT_SEND_F || action.kind == WEFT_SEND_B;
        if (sends && !early_place(schedule, i, behind)) schedule->waits[schedule->wait_count++] = (weft_wait){i, end};
    }
}

weft_status weft_waits_place(weft_schedule *schedule, weft_error *error)
{
    size_t *behind = NULL;
    TRY(weft_allocate(schedule->first[schedule->ranks], sizeof *schedule->waits, &schedule->waits, error));
    TRY(weft_allocate((size_t)schedule->stages * (size_t)schedule->microbatches, sizeof *behind, &behind, error));
    find_backward(schedule, behind);
    for (int32_t rank = 0; rank < schedule->ranks; rank++) place_row(schedule, rank, behind);
    weft_free(behind);
    return WEFT_OK;
}
