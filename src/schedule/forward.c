#include "schedule/schedule.h"

#include <string.h>

static size_t count_forward(const weft_schedule *schedule)
{
    size_t count = 0;
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++) count += schedule->actions[i].kind == WEFT_F;
    return count;
}

static weft_status copy_forward(const weft_schedule *from, weft_schedule *to, weft_error *error)
{
    size_t S = (size_t)from->stages, P = (size_t)from->ranks, wanted = S * (size_t)from->microbatches;
    size_t found = count_forward(from);
    if (found != wanted)
        FAIL(error, WEFT_INVALID, "schedule %s has %zu forward actions; %zu stages x %d micro-batches need %zu",
             from->name, found, S, (int)from->microbatches, wanted);
    TRY(weft_allocate(S, sizeof *to->stage_rank, &to->stage_rank, error));
    TRY(weft_allocate(P + 1, sizeof *to->first, &to->first, error));
    TRY(weft_allocate(wanted, sizeof *to->actions, &to->actions, error));
    memcpy(to->stage_rank, from->stage_rank, S * sizeof *to->stage_rank);
    size_t count = 0;
    for (size_t r = 0; r < P; r++) {
        to->first[r] = count;
        for (size_t i = from->first[r]; i < from->first[r + 1]; i++) {
            if (from->actions[i].kind != WEFT_F) continue;
            to->actions[count] = from->actions[i];
            to->actions[count++].paired = false; /* its backward pass is left out */
        }
    }
    to->first[P] = count;
    return WEFT_OK;
}

weft_status weft_schedule_forward(const weft_schedule *schedule, weft_schedule **out, weft_error *error)
{
    weft_schedule *forward = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *forward, &forward, error));
    *forward = *schedule;
    forward->stage_rank = NULL;
    forward->first = NULL;
    forward->actions = NULL;
    forward->waits = NULL;
    forward->wait_count = 0;
    forward->forward_only = true;
    forward->has_messages = false;
    forward->ascending = true; /* there are no gradients */
    weft_status status = copy_forward(schedule, forward, error);
    if (status == WEFT_OK)
        *out = forward;
    else
        weft_schedule_destroy(forward);
    return status;
}
