#include "simulate/lost.h"

#include "base/median.h"
#include "simulate/measured.h"

const char *weft_lost_cause_name(weft_lost_cause cause)
{
    static const char *const names[] = {"schedule", "stages",   "step",   "variation",
                                        "messages", "together", "worker", "outside"};
    return names[cause];
}

typedef struct replay {
    const weft_program *program;
    const weft_timeline *timeline; /* of the step that is looked at */
    weft_timeline again;
    double *seconds;    /* (actions) as measured: of a compute lane from begin to end, else by the rule of fit.h */
    double *costs;      /* (actions) of the next simulation */
    double *means;      /* (steps, kinds, S) of compute lanes, over the micro-batches */
    double *usual;      /* (kinds, S) their medians over the steps */
    double *values;     /* (steps) those of one kind and stage */
    const double *mean; /* (kinds, S) those of the step that is looked at */
    uint32_t *counts;   /* (kinds, S) */
} replay;

static weft_action_lane lane_of(const replay *it, uint32_t action)
{
    return weft_action_info_get((weft_action_kind)it->program->actions[action].kind)->lane;
}

static size_t place_of(const replay *it, uint32_t action)
{
    return it->program->actions[action].kind * (size_t)it->program->stages + it->program->actions[action].stage;
}

static size_t places(const weft_program *program)
{
    return WEFT_ACTION_KINDS * (size_t)program->stages;
}

static weft_status init(replay *it, const weft_program *program, size_t steps, weft_error *error)
{
    size_t actions = program->action_count;
    *it = (replay){.program = program};
    TRY(weft_timeline_init(&it->again, program, error));
    TRY(weft_allocate(actions, sizeof *it->seconds, &it->seconds, error));
    TRY(weft_allocate(actions, sizeof *it->costs, &it->costs, error));
    TRY(weft_allocate(places(program), sizeof *it->usual, &it->usual, error));
    TRY(weft_allocate(steps, sizeof *it->values, &it->values, error));
    TRY(weft_allocate(places(program) * steps, sizeof *it->means, &it->means, error));
    return weft_allocate(places(program), sizeof *it->counts, &it->counts, error);
}

static void fini(replay *it)
{
    weft_timeline_fini(&it->again);
    weft_free(it->seconds);
    weft_free(it->costs);
    weft_free(it->usual);
    weft_free(it->values);
    weft_free(it->means);
    weft_free(it->counts);
}

static void take_means(replay *it, const weft_timeline *timeline, double *mean)
{
    for (size_t i = 0; i < places(it->program); i++) it->counts[i] = 0;
    for (uint32_t a = 0; a < it->program->action_count; a++) {
        if (lane_of(it, a) != WEFT_LANE_COMPUTE) continue;
        mean[place_of(it, a)] += timeline->end[a] - timeline->begin[a];
        it->counts[place_of(it, a)]++;
    }
    for (size_t i = 0; i < places(it->program); i++)
        if (it->counts[i] > 0) mean[i] /= it->counts[i];
}

static void take_usual(replay *it, const weft_timeline *timelines, size_t count)
{
    size_t size = places(it->program);
    for (size_t t = 0; t < count; t++) take_means(it, &timelines[t], it->means + t * size);
    for (size_t i = 0; i < size; i++) {
        for (size_t t = 0; t < count; t++) it->values[t] = it->means[t * size + i];
        it->usual[i] = weft_median(it->values, count);
    }
}

static void read_node(replay *it, const weft_walk *walk, uint32_t k)
{
    double seconds = weft_measured_seconds(it->timeline, walk, k);
    for (int32_t n = 0; n < walk->member_count; n++) {
        uint32_t a = walk->members[n].first + k;
        bool computes = lane_of(it, a) == WEFT_LANE_COMPUTE;
        it->seconds[a] = computes ? it->timeline->end[a] - it->timeline->begin[a] : seconds;
    }
}

static weft_status read_all(replay *it, weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, it->program, -1, error));
    while (weft_walk_next(&walk))
        for (uint32_t k = 0; k < walk.nodes; k++) read_node(it, &walk, k);
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}

/* What an action costs where all causes up to this one are there. */
static double cost_of(const replay *it, uint32_t action, weft_lost_cause cause)
{
    static const weft_lost_cause measured[] = {[WEFT_LANE_COMPUTE] = WEFT_LOST_VARIATION,
                                               [WEFT_LANE_MESSAGE] = WEFT_LOST_MESSAGES,
                                               [WEFT_LANE_GATHER] = WEFT_LOST_TOGETHER,
                                               [WEFT_LANE_REDUCE] = WEFT_LOST_TOGETHER};
    weft_action_lane lane = lane_of(it, action);
    if (cause >= measured[lane]) return it->seconds[action];
    if (lane != WEFT_LANE_COMPUTE) return 0;
    return (cause == WEFT_LOST_STAGES ? it->usual : it->mean)[place_of(it, action)];
}

/* Which share of the time compute lanes are busy with costs, in a step of so many seconds. */
static double busy_in(const replay *it, double seconds)
{
    double work = 0;
    for (uint32_t a = 0; a < it->program->action_count; a++)
        if (lane_of(it, a) == WEFT_LANE_COMPUTE) work += it->costs[a];
    return seconds > 0 ? work / (seconds * it->program->ranks) : 0;
}

/* The same with all causes up to this one. step: seconds of the whole step. */
static weft_status busy_with(replay *it, weft_lost_cause cause, double step, double *out, weft_error *error)
{
    for (uint32_t a = 0; a < it->program->action_count; a++) it->costs[a] = cost_of(it, a, cause);
    if (cause < WEFT_LOST_WORKER) {
        TRY(weft_simulate(it->program, &(weft_costs){.actions = it->costs}, &it->again, error));
        step = weft_timeline_end(&it->again);
    } else if (cause == WEFT_LOST_WORKER) {
        step = weft_timeline_end(it->timeline);
    }
    *out = busy_in(it, step);
    return WEFT_OK;
}

static weft_status measure(replay *it, double step, double expected, weft_lost *out, weft_error *error)
{
    double busy = 0;
    TRY(read_all(it, error));
    *out = (weft_lost){.busy = expected, .cause = {[WEFT_LOST_SCHEDULE] = 1 - expected}};
    for (int cause = WEFT_LOST_STAGES; cause < WEFT_LOST_CAUSES; cause++) {
        TRY(busy_with(it, (weft_lost_cause)cause, step, &busy, error));
        out->cause[cause] = out->busy - busy;
        out->busy = busy;
    }
    return WEFT_OK;
}

weft_status weft_lost_measure(const weft_timeline *timelines, const double *seconds, size_t count, double expected,
                              weft_lost *out, weft_error *error)
{
    replay it;
    weft_status status = init(&it, timelines[0].program, count, error);
    if (status == WEFT_OK) take_usual(&it, timelines, count);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        it.timeline = &timelines[i];
        it.mean = it.means + i * places(it.program);
        status = measure(&it, seconds[i], expected, &out[i], error);
    }
    fini(&it);
    return status;
}
