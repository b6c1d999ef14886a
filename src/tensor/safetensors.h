/*
 * The safetensors file format: 8 bytes little-endian header length, a JSON header (name -> dtype, shape, data_offsets;
 * "__metadata__"), then the data. Files are hostile input: the header is at most 100 MB, ranges lie in bounds, are
 * disjoint and have size = shape x dtype; memory is taken in proportion to the header, once all of it is proved.
 * Messages name the file and the byte offset.
 *
 * Owns: a reader owns its map.  Threads: one owner; many may read.
 */
#ifndef WEFT_TENSOR_SAFETENSORS_H
#define WEFT_TENSOR_SAFETENSORS_H

#include "base/file.h"
#include "tensor/element.h"

enum { WEFT_TENSOR_DIMENSIONS = 4 };

typedef struct weft_tensor_entry {
    const char *name;
    weft_element element; /* F32, BF16 and F16 */
    int32_t dimensions;
    int64_t shape[WEFT_TENSOR_DIMENSIONS];
    const void *data; /* of a file: little-endian; may lie unaligned in files of others, so copy */
    size_t bytes;
} weft_tensor_entry;

/* How bytes come to be read that cannot be where they lie. */
typedef struct weft_tensor_source {
    void *context;
    /* The first so many, at least one, of count bytes at data: readable until the next call. */
    weft_status (*read)(void *context, const void *data, size_t count, const void **out, size_t *out_count,
                        weft_error *error);
} weft_tensor_source;

typedef struct weft_safetensors weft_safetensors;

weft_status weft_safetensors_open(const char *path, weft_safetensors **out, weft_error *error) WEFT_CHECKED;
void weft_safetensors_close(weft_safetensors *file);
size_t weft_safetensors_count(const weft_safetensors *file);
const weft_tensor_entry *weft_safetensors_get(const weft_safetensors *file, size_t index); /* in file order; borrowed */
const weft_tensor_entry *weft_safetensors_find(const weft_safetensors *file, const char *name); /* or NULL */
/* So many bytes at data, which lie in this file, are not wanted soon: weft_map_release. */
void weft_safetensors_release(const weft_safetensors *file, const void *data, size_t bytes);
/* Copies so many bytes at data, which lie in this file: weft_map_copy. */
weft_status weft_safetensors_copy(const weft_safetensors *file, const void *data, size_t bytes, void *out,
                                  weft_error *error) WEFT_CHECKED;

/* Writes the entries in the order given, synced, to exactly this path (whoever calls renames). data starts 64-byte
 * aligned. out_checksum: XXH3-64 of the whole file, taken while writing; out_bytes: its size. Either may be NULL. */
weft_status weft_safetensors_write(const char *path, const weft_tensor_entry *entries, size_t count,
                                   uint64_t *out_checksum, uint64_t *out_bytes, weft_error *error) WEFT_CHECKED;
/* The same where data comes from a source; NULL: it is memory of the host. format: NULL, or what __metadata__ calls the
 * framework whose tensors they are, which some readers ask for. */
weft_status weft_safetensors_write_from(const weft_tensor_source *source, const char *path, const char *format,
                                        const weft_tensor_entry *entries, size_t count, uint64_t *out_checksum,
                                        uint64_t *out_bytes, weft_error *error) WEFT_CHECKED;

/* A tensor as a header tells of it; type: "F32", "I32", ... */
typedef struct weft_tensor_outline {
    const char *name, *type;
    int32_t dimensions;
    int64_t shape[WEFT_TENSOR_DIMENSIONS];
    uint64_t bytes;
} weft_tensor_outline;

/* For whoever writes the data in an order of its own: appends to an empty text all that comes before the data of these
 * tensors, which follow one another. Names are the caller's, printable ASCII. */
weft_status weft_safetensors_outline(const weft_tensor_outline *tensors, size_t count, weft_text *out,
                                     weft_error *error) WEFT_CHECKED;

/* XXH3-64 of a file's bytes. */
weft_status weft_file_checksum(const char *path, uint64_t *out, uint64_t *out_bytes, weft_error *error) WEFT_CHECKED;

#endif
