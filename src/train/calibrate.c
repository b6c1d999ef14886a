#include "train/calibrate.h"

#include "base/clock.h"
#include "base/median.h"
#include "base/random.h"
#include "train/crossing.h"
#include "train/executor.h"
#include "train/waiting.h"

#include <math.h>
#include <string.h>

enum { LEAST_PASSES = 3, MOST_PASSES = 32, EDGE = 2, TRIES = 5 };

enum { FORWARD, WHOLE, INPUT, WEIGHT, UPDATE, KINDS }; /* of what a stage costs */

typedef struct calibration {
    weft_loop *loop;
    weft_worker *worker;
    const weft_program *program;
    const weft_bound *bound;
    size_t S, boundary;                  /* stages; bytes of what crosses a stage boundary */
    void *noise;                         /* (boundary) stands for what other ranks would have sent */
    double *sum;                         /* (KINDS, S) of one pass */
    int32_t *count;                      /* (KINDS, S) */
    double *passes;                      /* (KINDS, S, MOST_PASSES) mean of each pass */
    double *costs;                       /* (KINDS, S) */
    double *messages;                    /* (S) */
    double *moves;                       /* (S) how many lanes the stage sends on */
    double *gathers, *sums, *reductions; /* (S) */
    double *all;                         /* (workers) or (workers, KINDS S) as gathered */
    const weft_bound_lane *gather;       /* this rank's lane of gathers, or NULL */
    uint32_t next;                       /* instruction on it that a pass has not come to */
    uint32_t *wanted; /* (S) the gather that comes before a pass of the stage; UINT32_MAX: none, or done */
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

static const weft_bound_lane *find_lane(const calibration *it, weft_lane_kind kind)
{
    for (int32_t l = 0; l < it->bound->lane_count; l++)
        if (it->bound->lanes[l].kind == kind) return &it->bound->lanes[l];
    return NULL;
}

static weft_action action_of(const calibration *it, uint32_t instruction)
{
    return it->program->actions[it->bound->instructions[instruction].action];
}

static uint32_t instruction_of(const calibration *it, uint32_t action)
{
    return it->bound->first_of[action - it->bound->first_action];
}

static weft_status init(calibration *it, weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    *it = (calibration){.loop = loop, .worker = loop->worker, .program = job->train, .S = (size_t)job->stage_count};
    it->bound = weft_executor_bound(loop->worker->train);
    it->boundary = weft_job_boundary(job);
    size_t table = KINDS * it->S;
    weft_arena *arena = &loop->arena;
    TRY(weft_arena_take(arena, table, sizeof *it->sum, &it->sum, error));
    TRY(weft_arena_take(arena, table, sizeof *it->count, &it->count, error));
    TRY(weft_arena_take(arena, table * MOST_PASSES, sizeof *it->passes, &it->passes, error));
    TRY(weft_arena_take(arena, table, sizeof *it->costs, &it->costs, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->messages, &it->messages, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->moves, &it->moves, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->gathers, &it->gathers, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->sums, &it->sums, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->reductions, &it->reductions, error));
    TRY(weft_arena_take(arena, it->S, sizeof *it->wanted, &it->wanted, error));
    TRY(weft_arena_take(arena, table * (size_t)job->workers, sizeof *it->all, &it->all, error));
    it->gather = find_lane(it, WEFT_PROGRAM_GATHER);
    return make_noise(it, error);
}

static bool is_elsewhere(const calibration *it, int32_t stage)
{
    return stage >= 0 && stage < it->program->stages && it->program->stage_rank[stage] != it->worker->at.rank;
}

/* What the pass would have received. */
static weft_status fill_slots(const calibration *it, uint32_t instruction, weft_error *error)
{
    const weft_device_operations *operations = it->worker->device->operations;
    const weft_stage_buffers *buffers = &it->bound->instructions[instruction].pass.buffers;
    weft_action action = action_of(it, instruction);
    int32_t stage = (int32_t)action.stage;
    bool backward = action.kind == WEFT_B || action.kind == WEFT_I;
    if (action.kind == WEFT_F && is_elsewhere(it, stage - 1))
        TRY(operations->write(it->worker->device, (void *)buffers->input, it->noise, it->boundary, error));
    if (backward && is_elsewhere(it, stage + 1))
        TRY(operations->write(it->worker->device, (void *)buffers->gradient, it->noise, it->boundary, error));
    return WEFT_OK;
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

/* A gather waits until a pass wants its stage; one that no sampled pass wants does not run, nor what would end it. */
static weft_status pass_gather(calibration *it, uint32_t a, weft_error *error)
{
    weft_action action = action_of(it, a);
    uint32_t *wanted = &it->wanted[action.stage];
    bool gathers = action.kind == WEFT_UNSHARD, done = *wanted == UINT32_MAX;
    double seconds = 0;
    *wanted = gathers ? a : UINT32_MAX;
    return gathers || !done ? WEFT_OK : weft_executor_run_alone(it->worker->train, a, &seconds, error);
}

/* The gather lane, as far as an instruction of the compute lane waits for it. */
static weft_status pass_gathers(calibration *it, uint32_t a, weft_error *error)
{
    const weft_instruction *instruction = &it->bound->instructions[a];
    const weft_bound_lane *lane = it->gather;
    for (uint32_t i = 0; lane && i < instruction->wait_count; i++) {
        uint32_t other = it->bound->waits[instruction->waits + i];
        if (other < lane->first || other >= lane->first + lane->count) continue;
        while (it->next <= other) TRY(pass_gather(it, it->next++, error));
    }
    return WEFT_OK;
}

/* What the action would have found: what it receives, and weights on their page. */
static weft_status prepare(calibration *it, uint32_t instruction, weft_error *error)
{
    uint32_t *wanted = &it->wanted[action_of(it, instruction).stage];
    double seconds = 0;
    TRY(fill_slots(it, instruction, error));
    if (*wanted < UINT32_MAX) TRY(weft_executor_run_alone(it->worker->train, *wanted, &seconds, error));
    *wanted = UINT32_MAX;
    return WEFT_OK;
}

/* The compute lane in its order, without all other micro-batches: what a slot or a page holds is still there when it is
 * read. Of a rank, data-parallel workers do the same, so that they meet in its gathers. */
static weft_status run_pass(calibration *it, weft_error *error)
{
    const weft_bound_lane *lane = find_lane(it, WEFT_PROGRAM_COMPUTE);
    memset(it->sum, 0, KINDS * it->S * sizeof *it->sum);
    memset(it->count, 0, KINDS * it->S * sizeof *it->count);
    for (size_t s = 0; s < it->S; s++) it->wanted[s] = UINT32_MAX;
    if (it->gather) it->next = it->gather->first;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = action_of(it, a);
        double seconds = 0;
        TRY(pass_gathers(it, a, error));
        if (!is_sampled(it, action)) continue;
        TRY(prepare(it, a, error));
        TRY(weft_executor_run_alone(it->worker->train, a, &seconds, error));
        size_t place = (size_t)kind_of(action) * it->S + action.stage;
        it->sum[place] += seconds;
        it->count[place]++;
    }
    return WEFT_OK;
}

static bool wants_stop(const weft_loop *loop)
{
    return loop->options->stop && *loop->options->stop;
}

/* Workers meet within passes, so all run as many: until time is up for one of them, or one wants to stop. */
static weft_status goes_on(const calibration *it, size_t passes, double begin, bool *out, weft_error *error)
{
    double own = wants_stop(it->loop) ? HUGE_VAL : weft_clock_seconds() - begin, longest = 0;
    TRY(weft_worker_gather(it->worker, &own, sizeof own, it->all, "passes of the calibration", error));
    for (int32_t w = 0; w < it->loop->job->workers; w++) longest = fmax(longest, it->all[w]);
    bool in_time = passes < LEAST_PASSES || longest < it->loop->options->calibrate_seconds;
    *out = passes == 0 || (passes < MOST_PASSES && in_time && longest < HUGE_VAL);
    return WEFT_OK;
}

static weft_status time_passes(calibration *it, weft_error *error)
{
    size_t passes = 0, table = KINDS * it->S;
    bool more = true;
    TRY(run_pass(it, error)); /* the first one makes kernels and touches memory */
    double begin = weft_clock_seconds();
    while (!it->loop->options->calibrate_together) {
        TRY(goes_on(it, passes, begin, &more, error));
        if (!more) break;
        TRY(run_pass(it, error));
        for (size_t i = 0; i < table; i++)
            it->passes[i * MOST_PASSES + passes] = it->count[i] ? it->sum[i] / it->count[i] : 0;
        passes++;
    }
    for (size_t i = 0; i < table; i++) it->costs[i] = weft_median(&it->passes[i * MOST_PASSES], passes);
    return weft_worker_gather(it->worker, it->costs, table * sizeof *it->costs, it->all, "calibrated passes", error);
}

/* Each stage's costs as its own rank found them, in this worker's pipeline. */
static void take_passes(calibration *it)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t s = 0; s < it->S; s++) {
            size_t holder = (size_t)weft_worker_at(it->worker, it->program->stage_rank[s]);
            it->costs[(size_t)kind * it->S + s] = it->all[(holder * KINDS + (size_t)kind) * it->S + s];
        }
    double *whole = it->costs + WHOLE * it->S, *input = it->costs + INPUT * it->S, *weight = it->costs + WEIGHT * it->S;
    for (size_t s = 0; s < it->S; s++)
        if (!(input[s] > 0)) input[s] = weight[s] = whole[s] / 2; /* only their sum counts */
}

