#include "peers.h"

#include "base/memory.h"
#include "transport/common.h"
#include "transport/over.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

/* One way of one transfer: each side has its own, in the hub's list until both have met. */
typedef struct half {
    struct half *next;
    int32_t rank, peer, tag;
    bool sends;
    weft_stream *stream;
    const void *from;
    void *to;
    size_t count;
    weft_event event; /* of a send: the bytes are there; of a receive: they are copied */
    bool met;         /* `other` is there */
    bool placed;      /* its request goes on without it */
    bool over;        /* of a receive: the sender's stream waits for its event, which may be recorded anew */
    weft_event other; /* of the other side */
    size_t other_count;
    const void *source; /* of the other side's bytes */
    int32_t request;
    bool busy;
} half;

struct peers_hub {
    pthread_mutex_t mutex;
    const weft_group *groups;
    int32_t group_count;
    half *waiting; /* not met, oldest first */
};

enum { HALVES = 1024, REQUESTS = 1024 };

typedef struct peers {
    weft_transport_over over;
    weft_transport_operations operations;
    peers_hub *hub;
    weft_device *device;
    half halves[HALVES];
    weft_event events[HALVES];
    int32_t open[REQUESTS]; /* halves without a place, of a request of this number */
    weft_request inner[REQUESTS];
    enum { UNUSED, DEVICE, HOST } kinds[REQUESTS];
    bool batch, moved; /* moved: something has got its place since the last wait */
} peers;

static weft_status take_request(peers *p, int kind, weft_request *out, weft_error *error)
{
    for (*out = 0; *out < REQUESTS; ++*out)
        if (p->kinds[*out] == UNUSED) {
            p->kinds[*out] = kind == HOST ? HOST : DEVICE;
            p->open[*out] = 0;
            return WEFT_OK;
        }
    FAIL(error, WEFT_FAILED, "peers: more than %d requests", REQUESTS);
}

/* An event is not recorded anew before it is reached. */
static weft_status take_half(peers *p, half **out, weft_error *error)
{
    for (int i = 0; i < HALVES; i++) {
        *out = &p->halves[i];
        if ((*out)->busy || !p->device->operations->event_done(p->device, &p->events[i])) continue;
        **out = (half){.busy = true, .rank = p->over.base.rank, .event = p->events[i]};
        return WEFT_OK;
    }
    FAIL(error, WEFT_FAILED, "peers: more than %d transfers", HALVES);
}

/* The oldest that waits for this one, taken off the list. Called with the hub's mutex held. */
static half *find_other(peers_hub *hub, const half *mine)
{
    for (half **at = &hub->waiting; *at; at = &(*at)->next) {
        half *other = *at;
        if (other->sends == mine->sends || other->rank != mine->peer || other->peer != mine->rank ||
            other->tag != mine->tag)
            continue;
        *at = other->next;
        return other;
    }
    return NULL;
}

static void know(half *one, const half *other)
{
    one->other_count = other->count;
    one->source = other->from;
}

/* Hands what is asked for to the other side, or leaves it for that to find. */
static void post(peers *p, half *mine)
{
    peers_hub *hub = p->hub;
    if (mine->sends) p->device->operations->event_record(p->device, mine->stream, &mine->event);
    p->open[mine->request]++;
    pthread_mutex_lock(&hub->mutex);
    half *other = find_other(hub, mine), **end = &hub->waiting;
    if (other) {
        know(mine, other);
        know(other, mine);
        half *sender = mine->sends ? mine : other, *receiver = mine->sends ? other : mine;
        receiver->other = sender->event;
        receiver->met = true;
        receiver->next = sender; /* whom it tells of its copy */
    } else {
        while (*end) end = &(*end)->next;
        mine->next = NULL;
        *end = mine;
    }
    pthread_mutex_unlock(&hub->mutex);
}

/* Tells the sender behind what its bytes are free again. */
static void tell(peers *p, half *mine)
{
    pthread_mutex_lock(&p->hub->mutex);
    mine->next->other = mine->event;
    mine->next->next = mine;
    mine->next->met = true;
    pthread_mutex_unlock(&p->hub->mutex);
}

