#include "train/loop.h"

#include "base/clock.h"
#include "train/calibrate.h"
#include "train/executor.h"
#include "train/logits.h"
#include "train/rate.h"

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
    weft_loop_sum_losses(loop, step);
    weft_skip_take(&loop->skip, loop->loss, &scalars);
    TRY(weft_loop_tell_step(loop, step, &scalars, error));
    return weft_loop_check_skipped(loop, &scalars, error);
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
    if (weft_loop_is_trial(loop) || loop->saved == step) return WEFT_OK;
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
    if (weft_loop_is_trial(loop) || loop->stop || loop->troubled || !weft_loop_evaluates(loop, step)) return WEFT_OK;
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
    if (!weft_loop_is_trial(loop)) TRY(weft_loop_lacks_evaluation(loop, &lacks, error));
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

weft_status weft_loop_run(weft_loop *loop, int32_t rank, weft_transport *transport, weft_error *error)
{
    loop->transport = transport;
    weft_arena_init(&loop->arena);
    weft_status status = weft_loop_prepare(loop, rank, error);
    if (status == WEFT_OK) status = weft_loop_tell_start(loop, error);
    if (status == WEFT_OK) status = weft_loop_keep_source(loop, error);
    if (status == WEFT_OK) status = run_steps(loop, error);
    if (status != WEFT_OK && status != WEFT_STOPPED) loop->transport->operations->stop(loop->transport);
    return status;
}

void weft_loop_fini(weft_loop *loop)
{
    /* The transport first: until it is gone, a message of a run that failed may still arrive in the worker's memory. */
    if (loop->transport) loop->transport->operations->destroy(loop->transport);
    weft_worker_destroy(loop->worker);
    weft_logits_fini(loop->logits);
    weft_timeline_fini(&loop->measured);
    weft_arena_fini(&loop->arena);
}
