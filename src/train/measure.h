/*
 * This machine as a cluster for the planner: what a layer, the edges, messages, reductions and the update of a model
 * take here, for every tensor width and size of a micro-batch that a plan may ask for. Each is a trial (train/trial.h)
 * of a job with few layers whose workers all compute at the same time, as in training.
 *
 * Reads the data of the configuration; writes nothing.  Threads: the caller's, workers are threads of this process.
 */
#ifndef WEFT_TRAIN_MEASURE_H
#define WEFT_TRAIN_MEASURE_H

#include "plan/machine.h"
#include "train/job.h"

#include <signal.h>

typedef struct weft_measuring {
    const weft_config *config; /* model, device, element, threads and data count, not its layout */
    int32_t workers;           /* of this machine, all at work */
    int64_t batch;             /* sequences of a step: its divisors are sizes of micro-batches */
    /* About how long. Of each width the smallest size is timed in any case; one that half of the time does not suffice
     * for is scaled by tokens from a smaller one. In the other half all are timed again: the middle counts. */
    double seconds;
    const volatile sig_atomic_t *stop;                          /* or NULL */
    void (*progress)(void *context, int32_t done, int32_t all); /* sizes; or NULL */
    void *context;
} weft_measuring;

/* Bytes that each of so many workers of this machine may use: config's limit, or an even share of the memory, that of
 * its devices where they have their own. */
double weft_measure_room(const weft_config *config, int32_t workers);

/* Times are taken from arena. WEFT_INVALID where no worker can be measured, as weft_job_create and weft_train;
 * WEFT_STOPPED. */
weft_status weft_measure(const weft_measuring *measuring, weft_arena *arena, weft_plan_cluster *out,
                         weft_error *error) WEFT_CHECKED;

#endif
