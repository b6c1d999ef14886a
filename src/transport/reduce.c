#include "transport/reduce_parts.h"

#include "transport/common.h"

#include <inttypes.h>
#include <string.h>

enum { AHEAD = WEFT_REDUCER_AHEAD, CACHE_LINE = 64 /* bytes */ };

size_t weft_reducer_workspace(int32_t members, size_t chunk, weft_element element)
{
    return AHEAD * ((size_t)members - 1) * chunk * weft_element_bytes(element);
}

void weft_reducer_destroy(weft_reducer *reducer)
{
    if (!reducer) return;
    weft_device *device = reducer->options.device;
    if (reducer->made) device->operations->events_destroy(device, AHEAD, reducer->added);
    weft_free(reducer->sources);
    weft_free(reducer->bytes);
    weft_free(reducer->members);
    weft_free(reducer->ranks);
    weft_free(reducer);
}

static weft_status allocate(weft_reducer *r, weft_error *error)
{
    size_t count = (size_t)r->options.members.count;
    TRY(weft_allocate(count, sizeof *r->ranks, &r->ranks, error));
    TRY(weft_allocate(count, sizeof *r->members, &r->members, error));
    TRY(weft_allocate(count, sizeof *r->bytes, &r->bytes, error));
    TRY(weft_allocate(count, sizeof *r->sources, &r->sources, error));
    memcpy(r->ranks, r->options.members.members, count * sizeof *r->ranks);
    r->options.members.members = r->ranks;
    if (count == 1) return WEFT_OK;
    TRY(r->options.device->operations->events_create(r->options.device, AHEAD, r->added, error));
    r->made = true;
    return WEFT_OK;
}

static weft_status check_options(const weft_reducer_options *options, weft_error *error)
{
    if (options->chunk < 1 || (!options->workspace && options->members.count > 1))
        FAIL(error, WEFT_INVALID, "transport: the sums of group %" PRId32 " have no workspace", options->group);
    if (options->element != WEFT_FP32 && options->element != options->device->element)
        FAIL(error, WEFT_INVALID, "transport: the sums of group %" PRId32 " are of %s, their device is of %s",
             options->group, weft_element_name(options->element), weft_element_name(options->device->element));
    return WEFT_OK;
}

weft_status weft_reducer_create(const weft_reducer_options *options, weft_reducer **out, weft_error *error)
{
    *out = NULL;
    int32_t place = -1;
    TRY(weft_transport_find_place(&options->members, options->group, options->transport->rank, &place, error));
    TRY(check_options(options, error));
    weft_reducer *r = NULL;
    TRY(weft_allocate(1, sizeof *r, &r, error));
    r->options = *options;
    r->place = place;
    r->element_bytes = weft_element_bytes(options->element);
    r->ordered = options->transport->ordered && options->stream;
    r->borrows = !options->stream && options->transport->operations->borrow;
    weft_status status = allocate(r, error);
    if (status != WEFT_OK) {
        weft_reducer_destroy(r);
        return status;
    }
    *out = r;
    return WEFT_OK;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static weft_status post_receive(weft_reducer *r, int32_t member, size_t piece, weft_error *error)
{
    weft_transport *t = r->options.transport;
    weft_reducer_member *m = &r->members[member];
    weft_request *request = &m->receives[piece % AHEAD];
    int32_t rank = r->ranks[member], tag = weft_group_tag(r->options.group);
    size_t count = 0;
    weft_reducer_find_piece(r, r->members[r->place].count, piece, &count);
    count *= r->element_bytes;
    if (r->borrows)
        TRY(t->operations->borrow(t, rank, tag, count, &m->where, request, error));
    else
        TRY(t->operations->receive(t, r->options.stream, rank, tag, weft_reducer_slot(r, member, piece), count, request,
                                   error));
    m->held = *request;
    r->open++;
    return WEFT_OK;
}

/* A piece of the own part from every other member. */
static weft_status post_piece(weft_reducer *r, size_t piece, weft_error *error)
{
    for (int32_t i = 0; i < r->options.members.count && piece < r->pieces; i++)
        if (i != r->place) TRY(post_receive(r, i, piece, error));
    return WEFT_OK;
}

/* As many pieces of the member's part as may be under way. */
static weft_status post_sends(weft_reducer *r, int32_t member, weft_error *error)
{
    weft_transport *t = r->options.transport;
    weft_reducer_member *m = &r->members[member];
    while (m->sent < weft_reducer_count_pieces(r, m->count) && m->sends[m->sent % AHEAD] < 0) {
        size_t count = 0, begin = weft_reducer_find_piece(r, m->count, m->sent, &count);
        TRY(t->operations->send(t, r->options.stream, r->ranks[member], weft_group_tag(r->options.group),
                                r->values + (m->offset + begin) * r->element_bytes, count * r->element_bytes,
                                &m->sends[m->sent % AHEAD], error));
        m->sent++;
        r->open++;
    }
    return WEFT_OK;
}

static weft_status greet(weft_reducer *r, int32_t member, weft_error *error)
{
    weft_transport *t = r->options.transport;
    weft_reducer_member *m = &r->members[member];
    int32_t rank = r->ranks[member], tag = weft_group_tag(r->options.group);
    m->told = (weft_reducer_greeting){.element = r->options.element,
                                      .all = r->all != NULL,
                                      .chunk = r->options.chunk,
                                      .mine = r->members[r->place].count,
                                      .yours = m->count};
    TRY(t->operations->receive(t, NULL, rank, tag, &m->heard, sizeof m->heard, &m->hears, error));
    r->open++;
    TRY(t->operations->send(t, NULL, rank, tag, &m->told, sizeof m->told, &m->tells, error));
    r->open++;
    return WEFT_OK;
}

/* counts are in the members already. */
static weft_status begin(weft_reducer *r, const void *values, void *out, weft_error *error)
{
    size_t own = r->members[r->place].count;
    r->stage = STAGE_ADD;
    r->values = values;
    r->out = out;
    r->gather = -1;
    r->open = 0;
    r->piece = r->position = r->ended = 0;
    bool there = r->options.members.count == 1 && out == values;
    r->pieces = there ? 0 : weft_reducer_count_pieces(r, own);
    size_t offset = 0;
    for (int32_t i = 0; i < r->options.members.count; i++) {
        size_t count = r->members[i].count;
        r->members[i] = (weft_reducer_member){
            .offset = offset, .count = count, .tells = -1, .hears = -1, .sends = {-1, -1}, .receives = {-1, -1}};
        offset += count;
        if (i != r->place && !r->ordered) TRY(greet(r, i, error));
    }
    if (r->ordered) return weft_reducer_enqueue(r, error);
    for (size_t piece = 0; piece < AHEAD; piece++) TRY(post_piece(r, piece, error));
    for (int32_t i = 0; i < r->options.members.count; i++)
        if (i != r->place) TRY(post_sends(r, i, error));
    return WEFT_OK;
}

static weft_status check_idle(const weft_reducer *r, weft_error *error)
{
    if (r->stage == STAGE_NONE) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "transport: the last sum of group %" PRId32 " is still under way", r->options.group);
}

