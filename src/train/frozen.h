/*
 * Which parameters are not trained. Internal to train/.
 *
 * Threads: any.
 */
#ifndef WEFT_TRAIN_FROZEN_H
#define WEFT_TRAIN_FROZEN_H

#include "train/job.h"

/* Fills job->frozen from optimizer.frozen; needs parameters. WEFT_INVALID for a pattern that no parameter has, and when
 * nothing is left to train. */
weft_status weft_job_freeze(weft_job *job, weft_error *error) WEFT_CHECKED;

#endif
