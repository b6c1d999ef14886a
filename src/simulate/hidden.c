/* Gathers and reductions behind compute. */
#include "simulate/simulate.h"

#include <math.h>

/* Seconds between begin and end in which the compute lane runs something. *at: of its actions, the first that may end
 * later than begin; goes on with begin, which must not fall from call to call. */
static double busy_between(const weft_timeline *timeline, const weft_lane *compute, uint32_t *at, double begin,
                           double end)
{
    uint32_t past = compute->first + compute->count;
    double busy = 0, seen = begin; /* what the parts of a pair share is counted once */
    while (*at < past && timeline->end[*at] <= begin) ++*at;
    for (uint32_t a = *at; a < past && timeline->begin[a] < end; a++) {
        double from = timeline->begin[a] > seen ? timeline->begin[a] : seen;
        double to = timeline->end[a] < end ? timeline->end[a] : end;
        if (to <= from) continue;
        busy += to - from;
        seen = to;
    }
    return busy;
}

/* REDUCE_GRAD stands for all that is reduced of gradients. */
static bool counts(weft_action_kind wanted, uint32_t kind)
{
    return kind == (uint32_t)wanted || (wanted == WEFT_REDUCE_GRAD && kind == WEFT_REDUCE_TENSOR);
}

weft_hidden weft_hidden_measure(const weft_timeline *timeline, weft_action_kind kind)
{
    const weft_program *program = timeline->program;
    weft_hidden out = {0};
    for (int32_t i = 0; i < program->rank_lanes[program->ranks]; i++) {
        const weft_lane *lane = &program->lanes[i], *compute = &program->lanes[program->rank_lanes[lane->rank]];
        uint32_t at = compute->first;
        if (lane->kind != WEFT_PROGRAM_GATHER && lane->kind != WEFT_PROGRAM_REDUCE) continue;
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            if (!counts(kind, program->actions[a].kind)) continue;
            out.count++;
            out.seconds += timeline->end[a] - timeline->begin[a];
            out.hidden += busy_between(timeline, compute, &at, timeline->begin[a], timeline->end[a]);
        }
    }
    return out;
}

double weft_hidden_share(const weft_hidden *part)
{
    return part->seconds > 0 ? part->hidden / part->seconds : NAN;
}