weft_status weft_reducer_scatter(weft_reducer *r, const void *values, const size_t *counts, void *out,
                                 weft_error *error)
{
    size_t offset = 0;
    TRY(check_idle(r, error));
    if (weft_transport_total(counts, r->options.members.count, r->place, &offset) > SIZE_MAX / r->element_bytes)
        FAIL(error, WEFT_INVALID, "transport: the counts of a sum in group %" PRId32 " overflow", r->options.group);
    for (int32_t i = 0; i < r->options.members.count; i++) r->members[i].count = counts[i];
    r->all = NULL;
    return begin(r, values, out, error);
}

weft_status weft_reducer_all(weft_reducer *r, void *values, size_t count, weft_error *error)
{
    size_t members = (size_t)r->options.members.count, left = count;
    size_t line = CACHE_LINE / r->element_bytes; /* no two members' parts share one */
    TRY(check_idle(r, error));
    size_t part = (count / members + (count % members != 0) + line - 1) / line * line, offset = 0;
    for (size_t i = 0; i < members; i++) {
        r->members[i].count = smaller(left, part);
        r->bytes[i] = r->members[i].count * r->element_bytes;
        if (i < (size_t)r->place) offset += r->members[i].count;
        left -= r->members[i].count;
    }
    r->all = values;
    return begin(r, values, (char *)values + offset * r->element_bytes, error);
}

/* Once a request is done it becomes -1. */
static weft_status settle(weft_reducer *r, weft_request *request, weft_error *error)
{
    if (*request < 0) return WEFT_OK;
    bool done = false;
    TRY(r->options.transport->operations->test(r->options.transport, *request, &done, error));
    if (!done) return WEFT_OK;
    *request = -1;
    r->open--;
    r->moved = true;
    return WEFT_OK;
}

static weft_status check_greeting(const weft_reducer *r, int32_t member, weft_error *error)
{
    static const char *const names[] = {"a reduce-scatter", "an all-reduce"};
    const weft_reducer_greeting *told = &r->members[member].told, *heard = &r->members[member].heard;
    int32_t rank = r->ranks[member], group = r->options.group;
    if (heard->all != told->all)
        FAIL(error, WEFT_FAILED, "transport: group %" PRId32 ": worker %" PRId32 " began %s, this worker %s", group,
             rank, names[heard->all == 1], names[told->all]);
    if (heard->element != told->element)
        FAIL(error, WEFT_FAILED, "transport: group %" PRId32 ": worker %" PRId32 " sums other elements than %s", group,
             rank, weft_element_name(r->options.element));
    if (heard->chunk == told->chunk && heard->mine == told->yours && heard->yours == told->mine) return WEFT_OK;
    FAIL(error, WEFT_FAILED,
         "transport: sum in group %" PRId32 ": worker %" PRId32 " counts %" PRIu64 " values for itself and %" PRIu64
         " for this worker in chunks of %" PRIu64 "; this worker %" PRIu64 ", %" PRIu64 " and %" PRIu64,
         group, rank, heard->mine, heard->yours, heard->chunk, told->yours, told->mine, told->chunk);
}

