/*
 * The inside of a GGUF file that is read. Internal to tensor/.
 *
 * Threads: one owner.
 */
#ifndef WEFT_TENSOR_GGUF_PARTS_H
#define WEFT_TENSOR_GGUF_PARTS_H

#include "tensor/gguf.h"

struct weft_gguf {
    const char *path;
    weft_map map;
    size_t alignment;
    weft_gguf_tensor *tensors; /* (count) by name once all are read */
    weft_gguf_value *values;   /* (value_count) by key */
    size_t count, value_count;
    weft_arena arena;
};

/* Bytes of an item; 0: texts and arrays have no fixed size. */
extern const size_t weft_gguf_kind_bytes[WEFT_GGUF_KINDS];
/* A little-endian number of at most 8 bytes. */
uint64_t weft_gguf_number_at(const unsigned char *bytes, size_t count);

/* A place in the file; nothing behind the map's end is taken. */
typedef struct weft_gguf_cursor {
    weft_gguf *file;
    size_t at;
    weft_error *error;
} weft_gguf_cursor;

/* So many bytes; WEFT_INVALID where they are not there. */
weft_status weft_gguf_take(weft_gguf_cursor *from, uint64_t count, const unsigned char **out) WEFT_CHECKED;
/* A number of 1, 2, 4 or 8 bytes. */
weft_status weft_gguf_take_number(weft_gguf_cursor *from, size_t bytes, uint64_t *out) WEFT_CHECKED;
/* A key and what it has; a tensor but for its data, which weft_gguf_place finds. */
weft_status weft_gguf_take_value(weft_gguf_cursor *from, weft_gguf_value *out) WEFT_CHECKED;
weft_status weft_gguf_take_tensor(weft_gguf_cursor *from, weft_gguf_tensor *out) WEFT_CHECKED;
/* start: of the data in the file. */
weft_status weft_gguf_place(const weft_gguf *file, size_t start, weft_gguf_tensor *tensor,
                            weft_error *error) WEFT_CHECKED;

#endif
