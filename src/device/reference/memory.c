#include "device/reference/reference.h"

#include "base/memory.h"

weft_status reference_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error)
{
    (void)device;
    (void)kind;
    return weft_allocate(bytes, 1, out, error);
}

void reference_release(weft_device *device, void *memory)
{
    (void)device;
    weft_free(memory);
}

void reference_copy(weft_device *device, weft_stream *stream, void *to, const void *from, size_t bytes)
{
    (void)stream;
    if (!reference_begin(device)) return;
    if (bytes > 0) memcpy(to, from, bytes);
    reference_end(device);
}

void reference_zero(weft_device *device, weft_stream *stream, void *memory, size_t bytes)
{
    (void)stream;
    if (!reference_begin(device)) return;
    if (bytes > 0) memset(memory, 0, bytes);
    reference_end(device);
}

void reference_add(weft_device *device, weft_stream *stream, int64_t count, const void *a, const void *b, void *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    for (int64_t i = 0; i < count; i++) {
        reference_put(element, out, i, reference_get(element, a, i) + reference_get(element, b, i));
    }
    reference_end(device);
}

/* In fp32 as the bits are those of additions one by one. */
void reference_sum(weft_device *device, weft_stream *stream, weft_element element, int64_t count, int32_t parts,
                   const void *const *from, void *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    for (int64_t i = 0; i < count; i++) {
        float sum = (float)reference_get(element, from[0], i);
        for (int32_t part = 1; part < parts; part++) sum += (float)reference_get(element, from[part], i);
        reference_put(element, out, i, (double)sum);
    }
    reference_end(device);
}

void reference_round(weft_device *device, weft_stream *stream, int64_t count, const float *from, void *to)
{
    (void)stream;
    if (!reference_begin(device)) return;
    for (int64_t i = 0; i < count; i++) reference_put(device->element, to, i, (double)from[i]);
    reference_end(device);
}
