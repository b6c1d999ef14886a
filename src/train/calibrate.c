#include "train/calibrate.h"

#include "base/clock.h"
#include "base/random.h"
#include "train/executor.h"
#include "train/waiting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_PASSES = 3, MOST_PASSES = 32, EDGE = 2, TRIES = 5 };

enum { FORWARD, WHOLE, INPUT, WEIGHT, UPDATE, KINDS }; /* of what a stage costs */

typedef struct calibration {
    weft_loop *loop;
    weft_worker *worker;
    const weft_program *program;
    size_t S, boundary; /* stages; bytes of what crosses a stage boundary */
    void *noise;        /* (boundary) stands for what other ranks would have sent */
    double *sum;        /* (KINDS, S) of one pass */
    int32_t *count;     /* (KINDS, S) */
    double *passes;     /* (KINDS, S, MOST_PASSES) mean of each pass */
    double *costs;      /* (KINDS, S) */
    double *messages;   /* (S) */
    double *moves;      /* (S) how many lanes the stage sends on */
    double *all;        /* (P) or (P, KINDS S) as gathered */
    double collectives[WEFT_ACTION_KINDS];
    double between;
} calibration;

static weft_status make_noise(calibration *it, weft_error *error)
{
    const weft_job *job = it->loop->job;
    size_t size = weft_element_bytes(job->options.element), count = it->boundary / size;
    weft_random_key key = weft_random_key_make((uint64_t)job->config->run.seed, "calibration");
    TRY(weft_arena_take(&it->loop->arena, it->boundary, 1, &it->noise, error));
    for (size_t i = 0; i < count; i++) {
        float value = (float)(2 * weft_random_uniform(key, i) - 1);
        if (job->options.element == WEFT_FP32)
            ((float *)it->noise)[i] = value;
        else
            ((uint16_t *)it->noise)[i] = weft_bf16_from_float(value);
    }
    return WEFT_OK;
}

static weft_status init(calibration *it, weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    *it = (calibration){.loop = loop, .worker = loop->worker, .program = job->train, .S = (size_t)job->stage_count};
    it->boundary = weft_job_boundary(job);
    size_t table = KINDS * it->S;
    weft_arena *arena = &loop->arena;
    TRY(weft_arena_take(arena, table, sizeof *it->sum, &it->sum, error));
    TRY(weft_arena_take(arena, table, sizeof *it->count, &it->count, error));
    TRY(weft_arena_take(arena, table * MOST_PASSES, sizeof *it->passes, &it->passes, error));
    TRY(weft_arena_take(arena, table, sizeof *it->costs, &it->costs, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->messages, &it->messages, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->moves, &it->moves, error));
    TRY(weft_arena_take(arena, table * (size_t)job->ranks, sizeof *it->all, &it->all, error));
    return make_noise(it, error);
}

static bool is_elsewhere(const calibration *it, int32_t stage)
{
    return stage >= 0 && stage < it->program->stages && it->program->stage_rank[stage] != it->worker->at.rank;
}

static void fill_slot(const calibration *it, weft_slot_kind slot, weft_action action)
{
    weft_worker *worker = it->worker;
    int32_t buffer = weft_program_slot(it->program, slot, (int32_t)action.stage, (int32_t)action.microbatch);
    worker->device->operations->copy(worker->device, NULL, worker->slots + it->program->buffers[buffer].offset,
                                     it->noise, it->boundary);
}

/* What the action would have received. */
static void fill_slots(const calibration *it, weft_action action)
{
    int32_t stage = (int32_t)action.stage;
    bool backward = action.kind == WEFT_B || action.kind == WEFT_I;
    if (action.kind == WEFT_F && is_elsewhere(it, stage - 1)) fill_slot(it, WEFT_SLOT_INPUT, action);
    if (backward && is_elsewhere(it, stage + 1)) fill_slot(it, WEFT_SLOT_GRADIENT, action);
}

static int kind_of(weft_action action)
{
    static const int kinds[WEFT_ACTION_KINDS] = {[WEFT_F] = FORWARD + 1,
                                                 [WEFT_B] = WHOLE + 1,
                                                 [WEFT_I] = INPUT + 1,
                                                 [WEFT_W] = WEIGHT + 1,
                                                 [WEFT_UPDATE] = UPDATE + 1};
    return kinds[action.kind] - 1;
}

