/* Closed forms of a step's schedule, messages, gradients and memory. */
#include "plan/view.h"

enum { BUFFERS = 2 }; /* stages whose weights a rank holds whole where they are sharded */

static double pass_time(const weft_plan_pass *pass)
{
    return pass->device + pass->recompute + pass->tensor + pass->host;
}

static double at_least(double a, double b)
{
    return a > b ? a : b;
}

static double at_most(double a, double b)
{
    return a < b ? a : b;
}

static double message_time(const weft_plan_view *w, double senders, bool far)
{
    const weft_plan_cluster *cluster = w->cluster;
    double gather = w->cell->message_gather;
    if (!far) return gather + w->cell->message_bytes / (0.6 * cluster->gpu.link);
    return gather + cluster->message_start +
           w->cell->message_bytes * senders / (cluster->nic * cluster->nic_efficiency);
}

/* Ranks are placed tensor, context, data, pipeline from the inside out: how many GPUs lie between two stages. */
static void find_edges(weft_plan_view *w, const weft_plan_layout *layout)
{
    double node = w->cluster->gpus_per_node, apart = (double)layout->tensor * layout->context * layout->data;
    double senders = at_most(apart, node), near = message_time(w, senders, false), far = message_time(w, senders, true);
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
        w->first = w->last = w->inner - 1;
    } else if (!whole) {
        double most = (double)((int64_t)even + 1);
        w->inner = at_least(w->v * even, w->v * most - (w->v - 1));
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
    double head_forward = pass_time(&cell->head_forward), head_backward = pass_time(&cell->head_backward);
    double first_forward = w->first * w->layer_forward + pass_time(&cell->embedding_forward);
    double first_backward = w->first * w->layer_backward + pass_time(&cell->embedding_backward);
    if (w->p == 1) {
        take_worst(w, w->first, first_forward + head_forward, first_backward + head_backward);
        return;
    }
    double last_forward = w->last * w->layer_forward + head_forward;
    double last_backward = w->last * w->layer_backward + head_backward;
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
    w->parameters = at_least(w->inner, w->first) * cell->layer_parameters + cell->embedding_parameters;
    w->last_parameters = w->last * cell->layer_parameters + cell->head_parameters;
    if (w->p == 1 && !w->model->tied) w->parameters += cell->head_parameters;
    int32_t members = layout->data * layout->context; /* all of these have the same weights */
    if (members < 2) return;
    double apart = layout->tensor, node = w->cluster->gpus_per_node;
    int32_t in_node = (int32_t)(apart < node ? node / apart : 1), sharing = (int32_t)at_most(apart, node);
    if (in_node > members) in_node = members;
    double bytes = software->reduced_bytes * w->parameters;
    w->reduce = weft_plan_all_reduce(w->cluster, bytes, members, in_node, sharing) / 2 * software->data_reduce;
    w->gather =
        weft_plan_all_reduce(w->cluster, 2 * w->parameters, members, in_node, sharing) / 2 * software->data_reduce;
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
                            .D = (double)layout->data * layout->context,
                            .layer_forward = pass_time(&cell->forward),
                            .layer_weight = pass_time(&cell->backward_weight)};
    out->layer_backward = pass_time(&cell->backward_input) + out->layer_weight;
    find_layers(out, layout);
    find_edges(out, layout);
    weigh_ranks(out);
    weigh_parameters(out, layout);
}

static weft_plan_waits wait_1f1b(const weft_plan_view *w, double edge)
{
    /* The last term: ranks in lock step wait for half of the messages of each micro-batch. */
    return (weft_plan_waits){w->others, 2 * (w->p - 1) * edge + 2 * w->m * edge * 0.5};
}

/* How much longer messages make the loops of one direction: the first micro-batch comes round with all links on its
 * way, or the link is slower than compute. */
static double come_round(const weft_plan_view *w, double edge, double group, double pass)
{
    double slower = edge > 0 ? at_least(0, group * (w->far_edge - pass)) : 0;
    return (w->v - 1) * at_least(slower, w->p * edge - (group - w->p) * pass) + slower + (w->p - 1) * edge;
}

