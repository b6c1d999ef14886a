/* One step of a layout from a cell, by closed forms, part by part. */
#include "plan/view.h"

#include <stddef.h>

const char *weft_plan_part_name(weft_plan_part part)
{
    static const char *const names[WEFT_PLAN_PARTS] = {
        [WEFT_PLAN_COMPUTE] = "compute",   [WEFT_PLAN_RECOMPUTATION] = "recompute",
        [WEFT_PLAN_TENSOR] = "tensor",     [WEFT_PLAN_EDGES] = "head and embedding",
        [WEFT_PLAN_HOST] = "host",         [WEFT_PLAN_BUBBLE] = "bubble",
        [WEFT_PLAN_MESSAGES] = "messages", [WEFT_PLAN_GRADIENTS] = "gradients",
        [WEFT_PLAN_WEIGHTS] = "weights",   [WEFT_PLAN_OPTIMIZER] = "optimizer",
        [WEFT_PLAN_REST] = "rest"};
    return names[part];
}

/* The same member of all passes of the layers. */
static double layers_part(const weft_plan_view *w, size_t offset)
{
    const weft_plan_pass *passes[] = {&w->cell->forward, &w->cell->backward_input, &w->cell->backward_weight};
    double sum = 0;
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        sum += *(const double *)(const void *)((const char *)passes[i] + offset);
    return w->m * w->worst_layers * sum;
}

void weft_plan_step(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                    const weft_plan_layout *layout, weft_plan_time *out)
{
    weft_plan_view w;
    weft_plan_kind kind = (weft_plan_kind)layout->kind;
    weft_shard shard = (weft_shard)layout->shard;
    weft_plan_view_make(model, cluster, cell, layout, &w);
    weft_plan_waits waits = weft_plan_view_waits(&w, kind, layout->rounds);
    weft_plan_travel travel = weft_plan_view_travel(&w, kind, layout->rounds, shard);
    *out = (weft_plan_time){
        .part = {[WEFT_PLAN_COMPUTE] = layers_part(&w, offsetof(weft_plan_pass, device)),
                 [WEFT_PLAN_RECOMPUTATION] = layers_part(&w, offsetof(weft_plan_pass, recompute)),
                 [WEFT_PLAN_TENSOR] = layers_part(&w, offsetof(weft_plan_pass, tensor)),
                 [WEFT_PLAN_HOST] = layers_part(&w, offsetof(weft_plan_pass, host)),
                 [WEFT_PLAN_EDGES] = w.m * (w.worst - w.worst_layers * (w.layer_forward + w.layer_backward)),
                 [WEFT_PLAN_BUBBLE] = waits.bubble,
                 [WEFT_PLAN_MESSAGES] = waits.messages,
                 [WEFT_PLAN_GRADIENTS] = travel.gradients,
                 [WEFT_PLAN_WEIGHTS] = travel.weights,
                 [WEFT_PLAN_OPTIMIZER] = weft_plan_view_optimizer(&w, shard),
                 [WEFT_PLAN_REST] = cluster->software.step}};
    for (int i = 0; i < WEFT_PLAN_PARTS; i++) out->step += out->part[i];
}
