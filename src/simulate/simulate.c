#include "simulate/simulate.h"

#include "program/walk.h"

static double duration(const weft_costs *costs, weft_action action)
{
    uint32_t s = action.stage;
    switch ((weft_action_kind)action.kind) {
    case WEFT_F:
        return costs->forward[s];
    case WEFT_B:
        return costs->backward_input[s] + costs->backward_weight[s];
    case WEFT_I:
        return costs->backward_input[s];
    case WEFT_W:
        return costs->backward_weight[s];
    case WEFT_UPDATE:
        return costs->update ? costs->update[s] : 0;
    case WEFT_SEND_F: /* a RECV is timed with the SEND that it meets */
    case WEFT_SEND_B:
        return costs->messages ? costs->messages[s] : costs->message;
    default:
        return costs->collectives ? costs->collectives[action.kind] : costs->reduce;
    }
}

/* When the action before it on its lane and all that it waits for are done. */
static double ready(const weft_program *program, int32_t lane, uint32_t action, const double *end)
{
    double time = action > program->lanes[lane].first ? end[action - 1] : 0;
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
        if (end[program->after[i]] > time) time = end[program->after[i]];
    return time;
}

weft_status weft_simulate(const weft_program *program, const weft_costs *costs, weft_timeline *timeline,
                          weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, program, -1, error));
    while (weft_walk_next(&walk)) {
        double begin = 0;
        for (int32_t i = 0; i < walk.node_count; i++) {
            double own = ready(program, walk.node_lanes[i], weft_walk_action(&walk, i), timeline->end);
            if (own > begin) begin = own;
        }
        double end = begin + duration(costs, program->actions[weft_walk_action(&walk, 0)]);
        for (int32_t i = 0; i < walk.node_count; i++) {
            timeline->begin[weft_walk_action(&walk, i)] = begin;
            timeline->end[weft_walk_action(&walk, i)] = end;
        }
    }
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}
