/*
 * What the files of the step loop share. Internal to them, and to what runs between steps.
 *
 * Threads: the worker's.
 */
#ifndef WEFT_TRAIN_LOOP_PARTS_H
#define WEFT_TRAIN_LOOP_PARTS_H

#include "train/input.h"
#include "train/skip.h"
#include "train/worker.h"

/* What ranks tell each other after every step. */
typedef struct weft_control {
    int64_t stop, trouble;  /* whether it has that wish, or met any */
    int64_t targets, bytes; /* of its share of the batch that was read last; of text, bytes of the targets */
    double busy;            /* seconds of the compute lane */
} weft_control;

/* When a rank's step and its program began, and by which clock (0: by nobody else's). */
typedef struct weft_start {
    double step, program;
    uint64_t clock;
} weft_start;

typedef struct weft_loop {
    const weft_job *job;
    const weft_train_options *options;
    const weft_input *input;
    const weft_data *data;
    uint64_t fingerprint;           /* of the data as the run found them */
    const weft_checkpoint *resumed; /* or NULL */
    const weft_weights *weights;    /* what it starts from, or an evaluation is of; else NULL */
    const char *notes;              /* lines for the observer at the start */

    weft_transport *transport;  /* owned */
    weft_worker *worker;        /* owned */
    struct weft_logits *logits; /* owned; where an evaluation leaves them, or NULL */
    weft_arena arena;
    weft_timeline measured;
    double *own_begin, *own_end;
    uint64_t clock;
    weft_start *starts;     /* (workers) */
    weft_control *controls; /* (workers) of the last exchange */
    double *bubble;         /* (workers) */
    int64_t *answers;       /* (workers) to a question that all ask */
    double peak;            /* flop/s of all workers */
    int64_t steps;          /* the run ends after this one */
    int64_t start, saved;   /* steps done before this run, or by the weights evaluated; the last one in a checkpoint */
    int64_t sequences;      /* read before this run */
    int64_t own_targets, targets; /* of what was read last: of this worker's share, of the whole batch */
    int64_t own_bytes, bytes;     /* of text that these targets stand for; 0: not known */
    int64_t posed_targets;        /* of the batch that the step runs on */
    bool adds;                    /* more than the cross entropy is trained */
    double loss, cross_entropy;   /* of the last step, as its record (record.h) */
    weft_source_loss *sources;    /* of rank 0, where there are several: of the last step */
    int32_t source_count;
    int32_t *source_of;  /* (data.sources) which of them each is */
    weft_skip skip;      /* what the next steps are judged by */
    bool stop, troubled; /* as of the last exchange: any rank wishes it, has met it */
    weft_error trouble;  /* this rank's first; WEFT_OK: none */
    bool diverged;       /* it is that the held-out loss is not finite */
    bool stopped;        /* before all steps were done, by a wish to stop */
    double loop_begin, step_begin, step_end;
} weft_loop;

/* prepare.c: takes memory and weights, and proves that all ranks begin the same run. */
weft_status weft_loop_prepare(weft_loop *loop, int32_t rank, weft_error *error) WEFT_CHECKED;

/* Once the run folder is there: rank 0 keeps in it what belongs to the weights that the run starts from. */
weft_status weft_loop_keep_source(weft_loop *loop, weft_error *error) WEFT_CHECKED;

/* together.c */
/* For an error that every rank has found out by the same exchange: rank 0 keeps it, for the others it becomes
 * WEFT_STOPPED, so that it is said once. */
weft_status weft_loop_known(const weft_loop *loop, weft_error *error);
/* Ends a program, or what comes between programs: stop, troubled and targets are then the same on every rank. */
weft_status weft_loop_exchange(weft_loop *loop, double busy, const char *what, weft_error *error) WEFT_CHECKED;
/* Keeps the first trouble. */
void weft_loop_meet(weft_loop *loop, const weft_error *trouble);
/* Work of this rank alone (weft_waiting_work) that becomes trouble when it fails; nothing is done after the first. */
weft_status weft_loop_try(weft_loop *loop, const char *what, weft_clerk_work work, void *context,
                          weft_error *error) WEFT_CHECKED;
/* After an exchange that told of trouble: fails on every rank, on rank 0 with the cause. */
weft_status weft_loop_blame(weft_loop *loop, weft_error *error) WEFT_CHECKED;

