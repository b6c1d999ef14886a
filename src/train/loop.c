#include "train/loop.h"

#include "base/clock.h"
#include "train/calibrate.h"
#include "train/executor.h"
#include "train/rate.h"
#include "train/waiting.h"

/* What ranks tell each other before the first step. */
typedef struct {
    int64_t start;
    uint64_t data;
} opening;

/* Proves that all ranks see the same files: another start would be another run. */
static weft_status exchange_openings(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    opening own = {.start = loop->start, .data = loop->fingerprint}, *all = NULL;
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

/* Of this rank. */
typedef struct {
    const weft_loop *loop;
    double peak;
} measuring;

static weft_status measure_own(void *context, weft_error *error)
{
    measuring *it = context;
    const weft_job *job = it->loop->job;
    return job->device->measure_peak(&job->options, it->loop->options->peak_seconds, &it->peak, error);
}

/* After an exchange, so that all ranks measure at the same time: a core that another rank leaves idle is no peak. */
static weft_status measure_peak(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    measuring own = {.loop = loop};
    double *all = NULL;
    if (!job->device->measure_peak || !(loop->options->peak_seconds > 0)) return WEFT_OK;
    TRY(weft_waiting_work(loop->worker, "the measuring of the peak", measure_own, &own, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(loop->worker, &own.peak, sizeof own.peak, all, "measured peaks", error));
    for (int32_t r = 0; r < job->workers; r++) loop->peak += all[r];
    return WEFT_OK;
}

static bool is_trial(const weft_loop *loop)
{
    return loop->options->trial_steps > 0;
}

static weft_status prepare(weft_loop *loop, int32_t rank, weft_error *error)
{
    const weft_job *job = loop->job;
    loop->transport->operations->publish(loop->transport, "step 0, last finished nothing, runs preparations");
    TRY(weft_worker_create(job, rank, loop->transport, false, &loop->worker, error));
    loop->worker->options = loop->options;
    loop->steps = is_trial(loop) ? loop->options->trial_steps : job->config->run.steps;
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->controls, &loop->controls, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->bubble, &loop->bubble, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->answers, &loop->answers, error));
    TRY(weft_loop_prepare_timing(loop, error));
    if (loop->resumed) {
        TRY(weft_worker_load(loop->worker, loop->resumed, error));
        loop->start = loop->saved = weft_checkpoint_get_state(loop->resumed)->step;
        loop->sequences = weft_checkpoint_get_state(loop->resumed)->sequences;
        loop->loss = weft_checkpoint_get_state(loop->resumed)->loss;
    } else {
        TRY(weft_worker_init_weights(loop->worker, error));
    }
    TRY(exchange_openings(loop, error));
    return measure_peak(loop, error);
}

static weft_status run_step(weft_loop *loop, int64_t step, weft_error *error)
{
    weft_worker *worker = loop->worker;
    loop->step_begin = weft_clock_seconds();
    weft_loop_pose(loop, step, weft_learning_rate(loop->job->config, step));
    TRY(weft_worker_run(worker, false, error));
    TRY(weft_loop_feed(loop, step + 1, weft_executor_busy(worker->train), "end of the step", error));
    loop->step_end = weft_clock_seconds();
    weft_step_scalars scalars = *worker->host.scalars_out;
    TRY(weft_loop_check_step(loop, &scalars, error));
    loop->loss = weft_loop_sum_losses(loop) / (double)loop->posed_targets;
    return weft_loop_tell_step(loop, step, &scalars, error);
}

static weft_status time_step(weft_loop *loop, int64_t step, weft_error *error)
{
    const weft_config *config = loop->job->config;
    int64_t every = weft_loop_timeline_every(loop->job, loop->steps);
    bool drawn = step == (config->run.timeline_step ? config->run.timeline_step : loop->steps);
    bool kept = every > 0 && (drawn || weft_loop_is_due(every, step));
    weft_timeline_record record = {.step = step, .drawn = drawn, .kept = kept};
    if (!drawn && !kept) return run_step(loop, step, error);
    /* Each rank's times count from its own start: in a step that is timed all start together. */
    TRY(weft_loop_exchange(loop, 0, "start of a step that is timed", error));
    TRY(run_step(loop, step, error));
    return weft_loop_share_timeline(loop, &record, error);
}