/* Runs an action that several workers have a part in, UINT32_MAX for the others. It takes what it takes the last of
 * them to come: the least of what they see. 0: nobody has. */
static weft_status time_together(calibration *it, uint32_t action, double *out, weft_error *error)
{
    double tries[TRIES];
    for (int i = 0; i < TRIES; i++) {
        double own = HUGE_VAL, ready = 0;
        TRY(weft_worker_gather(it->worker, &ready, sizeof ready, it->all, "turns of the calibration", error));
        if (action != UINT32_MAX) TRY(weft_executor_run_alone(it->worker->train, action, &own, error));
        TRY(weft_worker_gather(it->worker, &own, sizeof own, it->all, "calibrated messages", error));
        tries[i] = HUGE_VAL;
        for (int32_t w = 0; w < it->loop->job->workers; w++) tries[i] = fmin(tries[i], it->all[w]);
    }
    *out = weft_median(tries, TRIES);
    if (*out == HUGE_VAL) *out = 0;
    return WEFT_OK;
}

/* What each pipeline does for itself only the first one does: nothing else is to run. */
static bool takes_part(const calibration *it, weft_action_kind kind)
{
    return kind == WEFT_NORM || kind == WEFT_METRICS || (it->worker->at.data == 0 && it->worker->at.tensor == 0);
}

