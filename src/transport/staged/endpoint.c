/* The staged endpoint: requests, and what it passes on. */
#include "transport/staged/staged.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>

enum { ALIGNMENT = 256 }; /* of places, bytes */

static weft_status take(weft_staged *s, weft_request *out, weft_error *error)
{
    if (s->spare < 0) {
        TRY(weft_grow(&s->requests, &s->request_capacity, s->request_count + 1, sizeof *s->requests, error));
        s->requests[s->request_count].next = -1;
        s->spare = (int32_t)s->request_count++;
    }
    *out = s->spare;
    s->spare = s->requests[*out].next;
    s->requests[*out] = (weft_staged_request){.busy = true, .next = -1};
    return WEFT_OK;
}

static void give_back(weft_staged *s, weft_request index)
{
    s->requests[index].busy = false;
    s->requests[index].next = s->spare;
    s->spare = index;
}

/* A transfer of host memory, or of nothing that was posted: status is that of the inner call. */
static weft_status keep_host(weft_staged *s, weft_request index, weft_status status)
{
    s->requests[index].host = true;
    if (status != WEFT_OK) give_back(s, index);
    return status;
}

static weft_status check_device(const weft_staged *s, weft_error *error)
{
    if (!s->device) FAIL(error, WEFT_INVALID, "staged transport: a transfer on a stream, but no device is attached");
    return WEFT_OK;
}

/* Puts it behind the others of its lane. */
static weft_status line_up(weft_staged *s, weft_request index, weft_error *error)
{
    weft_staged_request *request = &s->requests[index];
    weft_staged_lane *lane = request->lane;
    weft_status status = weft_staged_count_pieces(s, request, error);
    if (status != WEFT_OK) {
        give_back(s, index);
        return status;
    }
    if (lane->last >= 0)
        s->requests[lane->last].next = index;
    else
        lane->first = index;
    lane->last = index;
    return weft_staged_drive(s, error);
}

static weft_status post_message(weft_staged *s, weft_staged_kind kind, struct weft_stream *stream, int32_t peer,
                                int32_t tag, const weft_staged_request *asked, weft_request *out, weft_error *error)
{
    weft_staged_lane *lane = NULL;
    TRY(check_device(s, error));
    TRY(weft_transport_check_message(&s->over.base, peer, tag, INT32_MAX, asked->from ? asked->from : asked->to,
                                     asked->count, error));
    TRY(weft_staged_find_lane(s, kind, peer, tag, &lane, error));
    TRY(take(s, out, error));
    weft_staged_request *request = &s->requests[*out];
    *request = *asked;
    request->busy = true;
    request->next = -1;
    request->lane = lane;
    request->stream = stream;
    return line_up(s, *out, error);
}

static weft_status send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    weft_transport *t = s->over.inner;
    if (stream)
        return post_message(s, WEFT_STAGED_SEND, stream, peer, tag,
                            &(weft_staged_request){.from = bytes, .count = count}, out, error);
    TRY(take(s, out, error));
    return keep_host(s, *out, t->operations->send(t, NULL, peer, tag, bytes, count, &s->requests[*out].inner, error));
}

static weft_status receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    weft_transport *t = s->over.inner;
    if (stream)
        return post_message(s, WEFT_STAGED_RECEIVE, stream, peer, tag,
                            &(weft_staged_request){.to = bytes, .count = count}, out, error);
    TRY(take(s, out, error));
    return keep_host(s, *out,
                     t->operations->receive(t, NULL, peer, tag, bytes, count, &s->requests[*out].inner, error));
}