/* A checkpoint, where one is due or the run is to end, unless there is one of this step. */
static weft_status keep(weft_loop *loop, int64_t step, weft_error *error)
{
    bool due = weft_loop_is_due(loop->job->config->checkpoint.every, step);
    if (is_trial(loop) || loop->saved == step) return WEFT_OK;
    if (!due && step < loop->steps && !loop->stop && !loop->troubled) return WEFT_OK;
    return weft_loop_save(loop, step, error);
}

/* After the checkpoint, which must not wait for it. The next step's batch has to be read again. */
static weft_status evaluate(weft_loop *loop, int64_t step, weft_error *error)
{
    TRY(weft_loop_evaluate(loop, step, error));
    return weft_loop_feed(loop, step + 1, 0, "end of an evaluation", error);
}

/* What comes between steps. */
static weft_status pause_steps(weft_loop *loop, int64_t step, weft_error *error)
{
    TRY(keep(loop, step, error));
    if (is_trial(loop) || loop->stop || loop->troubled || !weft_loop_evaluates(loop, step)) return WEFT_OK;
    return evaluate(loop, step, error);
}

/* The first batch is read, and an evaluation that an earlier run did not come to is made up for. A wish to stop that
 * came before the first step is answered after it, so that a run always leaves a checkpoint. */
static weft_status begin_steps(weft_loop *loop, weft_error *error)
{
    bool lacks = false, stop = false;
    if (loop->options->calibrate_seconds > 0) {
        TRY(weft_loop_calibrate(loop, error));
        TRY(weft_loop_exchange(loop, 0, "end of the calibration", error));
        stop = loop->stop;
    }
    if (!is_trial(loop)) TRY(weft_loop_lacks_evaluation(loop, &lacks, error));
    TRY(lacks ? evaluate(loop, loop->start, error)
              : weft_loop_feed(loop, loop->start + 1, 0, "beginning of the first step", error));
    loop->stop = stop || (lacks && loop->stop);
    loop->loop_begin = weft_clock_seconds();
    return WEFT_OK;
}

/* All know that one of them met trouble: what was done is saved, and the run ends with the cause. */
static weft_status end_in_trouble(weft_loop *loop, int64_t step, weft_error *error)
{
    weft_error cause, unsaved;
    weft_error_clear(&unsaved);
    weft_status saving = keep(loop, step, &unsaved);
    if (saving == WEFT_TIMEOUT) return weft_fail(error, saving, "%s", unsaved.text);
    weft_status status = weft_loop_blame(loop, &cause);
    if (loop->worker->number == 0 && saving != WEFT_OK)
        return weft_fail(error, status, "%s; %s", cause.text, unsaved.text);
    if (loop->diverged) weft_loop_advise(loop, step, &cause);
    if (!loop->diverged && loop->worker->number == 0 && loop->saved == step && step > loop->start)
        return weft_fail(error, status, "%s; the checkpoint of step %lld is saved", cause.text, (long long)step);
    *error = cause;
    return status;
}

static weft_status run_steps(weft_loop *loop, weft_error *error)
{
    TRY(begin_steps(loop, error));
    int64_t step = loop->start;
    while (step < loop->steps && !loop->stop && !loop->troubled) {
        TRY(time_step(loop, ++step, error));
        TRY(pause_steps(loop, step, error));
    }
    loop->stopped = step < loop->steps;
    /* Rank 0 may have met something since, and nobody leaves before its files are written. */
    TRY(weft_loop_exchange(loop, 0, "end of the run", error));
    return loop->troubled ? end_in_trouble(loop, step, error) : keep(loop, step, error);
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
    if (status == WEFT_OK) status = weft_loop_tell_start(loop, error);
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
