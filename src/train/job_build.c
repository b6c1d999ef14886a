/* A job from its configuration, one step after the other. */
#include "train/job_parts.h"

#include "base/hands.h"
#include "train/frozen.h"
#include "train/memory_plan.h"

static weft_status choose_device(weft_job *job, weft_error *error)
{
    const weft_config *config = job->config;
    if (weft_device_parse(config->device, &job->device, &job->options.index, error) != WEFT_OK)
        return weft_config_relay(config, "device", error);
    if (job->device->computes_nothing && !job->costs)
        return weft_config_complain(config, "device", error,
                                    "%s computes nothing and needs costs: 'weft rehearse' runs it", config->device);
    int64_t threads = config->threads;
    if (threads == 0)
        threads = weft_cores() / (config->parallel.pipeline * config->parallel.data * config->parallel.tensor);
    job->options.element = (weft_element)config->element;
    job->options.threads = (int32_t)(threads < 1 ? 1 : threads);
    return WEFT_OK;
}

/* Sizes that are fine one by one can have products beyond 64 bits: what needs a petabyte is refused before it is
 * counted. */
static weft_status check_magnitude(const weft_config *config, weft_error *error)
{
    const double petabyte = 1125899906842624.0;
    double C = (double)config->model.width, F = (double)config->model.feed_forward,
           V = (double)config->model.vocabulary;
    double L = (double)config->model.layers, context = (double)config->model.context;
    double rows = (double)config->batch.sequences * (double)config->batch.tokens;
    double weights = L * C * (4 * C + 3 * F) + C * (2 * V + context);
    double activations = rows * (L * (16 * C + 3 * F) + V + (double)config->batch.microbatches);
    if (weights * 16 > petabyte)
        return weft_config_complain(config, "model.width", error,
                                    "this model needs more than a petabyte for its weights");
    if (activations * 4 > petabyte)
        return weft_config_complain(config, "batch.sequences", error,
                                    "%.0f tokens of this model need more than a petabyte of activations", rows);
    return WEFT_OK;
}

weft_status weft_job_pose(const weft_config *config, weft_job *job, weft_split_problem *out, weft_error *error)
{
    job->config = config;
    if (config->parallel.automatic) TRY(weft_config_check(config, error)); /* which loading left open */
    TRY(check_magnitude(config, error));
    TRY(choose_device(job, error));
    if (!job->schedule) TRY(weft_job_schedule(config, &job->schedule, error));
    job->ranks = job->schedule->ranks;
    job->stage_count = job->schedule->stages;
    TRY(weft_job_check_slices(config, error));
    job->tensor = (int32_t)config->parallel.tensor;
    TRY(weft_model_parameters(&config->model, job->tensor, &job->arena, &job->parameters, &job->parameter_count,
                              error));
    TRY(weft_job_freeze(job, error));
    TRY(weft_job_find_tied(job, error));
    weft_job_arrange_data(job);
    return weft_job_pose_split(job, out, error);
}

/* All but the programs. */
static weft_status arrange(const weft_config *config, weft_job *job, weft_job_split *out_split, weft_error *error)
{
    TRY(weft_job_pose(config, job, &out_split->problem, error));
    TRY(weft_job_divide_layers(job, out_split, error));
    return weft_share_units(job, error);
}

static weft_status count_memory(weft_job *job, weft_error *error)
{
    TRY(weft_arena_take(&job->arena, (size_t)job->ranks, sizeof *job->memory, &job->memory, error));
    weft_memory_plan_count(job);
    return WEFT_OK;
}

weft_status weft_job_build(const weft_config *config, weft_job *job, weft_error *error)
{
    weft_job_split split;
    TRY(arrange(config, job, &split, error));
    TRY(weft_job_lower(job, &split, true, error));
    TRY(weft_job_predict(job, &split, error));
    TRY(count_memory(job, error));
    double tokens = (double)(job->data * config->batch.microbatches * config->batch.sequences * config->batch.tokens);
    job->step_flops =
        tokens * (weft_model_flops_per_token(&config->model, config->batch.tokens) - weft_job_frozen_flops(job));
    return WEFT_OK;
}

void weft_job_fini(weft_job *job)
{
    weft_timeline_fini(&job->predicted);
    weft_program_destroy(job->train);
    weft_program_destroy(job->forward);
    weft_schedule_destroy(job->schedule);
    weft_arena_fini(&job->arena);
}

static weft_status measure(const weft_config *config, weft_job *job, weft_error *error)
{
    weft_job_split split;
    TRY(arrange(config, job, &split, error));
    TRY(weft_job_lower(job, &split, false, error));
    return count_memory(job, error);
}

weft_status weft_job_measure(const weft_config *config, weft_known *known, weft_job_memory *out, int32_t *out_rank,
                             weft_error *error)
{
    weft_job job = {.known = known};
    weft_arena_init(&job.arena);
    weft_status status = measure(config, &job, error);
    *out = (weft_job_memory){0};
    for (int32_t r = 0; r < job.ranks && status == WEFT_OK; r++) {
        if (job.memory[r].total <= out->total) continue;
        *out = job.memory[r];
        *out_rank = r;
    }
    weft_job_fini(&job);
    return status;
}
