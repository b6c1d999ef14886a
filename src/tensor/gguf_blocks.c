/* Elements of GGUF tensors to fp32 and back. Source: ggml-quants.c of github.com/ggml-org/llama.cpp. */
#include "tensor/gguf.h"

#include "tensor/element.h"

#include <math.h>

static const struct {
    const char *name;
    uint32_t number;
    size_t elements, bytes; /* of a block */
} types[] = {
    [WEFT_GGUF_F32] = {"F32", 0, 1, 4},
    [WEFT_GGUF_F16] = {"F16", 1, 1, 2},
    [WEFT_GGUF_BF16] = {"BF16", 30, 1, 2},
    [WEFT_GGUF_Q8_0] = {"Q8_0", 8, WEFT_GGUF_BLOCK, 2 + WEFT_GGUF_BLOCK},
    [WEFT_GGUF_Q4_0] = {"Q4_0", 2, WEFT_GGUF_BLOCK, 2 + WEFT_GGUF_BLOCK / 2},
    [WEFT_GGUF_Q4_1] = {"Q4_1", 3, WEFT_GGUF_BLOCK, 4 + WEFT_GGUF_BLOCK / 2},
};

const char *weft_gguf_type_name(weft_gguf_type type)
{
    return types[type].name;
}

uint32_t weft_gguf_type_number(weft_gguf_type type)
{
    return types[type].number;
}

int64_t weft_gguf_type_block(weft_gguf_type type)
{
    return (int64_t)types[type].elements;
}

size_t weft_gguf_type_bytes(weft_gguf_type type, size_t elements)
{
    return elements / types[type].elements * types[type].bytes;
}

static float half_at(const unsigned char *bytes)
{
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return weft_fp16_to_float(half);
}

/* Four bits of an element: the first half of a block has the low ones. */
static int nibble(const unsigned char *bytes, size_t i)
{
    return i < WEFT_GGUF_BLOCK / 2 ? bytes[i] & 0x0f : bytes[i - WEFT_GGUF_BLOCK / 2] >> 4;
}

/* Elements from .. to - 1 of one block. */
static void read_q8_0(const unsigned char *block, size_t from, size_t to, float *out)
{
    float scale = half_at(block);
    for (size_t i = from; i < to; i++) *out++ = (float)(int8_t)block[2 + i] * scale;
}

static void read_q4_0(const unsigned char *block, size_t from, size_t to, float *out)
{
    float scale = half_at(block);
    for (size_t i = from; i < to; i++) *out++ = (float)(nibble(block + 2, i) - 8) * scale;
}

static void read_q4_1(const unsigned char *block, size_t from, size_t to, float *out)
{
    float scale = half_at(block), least = half_at(block + 2);
    for (size_t i = from; i < to; i++) *out++ = (float)nibble(block + 4, i) * scale + least;
}

static void (*const block_readers[WEFT_GGUF_TYPES])(const unsigned char *block, size_t from, size_t to, float *out) = {
    [WEFT_GGUF_Q8_0] = read_q8_0, [WEFT_GGUF_Q4_0] = read_q4_0, [WEFT_GGUF_Q4_1] = read_q4_1};

static const weft_element elements[] = {
    [WEFT_GGUF_F32] = WEFT_FP32, [WEFT_GGUF_F16] = WEFT_FP16, [WEFT_GGUF_BF16] = WEFT_BF16};

float weft_gguf_type_largest(weft_gguf_type type)
{
    return type == WEFT_GGUF_Q8_0 ? 127 * 65519.0f : weft_element_largest(elements[type]); /* its scale is a half */
}

void weft_gguf_to_float(const weft_gguf_tensor *tensor, int64_t from, int64_t count, float *out)
{
    size_t bytes = types[tensor->type].bytes, at = (size_t)from, end = at + (size_t)count;
    if (!block_readers[tensor->type]) {
        weft_element_to_float(elements[tensor->type], tensor->data + at * bytes, (size_t)count, out);
        return;
    }
    while (at < end) {
        size_t block = at / WEFT_GGUF_BLOCK, first = at % WEFT_GGUF_BLOCK, last = end - block * WEFT_GGUF_BLOCK;
        if (last > WEFT_GGUF_BLOCK) last = WEFT_GGUF_BLOCK;
        block_readers[tensor->type](tensor->data + block * bytes, first, last, out);
        out += last - first;
        at += last - first;
    }
}

/* The scale takes the largest to 127; roundf goes away from zero at the middle. */
static void write_q8_0(const float *from, unsigned char *block)
{
    float most = 0;
    for (int i = 0; i < WEFT_GGUF_BLOCK; i++) most = fmaxf(most, fabsf(from[i]));
    float scale = most / 127, inverse = scale > 0 ? 1 / scale : 0;
    if (!isfinite(inverse)) inverse = 0; /* too small for its scale to be anything but 0 */
    uint16_t half = weft_fp16_from_float(scale);
    memcpy(block, &half, sizeof half);
    for (int i = 0; i < WEFT_GGUF_BLOCK; i++) block[2 + i] = (unsigned char)(int8_t)roundf(from[i] * inverse);
}

void weft_gguf_from_float(weft_gguf_type type, const float *from, size_t count, void *to)
{
    unsigned char *block = to;
    if (type != WEFT_GGUF_Q8_0) {
        weft_element_from_float(elements[type], from, count, to);
        return;
    }
    for (size_t i = 0; i < count; i += WEFT_GGUF_BLOCK, block += types[type].bytes) write_q8_0(from + i, block);
}