/* The first message of each lane, one lane after the other. */
static weft_status time_messages(calibration *it, weft_error *error)
{
    const weft_program *program = it->program;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        bool sends = lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B;
        if (!sends || lane->count == 0) continue;
        bool joins = takes_part(it, (weft_action_kind)program->actions[lane->first].kind);
        uint32_t action = UINT32_MAX;
        double seconds = 0;
        if (joins && lane->rank == it->worker->at.rank) action = instruction_of(it, lane->first);
        if (joins && lane->peer == it->worker->at.rank) action = instruction_of(it, program->lanes[lane->match].first);
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

/* The first instruction for an action of that kind and stage; stage -1: of any. */
static uint32_t find_action(const calibration *it, weft_lane_kind kind, weft_action_kind wanted, int32_t stage)
{
    const weft_bound_lane *lane = find_lane(it, kind);
    for (uint32_t a = lane ? lane->first : 0; lane && a < lane->first + lane->count; a++) {
        weft_action action = action_of(it, a);
        if (action.kind == wanted && (stage < 0 || (int32_t)action.stage == stage)) return a;
    }
    return UINT32_MAX;
}

static weft_status time_collectives(calibration *it, weft_error *error)
{
    static const weft_action_kind kinds[] = {WEFT_REDUCE_TIED, WEFT_NORM, WEFT_METRICS};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint32_t action = UINT32_MAX;
        if (takes_part(it, kinds[i])) action = find_action(it, WEFT_PROGRAM_REDUCE, kinds[i], -1);
        TRY(time_together(it, action, &it->collectives[kinds[i]], error));
    }
    return WEFT_OK;
}

