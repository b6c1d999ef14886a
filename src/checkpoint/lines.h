/*
 * The lines of all pieces of a tensor, by their first elements: how pieces of any form are proved and compared.
 *
 * Only the next line of each piece is held, in a heap, so that a walk needs memory for the pieces and not for their
 * lines, of which a large model has tens of millions.
 *
 * Owns: a walk owns its heap; pieces and values are borrowed.  Lifetime: zero to fini; one walk may begin again over
 * another tensor.  Threads: one owner.
 */
#ifndef WEFT_CHECKPOINT_LINES_H
#define WEFT_CHECKPOINT_LINES_H

#include "checkpoint/pieces.h"

typedef struct weft_line { /* elements from .. end - 1 of the tensor */
    const weft_stored_piece *piece;
    int64_t row; /* of the piece */
    int64_t from, end;
    const unsigned char *values; /* fp32; may lie unaligned */
} weft_line;

typedef struct weft_lines {
    weft_line *heap;
    size_t count, capacity;
} weft_lines;

/* Pieces of one shape, ascending by their first elements. Their lines may overlap. */
weft_status weft_lines_begin(weft_lines *lines, const weft_stored_tensor *tensor, weft_error *error) WEFT_CHECKED;

/* False when there is none left. Of lines with the same first element that of the earlier piece comes first. */
bool weft_lines_next(weft_lines *lines, weft_line *out);
void weft_lines_fini(weft_lines *lines);

#endif
