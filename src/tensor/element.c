#include "tensor/element.h"

size_t weft_element_bytes(weft_element element)
{
    return element == WEFT_FP32 ? 4 : 2;
}

const char *weft_element_name(weft_element element)
{
    static const char *const names[] = {"fp32", "bf16", "fp16"};
    return names[element];
}

float weft_element_largest(weft_element element)
{
    static const float largest[] = {
        [WEFT_FP32] = 0x1.fffffep127f, [WEFT_BF16] = 0x1.fefffep127f, [WEFT_FP16] = 0x1.ffdffep15f};
    return largest[element];
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

enum { EXPONENT16 = 0x7c00, SHIFT = 13 }; /* fp16 has 10 bits of fraction, fp32 has 23 */

float weft_fp16_to_float(uint16_t value)
{
    uint32_t sign = (uint32_t)(value & 0x8000u) << 16, rest = value & 0x7fffu;
    if (rest >= EXPONENT16) return from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << SHIFT);
    float magnitude = from_bits(rest << SHIFT) * 0x1p112f; /* the exponents' biases are 15 and 127; exact */
    return from_bits(sign | to_bits(magnitude));
}

uint16_t weft_fp16_from_float(float value)
{
    uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= to_bits(65520.0f)) return (uint16_t)(sign | EXPONENT16);
    if (rest < to_bits(0x1p-14f)) /* one half has the step of the smallest numbers in fp16: the sum rounds to it */
        return (uint16_t)(sign | (to_bits(from_bits(rest) + 0.5f) - to_bits(0.5f)));
    rest += 0xfffu + (rest >> SHIFT & 1u);
    return (uint16_t)(sign | (rest - 0x38000000u) >> SHIFT);
}

void weft_element_to_float(weft_element element, const void *from, size_t count, float *to)
{
    const unsigned char *bytes = from;
    if (element == WEFT_FP32 && count > 0) memcpy(to, from, count * sizeof *to);
    for (size_t i = 0; element != WEFT_FP32 && i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        to[i] = element == WEFT_BF16 ? weft_bf16_to_float(half) : weft_fp16_to_float(half);
    }
}

void weft_element_from_float(weft_element element, const float *from, size_t count, void *to)
{
    unsigned char *bytes = to;
    if (element == WEFT_FP32 && count > 0) memcpy(to, from, count * sizeof *from);
    for (size_t i = 0; element != WEFT_FP32 && i < count; i++) {
        uint16_t half = element == WEFT_BF16 ? weft_bf16_from_float(from[i]) : weft_fp16_from_float(from[i]);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
}
