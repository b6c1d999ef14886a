/* Memory of the GPU and pinned memory of the host, and copies. */
#include "device/cuda/cuda.h"

/* A GPU that was lost says so to whoever asks next. */
static weft_status check_lost(const weft_cuda *cuda, cudaError_t said, weft_error *error)
{
    if (!weft_cuda_is_late(said)) return WEFT_OK;
    FAIL(error, WEFT_FAILED, "device cuda:%d: no memory: an operation that it was given failed: %s", (int)cuda->index,
         cudaGetErrorString(said));
}

static weft_status take_pinned(weft_cuda *cuda, size_t bytes, void **out, weft_error *error)
{
    TRY(weft_grow(&cuda->pinned, &cuda->pinned_capacity, cuda->pinned_count + 1, sizeof *cuda->pinned, error));
    const cudaError_t said = cudaHostAlloc(out, bytes, cudaHostAllocPortable);
    if (said != cudaSuccess) {
        (void)cudaGetLastError();
        TRY(check_lost(cuda, said, error));
        FAIL(error, WEFT_NO_MEMORY, "device cuda: out of pinned memory of the host: %.1f MiB asked for",
             (double)bytes / 1048576);
    }
    cuda->pinned[cuda->pinned_count++] = *out;
    return WEFT_OK;
}

weft_status weft_cuda_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error)
{
    weft_cuda *cuda = weft_cuda_of(device);
    size_t left = 0, total = 0;
    *out = NULL;
    (void)cudaSetDevice(cuda->index);
    if (bytes == 0) bytes = 1;
    if (kind == WEFT_MEMORY_PINNED && bytes <= SIZE_MAX / 2) return take_pinned(cuda, bytes, out, error);
    const cudaError_t said = bytes <= SIZE_MAX / 2 ? cudaMalloc(out, bytes) : cudaErrorMemoryAllocation;
    if (said == cudaSuccess) return WEFT_OK;
    (void)cudaGetLastError();
    *out = NULL;
    TRY(check_lost(cuda, said, error));
    (void)cudaMemGetInfo(&left, &total);
    FAIL(error, WEFT_NO_MEMORY,
         "device cuda:%d: out of memory: %.1f MiB asked for, %.1f of %.1f MiB are free; --dry-run with "
         "memory_limit=%zuMiB says what would fit",
         (int)cuda->index, (double)bytes / 1048576, (double)left / 1048576, (double)total / 1048576, left >> 20);
}

void weft_cuda_release(weft_device *device, void *memory)
{
    weft_cuda *cuda = weft_cuda_of(device);
    if (memory == NULL) return;
    (void)cudaSetDevice(cuda->index);
    for (size_t i = 0; i < cuda->pinned_count; i++) {
        if (cuda->pinned[i] != memory) continue;
        cuda->pinned[i] = cuda->pinned[--cuda->pinned_count];
        (void)cudaFreeHost(memory);
        return;
    }
    (void)cudaFree(memory);
}

weft_status weft_cuda_memory(weft_device *device, size_t *out_free, size_t *out_total, weft_error *error)
{
    const weft_cuda *cuda = weft_cuda_of(device);
    (void)cudaSetDevice(cuda->index);
    const cudaError_t said = cudaMemGetInfo(out_free, out_total);
    if (said == cudaSuccess) return WEFT_OK;
    FAIL(error, WEFT_FAILED, "device cuda:%d: its memory cannot be asked for: %s", (int)cuda->index,
         cudaGetErrorString(said));
}

static void copy(weft_device *device, weft_stream *stream, const char *operation, void *to, const void *from,
                 size_t bytes, enum cudaMemcpyKind kind)
{
    if (!weft_cuda_begins(device)) return;
    const cudaError_t error =
        bytes > 0 ? cudaMemcpyAsync(to, from, bytes, kind, weft_cuda_on(device, stream)->stream) : cudaSuccess;
    weft_cuda_ends(device, stream, operation, error);
}

void weft_cuda_copy_in(weft_device *device, weft_stream *stream, void *to, const void *pinned, size_t bytes)
{
    copy(device, stream, "copy_in", to, pinned, bytes, cudaMemcpyHostToDevice);
}

void weft_cuda_copy_out(weft_device *device, weft_stream *stream, void *pinned, const void *from, size_t bytes)
{
    copy(device, stream, "copy_out", pinned, from, bytes, cudaMemcpyDeviceToHost);
}

void weft_cuda_copy(weft_device *device, weft_stream *stream, void *to, const void *from, size_t bytes)
{
    copy(device, stream, "copy", to, from, bytes, cudaMemcpyDeviceToDevice);
}

/* Copies then take the shortest way; where a GPU does not reach the other one, they go through the host. */
static void open_peer(weft_cuda *cuda, int peer)
{
    int can = 0;
    if (cuda->peers[peer]) return;
    cuda->peers[peer] = true;
    if (cudaDeviceCanAccessPeer(&can, cuda->index, peer) != cudaSuccess ||
        (can != 0 && cudaDeviceEnablePeerAccess(peer, 0) != cudaSuccess))
        (void)cudaGetLastError(); /* another worker has asked for it, or there is no room for one more */
}

void weft_cuda_copy_peer(weft_device *device, weft_stream *stream, void *to, const weft_device *peer, const void *from,
                         size_t bytes)
{
    weft_cuda *cuda = weft_cuda_of(device);
    const int there = ((const weft_cuda *)peer)->index;
    if (there == cuda->index) {
        copy(device, stream, "copy_peer", to, from, bytes, cudaMemcpyDeviceToDevice);
        return;
    }
    if (!weft_cuda_begins(device)) return;
    open_peer(cuda, there);
    const cudaStream_t on = weft_cuda_on(device, stream)->stream;
    weft_cuda_ends(device, stream, "copy_peer",
                   bytes > 0 ? cudaMemcpyPeerAsync(to, cuda->index, from, there, bytes, on) : cudaSuccess);
}

void weft_cuda_zero(weft_device *device, weft_stream *stream, void *memory, size_t bytes)
{
    if (!weft_cuda_begins(device)) return;
    const cudaError_t error =
        bytes > 0 ? cudaMemsetAsync(memory, 0, bytes, weft_cuda_on(device, stream)->stream) : cudaSuccess;
    weft_cuda_ends(device, stream, "zero", error);
}

static weft_status move(weft_cuda *cuda, const char *operation, void *to, const void *from, size_t bytes,
                        enum cudaMemcpyKind kind, weft_error *error)
{
    TRY(weft_device_check(&cuda->base, error));
    TRY(weft_cuda_finish(cuda, error));
    if (bytes == 0) return WEFT_OK;
    const cudaStream_t stream = weft_cuda_on(&cuda->base, NULL)->stream;
    cudaError_t said = cudaMemcpyAsync(to, from, bytes, kind, stream);
    if (said == cudaSuccess) said = cudaStreamSynchronize(stream);
    weft_cuda_keep(cuda, operation, said);
    return weft_device_check(&cuda->base, error);
}

weft_status weft_cuda_write(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error)
{
    return move(weft_cuda_of(device), "write", to, host, bytes, cudaMemcpyHostToDevice, error);
}

weft_status weft_cuda_read(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error)
{
    return move(weft_cuda_of(device), "read", host, from, bytes, cudaMemcpyDeviceToHost, error);
}
