/*
 * The largest of a row, and the loss of a row of logits: included by loops.c only, as loops_math.h is.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_DEVICE_CPU_LOOPS_LOSS_H
#define WEFT_DEVICE_CPU_LOOPS_LOSS_H

#include "device/cpu/loops_math.h"
#include "device/row_loss.h"

enum { LANES = 16, MAXIMUM_LANES = 64, LOSS_BLOCK = 1024, EIGHTHS = 8 };
/* Eighths of the next row that are fetched while exponentials are made, the rest with the gradient. */
enum { MEANWHILE = sizeof(storage) == sizeof(float) ? 3 : 5 };

static inline float larger(float value, float maximum)
{
    return value > maximum ? value : maximum;
}

static float lanes_maximum(float *lanes)
{
    for (int half = MAXIMUM_LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) lanes[lane] = larger(lanes[lane + half], lanes[lane]);
    }
    return lanes[0];
}

/* Lanes are compared one by one, since a compiler may not reorder a maximum that could meet a NaN. A NaN is passed
 * over: it comes out in the sum of exponentials. */
static float row_maximum_fp32(int64_t count, const float *x)
{
    float lanes[MAXIMUM_LANES];
    int64_t i = 0;
    for (int lane = 0; lane < MAXIMUM_LANES; lane++) lanes[lane] = -INFINITY;
    for (; i + MAXIMUM_LANES <= count; i += MAXIMUM_LANES) {
        for (int lane = 0; lane < MAXIMUM_LANES; lane++) lanes[lane] = larger(x[i + lane], lanes[lane]);
    }
    for (; i + LANES <= count; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) lanes[lane] = larger(x[i + lane], lanes[lane]);
    }
    for (; i < count; i++) lanes[0] = larger(x[i], lanes[0]);
    return lanes_maximum(lanes);
}

#if WEFT_LOOPS_BF16
/* The largest bits of elements as numbers with a sign, and the least of them as numbers without. */
typedef struct extremes {
    int16_t most;
    uint16_t least;
} extremes;

static inline extremes extremes_add(extremes so_far, int64_t count, const storage *x)
{
    int16_t most = so_far.most;
    uint16_t least = so_far.least;
#pragma omp simd reduction(max : most) reduction(min : least)
    for (int64_t i = 0; i < count; i++) {
        most = (int16_t)x[i] > most ? (int16_t)x[i] : most;
        least = x[i] < least ? x[i] : least;
    }
    return (extremes){most, least};
}

/* Numbers that are not negative are in the order of their bits, negative ones in the opposite one, NaNs lie beyond
 * both. Vectors begin where lines of memory do. */
static float row_maximum(int64_t count, const storage *x)
{
    const int64_t to_line = (int64_t)(-(uintptr_t)x % LINE_BYTES / sizeof *x);
    const int64_t head = to_line < count ? to_line : count;
    extremes bits = extremes_add((extremes){INT16_MIN, UINT16_MAX}, head, x);
    bits = extremes_add(bits, count - head, x + head);
    float largest = -INFINITY;
    if (bits.most <= 0x7f80) return larger(load(bits.most < 0 ? bits.least : (storage)bits.most), largest);
    for (int64_t i = 0; i < count; i++) largest = larger(load(x[i]), largest);
    return largest;
}
#else
#define row_maximum row_maximum_fp32
#endif

/* The sum of e^(x - maximum) of at most LOSS_BLOCK elements; where they are kept, they are so in the order of pairs,
 * and may take the place of x in fp32. */
static inline float exponential_block(int64_t count, const storage *x, float maximum, bool keep, float *kept)
{
    const int64_t pairs = count / 2;
    float a = 0.0f, b = 0.0f;
#pragma omp simd reduction(+ : a, b)
    for (int64_t j = 0; j < pairs; j++) {
        const pair v = load_pair(x, pairs, j);
        const float first = exponential_difference(v.a, maximum), second = exponential_difference(v.b, maximum);
        a += first;
        b += second;
        if (keep) {
            kept[j] = first;
            kept[pairs + j] = second;
        }
    }
    if (count % 2) {
        const float last = exponential_difference(load(x[count - 1]), maximum);
        a += last;
        if (keep) kept[count - 1] = last;
    }
    return a + b;
}

/* Of the row behind one of `count`, while the block at `at` is worked on: the share of eighths from `first` on. */
static inline void fetch_next(const storage *x, int64_t count, int64_t at, int first, int share)
{
    fetch_far(x, count + count * first / EIGHTHS + at * share / EIGHTHS, LOSS_BLOCK * share / EIGHTHS);
}

/* Blocks are summed in fp32 and added in double, so that a long row loses nothing. kept: NULL, or one for each x. This
 * is work for a processor, and meanwhile the next row comes from memory, whose largest is looked for first. */
