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

/* waits: for a copy that is not between memory of GPUs, as cudaMemcpy does. */
static cudaError_t copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream, bool waits)
{
    int gpu = 0;
    place into, out;
    cudaError_t error = check_stream(&stream, &gpu);
    if (error != cudaSuccess || bytes == 0) return error;
    error = classify(to, bytes, &into.kind, &into.gpu);
    if (error != cudaSuccess) return error;
    if ((char *)to < (const char *)from + bytes && (const char *)from < (char *)to + bytes)
        misuse("a copy overlaps itself");
    error = classify(from, bytes, &out.kind, &out.gpu);
    if (error != cudaSuccess) return error;
    if (!fits(kind, into, out)) return cudaErrorInvalidMemcpyDirection;
    std::shared_ptr<std::vector<char>> aside;
    if (out.kind == memory_kind::pageable) {
        aside = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + bytes);
        from = aside->data();
    }
    enqueue(stream, {work::copy, "a copy", nullptr, into.gpus() | out.gpus(),
                     [to, from, bytes, aside]() { memcpy(to, from, bytes); }});
    if (into.kind == memory_kind::pageable || (waits && (into.gpus() == 0 || out.gpus() == 0)))
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
    return result(copy(to, from, bytes, kind, stream, false));
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    const entry guard;
    return result(copy(to, from, bytes, kind, nullptr, true));
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
    int gpu = 0;
    if (error == cudaSuccess) error = check_stream(&stream, &gpu);
    if (error != cudaSuccess) return result(error);
    if (gpu != to_device && gpu != from_device) misuse("a copy between two GPUs on a stream of a third");
    return result(copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream, false));
}

extern "C" cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    const entry guard;
    return result(fill(memory, value, bytes, stream));
}
