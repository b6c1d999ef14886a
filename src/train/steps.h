/*
 * A sequence that goes on token by token on one worker: the keys and values of what came before are kept, so that a
 * token costs the products of one row and attention over what it sees. Internal to train/.
 *
 * Owns: its stages; the memory is the worker's.  Lifetime: that of the worker.  Threads: the worker's.
 */
#ifndef WEFT_TRAIN_STEPS_H
#define WEFT_TRAIN_STEPS_H

#include "train/job.h"

struct weft_worker;

typedef struct weft_steps weft_steps;

/* *out is NULL where the device cannot. */
weft_status weft_steps_create(struct weft_worker *worker, weft_steps **out, weft_error *error) WEFT_CHECKED;
void weft_steps_destroy(weft_steps *steps); /* accepts NULL */

/* The batch that was filled last (crossing.h) holds one sequence, and begins with the tokens of the one before; length:
 * tokens of it, from 1 to T. Computes those that are new; the logits of the last one are in worker->host then. */
weft_status weft_steps_run(weft_steps *steps, int64_t length, weft_error *error) WEFT_CHECKED;

#endif
