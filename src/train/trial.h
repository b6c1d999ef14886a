/*
 * A job that is trained for some steps to see what its parts take: passes, norm, update and what lies between two
 * steps as they come in steps, reductions, gathers and messages alone (train/calibrate.h). Internal to train/.
 *
 * Threads: the caller's, workers are threads of this process.
 */
#ifndef WEFT_TRAIN_TRIAL_H
#define WEFT_TRAIN_TRIAL_H

#include "train/job.h"

#include <signal.h>

enum { WEFT_TRIAL_STAGES = 3, WEFT_TRIAL_STEPS = 48 }; /* at most */

/* What a trial found, of a worker; seconds, 0 for what the job has not. */
typedef struct weft_trial {
    /* Of one pass of each stage, from when the pass before it has ended to the end of its own: with what a worker does
     * between two. */
    double forward[WEFT_TRIAL_STAGES], backward[WEFT_TRIAL_STAGES];
    double update, norm; /* of all stages */
    double between;      /* what a step takes outside its program, and METRICS */
    /* Of each stage, alone: its gradients over data-parallel and over tensor-parallel workers, its weights. */
    double reduction[WEFT_TRIAL_STAGES], sum[WEFT_TRIAL_STAGES], gather[WEFT_TRIAL_STAGES];
    double message; /* of the first stage, alone */
    double peak;    /* flops a second */
    double seconds; /* that the trial took, without the measuring of the peak */
    double parameters, stage_parameters[WEFT_TRIAL_STAGES];
} weft_trial;

typedef struct weft_trial_options {
    int64_t steps;                     /* at most; with one alone no pass is timed */
    double seconds;                    /* about how long they may take: there are some in any case */
    double peak_seconds;               /* as weft_train_options */
    bool alone;                        /* reductions, gathers and messages are wanted */
    const volatile sig_atomic_t *stop; /* or NULL */
} weft_trial_options;

/* Reads the data of the job, writes nothing. The backward pass of a stage is that of all micro-batches but the last,
 * beside which gradients are reduced. WEFT_STOPPED. */
weft_status weft_trial_run(const weft_job *job, const weft_trial_options *options, weft_trial *out,
                           weft_error *error) WEFT_CHECKED;

/* Of so many trials of one job, at least 1, the middle of each part, of two the less: what else the machine did while
 * one of them ran does not count. */
void weft_trial_middle(const weft_trial *trials, size_t count, weft_trial *out);

#endif
