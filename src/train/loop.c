#include "train/loop.h"

#include "base/clock.h"
#include "train/calibrate.h"
#include "train/executor.h"
#include "train/rate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

weft_status weft_loop_known(const weft_loop *loop, weft_error *error)
{
    if (loop->worker->number != 0) error->status = WEFT_STOPPED;
    return error->status;
}

/* What ranks tell each other before the first step. */
typedef struct {
    int64_t start;
    uint64_t data;
} opening;

/* Proves that all ranks see the same files: another start would be another run. */
static weft_status exchange_openings(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    opening own = {.start = loop->start, .data = weft_data_fingerprint(loop->data)}, *all = NULL;
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, all, "beginning of the run", error));
    for (int32_t r = 0; r < job->workers; r++) {
        if (all[r].start == all[0].start && all[r].data == all[0].data) continue;
        weft_fail(error, WEFT_INVALID,
                  "rank %d starts at step %lld, rank 0 at step %lld%s: all must see one run.folder and one data.path",
                  r, (long long)all[r].start, (long long)all[0].start,
                  all[r].data == all[0].data ? "" : ", and with different data");
        return weft_loop_known(loop, error);
    }
    return WEFT_OK;
}

/* After an exchange, so that all ranks measure at the same time: a core that another rank leaves idle is no peak. */
static weft_status measure_peak(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    double own = 0, *all = NULL, seconds = loop->options->peak_seconds;
    if (!job->device->measure_peak || !(seconds > 0)) return WEFT_OK;
    TRY(job->device->measure_peak(&job->options, seconds, &own, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, all, "measured peaks", error));
    for (int32_t r = 0; r < job->workers; r++) loop->peak += all[r];
    return WEFT_OK;
}

static weft_status prepare(weft_loop *loop, int32_t rank, weft_error *error)
{
    const weft_job *job = loop->job;
    loop->transport->operations->publish(loop->transport, "step 0, last finished nothing, runs preparations");
    TRY(weft_worker_create(job, rank, loop->transport, false, &loop->worker, error));
    loop->worker->options = loop->options;
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->controls, &loop->controls, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->bubble, &loop->bubble, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->counts, &loop->counts, error));
    TRY(weft_loop_prepare_timing(loop, error));
    if (loop->resumed) {
        TRY(weft_worker_load(loop->worker, loop->resumed, error));
        loop->start = loop->saved = weft_checkpoint_get_state(loop->resumed)->step;
        loop->loss = weft_checkpoint_get_state(loop->resumed)->loss;
    } else {
        TRY(weft_worker_init_weights(loop->worker, error));
    }
    TRY(exchange_openings(loop, error));
    return measure_peak(loop, error);
}

static bool is_trial(const weft_loop *loop)
{
    return loop->options->trial_steps > 0;
}

static int64_t count_steps(const weft_loop *loop)
{
    return is_trial(loop) ? loop->options->trial_steps : loop->job->config->run.steps;
}

static void tell_note(const weft_loop *loop, const char *text, int length)
{
    const weft_observer *observer = &loop->options->observer;
    char line[512];
    snprintf(line, sizeof line, "%.*s", length, text);
    if (loop->worker->number == 0 && observer->note) observer->note(observer->context, line);
}

static void tell_notes(const weft_loop *loop)
{
    static const char order[] = "gradients do not arrive in ascending micro-batch order: the bits differ from those of "
                                "weft's own schedules";
    for (const char *at = loop->notes; *at; at += strcspn(at, "\n") + 1) tell_note(loop, at, (int)strcspn(at, "\n"));
    if (!loop->job->schedule->ascending) tell_note(loop, order, (int)sizeof order);
    if (loop->start < count_steps(loop)) return;
    char done[128];
    int length = snprintf(done, sizeof done, "%lld steps are done, run.steps is %lld: raise it to go on",
                          (long long)loop->start, (long long)loop->job->config->run.steps);
    tell_note(loop, done, length);
}

