#include "simulate/simulate.h"

#include "program/walk.h"

#include <stddef.h>

/* The array of costs and, where it is not there, the number; offsets in weft_costs. */
typedef struct cost_row {
    uint16_t array, one;
    bool costs, falls_back;
} cost_row;

static const cost_row cost_rows[WEFT_ACTION_KINDS] = {
#define BY(member) .costs = true, .array = offsetof(weft_costs, member)
#define ONE(member, number) BY(member), .falls_back = true, .one = offsetof(weft_costs, number)
#define FREE .costs = false
#define ACTION(name, lane, place, operands, peer, programs, members, reads, writes, units, cost, ...) {cost},
#include "schedule/actions.def"
#undef ACTION
#undef FREE
#undef ONE
#undef BY
};

/* A RECV costs what the SEND that it meets does: by the stage that sends. */
static uint32_t sender(weft_action action)
{
    if (action.kind == WEFT_RECV_F) return action.stage - 1;
    return action.kind == WEFT_RECV_B ? action.stage + 1 : action.stage;
}

static double pass_cost(const weft_costs *costs, weft_action action, const double *array)
{
    uint32_t s = action.stage;
    double time = array ? array[s] : costs->backward_input[s] + costs->backward_weight[s];
    return costs->exchanges[action.kind] ? time + costs->exchanges[action.kind][s] : time;
}

double weft_costs_of(const weft_costs *costs, weft_action action)
{
    const cost_row *row = &cost_rows[action.kind];
    const char *base = (const char *)costs;
    const double *array = *(const double *const *)(const void *)(base + row->array);
    if (weft_action_is_pass(action)) return pass_cost(costs, action, array);
    if (!row->costs) return 0;
    bool by_kind = row->array == offsetof(weft_costs, collectives);
    if (array) return array[by_kind ? action.kind : sender(action)];
    return row->falls_back ? *(const double *)(const void *)(base + row->one) : 0;
}

/* The timeline tells it, so that the bubble can. */
static weft_status tell_exchanges(const weft_costs *costs, weft_timeline *timeline, weft_error *error)
{
    size_t S = (size_t)timeline->program->stages;
    bool any = false;
    weft_free(timeline->exchanges);
    timeline->exchanges = NULL;
    for (size_t pass = 0; pass < WEFT_PASS_KINDS && !costs->actions; pass++) any |= costs->exchanges[pass] != NULL;
    if (!any) return WEFT_OK;
    TRY(weft_allocate(WEFT_PASS_KINDS * S, sizeof *timeline->exchanges, &timeline->exchanges, error));
    for (size_t pass = 0; pass < WEFT_PASS_KINDS; pass++)
        for (size_t s = 0; s < S && costs->exchanges[pass]; s++)
            timeline->exchanges[pass * S + s] = costs->exchanges[pass][s];
    return WEFT_OK;
}

double weft_costs_latency(const weft_costs *costs, weft_action action)
{
    if (action.kind != WEFT_RECV_F && action.kind != WEFT_RECV_B) return 0;
    return costs->latencies ? costs->latencies[sender(action)] : costs->latency;
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
    TRY(tell_exchanges(costs, timeline, error));
    TRY(weft_walk_init(&walk, program, -1, error));
    walk.pairs = costs->pairs;
    while (weft_walk_next(&walk)) (walk.member_count == 1 ? time_alone : time_together)(&walk, costs, timeline);
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}