/* The receiver copies behind the sender's bytes. */
static void copy(peers *p, half *mine)
{
    const weft_device_operations *o = p->device->operations;
    o->event_wait(p->device, mine->stream, &mine->other);
    if (mine->count > 0 && mine->count == mine->other_count)
        o->copy(p->device, mine->stream, mine->to, mine->source, mine->count);
    o->event_record(p->device, mine->stream, &mine->event);
    tell(p, mine);
}

/* The sender goes on behind the copy. */
static void go_on(peers *p, half *mine)
{
    p->device->operations->event_wait(p->device, mine->stream, &mine->other);
    pthread_mutex_lock(&p->hub->mutex);
    mine->next->over = true;
    pthread_mutex_unlock(&p->hub->mutex);
    mine->busy = false;
}

static weft_status place(peers *p, half *mine, weft_error *error)
{
    pthread_mutex_lock(&p->hub->mutex);
    bool met = mine->met, over = mine->over;
    pthread_mutex_unlock(&p->hub->mutex);
    if (over) mine->busy = false;
    if (!met || mine->placed) return WEFT_OK;
    mine->placed = p->moved = true;
    p->open[mine->request]--;
    if (mine->sends)
        go_on(p, mine);
    else
        copy(p, mine);
    if (mine->sends || mine->count == mine->other_count) return WEFT_OK;
    char actual[32];
    snprintf(actual, sizeof actual, "%zu", mine->other_count);
    return weft_transport_fail_size(mine->peer, mine->tag, mine->count, actual, error);
}

static weft_status drive(peers *p, weft_error *error)
{
    for (int i = 0; i < HALVES; i++)
        if (p->halves[i].busy) TRY(place(p, &p->halves[i], error));
    return WEFT_OK;
}

static bool is_open(const peers *p)
{
    for (int i = 0; i < HALVES; i++)
        if (p->halves[i].busy && !p->halves[i].placed) return true;
    return false;
}

/* Until all that was asked for has its place. */
static weft_status settle(peers *p, weft_error *error)
{
    weft_transport *inner = p->over.inner;
    while (!p->batch && is_open(p)) {
        TRY(drive(p, error));
        if (is_open(p)) TRY(inner->operations->wait(inner, 50e-6, error));
    }
    return WEFT_OK;
}

static weft_status ask(peers *p, const half *asked, weft_request request, weft_error *error)
{
    half *mine = NULL;
    TRY(take_half(p, &mine, error));
    weft_event event = mine->event;
    *mine = *asked;
    mine->busy = true;
    mine->rank = p->over.base.rank;
    mine->event = event;
    mine->request = request;
    post(p, mine);
    return WEFT_OK;
}

static weft_status send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    peers *p = (peers *)transport;
    weft_transport *inner = p->over.inner;
    TRY(take_request(p, stream ? DEVICE : HOST, out, error));
    if (!stream) return inner->operations->send(inner, NULL, peer, tag, bytes, count, &p->inner[*out], error);
    half asked = {.peer = peer, .tag = tag, .sends = true, .stream = stream, .from = bytes, .count = count};
    TRY(ask(p, &asked, *out, error));
    return settle(p, error);
}

static weft_status receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error)
{
    peers *p = (peers *)transport;
    weft_transport *inner = p->over.inner;
    TRY(take_request(p, stream ? DEVICE : HOST, out, error));
    if (!stream) return inner->operations->receive(inner, NULL, peer, tag, bytes, count, &p->inner[*out], error);
    half asked = {.peer = peer, .tag = tag, .stream = stream, .to = bytes, .count = count};
    TRY(ask(p, &asked, *out, error));
    return settle(p, error);
}

