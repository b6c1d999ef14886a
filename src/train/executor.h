/*
 * Runs the instructions of a bound program and keeps when each began and ended. Internal to train/.
 *
 * Each lane is a stream. An instruction is issued when all that it waits for is issued and ordered before it: by the
 * stream, or by an event. What is driven over host memory is started when that has ended. Work is issued ahead of its
 * completion within a bound; a device that does an operation at once is never ahead. Nothing waits for the host but
 * what is driven.
 *
 * Owns: streams and events; the rest is borrowed.  Lifetime: create to destroy.  Threads: the worker's.
 */
#ifndef WEFT_TRAIN_EXECUTOR_H
#define WEFT_TRAIN_EXECUTOR_H

#include "train/instruction.h"
#include "train/worker.h"

enum { WEFT_EXECUTOR_AHEAD = 64 }; /* instructions of a lane that are issued and have not ended, at most */

typedef struct weft_executor_options {
    weft_worker *worker; /* told what is waited for (waiting.h) */
    weft_device *device;
    weft_transport *transport;
    weft_exchange *exchange; /* of passes; may be NULL */
    const weft_bound *bound;
    weft_stream *const *streams; /* (WEFT_PROGRAM_LANES) by kind of lane; NULL for messages: each lane makes its own */
    bool host_reaches;           /* weft_device_kind */
} weft_executor_options;

/* Its tables live in the arena. */
weft_status weft_executor_create(const weft_executor_options *options, weft_arena *arena, weft_executor **out,
                                 weft_error *error) WEFT_CHECKED;
void weft_executor_destroy(weft_executor *executor); /* accepts NULL */

/* after: what the device has to have reached before. */
weft_status weft_executor_run(weft_executor *executor, const weft_event *after, weft_error *error) WEFT_CHECKED;

/* Runs one instruction at once, whatever comes before it, to its end; what is driven needs the others to do the same.
 * out_seconds: from its begin. */
weft_status weft_executor_run_alone(weft_executor *executor, uint32_t instruction, double *out_seconds,
                                    weft_error *error) WEFT_CHECKED;

/* Times of this rank's actions in the last run, seconds from its start; begin and end: (own actions). */
void weft_executor_times(const weft_executor *executor, double *begin, double *end);
int64_t weft_executor_start(const weft_executor *executor);  /* weft_clock_nanoseconds of that start */
uint32_t weft_executor_count(const weft_executor *executor); /* actions of this rank */
double weft_executor_busy(const weft_executor *executor);    /* seconds of the compute lane in the last run */
const weft_bound *weft_executor_bound(const weft_executor *executor);

#endif
