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
enum { COLUMNS = 1024, ROWS_AHEAD = 4, GROUP = 2 };

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

/* A row of a norm, its mean and 1 / deviation. kept: room for a row in fp32, in the order of pairs of bf16, which saves
 * the next step from taking words apart again. ahead: how far on the row lies that is fetched meanwhile. */
typedef struct norm_line {
    const storage *x;
    storage *out;
    float *kept, centre, inverse;
    int64_t ahead;
} norm_line;

/* A compiler vectorises these only where it sees what is constant to the caller. */
#define INLINE static inline __attribute__((always_inline))

enum norm_source { NORM_PLAIN, NORM_KEEPS, NORM_KEPT }; /* elements from x, from x and then kept, from what is kept */

static inline pair norm_pair(enum norm_source source, const storage *x, const float *kept, int64_t pairs, int64_t half,
                             int64_t j)
{
    return source == NORM_KEPT ? (pair){kept[j], kept[half + j]} : load_pair(x, pairs, j);
}

/* The mean of a row, or of the squares of how far its elements are from the centre, which is then what is kept. Four
 * sums, so that no addition waits for the one before. */
INLINE float row_average(int64_t width, const norm_line *row, enum norm_source source, bool squares)
{
    const int64_t quarter = width / 4, pairs = 2 * quarter, half = width / 2;
    const float centre = squares ? row->centre : 0.0f;
    const storage *x = row->x;
    float *kept = row->kept, a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
#define TERM(value) (squares ? ((value)-centre) * ((value)-centre) : (value))
#pragma omp simd reduction(+ : a, b, c, d)
    for (int64_t j = 0; j < quarter; j++) {
        const pair v = norm_pair(source, x, kept, pairs, half, j);
        const pair w = norm_pair(source, x, kept, pairs, half, quarter + j);
        a += TERM(v.a);
        b += TERM(v.b);
        c += TERM(w.a);
        d += TERM(w.b);
        if (source == NORM_PLAIN) continue;
        kept[j] = v.a - centre;
        kept[half + j] = v.b - centre;
        kept[quarter + j] = w.a - centre;
        kept[half + quarter + j] = w.b - centre;
    }
    for (int64_t i = 4 * quarter; i < width; i++) {
        a += TERM(load(x[i]));
        if (source != NORM_PLAIN && i < 2 * half) kept[i / 2 + i % 2 * half] = load(x[i]) - centre;
    }
#undef TERM
    return ((a + b) + (c + d)) / (float)width;
}

/* Two rows, which may be one: their weights are read once. What is not there is read from another array and left out,
 * so that no load hangs on a condition. */
INLINE void norm_rows(int64_t width, bool keeps, const norm_line *row, const norm_line *other, const storage *weight,
                      const storage *bias)
{
    const int64_t pairs = width / 2, last = width - 1;
    const enum norm_source source = keeps ? NORM_KEPT : NORM_PLAIN;
    const norm_line p = *row, q = *other;
    const float near = keeps ? 0.0f : p.centre, other_near = keeps ? 0.0f : q.centre;
    const bool adds = bias != NULL;
    const storage *more = adds ? bias : weight;
#define NORMAL(line, distance, scale, add) ((distance) * (line).inverse * (scale) + (add))
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair v = norm_pair(source, p.x, p.kept, pairs, pairs, j);
        const pair u = norm_pair(source, q.x, q.kept, pairs, pairs, j);
        const pair w = load_pair(weight, pairs, j), read = load_pair(more, pairs, j);
        const pair add = {adds ? read.a : 0.0f, adds ? read.b : 0.0f};
        store_pair(p.out, pairs, j, NORMAL(p, v.a - near, w.a, add.a), NORMAL(p, v.b - near, w.b, add.b));
        store_pair(q.out, pairs, j, NORMAL(q, u.a - other_near, w.a, add.a), NORMAL(q, u.b - other_near, w.b, add.b));
    }
    if (width % 2 == 0) return;
    const float scale = load(weight[last]), add = adds ? load(bias[last]) : 0.0f;
    p.out[last] = store(NORMAL(p, load(p.x[last]) - p.centre, scale, add));
    q.out[last] = store(NORMAL(q, load(q.x[last]) - q.centre, scale, add));
#undef NORMAL
}

/* Each step for all of a few rows: while one waits for its sums another one is added up. Rows to come are fetched in
 * parts, since a row's own elements would wait behind many lines. */
INLINE void norm_group(const weft_norm *norm, int64_t count, bool keeps, norm_line *lines, const storage *weight,
                       const storage *bias)
{
    const int64_t width = norm->width, part = width / 4;
    const bool centred = norm->kind == WEFT_LAYERNORM;
    for (int64_t r = 0; r < count; r++) {
        fetch(lines[r].x, lines[r].ahead, part);
        lines[r].centre = centred ? row_average(width, &lines[r], keeps ? NORM_KEEPS : NORM_PLAIN, false) : 0.0f;
    }
    for (int64_t r = 0; r < count; r++) {
        fetch(lines[r].x + part, lines[r].ahead, part);
        const float square = keeps && centred ? row_average(width, &lines[r], NORM_KEPT, true)
                                              : row_average(width, &lines[r], keeps ? NORM_KEEPS : NORM_PLAIN, true);
        lines[r].inverse = 1.0f / sqrtf(square + norm->epsilon);
    }
    for (int64_t r = 0; r < count; r++) fetch(lines[r].x + 2 * part, lines[r].ahead, width - 2 * part);
    norm_rows(width, keeps, &lines[0], &lines[count - 1], weight, bias);
}

static void norm_forward(const weft_norm *norm, int64_t begin, int64_t end, const void *x_, const void *weight,
                         const void *bias, void *out_, float *mean, float *rstd)
{
    float kept[GROUP][COLUMNS];
    norm_line lines[GROUP];
    for (int64_t row = begin; row < end; row += GROUP) {
        const int64_t count = end - row < GROUP ? end - row : GROUP;
        for (int64_t r = 0; r < count; r++) {
            const int64_t at = weft_norm_at(norm, row + r), ahead = weft_norm_at(norm, row + r + ROWS_AHEAD) - at;
            lines[r] = (norm_line){(const storage *)x_ + at, (storage *)out_ + at, kept[r], 0.0f, 0.0f, ahead};
        }
        if (sizeof(storage) < sizeof(float) && norm->width <= COLUMNS)
            norm_group(norm, count, true, lines, weight, bias);
        else
            norm_group(norm, count, false, lines, weight, bias);
        for (int64_t r = 0; r < count; r++) {
            if (norm->kind == WEFT_LAYERNORM) mean[row + r] = lines[r].centre;
            rstd[row + r] = lines[r].inverse;
        }
    }
}

#undef INLINE

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
