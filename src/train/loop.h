/*
 * The step loop of one worker: batches, steps, evaluation, checkpoints, what the observer is told. Internal to train/.
 *
 * What may fail between a finished step and its checkpoint without harm to either (reading, telling the observer, an
 * evaluation) is trouble: it is kept, the others hear of it at the next exchange, and all together save what is done
 * before the run ends with its cause.
 *
 * Threads: run and fini by the worker's thread (crew.h).
 */
#ifndef WEFT_TRAIN_LOOP_H
#define WEFT_TRAIN_LOOP_H

#include "train/loop_parts.h"

/* Takes the transport. After an error it has told the others to stop. */
weft_status weft_loop_run(weft_loop *loop, int32_t rank, weft_transport *transport, weft_error *error) WEFT_CHECKED;
/* The same for a job that evaluates: the held-out loss of the weights that the loop resumes from, told as evaluated. */
weft_status weft_loop_run_evaluation(weft_loop *loop, int32_t rank, weft_transport *transport,
                                     weft_error *error) WEFT_CHECKED;
void weft_loop_fini(weft_loop *loop);

#endif
