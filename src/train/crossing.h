/*
 * What crosses between the host and a worker's device around a program: the batch and the step's scalars go in,
 * scalars, losses and logits come out, through pinned memory and by copies on a stream of their own. Where the host
 * reaches the device's memory the two sides are one, and nothing is copied. Internal to train/.
 *
 * Threads: the worker's, but for unload.
 */
#ifndef WEFT_TRAIN_CROSSING_H
#define WEFT_TRAIN_CROSSING_H

#include "train/worker.h"

/* Makes the stream and the events. */
weft_status weft_crossing_create(weft_worker *worker, weft_error *error) WEFT_CHECKED;
void weft_crossing_destroy(weft_worker *worker); /* also of one that was not made */

/* Where the host may write the next batch now: the one after it goes to the other of two. */
weft_status weft_crossing_fill(weft_worker *worker, weft_batch *out, weft_error *error) WEFT_CHECKED;

/* Enqueues the batch that was written last, and worker->host.posed. What a stream is given behind a wait for
 * weft_crossing_entered finds both. */
weft_status weft_crossing_enter(weft_worker *worker, weft_error *error) WEFT_CHECKED;
const weft_event *weft_crossing_entered(const weft_worker *worker);

/* After a program: scalars, losses and logits to worker->host. Brings what failed on the device. */
weft_status weft_crossing_leave(weft_worker *worker, weft_error *error) WEFT_CHECKED;

/* Memory of the device on its way to a file, in pieces: the next one comes out while the disk takes this one. */
typedef struct weft_unloading {
    weft_worker *worker;
    const char *data[WEFT_STAGING]; /* what is in the staging memory, or comes there */
    int next;                       /* the older one */
} weft_unloading;

/* weft_tensor_source.read of an unloading that is all 0 but for its worker. In the thread that writes, while the
 * worker's waits for it: the device has no other caller. */
weft_status weft_crossing_unload(void *unloading, const void *data, size_t count, const void **out, size_t *out_count,
                                 weft_error *error) WEFT_CHECKED;

#endif
