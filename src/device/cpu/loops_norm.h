/*
 * Norms and sums of columns: included by loops.c only, as loops_math.h is.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_DEVICE_CPU_LOOPS_NORM_H
#define WEFT_DEVICE_CPU_LOOPS_NORM_H

#include "device/cpu/loops_math.h"
#include "device/device.h"

#include <math.h>

/* Where columns are summed a processor fetches a row's lines ahead, but not those of the row so many further on. */
enum { COLUMNS = 1024, ROWS_AHEAD = 4 };

static void sums_finish(int64_t count, const float *from, bool accumulate, float *sum)
{
    for (int64_t i = 0; i < count; i++) sum[i] = accumulate ? sum[i] + from[i] : from[i];
}

static void column_sums(int64_t rows, int64_t stride, int64_t begin, int64_t end, const void *x_, bool accumulate,
                        float *sum)
{
    float sums[COLUMNS];
    for (int64_t c = begin; c < end; c += COLUMNS) {
        int64_t width = end - c < COLUMNS ? end - c : COLUMNS;
        memset(sums, 0, sizeof sums);
        for (int64_t row = 0; row < rows; row++) {
            const storage *x = (const storage *)x_ + row * stride + c;
            fetch(x, ROWS_AHEAD * stride, width);
#pragma omp simd
            for (int64_t i = 0; i < width; i++) sums[i] += load(x[i]);
        }
        sums_finish(width, sums, accumulate, sum + c);
    }
}

/* The mean of a row, or of the squares of how far its elements are from centre. Four sums, so that no addition waits
 * for the one before. */
static inline float row_average(int64_t width, const storage *x, float centre, bool squares)
{
    const int64_t quarter = width / 4, pairs = 2 * quarter;
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
#define TERM(value) (squares ? ((value)-centre) * ((value)-centre) : (value))
#pragma omp simd reduction(+ : a, b, c, d)
    for (int64_t j = 0; j < quarter; j++) {
        const pair v = load_pair(x, pairs, j), w = load_pair(x, pairs, quarter + j);
        a += TERM(v.a);
        b += TERM(v.b);
        c += TERM(w.a);
        d += TERM(w.b);
    }
    for (int64_t i = 4 * quarter; i < width; i++) a += TERM(load(x[i]));
#undef TERM
    return ((a + b) + (c + d)) / (float)width;
}

/* What is not there is read from another array and left out, so that no load hangs on a condition. */
static void norm_row(int64_t width, const storage *x, const storage *weight, const storage *bias, float centre,
                     float inverse, storage *out)
{
    const int64_t pairs = width / 2;
    const bool adds = bias != NULL;
    const storage *more = adds ? bias : weight;
#define NORMAL(value, scale) (((value)-centre) * inverse * (scale))
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair v = load_pair(x, pairs, j), w = load_pair(weight, pairs, j);
        const pair add = load_pair(more, pairs, j);
        store_pair(out, pairs, j, NORMAL(v.a, w.a) + (adds ? add.a : 0.0f), NORMAL(v.b, w.b) + (adds ? add.b : 0.0f));
    }
    if (width % 2 == 0) return;
    const int64_t i = width - 1;
    out[i] = store(NORMAL(load(x[i]), load(weight[i])) + (adds ? load(more[i]) : 0.0f));
#undef NORMAL
}

static void norm_forward(const weft_norm *norm, int64_t begin, int64_t end, const void *x_, const void *weight,
                         const void *bias, void *out_, float *mean, float *rstd)
{
    const int64_t width = norm->width;
    for (int64_t row = begin; row < end; row++) {
        const storage *x = (const storage *)x_ + weft_norm_at(norm, row);
        storage *out = (storage *)out_ + weft_norm_at(norm, row);
        fetch(x, weft_norm_at(norm, row + ROWS_AHEAD) - weft_norm_at(norm, row), width);
        float centre = norm->kind == WEFT_LAYERNORM ? row_average(width, x, 0.0f, false) : 0.0f;
        float inverse = 1.0f / sqrtf(row_average(width, x, centre, true) + norm->epsilon);
        norm_row(width, x, weight, bias, centre, inverse, out);
        if (norm->kind == WEFT_LAYERNORM) mean[row] = centre;
        rstd[row] = inverse;
    }
}

