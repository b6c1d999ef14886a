/*
 * What a measured step loses, by cause: its program is simulated again and again, each time with one more thing that it
 * met, and what the step takes longer then is lost to that.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_SIMULATE_LOST_H
#define WEFT_SIMULATE_LOST_H

#include "simulate/simulate.h"

/* In the order in which they are added. */
typedef enum weft_lost_cause {
    WEFT_LOST_SCHEDULE,  /* the bubble that was expected */
    WEFT_LOST_STAGES,    /* on average passes and updates of a stage take another share of the time than was expected */
    WEFT_LOST_STEP,      /* in this step some stages are slower, on average, than in the others */
    WEFT_LOST_VARIATION, /* now longer, now shorter */
    WEFT_LOST_MESSAGES,
    WEFT_LOST_TOGETHER, /* gathers, reductions, the norm, the losses */
    WEFT_LOST_WORKER,   /* from when a pass or an update could have begun to when it did */
    WEFT_LOST_OUTSIDE,  /* of the program */
    WEFT_LOST_CAUSES
} weft_lost_cause;

const char *weft_lost_cause_name(weft_lost_cause cause);

/* Shares of a step, which add up to 1: how long compute lanes are busy, mean over the ranks, and what is lost. A cause
 * may win back what another one loses; then it is below 0. */
typedef struct weft_lost {
    double busy;
    double cause[WEFT_LOST_CAUSES];
} weft_lost;

/* Of steps of one program. What a stage takes on average is the median of the steps: one that something else held up
 * does not count. expected: the share that was expected to be busy. seconds: (count >= 1) of each whole step, at least
 * those of its program. out: (count). */
weft_status weft_lost_measure(const weft_timeline *timelines, const double *seconds, size_t count, double expected,
                              weft_lost *out, weft_error *error) WEFT_CHECKED;

#endif
