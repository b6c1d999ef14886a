#include "on_device.h"

#include "base/clock.h"
#include "transport/common.h"
#include "transport/over.h"

#include <inttypes.h>
#include <string.h>

enum { STREAMS = 3 };

typedef enum journey {
    FREE,
    TRAVELS, /* the inner endpoint has it */
    COMES,   /* it has its place: the host waits until its stream has come there */
} journey;

typedef struct traveller {
    journey state;
    weft_request inner;
    weft_stream *stream;
    weft_event event;
    bool made; /* the event */
    char *device, *pinned;
    size_t room;  /* bytes of either */
    void *target; /* of the host; NULL: a send */
    size_t count; /* bytes of `device` that come out to target */
} traveller;

typedef struct on_device {
    weft_transport_over over;
    weft_transport_operations operations;
    const weft_group *groups;
    weft_device *device;
    weft_stream *streams[STREAMS];
    uint64_t posted;
    traveller *travellers;
    size_t capacity, count;
} on_device;

static weft_status make_room(on_device *d, traveller *t, size_t bytes, weft_error *error)
{
    const weft_device_operations *o = d->device->operations;
    void *device = NULL, *pinned = NULL;
    if (!t->made) TRY(o->events_create(d->device, 1, &t->event, error));
    t->made = true;
    if (t->room >= bytes && t->device) return WEFT_OK;
    if (t->device) o->release(d->device, t->device);
    if (t->pinned) o->release(d->device, t->pinned);
    t->device = t->pinned = NULL;
    t->room = bytes > 2 * t->room ? bytes : 2 * t->room;
    TRY(o->allocate(d->device, WEFT_MEMORY_DEVICE, t->room, &device, error));
    t->device = device;
    TRY(o->allocate(d->device, WEFT_MEMORY_PINNED, t->room, &pinned, error));
    t->pinned = pinned;
    return WEFT_OK;
}

/* A free one with room; every request is on another stream. */
static weft_status take(on_device *d, size_t bytes, weft_request *out, weft_error *error)
{
    size_t i = 0;
    while (i < d->count && d->travellers[i].state != FREE) i++;
    if (i == d->count) {
        TRY(weft_grow(&d->travellers, &d->capacity, d->count + 1, sizeof *d->travellers, error));
        d->travellers[d->count++] = (traveller){.state = FREE};
    }
    *out = (weft_request)i;
    traveller *t = &d->travellers[i];
    TRY(make_room(d, t, bytes, error));
    t->stream = d->streams[d->posted++ % STREAMS];
    t->target = NULL;
    t->count = 0;
    return WEFT_OK;
}

static void bring_in(on_device *d, traveller *t, size_t offset, const void *bytes, size_t count)
{
    if (count == 0) return;
    memcpy(t->pinned + offset, bytes, count);
    d->device->operations->copy_in(d->device, t->stream, t->device + offset, t->pinned + offset, count);
}

static weft_status set_out(traveller *t, weft_status status)
{
    if (status == WEFT_OK) t->state = TRAVELS;
    return status;
}

static weft_status send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    (void)stream;
    on_device *d = (on_device *)transport;
    weft_transport *inner = d->over.inner;
    TRY(take(d, count, out, error));
    traveller *t = &d->travellers[*out];
    bring_in(d, t, 0, bytes, count);
    return set_out(t, inner->operations->send(inner, t->stream, peer, tag, t->device, count, &t->inner, error));
}

static weft_status receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error)
{
    (void)stream;
    on_device *d = (on_device *)transport;
    weft_transport *inner = d->over.inner;
    TRY(take(d, count, out, error));
    traveller *t = &d->travellers[*out];
    t->target = bytes;
    t->count = count;
    return set_out(t, inner->operations->receive(inner, t->stream, peer, tag, t->device, count, &t->inner, error));
}

/* A part that is where it belongs already is there on the device, too; else it lies behind all parts. */
static weft_status gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    (void)stream;
    on_device *d = (on_device *)transport;
    weft_transport *inner = d->over.inner;
    size_t own = 0;
    int32_t place = weft_transport_place(&d->groups[group], transport->rank);
    size_t total = weft_transport_total(counts, d->groups[group].count, place, &own), count = counts[place];
    size_t offset = bytes == (char *)out_bytes + own ? own : total;
    TRY(take(d, total + count, out, error));
    traveller *t = &d->travellers[*out];
    bring_in(d, t, offset, bytes, count);
    t->target = out_bytes;
    t->count = total;
    return set_out(
        t, inner->operations->gather(inner, t->stream, group, t->device + offset, counts, t->device, &t->inner, error));
}

