#include "simulate/simulate.h"

#include "program/walk.h"

double weft_costs_of(const weft_costs *costs, weft_action action)
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
    case WEFT_SEND_F:
    case WEFT_SEND_B:
        return costs->messages ? costs->messages[s] : costs->message;
    case WEFT_RECV_F: /* what the SEND that it meets costs: by the stage that sends */
        return costs->messages ? costs->messages[s - 1] : costs->message;
    case WEFT_RECV_B:
        return costs->messages ? costs->messages[s + 1] : costs->message;
    case WEFT_UNSHARD:
        return costs->gathers ? costs->gathers[s] : 0;
    case WEFT_RESHARD:
        return 0;
    case WEFT_REDUCE_GRAD:
        return costs->reductions ? costs->reductions[s] : costs->reduce;
    default:
        return costs->collectives ? costs->collectives[action.kind] : costs->reduce;
    }
}

static double duration(const weft_costs *costs, const weft_program *program, uint32_t action)
{
    return costs->actions ? costs->actions[action] : weft_costs_of(costs, program->actions[action]);
}

static double pair_duration(const weft_costs *costs, weft_action first, weft_action second)
{
    if (!costs->overlap) return weft_costs_of(costs, first) + weft_costs_of(costs, second);
    return costs->overlap[first.kind == WEFT_F ? first.stage : second.stage];
}

/* The later of `time` and the ends of all that count actions, the first and those behind it, wait for. */
static double after(const weft_program *program, uint32_t first, uint32_t count, const double *end, double time)
{
    for (uint32_t i = program->after_first[first]; i < program->after_first[first + count]; i++)
        if (end[program->after[i]] > time) time = end[program->after[i]];
    return time;
}

/* When the lane has come to a member's action. */
static double lane_end(const weft_program *program, const weft_walk_member *member, const double *end)
{
    return member->first > program->lanes[member->lane].first ? end[member->first - 1] : 0;
}

static void time_alone(const weft_walk *walk, const weft_costs *costs, weft_timeline *timeline)
{
    const weft_program *program = walk->program;
    const weft_walk_member *member = &walk->members[0];
    double *begin = timeline->begin, *end = timeline->end, time = lane_end(program, member, end);
    uint32_t stop = member->first + walk->nodes;
    for (uint32_t a = member->first; a < stop; a++) {
        bool pair = walk->pairs && a + 1 < stop && program->actions[a + 1].paired;
        time = begin[a] = after(program, a, pair ? 2 : 1, end, time);
        time += pair ? pair_duration(costs, program->actions[a], program->actions[a + 1]) : duration(costs, program, a);
        end[a] = time;
        if (!pair) continue;
        begin[a + 1] = begin[a];
        end[++a] = time;
    }
}

static void time_together(const weft_walk *walk, const weft_costs *costs, weft_timeline *timeline)
{
    const weft_program *program = walk->program;
    double time = 0;
    for (int32_t i = 0; i < walk->member_count; i++) {
        double own = lane_end(program, &walk->members[i], timeline->end);
        if (own > time) time = own;
    }
    for (uint32_t k = 0; k < walk->nodes; k++) {
        for (int32_t i = 0; i < walk->member_count; i++)
            time = after(program, walk->members[i].first + k, 1, timeline->end, time);
        double end = time + duration(costs, program, walk->members[0].first + k);
        for (int32_t i = 0; i < walk->member_count; i++) {
            timeline->begin[walk->members[i].first + k] = time;
            timeline->end[walk->members[i].first + k] = end;
        }
        time = end;
    }
}

weft_status weft_simulate(const weft_program *program, const weft_costs *costs, weft_timeline *timeline,
                          weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, program, -1, error));
    walk.pairs = costs->pairs;
    while (weft_walk_next(&walk)) (walk.member_count == 1 ? time_alone : time_together)(&walk, costs, timeline);
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}
