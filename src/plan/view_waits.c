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

/* The messages of each loop of groups, of which a larger one hides a part. */
static double come_back(const weft_plan_view *w, double edge)
{
    double spare = weft_plan_smallest_group(w->m, w->p) - w->p, way = w->p * edge;
    return weft_plan_more(0, w->v * way - spare * w->worst_forward) +
           weft_plan_more(0, w->v * way - spare * w->worst_backward);
}

static weft_plan_waits wait_depth_first(const weft_plan_view *w, double edge)
{
    if (w->m < w->p) return wait_short(w, edge);
    return (weft_plan_waits){w->others / w->v, 2 * (w->p - 1) * edge + come_back(w, edge)};
}

static weft_plan_idle mean_passes(const weft_plan_view *w)
{
    double ranks = w->p - 1, F = w->others_forward / ranks, W = w->others_weight / ranks;
    return (weft_plan_idle){F, w->others / ranks - F - W, W, w->others - w->others_weight};
}

/* Where each rank begins its next step as soon as its own is through, two weight gradients a rank fill what would be
 * idle besides its own, or as many as there are micro-batches besides one. */
static double idle_when_chained(const weft_plan_view *w, const weft_plan_idle *x)
{
    double few = x->path - (w->m - 1) * x->W, many = (w->p - 1) * (x->F + x->I - 2 * x->W);
    return weft_plan_more(0, weft_plan_more(few, many));
}

static double idle_zb_h1(const weft_plan_view *w, const weft_plan_idle *x, double m)
{
    return x->path - weft_plan_less(m - 1, w->p - 1) * weft_plan_less(x->I, x->W);
}

static double half_up(double number)
{
    return (double)(int64_t)((number + 1) / 2);
}

static double idle_zb_h2(const weft_plan_view *w, const weft_plan_idle *x, double m)
{
    double later = weft_plan_less(m - 1, 2 * (w->p - 1)), pairs = half_up(later);
    return x->path - weft_plan_less(pairs * x->I, later * x->W);
}

static weft_plan_waits wait_zero_bubble(const weft_plan_view *w, weft_plan_kind kind, double edge)
{
    weft_plan_idle x = mean_passes(w);
    bool chained = w->cluster->software.chains_steps;
    double idle;
    if (chained && (kind == WEFT_PLAN_ZB_H2 || kind == WEFT_PLAN_ZB_V))
        idle = idle_when_chained(w, &x);
    else if (kind == WEFT_PLAN_ZB_H1)
        idle = idle_zb_h1(w, &x, w->m);
    else if (kind == WEFT_PLAN_ZB_H2)
        idle = idle_zb_h2(w, &x, w->m);
    else
        idle = weft_plan_view_idle_on_v(w, &x, kind, 0);
    double messages = 2 * (w->p - 1) * edge;
    bool up_and_down = kind == WEFT_PLAN_V_HALF || kind == WEFT_PLAN_V_MIN;
    if (up_and_down && edge > 0) messages = 2 * messages + weft_plan_view_idle_on_v(w, &x, kind, edge) - idle;
    return (weft_plan_waits){idle, messages};
}

/* Looped stages with split backward: the bubble of zb-h1 or zb-h2, of one stage. Fewer micro-batches than ranks pass
 * all stages once, then the longest again for each but the first, and the weight gradients that are left, which a rank
 * further on begins with earlier but has more of; until that of as many micro-batches as ranks is longer. */
static double idle_split(const weft_plan_view *w, weft_plan_kind kind)
{
    bool breadth = kind == WEFT_PLAN_BREADTH_FIRST_SPLIT;
    weft_plan_idle x = mean_passes(w);
    double m = weft_plan_more(w->m, w->p), idle = (breadth ? idle_zb_h2 : idle_zb_h1)(w, &x, m) / w->v;
    if (w->m >= w->p) return idle;
    double W = w->worst_layers * w->layer_weight / w->v, I = x.I / w->v, pass = (w->worst - w->v * W), left = W;
    double layers = w->worst_layers * (w->layer_forward + w->layer_backward - w->layer_weight) + 2 * w->v * w->blocked;
    double lag = weft_plan_less(w->p - 1, half_up(w->m * w->v) - 1);
    if (breadth) left = weft_plan_more(W, (2 * lag + 1) * W - lag * I);
    double few = x.path + pass + (w->m - 1) * (pass - layers + layers / w->v) + left;
    double fewer = w->worst - (w->v - 1) * w->worst_forward / w->v - W, odd = 0;
    if (breadth && w->v == 2) odd = weft_plan_more(0, 2 * W - I) * (half_up(w->p) - half_up(w->m));
    double many = w->p * w->worst + idle - (w->p - w->m) * fewer - odd;
    return weft_plan_more(few, many) - w->m * w->worst;
}

static weft_plan_waits wait_split(const weft_plan_view *w, weft_plan_kind kind, double edge)
{
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v, idle = idle_split(w, kind);
    if (w->m < w->p) return (weft_plan_waits){idle, wait_short(w, edge).messages};
    if (kind == WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE) return (weft_plan_waits){idle, wait_depth_first(w, edge).messages};
    return (weft_plan_waits){idle, come_round(w, edge, w->m, F) + come_round(w, edge, w->m, B)};
}

static weft_plan_waits wait_by_kind(const weft_plan_view *w, weft_plan_kind kind, double rounds, double edge)
{
    switch (kind) {
    case WEFT_PLAN_DEPTH_FIRST:
        return wait_depth_first(w, edge);
    case WEFT_PLAN_BREADTH_FIRST:
    case WEFT_PLAN_HYBRID:
        return wait_breadth_first(w, edge, w->m / rounds);
    case WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE:
    case WEFT_PLAN_BREADTH_FIRST_SPLIT:
        return wait_split(w, kind, edge);
    case WEFT_PLAN_ZB_H1:
    case WEFT_PLAN_ZB_H2:
    case WEFT_PLAN_ZB_V:
    case WEFT_PLAN_DUALPIPE_V:
    case WEFT_PLAN_V_HALF:
    case WEFT_PLAN_V_MIN:
        return wait_zero_bubble(w, kind, edge);
    case WEFT_PLAN_SEQUENTIAL: /* all other ranks stand still while one is busy */
        return (weft_plan_waits){w->m * w->others, w->m * 2 * (w->p - 1) * edge};
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
    bool counted = kind == WEFT_PLAN_BREADTH_FIRST || kind == WEFT_PLAN_HYBRID ||
                   kind == WEFT_PLAN_BREADTH_FIRST_SPLIT || kind == WEFT_PLAN_SEQUENTIAL;
    if (counted) return found;
    double F = w->worst_forward / w->v, B = w->worst_backward / w->v;
    found.messages += w->m * w->v * (weft_plan_more(0, w->far_edge - F) + weft_plan_more(0, w->far_edge - B));
    return found;
}
