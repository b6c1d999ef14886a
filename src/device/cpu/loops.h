/*
 * The cpu device's own inner loops: one const table for each instruction set and storage element type.
 *
 * loops.c is compiled once for each table; the functions work on a range of rows or columns, given by the caller, and
 * start no threads. Pointers to storage are void *. Results do not depend on how the caller cuts the ranges.
 * Threads: any; there is no state.
 */
#ifndef WEFT_DEVICE_CPU_LOOPS_H
#define WEFT_DEVICE_CPU_LOOPS_H

#include "base/vectors.h"
#include "device/row_loss.h"

typedef struct weft_cpu_loops {
    const char *name; /* instruction set */

    /* out = a + b (b may be NULL), storage */
    void (*add)(int64_t count, const void *a, const void *b, void *out);
    /* out = from[0] + from[1] + ... in fp32, rounded once, elements begin .. end-1; out may be any of from. */
    void (*sum)(int64_t begin, int64_t end, int32_t parts, const void *const *from, void *out); /* storage */
    void (*sum_fp32)(int64_t begin, int64_t end, int32_t parts, const void *const *from, void *out);
    void (*round)(int64_t count, const float *from, void *to);
    void (*widen)(int64_t count, const void *from, float *to);
    /* sum (+)= row, fp32 */
    void (*add_row)(int64_t count, const void *row, bool accumulate, float *sum);
    /* sum[c] (+)= x[row, c] over all rows in order, for columns begin .. end-1 */
    void (*column_sums)(int64_t rows, int64_t stride, int64_t begin, int64_t end, const void *x, bool accumulate,
                        float *sum);

    void (*norm_forward)(const weft_norm *norm, int64_t begin, int64_t end, const void *x, const void *weight,
                         const void *bias, void *out, float *mean, float *rstd);
    void (*norm_backward_input)(const weft_norm *norm, int64_t begin, int64_t end, const void *dy, const void *x,
                                const void *weight, const float *mean, const float *rstd, const void *residual,
                                void *dx);
    void (*norm_backward_weight)(const weft_norm *norm, int64_t begin, int64_t end, const void *dy, const void *x,
                                 const float *mean, const float *rstd, bool accumulate, float *dweight, float *dbias);

    void (*gelu_forward)(int64_t count, const void *x, void *out);
    void (*gelu_backward)(int64_t count, const void *x, const void *dy, void *dx);
    /* One row: x is 2 width wide. */
    void (*swiglu_forward)(int64_t width, const void *x, void *out);
    void (*swiglu_backward)(int64_t width, const void *x, const void *dy, void *dx);

    /* One row of heads; the next one lies `stride` elements further on. */
    void (*rotary)(int64_t heads, int64_t D, const float *cosine, const float *sine, float direction, int64_t stride,
                   void *x);

    /* scores (rows, keys) of one query block: row r sees keys low[r] .. first + r; low, which does not fall, may be
     * NULL: 0. They are replaced by their exponentials; probability (storage, may be the scores themselves in fp32) is
     * normalised, and zero where nothing is seen. */
    void (*softmax)(int64_t rows, int64_t first, int64_t keys, const int64_t *low, float scale, float *scores,
                    void *probability, float *logsumexp);
    /* From scores and dprobability, here (keys, rows): probability and dscores = scale p (dp - delta), both (keys,
     * rows) storage; in fp32 they may be scores and dprobability themselves. */
    void (*softmax_backward)(int64_t rows, int64_t first, int64_t keys, const int64_t *low, float scale,
                             const float *scores, const float *dprobability, const float *logsumexp, const float *delta,
                             void *probability, void *dscores);
    /* Copies a block of storage between row strides. */
    void (*gather)(int64_t rows, int64_t columns, int64_t from_stride, const void *from, int64_t to_stride, void *to);
    float (*dot)(int64_t count, const void *a, const void *b);

    /* One query (D) against so many keys, with their values, rows of a cache `stride` elements apart: out (D). scores:
     * (keys + D) scratch. */
    void (*attend)(int64_t keys, int64_t D, int64_t stride, float scale, const void *query, const void *key,
                   const void *value, float *scores, void *out);

    /* One row of logits, and what it comes to. row: (V) scratch in bf16 where there is a gradient. The next row
     * behind it is fetched meanwhile. */
    weft_row_loss (*cross_entropy)(const weft_loss *loss, void *logits, int32_t target, float scale, bool gradient,
                                   float *row);
    /* One row of a slice; target is below 0 or not below V where another slice has it. */
    void (*loss_part)(const weft_loss *loss, const void *logits, int64_t target, float *stats);
    /* logits are replaced by scale times the gradient of the row. */
    void (*loss_gradient)(const weft_loss *loss, void *logits, int64_t target, float largest, double sum, float scale);

    double (*square_sum)(int64_t count, const float *x);
    void (*adamw)(int64_t count, const weft_step_scalars *scalars, bool decay, const float *gradient, float *weight,
                  float *moment1, float *moment2, void *storage);
} weft_cpu_loops;

/* NULL where the processor does not run the set. */
const weft_cpu_loops *weft_cpu_loops_get(weft_vectors set, weft_element element);

/* The widest table that this processor can run. */
const weft_cpu_loops *weft_cpu_loops_select(weft_element element);

#endif
