#include "transport/local/hub.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void destroy(weft_transport *transport)
{
    weft_local *local = (weft_local *)transport;
    if (!local) return;
    weft_local_withdraw(local);
    weft_local_box *box = weft_local_box_get(local);
    pthread_mutex_lock(&box->mutex);
    box->present = false;
    pthread_mutex_unlock(&box->mutex);
    weft_free(local);
}

static const weft_group *find_group(const weft_local *local, int32_t group)
{
    return group >= 0 && group < local->hub->group_count ? &local->hub->groups[group] : NULL;
}

/* A request with the operands of a message; the caller says which way it goes, and posts it. */
static weft_status begin(weft_local *local, weft_stream *stream, int32_t peer, int32_t tag, const void *bytes,
                         size_t count, weft_local_request **out, weft_error *error)
{
    int32_t place = 0;
    TRY(weft_transport_check_message(&local->base, peer, tag, INT32_MAX, bytes, count, error));
    if (tag < 0)
        TRY(weft_transport_check_pair(find_group(local, weft_transport_tag_group(tag)), tag, local->base.rank, peer,
                                      &place, error));
    TRY(weft_local_reserve(local, 1, error));
    weft_local_request *request = weft_local_take(local);
    request->stream = weft_local_stream(local, stream);
    request->peer = peer;
    request->tag = tag;
    request->count = count;
    *out = request;
    return WEFT_OK;
}

static weft_status send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    weft_local_request *request = NULL;
    TRY(begin((weft_local *)transport, stream, peer, tag, bytes, count, &request, error));
    *out = request->index;
    request->sends = true;
    request->source = bytes;
    weft_local_mark_ready(request);
    weft_local_post((weft_local *)transport, request);
    return WEFT_OK;
}

static weft_status receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error)
{
    weft_local_request *request = NULL;
    TRY(begin((weft_local *)transport, stream, peer, tag, bytes, count, &request, error));
    *out = request->index;
    request->target = bytes;
    weft_local_post((weft_local *)transport, request);
    return WEFT_OK;
}

static weft_status borrow(weft_transport *transport, int32_t peer, int32_t tag, size_t count, const void **where,
                          weft_request *out, weft_error *error)
{
    weft_local_request *request = NULL;
    TRY(begin((weft_local *)transport, NULL, peer, tag, where, count, &request, error));
    *out = request->index;
    request->borrows = true;
    request->where = where;
    weft_local_post((weft_local *)transport, request);
    return WEFT_OK;
}

static weft_status find_request(const weft_local *local, weft_request index, weft_local_request **out,
                                weft_error *error)
{
    if (index < 0 || (size_t)index >= local->count)
        FAIL(error, WEFT_INVALID, "transport: there is no request %" PRId32, index);
    *out = local->table[index];
    return WEFT_OK;
}

static weft_status release(weft_transport *transport, weft_request index, weft_error *error)
{
    weft_local *local = (weft_local *)transport;
    weft_local_request *request = NULL;
    TRY(find_request(local, index, &request, error));
    weft_local_box *box = weft_local_box_get(local);
    pthread_mutex_lock(&box->mutex);
    bool held = request->state == WEFT_LOCAL_HELD;
    weft_local_request *lender = request->lender;
    if (held) weft_local_spare(box, request);
    pthread_mutex_unlock(&box->mutex);
    if (!held) FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " holds nothing that was borrowed", index);
    weft_local_complete(local->hub, lender, WEFT_LOCAL_DONE);
    return WEFT_OK;
}

typedef struct weft_local_gather {
    const weft_group *group;
    const void *bytes;
    const size_t *counts;
    unsigned char *out;
    int32_t place, tag;
    weft_local_request *whole;
} weft_local_gather;

/* Bytes of a part up to which the side that arrives second copies; more is copied by whoever gets it. */
enum { COPIED_AT_ONCE = 1 << 16 };

