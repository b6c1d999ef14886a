/*
 * A step as it would be if every stage cost what they cost on average. Internal to this layer.  Threads: any.
 */
#ifndef WEFT_SIMULATE_EVEN_H
#define WEFT_SIMULATE_EVEN_H

#include "simulate/simulate.h"

/* Simulates the step again, each pass longer or shorter by as much as its stage is from the mean of all stages in
 * passes of that kind; messages and collectives take what they took. *out_even: the stages differ by nothing but
 * rounding, and even is left as it is. even is made for the timeline's program when they do differ, and the caller's to
 * end. */
weft_status weft_even_init(weft_timeline *even, const weft_timeline *timeline, bool *out_even,
                           weft_error *error) WEFT_CHECKED;

#endif