/* The first and the last micro-batches: some schedules split the backward pass of one end only. */
static bool is_sampled(const calibration *it, weft_action action)
{
    uint32_t m = action.microbatch, count = (uint32_t)it->program->microbatches;
    return action.kind == WEFT_UPDATE || m < EDGE || m + EDGE >= count;
}

/* The compute lane in its order, without all other micro-batches: what a slot holds is still there when it is read. */
static weft_status run_pass(calibration *it, weft_error *error)
{
    const weft_lane *lane = &it->program->lanes[it->program->rank_lanes[it->worker->at.rank]];
    memset(it->sum, 0, KINDS * it->S * sizeof *it->sum);
    memset(it->count, 0, KINDS * it->S * sizeof *it->count);
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = it->program->actions[a];
        double seconds = 0;
        if (!is_sampled(it, action)) continue;
        fill_slots(it, action);
        TRY(weft_executor_run_alone(it->worker->train, a, &seconds, error));
        size_t place = (size_t)kind_of(action) * it->S + action.stage;
        it->sum[place] += seconds;
        it->count[place]++;
    }
    return WEFT_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static bool wants_stop(const weft_loop *loop)
{
    return loop->options->stop && *loop->options->stop;
}

static weft_status time_passes(calibration *it, weft_error *error)
{
    size_t passes = 0, table = KINDS * it->S;
    TRY(run_pass(it, error)); /* the first one makes kernels and touches memory */
    double begin = weft_clock_seconds(), seconds = it->loop->options->calibrate_seconds;
    while (passes < LEAST_PASSES || (passes < MOST_PASSES && weft_clock_seconds() - begin < seconds)) {
        if (passes > 0 && wants_stop(it->loop)) break;
        TRY(run_pass(it, error));
        for (size_t i = 0; i < table; i++)
            it->passes[i * MOST_PASSES + passes] = it->count[i] ? it->sum[i] / it->count[i] : 0;
        passes++;
    }
    for (size_t i = 0; i < table; i++) it->costs[i] = median(&it->passes[i * MOST_PASSES], passes);
    return weft_worker_gather(it->worker, it->costs, table * sizeof *it->costs, it->all, "calibrated passes", error);
}

/* Each stage's costs as its own rank found them. */
static void take_passes(calibration *it)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t s = 0; s < it->S; s++) {
            size_t rank = (size_t)it->program->stage_rank[s];
            it->costs[(size_t)kind * it->S + s] = it->all[(rank * KINDS + (size_t)kind) * it->S + s];
        }
    double *whole = it->costs + WHOLE * it->S, *input = it->costs + INPUT * it->S, *weight = it->costs + WEIGHT * it->S;
    for (size_t s = 0; s < it->S; s++)
        if (!(input[s] > 0)) input[s] = weight[s] = whole[s] / 2; /* only their sum counts */
}

/* Runs an action that several ranks have a part in, UINT32_MAX for the others. It takes what it takes the last of them
 * to come: the least of what they see. */
static weft_status time_together(calibration *it, uint32_t action, double *out, weft_error *error)
{
    double tries[TRIES];
    for (int i = 0; i < TRIES; i++) {
        double own = HUGE_VAL, ready = 0;
        TRY(weft_worker_gather(it->worker, &ready, sizeof ready, it->all, "turns of the calibration", error));
        if (action != UINT32_MAX) TRY(weft_executor_run_alone(it->worker->train, action, &own, error));
        TRY(weft_worker_gather(it->worker, &own, sizeof own, it->all, "calibrated messages", error));
        tries[i] = HUGE_VAL;
        for (int32_t r = 0; r < it->program->ranks; r++)
            if (it->all[r] < tries[i]) tries[i] = it->all[r];
    }
    *out = median(tries, TRIES);
    return WEFT_OK;
}