/* One part from and one to every other member; they match like messages, so gathers of a group stay in order. */
static void post_parts(weft_local *local, const weft_local_gather *gather)
{
    size_t offset = 0;
    for (int32_t i = 0; i < gather->group->count; i++) {
        if (i != gather->place) {
            weft_local_request *to = weft_local_take(local), *from = weft_local_take(local);
            to->parent = from->parent = gather->whole;
            to->stream = from->stream = gather->whole->stream;
            to->peer = from->peer = gather->group->members[i];
            to->tag = from->tag = gather->tag;
            to->sends = true;
            to->source = gather->bytes;
            to->count = gather->counts[gather->place];
            from->borrows = gather->counts[i] > COPIED_AT_ONCE;
            from->target = gather->out + offset;
            from->count = gather->counts[i];
            weft_local_mark_ready(to);
            weft_local_post(local, to);
            weft_local_post(local, from);
        }
        offset += gather->counts[i];
    }
}

static void copy_own(const weft_local *local, weft_stream *stream, void *to, const void *from, size_t bytes)
{
    if (bytes == 0 || to == from) return;
    if (stream)
        weft_local_copy_own(local, stream, to, from, bytes);
    else
        memcpy(to, from, bytes);
}

static weft_status gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    weft_local *local = (weft_local *)transport;
    int32_t place = 0;
    size_t offset = 0;
    const weft_group *members = find_group(local, group);
    TRY(weft_transport_find_place(members, group, transport->rank, &place, error));
    if (weft_transport_total(counts, members->count, place, &offset) == SIZE_MAX)
        FAIL(error, WEFT_INVALID, "transport: the counts of a gather in group %" PRId32 " overflow", group);
    int32_t parts = 2 * (members->count - 1), tag = WEFT_TRANSPORT_GATHER + 1 + group; /* no message's */
    TRY(weft_local_reserve(local, (size_t)parts + 1, error));
    weft_local_request *whole = weft_local_take(local);
    *out = whole->index;
    whole->remaining = parts;
    whole->odd_peer = -1;
    whole->tag = WEFT_TRANSPORT_GATHER;
    whole->stream = weft_local_stream(local, stream);
    copy_own(local, whole->stream, (unsigned char *)out_bytes + offset, bytes, counts[place]);
    if (parts == 0) {
        weft_local_complete(local->hub, whole, WEFT_LOCAL_DONE);
        return WEFT_OK;
    }
    post_parts(local, &(weft_local_gather){members, bytes, counts, out_bytes, place, tag, whole});
    return WEFT_OK;
}

/* The request's state. Of one that is done, *out is what it was, and it is free unless it holds or copies something. */
static weft_local_state look(weft_local *local, weft_local_request *request, weft_local_request *out)
{
    weft_local_box *box = weft_local_box_get(local);
    pthread_mutex_lock(&box->mutex);
    weft_local_state state = request->state;
    if (state == WEFT_LOCAL_DONE || state == WEFT_LOCAL_MISMATCH) {
        *out = *request; /* no other thread has a hand on it any more */
        if (out->lender)
            request->state = out->stream ? WEFT_LOCAL_WATCHED : WEFT_LOCAL_HELD;
        else
            weft_local_spare(box, request);
    }
    pthread_mutex_unlock(&box->mutex);
    return state;
}

/* What the owner has to do with a request that is done. */
static weft_status conclude(weft_local *local, weft_local_request *request, const weft_local_request *found,
                            weft_error *error)
{
    if (found->copy) weft_local_follow(local, found);
    if (found->lender && found->stream) weft_local_serve(local, request, found->lender);
    if (found->lender && found->borrows) *found->where = found->source;
    if (found->stream) TRY(weft_device_check(local->device, error));
    if (found->state != WEFT_LOCAL_MISMATCH) return WEFT_OK;
    char actual[32];
    snprintf(actual, sizeof actual, "%zu", found->odd_count);
    return weft_transport_fail_size(found->odd_peer, found->tag, found->odd_expected, actual, error);
}

