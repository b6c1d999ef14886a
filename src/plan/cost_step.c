/* One step of a layout from a cell, by closed forms. */
#include "plan/cost.h"

#include "program/program.h"

#include <string.h>

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

static double pass_time(const weft_plan_pass *pass)
{
    return pass->device + pass->recompute + pass->tensor + pass->host;
}

/* Of one micro-batch, and of the whole model where nothing else is said. */
typedef struct view {
    const weft_plan_model *model;
    const weft_plan_cluster *cluster;
    const weft_plan_cell *cell;
    const weft_plan_layout *layout;
    double p, v, m, D;
    double layer_forward, layer_backward, layer_weight; /* layer_weight is part of layer_backward */
    double head_forward, head_backward, embedding_forward, embedding_backward;
    double first, inner, last;                           /* layers of these ranks */
    double worst_layers;                                 /* layers of the rank that has most to do */
    double worst_forward, worst_backward, worst, others; /* of that rank; of all others together */
    double edge, far_edge; /* one message: the mean over the edges of the pipeline, the slowest */
} view;

static double at_least(double a, double b)
{
    return a > b ? a : b;
}

static double message_time(const weft_plan_cluster *cluster, const weft_plan_cell *cell, double senders, bool far)
{
    if (!far) return cell->message_bytes / (0.6 * cluster->gpu.link);
    return cluster->message_start + cell->message_bytes * senders / (cluster->nic * cluster->nic_efficiency);
}

/* Ranks are placed tensor, context, data, pipeline from the inside out: how many GPUs lie between two stages. */
static void find_edges(view *w)
{
    const weft_plan_layout *layout = w->layout;
    double node = w->cluster->gpus_per_node, apart = (double)layout->tensor * layout->context * layout->data;
    double senders = apart < node ? apart : node;
    double near = message_time(w->cluster, w->cell, senders, false);
    double far = message_time(w->cluster, w->cell, senders, true);
    if (layout->pipeline < 2) return;
    if (apart * w->p <= node) {
        w->edge = w->far_edge = near;
        return;
    }
    double together = apart < node ? (double)(int64_t)(node / apart) : 1; /* ranks of one node */
    double crossings = apart < node ? 1 / together : 1;
    w->edge = crossings * far + (1 - crossings) * near;
    w->far_edge = far;
}

/* Layers as even as can be; the ranks in the middle stand for all. */
static void find_layers(view *w)
{
    double stages = w->p * w->v, even = w->model->layers / stages;
    bool whole = even == (double)(int64_t)even;
    double most = whole ? even : (double)((int64_t)even + 1);
    w->first = w->last = w->inner = w->v * even;
    if (w->layout->edge_layers_less && w->p > 1) {
        w->inner = w->v * ((w->model->layers + 2) / stages);
        w->first = w->last = w->inner - 1;
    } else if (!whole) {
        w->inner = at_least(w->v * even, w->v * most - (w->v > 1 ? w->v - 1 : 0));
    }
}

static void weigh_ranks(view *w)
{
    double first_forward = w->first * w->layer_forward + w->embedding_forward;
    double first_backward = w->first * w->layer_backward + w->embedding_backward;
    double last_forward = w->last * w->layer_forward + w->head_forward;
    double last_backward = w->last * w->layer_backward + w->head_backward;
    double inner_forward = w->inner * w->layer_forward, inner_backward = w->inner * w->layer_backward;
    if (w->layout->pipeline == 1) {
        w->worst_layers = w->model->layers;
        w->worst_forward = first_forward + w->head_forward;
        w->worst_backward = first_backward + w->head_backward;
        w->worst = w->worst_forward + w->worst_backward;
        return;
    }
    double first = first_forward + first_backward, last = last_forward + last_backward;
    double inner = w->layout->pipeline > 2 ? inner_forward + inner_backward : 0;
    double all = first + last + (w->p - 2) * inner;
    w->worst_layers = w->inner;
    w->worst_forward = inner_forward;
    w->worst_backward = inner_backward;
    w->worst = inner;
    if (first > w->worst) {
        w->worst_layers = w->first;
        w->worst_forward = first_forward;
        w->worst_backward = first_backward;
        w->worst = first;
    }
    if (last > w->worst) {
        w->worst_layers = w->last;
        w->worst_forward = last_forward;
        w->worst_backward = last_backward;
        w->worst = last;
    }
    w->others = all - w->worst;
}

