/* What all ranks find out together between programs: a wish to stop, and what any of them has met. */
#include "base/clock.h"
#include "train/loop_parts.h"
#include "train/waiting.h"

enum { LEAST_STEPS = 2 }; /* of a trial: the first makes kernels and touches memory */

weft_status weft_loop_known(const weft_loop *loop, weft_error *error)
{
    if (loop->worker->number != 0) error->status = WEFT_STOPPED;
    return error->status;
}

static bool wants_end(const weft_loop *loop)
{
    const weft_train_options *options = loop->options;
    if (options->stop && *options->stop) return true;
    if (!(options->trial_seconds > 0) || loop->worker->step < LEAST_STEPS) return false;
    return weft_clock_seconds() - loop->loop_begin > options->trial_seconds;
}

weft_status weft_loop_exchange(weft_loop *loop, double busy, const char *what, weft_error *error)
{
    const weft_job *job = loop->job;
    weft_error found;
    if (weft_data_poll(loop->data, &found) != WEFT_OK) weft_loop_meet(loop, &found);
    weft_control own = {.stop = wants_end(loop),
                        .trouble = loop->trouble.status != WEFT_OK,
                        .targets = loop->own_targets,
                        .bytes = loop->own_bytes,
                        .busy = busy};
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, loop->controls, what, error));
    loop->stop = loop->troubled = false;
    for (int32_t r = 0; r < job->workers; r++) {
        loop->stop |= loop->controls[r].stop != 0;
        loop->troubled |= loop->controls[r].trouble != 0;
    }
    /* Each worker knows its own share; the workers of the first rank have all of the batch. */
    loop->targets = loop->bytes = 0;
    for (int32_t d = 0; d < job->data; d++) {
        const weft_control *control = &loop->controls[weft_world_number(job, (weft_coordinates){0, d, 0})];
        loop->targets += control->targets;
        loop->bytes += control->bytes;
    }
    return WEFT_OK;
}

void weft_loop_meet(weft_loop *loop, const weft_error *trouble)
{
    if (loop->trouble.status == WEFT_OK) loop->trouble = *trouble;
}

weft_status weft_loop_try(weft_loop *loop, const char *what, weft_clerk_work work, void *context, weft_error *error)
{
    weft_error met;
    if (loop->trouble.status != WEFT_OK) return WEFT_OK;
    weft_status status = weft_waiting_work(loop->worker, what, work, context, &met);
    if (status == WEFT_OK) return WEFT_OK;
    if (status == WEFT_STOPPED) {
        *error = met;
        return status;
    }
    weft_loop_meet(loop, &met);
    return WEFT_OK;
}

/* Whoever met it, it came while the run was under way: no mistake in what the user has written. */
weft_status weft_loop_blame(weft_loop *loop, weft_error *error)
{
    weft_error *all = NULL;
    TRY(weft_arena_take(&loop->arena, (size_t)loop->job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(loop->worker, &loop->trouble, sizeof *all, all, "causes of the end", error));
    for (int32_t r = 0; r < loop->job->workers; r++) {
        if (all[r].status == WEFT_OK) continue;
        *error = all[r];
        if (error->status == WEFT_INVALID) error->status = WEFT_FAILED;
        return weft_loop_known(loop, error);
    }
    FAIL(error, WEFT_FAILED, "step %lld: a rank met trouble and does not say which", (long long)loop->worker->step);
}
