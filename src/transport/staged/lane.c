/* Lanes: which piece goes when, and what it needs to. */
#include "transport/staged/staged.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>

static const double shortest_nap = 20e-6, longest_nap = 500e-6; /* seconds, where the device does not know when */

static bool is_lane(const weft_staged_lane *lane, weft_staged_kind kind, int32_t peer, int32_t tag)
{
    return lane->kind == kind && lane->peer == peer && lane->tag == tag;
}

static weft_staged_lane *add_lane(weft_staged *s, weft_staged_kind kind, int32_t peer, int32_t tag)
{
    size_t first = (size_t)s->lane_count * WEFT_STAGED_PLACES;
    weft_staged_lane *lane = &s->lanes[s->lane_count++];
    *lane = (weft_staged_lane){.kind = kind, .peer = peer, .tag = tag, .members = 1, .first = -1, .last = -1};
    if (kind == WEFT_STAGED_GATHER) lane->members = s->group_sizes[tag];
    for (size_t i = 0; i < WEFT_STAGED_PLACES; i++)
        lane->places[i] = (weft_staged_place){.bytes = s->pinned + (first + i) * s->room,
                                              .event = s->events[first + i],
                                              .counts = s->counts + (first + i) * s->largest};
    return lane;
}

weft_status weft_staged_find_lane(weft_staged *s, weft_staged_kind kind, int32_t peer, int32_t tag,
                                  weft_staged_lane **out, weft_error *error)
{
    for (int32_t i = 0; i < s->lane_count; i++) {
        *out = &s->lanes[i];
        if (is_lane(*out, kind, peer, tag)) return WEFT_OK;
    }
    if (s->lane_count == s->lane_limit)
        FAIL(error, WEFT_INVALID, "staged transport: device memory travels on more than %" PRId32 " lanes",
             s->lane_limit);
    *out = add_lane(s, kind, peer, tag);
    return WEFT_OK;
}

/* Bytes of a piece of a member's part; an eighth of its room is left for what the first is longer. */
static size_t piece_limit(const weft_staged *s, const weft_staged_lane *lane)
{
    size_t share = s->room / (size_t)lane->members;
    return share - share / 8;
}

static size_t part_count(const weft_staged_request *request, int32_t member)
{
    return request->lane->kind == WEFT_STAGED_GATHER ? request->counts[member] : request->count;
}

weft_status weft_staged_count_pieces(const weft_staged *s, weft_staged_request *request, weft_error *error)
{
    const weft_staged_lane *lane = request->lane;
    size_t limit = piece_limit(s, lane), most = s->room / (size_t)lane->members - limit;
    request->pieces = 0;
    for (int32_t i = 0; i < lane->members; i++) {
        size_t pieces = limit > 0 ? weft_transport_pieces(part_count(request, i), limit) : SIZE_MAX;
        if (pieces > most + 1)
            FAIL(error, WEFT_INVALID, "staged transport: %zu bytes are too many for pieces of %zu bytes",
                 part_count(request, i), s->room);
        if (pieces > request->pieces) request->pieces = pieces;
    }
    return WEFT_OK;
}

/* Bytes of a member's part in piece `index`, and where in the part they begin. */
static size_t find_piece(const weft_staged *s, const weft_staged_request *request, int32_t member, size_t index,
                         size_t *out_begin)
{
    return weft_transport_piece(part_count(request, member), piece_limit(s, request->lane), index, out_begin);
}

/* Begins a copy between device and place of each member's piece, or of the own one alone. Parts lie behind one another
 * in the place as they do in the device, where each has its own part before it. */
static void copy_pieces(weft_staged *s, weft_staged_place *place, bool in)
{
    const weft_staged_request *request = &s->requests[place->request];
    const weft_staged_lane *lane = request->lane;
    const weft_device_operations *o = s->device->operations;
    int32_t own = lane->kind == WEFT_STAGED_GATHER ? s->group_places[lane->tag] : -1;
    char *at = place->bytes, *to = request->to;
    for (int32_t i = 0; i < lane->members; i++) {
        size_t begin = 0, count = find_piece(s, request, i, place->index, &begin);
        if (count > 0 && in && i != own) o->copy_in(s->device, request->stream, to + begin, at, count);
        if (count > 0 && !in && (own < 0 || i == own))
            o->copy_out(s->device, request->stream, at, request->from + begin, count);
        place->counts[i] = count;
        at += count;
        if (to && part_count(request, i) > 0) to += part_count(request, i);
    }
    place->stream = request->stream;
    place->state = in ? WEFT_STAGED_ENTERS : WEFT_STAGED_LEAVES;
    o->event_record(s->device, request->stream, &place->event);
}

static weft_status post_inner(weft_staged *s, weft_staged_place *place, weft_error *error)
{
    const weft_staged_lane *lane = s->requests[place->request].lane;
    weft_transport *t = s->over.inner;
    size_t own = 0;
    place->state = WEFT_STAGED_TRAVELS;
    if (lane->kind == WEFT_STAGED_SEND)
        return t->operations->send(t, NULL, lane->peer, lane->tag, place->bytes, place->counts[0], &place->inner,
                                   error);
    if (lane->kind == WEFT_STAGED_RECEIVE)
        return t->operations->receive(t, NULL, lane->peer, lane->tag, place->bytes, place->counts[0], &place->inner,
                                      error);
    weft_transport_total(place->counts, lane->members, s->group_places[lane->tag], &own);
    return t->operations->gather(t, NULL, lane->tag, place->bytes + own, place->counts, place->bytes, &place->inner,
                                 error);
}

