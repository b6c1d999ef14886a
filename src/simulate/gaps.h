/*
 * Idle times of the compute lanes, and why each is there. What vanishes when all stages cost their mean is still under
 * wait here. Internal to this layer.  Owns: nothing; borrows the timeline.  Threads: any.
 */
#ifndef WEFT_SIMULATE_GAPS_H
#define WEFT_SIMULATE_GAPS_H

#include "simulate/simulate.h"

typedef struct weft_gaps {
    const weft_timeline *timeline;
    double step, drained;               /* when the last action ends, and the last pass */
    uint32_t last;                      /* the last action */
    uint32_t before[WEFT_ACTION_KINDS]; /* what ended last of all that the members of a collective waited for;
                                         * UINT32_MAX: there is none */
} weft_gaps;

typedef void weft_gaps_visitor(const weft_bubble_gap *gap, void *context);

/* How long a pass of the lane exchanges, where that is known; of a pair that runs as one piece it is not. */
double weft_gaps_exchange(const weft_timeline *timeline, const weft_lane *lane, uint32_t a);

void weft_gaps_find(weft_gaps *gaps, const weft_timeline *timeline);
/* Of one rank, in the order of time. */
void weft_gaps_visit(const weft_gaps *gaps, int32_t rank, weft_gaps_visitor *visit, void *context);

#endif
