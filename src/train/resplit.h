/*
 * How the layers would be divided over the stages by what stages were measured to cost, not by flops.
 *
 * Threads: any.
 */
#ifndef WEFT_TRAIN_RESPLIT_H
#define WEFT_TRAIN_RESPLIT_H

#include "simulate/simulate.h"
#include "train/job.h"

/* Seconds of a step as simulated, without messages, with the layers as they are and as they would be. */
typedef struct weft_resplit {
    double now, then;
    int32_t *layers; /* (S) those of each stage, the caller's */
} weft_resplit;

/* costs: of the job's stages; forward, backward_input, backward_weight and update are read. Layers cost alike, what is
 * over in the first and the last stage are the embedding and the head. *out_known: false where that cannot be told
 * apart, or where frozen weights make layers unlike each other. */
weft_status weft_job_resplit(const weft_job *job, const weft_costs *costs, weft_resplit *out, bool *out_known,
                             weft_error *error) WEFT_CHECKED;

#endif
