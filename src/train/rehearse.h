/*
 * A rehearsal: the train program of a job, run step after step by its workers on devices that compute nothing, for the
 * times. No data, no checkpoints.
 *
 * Nothing is printed: the thread of rank 0 tells the caller of each step.
 */
#ifndef WEFT_TRAIN_REHEARSE_H
#define WEFT_TRAIN_REHEARSE_H

#include "train/job.h"

#include <signal.h>

typedef struct weft_rehearsal {
    int64_t steps;
    const volatile sig_atomic_t *stop; /* non-zero: finish the step and return WEFT_OK; may be NULL */
    /* Told on rank 0 after each step, counted from 1. The measured timeline is borrowed; its seconds count from when
     * the first rank began or, where machines have clocks of their own, from each rank's own beginning. */
    weft_status (*step)(void *context, int64_t step, const weft_timeline *measured, weft_error *error);
    void *context;
    void (*late)(void *context); /* see weft_crew; may be NULL */
} weft_rehearsal;

/* job: by weft_job_create_rehearsal. Where workers are processes the caller has started theirs (transport/kinds.h). */
weft_status weft_rehearse(const weft_job *job, const weft_rehearsal *rehearsal, weft_error *error) WEFT_CHECKED;

#endif