static weft_status gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    peers *p = (peers *)transport;
    weft_transport *inner = p->over.inner;
    TRY(take_request(p, stream ? DEVICE : HOST, out, error));
    if (!stream) return inner->operations->gather(inner, NULL, group, bytes, counts, out_bytes, &p->inner[*out], error);
    const weft_group *members = &p->hub->groups[group];
    int32_t own = weft_transport_place(members, transport->rank), tag = WEFT_TRANSPORT_GATHER + 1 + group;
    char *to = out_bytes;
    for (int32_t i = 0; i < members->count; to += counts[i++]) {
        int32_t peer = members->members[i];
        if (i == own && counts[i] > 0 && to != bytes)
            p->device->operations->copy(p->device, stream, to, bytes, counts[i]);
        if (i == own) continue;
        half gives = {.peer = peer, .tag = tag, .sends = true, .stream = stream, .from = bytes, .count = counts[own]};
        half gets = {.peer = peer, .tag = tag, .stream = stream, .to = to, .count = counts[i]};
        TRY(ask(p, &gives, *out, error));
        TRY(ask(p, &gets, *out, error));
    }
    return settle(p, error);
}

static void batch_begin(weft_transport *transport)
{
    ((peers *)transport)->batch = true;
}

static weft_status batch_end(weft_transport *transport, weft_error *error)
{
    peers *p = (peers *)transport;
    p->batch = false;
    return settle(p, error);
}

static weft_status progress(weft_transport *transport, weft_error *error)
{
    peers *p = (peers *)transport;
    TRY(p->over.inner->operations->progress(p->over.inner, error));
    return drive(p, error);
}

static weft_status test(weft_transport *transport, weft_request index, bool *out_done, weft_error *error)
{
    peers *p = (peers *)transport;
    *out_done = false;
    if (index < 0 || index >= REQUESTS || p->kinds[index] == UNUSED)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " is not under way", index);
    TRY(progress(transport, error));
    if (p->kinds[index] == HOST)
        TRY(p->over.inner->operations->test(p->over.inner, p->inner[index], out_done, error));
    else
        *out_done = p->open[index] == 0;
    if (*out_done) p->kinds[index] = UNUSED;
    return WEFT_OK;
}

static weft_status wait(weft_transport *transport, double seconds, weft_error *error)
{
    peers *p = (peers *)transport;
    TRY(drive(p, error));
    double nap = p->moved ? 0 : is_open(p) && seconds > 50e-6 ? 50e-6 : seconds;
    p->moved = false;
    return p->over.inner->operations->wait(p->over.inner, nap, error);
}

static weft_status attach(weft_transport *transport, struct weft_device *device, weft_error *error)
{
    peers *p = (peers *)transport;
    p->device = device;
    return device->operations->events_create(device, HALVES, p->events, error);
}

/* What nobody has met is taken back. Only for runs that end well: nobody is told by those who have gone. */
static void destroy(weft_transport *transport)
{
    peers *p = (peers *)transport;
    peers_hub *hub = p->hub;
    pthread_mutex_lock(&hub->mutex);
    for (half **at = &hub->waiting; *at;)
        if ((*at)->rank == transport->rank)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    pthread_mutex_unlock(&hub->mutex);
    p->over.inner->operations->destroy(p->over.inner);
    if (p->device) p->device->operations->events_destroy(p->device, HALVES, p->events);
    weft_free(p);
}

weft_status peers_create(peers_hub *hub, weft_transport *inner, weft_transport **out, weft_error *error)
{
    peers *p = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *p, &p, error));
    weft_transport_over_init(&p->over, inner, &p->operations);
    p->over.base.ordered = true;
    p->operations.destroy = destroy;
    p->operations.attach = attach;
    p->operations.batch_begin = batch_begin;
    p->operations.batch_end = batch_end;
    p->operations.send = send;
    p->operations.receive = receive;
    p->operations.gather = gather;
    p->operations.test = test;
    p->operations.progress = progress;
    p->operations.wait = wait;
    p->hub = hub;
    *out = &p->over.base;
    return WEFT_OK;
}

weft_status peers_hub_create(const weft_group *groups, int32_t group_count, peers_hub **out, weft_error *error)
{
    TRY(weft_allocate(1, sizeof **out, out, error));
    pthread_mutex_init(&(*out)->mutex, NULL);
    (*out)->groups = groups;
    (*out)->group_count = group_count;
    return WEFT_OK;
}

void peers_hub_destroy(peers_hub *hub)
{
    if (!hub) return;
    pthread_mutex_destroy(&hub->mutex);
    weft_free(hub);
}