static void look(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                 const weft_plan_layout *layout, view *out)
{
    *out = (view){.model = model,
                  .cluster = cluster,
                  .cell = cell,
                  .layout = layout,
                  .p = layout->pipeline,
                  .v = layout->loops,
                  .m = layout->micro_batches,
                  .D = layout->data,
                  .layer_forward = pass_time(&cell->forward),
                  .layer_weight = pass_time(&cell->backward_weight),
                  .head_forward = pass_time(&cell->head_forward),
                  .head_backward = pass_time(&cell->head_backward),
                  .embedding_forward = pass_time(&cell->embedding_forward),
                  .embedding_backward = pass_time(&cell->embedding_backward)};
    out->layer_backward = pass_time(&cell->backward_input) + out->layer_weight;
    find_layers(out);
    find_edges(out);
    weigh_ranks(out);
}

/* What a step takes beyond the passes of the rank that has most to do. */
typedef struct waits {
    double bubble, messages;
} waits;

static waits wait_1f1b(const view *w, double edge)
{
    /* The last term: ranks in lock step wait for half of the messages of each micro-batch. */
    return (waits){w->others, 2 * (w->p - 1) * edge + 2 * w->m * edge * 0.5};
}

static waits wait_depth_first(const view *w, double edge)
{
    return (waits){w->others / w->v, 2 * (w->p - 1) * edge + 2 * w->v * w->p * edge};
}

/* Of one round of so many micro-batches. */
static waits wait_breadth_first(const view *w, double edge, double m)
{
    double stage = w->worst / w->v, F = w->worst_forward / w->v, B = w->worst_backward / w->v;
    double fill = (m < w->p ? m : w->p) - 1, short_of = at_least(0, w->p - m), spare = at_least(0, m - w->p);
    double others = w->p > 1 ? w->others / (w->v * (w->p - 1)) : 0;
    double around = at_least(0, w->p * edge - spare * F) + at_least(0, w->p * edge - spare * B);
    return (waits){fill * others + w->v * short_of * stage, 2 * fill * edge + w->v * around};
}

static waits wait_rounds(const view *w, double edge, double rounds)
{
    waits one = wait_breadth_first(w, edge, w->m / rounds);
    return (waits){rounds * one.bubble, rounds * one.messages};
}

static waits wait_zero_bubble(const view *w, double edge, double times)
{
    double whole = w->layer_forward + w->layer_backward;
    double left = at_least(0, 1 - times * w->layer_weight / whole);
    return (waits){w->others * left, 2 * (w->p - 1) * edge};
}

static waits wait_by_kind(const view *w, double edge)
{
    switch ((weft_plan_kind)w->layout->kind) {
    case WEFT_PLAN_DEPTH_FIRST:
        return wait_depth_first(w, edge);
    case WEFT_PLAN_BREADTH_FIRST:
        return wait_breadth_first(w, edge, w->m);
    case WEFT_PLAN_HYBRID:
        return wait_rounds(w, edge, w->layout->rounds);
    case WEFT_PLAN_ZB_H1:
        return wait_zero_bubble(w, edge, 2);
    case WEFT_PLAN_ZB_H2:
    case WEFT_PLAN_ZB_V:
        return wait_zero_bubble(w, edge, 3);
    default:
        return wait_1f1b(w, edge);
    }
}

