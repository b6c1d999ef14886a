/* bf16 in kernels: storage and conversions only. Hosts go through tensor/element.h. */
#ifndef WEFT_TESTS_CUDA_BF16_H
#define WEFT_TESTS_CUDA_BF16_H

#include "cuda_runtime.h"

struct __nv_bfloat16 {
    uint16_t bits;
};
typedef __nv_bfloat16 nv_bfloat16;

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
typedef __nv_bfloat162 nv_bfloat162;

static inline float __bfloat162float(__nv_bfloat16 value)
{
    const uint32_t bits = (uint32_t)value.bits << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

/* To nearest, ties to even; not a number becomes 0x7fff. */
static inline __nv_bfloat16 __float2bfloat16_rn(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
    return {(uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}

#endif
