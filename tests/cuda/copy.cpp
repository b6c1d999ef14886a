/* Copies and fills. Memory that is not pinned is taken aside when the call is made, and reached before it returns. */
#include "parts.h"

#include <cstring>

namespace emulator
{

struct place {
    memory_kind kind;
    int gpu;
    unsigned gpus(void) const
    {
        return kind == memory_kind::device ? 1u << gpu : 0;
    }
};

static bool fits(cudaMemcpyKind kind, const place &to, const place &from)
{
    const bool into = to.kind == memory_kind::device, out = from.kind == memory_kind::device;
    switch (kind) {
    case cudaMemcpyHostToHost:
        return !into && !out;
    case cudaMemcpyHostToDevice:
        return into && !out;
    case cudaMemcpyDeviceToHost:
        return !into && out;
    case cudaMemcpyDeviceToDevice:
        return into && out;
    case cudaMemcpyDefault:
        return true;
    }
    return false;
}

/* Rows of `width` bytes, so far apart. */
struct copied {
    char *to;
    const char *from;
    size_t to_pitch, from_pitch, width, height;
};

static void carry_out(const copied &rows)
{
    for (size_t i = 0; i < rows.height; i++)
        memcpy(rows.to + i * rows.to_pitch, rows.from + i * rows.from_pitch, rows.width);
}

static cudaError_t look_at(const copied &rows, place *out_to, place *out_from)
{
    const size_t to_bytes = (rows.height - 1) * rows.to_pitch + rows.width;
    const size_t from_bytes = (rows.height - 1) * rows.from_pitch + rows.width;
    const cudaError_t error = classify(rows.to, to_bytes, &out_to->kind, &out_to->gpu);
    if (error != cudaSuccess) return error;
    if (rows.to < rows.from + from_bytes && rows.from < rows.to + to_bytes) misuse("a copy overlaps itself");
    return classify(rows.from, from_bytes, &out_from->kind, &out_from->gpu);
}

/* waits: for a copy that is not between memory of GPUs, as cudaMemcpy does. */
static cudaError_t copy(copied rows, cudaMemcpyKind kind, cudaStream_t stream, bool waits)
{
    int gpu = 0;
    place to, from;
    cudaError_t error = check_stream(&stream, &gpu);
    if (error != cudaSuccess || rows.width == 0 || rows.height == 0) return error;
    if (rows.to_pitch < rows.width || rows.from_pitch < rows.width) return cudaErrorInvalidValue;
    error = look_at(rows, &to, &from);
    if (error != cudaSuccess) return error;
    if (!fits(kind, to, from)) return cudaErrorInvalidMemcpyDirection;
    std::shared_ptr<std::vector<char>> aside;
    if (from.kind == memory_kind::pageable) {
        aside = std::make_shared<std::vector<char>>(rows.width * rows.height);
        carry_out({aside->data(), rows.from, rows.width, rows.from_pitch, rows.width, rows.height});
        rows.from = aside->data();
        rows.from_pitch = rows.width;
    }
    enqueue(stream, {work::copy, "a copy", nullptr, to.gpus() | from.gpus(), [rows, aside]() { carry_out(rows); }});
    if (to.kind == memory_kind::pageable || (waits && (to.gpus() == 0 || from.gpus() == 0)))
        return wait_for_stream(stream);
    return cudaSuccess;
}

static cudaError_t fill(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    int gpu = 0;
    place to;
    cudaError_t error = check_stream(&stream, &gpu);
    if (error != cudaSuccess || bytes == 0) return error;
    error = classify(memory, bytes, &to.kind, &to.gpu);
    if (error != cudaSuccess) return error;
    if (to.kind == memory_kind::pageable) return cudaErrorInvalidValue;
    return enqueue(stream, {work::other, "a fill", nullptr, to.gpus(), [=]() { memset(memory, value, bytes); }});
}

} // namespace emulator

using namespace emulator;

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                                       cudaStream_t stream)
{
    const entry guard;
    return result(copy({(char *)to, (const char *)from, bytes, bytes, bytes, 1}, kind, stream, false));
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    const entry guard;
    return result(copy({(char *)to, (const char *)from, bytes, bytes, bytes, 1}, kind, nullptr, true));
}

extern "C" cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                                         size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    const entry guard;
    return result(copy({(char *)to, (const char *)from, to_pitch, from_pitch, width, height}, kind, stream, false));
}

extern "C" cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                                           cudaStream_t stream)
{
    const entry guard;
    place at, source;
    cudaError_t error = bytes == 0 ? cudaSuccess : classify(to, bytes, &at.kind, &at.gpu);
    if (error == cudaSuccess && bytes > 0) error = classify(from, bytes, &source.kind, &source.gpu);
    if (error == cudaSuccess && bytes > 0 && (at.gpu != to_device || source.gpu != from_device))
        error = cudaErrorInvalidValue;
    if (error != cudaSuccess) return result(error);
    return result(
        copy({(char *)to, (const char *)from, bytes, bytes, bytes, 1}, cudaMemcpyDeviceToDevice, stream, false));
}

extern "C" cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    const entry guard;
    return result(fill(memory, value, bytes, stream));
}

extern "C" cudaError_t cudaMemset(void *memory, int value, size_t bytes)
{
    const entry guard;
    return result(fill(memory, value, bytes, nullptr));
}
