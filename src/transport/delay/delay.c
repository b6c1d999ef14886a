/* A transport that makes another one slower, at random: what is told to it waits, and so does the news that it is done.
 */
#include "transport/common.h"
#include "transport/over.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <math.h>

typedef enum delay_kind { KIND_SEND, KIND_RECEIVE, KIND_BORROW, KIND_GATHER } delay_kind;

typedef enum delay_state {
    STATE_FREE,
    STATE_HELD,     /* the inner transport does not know it yet */
    STATE_POSTED,   /* it does */
    STATE_ARRIVED,  /* done there, not here */
    STATE_BORROWED, /* done here, not released */
} delay_state;

typedef struct delay_request {
    delay_kind kind;
    delay_state state;
    struct weft_stream *stream;
    int32_t peer, tag; /* of a gather: the group */
    const void *source;
    void *target;
    size_t count;
    const void **where;
    const size_t *counts;
    double due; /* seconds of weft_clock_seconds at which HELD or ARRIVED ends */
    weft_request inner;
} delay_request;

typedef struct delay {
    weft_transport_over over;
    weft_transport_operations operations;
    weft_random_key key;
    uint64_t draws;
    double longest;
    delay_request *requests;
    size_t request_capacity, request_count;
    weft_request *held; /* in the order of posting */
    size_t held_capacity, held_count;
} delay;

static double draw(delay *d)
{
    return weft_random_uniform(d->key, d->draws++) * d->longest;
}

static weft_status post(delay *d, delay_request *q, weft_error *error)
{
    weft_transport *t = d->over.inner;
    const weft_transport_operations *o = t->operations;
    q->state = STATE_POSTED;
    if (q->kind == KIND_SEND) return o->send(t, q->stream, q->peer, q->tag, q->source, q->count, &q->inner, error);
    if (q->kind == KIND_RECEIVE)
        return o->receive(t, q->stream, q->peer, q->tag, q->target, q->count, &q->inner, error);
    if (q->kind == KIND_BORROW) return o->borrow(t, q->peer, q->tag, q->count, q->where, &q->inner, error);
    return o->gather(t, q->stream, q->tag, q->source, q->counts, q->target, &q->inner, error);
}

/* Posts what is due at `now`. Of one lane nothing is due before what came earlier, and that stands in front of it. */
static weft_status post_due(delay *d, double now, weft_error *error)
{
    size_t kept = 0;
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < d->held_count; i++) {
        delay_request *q = &d->requests[d->held[i]];
        if (status == WEFT_OK && q->due <= now)
            status = post(d, q, error);
        else
            d->held[kept++] = d->held[i];
    }
    d->held_count = kept;
    return status;
}

static bool is_same_lane(const delay_request *a, const delay_request *b)
{
    static const int ways[] = {[KIND_SEND] = 0, [KIND_RECEIVE] = 1, [KIND_BORROW] = 1, [KIND_GATHER] = 2};
    return ways[a->kind] == ways[b->kind] && a->peer == b->peer && a->tag == b->tag;
}

static weft_status take(delay *d, weft_request *out, weft_error *error)
{
    for (size_t i = 0; i < d->request_count; i++) {
        *out = (weft_request)i;
        if (d->requests[i].state == STATE_FREE) return WEFT_OK;
    }
    TRY(weft_grow(&d->requests, &d->request_capacity, d->request_count + 1, sizeof *d->requests, error));
    *out = (weft_request)d->request_count++;
    d->requests[*out] = (delay_request){.state = STATE_FREE};
    return WEFT_OK;
}

/* Keeps what was asked for until it is due. */
static weft_status hold(weft_transport *transport, const delay_request *asked, weft_request *out, weft_error *error)
{
    delay *d = (delay *)transport;
    TRY(take(d, out, error));
    TRY(weft_grow(&d->held, &d->held_capacity, d->held_count + 1, sizeof *d->held, error));
    delay_request *q = &d->requests[*out];
    *q = *asked;
    q->state = STATE_HELD;
    q->inner = -1;
    q->due = weft_clock_seconds() + draw(d);
    for (size_t i = 0; i < d->held_count; i++) {
        const delay_request *earlier = &d->requests[d->held[i]];
        if (is_same_lane(earlier, q) && earlier->due > q->due) q->due = earlier->due;
    }
    d->held[d->held_count++] = *out;
    return WEFT_OK;
}

static weft_status send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    delay_request asked = {
        .kind = KIND_SEND, .stream = stream, .peer = peer, .tag = tag, .source = bytes, .count = count};
    return hold(transport, &asked, out, error);
}

static weft_status receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error)
{
    delay_request asked = {
        .kind = KIND_RECEIVE, .stream = stream, .peer = peer, .tag = tag, .target = bytes, .count = count};
    return hold(transport, &asked, out, error);
}