static weft_status look(on_device *d, traveller *t, bool *out_done, weft_error *error)
{
    const weft_device_operations *o = d->device->operations;
    weft_transport *inner = d->over.inner;
    bool done = false;
    *out_done = false;
    if (t->state == TRAVELS) {
        TRY(inner->operations->test(inner, t->inner, &done, error));
        if (!done) return WEFT_OK;
        if (t->target && t->count > 0) o->copy_out(d->device, t->stream, t->pinned, t->device, t->count);
        o->event_record(d->device, t->stream, &t->event);
        t->state = COMES;
    }
    if (!o->event_done(d->device, &t->event)) return WEFT_OK;
    TRY(weft_device_check(d->device, error));
    if (t->target && t->count > 0) memcpy(t->target, t->pinned, t->count);
    t->state = FREE;
    *out_done = true;
    return WEFT_OK;
}

static weft_status test(weft_transport *transport, weft_request index, bool *out_done, weft_error *error)
{
    on_device *d = (on_device *)transport;
    *out_done = false;
    if (index < 0 || (size_t)index >= d->count || d->travellers[index].state == FREE)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " is not under way", index);
    TRY(look(d, &d->travellers[index], out_done, error));
    return *out_done ? WEFT_OK : d->over.inner->operations->progress(d->over.inner, error);
}

static weft_status progress(weft_transport *transport, weft_error *error)
{
    weft_transport *inner = ((on_device *)transport)->over.inner;
    return inner->operations->progress(inner, error);
}

static weft_status wait(weft_transport *transport, double seconds, weft_error *error)
{
    on_device *d = (on_device *)transport;
    bool comes = false;
    for (size_t i = 0; i < d->count; i++) comes = comes || d->travellers[i].state == COMES;
    return d->over.inner->operations->wait(d->over.inner, comes && seconds > 50e-6 ? 50e-6 : seconds, error);
}

static void destroy(weft_transport *transport)
{
    on_device *d = (on_device *)transport;
    const weft_device_operations *o = d->device->operations;
    if (d->over.inner) d->over.inner->operations->destroy(d->over.inner);
    for (int i = 0; i < STREAMS; i++) o->stream_destroy(d->device, d->streams[i]);
    for (size_t i = 0; i < d->count; i++) {
        if (d->travellers[i].made) o->events_destroy(d->device, 1, &d->travellers[i].event);
        if (d->travellers[i].device) o->release(d->device, d->travellers[i].device);
        if (d->travellers[i].pinned) o->release(d->device, d->travellers[i].pinned);
    }
    weft_free(d->travellers);
    weft_free(d);
}

weft_status on_device_create(weft_transport *inner, const weft_group *groups, weft_device *device, weft_transport **out,
                             weft_error *error)
{
    on_device *d = NULL;
    *out = NULL;
    TRY(inner->operations->attach(inner, device, error));
    TRY(weft_allocate(1, sizeof *d, &d, error));
    weft_transport_over_init(&d->over, inner, &d->operations);
    d->over.base.ordered = false; /* what the host asks for has to be waited for */
    d->operations.destroy = destroy;
    d->operations.send = send;
    d->operations.receive = receive;
    d->operations.gather = gather;
    d->operations.test = test;
    d->operations.progress = progress;
    d->operations.wait = wait;
    d->groups = groups;
    d->device = device;
    weft_status status = WEFT_OK;
    for (int i = 0; i < STREAMS && status == WEFT_OK; i++)
        status = device->operations->stream_create(device, WEFT_STREAM_TRANSFER, &d->streams[i], error);
    if (status == WEFT_OK) {
        *out = &d->over.base;
        return WEFT_OK;
    }
    d->over.inner = NULL;
    destroy(&d->over.base);
    return status;
}

weft_transport *on_device_inner(weft_transport *transport)
{
    return ((on_device *)transport)->over.inner;
}

weft_stream *on_device_stream(weft_transport *transport)
{
    return ((on_device *)transport)->streams[0];
}
