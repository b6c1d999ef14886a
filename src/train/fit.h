/*
 * Whether a job fits into memory, and what would make it fit. Internal to train/.
 *
 * Threads: any.
 */
#ifndef WEFT_TRAIN_FIT_H
#define WEFT_TRAIN_FIT_H

#include "train/job.h"

/* Bytes of the largest worker. */
size_t weft_job_largest(const weft_job *job);

/* The error of a job that needs more than memory_limit, with what would fit. */
weft_status weft_job_refuse(const weft_job *job, weft_error *error) WEFT_CHECKED;

/* Adds to a message about memory what would take less. */
void weft_job_advise(const weft_job *job, weft_error *error);

/* Whether the workers of this process need more bytes than it can have: those of its devices, of the machine where
 * these have none of their own, or what the process is limited to. Both are told. */
bool weft_job_outgrows(const weft_job *job, double *out_need, double *out_there);

#endif