/* The own part goes to its place on the device. */
static weft_status gather_device(weft_staged *s, struct weft_stream *stream, int32_t group, const void *bytes,
                                 const size_t *counts, char *out_bytes, weft_request *out, weft_error *error)
{
    weft_staged_lane *lane = NULL;
    size_t offset = 0;
    TRY(check_device(s, error));
    if (group < 0 || group >= s->group_count || s->group_places[group] < 0)
        FAIL(error, WEFT_INVALID, "transport: worker %" PRId32 " is not in group %" PRId32, s->over.base.rank, group);
    if (weft_transport_total(counts, s->group_sizes[group], s->group_places[group], &offset) == SIZE_MAX)
        FAIL(error, WEFT_INVALID, "transport: the counts of a gather in group %" PRId32 " overflow", group);
    TRY(weft_staged_find_lane(s, WEFT_STAGED_GATHER, -1, group, &lane, error));
    TRY(take(s, out, error));
    weft_staged_request *request = &s->requests[*out];
    size_t own = counts[s->group_places[group]];
    request->lane = lane;
    request->stream = stream;
    request->from = bytes;
    request->to = out_bytes;
    request->counts = counts;
    if (own > 0 && out_bytes + offset != bytes)
        s->device->operations->copy(s->device, stream, out_bytes + offset, bytes, own);
    return line_up(s, *out, error);
}

static weft_status gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    weft_transport *t = s->over.inner;
    if (stream) return gather_device(s, stream, group, bytes, counts, out_bytes, out, error);
    TRY(take(s, out, error));
    return keep_host(s, *out,
                     t->operations->gather(t, NULL, group, bytes, counts, out_bytes, &s->requests[*out].inner, error));
}

static weft_status test(weft_transport *transport, weft_request index, bool *out_done, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    weft_transport *t = s->over.inner;
    *out_done = false;
    if (index < 0 || (size_t)index >= s->request_count || !s->requests[index].busy)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " is not under way", index);
    const weft_staged_request *request = &s->requests[index];
    TRY(weft_staged_drive(s, error));
    if (request->host) {
        TRY(t->operations->test(t, request->inner, out_done, error));
        transport->finished = t->finished;
    } else {
        TRY(t->operations->progress(t, error)); /* it may have been stopped */
        *out_done = request->open == 0 && request->begun == request->pieces;
        if (*out_done) transport->finished = weft_clock_nanoseconds();
    }
    if (*out_done) {
        give_back(s, index);
        s->nap = 0;
    }
    return WEFT_OK;
}

static weft_status progress(weft_transport *transport, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    TRY(s->over.inner->operations->progress(s->over.inner, error));
    return weft_staged_drive(s, error);
}

/* The inner transport's wait, as long as no copy may end; it comes back early when something of it has moved. */
static weft_status wait(weft_transport *transport, double seconds, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    double deadline = weft_clock_seconds() + weft_transport_clamp(seconds);
    bool early = false;
    TRY(weft_staged_drive(s, error));
    while (!s->moved && !early) {
        double now = weft_clock_seconds(), nap = fmin(weft_staged_pause(s), fmax(deadline - now, 0));
        TRY(s->over.inner->operations->wait(s->over.inner, nap, error));
        TRY(weft_staged_drive(s, error));
        double then = weft_clock_seconds();
        early = then - now < nap || then >= deadline;
    }
    s->moved = false;
    return WEFT_OK;
}

/* The inner barrier calls nobody back: what others may need before they arrive goes first, as far as it can. */
static weft_status barrier(weft_transport *transport, double timeout, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    while (weft_staged_pause(s) < HUGE_VAL) {
        weft_staged_finish_copies(s);
        TRY(progress(transport, error));
    }
    return s->over.inner->operations->barrier(s->over.inner, timeout, error);
}

