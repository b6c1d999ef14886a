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
/* Rounds what arithmetic made: its NaNs are quiet and their low bits cannot carry into the exponent. */
static inline storage store(float value)
{
    uint32_t bits = bits_of(value);
    return (storage)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
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
 * e^x within 2 units in the last place for -80 <= x <= 80; 0 below, so that no product of it is a slow subnormal
 * number; e^80 above; NaN for NaN. The nearest whole number of log2 e is taken off by adding 1.5 2^23; the rest, at
 * most ln 2 / 2, goes through a polynomial of degree 6. Coefficients: Cephes expf (Moshier, 1992).
 */
static inline float exponential(float x)
{
    const float shift = 12582912.0f;
    const float least = -80.0f;
    bool small = x < least;
    x = x > 80.0f ? 80.0f : x;
    x = small ? least : x;
    float shifted = FMA(x, 1.44269504088896341f, shift);
    float whole = shifted - shift;
    float rest = FMA(whole, -0.693359375f, x);
    rest = FMA(whole, 2.12194440e-4f, rest);
    float p = 1.9875691500e-4f;
    p = FMA(p, rest, 1.3981999507e-3f);
    p = FMA(p, rest, 8.3334519073e-3f);
    p = FMA(p, rest, 4.1665795894e-2f);
    p = FMA(p, rest, 1.6666665459e-1f);
    p = FMA(p, rest, 5.0000001201e-1f);
    p = FMA(p, rest * rest, rest) + 1.0f;
    float result = p * float_of((bits_of(shifted) << 23) + 0x3f800000u);
    return small ? 0.0f : result;
}

#endif