/* Fewer micro-batches than ranks: all stages once, and the longest of them for each micro-batch after the first. */
static weft_plan_waits wait_short(const weft_plan_view *w, double edge)
{
    double layers = w->worst_layers * (w->layer_forward + w->layer_backward) + 2 * w->v * w->blocked;
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v, slower = 0;
    if (edge > 0) slower = (w->m - 1) * (at_least(0, w->far_edge - F) + at_least(0, w->far_edge - B));
    return (weft_plan_waits){w->others - (w->m - 1) * (layers - layers / w->v), 2 * (w->v * w->p - 1) * edge + slower};
}

/* In groups of so many micro-batches, which follow one another without draining. */
static weft_plan_waits wait_breadth_first(const weft_plan_view *w, double edge, double group)
{
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v;
    if (w->m < w->p) return wait_short(w, edge);
    return (weft_plan_waits){w->others / w->v, come_round(w, edge, group, F) + come_round(w, edge, group, B)};
}

static weft_plan_waits wait_depth_first(const weft_plan_view *w, double edge)
{
    if (w->m < w->p) return wait_short(w, edge);
    return (weft_plan_waits){w->others / w->v, 2 * (w->p - 1) * edge + 2 * w->v * w->p * edge};
}

/* One pass of the mean of the other ranks: forward, gradient of the input, of the weights. */
typedef struct idle_passes {
    double F, I, W, path; /* path: how long the first micro-batch is on its way through them and back */
} idle_passes;

static idle_passes mean_passes(const weft_plan_view *w)
{
    double ranks = w->p - 1, F = w->others_forward / ranks, W = w->others_weight / ranks;
    return (idle_passes){F, w->others / ranks - F - W, W, w->others - w->others_weight};
}

/* Where each rank begins its next step as soon as its own is through, `times` weight gradients a rank fill what would
 * be idle, or as many as there are micro-batches besides one. */
static double idle_when_chained(const weft_plan_view *w, const idle_passes *x, double times)
{
    double few = x->path - (w->m - 1) * x->W, many = (w->p - 1) * (x->F + x->I - (times - 1) * x->W);
    return at_least(0, at_least(few, many));
}

static double idle_zb_h1(const weft_plan_view *w, const idle_passes *x)
{
    return x->path - at_most(w->m, w->p) * at_most(x->I, x->W) + at_most(x->I, x->W);
}

static double idle_zb_h2(const weft_plan_view *w, const idle_passes *x)
{
    double later = at_most(w->m - 1, 2 * (w->p - 1)), pairs = (double)(int64_t)((later + 1) / 2);
    return x->path - at_most(pairs * x->I, later * x->W);
}

/* Each rank begins with the first half of its layers, so that passes of later micro-batches fill as well. */
static double idle_zb_v(const weft_plan_view *w, const idle_passes *x)
{
    double most = w->p - 1, heavier = w->worst - w->others / most;
    double each = at_most(x->F, (x->F + x->I) / 2) + heavier;
    double few = x->path - at_most(w->m - 1, most) * each - at_least(0, w->m - w->p) * (x->W + heavier);
    return at_least(few, most * at_least(at_least(x->F, x->I) / 2, x->F + x->I - 3 * x->W));
}

static weft_plan_waits wait_zero_bubble(const weft_plan_view *w, weft_plan_kind kind, double edge)
{
    idle_passes x = mean_passes(w);
    double idle = idle_zb_h1(w, &x);
    if (kind != WEFT_PLAN_ZB_H1 && w->cluster->software.chains_steps)
        idle = idle_when_chained(w, &x, 3);
    else if (kind == WEFT_PLAN_ZB_H2)
        idle = idle_zb_h2(w, &x);
    else if (kind == WEFT_PLAN_ZB_V)
        idle = idle_zb_v(w, &x);
    return (weft_plan_waits){idle, 2 * (w->p - 1) * edge};
}

static weft_plan_waits wait_by_kind(const weft_plan_view *w, weft_plan_kind kind, double rounds, double edge)
{
    switch (kind) {
    case WEFT_PLAN_DEPTH_FIRST:
        return wait_depth_first(w, edge);
    case WEFT_PLAN_BREADTH_FIRST:
    case WEFT_PLAN_HYBRID:
        return wait_breadth_first(w, edge, w->m / rounds);
    case WEFT_PLAN_ZB_H1:
    case WEFT_PLAN_ZB_H2:
    case WEFT_PLAN_ZB_V:
        return wait_zero_bubble(w, kind, edge);
    default:
        return wait_1f1b(w, edge);
    }
}

