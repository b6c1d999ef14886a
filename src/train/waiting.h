/*
 * Waiting for other ranks: the timeout, who waits for what, and what is said when the run is asked to stop meanwhile.
 * Internal to train/.
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
 * something moved last, by weft_clock_seconds. WEFT_TIMEOUT once the run's timeout has passed and no rank that answers
 * still computes (else the ranks are asked again a little later). what: "1RECV_B0 with rank 1". */
weft_status weft_waiting_pause(weft_worker *worker, const char *what, double *since, weft_error *error) WEFT_CHECKED;

#endif
