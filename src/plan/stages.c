/* Costs of each stage of a layout, for the exact simulation. */
#include "plan/view.h"

/* Of the message from stage s to the next one: near where both ranks are in one node. */
static double edge_time(const weft_plan_view *view, const weft_plan_layout *layout, const int32_t *stage_rank,
                        int32_t s)
{
    int64_t apart = (int64_t)layout->tensor * layout->context * layout->data, node = view->cluster->gpus_per_node;
    int64_t from = stage_rank[s] * apart / node, to = stage_rank[s + 1] * apart / node;
    return from == to && apart < node ? view->near_edge : view->far_edge;
}

void weft_plan_stages(const weft_plan_view *view, const weft_plan_layout *layout, const int32_t *stage_rank,
                      const int32_t *layers, weft_plan_stage_costs *out)
{
    const weft_plan_cell *cell = view->cell;
    const weft_plan_software *software = &view->cluster->software;
    int32_t stages = layout->pipeline * layout->loops;
    double input = weft_plan_pass_time(&cell->backward_input), blocks = 0;
    if (!software->messages_overlap && stages > 1) blocks = view->edge + software->stall / 2;
    for (int32_t s = 0; s < stages; s++) {
        double parameters = layers[s] * cell->layer_parameters;
        out->forward[s] = layers[s] * view->layer_forward + blocks;
        out->backward_input[s] = layers[s] * input + blocks;
        out->backward_weight[s] = layers[s] * view->layer_weight;
        if (s == 0) {
            out->forward[s] += weft_plan_pass_time(&cell->embedding_forward);
            out->backward_weight[s] += weft_plan_pass_time(&cell->embedding_backward);
            parameters += cell->embedding_parameters;
        }
        if (s == stages - 1) {
            out->forward[s] += weft_plan_pass_time(&cell->head_forward);
            out->backward_input[s] += weft_plan_pass_time(&cell->head_backward);
            bool shared = view->model->tied && stage_rank[s] == stage_rank[0]; /* one table for both */
            parameters += shared ? 0 : cell->head_parameters;
        }
        double share = parameters / view->parameters;
        out->update[s] = share * weft_plan_view_optimizer(view, (weft_shard)layout->shard);
        out->gathers[s] = layout->shard == WEFT_SHARD_NONE ? 0 : share * view->gather;
        out->reductions[s] = share * view->reduce * (layout->shard == WEFT_SHARD_NONE ? 2 : 1);
        out->sums[s] = layers[s] * cell->layer_sum;
        if (!software->reduces_overlap) out->gathers[s] = out->reductions[s] = out->sums[s] = 0;
        out->messages[s] = s + 1 < stages && software->messages_overlap ? edge_time(view, layout, stage_rank, s) : 0;
    }
}
