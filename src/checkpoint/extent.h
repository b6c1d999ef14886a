/*
 * Where a piece lies in its tensor: as lines of consecutive elements. A run is one line, which may go over several rows
 * of the tensor; a block has one line for each of its rows, each as far behind the one before as a row is wide.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_CHECKPOINT_EXTENT_H
#define WEFT_CHECKPOINT_EXTENT_H

#include "tensor/safetensors.h"

typedef struct weft_extent {
    int64_t from, rows, columns; /* `rows` lines of `columns` elements each, the first line from element `from` */
    int64_t stride;              /* from where a line begins to where the next does; at least 1 */
} weft_extent;

/* The size of a tensor's last dimension. */
int64_t weft_extent_width(int32_t dimensions, const int64_t *shape);

/* Of a tensor of so many elements in rows of this width. Each set of elements has one form: rows without gaps between
 * them are one line, and nothing is one line without elements. WEFT_INVALID when the elements are not all in the
 * tensor, or lines of several rows go over the end of a row; the message is without the tensor's name. */
weft_status weft_extent_make(int64_t elements, int64_t width, int64_t from, int64_t rows, int64_t columns,
                             weft_extent *out, weft_error *error) WEFT_CHECKED;

/* The first element of a line. */
int64_t weft_extent_line(const weft_extent *extent, int64_t row);

/* Copies the elements that both hold from values in this file, of which nothing stays in memory. values and out are
 * packed, rows x columns of their extent; values are fp32 and may lie unaligned. Takes time for the lines between the
 * first and the last that meet, and for the copy. WEFT_INVALID as weft_safetensors_copy. */
weft_status weft_extent_copy(const weft_extent *source, const weft_safetensors *file, const unsigned char *values,
                             const weft_extent *wanted, float *out, weft_error *error) WEFT_CHECKED;

#endif