/* The sums over a row of dy weight, and of that times x normalised. */
static inline pair norm_sums(int64_t width, const storage *dy, const storage *x, const storage *weight, float mean,
                             float rstd)
{
    const int64_t pairs = width / 2;
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
#pragma omp simd reduction(+ : a, b, c, d)
    for (int64_t j = 0; j < pairs; j++) {
        const pair slope = load_pair(dy, pairs, j), w = load_pair(weight, pairs, j), v = load_pair(x, pairs, j);
        a += slope.a * w.a;
        b += slope.b * w.b;
        c += slope.a * w.a * ((v.a - mean) * rstd);
        d += slope.b * w.b * ((v.b - mean) * rstd);
    }
    for (int64_t i = 2 * pairs; i < width; i++) {
        float scaled = load(dy[i]) * load(weight[i]);
        a += scaled;
        c += scaled * ((load(x[i]) - mean) * rstd);
    }
    return (pair){a + b, c + d};
}

static void norm_backward_row(int64_t width, bool centred, const storage *dy, const storage *x, const storage *weight,
                              float mean, float rstd, const storage *residual, storage *dx)
{
    const pair sums = norm_sums(width, dy, x, weight, mean, rstd);
    const float mean1 = centred ? sums.a / (float)width : 0.0f, mean2 = sums.b / (float)width;
    const int64_t pairs = width / 2;
    const bool adds = residual != NULL;
    const storage *more = adds ? residual : dy;
#define SLOPE(dy, weight, x) (rstd * ((dy) * (weight)-mean1 - ((x)-mean) * rstd * mean2))
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair slope = load_pair(dy, pairs, j), w = load_pair(weight, pairs, j), v = load_pair(x, pairs, j);
        const pair add = load_pair(more, pairs, j);
        store_pair(dx, pairs, j, (adds ? add.a : 0.0f) + SLOPE(slope.a, w.a, v.a),
                   (adds ? add.b : 0.0f) + SLOPE(slope.b, w.b, v.b));
    }
    if (width % 2 == 0) return;
    const int64_t i = width - 1;
    dx[i] = store((adds ? load(more[i]) : 0.0f) + SLOPE(load(dy[i]), load(weight[i]), load(x[i])));
#undef SLOPE
}

static void norm_backward_input(const weft_norm *norm, int64_t begin, int64_t end, const void *dy_, const void *x_,
                                const void *weight, const float *mean, const float *rstd, const void *residual,
                                void *dx)
{
    bool centred = norm->kind == WEFT_LAYERNORM;
    for (int64_t row = begin; row < end; row++) {
        int64_t at = weft_norm_at(norm, row);
        const int64_t ahead = weft_norm_at(norm, row + ROWS_AHEAD) - at;
        const storage *dy = (const storage *)dy_ + at, *x = (const storage *)x_ + at;
        const float centre = centred ? mean[row] : 0.0f;
        fetch(dy, ahead, norm->width);
        fetch(x, ahead, norm->width);
        norm_backward_row(norm->width, centred, dy, x, weight, centre, rstd[row],
                          residual == NULL ? NULL : (const storage *)residual + at, (storage *)dx + at);
    }
}

static void norm_backward_weight(const weft_norm *norm, int64_t begin, int64_t end, const void *dy_, const void *x_,
                                 const float *mean, const float *rstd, bool accumulate, float *dweight, float *dbias)
{
    float weights[COLUMNS], biases[COLUMNS];
    for (int64_t c = begin; c < end; c += COLUMNS) {
        int64_t width = end - c < COLUMNS ? end - c : COLUMNS;
        memset(weights, 0, sizeof weights);
        memset(biases, 0, sizeof biases);
        for (int64_t row = 0; row < norm->rows; row++) {
            const storage *dy = (const storage *)dy_ + weft_norm_at(norm, row) + c;
            const storage *x = (const storage *)x_ + weft_norm_at(norm, row) + c;
            const int64_t ahead = weft_norm_at(norm, row + ROWS_AHEAD) - weft_norm_at(norm, row);
            fetch(dy, ahead, width);
            fetch(x, ahead, width);
            float centre = norm->kind == WEFT_LAYERNORM ? mean[row] : 0.0f, inverse = rstd[row];
#pragma omp simd
            for (int64_t i = 0; i < width; i++) {
                float slope = load(dy[i]);
                biases[i] += slope;
                weights[i] += slope * ((load(x[i]) - centre) * inverse);
            }
        }
        if (dweight != NULL) sums_finish(width, weights, accumulate, dweight + c);
        if (dbias != NULL) sums_finish(width, biases, accumulate, dbias + c);
    }
}

#endif