/* Blocking software stands still for each message of each stage: that is in the passes, and in the fill as well. Ranks
 * go in lock step with the pair that has the slowest edge. */
static weft_plan_waits wait_blocking(const weft_plan_view *w, weft_plan_kind kind, double rounds)
{
    double each = w->edge + w->cluster->software.stall / 2, slowest = w->far_edge + w->cluster->software.stall / 2;
    weft_plan_view longer = *w;
    longer.blocked = each;
    longer.worst_forward += w->v * each;
    longer.worst_backward += w->v * each;
    longer.worst += 2 * w->v * each;
    longer.others += (w->p - 1) * 2 * w->v * each;
    longer.others_forward += (w->p - 1) * w->v * each;
    weft_plan_waits all = wait_by_kind(&longer, kind, rounds, 0), bare = wait_by_kind(w, kind, rounds, 0);
    return (weft_plan_waits){bare.bubble, all.bubble - bare.bubble + 2 * w->m * w->v * slowest};
}

weft_plan_waits weft_plan_view_waits(const weft_plan_view *w, weft_plan_kind kind, double rounds)
{
    if (w->p < 2) return (weft_plan_waits){0, 0};
    if (!w->cluster->software.messages_overlap) return wait_blocking(w, kind, rounds);
    weft_plan_waits found = wait_by_kind(w, kind, rounds, w->edge);
    if (kind == WEFT_PLAN_BREADTH_FIRST || kind == WEFT_PLAN_HYBRID) return found;
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v;
    found.messages += w->m * w->v * (at_least(0, w->far_edge - F) + at_least(0, w->far_edge - B));
    return found;
}

/* Gradients are reduced stage by stage; what of it is left when compute ends. */
static double exposed_reduction(const weft_plan_view *w, weft_plan_kind kind, double rounds, double reduce)
{
    double v = w->v, stage = w->worst_backward / v;
    if (!w->cluster->software.reduces_overlap) return reduce;
    switch (kind) {
    case WEFT_PLAN_BREADTH_FIRST:
        return at_least(reduce / v, reduce - (v - 1) * at_least(w->m, w->p) * stage);
    case WEFT_PLAN_HYBRID:
        return at_least(reduce / v, reduce - (v - 1) * w->m / rounds * stage);
    case WEFT_PLAN_DEPTH_FIRST:
        return at_least(reduce / v, reduce - (v - 1) * w->p * stage);
    case WEFT_PLAN_ZB_V: /* its two stages end half a pipeline of weight gradients apart */
        return at_least(reduce / v, reduce - w->p / 2 * w->worst_layers * w->layer_weight / v);
    default:
        /* A program reduces a stage when its last gradient is there; one stage alone is reduced layer by layer. */
        return w->p > 1 ? reduce : at_least(reduce / at_least(1, w->worst_layers), reduce - w->worst_backward);
    }
}

/* How often the gradients of all stages of a rank go in a step. */
static double passes_over_weights(const weft_plan_view *w, weft_plan_kind kind, double rounds)
{
    if (w->p > 1 && w->v <= BUFFERS) return 1;
    switch (kind) {
    case WEFT_PLAN_BREADTH_FIRST:
        return 1;
    case WEFT_PLAN_HYBRID:
        return rounds;
    case WEFT_PLAN_DEPTH_FIRST:
        return at_least(1, w->m / w->p);
    default:
        return w->m;
    }
}

/* How often weights come: forward and backward, less what is in a buffer still where the order turns round. */
static double passes_of_gathers(const weft_plan_view *w, weft_plan_kind kind, double passes)
{
    if (w->p > 1 && w->v <= BUFFERS) return 1;
    return kind == WEFT_PLAN_BREADTH_FIRST ? 2 - BUFFERS / w->v : 2 * passes;
}

/* What the weights and gradients of one stage take longer than its passes of a group of micro-batches. */
static double late_weights(const weft_plan_view *w, double group, double pieces)
{
    double forward = group * w->worst_forward / w->v, backward = group * w->worst_backward / w->v;
    double slowest = at_least(w->gather, w->reduce) / pieces;
    return at_least(0, w->gather / pieces - forward) + at_least(0, slowest - backward);
}

