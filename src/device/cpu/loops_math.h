/*
 * Scalar functions that a compiler can turn into vector code, and the elements of storage that they read and write:
 * included by loops.c only, which says by WEFT_LOOPS_BF16 what storage is.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_DEVICE_CPU_LOOPS_MATH_H
#define WEFT_DEVICE_CPU_LOOPS_MATH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* a b + c: one rounding where the instruction set of this compilation has it. */
#ifdef __FMA__
#define FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#if WEFT_LOOPS_BF16
typedef uint16_t storage;
static inline float load(storage value)
{
    return float_of((uint32_t)value << 16);
}
/* The upper half is the rounded number: 0x7fff and the lowest bit that stays are added, by taking off their complement,
 * which vectors make in one instruction. */
static inline uint32_t rounded_bits(float value)
{
    const uint32_t bits = bits_of(value);
    return bits - ((bits >> 16 | 0xfffffffeu) ^ 0x7fffu);
}
/* Rounds what arithmetic made: its NaNs are quiet and their low bits cannot carry into the exponent. */
static inline storage store(float value)
{
    return (storage)(rounded_bits(value) >> 16);
}
/* Rounds anything: weft_bf16_from_float without a branch, so that loops vectorise. */
static inline storage store_any(float value)
{
    uint32_t bits = bits_of(value);
    return (bits & 0x7fffffffu) > 0x7f800000u ? (storage)(bits >> 16 | 0x40u) : store(value);
}
#else
typedef float storage;
static inline float load(storage value)
{
    return value;
}
static inline storage store(float value)
{
    return value;
}
static inline storage store_any(float value)
{
    return value;
}
#endif

/*
 * Elements of an array two at a time, in an order that vectors of bf16 come in without being shuffled: pair j of
 * `pairs` is the halves of one 32-bit word, the elements 2 j and 2 j + 1; in fp32 it is j and pairs + j. Whoever walks
 * through all pairs has met the first 2 pairs elements, each once.
 */
typedef struct pair {
    float a, b;
} pair;

#if WEFT_LOOPS_BF16
/* Two elements as one word, read in place: behind a copy clang no longer sees that a loop's rounds are independent. */
typedef uint32_t word_of_two __attribute__((may_alias, aligned(2)));

static inline pair load_pair(const storage *x, int64_t pairs, int64_t j)
{
    (void)pairs;
    const uint32_t word = *(const word_of_two *)(x + 2 * j);
    return (pair){float_of(word << 16), float_of(word & 0xffff0000u)};
}
static inline void store_pair(storage *x, int64_t pairs, int64_t j, float a, float b)
{
    (void)pairs;
    *(word_of_two *)(x + 2 * j) = rounded_bits(a) >> 16 | (rounded_bits(b) & 0xffff0000u);
}
/* The same elements of an array in fp32. */
static inline pair float_pair(const float *x, int64_t pairs, int64_t j)
{
    (void)pairs;
    return (pair){x[2 * j], x[2 * j + 1]};
}
#else
static inline pair load_pair(const storage *x, int64_t pairs, int64_t j)
{
    return (pair){x[j], x[pairs + j]};
}
static inline void store_pair(storage *x, int64_t pairs, int64_t j, float a, float b)
{
    x[j] = a;
    x[pairs + j] = b;
}
static inline pair float_pair(const float *x, int64_t pairs, int64_t j)
{
    return load_pair(x, pairs, j);
}
#endif

/* e^x as a number near 1 and the exponent of 2 that it is still to be multiplied by, where a float has it. */
typedef struct power {
    float rest;
    uint32_t exponent;
} power;

/*
 * For -87.3 <= x <= 88, within 2 units in the last place near 0 and 5 at the ends. The nearest whole number of log2 e
 * is taken off by adding 1.5 2^23; the rest, at most ln 2 / 2, goes through a polynomial of degree 7. Coefficients:
 * Cephes expf (Moshier, 1992).
 */
