/* Closed forms of the bubble and of the messages of each schedule: docs/plan.md. */
#include "plan/view.h"

static weft_plan_waits wait_1f1b(const weft_plan_view *w, double edge)
{
    /* The last term: ranks in lock step wait for half of the messages of each micro-batch. */
    return (weft_plan_waits){w->others, 2 * (w->p - 1) * edge + 2 * w->m * edge * 0.5};
}

/* How much longer messages make the loops of one direction: the first micro-batch comes round with all links on its
 * way, or the link is slower than compute. */
static double come_round(const weft_plan_view *w, double edge, double group, double pass)
{
    double slower = edge > 0 ? weft_plan_more(0, group * (w->far_edge - pass)) : 0;
    return (w->v - 1) * weft_plan_more(slower, w->p * edge - (group - w->p) * pass) + slower + (w->p - 1) * edge;
}

/* Fewer micro-batches than ranks: all stages once, and the longest of them for each micro-batch after the first. */
static weft_plan_waits wait_short(const weft_plan_view *w, double edge)
{
    double layers = w->worst_layers * (w->layer_forward + w->layer_backward) + 2 * w->v * w->blocked;
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v, slower = 0;
    if (edge > 0) slower = (w->m - 1) * (weft_plan_more(0, w->far_edge - F) + weft_plan_more(0, w->far_edge - B));
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

/* Where each rank begins its next step as soon as its own is through, two weight gradients a rank fill what would be
 * idle besides its own, or as many as there are micro-batches besides one. */
static double idle_when_chained(const weft_plan_view *w, const idle_passes *x)
{
    double few = x->path - (w->m - 1) * x->W, many = (w->p - 1) * (x->F + x->I - 2 * x->W);
    return weft_plan_more(0, weft_plan_more(few, many));
}

static double idle_zb_h1(const weft_plan_view *w, const idle_passes *x)
{
    return x->path - weft_plan_less(w->m - 1, w->p - 1) * weft_plan_less(x->I, x->W);
}

static double idle_zb_h2(const weft_plan_view *w, const idle_passes *x)
{
    double later = weft_plan_less(w->m - 1, 2 * (w->p - 1)), pairs = (double)(int64_t)((later + 1) / 2);
    return x->path - weft_plan_less(pairs * x->I, later * x->W);
}

/* Each rank begins with the first half of its layers, so that passes of later micro-batches fill as well. Where the
 * first rank, which has the head, has more to do than the others, it waits less for them, down to a point. These are
 * fitted to simulations. */
static double idle_zb_v(const weft_plan_view *w, const idle_passes *x)
{
    double others = w->p - 1, half = (x->F + x->I + x->W) / 2, heavier = weft_plan_more(0, w->worst - 2 * half);
    double early = weft_plan_less(w->m - 1, others), late = weft_plan_more(0, w->m - w->p);
    double few = x->path - early * weft_plan_less(x->F, (x->F + x->I) / 2) - late * x->W;
    double pass = weft_plan_more(weft_plan_more(x->F, x->I) / 2, weft_plan_more(x->I - x->W, x->F + x->I - 3 * x->W));
    double alone = (w->p / 2 - 1) * x->W + others * weft_plan_more(0, x->I / 2 - x->W);
    double most_filled = weft_plan_more(alone, x->path - early * half - late * (half - x->W));
    return weft_plan_more(weft_plan_more(few, others * pass) - (w->m - 1) * heavier, most_filled);
}

static weft_plan_waits wait_zero_bubble(const weft_plan_view *w, weft_plan_kind kind, double edge)
{
    idle_passes x = mean_passes(w);
    double idle = idle_zb_h1(w, &x);
    if (kind != WEFT_PLAN_ZB_H1 && w->cluster->software.chains_steps)
        idle = idle_when_chained(w, &x);
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
    found.messages += w->m * w->v * (weft_plan_more(0, w->far_edge - F) + weft_plan_more(0, w->far_edge - B));
    return found;
}