static weft_status tell_start(weft_loop *loop, weft_error *error)
{
    const weft_observer *observer = &loop->options->observer;
    if (loop->worker->number != 0 || !observer->started) return WEFT_OK;
    weft_run_start start = {.resumed_step = loop->start,
                            .resumed_path = loop->resumed ? weft_checkpoint_path(loop->resumed) : NULL,
                            .peak = loop->peak,
                            .train_blocks = weft_data_blocks(loop->data, WEFT_DATA_TRAIN),
                            .held_out_blocks = weft_data_blocks(loop->data, WEFT_DATA_HELD_OUT)};
    return observer->started(observer->context, &start, error);
}

/* This worker's share of the batch that begins with block `first`. Micro-batch by micro-batch, so that a bad token can
 * be placed. */
static weft_status read_batch(weft_loop *loop, weft_data_part part, int64_t first, weft_error *error)
{
    const weft_config *config = loop->job->config;
    int64_t B = config->batch.sequences, size = B * config->batch.tokens;
    int64_t before = loop->worker->at.data * config->batch.microbatches;
    for (int64_t m = 0; m < config->batch.microbatches; m++) {
        if (weft_data_read(loop->data, part, first + (before + m) * B, B, loop->worker->tokens + m * size,
                           loop->worker->targets + m * size, error) == WEFT_OK)
            continue;
        return weft_error_context(error, "rank %d, step %lld, stage 0, micro-batch %lld", loop->worker->number,
                                  (long long)loop->worker->step, (long long)m);
    }
    return WEFT_OK;
}

/* Blocks of the whole batch. */
static int64_t batch_blocks(const weft_loop *loop)
{
    const weft_config *config = loop->job->config;
    return loop->job->data * config->batch.microbatches * config->batch.sequences;
}

/* Of the whole batch: each worker knows its own share, and the workers of the first rank have all of it. */
static weft_status count_targets(weft_loop *loop, int64_t *out, weft_error *error)
{
    const weft_config *config = loop->job->config;
    int64_t size = config->batch.microbatches * config->batch.sequences * config->batch.tokens, own = 0;
    for (int64_t i = 0; i < size; i++) own += loop->worker->targets[i] >= 0;
    *out = own;
    if (loop->job->data == 1) return WEFT_OK;
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, loop->counts, "numbers of targets", error));
    *out = 0;
    for (int32_t d = 0; d < loop->job->data; d++)
        *out += loop->counts[weft_world_number(loop->job, (weft_coordinates){0, d, 0})];
    return WEFT_OK;
}

static int64_t count_losses(const weft_loop *loop)
{
    return loop->job->data * loop->job->config->batch.microbatches;
}

static double sum_losses(const weft_loop *loop)
{
    double sum = 0;
    for (int64_t m = 0; m < count_losses(loop); m++) sum += loop->worker->batch_losses[m];
    return sum;
}

static void write_scalars(weft_loop *loop, int64_t step)
{
    const weft_config *config = loop->job->config;
    /* The device's betas: with 1 - 0.999 of one precision and 1 - 0.999^step of another the first steps are off. */
    float beta1 = (float)config->optimizer.beta1, beta2 = (float)config->optimizer.beta2;
    weft_step_scalars scalars = {.learning_rate = (float)weft_learning_rate(config, step),
                                 .beta1 = beta1,
                                 .beta2 = beta2,
                                 .epsilon = (float)config->optimizer.epsilon,
                                 .weight_decay = (float)config->optimizer.weight_decay,
                                 .correction1 = (float)(1 - pow((double)beta1, (double)step)),
                                 .correction2 = (float)(1 - pow((double)beta2, (double)step)),
                                 .clip_norm = (float)config->optimizer.clip,
                                 .clip_factor = 1};
    loop->worker->device->operations->copy(loop->worker->device, NULL, loop->worker->scalars, &scalars, sizeof scalars);
}

static const char *comfort(const weft_loop *loop)
{
    return loop->saved ? "; the last checkpoint is unharmed" : "";
}

