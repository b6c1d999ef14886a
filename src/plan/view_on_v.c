/*
 * Bubbles of the schedules with two stages a rank on a v. A micro-batch is on its way as long as in 1f1b, x.path beside
 * the rank that has most to do, which is the first: it has embedding and head. What later micro-batches fill of that is
 * counted here. Times of a stage are half a rank's. The forms were found by simulating the programs: each term is a
 * whole number of passes, and they stand in docs/plan.md.
 */
#include "plan/view.h"

#include <math.h>

/* Of one stage of the mean rank, and what the first rank has more to do for each micro-batch. */
typedef struct on_v {
    double F, I, W, path, head_forward, head;
    double m, p, edge; /* edge: one message */
} on_v;

static on_v halves(const weft_plan_view *w, const weft_plan_idle *x, double edge)
{
    return (on_v){.F = x->F / 2,
                  .I = x->I / 2,
                  .W = x->W / 2,
                  .path = x->path,
                  .head_forward = weft_plan_more(0, w->worst_forward - x->F),
                  .head = weft_plan_more(0, w->worst - x->F - x->I - x->W),
                  .m = w->m,
                  .p = w->p,
                  .edge = edge};
}

/* Each rank begins with the first half of its layers, so that passes of later micro-batches fill as well. Where the
 * first rank has more to do than the others, it waits less for them, down to a point. */
static double idle_zb_v(const on_v *x)
{
    double others = x->p - 1, half = x->F + x->I + x->W;
    double early = weft_plan_less(x->m - 1, others), late = weft_plan_more(0, x->m - x->p);
    double few = x->path - early * weft_plan_less(2 * x->F, x->F + x->I) - late * 2 * x->W;
    double pass = weft_plan_more(weft_plan_more(x->F, x->I), 2 * weft_plan_more(x->I - x->W, x->F + x->I - 3 * x->W));
    double alone = (x->p - 2) * x->W + others * weft_plan_more(0, x->I - 2 * x->W);
    double most_filled = weft_plan_more(alone, x->path - early * half - late * (half - 2 * x->W));
    return weft_plan_more(weft_plan_more(few, others * pass) - (x->m - 1) * x->head, most_filled);
}

/* All but the ends is in pairs; the last rank turns round with one micro-batch after the other. */
static double idle_dualpipe_v(const on_v *x)
{
    double others = x->p - 1;
    double even = weft_plan_more(others * (x->F + x->I - x->W), others * (2 * x->I - x->W) - x->F);
    return weft_plan_more(even - (x->m - 2) * x->head, others * (x->I - x->W));
}

/* The first half as many micro-batches as ranks fill; those after them cost what I is longer than F and W, by which the
 * steps of the building block, made for passes of one length, are out of step. */
static double idle_v_half(const on_v *x)
{
    double half = floor(x->p / 2), early = weft_plan_less(x->m - 1, half), late = weft_plan_more(0, x->m - 1 - half);
    bool even = x->p == 2 * half;
    double each = 2 * (x->I - x->F - x->W), beyond = x->p < 4 ? each : each + x->W;
    double idle = x->path - x->W + early * (each - x->head), most_filled;
    if (x->p > 3) idle += late * x->edge;
    if (even) {
        if (x->m > 1) idle += weft_plan_more(0, 3 * x->F - x->I - x->head); /* it waits where it turns round */
        idle += late * weft_plan_more(beyond - x->head_forward, -x->head);
        most_filled =
            x->path - weft_plan_less(x->m - 1, half - 1) * (x->F + x->I) - weft_plan_less(x->m, half + 1) * x->W;
    } else {
        double least = weft_plan_less(2 * x->m - 1, x->m + half);
        idle += late * (weft_plan_more(beyond, 0) - x->head);
        most_filled = x->path - weft_plan_less(least, 3 * half + 1) * x->W;
    }
    return weft_plan_more(idle, most_filled);
}

/* It has no room to run ahead: each micro-batch takes six I where those are the longest passes, or what the first rank
 * has to do and the waits that no room is left to fill. */
static double idle_v_min(const on_v *x)
{
    double third = floor(x->p / 3), rest = x->p - 3 * third, later = x->m - 1;
    double idle = x->path - x->W - later * (2 * (x->F + x->I + x->W) + x->head);
    double wait = x->F + x->I - 2 * x->W, turned = 2 * x->I - x->F - x->W, fixed, each = wait + 3 * x->edge;
    if (rest == 0) {
        double turn = weft_plan_more(4 * x->F - 2 * x->I, x->F) - x->head;
        idle += later * (x->head - x->head_forward) + (x->m > 1 ? weft_plan_more(0, turn) : 0);
        fixed = (5 * third - 2) * (x->F + x->I) + (third + 1) * x->W;
    } else if (rest == 1) {
        fixed = (2 * x->p - 3) * (x->F + x->I) + x->W;
    } else {
        fixed = (8 * third + 3) * x->F + third * (5 * x->I - x->W);
        each = weft_plan_more(wait, turned) + (x->p > 3 ? 2 : 1) * x->edge;
    }
    idle += later * (6 * x->I + (6 - 9 / x->p) * x->edge);
    if (x->p < 3) idle = fixed; /* two ranks wait for each other as long, whatever the first has to do */
    return x->m > 1 ? weft_plan_more(idle, fixed + x->m * each) : x->path - x->W;
}

double weft_plan_view_idle_on_v(const weft_plan_view *view, const weft_plan_idle *others, weft_plan_kind kind,
                                double edge)
{
    on_v x = halves(view, others, edge);
    switch (kind) {
    case WEFT_PLAN_DUALPIPE_V:
        return idle_dualpipe_v(&x);
    case WEFT_PLAN_V_HALF:
        return idle_v_half(&x);
    case WEFT_PLAN_V_MIN:
        return idle_v_min(&x);
    default:
        return idle_zb_v(&x);
    }
}
