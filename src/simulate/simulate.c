#include "simulate/simulate.h"

#include "program/walk.h"

double weft_costs_of(const weft_costs *costs, weft_action action)
{
    uint32_t s = action.stage;
    switch ((weft_action_kind)action.kind) {
    case WEFT_F:
        return costs->forward[s];
    case WEFT_B:
        return costs->backward ? costs->backward[s] : costs->backward_input[s] + costs->backward_weight[s];
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
    case WEFT_REDUCE_TENSOR:
        return costs->sums ? costs->sums[s] : 0;
    case WEFT_REDUCE_GRAD:
        return costs->reductions ? costs->reductions[s] : costs->reduce;
    default:
        return costs->collectives ? costs->collectives[action.kind] : costs->reduce;
    }
}

double weft_costs_latency(const weft_costs *costs, weft_action action)
{
    bool forward = action.kind == WEFT_RECV_F;
    if (!forward && action.kind != WEFT_RECV_B) return 0;
    return costs->latencies ? costs->latencies[forward ? action.stage - 1 : action.stage + 1] : costs->latency;
}

static double duration(const weft_costs *costs, const weft_program *program, uint32_t action)
{
    return costs->actions ? costs->actions[action] : weft_costs_of(costs, program->actions[action]);
}

/* Of the action first and the one behind it. */
static double pair_duration(const weft_costs *costs, const weft_program *program, uint32_t first)
{
    weft_action one = program->actions[first], other = program->actions[first + 1];
    double a = duration(costs, program, first), b = duration(costs, program, first + 1);
    if (costs->actions) return a > b ? a : b;
    if (!costs->overlap) return a + b;
    return costs->overlap[one.kind == WEFT_F ? one.stage : other.stage];
}

/* The later of `time` and the ends of all that count actions, the first and those behind it, wait for. */
static double after(const weft_program *program, uint32_t first, uint32_t count, const double *end, double time)
{
    for (uint32_t i = program->after_first[first]; i < program->after_first[first + count]; i++)
        if (end[program->after[i]] > time) time = end[program->after[i]];
    return time;
}

/* When the lane has come to its action. */
static double lane_end(const weft_program *program, int32_t lane, uint32_t action, const double *end)
{
    return action > program->lanes[lane].first ? end[action - 1] : 0;
}

static void time_alone(const weft_walk *walk, const weft_costs *costs, weft_timeline *timeline)
{
    const weft_program *program = walk->program;
    const weft_walk_member *member = &walk->members[0];
    double *begin = timeline->begin, *end = timeline->end, time = lane_end(program, member->lane, member->first, end);
    uint32_t stop = member->first + walk->nodes;
    for (uint32_t a = member->first; a < stop; a++) {
        bool pair = walk->pairs && a + 1 < stop && program->actions[a + 1].paired;
        time = begin[a] = after(program, a, pair ? 2 : 1, end, time);
        time += pair ? pair_duration(costs, program, a) : duration(costs, program, a);
        end[a] = time;
        if (!pair) continue;
        begin[a + 1] = begin[a];
        end[++a] = time;
    }
}

/* How much later a member begins and ends than the node: the RECV of a message, which comes second. */
static double lateness(const weft_walk *walk, const weft_costs *costs, int32_t member, uint32_t k)
{
    uint32_t action = walk->members[member].first + k, first = walk->members[0].first + k;
    weft_action_kind kind = (weft_action_kind)walk->program->actions[action].kind;
    if (kind != WEFT_RECV_F && kind != WEFT_RECV_B) return 0;
    if (!costs->actions) return weft_costs_latency(costs, walk->program->actions[action]);
    double more = costs->actions[action] - costs->actions[first];
    return more > 0 ? more : 0;
}

static void time_together(const weft_walk *walk, const weft_costs *costs, weft_timeline *timeline)
{
    const weft_program *program = walk->program;
    for (uint32_t k = 0; k < walk->nodes; k++) {
        double time = 0, lasts = duration(costs, program, walk->members[0].first + k);
        for (int32_t i = 0; i < walk->member_count; i++) {
            uint32_t action = walk->members[i].first + k;
            double own = lane_end(program, walk->members[i].lane, action, timeline->end) - lateness(walk, costs, i, k);
            time = after(program, action, 1, timeline->end, own > time ? own : time);
        }
        for (int32_t i = 0; i < walk->member_count; i++) {
            uint32_t action = walk->members[i].first + k;
            timeline->begin[action] = time + lateness(walk, costs, i, k);
            timeline->end[action] = timeline->begin[action] + lasts;
        }
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
