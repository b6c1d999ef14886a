/*
 * An instruction while it is carried out, as a small state machine, so that one thread can drive several between device
 * operations. Internal to train/.
 *
 * Most only enqueue work on their stream and are over for the host. Those that are driven (weft_instruction.driven) go
 * on when they are polled, until their part of the transport is over and what the device has to do for it is enqueued,
 * too. Sums are taken in a fixed order by every member, never by a library's reduction.
 *
 * Threads: the worker's.
 */
#ifndef WEFT_TRAIN_TASK_H
#define WEFT_TRAIN_TASK_H

#include "train/instruction.h"

typedef struct weft_task {
    const weft_instruction *instruction;
    weft_device *device;
    weft_transport *transport;
    weft_stream *stream;      /* of its lane */
    weft_stream *carrier;     /* what the transport is given: the same, or NULL where the host reaches device memory */
    weft_request requests[2]; /* -1: none or done */
    int32_t part;             /* the one under way */
} weft_task;

/* All up to carrier is set. */
weft_status weft_task_start(weft_task *task, weft_error *error) WEFT_CHECKED;
/* Of a driven one. *out_moved: something happened, there may be more to do at once. */
weft_status weft_task_poll(weft_task *task, bool *out_done, bool *out_moved, weft_error *error) WEFT_CHECKED;
/* The worker that it waits for, where it is known which of those in instruction->with; else -1. */
int32_t weft_task_awaited(const weft_task *task);

/* What the device has to reach before a driven one goes on; NULL: it waits for others. */
const weft_event *weft_task_pending(const weft_task *task);

/* What carries out an operation; poll: NULL where it is never driven. */
typedef weft_status weft_task_starter(weft_task *task, weft_error *error);
typedef weft_status weft_task_poller(weft_task *task, bool *out_done, bool *out_moved, weft_error *error);

/* passes.c */
weft_task_starter weft_start_pass WEFT_CHECKED, weft_start_update WEFT_CHECKED, weft_start_check WEFT_CHECKED;
/* messages.c */
weft_task_starter weft_start_send WEFT_CHECKED, weft_start_receive WEFT_CHECKED;
weft_task_poller weft_poll_requests WEFT_CHECKED;
/* units.c: unit by unit over data-parallel or tensor-parallel workers. */
weft_task_starter weft_start_gather WEFT_CHECKED, weft_start_sum WEFT_CHECKED, weft_start_drop WEFT_CHECKED,
    weft_start_tied WEFT_CHECKED;
weft_task_poller weft_poll_gather WEFT_CHECKED, weft_poll_sum WEFT_CHECKED;
int32_t weft_sum_awaited(const weft_task *task);
/* ends.c: what all workers do together at the end of a program. */
weft_task_starter weft_start_norm WEFT_CHECKED, weft_start_metrics WEFT_CHECKED;
weft_task_poller weft_poll_norm WEFT_CHECKED, weft_poll_metrics WEFT_CHECKED;

#endif
