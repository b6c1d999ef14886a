/*
 * Calibration: the constants of a cluster and its software from measured runs of it.
 *
 * Owns: what it found of shapes.  Lifetime: fit to fini; the fitted cluster borrows from it.
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_FIT_H
#define WEFT_PLAN_FIT_H

#include "plan/cost.h"
#include "plan/runs.h"

enum { WEFT_PLAN_TIME_CONSTANTS = 8, WEFT_PLAN_MEMORY_CONSTANTS = 4 };

typedef struct weft_plan_constant {
    const char *name, *unit;
    double before, after; /* in this unit */
    bool at_bound;        /* a sign that it stands for something else */
} weft_plan_constant;

/* What one of the two, step times or peaks of memory, was fitted to. */
typedef struct weft_plan_fitted {
    size_t used, unusable; /* rows */
    size_t foreign;        /* of those used, such as name another kind of GPU than the cluster's */
    double error;          /* mean absolute relative error over the rows used */
} weft_plan_fitted;

typedef struct weft_plan_fit {
    weft_plan_constant times[WEFT_PLAN_TIME_CONSTANTS], memories[WEFT_PLAN_MEMORY_CONSTANTS];
    weft_plan_fitted time, memory; /* the constants of one that used no row are as they were */
    weft_plan_shape_times *shapes; /* (shape_count) by hidden, tokens, tensor */
    int32_t shape_count;
} weft_plan_fit;

/* Fits to the rows whose time can be predicted, by least squares of the logarithm of the step, each constant pulled to
 * what the cluster has; also tries whether messages and reductions overlap. What is left of the layers of each shape
 * becomes that shape's own factor. Then the same for the rows that say their memory. The kind
 * of GPU and the GPUs of a node are each row's own, where it names them; the cluster counts as measured when one of its
 * own kind is among them. WEFT_INVALID when no row is usable. */
weft_status weft_plan_fit_runs(const weft_plan_run *runs, size_t count, weft_plan_cluster *cluster, weft_plan_fit *out,
                               weft_error *error) WEFT_CHECKED;
void weft_plan_fit_fini(weft_plan_fit *fit);

/* Whether the time, or the memory, of a run can be predicted and was measured. */
bool weft_plan_run_has_time(const weft_plan_run *run);
bool weft_plan_run_has_memory(const weft_plan_run *run);

/* The step of one run by closed forms, seconds. */
double weft_plan_run_step(const weft_plan_cluster *cluster, const weft_plan_run *run);

/* Bytes of its fullest GPU, of the kind that the run was measured in: what is allocated is without context and slack.
 */
double weft_plan_run_memory(const weft_plan_cluster *cluster, const weft_plan_run *run);

#endif
