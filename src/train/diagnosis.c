/* Which gradient was not a number first: a step that is run again with a check behind every pass. */
#include "train/bind.h"
#include "train/crossing.h"
#include "train/executor.h"
#include "train/loop_parts.h"

#include <stdio.h>

typedef struct {
    int32_t stage, microbatch; /* -1: none */
    char parameter[64];
} bad_gradient;

static bool is_finite(const double *sums, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++) total += sums[i];
    return total - total == 0;
}

/* The parameter whose sums of a check are not finite, or -1. */
static int32_t find_parameter(const weft_check *check)
{
    const double *past = check->sums + check->bytes / sizeof *check->sums;
    for (int32_t i = 0; i < check->count; i++) {
        const double *next = i + 1 < check->count ? check->squares[i + 1].sums : past;
        const double *found = check->out + (check->squares[i].sums - check->sums);
        if (!is_finite(found, (size_t)(next - check->squares[i].sums))) return check->squares[i].parameter;
    }
    return -1;
}

/* The first one of this worker, in the order of its passes. */
static bad_gradient find_first(const weft_job *job, const weft_bound *bound)
{
    bad_gradient none = {.stage = -1, .microbatch = -1};
    for (uint32_t i = 0; i < bound->lanes[0].count; i++) {
        const weft_instruction *instruction = &bound->instructions[i];
        if (instruction->operation != WEFT_OPERATION_CHECK) continue;
        int32_t p = find_parameter(&instruction->check);
        if (p < 0) continue;
        weft_action action = bound->program->actions[instruction->action];
        bad_gradient bad = {.stage = (int32_t)action.stage, .microbatch = (int32_t)action.microbatch};
        snprintf(bad.parameter, sizeof bad.parameter, "%s", job->parameters[p].name);
        return bad;
    }
    return none;
}

/* Without updates: with clipping no weight has changed since. The batch of the next step has been read meanwhile. */
static weft_status run_again(weft_loop *loop, bad_gradient *out, weft_error *error)
{
    weft_worker *worker = loop->worker;
    void *checks = NULL;
    TRY(weft_loop_feed(loop, worker->step, 0, "batch of a step that is run again", error));
    if (loop->troubled) return weft_loop_blame(loop, error);
    size_t bytes = weft_bind_checks(loop->job->train, worker) * sizeof(double);
    TRY(worker->device->operations->allocate(worker->device, WEFT_MEMORY_PINNED, bytes, &checks, error));
    worker->checks = checks;
    TRY(weft_worker_bind(worker, loop->job->train, checks, &worker->diagnosis, error));
    TRY(weft_crossing_enter(worker, error));
    TRY(weft_executor_run(worker->diagnosis, weft_crossing_entered(worker), error));
    *out = find_first(loop->job, weft_executor_bound(worker->diagnosis));
    return WEFT_OK;
}

weft_status weft_loop_diagnose(weft_loop *loop, weft_error *error)
{
    weft_worker *worker = loop->worker;
    bad_gradient own, *all = NULL;
    TRY(run_again(loop, &own, error));
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
        weft_fail(error, WEFT_FAILED, "rank %d, step %lld, stage %d, micro-batch %d: the gradient of %s is not finite",
                  (int32_t)(found - all), (long long)worker->step, found->stage, found->microbatch, found->parameter);
    else
        weft_fail(error, WEFT_FAILED,
                  "step %lld: the gradient norm is not finite, though every worker's own gradients are: a sum of them "
                  "overflows",
                  (long long)worker->step);
    return weft_loop_known(loop, error);
}