/* batch.c */
int64_t weft_loop_microbatches(const weft_loop *loop);    /* of all workers */
int64_t weft_loop_batch_sequences(const weft_loop *loop); /* of all workers */
/* Sequences of training data read by the end of a step of this run, or before it. */
int64_t weft_loop_sequences(const weft_loop *loop, int64_t step);
/* This worker's share of the batch that begins with that sequence of the part; what it meets is trouble. step: for
 * messages. */
weft_status weft_loop_read(weft_loop *loop, weft_data_part part, int64_t first, int64_t step,
                           weft_error *error) WEFT_CHECKED;
/* Reads the batch of a step, counted from 1, if the run has one, and ends with an exchange. */
weft_status weft_loop_feed(weft_loop *loop, int64_t step, double busy, const char *what,
                           weft_error *error) WEFT_CHECKED;
/* Makes the worker ready for the step whose batch was read last: its step scalars. */
void weft_loop_pose(weft_loop *loop, int64_t step, double learning_rate);

/* losses.c: those of the program that ended last. */
weft_status weft_loop_prepare_losses(weft_loop *loop, weft_error *error) WEFT_CHECKED; /* memory for them */
const float *weft_loop_losses(const weft_loop *loop, int64_t microbatch); /* as the head told them (model.h) */
void weft_loop_sum_losses(weft_loop *loop, int64_t step);                 /* of a step, into the loop */

/* finite.c: whether a program's losses, or what else a step has computed, are numbers; collective. Steps that may be
 * skipped need not be, but fail when there have been too many in a row. */
weft_status weft_loop_check_held_out(const weft_loop *loop, weft_error *error) WEFT_CHECKED;
weft_status weft_loop_check_step(weft_loop *loop, const weft_step_scalars *scalars, weft_error *error) WEFT_CHECKED;
weft_status weft_loop_check_skipped(const weft_loop *loop, const weft_step_scalars *scalars,
                                    weft_error *error) WEFT_CHECKED;
/* Ends rank 0's message of something not finite: which checkpoint is from before it, as far as that is known, and what
 * to try. weights: after which step they gave it. Returns error->status. */
weft_status weft_loop_advise(const weft_loop *loop, int64_t weights, weft_error *error);

/* diagnosis.c: runs the step that ended last again and fails with the gradient that was not finite first; collective.
 */
weft_status weft_loop_diagnose(weft_loop *loop, weft_error *error) WEFT_CHECKED;

/* tell.c: what the observer hears. */
weft_status weft_loop_tell_start(weft_loop *loop, weft_error *error) WEFT_CHECKED;
weft_status weft_loop_tell_step(weft_loop *loop, int64_t step, const weft_step_scalars *scalars,
                                weft_error *error) WEFT_CHECKED;
weft_status weft_loop_tell_evaluation(weft_loop *loop, const weft_evaluation_record *record,
                                      weft_error *error) WEFT_CHECKED;
weft_status weft_loop_tell_timeline(weft_loop *loop, const weft_timeline_record *record,
                                    weft_error *error) WEFT_CHECKED;

/* evaluate.c: the held-out loss after a step; collective. Broken off without a result at a wish to stop or by trouble.
 * The worker's batch is another one then. */
weft_status weft_loop_evaluate(weft_loop *loop, int64_t step, weft_error *error) WEFT_CHECKED;
/* Whether the step that the run was resumed at was to be evaluated and never was; collective. */
weft_status weft_loop_lacks_evaluation(weft_loop *loop, bool *out, weft_error *error) WEFT_CHECKED;
bool weft_loop_evaluates(const weft_loop *loop, int64_t step);

/* timing.c: memory for the times of a step. */
weft_status weft_loop_prepare_timing(weft_loop *loop, weft_error *error) WEFT_CHECKED;
/* Every how many of a run's steps a timeline is kept; 0: never. */
int64_t weft_loop_timeline_every(const weft_job *job, int64_t steps);
/* Brings the times of the last step's actions together and tells the observer; collective. */
weft_status weft_loop_share_timeline(weft_loop *loop, weft_timeline_record *record, weft_error *error) WEFT_CHECKED;

/* save.c: one checkpoint of all workers; collective. */
weft_status weft_loop_save(weft_loop *loop, int64_t step, weft_error *error) WEFT_CHECKED;

/* Neither saves nor evaluates. */
static inline bool weft_loop_is_trial(const weft_loop *loop)
{
    return loop->options->trial_steps > 0;
}

/* Whether something that is done every so many steps (0: never) is done after this one. */
static inline bool weft_loop_is_due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

#endif
