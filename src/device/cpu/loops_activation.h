/*
 * Activations and rotary positions: included by loops.c only, as loops_math.h is.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_DEVICE_CPU_LOOPS_ACTIVATION_H
#define WEFT_DEVICE_CPU_LOOPS_ACTIVATION_H

#include "device/cpu/loops_math.h"

enum { STREAM_BLOCK = 512, STREAM_AHEAD = 1024 }; /* elements: at once, and how far ahead they are fetched */

/* x / 2 (1 + tanh(u)) = x / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): -2 u from x and its square. */
static inline float gelu_exponent(float x, float square)
{
    return x * FMA(square, -0.0713548162726f, -1.59576912161f);
}

static inline float gelu(float x)
{
    return x * logistic(gelu_exponent(x, x * x));
}

/* Its derivative. Beyond 10 it is 0 or 1; there the square may not be infinite. */
static inline float gelu_slope(float x)
{
    float square = x * x;
    square = square > 100.0f ? 100.0f : square;
    const logistic_pair l = logistic_with_slope(gelu_exponent(x, square));
    return FMA(x, FMA(square, 0.214064448818f, 1.59576912161f) * l.slope, l.value);
}

static inline void gelu_forward_block(int64_t count, const storage *x, storage *out)
{
    const int64_t pairs = count / 2;
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair v = load_pair(x, pairs, j);
        store_pair(out, pairs, j, gelu(v.a), gelu(v.b));
    }
    if (count % 2) out[count - 1] = store(gelu(load(x[count - 1])));
}

static void gelu_forward(int64_t count, const void *x_, void *out_)
{
    const storage *x = x_;
    storage *out = out_;
    for (int64_t at = 0; at < count; at += STREAM_BLOCK) {
        fetch(x + at, STREAM_AHEAD, STREAM_BLOCK);
        gelu_forward_block(count - at < STREAM_BLOCK ? count - at : STREAM_BLOCK, x + at, out + at);
    }
}

static inline void gelu_backward_block(int64_t count, const storage *x, const storage *dy, storage *dx)
{
    const int64_t pairs = count / 2;
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair v = load_pair(x, pairs, j), slope = load_pair(dy, pairs, j);
        store_pair(dx, pairs, j, slope.a * gelu_slope(v.a), slope.b * gelu_slope(v.b));
    }
    if (count % 2) dx[count - 1] = store(load(dy[count - 1]) * gelu_slope(load(x[count - 1])));
}

static void gelu_backward(int64_t count, const void *x_, const void *dy_, void *dx_)
{
    const storage *x = x_, *dy = dy_;
    storage *dx = dx_;
    for (int64_t at = 0; at < count; at += STREAM_BLOCK) {
        fetch(x + at, STREAM_AHEAD, STREAM_BLOCK);
        fetch(dy + at, STREAM_AHEAD, STREAM_BLOCK);
        gelu_backward_block(count - at < STREAM_BLOCK ? count - at : STREAM_BLOCK, x + at, dy + at, dx + at);
    }
}

static inline float silu(float x)
{
    return x * logistic(-x);
}

static inline void swiglu_forward_block(int64_t count, const storage *gate, const storage *up, storage *out)
{
    const int64_t pairs = count / 2;
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair g = load_pair(gate, pairs, j), u = load_pair(up, pairs, j);
        store_pair(out, pairs, j, silu(g.a) * u.a, silu(g.b) * u.b);
    }
    if (count % 2) out[count - 1] = store(silu(load(gate[count - 1])) * load(up[count - 1]));
}

static void swiglu_forward(int64_t width, const void *x_, void *out_)
{
    const storage *gate = x_, *up = gate + width;
    storage *out = out_;
    for (int64_t at = 0; at < width; at += STREAM_BLOCK) {
        fetch(gate + at, STREAM_AHEAD, STREAM_BLOCK);
        fetch(up + at, STREAM_AHEAD, STREAM_BLOCK);
        swiglu_forward_block(width - at < STREAM_BLOCK ? width - at : STREAM_BLOCK, gate + at, up + at, out + at);
    }
}

/* The gradients of gate and up for a gradient of 1. */
static inline pair swiglu_slopes(float gate, float up)
{
    const logistic_pair l = logistic_with_slope(-gate);
    return (pair){up * FMA(gate, l.slope, l.value), gate * l.value};
}

static inline void swiglu_backward_block(int64_t count, const storage *gate, const storage *up, const storage *dy,
                                         storage *dgate, storage *dup)
{
    const int64_t pairs = count / 2;
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair g = load_pair(gate, pairs, j), u = load_pair(up, pairs, j), d = load_pair(dy, pairs, j);
        const pair a = swiglu_slopes(g.a, u.a), b = swiglu_slopes(g.b, u.b);
        store_pair(dgate, pairs, j, d.a * a.a, d.b * b.a);
        store_pair(dup, pairs, j, d.a * a.b, d.b * b.b);
    }
    if (count % 2 == 0) return;
    const int64_t i = count - 1;
    const pair last = swiglu_slopes(load(gate[i]), load(up[i]));
    dgate[i] = store(load(dy[i]) * last.a);
    dup[i] = store(load(dy[i]) * last.b);
}

static void swiglu_backward(int64_t width, const void *x_, const void *dy_, void *dx_)
{
    const storage *gate = x_, *up = gate + width, *dy = dy_;
    storage *dgate = dx_, *dup = dgate + width;
    for (int64_t at = 0; at < width; at += STREAM_BLOCK) {
        fetch(gate + at, STREAM_AHEAD, STREAM_BLOCK);
        fetch(up + at, STREAM_AHEAD, STREAM_BLOCK);
        fetch(dy + at, STREAM_AHEAD, STREAM_BLOCK);
        swiglu_backward_block(width - at < STREAM_BLOCK ? width - at : STREAM_BLOCK, gate + at, up + at, dy + at,
                              dgate + at, dup + at);
    }
}

static void rotary(int64_t heads, int64_t D, const float *cosine, const float *sine, float direction, int64_t stride,
                   void *x_)
{
    const int64_t half = D / 2, pairs = half / 2;
    for (int64_t head = 0; head < heads; head++) {
        storage *low = (storage *)x_ + head * D, *high = low + half;
        fetch(low, 2 * stride, D);
#pragma omp simd
        for (int64_t j = 0; j < pairs; j++) {
            const pair a = load_pair(low, pairs, j), b = load_pair(high, pairs, j);
            const pair c = float_pair(cosine, pairs, j), s = float_pair(sine, pairs, j);
            store_pair(low, pairs, j, a.a * c.a - b.a * (direction * s.a), a.b * c.b - b.b * (direction * s.b));
            store_pair(high, pairs, j, b.a * c.a + a.a * (direction * s.a), b.b * c.b + a.b * (direction * s.b));
        }
        if (half % 2 == 0) continue;
        const float a = load(low[half - 1]), b = load(high[half - 1]), c = cosine[half - 1];
        const float s = direction * sine[half - 1];
        low[half - 1] = store(a * c - b * s);
        high[half - 1] = store(b * c + a * s);
    }
}

#endif
