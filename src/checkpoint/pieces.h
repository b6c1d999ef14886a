/*
 * Pieces of tensors as files hold them: their names, and the proof that they make whole tensors.
 *
 * A piece that is its whole tensor is stored under the tensor's name and shape. Any other is stored under
 * NAME#SHAPE@FROM, a run in one dimension and a block in two: "head#2x3x2@5" begins at element 5 of head, whose shape
 * is (2, 3, 2). No tensor's name holds '#'.
 *
 * Owns: a list owns its copies of names; values and names of whole tensors stay the safetensors file's, names of files
 * the caller's.  Lifetime: zero to fini.  Threads: one owner; any may read after the proof.
 */
#ifndef WEFT_CHECKPOINT_PIECES_H
#define WEFT_CHECKPOINT_PIECES_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/extent.h"

typedef struct weft_stored_piece {
    const char *name, *file; /* of the tensor; of the file that holds this piece, without its folder */
    int32_t dimensions;
    int64_t shape[WEFT_TENSOR_DIMENSIONS]; /* of the whole tensor; 0 beyond dimensions */
    int64_t elements;                      /* of the whole tensor */
    weft_extent extent;
    const unsigned char *values;    /* fp32; may lie unaligned */
    const weft_safetensors *holder; /* the file that they lie in */
} weft_stored_piece;

/* A whole tensor: name, shape and elements are those of its first piece. */
typedef struct weft_stored_tensor {
    const weft_stored_piece *pieces; /* ascending by first elements; hold each element once; at least one */
    size_t count;
} weft_stored_tensor;

typedef struct weft_pieces { /* of one kind, over all files */
    weft_stored_piece *pieces;
    size_t count, capacity;
    weft_stored_tensor *tensors; /* by name; from the proof on */
    size_t tensor_count, tensor_capacity;
    weft_arena arena;
} weft_pieces;

/* The tensor of a file in which a piece is stored: a whole one under the name given, a part under one from the arena.
 * WEFT_INVALID names the tensor. */
weft_status weft_piece_entry(const weft_checkpoint_piece *piece, weft_arena *arena, weft_tensor_entry *out,
                             weft_error *error) WEFT_CHECKED;

/* Adds what a file holds. folder is for messages. WEFT_INVALID names the file and the tensor. */
weft_status weft_pieces_add(weft_pieces *list, const weft_safetensors *tensors, const char *folder, const char *file,
                            weft_error *error) WEFT_CHECKED;

/* Sorts, and proves that the pieces of each tensor agree on its shape and hold each element once. folder and kind are
 * for messages. WEFT_INVALID names the tensor, the elements, and the files where two hold the same. */
weft_status weft_pieces_prove(weft_pieces *list, const char *folder, const char *kind, weft_error *error) WEFT_CHECKED;

/* NULL when there is none. */
const weft_stored_tensor *weft_pieces_find(const weft_pieces *list, const char *name);
void weft_pieces_fini(weft_pieces *list);

/* "(2, 3)" */
void weft_shape_print(int32_t dimensions, const int64_t *shape, weft_text *out);

#endif