static weft_status borrow(weft_transport *transport, int32_t peer, int32_t tag, size_t count, const void **where,
                          weft_request *out, weft_error *error)
{
    delay_request asked = {.kind = KIND_BORROW, .peer = peer, .tag = tag, .where = where, .count = count};
    return hold(transport, &asked, out, error);
}

static weft_status gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    delay_request asked = {
        .kind = KIND_GATHER, .stream = stream, .tag = group, .source = bytes, .target = out_bytes, .counts = counts};
    return hold(transport, &asked, out, error);
}

static delay_request *find(delay *d, weft_request index)
{
    return index >= 0 && (size_t)index < d->request_count ? &d->requests[index] : NULL;
}

static weft_status release(weft_transport *transport, weft_request index, weft_error *error)
{
    delay *d = (delay *)transport;
    delay_request *q = find(d, index);
    if (!q || q->state != STATE_BORROWED)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " holds nothing that was borrowed", index);
    q->state = STATE_FREE;
    return d->over.inner->operations->release(d->over.inner, q->inner, error);
}

static weft_status progress(weft_transport *transport, weft_error *error)
{
    delay *d = (delay *)transport;
    TRY(post_due(d, weft_clock_seconds(), error));
    return d->over.inner->operations->progress(d->over.inner, error);
}

static weft_status test(weft_transport *transport, weft_request index, bool *out_done, weft_error *error)
{
    delay *d = (delay *)transport;
    delay_request *q = find(d, index);
    *out_done = false;
    if (!q || q->state == STATE_FREE || q->state == STATE_BORROWED)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " is not under way", index);
    TRY(progress(transport, error));
    if (q->state == STATE_POSTED) {
        bool done = false;
        TRY(d->over.inner->operations->test(d->over.inner, q->inner, &done, error));
        if (!done) return WEFT_OK;
        q->state = STATE_ARRIVED;
        q->due = weft_clock_seconds() + draw(d);
    }
    if (q->state == STATE_HELD || q->due > weft_clock_seconds()) return WEFT_OK;
    q->state = q->kind == KIND_BORROW ? STATE_BORROWED : STATE_FREE;
    *out_done = true;
    transport->finished = weft_clock_nanoseconds();
    return WEFT_OK;
}

/* Also ends when something is due: the caller then finds it done, or it was posted. */
static weft_status wait(weft_transport *transport, double seconds, weft_error *error)
{
    delay *d = (delay *)transport;
    double now = weft_clock_seconds(), until = now + weft_transport_clamp(seconds);
    TRY(post_due(d, now, error));
    for (size_t i = 0; i < d->request_count; i++) {
        const delay_request *q = &d->requests[i];
        if ((q->state == STATE_HELD || q->state == STATE_ARRIVED) && q->due < until) until = q->due;
    }
    TRY(d->over.inner->operations->wait(d->over.inner, until - now, error));
    return post_due(d, weft_clock_seconds(), error);
}

/* The inner barrier calls nobody back: what others may need before they arrive is posted now. */
static weft_status barrier(weft_transport *transport, double timeout, weft_error *error)
{
    delay *d = (delay *)transport;
    TRY(post_due(d, INFINITY, error));
    weft_clock_sleep(draw(d));
    return d->over.inner->operations->barrier(d->over.inner, timeout, error);
}

static weft_status attach(weft_transport *transport, struct weft_device *device, weft_error *error)
{
    weft_transport *inner = ((delay *)transport)->over.inner;
    return inner->operations->attach(inner, device, error);
}

static void destroy(weft_transport *transport)
{
    delay *d = (delay *)transport;
    if (!d) return;
    d->over.inner->operations->destroy(d->over.inner);
    weft_free(d->held);
    weft_free(d->requests);
    weft_free(d);
}

weft_status weft_delay_transport_create(weft_transport *inner, uint64_t seed, double longest, weft_transport **out,
                                        weft_error *error)
{
    *out = NULL;
    delay *d = NULL;
    TRY(weft_allocate(1, sizeof *d, &d, error));
    weft_transport_over_init(&d->over, inner, &d->operations);
    d->over.base.ordered = false; /* what is held back is behind nothing */
    d->operations.destroy = destroy;
    d->operations.attach = inner->operations->attach ? attach : NULL;
    d->operations.send = send;
    d->operations.receive = receive;
    d->operations.borrow = inner->operations->borrow ? borrow : NULL;
    d->operations.release = inner->operations->release ? release : NULL;
    d->operations.gather = gather;
    d->operations.test = test;
    d->operations.progress = progress;
    d->operations.wait = wait;
    d->operations.barrier = barrier;
    d->key = weft_random_key_make(seed * (uint64_t)inner->size + (uint64_t)inner->rank, "delay");
    d->longest = longest;
    *out = &d->over.base;
    return WEFT_OK;
}
