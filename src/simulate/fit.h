/*
 * Costs of a program's actions, fitted from timelines that were measured: what to give to weft_simulate so that it
 * predicts the next step, or another schedule of the same stages.
 *
 * An action's time counts from when it could have begun, as the simulator sees it (the one before it on its lane and
 * all that it waits for are done, on both ends of a message and on all members of a collective), to its end. So the
 * time that a worker needs to get from one action to the next, and to notice a message between two operations, is in
 * the costs of actions, and a simulated step takes as long as a measured one.
 *
 * A message is all transfer, its latency 0: a worker asks for the next message of a lane when the one before has
 * arrived, so that the lane is taken until then, and what a step measured cannot tell one from the other.
 *
 * Owns: the arrays of its costs.  Lifetime: init to fini.  Threads: one owner.
 */
#ifndef WEFT_SIMULATE_FIT_H
#define WEFT_SIMULATE_FIT_H

#include "simulate/simulate.h"

typedef struct weft_fit {
    weft_costs costs; /* every array is there; what a program does not hold costs 0 */
    double *values;   /* behind the arrays of costs */
} weft_fit;

/* Each cost is the mean over the micro-batches of a timeline, and the median of those over the timelines: a step takes
 * the sum of what its actions take, so that rare long ones count as often as they are met, but a step that the machine
 * held up as a whole does not count. timelines: (count >= 1), of one program.
 *
 * input_share: (S) which part of B is I, or NULL for half of it; only for stages whose backward passes were all
 * measured whole. A stage whose backward passes were all measured in parts gets their sum for B. A stage that sends
 * nothing gets the mean of all messages. */
weft_status weft_fit_init(weft_fit *fit, const weft_timeline *timelines, int32_t count, const double *input_share,
                          weft_error *error) WEFT_CHECKED;
void weft_fit_fini(weft_fit *fit);

#endif
