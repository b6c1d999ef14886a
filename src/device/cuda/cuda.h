/*
 * The cuda device's instance, shared by its host files.
 *
 * An operation is one or a few kernels, or a product of cuBLASLt, enqueued on a stream (kernels.h, products.h); nothing
 * has run when the call returns. What fails later is found by whoever waits. With WEFT_CUDA_SYNC=1 in the environment
 * every operation is waited for, so that the one that failed is named.
 *
 * Owns: the instance owns its streams with their scratch, its products, and remembers its pinned memory. Threads: the
 * thread that created it; every call makes its GPU the thread's current one.
 */
#ifndef WEFT_DEVICE_CUDA_CUDA_H
#define WEFT_DEVICE_CUDA_CUDA_H

#include "device/cuda/kernels.h"

struct weft_stream {
    struct weft_stream *next;
    weft_cuda_call call;
};

typedef struct weft_cuda_products weft_cuda_products;

typedef struct weft_cuda {
    weft_device base; /* first: a weft_device * is a weft_cuda * */
    int32_t index;
    bool waits; /* WEFT_CUDA_SYNC */
    bool in_between;
    bool tensor_cores;    /* for bf16 */
    weft_stream *streams; /* the last is the one that NULL means */
    void **pinned;
    size_t pinned_count, pinned_capacity;
    bool *peers; /* (GPUs): their memory was opened to this one where it can be */
    weft_cuda_products *products;
    cudaEvent_t origin; /* where times count from, */
    int64_t origin_time;
} weft_cuda;

static inline weft_cuda *weft_cuda_of(weft_device *device)
{
    return (weft_cuda *)device;
}

/* calls.c. Every operation begins with this: false once the instance has failed. */
bool weft_cuda_begins(weft_device *device);
/* Every operation ends with this: what its calls said; keeps an error, calls the hook. */
void weft_cuda_ends(weft_device *device, weft_stream *stream, const char *operation, cudaError_t error);
/* Whether it is what work fails with while it runs: then whichever call comes next says so. */
bool weft_cuda_is_late(cudaError_t error);
/* The instance has failed in `what`. */
void weft_cuda_keep(weft_cuda *cuda, const char *what, cudaError_t error);
/* How to launch on this stream; NULL is the instance's own. */
const weft_cuda_call *weft_cuda_on(weft_device *device, weft_stream *stream);

/* memory.c and streams.c, as device.h has them. */
weft_status weft_cuda_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error);
void weft_cuda_release(weft_device *device, void *memory);
weft_status weft_cuda_memory(weft_device *device, size_t *out_free, size_t *out_total, weft_error *error);
void weft_cuda_copy_in(weft_device *device, weft_stream *stream, void *to, const void *pinned, size_t bytes);
void weft_cuda_copy_out(weft_device *device, weft_stream *stream, void *pinned, const void *from, size_t bytes);
void weft_cuda_copy(weft_device *device, weft_stream *stream, void *to, const void *from, size_t bytes);
void weft_cuda_copy_peer(weft_device *device, weft_stream *stream, void *to, const weft_device *peer, const void *from,
                         size_t bytes);
void weft_cuda_zero(weft_device *device, weft_stream *stream, void *memory, size_t bytes);
weft_status weft_cuda_write(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error);
weft_status weft_cuda_read(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error);
weft_status weft_cuda_stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error);
void weft_cuda_stream_destroy(weft_device *device, weft_stream *stream);
weft_status weft_cuda_stream_wait(weft_device *device, weft_stream *stream, weft_error *error);
weft_status weft_cuda_events_create(weft_device *device, int32_t count, weft_event *out, weft_error *error);
void weft_cuda_events_destroy(weft_device *device, int32_t count, weft_event *events);
void weft_cuda_event_record(weft_device *device, weft_stream *stream, weft_event *event);
void weft_cuda_event_wait(weft_device *device, weft_stream *stream, const weft_event *event);
bool weft_cuda_event_done(weft_device *device, const weft_event *event);
int64_t weft_cuda_event_time(weft_device *device, const weft_event *event);
int64_t weft_cuda_event_due(weft_device *device, const weft_event *event);
/* Times count from now on. */
cudaError_t weft_cuda_set_origin(weft_cuda *cuda);
/* The host waits for all streams of the instance. */
weft_status weft_cuda_finish(weft_cuda *cuda, weft_error *error) WEFT_CHECKED;

/* operations.c */
extern const weft_device_operations weft_cuda_operations;

#endif
