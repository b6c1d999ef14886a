/* What the closed forms of all schedules share, and memory. */
#include "plan/view.h"

static double message_time(const weft_plan_view *w, double senders, bool far)
{
    const weft_plan_cluster *cluster = w->cluster;
    double gather = w->cell->message_gather;
    if (!far) return gather + cluster->near_message_start + w->cell->message_bytes / (0.6 * cluster->gpu.link);
    return gather + cluster->message_start +
           w->cell->message_bytes * senders / (cluster->nic * cluster->nic_efficiency);
}

/* Ranks are placed tensor, context, data, pipeline from the inside out: how many GPUs lie between two stages. */
static void find_edges(weft_plan_view *w, const weft_plan_layout *layout)
{
    double node = w->cluster->gpus_per_node, apart = (double)layout->tensor * layout->context * layout->data;
    double senders = weft_plan_less(apart, node), near = message_time(w, senders, false),
           far = message_time(w, senders, true);
    w->near_edge = near;
    if (layout->pipeline < 2) return;
    if (apart * w->p <= node) {
        w->edge = w->far_edge = near;
        return;
    }
    double together = apart < node ? (double)(int64_t)(node / apart) : 1; /* ranks of one node */
    w->edge = far / together + (1 - 1 / together) * near;
    w->far_edge = far;
}

/* Layers as even as can be; the ranks in the middle stand for all. */
static void find_layers(weft_plan_view *w, const weft_plan_layout *layout)
{
    double stages = w->p * w->v, even = w->model->layers / stages;
    bool whole = even == (double)(int64_t)even;
    w->first = w->last = w->inner = w->v * even;
    if (layout->edge_layers_less && w->p > 1) {
        w->inner = w->v * ((w->model->layers + 2) / stages);
        w->first = w->inner - (w->turns ? 2 : 1);
        w->last = w->inner - (w->turns ? 0 : 1);
    } else if (!whole) {
        double most = (double)((int64_t)even + 1);
        w->inner = weft_plan_more(w->v * even, w->v * most - (w->v - 1));
    }
}

static void take_worst(weft_plan_view *w, double layers, double forward, double backward)
{
    if (forward + backward <= w->worst) return;
    w->worst_layers = layers;
    w->worst_forward = forward;
    w->worst_backward = backward;
    w->worst = forward + backward;
}

static void weigh_ranks(weft_plan_view *w)
{
    const weft_plan_cell *cell = w->cell;
    double head_forward = weft_plan_pass_time(&cell->head_forward),
           head_backward = weft_plan_pass_time(&cell->head_backward);
    double first_forward = w->first * w->layer_forward + weft_plan_pass_time(&cell->embedding_forward);
    double first_backward = w->first * w->layer_backward + weft_plan_pass_time(&cell->embedding_backward);
    if (w->p == 1) {
        take_worst(w, w->first, first_forward + head_forward, first_backward + head_backward);
        return;
    }
    double last_forward = w->last * w->layer_forward, last_backward = w->last * w->layer_backward;
    *(w->turns ? &first_forward : &last_forward) += head_forward;
    *(w->turns ? &first_backward : &last_backward) += head_backward;
    double inner_forward = w->inner * w->layer_forward, inner_backward = w->inner * w->layer_backward;
    if (w->p > 2) take_worst(w, w->inner, inner_forward, inner_backward);
    take_worst(w, w->first, first_forward, first_backward);
    take_worst(w, w->last, last_forward, last_backward);
    w->others = first_forward + first_backward + last_forward + last_backward +
                (w->p - 2) * (inner_forward + inner_backward) - w->worst;
    double layers = w->first + w->last + (w->p - 2) * w->inner;
    w->others_forward = first_forward + last_forward + (w->p - 2) * inner_forward - w->worst_forward;
    w->others_weight = (layers - w->worst_layers) * w->layer_weight;
}

/* Parameters of the ranks that have most, and how long they take to travel once. */
static void weigh_parameters(weft_plan_view *w, const weft_plan_layout *layout)
{
    const weft_plan_software *software = &w->cluster->software;
    const weft_plan_cell *cell = w->cell;
    w->parameters = weft_plan_more(w->inner, w->first) * cell->layer_parameters + cell->embedding_parameters;
    bool together = w->p == 1 || w->turns;
    w->last_parameters = w->last * cell->layer_parameters + (together ? 0 : cell->head_parameters);
    if (together && !w->model->tied) w->parameters += cell->head_parameters;
    int32_t members = layout->data * layout->context; /* all of these have the same weights */
    if (members < 2) return;
    double apart = layout->tensor, node = w->cluster->gpus_per_node;
    int32_t in_node = (int32_t)(apart < node ? node / apart : 1), sharing = (int32_t)weft_plan_less(apart, node);
    if (in_node > members) in_node = members;
    double bytes = software->reduced_bytes * w->parameters;
    w->reduce = weft_plan_all_reduce(w->cluster, bytes, members, in_node, sharing) / 2 * software->data_reduce;
    w->gather = weft_plan_all_reduce(w->cluster, software->gathered_bytes * w->parameters, members, in_node, sharing) /
                2 * software->data_reduce * software->gather_times;
}

/* The ranks of the first and the last stage exchange the gradient of the table that they share: whole, or the share
 * that each of the workers with the same weights keeps. */
