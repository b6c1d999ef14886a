/*
 * What the kernels of pairs.h have in common: vectors that fill panels and take in what a kernel made. Compiled into
 * each of them, with its instruction set's flags.
 */
#ifndef WEFT_DEVICE_CPU_PAIRS_VECTORS_H
#define WEFT_DEVICE_CPU_PAIRS_VECTORS_H

#include "device/cpu/pairs.h"

#include <immintrin.h>

#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 }; /* pairs or sums of a vector */

INLINE __mmask16 first_lanes(int64_t count)
{
    return count >= LANES ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* The 32 numbers of x and y, each one's beside the other's. */
INLINE void interleave_words(__m512i x, __m512i y, __m512i *first, __m512i *second)
{
    const __m512i front = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  back = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y);
    *first = _mm512_permutex2var_epi64(low, front, high);
    *second = _mm512_permutex2var_epi64(low, back, high);
}

/* The first 32 numbers of two rows. Those so many elements ahead are fetched. */
INLINE void interleave(const uint16_t *even, const uint16_t *odd, int64_t ahead, __m512i *first, __m512i *second)
{
    _mm_prefetch((const char *)(even + ahead), _MM_HINT_T0);
    _mm_prefetch((const char *)(odd + ahead), _MM_HINT_T0);
    interleave_words(_mm512_loadu_si512(even), _mm512_loadu_si512(odd), first, second);
}

/* One pair of rows of k, columns begin .. end - 1, where begin is a panel's first; odd may be NULL. */
INLINE void pack_edge(const uint16_t *even, const uint16_t *odd, int64_t begin, int64_t end, int64_t width,
                      int64_t words, uint32_t *to)
{
    for (int64_t c = begin; c < end; c += width) {
        for (int64_t v = 0; v < width; v += LANES) {
            __mmask16 room = first_lanes(width - v), in = room & first_lanes(end - c - v);
            __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, even + c + v)), high = {0};
            if (odd != NULL) high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, odd + c + v));
            _mm512_mask_storeu_epi32(to + c / width * words + v, room,
                                     _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
    }
}

/* One vector of finished sums. */
INLINE void store(const weft_pairs_tile *to, int64_t row, int64_t column, __m512 value)
{
    const __mmask16 mask = first_lanes(to->columns - column);
    float *sums = to->sums + row * to->sums_stride + column;
    if (to->add) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, sums));
    if (to->bias != NULL && to->rounded != NULL) {
        const __m512i bias = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, to->bias + column));
        value = _mm512_add_ps(value, _mm512_castsi512_ps(_mm512_slli_epi32(bias, 16)));
    }
    if (to->rounded != NULL) {
        _mm256_mask_storeu_epi16(to->rounded + row * to->rounded_stride + column, mask,
                                 (__m256i)_mm512_cvtneps_pbh(value));
    } else {
        _mm512_mask_storeu_ps(sums, mask, value);
    }
}

#endif
