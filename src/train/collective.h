/*
 * The collective actions of a program as small state machines, so that one thread can drive them between device
 * operations: UNSHARD, REDUCE_TENSOR, REDUCE_GRAD, REDUCE_TIED, NORM and METRICS. Sums are taken in a fixed order by
 * every member, never by a library's reduction. Internal to train/.
 */
#ifndef WEFT_TRAIN_COLLECTIVE_H
#define WEFT_TRAIN_COLLECTIVE_H

#include "train/worker.h"

typedef struct weft_collective {
    weft_action action;
    bool waiting;             /* for other workers */
    weft_request requests[2]; /* -1: none or done */
    int32_t unit;             /* UNSHARD, REDUCE_TENSOR, REDUCE_GRAD: the one under way */
    size_t position;          /* REDUCE_TIED: elements already exchanged */
    size_t piece;             /* and on the way */
} weft_collective;

weft_status weft_collective_start(weft_collective *collective, weft_worker *worker, weft_action action,
                                  weft_error *error) WEFT_CHECKED;
/* *out_moved: something happened, there may be more to do at once. */
weft_status weft_collective_poll(weft_collective *collective, weft_worker *worker, bool *out_done, bool *out_moved,
                                 weft_error *error) WEFT_CHECKED;
/* Who it waits for, for messages: "with rank 3", "of ranks 4 to 7", "of all ranks". */
void weft_collective_awaited(const weft_collective *collective, const weft_worker *worker, char *out, size_t size);

/* collective_units.c: UNSHARD and REDUCE_GRAD, over the data-parallel workers of the rank, unit by unit; REDUCE_TENSOR,
 * of the units that tensor-parallel workers have parts of, over these. */
weft_status weft_collective_start_unit(weft_collective *collective, weft_worker *worker,
                                       weft_error *error) WEFT_CHECKED;
weft_status weft_collective_poll_unit(weft_collective *collective, weft_worker *worker, bool *out_done, bool *out_moved,
                                      weft_error *error) WEFT_CHECKED;

#endif
