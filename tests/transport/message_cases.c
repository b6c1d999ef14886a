/* Messages: any sizes in any order, posting times, borrowed ones. */
#include "transport_cases.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdlib.h>

enum { TAGS = 4, DEPTH = 6, ROUNDS = 3, LARGEST = 1 << 20 };

typedef struct storm_item {
    unsigned char *bytes;
    size_t count;
    uint64_t key;
    bool receives, borrows;
    const void *where; /* of what was borrowed */
    weft_request request;
} storm_item;

typedef struct storm {
    weft_transport *transport;
    int round, streams, posted, total;
    int *next;         /* (streams): messages posted of each */
    storm_item *items; /* in the order of posting */
} storm;

static uint64_t message_key(int round, int32_t from, int32_t to, int tag, int index)
{
    return (((uint64_t)round * 64 + (uint64_t)from) * 64 + (uint64_t)to) * 4096 + (uint64_t)(tag * 256 + index);
}

/* A stream is (direction, peer, tag). */
static weft_status post_item(storm *s, int stream, weft_error *error)
{
    weft_transport *t = s->transport;
    int32_t peer = stream / TAGS % t->size;
    int tag = stream % TAGS;
    storm_item *item = &s->items[s->posted++];
    item->receives = stream >= TAGS * t->size;
    int index = s->next[stream]++;
    item->key = item->receives ? message_key(s->round, peer, t->rank, tag, index)
                               : message_key(s->round, t->rank, peer, tag, index);
    item->count = message_size(item->key);
    item->bytes = malloc(item->count + 1); /* one byte more, so that writing past the end is seen */
    if (!item->bytes) FAIL(error, WEFT_NO_MEMORY, "no memory for the test");
    item->bytes[item->count] = 0xa5;
    item->borrows = item->receives && t->operations->borrow && item->key % 3 == 0;
    if (item->borrows) return t->operations->borrow(t, peer, tag, item->count, &item->where, &item->request, error);
    if (item->receives) return post_receive(t, peer, tag, item->bytes, item->count, &item->request, error);
    fill(item->bytes, item->count, item->key);
    return post_send(t, peer, tag, item->bytes, item->count, &item->request, error);
}

/* Looks at an item once: it may be done, and has to be right then. */
static weft_status look(storm *s, storm_item *item, bool *out_done, weft_error *error)
{
    const weft_transport_operations *o = s->transport->operations;
    *out_done = item->request < 0;
    if (item->request < 0) return WEFT_OK;
    TRY(o->test(s->transport, item->request, out_done, error));
    if (!*out_done) return WEFT_OK;
    const unsigned char *bytes = item->borrows ? item->where : item->bytes;
    if (item->bytes[item->count] != 0xa5) FAIL(error, WEFT_FAILED, "wrote past the end of a buffer");
    if (item->receives && !is_filled(bytes, item->count, item->key))
        FAIL(error, WEFT_FAILED, "round %d: wrong content in a message of %zu bytes", s->round, item->count);
    if (item->borrows) TRY(o->release(s->transport, item->request, error));
    item->request = -1;
    return WEFT_OK;
}

/* Posts every message of the round in a random order that keeps each stream's own order, testing old ones on the way.
 */
static weft_status post_all(storm *s, weft_error *error)
{
    weft_transport *t = s->transport;
    weft_random_key random = weft_random_key_make((uint64_t)(s->round * 100 + t->rank), "order");
    for (uint64_t draw = 0; s->posted < s->total; draw++) {
        int stream = (int)(weft_random_bits(random, draw) % (uint64_t)s->streams);
        if (s->next[stream] == DEPTH) continue;
        bool done = false;
        TRY(post_item(s, stream, error));
        TRY(look(s, &s->items[draw % (uint64_t)s->posted], &done, error));
    }
    return WEFT_OK;
}

/* All at once: who waited for a send before it releases what it has borrowed could wait for ever. */
static weft_status finish_storm(storm *s, weft_error *error)
{
    double begin = weft_clock_seconds();
    for (int left = 1; left > 0;) {
        left = 0;
        for (int i = 0; i < s->total; i++) {
            bool done = false;
            TRY(look(s, &s->items[i], &done, error));
            left += !done;
        }
        if (weft_clock_seconds() - begin > PATIENCE) FAIL(error, WEFT_TIMEOUT, "%d messages are never done", left);
        if (left > 0) TRY(s->transport->operations->wait(s->transport, 1.0, error));
    }
    return WEFT_OK;
}

bool case_storm(weft_transport *t, char *why)
{
    for (int round = 0; round < ROUNDS; round++) {
        weft_error error;
        storm s = {.transport = t, .round = round, .streams = 2 * TAGS * t->size};
        s.total = s.streams * DEPTH;
        s.next = calloc((size_t)s.streams, sizeof *s.next);
        s.items = calloc((size_t)s.total, sizeof *s.items);
        CHECK(s.next && s.items, "no memory for the test");
        CHECK_OK(post_all(&s, &error), &error);
        CHECK_OK(finish_storm(&s, &error), &error);
        for (int i = 0; i < s.total; i++) free(s.items[i].bytes);
        free(s.items);
        free(s.next);
    }
    return true;
}

