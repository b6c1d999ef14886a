/*
 * The collective actions of a program as small state machines, so that one thread can drive them between device
 * operations: REDUCE_TIED, NORM and METRICS. Sums are taken in a fixed order by every member, never by a library's
 * reduction. Internal to train/.
 */
#ifndef WEFT_TRAIN_COLLECTIVE_H
#define WEFT_TRAIN_COLLECTIVE_H

#include "train/worker.h"

typedef struct weft_collective {
    weft_action_kind kind;
    bool waiting;             /* for requests */
    weft_request requests[2]; /* -1: none or done */
    size_t position;          /* REDUCE_TIED: elements already exchanged */
    size_t piece;             /* and on the way */
} weft_collective;

weft_status weft_collective_start(weft_collective *collective, weft_worker *worker, weft_action_kind kind,
                                  weft_error *error) WEFT_CHECKED;
weft_status weft_collective_poll(weft_collective *collective, weft_worker *worker, bool *out_done,
                                 weft_error *error) WEFT_CHECKED;

#endif
