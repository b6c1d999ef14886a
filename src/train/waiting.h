/*
 * Waiting for other ranks: the timeout, who waits for what, and what is said when the run is asked to stop meanwhile;
 * and letting the others wait: work of any length that they may ask about. Internal to train/.
 *
 * Threads: the worker's.
 */
#ifndef WEFT_TRAIN_WAITING_H
#define WEFT_TRAIN_WAITING_H

#include "train/worker.h"

/* The word that weft_waiting_publish gives for a rank that does not wait: it is alive, if it answers. */
extern const char weft_waiting_runs[], weft_waiting_waits[];

/* What others may read about this worker when something stalls. verb: one of the two above. */
void weft_waiting_publish(weft_worker *worker, const char *last, const char *verb, const char *what);

/* Called again and again while nothing moves. Sleeps until something may have moved, for 0.1 s at most. since: when
 * something moved last, by weft_clock_seconds. Once the run's timeout has passed the ranks are asked: WEFT_TIMEOUT when
 * one does not answer, or when all wait and still do at a second look; as long as one that answers runs something they
 * are asked again. what: "1RECV_B0 with rank 1". */
weft_status weft_waiting_pause(weft_worker *worker, const char *what, double *since, weft_error *error) WEFT_CHECKED;

/* Does work that takes its time and needs no other rank; others that ask meanwhile hear that this one runs `what`, in
 * words. Where a transport must be driven to be heard, the work runs in the worker's clerk (train/clerk.h). */
weft_status weft_waiting_work(weft_worker *worker, const char *what, weft_clerk_work work, void *context,
                              weft_error *error) WEFT_CHECKED;

/* Lets others hear this worker, if they could not for a while; called between operations of the device. */
void weft_waiting_attend(weft_worker *worker);
/* From now on it does so between operations that belong to no program. */
void weft_waiting_attach(weft_worker *worker);

#endif