/* Blocking software stands still for each message of each stage: that is in the passes, and in the fill as well. */
static waits wait_blocking(const view *w)
{
    double each = w->edge + w->cluster->software.stall / 2, chunk = 2 * each;
    view longer = *w;
    longer.worst_forward += w->v * each;
    longer.worst_backward += w->v * each;
    longer.worst += w->v * chunk;
    longer.others += (w->p - 1) * w->v * chunk;
    waits all = wait_by_kind(&longer, 0), bare = wait_by_kind(w, 0);
    return (waits){bare.bubble, all.bubble - bare.bubble + w->m * w->v * chunk};
}

static waits wait_for_others(const view *w)
{
    if (w->layout->pipeline == 1) return (waits){0, 0};
    if (!w->cluster->software.messages_overlap) return wait_blocking(w);
    waits found = wait_by_kind(w, w->edge);
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v;
    found.messages += w->m * w->v * (at_least(0, w->far_edge - F) + at_least(0, w->far_edge - B));
    return found;
}

/* Parameters of one GPU of the rank that has most. */
static double own_parameters(const view *w)
{
    double layers = at_least(w->inner, w->first) * w->cell->layer_parameters, tables = w->cell->embedding_parameters;
    if (w->layout->pipeline == 1 && !w->model->tied) tables += w->cell->head_parameters;
    return layers + tables;
}

typedef struct travel {
    double reduce, gather; /* one reduction, one gather of all of a GPU's parameters */
} travel;

static travel data_travel(const view *w, double parameters)
{
    const weft_plan_layout *layout = w->layout;
    const weft_plan_software *software = &w->cluster->software;
    double apart = (double)layout->tensor * layout->context, node = w->cluster->gpus_per_node;
    int32_t in_node = (int32_t)(apart < node ? node / apart : 1);
    int32_t sharing = (int32_t)(apart < node ? apart : node);
    if (in_node > layout->data) in_node = layout->data;
    double reduced =
        weft_plan_all_reduce(w->cluster, software->reduced_bytes * parameters, layout->data, in_node, sharing);
    double gathered = weft_plan_all_reduce(w->cluster, 2 * parameters, layout->data, in_node, sharing);
    travel found = {reduced / 2 * software->data_reduce, gathered / 2 * software->data_reduce};
    if (layout->shard == WEFT_SHARD_NONE) found = (travel){2 * found.reduce, 0};
    return found;
}

/* Gradients are reduced stage by stage; what of it is left when compute ends. */
static double exposed_reduction(const view *w, double reduce)
{
    double backward = w->worst_backward, v = w->v;
    if (!w->cluster->software.reduces_overlap) return reduce;
    switch ((weft_plan_kind)w->layout->kind) {
    case WEFT_PLAN_BREADTH_FIRST:
        return at_least(reduce / v, reduce - (v - 1) * w->m * backward / v);
    case WEFT_PLAN_HYBRID:
        return at_least(reduce / v, reduce - (v - 1) * w->m / w->layout->rounds * backward / v);
    case WEFT_PLAN_DEPTH_FIRST:
        return at_least(reduce / v, reduce - (v - 1) * (w->m < w->p ? w->m : w->p) * backward / v);
    default:
        return at_least(reduce / at_least(1, w->worst_layers), reduce - backward);
    }
}

/* How often the weights of all stages of a rank are gathered, and their gradients reduced, in a step. */
static double passes_over_weights(const view *w)
{
    switch ((weft_plan_kind)w->layout->kind) {
    case WEFT_PLAN_BREADTH_FIRST:
        return 1;
    case WEFT_PLAN_HYBRID:
        return w->layout->rounds;
    case WEFT_PLAN_DEPTH_FIRST:
        return at_least(1, w->m / w->p);
    default:
        return w->v == 1 && w->p > 1 ? 1 : w->m; /* one stage a rank stays where it is */
    }
}

