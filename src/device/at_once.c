#include "device/at_once.h"

#include "base/clock.h"

#include <unistd.h>

weft_status weft_at_once_memory(weft_device *device, size_t *out_free, size_t *out_total, weft_error *error)
{
    (void)device;
    (void)error;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *out_total = (size_t)sysconf(_SC_PHYS_PAGES) * page;
    *out_free = (size_t)sysconf(_SC_AVPHYS_PAGES) * page;
    return WEFT_OK;
}

weft_status weft_at_once_stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error)
{
    (void)device;
    (void)kind;
    (void)error;
    *out = NULL;
    return WEFT_OK;
}

void weft_at_once_stream_destroy(weft_device *device, weft_stream *stream)
{
    (void)device;
    (void)stream;
}

weft_status weft_at_once_stream_wait(weft_device *device, weft_stream *stream, weft_error *error)
{
    (void)stream;
    return weft_device_check(device, error);
}

weft_status weft_at_once_events_create(weft_device *device, int32_t count, weft_event *out, weft_error *error)
{
    (void)device;
    (void)error;
    for (int32_t i = 0; i < count; i++) out[i] = (weft_event){0};
    return WEFT_OK;
}

void weft_at_once_events_destroy(weft_device *device, int32_t count, weft_event *events)
{
    (void)device;
    (void)count;
    (void)events;
}

void weft_at_once_event_record(weft_device *device, weft_stream *stream, weft_event *event)
{
    (void)device;
    (void)stream;
    event->nanoseconds = weft_clock_nanoseconds();
}

void weft_at_once_event_wait(weft_device *device, weft_stream *stream, const weft_event *event)
{
    (void)device;
    (void)stream;
    (void)event;
}

bool weft_at_once_event_done(weft_device *device, const weft_event *event)
{
    (void)device;
    (void)event;
    return true;
}

int64_t weft_at_once_event_time(weft_device *device, const weft_event *event)
{
    (void)device;
    return event->nanoseconds;
}

void weft_at_once_copy_in(weft_device *device, weft_stream *stream, void *to, const void *pinned, size_t bytes)
{
    device->operations->copy(device, stream, to, pinned, bytes);
}

void weft_at_once_copy_out(weft_device *device, weft_stream *stream, void *pinned, const void *from, size_t bytes)
{
    device->operations->copy(device, stream, pinned, from, bytes);
}

weft_status weft_at_once_write(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error)
{
    device->operations->copy(device, NULL, to, host, bytes);
    return weft_device_check(device, error);
}

weft_status weft_at_once_read(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error)
{
    device->operations->copy(device, NULL, host, from, bytes);
    return weft_device_check(device, error);
}
