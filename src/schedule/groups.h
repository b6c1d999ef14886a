/*
 * Looped stages in groups of micro-batches: what depth-first, hybrid and their relatives with split backward share.
 *
 * Internal to this layer.  Owns: nothing.  Threads: any.
 */
#ifndef WEFT_SCHEDULE_GROUPS_H
#define WEFT_SCHEDULE_GROUPS_H

#include "schedule/kinds.h"

typedef struct weft_groups {
    int32_t size;   /* micro-batches that pass a stage before the rank's next stage; at least P, or all there are. Of
                     * the last group some may be missing */
    int32_t larger; /* so many groups at the beginning have one more */
    int64_t ahead;  /* forward passes of its last stage that the rank runs before its first backward one */
    bool split;     /* I and W in place of B */
    int64_t lag;    /* of split: how many W the rank owes while forward passes are left to run */
} weft_groups;

void weft_order_groups(weft_order *order, weft_groups groups);

/* Groups as near to P micro-batches as they can be when all are full: floor(M / P) of them, or one, that differ by one
 * micro-batch at most, the larger ones first. */
weft_groups weft_order_even_groups(const weft_order *order);

#endif
