/*
 * The GGUF file format of llama.cpp, versions 2 and 3, little-endian: metadata (a name, a type and a value or an array
 * of values), then the tensors' names, shapes, types and places, then their data, aligned. Source: docs/gguf.md of
 * github.com/ggml-org/ggml.
 *
 * Files are hostile input: counts and lengths are held against the bytes that are left before anything is taken, so
 * that memory is in proportion to the file; names are unique, tensors lie in the file and apart. Messages name the file
 * and the byte, the key or the tensor.
 *
 * Owns: a reader owns its map; texts and data that it gives out lie in it.  Threads: one owner; many may read.
 */
#ifndef WEFT_TENSOR_GGUF_H
#define WEFT_TENSOR_GGUF_H

#include "base/file.h"

enum { WEFT_GGUF_DIMENSIONS = 4, WEFT_GGUF_BLOCK = 32 };

/* Types of tensors that weft reads; the quantised ones are in blocks of WEFT_GGUF_BLOCK elements of a row. */
typedef enum weft_gguf_type {
    WEFT_GGUF_F32,
    WEFT_GGUF_F16,
    WEFT_GGUF_BF16,
    WEFT_GGUF_Q8_0, /* scale and 8 bits an element */
    WEFT_GGUF_Q4_0, /* scale and 4 bits an element, less 8 */
    WEFT_GGUF_Q4_1, /* scale, least value and 4 bits an element */
    WEFT_GGUF_TYPES,
} weft_gguf_type;

#define WEFT_GGUF_TYPE_NAMES "F32, F16, BF16, Q8_0, Q4_0 and Q4_1"

const char *weft_gguf_type_name(weft_gguf_type type); /* "Q8_0" */
uint32_t weft_gguf_type_number(weft_gguf_type type);  /* in files */
int64_t weft_gguf_type_block(weft_gguf_type type);    /* elements: rows are whole multiples of it */
/* Bytes of so many elements, whole blocks. */
size_t weft_gguf_type_bytes(weft_gguf_type type, size_t elements);
/* The largest number that weft_gguf_from_float takes. */
float weft_gguf_type_largest(weft_gguf_type type);

typedef struct weft_gguf_tensor {
    const char *name;
    weft_gguf_type type;
    int32_t dimensions;
    int64_t shape[WEFT_GGUF_DIMENSIONS]; /* rows first: files have it the other way round */
    uint64_t place;                      /* in the file's data */
    const unsigned char *data;
    size_t bytes;
} weft_gguf_tensor;

/* count elements of a tensor from one of them on, as fp32; they may begin and end inside a block. */
void weft_gguf_to_float(const weft_gguf_tensor *tensor, int64_t from, int64_t count, float *out);
/* The other way, whole blocks of F32, F16, BF16 or Q8_0; values are finite. Q8_0 with the bits of llama.cpp's
 * quantize_row_q8_0_ref. */
void weft_gguf_from_float(weft_gguf_type type, const float *from, size_t count, void *to);

/* As they are numbered in files. */
typedef enum weft_gguf_kind {
    WEFT_GGUF_UINT8,
    WEFT_GGUF_INT8,
    WEFT_GGUF_UINT16,
    WEFT_GGUF_INT16,
    WEFT_GGUF_UINT32,
    WEFT_GGUF_INT32,
    WEFT_GGUF_FLOAT32,
    WEFT_GGUF_BOOL,
    WEFT_GGUF_STRING,
    WEFT_GGUF_ARRAY, /* of anything but arrays */
    WEFT_GGUF_UINT64,
    WEFT_GGUF_INT64,
    WEFT_GGUF_FLOAT64,
    WEFT_GGUF_KINDS,
} weft_gguf_kind;

/* A key and what it has. */
typedef struct weft_gguf_value {
    const char *key;
    weft_gguf_kind kind; /* of the items, where it is an array */
    bool array;
    size_t count;            /* items; 1 where it is none */
    const unsigned char *at; /* the first, in the map */
} weft_gguf_value;

/* A text of the file: any bytes, without a zero byte behind. */
typedef struct weft_gguf_text {
    const char *bytes;
    size_t length;
} weft_gguf_text;

bool weft_gguf_text_is(weft_gguf_text text, const char *word);

typedef struct weft_gguf weft_gguf;

/* WEFT_INVALID also for version 1, big-endian files, parts of several files and tensors of other types. */
weft_status weft_gguf_open(const char *path, weft_gguf **out, weft_error *error) WEFT_CHECKED;
void weft_gguf_close(weft_gguf *file); /* accepts NULL */
const char *weft_gguf_path(const weft_gguf *file);

size_t weft_gguf_count(const weft_gguf *file);
const weft_gguf_tensor *weft_gguf_get(const weft_gguf *file, size_t index);      /* in the order of their names */
const weft_gguf_tensor *weft_gguf_find(const weft_gguf *file, const char *name); /* or NULL */

/* These bytes of a tensor were read and are not wanted soon: weft_map_release. */
void weft_gguf_release(const weft_gguf *file, const unsigned char *data, size_t bytes);

size_t weft_gguf_value_count(const weft_gguf *file);
const weft_gguf_value *weft_gguf_value_get(const weft_gguf *file, size_t index);     /* in the order of their keys */
const weft_gguf_value *weft_gguf_value_find(const weft_gguf *file, const char *key); /* or NULL */

/* WEFT_INVALID, with file and key, where it is of another kind or an array. Whole numbers above INT64_MAX too. */
weft_status weft_gguf_whole(const weft_gguf *file, const weft_gguf_value *value, int64_t *out,
                            weft_error *error) WEFT_CHECKED;
weft_status weft_gguf_number(const weft_gguf *file, const weft_gguf_value *value, double *out,
                             weft_error *error) WEFT_CHECKED;
weft_status weft_gguf_truth(const weft_gguf *file, const weft_gguf_value *value, bool *out,
                            weft_error *error) WEFT_CHECKED;
weft_status weft_gguf_string(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_text *out,
                             weft_error *error) WEFT_CHECKED;

/* An array's items in turn: of strings, of whole numbers or of FLOAT32. */
typedef struct weft_gguf_items {
    const weft_gguf_value *value;
    const unsigned char *at;
} weft_gguf_items;

/* WEFT_INVALID where it is no array of strings; of whole numbers; of FLOAT32. */
weft_status weft_gguf_strings(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_items *out,
                              weft_error *error) WEFT_CHECKED;
weft_status weft_gguf_wholes(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_items *out,
                             weft_error *error) WEFT_CHECKED;
weft_status weft_gguf_floats(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_items *out,
                             weft_error *error) WEFT_CHECKED;
/* The next one; the caller asks for no more than there are. */
weft_gguf_text weft_gguf_next_string(weft_gguf_items *items);
int64_t weft_gguf_next_whole(weft_gguf_items *items);
float weft_gguf_next_float(weft_gguf_items *items);

#endif
