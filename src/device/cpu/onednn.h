/*
 * Matrix products by oneDNN, each run on the calling thread alone: c = a b [+ bias] [+ c].
 *
 * The caller cuts a large product into pieces and spreads them over its own OpenMP team, so that the bits do not depend
 * on how a library divides work. Products are made once for each shape and kept. bf16 operands are widened to fp32
 * in the scratch where oneDNN has no bf16 product for the machine; that is decided once, at create.
 *
 * Owns: weft_onednn owns its products. Threads: create, prepare and destroy belong to the thread that made it; find and
 * run may be called by the members of a team, each with its own place and its own scratch.
 */
#ifndef WEFT_DEVICE_CPU_ONEDNN_H
#define WEFT_DEVICE_CPU_ONEDNN_H

#include "device/cpu/loops.h"

/* What is made: a product; a product whose b was packed; or one operand's copy, a (m, n) to c (m, n), packed or dense.
 */
typedef enum weft_product_kind {
    WEFT_PRODUCT_PLAIN,
    WEFT_PRODUCT_PACKED,
    WEFT_PRODUCT_PACK,
    WEFT_PRODUCT_COPY
} weft_product_kind;

/* a (m, k), b (k, n), c (m, n), bias (n), all row-major; a transposed operand is stored (k, m) or (n, k). A stride
 * is the number of elements from one stored row to the next. a, b and bias are storage; c is storage or fp32. Packed
 * is oneDNN's own order for bf16: strips of WEFT_PACK_COLUMNS columns one after another, each filled up to whole
 * columns and to whole WEFT_PACK_ROWS rows. */
typedef struct weft_product_shape {
    int64_t m, n, k;
    int64_t a_stride, b_stride, c_stride;
    int64_t transpose_a, transpose_b, c_fp32, accumulate, bias; /* 0 or 1; accumulate needs fp32 c */
    int64_t kind;                                               /* weft_product_kind */
} weft_product_shape;

enum { WEFT_PACK_COLUMNS = 64, WEFT_PACK_ROWS = 32 };

typedef struct weft_onednn weft_onednn;
typedef struct weft_product weft_product;

/* True when products of this element type are made from copies in fp32. */
bool weft_onednn_widens(weft_element element);
/* True when oneDNN has fast kernels that read a packed b on this machine. */
bool weft_onednn_packs(weft_element element);
/* The best that oneDNN uses for products of bf16: by the processor, or because the environment holds it to that. */
typedef enum weft_bf16_code { WEFT_BF16_OTHER, WEFT_BF16_PAIRS, WEFT_BF16_TILES, WEFT_BF16_CODES } weft_bf16_code;
weft_bf16_code weft_onednn_bf16(void);

weft_status weft_onednn_create(weft_element element, int32_t threads, weft_onednn **out,
                               weft_error *error) WEFT_CHECKED;
void weft_onednn_destroy(weft_onednn *onednn); /* accepts NULL */

/* The product of this shape, made when it is not there yet. */
weft_status weft_onednn_prepare(weft_onednn *onednn, const weft_product_shape *shape, weft_error *error) WEFT_CHECKED;
/* The product of this shape or NULL. Borrowed. */
const weft_product *weft_onednn_find(const weft_onednn *onednn, const weft_product_shape *shape);

/* Bytes of 64-byte aligned scratch that one run needs, a multiple of 64. 0 when oneDNN refuses the shape. */
size_t weft_onednn_scratch(weft_element element, const weft_product_shape *shape);
size_t weft_product_scratch(const weft_product *product);

/* place: 0 .. threads - 1, the calling thread's own. False when oneDNN reports an error. */
bool weft_product_run(const weft_onednn *onednn, const weft_product *product, int place, const void *a, const void *b,
                      const void *bias, void *c, void *scratch);

/* Seconds that oneDNN takes at best for a product that it spreads over all threads by itself; INFINITY when it cannot.
 * For measuring only: never inside a worker. Operands are fp32 where bf16 products are widened. Dense. */
double weft_onednn_whole_time(weft_onednn *onednn, const weft_product_shape *shape, const void *a, const void *b,
                              void *c, double seconds);

#endif
