/* What a measured timeline says about a node that a walk has reached. Internal to this layer.  Threads: any. */
#ifndef WEFT_SIMULATE_MEASURED_H
#define WEFT_SIMULATE_MEASURED_H

#include "program/walk.h"

/* Seconds from when node k of those reached could have begun (fit.h) to its end, never below 0: of a message to when it
 * had arrived, of a collective to the mean of its members' ends. */
double weft_measured_seconds(const weft_timeline *timeline, const weft_walk *walk, uint32_t k);

#endif