bool case_order(weft_transport *t, char *why)
{
    enum { NUMBERS = 50 };
    weft_error error;
    int32_t out[3][NUMBERS], in[3][NUMBERS];
    weft_request sends[3 * NUMBERS], receives[3 * NUMBERS];
    int32_t to = (t->rank + 1) % t->size, from = (t->rank + t->size - 1) % t->size;
    for (int i = 0; i < NUMBERS; i++)
        for (int tag = 0; tag < 3; tag++) {
            out[tag][i] = (t->rank * 10 + tag) * 1000 + i;
            CHECK_OK(post_send(t, to, tag, &out[tag][i], 4, &sends[i * 3 + tag], &error), &error);
        }
    for (int tag = 2; tag >= 0; tag--) /* not the order of sending */
        for (int i = 0; i < NUMBERS; i++)
            CHECK_OK(post_receive(t, from, tag, &in[tag][i], 4, &receives[i * 3 + tag], &error), &error);
    CHECK_OK(finish(t, receives, 3 * NUMBERS, &error), &error);
    CHECK_OK(finish(t, sends, 3 * NUMBERS, &error), &error);
    for (int tag = 0; tag < 3; tag++)
        for (int i = 0; i < NUMBERS; i++)
            CHECK(in[tag][i] == (from * 10 + tag) * 1000 + i, "tag %d, message %d: %" PRId32, tag, i, in[tag][i]);
    return true;
}

enum { SPREAD = 5 };
static const size_t spread_sizes[SPREAD] = {0, 1, 4000, 70000, LARGEST};

typedef struct spread {
    unsigned char *out[SPREAD], *in[SPREAD];
    weft_request sends[SPREAD], receives[SPREAD];
    int32_t to, from;
} spread;

static bool spread_init(spread *s, const weft_transport *t)
{
    s->to = (t->rank + 1) % t->size;
    s->from = (t->rank + t->size - 1) % t->size;
    for (int i = 0; i < SPREAD; i++) {
        s->out[i] = malloc(spread_sizes[i] + 1);
        s->in[i] = calloc(spread_sizes[i] + 1, 1);
        if (!s->out[i] || !s->in[i]) return false;
        fill(s->out[i], spread_sizes[i], (uint64_t)(t->rank * SPREAD + i));
    }
    return true;
}

static weft_status spread_send(spread *s, weft_transport *t, weft_error *error)
{
    for (int i = 0; i < SPREAD; i++) TRY(post_send(t, s->to, i, s->out[i], spread_sizes[i], &s->sends[i], error));
    return WEFT_OK;
}

static weft_status spread_receive(spread *s, weft_transport *t, weft_error *error)
{
    for (int i = 0; i < SPREAD; i++)
        TRY(post_receive(t, s->from, i, s->in[i], spread_sizes[i], &s->receives[i], error));
    return WEFT_OK;
}

static weft_status spread_fini(spread *s, weft_transport *t, weft_error *error)
{
    TRY(finish(t, s->receives, SPREAD, error));
    TRY(finish(t, s->sends, SPREAD, error));
    for (int i = 0; i < SPREAD; i++) {
        if (!is_filled(s->in[i], spread_sizes[i], (uint64_t)(s->from * SPREAD + i)))
            FAIL(error, WEFT_FAILED, "wrong content in the message of %zu bytes", spread_sizes[i]);
        free(s->in[i]);
        free(s->out[i]);
    }
    return WEFT_OK;
}

bool case_early_receives(weft_transport *t, char *why)
{
    weft_error error;
    spread s;
    CHECK(spread_init(&s, t), "no memory for the test");
    CHECK_OK(spread_receive(&s, t, &error), &error);
    for (int i = 0; i < SPREAD && t->size > 1; i++) {
        bool done = true;
        CHECK_OK(t->operations->test(t, s.receives[i], &done, &error), &error);
        CHECK(!done, "a receive is done before anything was sent");
    }
    CHECK_OK(meet(t, &error), &error); /* nobody sends before everybody has looked */
    weft_clock_sleep(0.03);
    CHECK_OK(spread_send(&s, t, &error), &error);
    CHECK_OK(spread_fini(&s, t, &error), &error);
    return true;
}

bool case_early_sends(weft_transport *t, char *why)
{
    weft_error error;
    spread s;
    CHECK(spread_init(&s, t), "no memory for the test");
    CHECK_OK(spread_send(&s, t, &error), &error);
    CHECK_OK(meet(t, &error), &error);
    weft_clock_sleep(0.03);
    CHECK_OK(spread_receive(&s, t, &error), &error);
    CHECK_OK(spread_fini(&s, t, &error), &error);
    return true;
}

/* What is borrowed stays the sender's, and its send under way, until it is released. */
bool case_borrow(weft_transport *t, char *why)
{
    const weft_transport_operations *o = t->operations;
    weft_error error;
    int32_t out = 1000 + t->rank, from = (t->rank + t->size - 1) % t->size;
    const void *where = NULL;
    weft_request send = -1, borrow = -1;
    if (!o->borrow) return true;
    CHECK_OK(o->borrow(t, from, 0, sizeof out, &where, &borrow, &error), &error);
    CHECK_OK(post_send(t, (t->rank + 1) % t->size, 0, &out, sizeof out, &send, &error), &error);
    CHECK(o->release(t, borrow, &error) == WEFT_INVALID, "it was not found done");
    CHECK_OK(finish_one(t, borrow, &error), &error);
    CHECK(*(const int32_t *)where == 1000 + from, "borrowed %d", *(const int32_t *)where);
    bool done = true;
    CHECK(o->test(t, borrow, &done, &error) == WEFT_INVALID && !done, "it was found done");
    CHECK_OK(meet(t, &error), &error); /* everybody holds what it has borrowed */
    weft_clock_sleep(0.01);
    CHECK_OK(o->test(t, send, &done, &error), &error);
    CHECK(!done, "a send is done while its bytes are borrowed");
    CHECK_OK(meet(t, &error), &error);
    CHECK_OK(o->release(t, borrow, &error), &error);
    CHECK_OK(finish_one(t, send, &error), &error);
    CHECK(o->release(t, borrow, &error) == WEFT_INVALID, "it was released");
    return true;
}