weft_plan_travel weft_plan_view_travel(const weft_plan_view *w, weft_plan_kind kind, double rounds, weft_shard shard)
{
    double contention = w->cluster->software.contention;
    if (w->D < 2) return (weft_plan_travel){0, 0};
    if (shard != WEFT_SHARD_WEIGHTS) {
        double reduce = shard == WEFT_SHARD_NONE ? 2 * w->reduce : w->reduce;
        double exposed = exposed_reduction(w, kind, rounds, reduce);
        return (weft_plan_travel){exposed + contention * (reduce - exposed), shard == WEFT_SHARD_NONE ? 0 : w->gather};
    }
    double passes = passes_over_weights(w, kind, rounds), gathers = passes_of_gathers(w, kind, passes) * w->gather,
           reductions = passes * w->reduce, all = gathers + reductions;
    double pieces = w->p == 1 ? w->model->layers : w->v;
    double busy = (w->p > 1 ? at_least(w->m, w->p) : w->m) * w->worst;
    double ends = (w->gather + w->reduce) / pieces;
    if (w->p > 1 && w->v <= BUFFERS) ends = w->gather / pieces + exposed_reduction(w, kind, rounds, w->reduce);
    double exposed = at_least(ends, all - busy);
    if (w->p > 1 && w->v > BUFFERS) {
        double late = late_weights(w, at_least(w->m / passes, w->p), pieces) * passes * (pieces - 1);
        exposed = at_least(exposed, ends + late);
    }
    if (!w->cluster->software.reduces_overlap) exposed = all;
    double share = (exposed + contention * (all - exposed)) / all;
    return (weft_plan_travel){share * reductions, share * gathers};
}

double weft_plan_view_optimizer(const weft_plan_view *w, weft_shard shard)
{
    const weft_plan_gpu *gpu = &w->cluster->gpu;
    double parameters = w->parameters / (shard == WEFT_SHARD_NONE ? 1 : w->D);
    return w->cluster->software.optimizer * parameters / (gpu->bandwidth * gpu->traffic);
}

double weft_plan_held(weft_plan_kind kind, double m, double p, double v, double rounds, double i)
{
    switch (kind) {
    case WEFT_PLAN_NONE:
        return 1;
    case WEFT_PLAN_1F1B:
        return at_most(m, p - i);
    case WEFT_PLAN_DEPTH_FIRST:
        return at_most(m * v, p * (v - 1) + 2 * (p - i) - 1) / v;
    case WEFT_PLAN_ZB_H1:
    case WEFT_PLAN_ZB_V:
        return at_most(m, p);
    case WEFT_PLAN_ZB_H2:
        return at_most(m, 2 * p - 1);
    case WEFT_PLAN_HYBRID:
        return at_most(m, m / rounds + p); /* the next round begins before the one before is through */
    default:
        return m;
    }
}

double weft_plan_state_bytes(const weft_plan_software *software, weft_shard shard, double data)
{
    return software->weight_bytes / (shard >= WEFT_SHARD_WEIGHTS ? data : 1) +
           software->gradient_bytes / (shard >= WEFT_SHARD_GRADIENTS ? data : 1) +
           software->optimizer_bytes / (shard >= WEFT_SHARD_OPTIMIZER ? data : 1);
}

double weft_plan_view_memory(const weft_plan_view *w, weft_plan_kind kind, double rounds, weft_shard shard)
{
    const weft_plan_software *software = &w->cluster->software;
    const weft_plan_cell *cell = w->cell;
    double state = weft_plan_state_bytes(software, shard, w->D), work = at_least(cell->again_bytes, cell->logits_bytes);
    double first_held = weft_plan_held(kind, w->m, w->p, w->v, rounds, 0);
    double last_held = weft_plan_held(kind, w->m, w->p, w->v, rounds, w->p - 1);
    double first = state * w->parameters + first_held * w->inner * cell->saved_bytes;
    double last = state * w->last_parameters + last_held * w->last * cell->saved_bytes + work;
    first += w->p == 1 ? work : cell->again_bytes;
    double stage = w->p == 1 && w->v == 1 ? 1 : w->inner / w->v, buffers = 0;
    if (shard == WEFT_SHARD_WEIGHTS && w->D > 1)
        buffers = 2 * (software->weight_bytes + software->gradient_bytes) * stage * cell->layer_parameters;
    return (at_least(first, w->p > 1 ? last : 0) + buffers) * software->slack + w->cluster->reserved;
}