static size_t room_of(const weft_staged_options *options)
{
    return (options->piece + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t weft_staged_transport_pinned(const weft_staged_options *options)
{
    return room_of(options) * WEFT_STAGED_PLACES * (size_t)options->lanes;
}

static weft_status attach(weft_transport *transport, struct weft_device *device, weft_error *error)
{
    weft_staged *s = (weft_staged *)transport;
    size_t places = (size_t)s->lane_limit * WEFT_STAGED_PLACES;
    void *pinned = NULL;
    if (s->device) FAIL(error, WEFT_INVALID, "staged transport: a device is attached already");
    TRY(device->operations->events_create(device, (int32_t)places, s->events, error));
    weft_status status = device->operations->allocate(device, WEFT_MEMORY_PINNED, places * s->room, &pinned, error);
    if (status != WEFT_OK) {
        device->operations->events_destroy(device, (int32_t)places, s->events);
        return status;
    }
    s->pinned = pinned;
    s->device = device;
    return WEFT_OK;
}

/* Whether the inner transport has a piece still, as after an error. */
static bool has_travelling(const weft_staged *s)
{
    for (int32_t i = 0; i < s->lane_count; i++)
        for (int k = 0; k < WEFT_STAGED_PLACES; k++)
            if (s->lanes[i].places[k].state == WEFT_STAGED_TRAVELS) return true;
    return false;
}

/* The inner endpoint first: until it is gone, a message may arrive in a place. MPI takes back neither what has begun to
 * arrive nor its part of a gather, and writes to a place until the process ends: then the places stay. */
static void destroy(weft_transport *transport)
{
    weft_staged *s = (weft_staged *)transport;
    if (!s) return;
    bool stays = has_travelling(s);
    if (s->over.inner) s->over.inner->operations->destroy(s->over.inner);
    if (s->device) {
        weft_staged_finish_copies(s);
        if (!stays) s->device->operations->release(s->device, s->pinned);
        s->device->operations->events_destroy(s->device, s->lane_limit * WEFT_STAGED_PLACES, s->events);
    }
    weft_free(s->requests);
    weft_free(s->counts);
    weft_free(s->lanes);
    weft_free(s->events);
    weft_free(s->group_places);
    weft_free(s->group_sizes);
    weft_free(s);
}

static weft_status make_tables(weft_staged *s, const weft_staged_options *options, weft_error *error)
{
    size_t groups = (size_t)options->group_count, places = (size_t)options->lanes * WEFT_STAGED_PLACES;
    TRY(weft_allocate(groups, sizeof *s->group_sizes, &s->group_sizes, error));
    TRY(weft_allocate(groups, sizeof *s->group_places, &s->group_places, error));
    s->largest = 1;
    for (size_t i = 0; i < groups; i++) {
        s->group_sizes[i] = options->groups[i].count;
        s->group_places[i] = weft_transport_place(&options->groups[i], s->over.base.rank);
        if ((size_t)s->group_sizes[i] > s->largest) s->largest = (size_t)s->group_sizes[i];
    }
    s->group_count = options->group_count;
    TRY(weft_allocate(places, sizeof *s->events, &s->events, error));
    TRY(weft_allocate((size_t)options->lanes, sizeof *s->lanes, &s->lanes, error));
    return weft_allocate(places * s->largest, sizeof *s->counts, &s->counts, error);
}

static const weft_transport_operations staged_operations = {
    .destroy = destroy,
    .attach = attach,
    .send = send,
    .receive = receive,
    .gather = gather,
    .test = test,
    .progress = progress,
    .wait = wait,
};

weft_status weft_staged_transport_create(weft_transport *inner, const weft_staged_options *options,
                                         weft_transport **out, weft_error *error)
{
    *out = NULL;
    weft_staged *s = NULL;
    if (options->lanes < 1 || options->lanes > INT32_MAX / WEFT_STAGED_PLACES || options->piece < 1)
        FAIL(error, WEFT_INVALID, "staged transport: %" PRId32 " lanes with pieces of %zu bytes", options->lanes,
             options->piece);
    TRY(weft_allocate(1, sizeof *s, &s, error));
    s->operations = staged_operations;
    weft_transport_over_init(&s->over, inner, &s->operations);
    s->operations.barrier = barrier;
    s->over.base.ordered = false;
    s->lane_limit = options->lanes;
    s->room = room_of(options);
    s->spare = -1;
    weft_status status = make_tables(s, options, error);
    if (status == WEFT_OK) {
        *out = &s->over.base;
        return WEFT_OK;
    }
    s->over.inner = NULL;
    destroy(&s->over.base);
    return status;
}