/* Gathers and reductions of each stage, by the workers of its rank. Not before the last UPDATE: a pass
 * adds to gradients that the step would have overwritten, and what is reduced from a page need not be numbers. */
static weft_status time_shares(calibration *it, weft_error *error)
{
    for (int32_t s = 0; weft_program_reduces(it->program) && s < it->program->stages; s++) {
        uint32_t gather = find_action(it, WEFT_PROGRAM_GATHER, WEFT_UNSHARD, s);
        uint32_t sum = find_action(it, WEFT_PROGRAM_REDUCE, WEFT_REDUCE_TENSOR, s);
        uint32_t reduction = find_action(it, WEFT_PROGRAM_REDUCE, WEFT_REDUCE_GRAD, s);
        TRY(time_together(it, gather, &it->gathers[s], error));
        if (it->program->tensor > 1) TRY(time_together(it, sum, &it->sums[s], error));
        TRY(time_together(it, reduction, &it->reductions[s], error));
    }
    return WEFT_OK;
}

/* A learning rate of zero: updates take their time and leave the weights. */
static weft_status pose(calibration *it, weft_error *error)
{
    TRY(weft_loop_feed(it->loop, it->loop->start + 1, 0, "ends", error));
    if (it->loop->troubled) return weft_loop_blame(it->loop, error);
    weft_loop_pose(it->loop, it->loop->start + 1, 0);
    return weft_crossing_enter(it->worker, error);
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
        tries[i] = weft_clock_seconds() - begin;
    }
    it->between = weft_median(tries, TRIES);
    return WEFT_OK;
}

static void clear_share(const weft_worker *worker, int32_t u, float *values)
{
    size_t count = weft_share_end(worker->job, u, worker->at.data) - weft_share_begin(worker->job, u, worker->at.data);
    if (values) worker->device->operations->zero(worker->device, NULL, values, count * sizeof *values);
}

/* Gradients that nothing has reduced yet, and moments: new memory may hold what is not a number, which even a learning
 * rate of zero hands on to the weights. */
static weft_status clear_states(weft_worker *worker, weft_error *error)
{
    for (int32_t u = 0; u < worker->job->unit_count; u++) {
        clear_share(worker, u, worker->units[u].reduced);
        clear_share(worker, u, worker->units[u].moment1);
        clear_share(worker, u, worker->units[u].moment2);
    }
    return worker->device->operations->stream_wait(worker->device, NULL, error);
}

static weft_status tell(void *context, weft_error *error)
{
    const calibration *it = context;
    const weft_observer *observer = &it->loop->options->observer;
    weft_calibration told = {.costs = {.forward = it->costs + FORWARD * it->S,
                                       .backward_input = it->costs + INPUT * it->S,
                                       .backward_weight = it->costs + WEIGHT * it->S,
                                       .update = it->costs + UPDATE * it->S,
                                       .messages = it->messages,
                                       .gathers = it->gathers,
                                       .sums = it->sums,
                                       .reductions = it->reductions,
                                       .collectives = it->collectives},
                             .between = it->between};
    return observer->calibrated(observer->context, &told, error);
}

weft_status weft_loop_calibrate(weft_loop *loop, weft_error *error)
{
    calibration it;
    TRY(init(&it, loop, error));
    weft_waiting_publish(it.worker, "nothing", weft_waiting_runs, "the calibration");
    TRY(clear_states(it.worker, error));
    TRY(time_between(&it, error));
    TRY(time_passes(&it, error));
    take_passes(&it);
    TRY(time_messages(&it, error));
    TRY(time_shares(&it, error));
    TRY(time_collectives(&it, error));
    TRY(clear_states(it.worker, error));
    if (it.worker->number != 0 || !loop->options->observer.calibrated) return WEFT_OK;
    return weft_waiting_work(it.worker, "the record of the calibration", tell, &it, error);
}
