#include "train/resplit.h"

#include "train/frozen.h"
#include "train/job_parts.h"

/* What one layer costs: by the stages that have nothing else, or else by the first; below 0 where none has any. */
static double layer_cost(const weft_job *job, const double *stages)
{
    double cost = 0;
    int32_t layers = 0, first = job->stage_count > 2 ? 1 : 0;
    for (int32_t s = first; s < job->stage_count - 1; s++) {
        cost += stages[s];
        layers += job->stages[s].layer_count;
    }
    if (layers > 0) return cost / layers;
    return job->stages[0].layer_count > 0 ? stages[0] / job->stages[0].layer_count : -1;
}

/* What a stage costs beside its layers. */
static double rest(const weft_job *job, const double *stages, int32_t stage, double layer)
{
    double over = stages[stage] - layer * job->stages[stage].layer_count;
    return over > 0 ? over : 0;
}

static weft_status pose(const weft_job *job, const weft_costs *costs, weft_arena *arena, weft_split_problem *out,
                        bool *out_known, weft_error *error)
{
    const double *measured[] = {costs->forward, costs->backward_input, costs->backward_weight, costs->update};
    int32_t layers = (int32_t)job->config->model.layers, last = job->stage_count - 1;
    weft_layer_cost *costly = NULL;
    double layer[4], first[4], head[4];
    TRY(weft_arena_take(arena, (size_t)layers, sizeof *costly, &costly, error));
    for (int i = 0; i < 4; i++) {
        layer[i] = layer_cost(job, measured[i]);
        *out_known &= layer[i] >= 0;
        first[i] = last > 0 ? rest(job, measured[i], 0, layer[i]) : 0;
        head[i] = rest(job, measured[i], last, layer[i]);
    }
    for (int32_t i = 0; i < layers; i++) costly[i] = (weft_layer_cost){layer[0], layer[1], layer[2], layer[3]};
    *out = (weft_split_problem){.schedule = job->schedule,
                                .layers = costly,
                                .layer_count = layers,
                                .embedding = {first[0], first[1], first[2], first[3]},
                                .head = {head[0], head[1], head[2], head[3]},
                                .lower = weft_job_lowering(job, NULL)};
    return WEFT_OK;
}

weft_status weft_job_resplit(const weft_job *job, const weft_costs *costs, weft_resplit *out, bool *out_known,
                             weft_error *error)
{
    weft_split_problem problem;
    weft_arena arena;
    weft_arena_init(&arena);
    *out_known = job->stage_count > 1 && job->config->model.layers > 0 && !(weft_job_frozen_flops(job) > 0);
    for (int32_t s = 0; s < job->stage_count; s++) out->layers[s] = job->stages[s].layer_count;
    weft_status status = pose(job, costs, &arena, &problem, out_known, error);
    if (status == WEFT_OK && *out_known) status = weft_split_evaluate(&problem, out->layers, &out->now, NULL, error);
    if (status == WEFT_OK && *out_known) status = weft_split_layers(&problem, out->layers, &out->then, NULL, error);
    weft_arena_fini(&arena);
    return status;
}