static weft_status begin_piece(weft_staged *s, weft_staged_lane *lane, weft_error *error)
{
    weft_staged_request *request = &s->requests[lane->first];
    weft_staged_place *place = &lane->places[lane->begun++ % WEFT_STAGED_PLACES];
    size_t begin = 0;
    place->request = lane->first;
    place->index = request->begun++;
    request->open++;
    if (request->begun == request->pieces) lane->first = request->next;
    if (lane->first < 0) lane->last = -1;
    if (lane->kind == WEFT_STAGED_RECEIVE) {
        place->counts[0] = find_piece(s, request, 0, place->index, &begin);
        return post_inner(s, place, error);
    }
    copy_pieces(s, place, false);
    return WEFT_OK;
}

/* The inner transport is done with it. */
static void arrive(weft_staged *s, weft_staged_lane *lane, weft_staged_place *place)
{
    weft_staged_request *request = &s->requests[place->request];
    if (lane->kind == WEFT_STAGED_SEND)
        place->state = WEFT_STAGED_FREE;
    else
        copy_pieces(s, place, true);
    request->open--;
    if (request->open == 0 && request->begun == request->pieces) s->moved = true;
}

/* One look at a piece. */
static weft_status step(weft_staged *s, weft_staged_lane *lane, weft_staged_place *place, weft_error *error)
{
    bool done = false;
    if (place->state == WEFT_STAGED_TRAVELS) {
        weft_transport *t = s->over.inner;
        weft_status status = t->operations->test(t, place->inner, &done, error);
        size_t whole = s->requests[place->request].pieces;
        if (status == WEFT_FAILED && whole > 1)
            return weft_error_context(error, "piece %zu of %zu of %zu bytes", place->index + 1, whole,
                                      s->requests[place->request].count);
        TRY(status);
        if (done) arrive(s, lane, place);
        return WEFT_OK;
    }
    done = s->device->operations->event_done(s->device, &place->event);
    TRY(weft_device_check(s->device, error));
    if (!done) return WEFT_OK;
    if (place->state == WEFT_STAGED_LEAVES) return post_inner(s, place, error);
    place->state = WEFT_STAGED_FREE;
    return WEFT_OK;
}

/* Pieces are handed to the inner transport in their order. */
static weft_status drive_lane(weft_staged *s, weft_staged_lane *lane, weft_error *error)
{
    for (uint64_t i = lane->ended; i < lane->begun; i++) {
        weft_staged_place *place = &lane->places[i % WEFT_STAGED_PLACES];
        if (place->state != WEFT_STAGED_FREE) TRY(step(s, lane, place, error));
        if (place->state == WEFT_STAGED_LEAVES) break;
    }
    while (lane->ended < lane->begun && lane->places[lane->ended % WEFT_STAGED_PLACES].state == WEFT_STAGED_FREE)
        lane->ended++;
    while (lane->first >= 0 && lane->begun - lane->ended < WEFT_STAGED_PLACES) TRY(begin_piece(s, lane, error));
    return WEFT_OK;
}

static weft_status drive_lanes(weft_staged *s, weft_error *error)
{
    for (int32_t i = 0; i < s->lane_count; i++) TRY(drive_lane(s, &s->lanes[i], error));
    return WEFT_OK;
}

static bool is_idle(const weft_staged *s)
{
    for (int32_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].ended < s->lanes[i].begun || s->lanes[i].first >= 0) return false;
    return true;
}

/* Between the copies that this makes nobody is to drive it: it is being driven. With nothing under way the device is
 * left alone: another thread may be copying from it. */
weft_status weft_staged_drive(weft_staged *s, weft_error *error)
{
    if (is_idle(s)) return WEFT_OK;
    void (*between)(void *) = s->device->between;
    s->device->between = NULL;
    weft_status status = drive_lanes(s, error);
    s->device->between = between;
    return status;
}

static bool is_copied(const weft_staged_place *place)
{
    return place->state == WEFT_STAGED_LEAVES || place->state == WEFT_STAGED_ENTERS;
}

double weft_staged_pause(weft_staged *s)
{
    int64_t due = INT64_MAX, now = weft_clock_nanoseconds();
    bool copies = false;
    for (int32_t i = 0; i < s->lane_count; i++)
        for (int k = 0; k < WEFT_STAGED_PLACES; k++) {
            const weft_staged_place *place = &s->lanes[i].places[k];
            if (!is_copied(place)) continue;
            int64_t then = s->device->operations->event_due(s->device, &place->event);
            copies = true;
            if (then < due) due = then;
        }
    if (!copies) return HUGE_VAL;
    if (due < INT64_MAX && due > now) return (double)(due - now) * 1e-9;
    double nap = s->nap;
    s->nap = fmin(2 * nap, longest_nap);
    return fmax(nap, shortest_nap);
}

void weft_staged_finish_copies(weft_staged *s)
{
    for (int32_t i = 0; i < s->lane_count; i++)
        for (int k = 0; k < WEFT_STAGED_PLACES; k++) {
            weft_staged_place *place = &s->lanes[i].places[k];
            if (!is_copied(place)) continue;
            weft_status status = s->device->operations->stream_wait(s->device, place->stream, NULL);
            (void)status; /* the device has it */
        }
}
