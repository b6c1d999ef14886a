/*
 * Writing GGUF files of version 3: values and tensors are put one after the other into a list, then the whole is
 * written, the data from where the caller has it.
 *
 * Owns: a list its texts.  Lifetime: init to fini.  Threads: one owner.
 */
#ifndef WEFT_TENSOR_GGUF_WRITE_H
#define WEFT_TENSOR_GGUF_WRITE_H

#include "tensor/gguf.h"

typedef struct weft_gguf_list {
    weft_text values, tensors; /* as they stand in the file */
    uint64_t value_count, tensor_count;
    uint64_t bytes; /* of data */
} weft_gguf_list;

void weft_gguf_list_init(weft_gguf_list *list);
void weft_gguf_list_fini(weft_gguf_list *list);

/* Appends never fail on the spot: weft_gguf_write tells it of the whole. Keys are the caller's, each put once. */
void weft_gguf_put_whole(weft_gguf_list *list, const char *key, uint32_t value);
void weft_gguf_put_number(weft_gguf_list *list, const char *key, double value); /* FLOAT32 */
void weft_gguf_put_truth(weft_gguf_list *list, const char *key, bool value);
void weft_gguf_put_string(weft_gguf_list *list, const char *key, const char *value);

/* An array; count items of the kind (STRING, INT32 or FLOAT32) have to be added next. */
void weft_gguf_put_array(weft_gguf_list *list, const char *key, weft_gguf_kind kind, size_t count);
void weft_gguf_add_string(weft_gguf_list *list, const void *bytes, size_t length);
void weft_gguf_add_whole(weft_gguf_list *list, int32_t value);
void weft_gguf_add_number(weft_gguf_list *list, float value);

/* Behind the tensors before it; shape: rows first. Returns the bytes of its data. */
size_t weft_gguf_put_tensor(weft_gguf_list *list, const char *name, weft_gguf_type type, int32_t dimensions,
                            const int64_t *shape);

/* The data of the tensors in the order in which they were put: the next bytes of one, at least one, at most so many as
 * are left of it, readable until the next call. */
typedef struct weft_gguf_source {
    void *context;
    weft_status (*read)(void *context, size_t tensor, size_t from, size_t left, const void **out, size_t *out_count,
                        weft_error *error);
} weft_gguf_source;

/* sizes: (tensor_count) bytes of each tensor. Aside, synced, renamed: on error a file of this name stays as it was. */
weft_status weft_gguf_write(const weft_gguf_list *list, const size_t *sizes, const weft_gguf_source *source,
                            const char *path, weft_error *error) WEFT_CHECKED;

#endif