static weft_status test(weft_transport *transport, weft_request index, bool *out_done, weft_error *error)
{
    weft_local *local = (weft_local *)transport;
    weft_local_request *request = NULL, found = {0};
    *out_done = false;
    TRY(find_request(local, index, &request, error));
    TRY(weft_local_check_stop(local, error));
    weft_local_copy_ready(local, request);
    weft_local_state state = look(local, request, &found);
    if (state == WEFT_LOCAL_PENDING) return WEFT_OK;
    if (state != WEFT_LOCAL_DONE && state != WEFT_LOCAL_MISMATCH)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " is not under way", index);
    *out_done = true;
    transport->finished = found.finished;
    return conclude(local, request, &found, error);
}

static weft_status progress(weft_transport *transport, weft_error *error)
{
    return weft_local_check_stop((weft_local *)transport, error);
}

static weft_status wait(weft_transport *transport, double seconds, weft_error *error)
{
    weft_local *local = (weft_local *)transport;
    weft_local_box *box = weft_local_box_get(local);
    double deadline = weft_clock_seconds() + weft_transport_clamp(seconds);
    bool in_time = true;
    pthread_mutex_lock(&box->mutex);
    while (box->events == local->seen && box->stopped_by < 0 && in_time)
        in_time = weft_local_sleep(&box->moved, &box->mutex, deadline);
    local->seen = box->events;
    pthread_mutex_unlock(&box->mutex);
    return weft_local_check_stop(local, error);
}

static void publish(weft_transport *transport, const char *text)
{
    weft_local_box *box = weft_local_box_get((weft_local *)transport);
    pthread_mutex_lock(&box->mutex);
    snprintf(box->text, sizeof box->text, "%s", text);
    pthread_mutex_unlock(&box->mutex);
}

static void interrogate(weft_transport *transport, double seconds, weft_transport_report *out)
{
    (void)seconds; /* the board is in memory: nobody has to answer */
    weft_local_hub *hub = ((weft_local *)transport)->hub;
    for (int32_t i = 0; i < hub->size; i++) {
        weft_local_box *box = &hub->boxes[i];
        pthread_mutex_lock(&box->mutex);
        out[i].answered = box->present || box->text[0] != '\0';
        memcpy(out[i].text, box->text, sizeof out[i].text);
        pthread_mutex_unlock(&box->mutex);
    }
}

static const weft_transport_operations local_operations = {
    .destroy = destroy,
    .attach = weft_local_attach,
    .send = send,
    .receive = receive,
    .borrow = borrow,
    .release = release,
    .gather = gather,
    .test = test,
    .progress = progress,
    .wait = wait,
    .barrier = weft_local_barrier,
    .publish = publish,
    .interrogate = interrogate,
    .stop = weft_local_stop,
};

weft_status weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out, weft_error *error)
{
    *out = NULL;
    if (rank < 0 || rank >= hub->size)
        FAIL(error, WEFT_INVALID, "local transport: there is no worker %" PRId32 "; ranks are 0 to %" PRId32, rank,
             hub->size - 1);
    weft_local *local = NULL;
    TRY(weft_allocate(1, sizeof *local, &local, error));
    local->base =
        (weft_transport){.operations = &local_operations, .rank = rank, .size = hub->size, .leads_machine = rank == 0};
    local->hub = hub;
    weft_local_box *box = &hub->boxes[rank];
    pthread_mutex_lock(&box->mutex);
    bool taken = box->present;
    box->present = true;
    local->seen = box->events;
    pthread_mutex_unlock(&box->mutex);
    if (taken) {
        weft_free(local);
        FAIL(error, WEFT_INVALID, "local transport: worker %" PRId32 " has an endpoint already", rank);
    }
    *out = &local->base;
    return WEFT_OK;
}
