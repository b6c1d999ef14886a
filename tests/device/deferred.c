#include "deferred.h"

#include "base/memory.h"
#include "deferred_parts.h"
#include "device/kinds.h"

#include <stdlib.h>
#include <string.h>

void deferred_destroy(weft_device *device)
{
    if (device == NULL) return;
    deferred_device *deferred = deferred_of(device);
    while (deferred->streams != NULL) deferred_stream_destroy(device, deferred->streams);
    deferred_forget_blocks(deferred);
    if (deferred->reference != NULL) deferred->reference->operations->destroy(deferred->reference);
    weft_free(deferred);
}

weft_status deferred_write(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error)
{
    deferred_finish(deferred_of(device));
    TRY(weft_device_check(device, error));
    void *at = deferred_find(deferred_of(device), WEFT_MEMORY_DEVICE, to);
    if (at == NULL && bytes > 0) FAIL(error, WEFT_FAILED, "device deferred: write: this is not memory of this device");
    if (bytes > 0) memcpy(at, host, bytes);
    return WEFT_OK;
}

weft_status deferred_read(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error)
{
    deferred_finish(deferred_of(device));
    TRY(weft_device_check(device, error));
    const void *at = deferred_find(deferred_of(device), WEFT_MEMORY_DEVICE, from);
    if (at == NULL && bytes > 0) FAIL(error, WEFT_FAILED, "device deferred: read: this is not memory of this device");
    if (bytes > 0) memcpy(host, at, bytes);
    return WEFT_OK;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void read_environment(deferred_device *deferred, int32_t index)
{
    static const deferred_haste hastes[3] = {DEFERRED_AT_ONCE, DEFERRED_ASKED, DEFERRED_SOME};
    deferred->delay = (int64_t)number_of("WEFT_DEFERRED_DELAY", 0) * 1000;
    uint64_t seed = number_of("WEFT_DEFERRED_SEED", deferred->delay > 0 ? 0 : 1);
    deferred->in_order = seed == 0;
    deferred->haste = hastes[seed % 3];
    deferred->key = weft_random_key_make(seed + ((uint64_t)(uint32_t)index << 32), "deferred");
}

static weft_status create(const weft_device_options *options, weft_device **out, weft_error *error)
{
    *out = NULL;
    weft_device *reference = NULL;
    TRY(weft_device_reference.create(options, &reference, error));
    deferred_device *deferred = NULL;
    weft_status status = weft_allocate(1, sizeof *deferred, &deferred, error);
    if (status != WEFT_OK) {
        reference->operations->destroy(reference);
        return status;
    }
    deferred->reference = reference;
    deferred->base =
        (weft_device){.operations = &deferred_operations, .element = options->element, .threads = options->threads};
    read_environment(deferred, options->index);
    weft_stream *first = NULL;
    status = deferred_stream_create(&deferred->base, WEFT_STREAM_COMPUTE, &first, error);
    if (status != WEFT_OK) {
        deferred_destroy(&deferred->base);
        return status;
    }
    *out = &deferred->base;
    return WEFT_OK;
}

static size_t linear_workspace(const weft_device_options *options, const weft_linear *linear)
{
    return weft_device_reference.linear_workspace(options, linear);
}

static size_t attention_workspace(const weft_device_options *options, const weft_attention *attention)
{
    return weft_device_reference.attention_workspace(options, attention);
}

static int32_t count(void)
{
    return DEFERRED_DEVICES;
}

const weft_device_kind weft_device_deferred = {
    .name = "deferred",
    .summary = "reference operations that run late, on memory that the host cannot touch",
    .alignment = 256,
    .count = count,
    .sum_chunk = 1000,
    .create = create,
    .linear_workspace = linear_workspace,
    .attention_workspace = attention_workspace,
};