static weft_status check_losses(const weft_loop *loop, const char *which, weft_error *error)
{
    const weft_job *job = loop->job;
    int32_t last = job->stage_count - 1;
    int64_t M = job->config->batch.microbatches;
    for (int64_t i = 0; i < count_losses(loop); i++) {
        if (isfinite(loop->worker->batch_losses[i])) continue;
        weft_fail(error, WEFT_FAILED, "rank %d, step %lld, stage %d, micro-batch %lld: the %s is not finite%s",
                  weft_world_number(job, (weft_coordinates){job->stages[last].rank, (int32_t)(i / M), 0}),
                  (long long)loop->worker->step, last, (long long)(i % M), which, comfort(loop));
        return weft_loop_known(loop, error);
    }
    return WEFT_OK;
}

typedef struct {
    int32_t stage, microbatch;
    char parameter[64];
} bad_gradient;

/* Runs the step again without updates and watches every gradient: with clipping no weight has changed since. */
static weft_status report_bad_gradient(weft_loop *loop, weft_error *error)
{
    weft_worker *worker = loop->worker;
    worker->diagnose = true;
    TRY(weft_worker_run(worker, false, error));
    bad_gradient own = {.stage = worker->bad_stage, .microbatch = worker->bad_microbatch}, *all = NULL;
    memcpy(own.parameter, worker->bad_parameter, sizeof own.parameter);
    TRY(weft_arena_take(&loop->arena, (size_t)loop->job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(worker, &own, sizeof own, all, "diagnoses", error));
    const bad_gradient *found = NULL; /* the backward pass meets the highest stage of the lowest micro-batch first */
    for (int32_t r = 0; r < loop->job->workers; r++) {
        if (all[r].stage < 0) continue;
        if (!found || all[r].microbatch < found->microbatch ||
            (all[r].microbatch == found->microbatch && all[r].stage > found->stage))
            found = &all[r];
    }
    if (found)
        weft_fail(error, WEFT_FAILED,
                  "rank %d, step %lld, stage %d, micro-batch %d: the gradient of %s is not finite%s",
                  (int32_t)(found - all), (long long)worker->step, found->stage, found->microbatch, found->parameter,
                  comfort(loop));
    else
        weft_fail(error, WEFT_FAILED,
                  "step %lld: the gradient norm is not finite, though every worker's own gradients are: a sum of them "
                  "overflows%s",
                  (long long)worker->step, comfort(loop));
    return weft_loop_known(loop, error);
}

/* Which parameter's sums made the norm what it is, from the last stage on; -1: none. */
static int32_t first_bad(const weft_job *job, const double *sums)
{
    for (int32_t p = job->parameter_count - 1; p >= 0; p--)
        for (int32_t i = job->block_first[p]; i < job->block_first[p + 1]; i++)
            if (!isfinite(sums[i])) return p;
    return -1;
}

/* Without clipping the weights may have moved before the norm was known: only the sums of the step itself can tell. */
static weft_status report_unclipped(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    size_t blocks = (size_t)job->block_first[job->parameter_count];
    double *sums = NULL;
    TRY(weft_arena_take(&loop->arena, blocks, sizeof *sums, &sums, error));
    loop->worker->device->operations->copy(loop->worker->device, NULL, sums, loop->worker->ordered_sums,
                                           blocks * sizeof *sums);
    int32_t p = first_bad(job, sums), s = job->stage_count - 1;
    while (s > 0 && p < job->stages[s].parameter_first) s--;
    char ranks[WEFT_WORLD_NAMES];
    weft_world_describe_rank(job, job->stages[s].rank, ranks, sizeof ranks); /* it is the sum of theirs */
    weft_fail(error, WEFT_FAILED,
              "%s, step %lld, stage %d: the gradient of %s is not finite (set optimizer.clip to learn the "
              "micro-batch)%s",
              ranks, (long long)loop->worker->step, s, p < 0 ? "the model" : job->parameters[p].name, comfort(loop));
    return weft_loop_known(loop, error);
}

static weft_status check_finite(weft_loop *loop, const weft_step_scalars *scalars, weft_error *error)
{
    TRY(check_losses(loop, "loss", error));
    if (!scalars->nonfinite) return WEFT_OK;
    return loop->job->config->optimizer.clip > 0 ? report_bad_gradient(loop, error) : report_unclipped(loop, error);
}

/* Ends a program: every rank learns whether any was asked to stop. */
static weft_status exchange_controls(weft_loop *loop, double busy, const char *what, bool *out_stop, weft_error *error)
{
    weft_control own = {.stop = loop->options->stop && *loop->options->stop, .busy = busy};
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, loop->controls, what, error));
    *out_stop = false;
    for (int32_t r = 0; r < loop->job->workers; r++) *out_stop |= loop->controls[r].stop != 0;
    return WEFT_OK;
}