static double exponential_sum(int64_t count, const storage *x, float maximum, float *kept)
{
    double total = 0.0;
    for (int64_t at = 0; at < count; at += LOSS_BLOCK) {
        const int64_t length = count - at < LOSS_BLOCK ? count - at : LOSS_BLOCK;
        if (kept == NULL)
            fetch_next(x, count, at, 0, EIGHTHS);
        else
            fetch_next(x, count, at, 0, MEANWHILE);
        total += (double)(kept == NULL ? exponential_block(length, x + at, maximum, false, NULL)
                                       : exponential_block(length, x + at, maximum, true, kept + at));
    }
    return total;
}

static double logit_sum(int64_t count, const storage *x)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += (double)load(x[i]);
    return sum;
}

/* logits = kept factor - even, of one block; kept is in the order of pairs. */
static inline void gradient_block(int64_t count, const float *kept, const weft_loss_slope *slope, storage *logits)
{
    const int64_t pairs = count / 2;
    const float factor = slope->factor, even = slope->even;
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++)
        store_pair(logits, pairs, j, kept[j] * factor - even, kept[pairs + j] * factor - even);
    if (count % 2) logits[count - 1] = store(kept[count - 1] * factor - even);
}

/* The same from the logits themselves. */
static inline void slice_block(int64_t count, float largest, const weft_loss_slope *slope, storage *logits)
{
    const int64_t pairs = count / 2;
    const float factor = slope->factor, even = slope->even;
#pragma omp simd
    for (int64_t j = 0; j < pairs; j++) {
        const pair v = load_pair(logits, pairs, j);
        store_pair(logits, pairs, j, exponential_difference(v.a, largest) * factor - even,
                   exponential_difference(v.b, largest) * factor - even);
    }
    if (count % 2) logits[count - 1] = store(exponential_difference(load(logits[count - 1]), largest) * factor - even);
}

/* At the target; e: its e^(logit - largest). */
static inline storage gradient_there(float e, const weft_loss_slope *slope)
{
    return store(FMA(e, slope->factor, -(slope->hit + slope->even)));
}

static weft_row_loss cross_entropy(const weft_loss *loss, void *logits_, int32_t target, float scale, bool gradient,
                                   float *row)
{
    const int64_t V = loss->width;
    storage *logits = logits_;
    const float maximum = row_maximum(V, logits), own = load(logits[target]);
    const double all = loss->smoothing > 0 ? logit_sum(V, logits) : 0.0;
    /* In fp32 in their own place, so that a cache has half as much to hold. */
    float *kept = sizeof(storage) == sizeof(float) ? logits_ : row;
    const double sum = exponential_sum(V, logits, maximum, gradient ? kept : NULL);
    const double logsumexp = log(sum) + (double)maximum;
    weft_row_loss of = weft_row_loss_make(loss, logsumexp, (double)own, all);
    if (!gradient) return of;
    const weft_loss_slope slope = weft_loss_slope_make(loss, logsumexp, sum, scale);
    for (int64_t at = 0; at < V; at += LOSS_BLOCK) {
        fetch_next(logits, V, at, MEANWHILE, EIGHTHS - MEANWHILE);
        gradient_block(V - at < LOSS_BLOCK ? V - at : LOSS_BLOCK, kept + at, &slope, logits + at);
    }
    logits[target] = gradient_there(exponential_difference(own, maximum), &slope);
    return of;
}

/* A slice that is -INFINITY all over has exponentials of 0, not NaN: other slices may have more. */
static void loss_part(const weft_loss *loss, const void *logits_, int64_t target, float *stats)
{
    const int64_t V = loss->width;
    const storage *logits = logits_;
    float largest = row_maximum(V, logits);
    stats[0] = largest;
    stats[1] = (float)exponential_sum(V, logits, largest == -INFINITY ? 0.0f : largest, NULL);
    stats[2] = target < 0 || target >= V ? -INFINITY : load(logits[target]);
    if (loss->smoothing > 0) stats[3] = (float)logit_sum(V, logits);
}

static void loss_gradient(const weft_loss *loss, void *logits_, int64_t target, float largest, double sum, float scale)
{
    const int64_t V = loss->width;
    storage *logits = logits_;
    const weft_loss_slope slope = weft_loss_slope_make(loss, log(sum) + (double)largest, sum, scale);
    const bool here = target >= 0 && target < V;
    const float own = here ? exponential_difference(load(logits[target]), largest) : 0.0f;
    for (int64_t at = 0; at < V; at += LOSS_BLOCK) {
        fetch(logits + at, LOSS_BLOCK, LOSS_BLOCK);
        slice_block(V - at < LOSS_BLOCK ? V - at : LOSS_BLOCK, largest, &slope, logits + at);
    }
    if (here) logits[target] = gradient_there(own, &slope);
}

#endif
