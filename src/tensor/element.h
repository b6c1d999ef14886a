/* Element types and conversion between them. Threads: any. */
#ifndef WEFT_TENSOR_ELEMENT_H
#define WEFT_TENSOR_ELEMENT_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* WEFT_FP16 is in files of others only: devices and checkpoints know the first two. */
typedef enum weft_element { WEFT_FP32, WEFT_BF16, WEFT_FP16 } weft_element;

size_t weft_element_bytes(weft_element element);
const char *weft_element_name(weft_element element); /* "fp32", "bf16", "fp16" */

/* Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t weft_bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float weft_bf16_to_float(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* Round to nearest, ties to even; what is too large becomes infinite, NaN stays NaN. */
uint16_t weft_fp16_from_float(float value);
float weft_fp16_to_float(uint16_t value);

/* count elements of any type, little-endian and maybe unaligned, to fp32. */
void weft_element_to_float(weft_element element, const void *from, size_t count, float *to);
void weft_element_from_float(weft_element element, const float *from, size_t count, void *to);

/* The largest fp32 that does not become infinite. */
float weft_element_largest(weft_element element);

#endif