static weft_status tell_step(weft_loop *loop, int64_t step, double seconds, const weft_step_scalars *scalars,
                             weft_error *error)
{
    const weft_observer *observer = &loop->options->observer;
    const weft_config *config = loop->job->config;
    if (loop->worker->number != 0 || !observer->step) return WEFT_OK;
    for (int32_t r = 0; r < loop->job->workers; r++)
        loop->bubble[r] = seconds > 0 ? fmax(0, 1 - loop->controls[r].busy / seconds) : 0;
    double tokens = (double)(batch_blocks(loop) * config->batch.tokens);
    double mean_seconds = (weft_clock_seconds() - loop->loop_begin) / (double)(step - loop->start);
    weft_step_record record = {.step = step,
                               .steps = count_steps(loop),
                               .loss = loop->loss,
                               .gradient_norm = scalars->norm,
                               .learning_rate = scalars->learning_rate,
                               .seconds = seconds,
                               .tokens_per_second = tokens / seconds,
                               .flops_per_second = loop->job->step_flops / seconds,
                               .peak = loop->peak,
                               .seconds_left = mean_seconds * (double)(count_steps(loop) - step),
                               .ranks = loop->job->workers,
                               .bubble = loop->bubble};
    return observer->step(observer->context, &record, error);
}

/* Broken off without a result when the run is asked to stop: the checkpoint must not wait for it. */
static weft_status evaluate(weft_loop *loop, int64_t step, bool *stop, weft_error *error)
{
    const weft_config *config = loop->job->config;
    int64_t sequences = batch_blocks(loop), targets = 0, blocks = weft_data_blocks(loop->data, WEFT_DATA_HELD_OUT);
    int64_t batches = (blocks + sequences - 1) / sequences, tokens = 0, i = 0;
    if (config->run.evaluate_batches > 0 && config->run.evaluate_batches < batches)
        batches = config->run.evaluate_batches;
    double sum = 0;
    for (; i < batches && !*stop; i++) {
        TRY(read_batch(loop, WEFT_DATA_HELD_OUT, i * sequences, error));
        TRY(weft_worker_run(loop->worker, true, error));
        TRY(check_losses(loop, "held-out loss", error));
        TRY(exchange_controls(loop, 0, "end of a held-out batch", stop, error));
        sum += sum_losses(loop);
        TRY(count_targets(loop, &targets, error));
        tokens += targets;
    }
    const weft_observer *observer = &loop->options->observer;
    if (i < batches || tokens == 0 || loop->worker->number != 0 || !observer->evaluated) return WEFT_OK;
    int64_t bytes = weft_data_bytes_per_token(loop->data);
    double loss = sum / (double)tokens;
    weft_evaluation_record record = {
        .step = step, .loss = loss, .bits_per_byte = bytes ? loss / log(2) / (double)bytes : 0, .tokens = tokens};
    return observer->evaluated(observer->context, &record, error);
}

weft_status weft_loop_pose(weft_loop *loop, int64_t step, weft_error *error)
{
    loop->worker->step = step;
    TRY(read_batch(loop, WEFT_DATA_TRAIN, (step - 1) * batch_blocks(loop), error));
    TRY(count_targets(loop, &loop->targets, error));
    loop->worker->scale = 1.0f / (float)loop->targets;
    write_scalars(loop, step);
    return WEFT_OK;
}