static weft_status settle_member(weft_reducer *r, int32_t member, weft_error *error)
{
    weft_reducer_member *m = &r->members[member];
    bool greeted = m->hears < 0;
    TRY(settle(r, &m->hears, error));
    if (!greeted && m->hears < 0) TRY(check_greeting(r, member, error));
    TRY(settle(r, &m->tells, error));
    for (int i = 0; i < AHEAD; i++) {
        TRY(settle(r, &m->sends[i], error));
        TRY(settle(r, &m->receives[i], error));
    }
    return post_sends(r, member, error);
}

/* Whether the piece that comes next was posted and all of it is there. */
static bool has_arrived(const weft_reducer *r)
{
    if (r->piece == r->pieces || r->piece == r->ended + AHEAD) return false;
    for (int32_t i = 0; i < r->options.members.count; i++)
        if (r->members[i].receives[r->piece % AHEAD] >= 0) return false;
    return true;
}

/* Adds a chunk; the last of a piece is followed by its event. */
static void advance(weft_reducer *r)
{
    weft_device *device = r->options.device;
    size_t size = 0, begin = weft_reducer_find_piece(r, r->members[r->place].count, r->piece, &size);
    size_t count = smaller(size - r->position, r->options.chunk);
    weft_reducer_add(r, begin, count);
    r->moved = true;
    r->position += count;
    if (r->position < size) return;
    if (r->made) device->operations->event_record(device, r->options.stream, &r->added[r->piece % AHEAD]);
    r->position = 0;
    r->piece++;
}

static bool has_ended(const weft_reducer *r, size_t piece)
{
    weft_device *device = r->options.device;
    return !r->made || device->operations->event_done(device, &r->added[piece % AHEAD]);
}

/* What pieces were read from goes back to its owners, or is free for the next but one, once the device has added them.
 */
static weft_status end_pieces(weft_reducer *r, weft_error *error)
{
    weft_transport *t = r->options.transport;
    while (r->ended < r->piece && has_ended(r, r->ended)) {
        for (int32_t i = 0; i < r->options.members.count && r->borrows; i++)
            if (i != r->place) TRY(t->operations->release(t, r->members[i].held, error));
        TRY(post_piece(r, r->ended++ + AHEAD, error));
        r->moved = true;
    }
    return WEFT_OK;
}

/* All values have left, all have come and all are added: the members' sums go round. */
static weft_status finish_adding(weft_reducer *r, weft_error *error)
{
    weft_transport *t = r->options.transport;
    r->stage = STAGE_NONE;
    if (!r->all) return WEFT_OK;
    r->stage = STAGE_GATHER;
    r->open++;
    return t->operations->gather(t, r->options.stream, r->options.group, r->out, r->bytes, r->all, &r->gather, error);
}

weft_status weft_reducer_poll(weft_reducer *r, weft_reducer_state *out, weft_error *error)
{
    *out = WEFT_REDUCER_WAITS;
    r->moved = false;
    if (r->stage == STAGE_ADD) {
        for (int32_t i = 0; i < r->options.members.count; i++)
            if (i != r->place) TRY(settle_member(r, i, error));
        if (has_arrived(r)) advance(r);
        TRY(end_pieces(r, error));
        if (r->ended == r->pieces && r->open == 0) TRY(finish_adding(r, error));
    }
    if (r->stage == STAGE_GATHER) {
        TRY(settle(r, &r->gather, error));
        if (r->gather < 0) r->stage = STAGE_NONE;
    }
    if (r->stage == STAGE_NONE)
        *out = WEFT_REDUCER_DONE;
    else if (r->moved)
        *out = WEFT_REDUCER_MOVED;
    return WEFT_OK;
}

const weft_event *weft_reducer_adding(const weft_reducer *r)
{
    bool waits = r->stage == STAGE_ADD && r->made && r->ended < r->piece && !has_arrived(r);
    return waits ? &r->added[r->ended % AHEAD] : NULL;
}

/* What does not come is the cause; what does not leave may be its effect. */
int32_t weft_reducer_awaited(const weft_reducer *r)
{
    if (r->stage != STAGE_ADD) return -1;
    for (int32_t i = 0; i < r->options.members.count; i++) {
        const weft_reducer_member *m = &r->members[i];
        if (i != r->place && (m->hears >= 0 || m->receives[r->piece % AHEAD] >= 0)) return r->ranks[i];
    }
    for (int32_t i = 0; i < r->options.members.count; i++)
        for (int k = 0; k < AHEAD && i != r->place; k++)
            if (r->members[i].sends[k] >= 0) return r->ranks[i];
    return -1;
}
