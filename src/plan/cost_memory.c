/* Bytes of the rank that needs most, by line. */
#include "plan/view.h"

const char *weft_plan_line_name(weft_plan_line line)
{
    static const char *const names[WEFT_PLAN_LINES] = {
        [WEFT_PLAN_LINE_WEIGHTS] = "weights",     [WEFT_PLAN_LINE_GRADIENTS] = "gradients",
        [WEFT_PLAN_LINE_OPTIMIZER] = "optimizer", [WEFT_PLAN_LINE_ACTIVATIONS] = "activations",
        [WEFT_PLAN_LINE_WORK] = "workspace",      [WEFT_PLAN_LINE_BUFFERS] = "buffers",
        [WEFT_PLAN_LINE_RESERVED] = "reserved"};
    return names[line];
}

typedef struct own {
    double layers, tables; /* of a rank: layers, and parameters of embedding and head */
    bool last;
} own;

static own rank_of(const weft_plan_model *model, const weft_plan_cell *cell, const weft_plan_layout *layout,
                   const int32_t *layers, int32_t rank)
{
    bool turns = weft_plan_kind_of((weft_plan_kind)layout->kind)->turns;
    int32_t p = layout->pipeline;
    bool first = rank == 0, last = turns ? first : rank == p - 1;
    double even = (double)model->layers / p;
    own found = {.layers = (double)(int64_t)(even + 0.999999), .last = last};
    if (layout->edge_layers_less && p > 1) found.layers = (model->layers + 2.0) / p - first - last;
    if (layers) found.layers = 0;
    for (int32_t loop = 0; layers && loop < layout->loops; loop++)
        found.layers += layers[loop * p + (turns && loop % 2 ? p - 1 - rank : rank)];
    if (first) found.tables += cell->embedding_parameters;
    if (last && !(first && model->tied)) found.tables += cell->head_parameters;
    return found;
}

static double share(const weft_plan_layout *layout, int from)
{
    return layout->shard >= from ? (double)layout->data * layout->context : 1;
}

static void count_rank(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                       const weft_plan_layout *layout, const own *rank, double held, weft_plan_memory *out)
{
    const weft_plan_software *software = &cluster->software;
    double parameters = rank->layers * cell->layer_parameters + rank->tables, *line = out->line;
    line[WEFT_PLAN_LINE_WEIGHTS] = software->weight_bytes * parameters / share(layout, WEFT_SHARD_WEIGHTS);
    line[WEFT_PLAN_LINE_GRADIENTS] = software->gradient_bytes * parameters / share(layout, WEFT_SHARD_GRADIENTS);
    line[WEFT_PLAN_LINE_OPTIMIZER] = software->optimizer_bytes * parameters / share(layout, WEFT_SHARD_OPTIMIZER);
    line[WEFT_PLAN_LINE_ACTIVATIONS] = held * rank->layers * cell->saved_bytes;
    line[WEFT_PLAN_LINE_WORK] = cell->again_bytes;
    if (rank->last && cell->logits_bytes > cell->again_bytes) line[WEFT_PLAN_LINE_WORK] = cell->logits_bytes;
    double largest = (double)model->vocabulary * (double)model->hidden;
    double up = (model->gated ? 2.0 : 1.0) * (double)model->ffn * (double)model->hidden;
    if (up > largest) largest = up;
    line[WEFT_PLAN_LINE_BUFFERS] = software->adds_gradients ? 2 * largest / layout->tensor : 0;
    if (layout->shard == WEFT_SHARD_WEIGHTS && layout->data * layout->context > 1)
        line[WEFT_PLAN_LINE_BUFFERS] +=
            WEFT_PLAN_BUFFERS * (software->weight_bytes + software->gradient_bytes) *
            (layout->pipeline == 1 && layout->loops == 1 ? 1 : rank->layers / layout->loops) * cell->layer_parameters;
    line[WEFT_PLAN_LINE_RESERVED] = cluster->reserved;
    double sum = 0;
    for (int i = 0; i < WEFT_PLAN_LINES; i++)
        if (i != WEFT_PLAN_LINE_RESERVED) sum += line[i];
    out->bytes = sum * software->slack + cluster->reserved;
}

void weft_plan_memory_of(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                         const weft_plan_layout *layout, const double *held, const int32_t *layers,
                         weft_plan_memory *out)
{
    *out = (weft_plan_memory){0};
    for (int32_t rank = 0; rank < layout->pipeline; rank++) {
        own one = rank_of(model, cell, layout, layers, rank);
        double stages = held ? held[rank] / layout->loops
                             : weft_plan_held((weft_plan_kind)layout->kind, layout->micro_batches, layout->pipeline,
                                              layout->loops, layout->rounds, rank);
        weft_plan_memory found = {.rank = rank};
        count_rank(model, cluster, cell, layout, &one, stages, &found);
        if (found.bytes > out->bytes) *out = found;
    }
}

double weft_plan_least_memory(const weft_plan_model *model, const weft_plan_cluster *cluster,
                              const weft_plan_layout *layout)
{
    const weft_plan_software *software = &cluster->software;
    double parameters = (double)model->layers / layout->pipeline * weft_plan_layer_parameters(model) / layout->tensor;
    double bytes = weft_plan_state_bytes(software, (weft_shard)layout->shard, (double)layout->data * layout->context);
    return parameters * bytes * software->slack + cluster->reserved;
}
