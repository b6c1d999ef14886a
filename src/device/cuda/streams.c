/* Streams, events, and times of events. */
#include "device/cuda/cuda.h"

#include "base/clock.h"

#include <math.h>

static cudaError_t open_stream(weft_stream *stream, weft_stream_kind kind)
{
    int least = 0, greatest = 0;
    cudaError_t error = cudaDeviceGetStreamPriorityRange(&least, &greatest);
    if (error == cudaSuccess)
        error = cudaStreamCreateWithPriority(&stream->call.stream, cudaStreamNonBlocking,
                                             kind == WEFT_STREAM_TRANSFER ? greatest : least);
    if (error == cudaSuccess && kind == WEFT_STREAM_COMPUTE)
        error = cudaMalloc(&stream->call.scratch, WEFT_CUDA_SCRATCH);
    return error;
}

static void close_stream(weft_stream *stream)
{
    if (stream->call.scratch != NULL) (void)cudaFree(stream->call.scratch);
    if (stream->call.stream != NULL) (void)cudaStreamDestroy(stream->call.stream);
    weft_free(stream);
}

weft_status weft_cuda_stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error)
{
    weft_cuda *cuda = weft_cuda_of(device);
    weft_stream *stream = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *stream, &stream, error));
    stream->call.element = device->element;
    stream->call.tensor_cores = cuda->tensor_cores;
    (void)cudaSetDevice(cuda->index);
    const cudaError_t opened = open_stream(stream, kind);
    if (opened != cudaSuccess) {
        close_stream(stream);
        FAIL(error, opened == cudaErrorMemoryAllocation ? WEFT_NO_MEMORY : WEFT_FAILED,
             "device cuda:%d: a stream cannot be made: %s", (int)cuda->index, cudaGetErrorString(opened));
    }
    stream->next = cuda->streams;
    cuda->streams = stream;
    *out = stream;
    return WEFT_OK;
}

void weft_cuda_stream_destroy(weft_device *device, weft_stream *stream)
{
    weft_cuda *cuda = weft_cuda_of(device);
    if (stream == NULL) return;
    (void)cudaSetDevice(cuda->index);
    (void)cudaStreamSynchronize(stream->call.stream);
    for (weft_stream **place = &cuda->streams; *place != NULL; place = &(*place)->next) {
        if (*place != stream) continue;
        *place = stream->next;
        close_stream(stream);
        return;
    }
}

weft_status weft_cuda_stream_wait(weft_device *device, weft_stream *stream, weft_error *error)
{
    weft_cuda *cuda = weft_cuda_of(device);
    (void)cudaSetDevice(cuda->index);
    weft_cuda_keep(cuda, NULL, cudaStreamSynchronize(weft_cuda_on(device, stream)->stream));
    return weft_device_check(device, error);
}

weft_status weft_cuda_finish(weft_cuda *cuda, weft_error *error)
{
    (void)cudaSetDevice(cuda->index);
    for (weft_stream *stream = cuda->streams; stream != NULL; stream = stream->next)
        weft_cuda_keep(cuda, NULL, cudaStreamSynchronize(stream->call.stream));
    return weft_device_check(&cuda->base, error);
}

weft_status weft_cuda_events_create(weft_device *device, int32_t count, weft_event *out, weft_error *error)
{
    (void)cudaSetDevice(weft_cuda_of(device)->index);
    for (int32_t i = 0; i < count; i++) {
        cudaEvent_t event = NULL;
        const cudaError_t made = cudaEventCreateWithFlags(&event, cudaEventDefault);
        out[i] = (weft_event){.handle = event};
        if (made == cudaSuccess) continue;
        weft_cuda_events_destroy(device, i, out);
        FAIL(error, WEFT_FAILED, "device cuda:%d: an event cannot be made: %s", (int)weft_cuda_of(device)->index,
             cudaGetErrorString(made));
    }
    return WEFT_OK;
}

void weft_cuda_events_destroy(weft_device *device, int32_t count, weft_event *events)
{
    (void)cudaSetDevice(weft_cuda_of(device)->index);
    for (int32_t i = 0; i < count; i++) {
        if (events[i].handle != NULL) (void)cudaEventDestroy((cudaEvent_t)events[i].handle);
        events[i].handle = NULL;
    }
}

void weft_cuda_event_record(weft_device *device, weft_stream *stream, weft_event *event)
{
    if (!weft_cuda_begins(device)) return;
    weft_cuda_keep(weft_cuda_of(device), "event_record",
                   cudaEventRecord((cudaEvent_t)event->handle, weft_cuda_on(device, stream)->stream));
}

/* Of an instance that has failed, too: what it does last, such as giving memory back, comes after another one's copies.
 */
void weft_cuda_event_wait(weft_device *device, weft_stream *stream, const weft_event *event)
{
    (void)cudaSetDevice(weft_cuda_of(device)->index);
    weft_cuda_keep(weft_cuda_of(device), "event_wait",
                   cudaStreamWaitEvent(weft_cuda_on(device, stream)->stream, (cudaEvent_t)event->handle, 0));
}

/* Of an instance that has failed every event is done: nobody waits for what never comes, but finds the error. */
bool weft_cuda_event_done(weft_device *device, const weft_event *event)
{
    if (!weft_cuda_begins(device)) return true;
    const cudaError_t found = cudaEventQuery((cudaEvent_t)event->handle);
    if (found == cudaErrorNotReady) return false;
    weft_cuda_keep(weft_cuda_of(device), NULL, found);
    return true;
}

cudaError_t weft_cuda_set_origin(weft_cuda *cuda)
{
    cudaError_t error = cudaEventRecord(cuda->origin, weft_cuda_on(&cuda->base, NULL)->stream);
    if (error == cudaSuccess) error = cudaEventSynchronize(cuda->origin);
    cuda->origin_time = weft_clock_nanoseconds();
    return error;
}

enum { ORIGIN_MILLISECONDS = 4000 }; /* a float of milliseconds has a quarter of a microsecond then */

/* An origin that is too far away is moved. The host looks at its clock a little after the origin was reached, so that
 * times come out late by that; never later than now. */
int64_t weft_cuda_event_time(weft_device *device, const weft_event *event)
{
    weft_cuda *cuda = weft_cuda_of(device);
    float milliseconds = 0.0f;
    if (!weft_cuda_begins(device)) return cuda->origin_time;
    cudaError_t error = cudaEventElapsedTime(&milliseconds, cuda->origin, (cudaEvent_t)event->handle);
    if (error == cudaSuccess && fabsf(milliseconds) > ORIGIN_MILLISECONDS) {
        error = weft_cuda_set_origin(cuda);
        if (error == cudaSuccess) error = cudaEventElapsedTime(&milliseconds, cuda->origin, (cudaEvent_t)event->handle);
    }
    weft_cuda_keep(cuda, "event_time", error);
    const int64_t time = cuda->origin_time + (int64_t)((double)milliseconds * 1e6), now = weft_clock_nanoseconds();
    return time < now ? time : now;
}

int64_t weft_cuda_event_due(weft_device *device, const weft_event *event)
{
    return weft_cuda_event_done(device, event) ? 0 : INT64_MAX;
}
