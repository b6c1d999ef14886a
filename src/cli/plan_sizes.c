#include "cli/plan_sizes.h"

/* What the replays of the planner take for granted of weft: gathered weights and gradients are of two stages at most,
 * and where weights are divided gradients are reduced as soon as their page is wanted. */
enum { BUFFERS = 2 };

void weft_cli_plan_configure(const weft_config *base, const weft_plan_layout *layout, const int32_t *layers,
                             int64_t *stages, weft_config *out)
{
    int32_t count = layout->pipeline * layout->loops;
    bool hybrid = layout->kind == WEFT_PLAN_HYBRID, early = layout->shard == WEFT_SHARD_WEIGHTS && layout->data > 1;
    for (int32_t s = 0; s < count; s++) stages[s] = layers[s];
    *out = *base;
    out->batch.sequences = layout->micro_batch;
    out->batch.microbatches = layout->micro_batches;
    out->parallel.pipeline = layout->pipeline;
    out->parallel.loops = layout->loops;
    out->parallel.data = layout->data;
    out->parallel.tensor = layout->tensor;
    out->parallel.group = hybrid ? layout->micro_batches / layout->rounds : 0;
    out->parallel.shard = layout->data > 1 ? layout->shard : WEFT_SHARD_NONE;
    out->parallel.reduce = early ? WEFT_CONFIG_REDUCE_EARLY : WEFT_CONFIG_REDUCE_ONCE;
    out->parallel.buffers = BUFFERS;
    out->parallel.schedule =
        layout->kind == WEFT_PLAN_NONE ? "gpipe" : weft_plan_kind_name((weft_plan_kind)layout->kind);
    out->parallel.placement = "own";
    out->parallel.dialect = WEFT_CONFIG_DIALECT_CURRENT;
    out->parallel.stages = (weft_config_list){stages, count};
    out->recompute =
        layout->recompute == WEFT_PLAN_RECOMPUTE_FULL ? WEFT_CONFIG_RECOMPUTE_FULL : WEFT_CONFIG_RECOMPUTE_NONE;
    out->memory_limit = 0;
}

weft_status weft_cli_plan_memory(const void *context, const weft_plan_layout *layout, const int32_t *layers,
                                 weft_plan_memory *out, weft_error *error)
{
    static const weft_plan_line lines[WEFT_CATEGORIES] = {
        [WEFT_CATEGORY_WEIGHTS] = WEFT_PLAN_LINE_WEIGHTS,     [WEFT_CATEGORY_GRADIENTS] = WEFT_PLAN_LINE_GRADIENTS,
        [WEFT_CATEGORY_OPTIMIZER] = WEFT_PLAN_LINE_OPTIMIZER, [WEFT_CATEGORY_ACTIVATIONS] = WEFT_PLAN_LINE_ACTIVATIONS,
        [WEFT_CATEGORY_MESSAGES] = WEFT_PLAN_LINE_BUFFERS,    [WEFT_CATEGORY_WORKSPACE] = WEFT_PLAN_LINE_WORK};
    const weft_cli_plan_run *run = context;
    weft_config config;
    weft_job_memory memory;
    int64_t *stages = NULL;
    TRY(weft_allocate((size_t)layout->pipeline * (size_t)layout->loops, sizeof *stages, &stages, error));
    weft_cli_plan_configure(&run->config, layout, layers, stages, &config);
    *out = (weft_plan_memory){0};
    weft_status status = weft_job_measure(&config, run->known, &memory, &out->rank, error);
    weft_free(stages);
    if (status != WEFT_OK) return status;
    for (int c = 0; c < WEFT_CATEGORIES; c++) out->line[lines[c]] = (double)memory.bytes[c];
    out->bytes = (double)memory.total;
    return WEFT_OK;
}
