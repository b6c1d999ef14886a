/*
 * A cell at one pipeline length, number of loops and data width: what the closed forms of all its schedules and shards
 * share. Internal to plan/.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_VIEW_H
#define WEFT_PLAN_VIEW_H

#include "plan/cost.h"
#include "program/program.h"

/* Seconds and layers of one micro-batch; a rank is one worker of a tensor group. */
typedef struct weft_plan_view {
    const weft_plan_model *model;
    const weft_plan_cluster *cluster;
    const weft_plan_cell *cell;
    double p, v, m, D;                                         /* D: workers with the same weights, data x context */
    bool turns;                                                /* the last stage is on the first rank */
    double layer_forward, layer_backward, layer_weight;        /* of one layer; weight is part of backward */
    double first, inner, last;                                 /* layers of these ranks */
    double worst_layers, worst_forward, worst_backward, worst; /* of the rank that has most to do */
    double others;                                             /* of all other ranks together */
    double others_forward, others_weight;                      /* what of that is forward, gradients of weights */
    double blocked;          /* what of each pass of a stage is standing still for a message */
    double edge, far_edge;   /* one message: the mean over the edges of the pipeline, the slowest */
    double near_edge;        /* one within a node */
    double parameters;       /* of one GPU of the rank that has most */
    double reduce, gather;   /* one reduction of its gradients over the data-parallel workers, one gather */
    double sums;             /* once a step: what its tensor group adds up */
    double tied, tied_share; /* the exchange of the gradient that first and last stage share: whole, a share of it */
    double last_parameters;  /* of one GPU of the last rank */
} weft_plan_view;

static inline double weft_plan_more(double a, double b)
{
    return a > b ? a : b;
}

static inline double weft_plan_less(double a, double b)
{
    return a < b ? a : b;
}

/* Of the layout's kind, rounds and shard counts only whether the kind is on a v. */
void weft_plan_view_make(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                         const weft_plan_layout *layout, weft_plan_view *out);

/* What a step takes beyond the passes of the rank that has most to do. */
typedef struct weft_plan_waits {
    double bubble, messages;
} weft_plan_waits;
weft_plan_waits weft_plan_view_waits(const weft_plan_view *view, weft_plan_kind kind, double rounds);

/* One pass of the mean of the ranks but the one that has most to do: forward, gradient of the input, of the weights. */
typedef struct weft_plan_idle {
    double F, I, W, path; /* path: how long the first micro-batch is on its way through them and back */
} weft_plan_idle;

/* The bubble of a kind on a v, with those messages of later micro-batches that a rank has to wait for, each so long. */
double weft_plan_view_idle_on_v(const weft_plan_view *view, const weft_plan_idle *others, weft_plan_kind kind,
                                double edge);

typedef struct weft_plan_travel {
    double gradients, weights; /* seconds that a step is longer for them */
} weft_plan_travel;
weft_plan_travel weft_plan_view_travel(const weft_plan_view *view, weft_plan_kind kind, double rounds,
                                       weft_shard shard);

/* Of that exchange, what a layout with such shards has. */
double weft_plan_view_tied(const weft_plan_view *view, weft_shard shard);

double weft_plan_view_optimizer(const weft_plan_view *view, weft_shard shard);

/* Bytes of activations and workspace of the first and the last rank. */
typedef struct weft_plan_activations {
    double first, last;
} weft_plan_activations;
weft_plan_activations weft_plan_view_activations(const weft_plan_view *view, weft_plan_kind kind, double rounds);

/* Bytes of the rank that needs most where all ranks have as many layers: the first or the last. */
double weft_plan_view_memory(const weft_plan_view *view, weft_plan_activations activations, weft_shard shard);

/* Micro-batches of all layers of rank i that are held at once, at most. */
double weft_plan_held(weft_plan_kind kind, double m, double p, double v, double rounds, double i);

/* Micro-batches of the smallest and the largest group, where they go in groups of P or a few more. */
static inline double weft_plan_smallest_group(double m, double p)
{
    return (double)(int64_t)(m / weft_plan_more(1, (double)(int64_t)(m / p)));
}

static inline double weft_plan_largest_group(double m, double p)
{
    double smallest = weft_plan_smallest_group(m, p);
    return smallest * weft_plan_more(1, (double)(int64_t)(m / p)) < m ? smallest + 1 : smallest;
}

/* All parameters of a GPU for bytes of weights, gradients and optimizer. */
double weft_plan_state_bytes(const weft_plan_software *software, weft_shard shard, double data);

/* Seconds of each stage, (S) each, the caller's: what the simulation of a layout takes as costs. messages: from a stage
 * to the next. Where software reduces gradients after compute, gathers and reductions are 0. */
typedef struct weft_plan_stage_costs {
    double *forward, *backward_input, *backward_weight, *update, *gathers, *reductions, *sums, *messages;
} weft_plan_stage_costs;
void weft_plan_stages(const weft_plan_view *view, const weft_plan_layout *layout, const int32_t *stage_rank,
                      const int32_t *layers, weft_plan_stage_costs *out);

#endif