/* The first message of each lane, one lane after the other. */
static weft_status time_messages(calibration *it, weft_error *error)
{
    const weft_program *program = it->program;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        bool sends = lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B;
        if (!sends || lane->count == 0) continue;
        uint32_t action = UINT32_MAX;
        double seconds = 0;
        if (lane->rank == it->worker->at.rank) action = lane->first;
        if (lane->peer == it->worker->at.rank) action = program->lanes[lane->match].first;
        TRY(time_together(it, action, &seconds, error));
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            it->messages[program->actions[a].stage] += seconds;
            it->moves[program->actions[a].stage]++;
        }
    }
    for (size_t s = 0; s < it->S; s++)
        if (it->moves[s] > 0) it->messages[s] /= it->moves[s];
    return WEFT_OK;
}

static uint32_t find_collective(const calibration *it, weft_action_kind kind)
{
    const weft_program *program = it->program;
    int32_t rank = it->worker->at.rank;
    for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++)
        for (uint32_t a = program->lanes[l].first; a < program->lanes[l].first + program->lanes[l].count; a++)
            if (program->lanes[l].kind == WEFT_PROGRAM_REDUCE && program->actions[a].kind == kind) return a;
    return UINT32_MAX;
}

static weft_status time_collectives(calibration *it, weft_error *error)
{
    static const weft_action_kind kinds[] = {WEFT_REDUCE_TIED, WEFT_NORM, WEFT_METRICS};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        double seconds = 0;
        TRY(time_together(it, find_collective(it, kinds[i]), &seconds, error));
        it->collectives[kinds[i]] = seconds < HUGE_VAL ? seconds : 0; /* not in this program */
    }
    return WEFT_OK;
}

/* A learning rate of zero: updates take their time and leave the weights. */
static weft_status pose(calibration *it, weft_error *error)
{
    weft_worker *worker = it->worker;
    weft_step_scalars scalars;
    TRY(weft_loop_pose(it->loop, it->loop->start + 1, error));
    worker->device->operations->copy(worker->device, NULL, &scalars, worker->scalars, sizeof scalars);
    scalars.learning_rate = 0;
    worker->device->operations->copy(worker->device, NULL, worker->scalars, &scalars, sizeof scalars);
    return WEFT_OK;
}

/* What a step takes before and after its program. */
static weft_status time_between(calibration *it, weft_error *error)
{
    double tries[TRIES];
    for (int i = 0; i < TRIES; i++) {
        weft_control control = {0};
        TRY(weft_worker_gather(it->worker, &control, sizeof control, it->loop->controls, "turns", error));
        double begin = weft_clock_seconds();
        TRY(pose(it, error));
        TRY(weft_worker_gather(it->worker, &control, sizeof control, it->loop->controls, "ends", error));
        tries[i] = weft_clock_seconds() - begin;
    }
    it->between = median(tries, TRIES);
    return WEFT_OK;
}

static void clear_moments(weft_worker *worker)
{
    const weft_device_operations *operations = worker->device->operations;
    for (int32_t u = 0; u < worker->job->unit_count; u++) {
        const weft_unit_memory *unit = &worker->units[u];
        size_t bytes =
            (weft_share_end(worker->job, u, worker->at.data) - weft_share_begin(worker->job, u, worker->at.data)) *
            sizeof(float);
        if (unit->moment1) operations->zero(worker->device, NULL, unit->moment1, bytes);
        if (unit->moment2) operations->zero(worker->device, NULL, unit->moment2, bytes);
    }
}

static weft_status tell(const calibration *it, weft_error *error)
{
    const weft_observer *observer = &it->loop->options->observer;
    if (it->worker->number != 0 || !observer->calibrated) return WEFT_OK;
    weft_calibration told = {.costs = {.forward = it->costs + FORWARD * it->S,
                                       .backward_input = it->costs + INPUT * it->S,
                                       .backward_weight = it->costs + WEIGHT * it->S,
                                       .update = it->costs + UPDATE * it->S,
                                       .messages = it->messages,
                                       .collectives = it->collectives},
                             .between = it->between};
    return observer->calibrated(observer->context, &told, error);
}

weft_status weft_loop_calibrate(weft_loop *loop, weft_error *error)
{
    calibration it;
    TRY(init(&it, loop, error));
    weft_waiting_publish(it.worker, "nothing", weft_waiting_runs, "the calibration");
    TRY(time_between(&it, error));
    TRY(time_passes(&it, error));
    take_passes(&it);
    TRY(time_messages(&it, error));
    TRY(time_collectives(&it, error));
    clear_moments(it.worker);
    return tell(&it, error);
}
