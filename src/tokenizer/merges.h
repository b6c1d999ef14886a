/*
 * Merges of byte-pair encoding: which two neighbours become which token, and in which order.
 *
 * A word is merged by taking, again and again, the pair of least rank, the leftmost of several. Source: Sennrich,
 * Haddow and Birch, "Neural machine translation of rare words with subword units", ACL 2016, algorithm 1.
 *
 * Owns: its table; scratch owns its arrays.  Threads: one fills a table, then any may read; scratch belongs to one.
 */
#ifndef WEFT_TOKENIZER_MERGES_H
#define WEFT_TOKENIZER_MERGES_H

#include "base/memory.h"

typedef struct weft_merge {
    int32_t left, right; /* left -1: an empty slot */
    int32_t rank, id;
} weft_merge;

typedef struct weft_merges {
    weft_merge *slots; /* open addressing */
    size_t slot_count, filled;
} weft_merges;

void weft_merges_fini(weft_merges *merges);

/* A pair that is there already gets the new rank and id. */
weft_status weft_merges_add(weft_merges *merges, weft_merge merge, weft_error *error) WEFT_CHECKED;

typedef struct weft_merge_scratch {
    int32_t *next, *previous;     /* (links) of the symbols of a long word */
    struct weft_merge_wish *heap; /* (wishes) pairs that may be merged */
    size_t next_capacity, previous_capacity, heap_capacity, wishes;
} weft_merge_scratch;

void weft_merge_scratch_fini(weft_merge_scratch *scratch);

/* Merges count symbols in place; *out_count are left. A symbol below 0 merges with none. count < 2^31. */
weft_status weft_merges_apply(const weft_merges *merges, weft_merge_scratch *scratch, int32_t *symbols, size_t count,
                              size_t *out_count, weft_error *error) WEFT_CHECKED;

#endif
