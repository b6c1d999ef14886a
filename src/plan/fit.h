/*
 * Calibration: the constants of a cluster and its software from measured runs of it.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_FIT_H
#define WEFT_PLAN_FIT_H

#include "plan/cost.h"
#include "plan/runs.h"

enum { WEFT_PLAN_FITTED_CONSTANTS = 7 };

typedef struct weft_plan_constant {
    const char *name, *unit;
    double before, after; /* in this unit */
    bool at_bound;        /* a sign that it stands for something else */
} weft_plan_constant;

typedef struct weft_plan_fit {
    weft_plan_constant constants[WEFT_PLAN_FITTED_CONSTANTS];
    size_t used, unusable; /* rows */
    double error;          /* mean absolute relative error of the step over the rows used */
} weft_plan_fit;

/* Fits to the rows whose time can be predicted, by least squares of the logarithm of the step, each constant pulled to
 * what the cluster has; also tries whether messages and reductions overlap. The kind of GPU and the GPUs of a node are
 * each row's own, where it names them. WEFT_INVALID when no row is usable. */
weft_status weft_plan_fit_runs(const weft_plan_run *runs, size_t count, weft_plan_cluster *cluster, weft_plan_fit *out,
                               weft_error *error) WEFT_CHECKED;

/* The cluster of one run: as given, with the run's own kind of GPU and GPUs of a node. */
void weft_plan_run_cluster(const weft_plan_cluster *cluster, const weft_plan_run *run, weft_plan_cluster *out);

/* The step of one run by closed forms, seconds. */
double weft_plan_run_step(const weft_plan_cluster *cluster, const weft_plan_run *run);

#endif
