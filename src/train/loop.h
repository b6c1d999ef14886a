/*
 * The step loop of one worker: batches, steps, evaluation, checkpoints, what the observer is told. Internal to train/.
 *
 * Threads: run and fini by the worker's thread (crew.h).
 */
#ifndef WEFT_TRAIN_LOOP_H
#define WEFT_TRAIN_LOOP_H

#include "train/train.h"
#include "train/worker.h"

/* What ranks tell each other after every step. */
typedef struct weft_control {
    int64_t stop;
    double busy; /* seconds of the compute lane */
} weft_control;

/* When a rank's step and its program began, and by which clock (0: by nobody else's). */
typedef struct weft_start {
    double step, program;
    uint64_t clock;
} weft_start;

typedef struct weft_loop {
    const weft_job *job;
    const weft_train_options *options;
    const weft_data *data;
    const weft_checkpoint *resumed; /* or NULL */
    const char *notes;              /* lines for the observer at the start */

    weft_transport *transport; /* owned */
    weft_worker *worker;       /* owned */
    weft_arena arena;
    weft_timeline measured;
    double *own_begin, *own_end;
    uint64_t clock;
    weft_start *starts;     /* (workers) */
    weft_control *controls; /* (workers) */
    double *bubble;         /* (workers) */
    double peak;            /* flop/s of all workers */
    int64_t start, saved;   /* steps done before this run; the last one in a checkpoint */
    int64_t targets;        /* of the batch */
    int64_t *counts;        /* (workers) targets of each one's share */
    double loss;            /* of the last step */
    bool stopped;           /* before all steps were done, by a wish to stop */
    double loop_begin, step_begin, step_end;
} weft_loop;

/* Takes the transport. After an error it has told the others to stop. */
weft_status weft_loop_run(weft_loop *loop, int32_t rank, weft_transport *transport, weft_error *error) WEFT_CHECKED;
void weft_loop_fini(weft_loop *loop);

/* For an error that every rank has found out by the same exchange: rank 0 keeps it, for the others it becomes
 * WEFT_STOPPED, so that it is said once. */
weft_status weft_loop_known(const weft_loop *loop, weft_error *error);

/* timing.c: memory for the times of a step. */
weft_status weft_loop_prepare_timing(weft_loop *loop, weft_error *error) WEFT_CHECKED;
/* Every how many of a run's steps a timeline is kept; 0: never. */
int64_t weft_loop_timeline_every(const weft_job *job, int64_t steps);
/* Brings the times of the last step's actions together and tells the observer; collective. */
weft_status weft_loop_share_timeline(weft_loop *loop, weft_timeline_record *record, weft_error *error) WEFT_CHECKED;
/* Makes the worker ready for a step, counted from 1: batch, scale of the loss gradient, step scalars. */
weft_status weft_loop_pose(weft_loop *loop, int64_t step, weft_error *error) WEFT_CHECKED;

/* save.c: one checkpoint of all workers; collective. */
weft_status weft_loop_save(weft_loop *loop, int64_t step, weft_error *error) WEFT_CHECKED;

#endif