static void add_travel(const view *w, weft_plan_time *out)
{
    if (w->layout->data < 2) return;
    travel once = data_travel(w, own_parameters(w));
    double compute = w->m * w->worst, contention = w->cluster->software.contention, hidden = 0;
    if (w->layout->shard != WEFT_SHARD_WEIGHTS) {
        double exposed = exposed_reduction(w, once.reduce);
        hidden = once.reduce - exposed;
        out->part[WEFT_PLAN_GRADIENTS] = exposed + contention * hidden;
        out->part[WEFT_PLAN_WEIGHTS] = once.gather;
        return;
    }
    double passes = passes_over_weights(w), gathers = 2 * passes * once.gather, reductions = passes * once.reduce;
    double pieces = w->layout->pipeline == 1 && w->v == 1 ? w->model->layers : w->v;
    double ends = once.gather / pieces + once.reduce / pieces, all = gathers + reductions;
    double exposed = at_least(ends, all - compute);
    if (!w->cluster->software.reduces_overlap) exposed = all;
    hidden = all - exposed;
    double total = exposed + contention * hidden;
    out->part[WEFT_PLAN_WEIGHTS] = total * gathers / all;
    out->part[WEFT_PLAN_GRADIENTS] = total * reductions / all;
}

static double optimizer_time(const view *w)
{
    const weft_plan_gpu *gpu = &w->cluster->gpu;
    double parameters = own_parameters(w) / (w->layout->shard == WEFT_SHARD_NONE ? 1 : w->D);
    return w->cluster->software.optimizer * parameters / (gpu->bandwidth * gpu->traffic);
}

static double layers_part(const view *w, size_t offset)
{
    const char *forward = (const char *)&w->cell->forward, *input = (const char *)&w->cell->backward_input,
               *weight = (const char *)&w->cell->backward_weight;
    double sum = *(const double *)(const void *)(forward + offset) + *(const double *)(const void *)(input + offset) +
                 *(const double *)(const void *)(weight + offset);
    return w->m * w->worst_layers * sum;
}

static double sum_parts(const weft_plan_time *time)
{
    double sum = 0;
    for (int i = 0; i < WEFT_PLAN_PARTS; i++) sum += time->part[i];
    return sum;
}

void weft_plan_step(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                    const weft_plan_layout *layout, weft_plan_time *out)
{
    view w;
    look(model, cluster, cell, layout, &w);
    memset(out, 0, sizeof *out);
    waits waiting = wait_for_others(&w);
    out->part[WEFT_PLAN_COMPUTE] = layers_part(&w, offsetof(weft_plan_pass, device));
    out->part[WEFT_PLAN_RECOMPUTATION] = layers_part(&w, offsetof(weft_plan_pass, recompute));
    out->part[WEFT_PLAN_TENSOR] = layers_part(&w, offsetof(weft_plan_pass, tensor));
    out->part[WEFT_PLAN_HOST] = layers_part(&w, offsetof(weft_plan_pass, host));
    out->part[WEFT_PLAN_EDGES] = w.m * w.worst - w.m * w.worst_layers * (w.layer_forward + w.layer_backward);
    out->part[WEFT_PLAN_BUBBLE] = waiting.bubble;
    out->part[WEFT_PLAN_MESSAGES] = waiting.messages;
    add_travel(&w, out);
    out->part[WEFT_PLAN_OPTIMIZER] = optimizer_time(&w);
    out->part[WEFT_PLAN_REST] = cluster->software.step;
    out->step = sum_parts(out);
}

double weft_plan_step_time(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                           const weft_plan_layout *layout)
{
    view w;
    weft_plan_time travels = {0};
    look(model, cluster, cell, layout, &w);
    waits waiting = wait_for_others(&w);
    add_travel(&w, &travels);
    return w.m * w.worst + waiting.bubble + waiting.messages + travels.part[WEFT_PLAN_GRADIENTS] +
           travels.part[WEFT_PLAN_WEIGHTS] + optimizer_time(&w) + cluster->software.step;
}
