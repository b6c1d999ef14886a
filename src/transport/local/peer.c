/* Device memory: copies between the devices of workers, ordered by events. */
#include "transport/local/hub.h"

weft_status weft_local_make_events(const weft_local *local, size_t first, weft_error *error)
{
    weft_device *device = local->device;
    for (size_t i = first; device && i < local->count; i++)
        TRY(device->operations->events_create(device, 1, &local->table[i]->event, error));
    return WEFT_OK;
}

void weft_local_destroy_events(const weft_local *local)
{
    weft_device *device = local->device;
    for (size_t i = 0; device && i < local->count; i++)
        device->operations->events_destroy(device, 1, &local->table[i]->event);
}

/* Of a device that the host reaches nothing is asked. */
weft_status weft_local_attach(weft_transport *transport, struct weft_device *device, weft_error *error)
{
    weft_local *local = (weft_local *)transport;
    if (local->device) FAIL(error, WEFT_INVALID, "local transport: a device is attached already");
    if (!device->operations->copy_peer) return WEFT_OK;
    local->device = device;
    weft_status status = weft_local_make_events(local, 0, error);
    if (status == WEFT_OK) return WEFT_OK;
    weft_local_destroy_events(local);
    local->device = NULL;
    return status;
}

weft_stream *weft_local_stream(const weft_local *local, weft_stream *stream)
{
    return local->device ? stream : NULL;
}

void weft_local_mark_ready(weft_local_request *send)
{
    if (send->stream) send->device->operations->event_record(send->device, send->stream, &send->event);
}

/* Whoever drives the endpoint between operations is not to, in the middle of one of its calls. */
static void (*hold_off(weft_device *device))(void *)
{
    void (*between)(void *) = device->between;
    device->between = NULL;
    return between;
}

void weft_local_copy_peer(weft_local_request *receive, weft_local_request *lender)
{
    weft_device *device = receive->device;
    const weft_device_operations *o = device->operations;
    void (*between)(void *) = hold_off(device);
    o->event_wait(device, receive->stream, &lender->event);
    if (receive->count > 0)
        o->copy_peer(device, receive->stream, receive->target, lender->device, lender->source, receive->count);
    o->event_record(device, receive->stream, &receive->event);
    device->between = between;
    lender->copy = receive;
}

void weft_local_follow_copy(const weft_local_request *send)
{
    send->device->operations->event_wait(send->device, send->stream, &send->copy->event);
}

void weft_local_copy_own(const weft_local *local, weft_stream *stream, void *to, const void *from, size_t bytes)
{
    weft_device *device = local->device;
    void (*between)(void *) = hold_off(device);
    device->operations->copy(device, stream, to, from, bytes);
    device->between = between;
}
