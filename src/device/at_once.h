/*
 * Streams, events and copies of a device that has done an operation when the call returns, in memory that the host
 * reaches: its one stream is NULL, an event is reached when it is recorded. Internal to src/device.
 *
 * Threads: the device's.
 */
#ifndef WEFT_DEVICE_AT_ONCE_H
#define WEFT_DEVICE_AT_ONCE_H

#include "device/device.h"

weft_status weft_at_once_memory(weft_device *device, size_t *out_free, size_t *out_total, weft_error *error);
weft_status weft_at_once_stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out,
                                       weft_error *error);
void weft_at_once_stream_destroy(weft_device *device, weft_stream *stream);
weft_status weft_at_once_stream_wait(weft_device *device, weft_stream *stream, weft_error *error);
weft_status weft_at_once_events_create(weft_device *device, int32_t count, weft_event *out, weft_error *error);
void weft_at_once_events_destroy(weft_device *device, int32_t count, weft_event *events);
void weft_at_once_event_record(weft_device *device, weft_stream *stream, weft_event *event);
void weft_at_once_event_wait(weft_device *device, weft_stream *stream, const weft_event *event);
bool weft_at_once_event_done(weft_device *device, const weft_event *event);
int64_t weft_at_once_event_time(weft_device *device, const weft_event *event);
/* These go through the device's own copy. */
void weft_at_once_copy_in(weft_device *device, weft_stream *stream, void *to, const void *pinned, size_t bytes);
void weft_at_once_copy_out(weft_device *device, weft_stream *stream, void *pinned, const void *from, size_t bytes);
weft_status weft_at_once_write(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error);
weft_status weft_at_once_read(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error);

/* All of them, as members of a table of operations. */
#define WEFT_AT_ONCE_OPERATIONS                                                                                        \
    .memory = weft_at_once_memory, .stream_create = weft_at_once_stream_create,                                        \
    .stream_destroy = weft_at_once_stream_destroy, .stream_wait = weft_at_once_stream_wait,                            \
    .events_create = weft_at_once_events_create, .events_destroy = weft_at_once_events_destroy,                        \
    .event_record = weft_at_once_event_record, .event_wait = weft_at_once_event_wait,                                  \
    .event_done = weft_at_once_event_done, .event_time = weft_at_once_event_time,                                      \
    .event_due = weft_at_once_event_time, .copy_in = weft_at_once_copy_in, .copy_out = weft_at_once_copy_out,          \
    .write = weft_at_once_write, .read = weft_at_once_read

#endif
