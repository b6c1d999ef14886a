/*
 * Which source each sequence of a blend is taken from: a function of the weights and the place of the sequence alone,
 * such that among the first k sequences each source has its share of k within less than one, for every k (R. Tijdeman,
 * The chairman assignment problem, Discrete Mathematics 32, 1980).
 *
 * Owns: its tables.  Lifetime: create to destroy.  Threads: one creates, then any may find.
 */
#ifndef WEFT_DATA_BLEND_H
#define WEFT_DATA_BLEND_H

#include "base/memory.h"

typedef struct weft_blend weft_blend;

enum { WEFT_BLEND_SOURCES = 1024 }; /* at most */

/* weights: (count) of any sum; not negative, finite, not all zero: else WEFT_INVALID. */
weft_status weft_blend_create(const double *weights, int32_t count, weft_blend **out, weft_error *error) WEFT_CHECKED;
void weft_blend_destroy(weft_blend *blend); /* accepts NULL */

/* Sequence `sequence` is number *out_index of source *out_source. Cheap for sequences near behind one that was found
 * lately; else its cost grows with the number of the sequence: some ten nanoseconds and source each. */
void weft_blend_find(weft_blend *blend, uint64_t sequence, int32_t *out_source, uint64_t *out_index);

#endif
