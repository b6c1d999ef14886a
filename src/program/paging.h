/*
 * Which stage is in which of a rank's few buffers, and when: full weights that are gathered from shards, or gradients
 * that are reduced when their buffer is wanted for another stage.
 *
 * The order in which the rank uses its stages is known beforehand, so the number of loads can be the least possible:
 * when no buffer is free, the stage whose next use is farthest gives way (Belady, A study of replacement algorithms for
 * a virtual-storage computer, IBM Systems Journal 5(2), 1966). Among equals it is the one whose last use was first, so
 * that the next load can begin early.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PROGRAM_PAGING_H
#define WEFT_PROGRAM_PAGING_H

#include "base/memory.h"

/* One stay of a stage in a buffer. */
typedef struct weft_paging_stay {
    int32_t stage, buffer;
    uint32_t first, last; /* uses, counted from 0: its first and its last one */
    int64_t before;       /* the last use of the stage that had the buffer before; -1: nobody had it */
    int64_t then;         /* the first use of the stage that gets the buffer next; -1: nobody does */
} weft_paging_stay;

/* stages: (count) the stage of each use, in order, 0 .. stage_count - 1. together: (count) whether a use and the one
 * before it begin as one, so that both stages must be there; NULL: none do. With one buffer that cannot be. buffers
 * >= 1. out: the stays in the order in which their loads can begin (before, then first), the caller's to free; NULL
 * when count is 0. Cost: count times the lesser of buffers and stages. */
weft_status weft_paging_plan(const int32_t *stages, const bool *together, uint32_t count, int32_t stage_count,
                             int32_t buffers, weft_paging_stay **out, uint32_t *out_count,
                             weft_error *error) WEFT_CHECKED;

#endif
