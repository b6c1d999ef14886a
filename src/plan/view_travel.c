/* Closed forms of gradients and weights over the workers that share them, and of the optimizer. */
#include "plan/view.h"

enum { BUFFERS = 2 }; /* stages whose weights a rank holds whole where they are sharded */

/* Gradients are reduced stage by stage; what of it is left when compute ends. */
static double exposed_reduction(const weft_plan_view *w, weft_plan_kind kind, double rounds, double reduce)
{
    double v = w->v, stage = w->worst_backward / v;
    if (!w->cluster->software.reduces_overlap) return reduce;
    switch (kind) {
    case WEFT_PLAN_BREADTH_FIRST:
        return weft_plan_more(reduce / v, reduce - (v - 1) * weft_plan_more(w->m, w->p) * stage);
    case WEFT_PLAN_HYBRID:
        return weft_plan_more(reduce / v, reduce - (v - 1) * w->m / rounds * stage);
    case WEFT_PLAN_DEPTH_FIRST:
        return weft_plan_more(reduce / v, reduce - (v - 1) * w->p * stage);
    case WEFT_PLAN_ZB_V: /* its two stages end half a pipeline of weight gradients apart, or a way down and up */
        return weft_plan_more(reduce / v, reduce - w->p / 2 * w->worst_layers * w->layer_weight / v -
                                              weft_plan_more(0, w->p - w->m) * stage);
    default:
        /* A program reduces a stage when its last gradient is there; one stage alone is reduced layer by layer. */
        return w->p > 1 ? reduce
                        : weft_plan_more(reduce / weft_plan_more(1, w->worst_layers), reduce - w->worst_backward);
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
        return weft_plan_more(1, w->m / w->p);
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
    double slowest = weft_plan_more(w->gather, w->reduce) / pieces;
    return weft_plan_more(0, w->gather / pieces - forward) + weft_plan_more(0, slowest - backward);
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
    double busy = (w->p > 1 ? weft_plan_more(w->m, w->p) : w->m) * w->worst;
    double ends = (w->gather + w->reduce) / pieces;
    if (w->p > 1 && w->v <= BUFFERS) ends = w->gather / pieces + exposed_reduction(w, kind, rounds, w->reduce);
    double exposed = weft_plan_more(ends, all - busy);
    if (w->p > 1 && w->v > BUFFERS) {
        double late = late_weights(w, weft_plan_more(w->m / passes, w->p), pieces) * passes * (pieces - 1);
        exposed = weft_plan_more(exposed, ends + late);
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
