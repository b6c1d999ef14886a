/* Which layers and parameters each stage of a job has. */
#include "train/job_parts.h"

#include "train/frozen.h"
#include "train/share.h"

#include <string.h>

weft_status weft_job_check_slices(const weft_config *config, weft_error *error)
{
    int64_t rows = config->batch.sequences * config->batch.tokens;
    if (weft_slice_check(&config->model, rows, (int32_t)config->parallel.tensor, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, "parallel.tensor", error);
}

/* trained: the share of the weights of its products. */
static weft_layer_cost cost_of(weft_flops flops, double trained)
{
    return (weft_layer_cost){flops.forward, flops.backward_input, trained * flops.backward_weight, 0};
}

/* Flops stand for time: only their ratios matter for the split and the predicted bubble. */
weft_status weft_job_pose_split(weft_job *job, weft_split_problem *problem, weft_error *error)
{
    const weft_config *config = job->config;
    int64_t B = config->batch.sequences, T = config->batch.tokens, L = config->model.layers;
    weft_layer_cost *costs = NULL;
    TRY(weft_arena_take(&job->arena, (size_t)L, sizeof *costs, &costs, error));
    for (int64_t i = 0; i < L; i++)
        costs[i] = cost_of(weft_layer_flops(&config->model, B, T), weft_job_trained(job, (int32_t)i));
    *problem =
        (weft_split_problem){.schedule = job->schedule,
                             .layers = costs,
                             .layer_count = (int32_t)L,
                             .head = cost_of(weft_head_flops(&config->model, B, T), weft_job_trained(job, (int32_t)L)),
                             .lower = weft_job_lowering(job, NULL)};
    return WEFT_OK;
}

static weft_status choose_layers(weft_job *job, const weft_split_problem *problem, int32_t *layers, weft_error *error)
{
    const weft_config_list *listed = &job->config->parallel.stages;
    if (listed->count == 0) return weft_split_layers(problem, layers, NULL, NULL, error);
    if (listed->count != job->stage_count)
        return weft_config_complain(job->config, "parallel.stages", error, "lists %lld stage%s; the schedule has %d",
                                    (long long)listed->count, weft_text_plural(listed->count), job->stage_count);
    for (int32_t s = 0; s < job->stage_count; s++) layers[s] = (int32_t)listed->values[s];
    return WEFT_OK;
}

static weft_status ask_space(weft_job *job, const weft_stage_shape *shape, weft_stage_space *out, weft_error *error)
{
    if (job->known) return weft_known_space(job->known, shape, out, error);
    *out = weft_stage_space_ask(shape);
    return WEFT_OK;
}

/* Only training is told more than the cross entropy of all. */
static weft_stage_loss loss_of(const weft_job *job)
{
    const weft_config *config = job->config;
    if (job->use != WEFT_JOB_TRAINS) return (weft_stage_loss){.by_sequence = false};
    return (weft_stage_loss){
        .z = config->loss.z, .smoothing = config->loss.label_smoothing, .by_sequence = config->data.sources.count > 1};
}

static weft_status fill_stages(weft_job *job, const int32_t *layers, weft_error *error)
{
    const weft_config *config = job->config;
    int32_t next = 0;
    weft_stage_space space = {.known = false};
    for (int32_t s = 0; s < job->stage_count; s++) {
        weft_job_stage *stage = &job->stages[s];
        stage->rank = job->schedule->stage_rank[s];
        stage->first_layer = next;
        stage->layer_count = layers[s];
        next += layers[s];
        stage->train = (weft_stage_shape){.model = &config->model,
                                          .slice = {0, job->tensor},
                                          .first_layer = stage->first_layer,
                                          .layer_count = stage->layer_count,
                                          .embedding = s == 0,
                                          .head = s == job->stage_count - 1,
                                          .B = config->batch.sequences,
                                          .T = config->batch.tokens,
                                          .recompute = config->recompute == WEFT_CONFIG_RECOMPUTE_FULL,
                                          .loss = loss_of(job),
                                          .device = job->device,
                                          .options = job->options};
        if (s == 0) TRY(ask_space(job, &stage->train, &space, error));
        stage->train.space = space;
        stage->forward = stage->train;
        stage->forward.forward_only = true;
        weft_stage_parameters(&stage->train, job->parameters, job->parameter_count, &stage->parameter_first,
                              &stage->parameter_count);
        for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++)
            if (!job->parameters[p].tied) stage->elements += job->parameters[p].elements;
    }
    job->losses = weft_stage_losses(&job->stages[0].train);
    return WEFT_OK;
}

weft_status weft_job_find_tied(weft_job *job, weft_error *error)
{
    job->tied_embedding = job->tied_head = -1;
    TRY(weft_arena_take(&job->arena, (size_t)job->parameter_count + 1, sizeof *job->block_first, &job->block_first,
                        error));
    for (int32_t p = 0; p < job->parameter_count; p++) {
        const weft_parameter *parameter = &job->parameters[p];
        int32_t blocks = weft_share_norm_blocks(parameter) * (weft_split_divides(parameter->split) ? job->tensor : 1);
        job->block_first[p + 1] = job->block_first[p] + (parameter->tied || job->frozen[p] ? 0 : blocks);
        if (parameter->tied)
            job->tied_head = p;
        else
            job->elements += parameter->elements;
        if (strcmp(parameter->name, "embedding.token") == 0) job->tied_embedding = p;
    }
    job->tied = job->tied_head >= 0;
    job->tied_alias = job->tied && job->schedule->stage_rank[0] == job->schedule->stage_rank[job->stage_count - 1];
    return WEFT_OK;
}

static void fill_costs(weft_job *job, weft_job_split *split)
{
    size_t S = (size_t)job->stage_count;
    double *cost = split->cost;
    weft_split_stage_costs(&split->problem, split->layers, cost, cost + S, cost + 2 * S, cost + 3 * S);
    for (size_t s = 0; s < S; s++) {
        double whole = cost[S + s] + cost[2 * S + s];
        job->input_share[s] = whole > 0 ? cost[S + s] / whole : 0.5;
    }
}

weft_status weft_job_divide_layers(weft_job *job, weft_job_split *split, weft_error *error)
{
    size_t S = (size_t)job->stage_count;
    TRY(weft_arena_take(&job->arena, S, sizeof *job->stages, &job->stages, error));
    TRY(weft_arena_take(&job->arena, S, sizeof *job->input_share, &job->input_share, error));
    TRY(weft_arena_take(&job->arena, S, sizeof *split->layers, &split->layers, error));
    TRY(weft_arena_take(&job->arena, 4 * S, sizeof *split->cost, &split->cost, error));
    TRY(choose_layers(job, &split->problem, split->layers, error));
    TRY(fill_stages(job, split->layers, error));
    fill_costs(job, split);
    return WEFT_OK;
}

weft_stage_shape weft_job_step_shape(const weft_job *job, int64_t rows)
{
    weft_stage_shape shape = job->stages[0].forward;
    shape.cache = shape.T;
    shape.T = rows < shape.T ? rows : shape.T;
    shape.space.known = false;
    return shape;
}

size_t weft_job_boundary(const weft_job *job)
{
    size_t rows = (size_t)weft_stage_rows(&job->stages[0].train);
    return rows * (size_t)job->config->model.width * weft_element_bytes(job->options.element);
}