static void weigh_sums(weft_plan_view *w, const weft_plan_layout *layout)
{
    double node = w->cluster->gpus_per_node, apart = (double)layout->tensor * w->D;
    int32_t together = apart * w->p <= node ? 2 : 1, sharing = (int32_t)weft_plan_less(apart, node);
    double bytes = w->cluster->software.reduced_bytes * w->cell->embedding_parameters;
    w->sums = weft_plan_more(w->inner, w->first) * w->cell->layer_sum;
    if (w->p < 2 || w->turns || !w->model->tied) return;
    w->tied = weft_plan_all_reduce(w->cluster, bytes, 2, together, sharing);
    w->tied_share = weft_plan_all_reduce(w->cluster, bytes / w->D, 2, together, sharing);
}

void weft_plan_view_make(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                         const weft_plan_layout *layout, weft_plan_view *out)
{
    *out = (weft_plan_view){.model = model,
                            .cluster = cluster,
                            .cell = cell,
                            .p = layout->pipeline,
                            .v = layout->loops,
                            .m = layout->micro_batches,
                            .turns = weft_plan_kind_of((weft_plan_kind)layout->kind)->turns,
                            .D = (double)layout->data * layout->context,
                            .layer_forward = weft_plan_pass_time(&cell->forward),
                            .layer_weight = weft_plan_pass_time(&cell->backward_weight)};
    out->layer_backward = weft_plan_pass_time(&cell->backward_input) + out->layer_weight;
    find_layers(out, layout);
    find_edges(out, layout);
    weigh_ranks(out);
    weigh_parameters(out, layout);
    weigh_sums(out, layout);
}

/* In micro-batches of one stage: docs/schedules.md. */
static double held_stages(weft_plan_kind kind, double m, double p, double v, double rounds, double i)
{
    switch (kind) {
    case WEFT_PLAN_1F1B:
        return weft_plan_less(m, p - i);
    case WEFT_PLAN_DEPTH_FIRST:
        return weft_plan_less(m * v, weft_plan_largest_group(m, p) * (v - 1) + 2 * (p - i) - 1);
    case WEFT_PLAN_HYBRID: /* the next round begins before the one before is through */
        return weft_plan_less(m * v, m / rounds * (v - 1) + 2 * (p - i) - 1);
    case WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE:
        return weft_plan_less(m * v, weft_plan_largest_group(m, p) * (v - 1) + p);
    case WEFT_PLAN_BREADTH_FIRST_SPLIT:
        return weft_plan_less(m * v, m * (v - 1) + 2 * p - 1);
    case WEFT_PLAN_ZB_H1:
        return weft_plan_less(m, p);
    case WEFT_PLAN_ZB_H2:
        return weft_plan_less(m, 2 * p - 1);
    case WEFT_PLAN_ZB_V:
        return weft_plan_less(m, 2 * p - 1 - i) + weft_plan_less(m, i + 1);
    case WEFT_PLAN_DUALPIPE_V:
        return 2 * p + 1;
    case WEFT_PLAN_V_HALF: /* at most: the fullest rank holds so many */
        return weft_plan_less(2 * m, 2 * (double)((int64_t)p / 2) + 2);
    case WEFT_PLAN_V_MIN:
        return weft_plan_less(2 * m, 2 * (double)(((int64_t)p + 1) / 3) + 2);
    default:
        return m * v;
    }
}

double weft_plan_held(weft_plan_kind kind, double m, double p, double v, double rounds, double i)
{
    if (kind == WEFT_PLAN_NONE || kind == WEFT_PLAN_SEQUENTIAL) return 1;
    return held_stages(kind, m, p, v, rounds, i) / v;
}

double weft_plan_state_bytes(const weft_plan_software *software, weft_shard shard, double data)
{
    return software->weight_bytes / (shard >= WEFT_SHARD_WEIGHTS ? data : 1) +
           software->gradient_bytes / (shard >= WEFT_SHARD_GRADIENTS ? data : 1) +
           software->optimizer_bytes / (shard >= WEFT_SHARD_OPTIMIZER ? data : 1);
}

weft_plan_activations weft_plan_view_activations(const weft_plan_view *w, weft_plan_kind kind, double rounds)
{
    const weft_plan_cell *cell = w->cell;
    bool together = w->p == 1 || w->turns; /* the head, with the embedding */
    double work = weft_plan_more(cell->again_bytes, cell->logits_bytes);
    double first = weft_plan_held(kind, w->m, w->p, w->v, rounds, 0) * w->inner * cell->saved_bytes;
    double last = weft_plan_held(kind, w->m, w->p, w->v, rounds, w->p - 1) * w->last * cell->saved_bytes;
    return (weft_plan_activations){first + (together ? work : cell->again_bytes),
                                   last + (together ? cell->again_bytes : work)};
}

double weft_plan_view_memory(const weft_plan_view *w, weft_plan_activations activations, weft_shard shard)
{
    const weft_plan_software *software = &w->cluster->software;
    double state = weft_plan_state_bytes(software, shard, w->D);
    double first = state * w->parameters + activations.first, last = state * w->last_parameters + activations.last;
    double stage = w->p == 1 && w->v == 1 ? 1 : w->inner / w->v, buffers = 0;
    if (shard == WEFT_SHARD_WEIGHTS && w->D > 1)
        buffers =
            WEFT_PLAN_BUFFERS * (software->weight_bytes + software->gradient_bytes) * stage * w->cell->layer_parameters;
    return (weft_plan_more(first, w->p > 1 ? last : 0) + buffers) * software->slack + w->cluster->reserved;
}
