/*
 * Which parameters are not trained. Internal to train/.
 *
 * Threads: any.
 */
#ifndef WEFT_TRAIN_FROZEN_H
#define WEFT_TRAIN_FROZEN_H

#include "train/job.h"

/* Fills job->frozen from optimizer.frozen, and job->products; needs parameters. WEFT_INVALID for a pattern that no
 * parameter has, and when nothing is left to train. */
weft_status weft_job_freeze(weft_job *job, weft_error *error) WEFT_CHECKED;

/* Share of the weights of a layer's products that are trained, of the head's for layer L. */
double weft_job_trained(const weft_job *job, int32_t layer);

/* Flops a token that are not spent on gradients of frozen weights. */
double weft_job_frozen_flops(const weft_job *job);

#endif
