/*
 * What the parts of a step cost, timed before the first one: every worker runs passes of a few of its micro-batches
 * with nobody to wait for, all workers at the same time; then each message lane and each collective runs alone, and the
 * gather and the reduction of each stage. All workers run the same actions, in the same order, as often: what an action
 * does together with others finds them there. Internal to train/.
 *
 * Weights, moments and so the bits of the run stay as they were.  Threads: the worker's; collective over all ranks.
 */
#ifndef WEFT_TRAIN_CALIBRATE_H
#define WEFT_TRAIN_CALIBRATE_H

#include "train/loop_parts.h"

/* Passes go on for loop->options->calibrate_seconds, but there are some in any case. Rank 0 tells the observer. */
weft_status weft_loop_calibrate(weft_loop *loop, weft_error *error) WEFT_CHECKED;

#endif
