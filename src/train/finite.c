/* Whether what a program has computed are numbers; else where they are not, and which checkpoint can help. */
#include "train/loop_parts.h"

#include <math.h>
#include <stdio.h>

/* The weights that gave something not finite are those of that step: a checkpoint of it, or of a step that was skipped
 * since, holds them. One of an earlier step is from before: its weights gave finite losses and gradients in the step
 * that followed it, or this one would not have come. */
static void describe_checkpoints(const weft_loop *loop, int64_t weights, char *out, size_t size)
{
    const char *folder = loop->job->config->run.folder;
    long long saved = (long long)loop->saved, before = saved;
    char remove[32] = "those after it";
    bool any = loop->resumed || saved > 0, holds = any && loop->saved >= weights;
    if (holds) before = (long long)weft_checkpoint_before(folder, weights);
    if (holds && weft_checkpoint_before(folder, loop->saved) == before)
        snprintf(remove, sizeof remove, "step-%08lld", saved);
    if (loop->weights && weights == loop->start)
        snprintf(out, size, "the weights of %.160s give it", weft_weights_path(loop->weights));
    else if (weights == 0 && !loop->resumed)
        snprintf(out, size, "the initial weights give it (model.init_deviation)");
    else if (!any)
        snprintf(out, size, "there is no checkpoint: start again");
    else if (holds && before < 0)
        snprintf(out, size,
                 "the checkpoint of step %lld holds the weights that give it, and there is no earlier one: "
                 "start again",
                 saved);
    else if (holds)
        snprintf(out, size,
                 "the checkpoint of step %lld holds the weights that give it, that of step %lld is from "
                 "before: remove %s and resume",
                 saved, before, remove);
    else
        snprintf(out, size, "the checkpoint of step %lld is from before: resume", saved);
}

weft_status weft_loop_advise(const weft_loop *loop, int64_t weights, weft_error *error)
{
    const weft_config *config = loop->job->config;
    if (loop->worker->number != 0) return error->status;
    char checkpoints[256];
    const char *lower = ", with a lower optimizer.learning_rate", *clip = " or with optimizer.clip";
    weights -= loop->skip.in_a_row; /* none of these steps has moved them */
    bool initial = weights == loop->start && !loop->resumed;
    describe_checkpoints(loop, weights, checkpoints, sizeof checkpoints);
    weft_error found = *error;
    return weft_fail(error, found.status, "%s; %s%s%s", found.text, checkpoints, initial ? "" : lower,
                     initial || config->optimizer.clip > 0 ? "" : clip);
}

static weft_status check_losses(const weft_loop *loop, const char *which, weft_error *error)
{
    const weft_job *job = loop->job;
    int32_t last = job->stage_count - 1;
    int64_t M = job->config->batch.microbatches;
    for (int64_t i = 0; i < weft_loop_microbatches(loop); i++) {
        if (isfinite(weft_loop_losses(loop, i)[0])) continue;
        weft_fail(error, WEFT_FAILED, "rank %d, step %lld, stage %d, micro-batch %lld: the %s is not finite",
                  weft_world_number(job, (weft_coordinates){job->stages[last].rank, (int32_t)(i / M), 0}),
                  (long long)loop->worker->step, last, (long long)(i % M), which);
        return weft_loop_known(loop, error);
    }
    return WEFT_OK;
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
    weft_device *device = loop->worker->device;
    TRY(device->operations->read(device, sums, loop->worker->sums.ordered, blocks * sizeof *sums, error));
    int32_t p = first_bad(job, sums), s = job->stage_count - 1;
    while (s > 0 && p < job->stages[s].parameter_first) s--;
    char ranks[WEFT_WORLD_NAMES];
    weft_world_describe_rank(job, job->stages[s].rank, ranks, sizeof ranks); /* it is the sum of theirs */
    weft_fail(error, WEFT_FAILED,
              "%s, step %lld, stage %d: the gradient of %s is not finite (set optimizer.clip to learn the "
              "micro-batch)",
              ranks, (long long)loop->worker->step, s, p < 0 ? "the model" : job->parameters[p].name);
    return weft_loop_known(loop, error);
}

static weft_status check(weft_loop *loop, const weft_step_scalars *scalars, weft_error *error)
{
    if (loop->skip.z > 0) return WEFT_OK;
    TRY(check_losses(loop, "loss", error));
    if (!scalars->nonfinite) return WEFT_OK;
    return loop->job->config->optimizer.clip > 0 ? weft_loop_diagnose(loop, error) : report_unclipped(loop, error);
}

weft_status weft_loop_check_step(weft_loop *loop, const weft_step_scalars *scalars, weft_error *error)
{
    weft_status status = check(loop, scalars, error);
    return status == WEFT_FAILED && !loop->troubled ? weft_loop_advise(loop, loop->worker->step - 1, error) : status;
}

weft_status weft_loop_check_held_out(const weft_loop *loop, weft_error *error)
{
    return check_losses(loop, "held-out loss", error);
}

/* The weights are those from before the row, in the checkpoints too. */
weft_status weft_loop_check_skipped(const weft_loop *loop, const weft_step_scalars *scalars, weft_error *error)
{
    long long step = (long long)loop->worker->step, row = (long long)loop->skip.in_a_row;
    double limit = 0;
    if (!scalars->skipped || row < loop->job->config->optimizer.skip_in_a_row) return WEFT_OK;
    bool of_loss = weft_skip_cause(loop->loss, scalars, &limit) == WEFT_SKIPPED_LOSS;
    char saved[96] = "there is no checkpoint: start again", figure[64] = "that is not finite";
    const char *higher = ", or where the data are right a higher optimizer.skip or optimizer.skip_in_a_row";
    if (loop->resumed || loop->saved > 0)
        snprintf(saved, sizeof saved, "the latest checkpoint is that of step %lld: resume", (long long)loop->saved);
    if (isfinite(limit))
        snprintf(figure, sizeof figure, "of %.4g, where %.4g was the most", of_loss ? loop->loss : scalars->norm,
                 limit);
    weft_fail(error, WEFT_FAILED,
              "step %lld: %lld skipped step%s in a row, the last for a %s %s; the weights are those of step %lld; "
              "%s, with a lower optimizer.learning_rate%s",
              step, row, weft_text_plural(row), of_loss ? "loss" : "gradient norm", figure, step - row, saved,
              isfinite(limit) ? higher : "");
    return weft_loop_known(loop, error);
}
