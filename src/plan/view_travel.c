/* Closed forms of gradients and weights over the workers that share them, and of the optimizer. */
#include "plan/view.h"

/* Of a v: a rank's stages are twice as far apart as it is from the turn, and it ends by so much before the first rank
 * as it is from that; in zb-v weight gradients go there, which are left to the end. */
static double apart_on_v(const weft_plan_view *w, weft_plan_kind kind)
{
    double I = w->layer_backward - w->layer_weight, half = w->layer_weight / 2, layer = I;
    double full = weft_plan_more(0, weft_plan_less(1, (w->m - w->p) / (w->p - 1)));
    if (kind == WEFT_PLAN_ZB_V) layer = I + full * (half - I);
    return w->p * w->worst_layers * layer / w->v;
}

/* From the last gradient of one stage of a rank to that of its next one. */
static double stages_apart(const weft_plan_view *w, weft_plan_kind kind, double rounds)
{
    double stage = w->worst_backward / w->v;
    switch (kind) {
    case WEFT_PLAN_BREADTH_FIRST:
    case WEFT_PLAN_BREADTH_FIRST_SPLIT:
        return weft_plan_more(w->m, w->p) * stage;
    case WEFT_PLAN_HYBRID:
        return w->m / rounds * stage;
    case WEFT_PLAN_DEPTH_FIRST:
    case WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE: /* the last group is one of the smallest */
        return weft_plan_more(w->p, weft_plan_smallest_group(w->m, w->p)) * stage;
    default:
        return apart_on_v(w, kind);
    }
}

/* By how much a rank that is `behind` passes late with its weight gradients ends before the last. */
static double ends_early(const weft_plan_view *w, double rank, double behind, bool breadth)
{
    double W = w->worst_layers * w->layer_weight / w->v;
    double I = w->worst_layers * (w->layer_backward - w->layer_weight) / w->v, left = behind * W;
    if (breadth && w->m >= w->p) {
        double later = weft_plan_less(w->m - 1, behind), pairs = (double)(int64_t)((later + 1) / 2);
        left = weft_plan_less(pairs * I, later * W);
    }
    return weft_plan_more(0, rank * I - left);
}

/* Where weight gradients are late, by a pass or two for each rank before, several stages of a rank may end with it: on
 * the first of the ranks where all do that, or on the last rank. */
static double exposed_split(const weft_plan_view *w, weft_plan_kind kind, double reduce)
{
    bool breadth = kind == WEFT_PLAN_BREADTH_FIRST_SPLIT;
    double group = breadth ? w->m : weft_plan_smallest_group(w->m, w->p), each = breadth ? 2 : 1;
    double rank = weft_plan_less(w->p - 1, (double)(int64_t)((w->v * w->m - 1 + each - 1) / each));
    double behind = weft_plan_less(each * rank, w->v * w->m - 1), passes = (w->v - 1) * group;
    double W = w->worst_layers * w->layer_weight / w->v, stage = w->worst_backward / w->v;
    double late = weft_plan_less(behind, passes), ended = (double)(int64_t)(late / group);
    double all = late * W + (passes - late) * stage * weft_plan_more(1, w->p / group);
    double some = reduce * (ended + 1) / w->v - ended * group * W;
    return weft_plan_more(reduce - all, some) - ends_early(w, rank, behind, breadth);
}

/* Gradients are reduced stage by stage; what of it is left when compute ends. */
static double exposed_reduction(const weft_plan_view *w, weft_plan_kind kind, double rounds, double reduce)
{
    if (!w->cluster->software.reduces_overlap) return reduce;
    double first = weft_plan_more(reduce / w->v, reduce - (w->v - 1) * stages_apart(w, kind, rounds));
    if (kind == WEFT_PLAN_BREADTH_FIRST_SPLIT || kind == WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE)
        return weft_plan_more(first, exposed_split(w, kind, reduce));
    if (w->v > 1) return first;
    /* A program reduces a stage when its last gradient is there; one stage alone is reduced layer by layer. */
    return w->p > 1 ? reduce : weft_plan_more(reduce / weft_plan_more(1, w->worst_layers), reduce - w->worst_backward);
}

/* How often the gradients of all stages of a rank go in a step. */
static double passes_over_weights(const weft_plan_view *w, weft_plan_kind kind, double rounds)
{
    if (w->p > 1 && w->v <= WEFT_PLAN_BUFFERS) return 1;
    switch (kind) {
    case WEFT_PLAN_BREADTH_FIRST:
    case WEFT_PLAN_BREADTH_FIRST_SPLIT:
        return 1;
    case WEFT_PLAN_HYBRID:
        return rounds;
    case WEFT_PLAN_DEPTH_FIRST:
    case WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE:
        return weft_plan_more(1, w->m / w->p);
    default:
        return w->m;
    }
}

/* How often weights come: forward and backward, less what is in a buffer still where the order turns round. */
static double passes_of_gathers(const weft_plan_view *w, weft_plan_kind kind, double passes)
{
    if (w->p > 1 && w->v <= WEFT_PLAN_BUFFERS) return 1;
    bool breadth = kind == WEFT_PLAN_BREADTH_FIRST || kind == WEFT_PLAN_BREADTH_FIRST_SPLIT;
    return breadth ? 2 - WEFT_PLAN_BUFFERS / w->v : 2 * passes;
}

/* What the weights and gradients of one stage take longer than its passes of a group of micro-batches. */
static double late_weights(const weft_plan_view *w, double group, double pieces)
{
    double forward = group * w->worst_forward / w->v, backward = group * w->worst_backward / w->v;
    double slowest = weft_plan_more(w->gather, w->reduce) / pieces;
    return weft_plan_more(0, w->gather / pieces - forward) + weft_plan_more(0, slowest - backward);
}

double weft_plan_view_tied(const weft_plan_view *w, weft_shard shard)
{
    return shard == WEFT_SHARD_NONE ? w->tied : w->tied_share;
}

static weft_plan_travel travel_of_data(const weft_plan_view *w, weft_plan_kind kind, double rounds, weft_shard shard)
{
    double contention = w->cluster->software.contention;
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
    if (w->p > 1 && w->v <= WEFT_PLAN_BUFFERS)
        ends = w->gather / pieces + exposed_reduction(w, kind, rounds, w->reduce);
    double exposed = weft_plan_more(ends, all - busy);
    if (w->p > 1 && w->v > WEFT_PLAN_BUFFERS) {
        double late = late_weights(w, weft_plan_more(w->m / passes, w->p), pieces) * passes * (pieces - 1);
        exposed = weft_plan_more(exposed, ends + late);
    }
    if (!w->cluster->software.reduces_overlap) exposed = all;
    double share = (exposed + contention * (all - exposed)) / all;
    return (weft_plan_travel){share * reductions, share * gathers};
}

weft_plan_travel weft_plan_view_travel(const weft_plan_view *w, weft_plan_kind kind, double rounds, weft_shard shard)
{
    weft_plan_travel found = {0, 0};
    if (w->D >= 2) found = travel_of_data(w, kind, rounds, shard);
    found.gradients += w->sums + weft_plan_view_tied(w, shard);
    return found;
}

double weft_plan_view_optimizer(const weft_plan_view *w, weft_shard shard)
{
    const weft_plan_gpu *gpu = &w->cluster->gpu;
    double parameters = w->parameters / (shard == WEFT_SHARD_NONE ? 1 : w->D);
    return w->cluster->software.optimizer * parameters / (gpu->bandwidth * gpu->traffic);
}