static inline power power_of_e(float x)
{
    const float shift = 12582912.0f;
    float shifted = FMA(x, 1.44269504088896341f, shift);
    float whole = shifted - shift;
#ifdef __FMA__
    float rest = FMA(whole, -0.693147180559945309f, x);
#else
    float rest = x - whole * 0.693359375f; /* whole numbers of few digits: exact */
    rest += whole * 2.12194440e-4f;
#endif
    float p = 1.9875691500e-4f;
    p = FMA(p, rest, 1.3981999507e-3f);
    p = FMA(p, rest, 8.3334519073e-3f);
    p = FMA(p, rest, 4.1665795894e-2f);
    p = FMA(p, rest, 1.6666665459e-1f);
    p = FMA(p, rest, 5.0000001201e-1f);
    p = FMA(p, rest, 1.0f);
    p = FMA(p, rest, 1.0f);
    return (power){p, bits_of(shifted) << 23};
}

/* e^x for -87.3 <= x <= 88; 0 at -88 and INFINITY at 89. */
static inline float exponential_within(float x)
{
    const power e = power_of_e(x);
    return e.rest * float_of(e.exponent + 0x3f800000u);
}

/* For x <= 88: 0 below -80, so that no product of it is a slow subnormal number; NaN for NaN. */
static inline float exponential_below(float x)
{
    float result = exponential_within(x);
    return x < -80.0f ? 0.0f : result;
}

/* The same of x - y <= 0, both from storage. In bf16 it takes an instruction less: the exponent is added where it is,
 * and what a NaN has in its lower half, which could reach there, is 0. */
static inline float exponential_difference(float x, float y)
{
#if WEFT_LOOPS_BF16
    const power e = power_of_e(x - y);
    return x - y < -80.0f ? 0.0f : float_of(bits_of(e.rest) + e.exponent);
#else
    return exponential_below(x - y);
#endif
}

/* For any x: e^80 above 80. */
static inline float exponential(float x)
{
    return exponential_below(x > 80.0f ? 80.0f : x);
}

/* x between -88 and most, by its bits: one instruction a side, where comparisons of numbers take two. NaN is most or
 * -88. */
static inline float between(float x, float most)
{
    const uint32_t least = 0xc2b00000u, bits = bits_of(x) > least ? least : bits_of(x);
    const int32_t whole = (int32_t)bits, limit = (int32_t)bits_of(most);
    return float_of((uint32_t)(whole > limit ? limit : whole));
}

/* 1 / (1 + e^x), 0 and 1 for what is infinite; a number for NaN: whoever calls multiplies by what x comes from. */
static inline float logistic(float x)
{
    return 1.0f / (1.0f + exponential_within(between(x, 89.0f)));
}

/* The same, and how fast it falls there. */
typedef struct logistic_pair {
    float value, slope;
} logistic_pair;

static inline logistic_pair logistic_with_slope(float x)
{
    const float e = exponential_within(between(x, 80.0f)), value = x > 80.0f ? 0.0f : 1.0f / (1.0f + e);
    return (logistic_pair){value, e * value * value};
}

enum { SUM_BLOCK = 2048, LINE_BYTES = 64 }; /* elements that stay in the nearest cache, bytes */

/* Asks for the elements from `ahead` behind x on, for the nearest cache, or, where they are read so much later that it
 * would have lost them, for the next one. A processor's own fetching stops at every page of memory. */
#define FETCH(name, level)                                                                                             \
    static inline void name(const storage *x, int64_t ahead, int64_t count)                                            \
    {                                                                                                                  \
        /* may lie past the end: a hint never faults */                                                                \
        const uintptr_t line = (uintptr_t)x + (size_t)ahead * sizeof(storage);                                         \
        for (size_t i = 0; i < (size_t)count * sizeof(storage); i += LINE_BYTES)                                       \
            __builtin_prefetch((const void *)(line + i), 0, level);                                                    \
    }
FETCH(fetch, 3)
FETCH(fetch_far, 2)
#undef FETCH

#endif