static weft_status run_step(weft_loop *loop, int64_t step, bool *out_stop, weft_error *error)
{
    weft_worker *worker = loop->worker;
    loop->step_begin = weft_clock_seconds();
    TRY(weft_loop_pose(loop, step, error));
    TRY(weft_worker_run(worker, false, error));
    TRY(exchange_controls(loop, weft_executor_busy(worker->train), "end of the step", out_stop, error));
    loop->step_end = weft_clock_seconds();
    weft_step_scalars scalars;
    worker->device->operations->copy(worker->device, NULL, &scalars, worker->scalars, sizeof scalars);
    TRY(check_finite(loop, &scalars, error));
    loop->loss = sum_losses(loop) / (double)loop->targets;
    return tell_step(loop, step, loop->step_end - loop->step_begin, &scalars, error);
}

static bool is_due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

/* What comes between steps: evaluation and checkpoints. */
static weft_status keep(weft_loop *loop, int64_t step, bool *stop, weft_error *error)
{
    const weft_config *config = loop->job->config;
    bool last = step == config->run.steps;
    if (last || is_due(config->run.evaluate_every, step)) TRY(evaluate(loop, step, stop, error));
    if (last || *stop || is_due(config->checkpoint.every, step)) TRY(weft_loop_save(loop, step, error));
    return WEFT_OK;
}

static weft_status run_steps(weft_loop *loop, weft_error *error)
{
    const weft_config *config = loop->job->config;
    bool stop = false;
    int64_t steps = count_steps(loop), drawn = config->run.timeline_step ? config->run.timeline_step : steps;
    int64_t every = weft_loop_timeline_every(loop->job, steps);
    if (loop->options->calibrate_seconds > 0) {
        TRY(weft_loop_calibrate(loop, error));
        TRY(exchange_controls(loop, 0, "end of the calibration", &stop, error));
    }
    loop->loop_begin = weft_clock_seconds();
    int64_t step = loop->start + 1;
    for (; step <= steps && !stop; step++) {
        bool kept = every > 0 && (step == drawn || is_due(every, step)), timed = kept || step == drawn;
        /* Each rank's times count from its own start: in a step that is timed all start together. */
        if (timed) TRY(exchange_controls(loop, 0, "start of a step that is timed", &stop, error));
        TRY(run_step(loop, step, &stop, error));
        weft_timeline_record record = {.step = step, .drawn = step == drawn, .kept = kept};
        if (timed) TRY(weft_loop_share_timeline(loop, &record, error));
        if (!is_trial(loop)) TRY(keep(loop, step, &stop, error));
    }
    loop->stopped = step <= steps;
    return WEFT_OK;
}

static weft_status slow_down(weft_loop *loop, weft_error *error)
{
    const weft_train_options *options = loop->options;
    weft_transport *slower = NULL;
    if (!(options->delay_longest > 0)) return WEFT_OK;
    TRY(weft_delay_transport_create(loop->transport, options->delay_seed, options->delay_longest, &slower, error));
    loop->transport = slower;
    return WEFT_OK;
}

weft_status weft_loop_run(weft_loop *loop, int32_t rank, weft_transport *transport, weft_error *error)
{
    loop->transport = transport;
    weft_arena_init(&loop->arena);
    weft_status status = slow_down(loop, error);
    if (status == WEFT_OK) status = prepare(loop, rank, error);
    if (status == WEFT_OK) status = tell_start(loop, error);
    if (status == WEFT_OK) tell_notes(loop);
    if (status == WEFT_OK) status = run_steps(loop, error);
    if (status != WEFT_OK && status != WEFT_STOPPED) loop->transport->operations->stop(loop->transport);
    return status;
}

void weft_loop_fini(weft_loop *loop)
{
    /* The transport first: until it is gone, a message of a run that failed may still arrive in the worker's memory. */
    if (loop->transport) loop->transport->operations->destroy(loop->transport);
    weft_worker_destroy(loop->worker);
    weft_timeline_fini(&loop->measured);
    weft_arena_fini(&loop->arena);
}
