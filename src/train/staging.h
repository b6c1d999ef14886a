/*
 * Where a job's device memory has to be carried over a transport that knows the host's only: what the staged transport
 * needs for it. Internal to train/.
 *
 * Owns: nothing.  Threads: any.
 */
#ifndef WEFT_TRAIN_STAGING_H
#define WEFT_TRAIN_STAGING_H

#include "train/job.h"
#include "transport/transport.h"

/* Bytes of pinned memory of each worker; 0 where nothing is carried. */
size_t weft_staging_bytes(const weft_job *job);

/* Puts the staged transport over *transport where it is needed. groups: all of the run. On failure *transport is the
 * caller's as it was. */
weft_status weft_staging_wrap(const weft_job *job, const weft_group *groups, int32_t group_count,
                              weft_transport **transport, weft_error *error) WEFT_CHECKED;

#endif
