#include "train/trial.h"

#include "base/clock.h"
#include "base/median.h"
#include "train/train.h"

#include <math.h>

enum { FIRST_STEP = 2 }; /* the one before makes kernels and touches memory */

static const double seconds_of_calibration = 1e-3; /* there are no passes in it */

typedef struct trying {
    const weft_job *job;
    weft_trial *found;
    size_t steps; /* that were timed */
    double begin;
    double forward[WEFT_TRIAL_STAGES][WEFT_TRIAL_STEPS], backward[WEFT_TRIAL_STAGES][WEFT_TRIAL_STEPS];
    double update[WEFT_TRIAL_STEPS], norm[WEFT_TRIAL_STEPS], between[WEFT_TRIAL_STEPS];
} trying;

static weft_status on_started(void *context, const weft_run_start *start, weft_error *error)
{
    (void)error;
    trying *it = context;
    it->found->peak = start->peak / it->job->workers;
    it->begin = weft_clock_seconds();
    return WEFT_OK;
}

static weft_status on_calibrated(void *context, const weft_calibration *calibration, weft_error *error)
{
    (void)error;
    trying *it = context;
    const weft_costs *costs = &calibration->costs;
    weft_trial *out = it->found;
    for (int32_t s = 0; s < it->job->stage_count; s++) {
        out->reduction[s] = costs->reductions[s];
        out->gather[s] = costs->gathers[s];
        out->sum[s] = costs->sums[s];
    }
    out->message = costs->messages[0];
    return WEFT_OK;
}

/* Sums over one step of one rank's lane. */
typedef struct lane_sums {
    double forward[WEFT_TRIAL_STAGES], backward[WEFT_TRIAL_STAGES], update, norm;
    int32_t forwards[WEFT_TRIAL_STAGES], backwards[WEFT_TRIAL_STAGES];
} lane_sums;

static void add_pass(const weft_program *program, weft_action action, double seconds, lane_sums *to)
{
    bool last = program->microbatches > 1 && (int32_t)action.microbatch == program->microbatches - 1;
    if (action.kind == WEFT_F) {
        to->forward[action.stage] += seconds;
        to->forwards[action.stage]++;
    } else if (action.kind == WEFT_B && !last) {
        to->backward[action.stage] += seconds;
        to->backwards[action.stage]++;
    }
}

static const weft_lane *find_lane(const weft_program *program, weft_lane_kind kind)
{
    for (int32_t l = 0; l < program->rank_lanes[1]; l++)
        if (program->lanes[l].kind == kind) return &program->lanes[l];
    return NULL;
}

/* When NORM can begin, passes being computed, and when it ends; both are computed where there is none. */
static void find_norm(const weft_timeline *timeline, double computed, double *out_begin, double *out_end)
{
    const weft_lane *lane = find_lane(timeline->program, WEFT_PROGRAM_REDUCE);
    *out_begin = *out_end = computed;
    for (uint32_t a = lane ? lane->first : 0; lane && a < lane->first + lane->count; a++) {
        if (timeline->program->actions[a].kind == WEFT_NORM) {
            *out_end = fmax(timeline->end[a], *out_begin);
            return;
        }
        *out_begin = fmax(*out_begin, timeline->end[a]);
    }
    *out_begin = computed;
}

static void sum_lane(const weft_timeline *timeline, lane_sums *out)
{
    const weft_program *program = timeline->program;
    const weft_lane *lane = find_lane(program, WEFT_PROGRAM_COMPUTE);
    double before = timeline->begin[lane->first], norm = 0;
    bool computed = false;
    *out = (lane_sums){.update = 0};
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = program->actions[a];
        bool updates = action.kind == WEFT_UPDATE;
        if (updates && !computed) {
            find_norm(timeline, before, &norm, &before);
            out->norm = before - norm;
        }
        computed |= updates;
        if (updates)
            out->update += timeline->end[a] - before;
        else
            add_pass(program, action, timeline->end[a] - before, out);
        before = timeline->end[a];
    }
}

/* Of the first rank, which has all stages where there is one. */
static weft_status on_timeline(void *context, const weft_timeline_record *record, weft_error *error)
{
    (void)error;
    trying *it = context;
    lane_sums sums;
    double last = 0;
    size_t i = it->steps;
    if (record->step < FIRST_STEP || i == WEFT_TRIAL_STEPS) return WEFT_OK;
    sum_lane(record->measured, &sums);
    for (int32_t s = 0; s < it->job->stage_count; s++) {
        it->forward[s][i] = sums.forwards[s] ? sums.forward[s] / sums.forwards[s] : 0;
        it->backward[s][i] = sums.backwards[s] ? sums.backward[s] / sums.backwards[s] : 0;
    }
    for (uint32_t a = 0; a < it->job->train->action_count; a++)
        if (it->job->train->actions[a].kind != WEFT_METRICS) last = fmax(last, record->measured->end[a]);
    it->update[i] = sums.update;
    it->norm[i] = sums.norm;
    it->between[i] = fmax(0, record->end - record->begin - last);
    it->steps++;
    return WEFT_OK;
}

static void take_medians(trying *it)
{
    weft_trial *out = it->found;
    for (int32_t s = 0; s < it->job->stage_count; s++) {
        out->forward[s] = weft_median(it->forward[s], it->steps);
        out->backward[s] = weft_median(it->backward[s], it->steps);
        out->stage_parameters[s] = (double)it->job->stages[s].elements / it->job->tensor;
        out->parameters += out->stage_parameters[s];
    }
    out->update = weft_median(it->update, it->steps);
    out->norm = weft_median(it->norm, it->steps);
    out->between = weft_median(it->between, it->steps);
}

weft_status weft_trial_run(const weft_job *job, const weft_trial_options *options, weft_trial *out, weft_error *error)
{
    trying *it = NULL;
    *out = (weft_trial){0};
    if (job->stage_count > WEFT_TRIAL_STAGES)
        FAIL(error, WEFT_INVALID, "a trial has %d stages at most", WEFT_TRIAL_STAGES);
    TRY(weft_allocate(1, sizeof *it, &it, error));
    *it = (trying){.job = job, .found = out};
    weft_train_options training = {.stop = options->stop,
                                   .calibrate_seconds = options->alone ? seconds_of_calibration : 0,
                                   .calibrate_together = true,
                                   .peak_seconds = options->peak_seconds,
                                   .trial_steps = options->steps,
                                   .trial_seconds = options->seconds};
    training.observer =
        (weft_observer){.context = it, .started = on_started, .calibrated = on_calibrated, .timeline = on_timeline};
    weft_status status = weft_train(job, &training, error);
    if (status == WEFT_OK && options->stop && *options->stop)
        status = weft_fail(error, WEFT_STOPPED, "stopped before this machine was measured");
    take_medians(it);
    out->seconds = weft_clock_seconds() - it->begin;
    weft_free(it);
    return status;
}

void weft_trial_middle(const weft_trial *trials, size_t count, weft_trial *out)
{
    enum { NUMBERS = sizeof(weft_trial) / sizeof(double), MOST = 8 }; /* it has nothing but doubles */
    double values[MOST], *to = (double *)out;
    if (count > MOST) count = MOST;
    for (size_t i = 0; i < NUMBERS; i++) {
        for (size_t k = 0; k < count; k++) values[k] = ((const double *)&trials[k])[i];
        to[i] = weft_median_low(values, count);
    }
}
