#include "transport_cases.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAGS = 4, DEPTH = 6, ROUNDS = 3, LARGEST = 1 << 20, PATIENCE = 60 };

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            int length_ = snprintf(why, TRANSPORT_CASE_TEXT, "%s:%d: %s: ", __FILE__, __LINE__, #condition);           \
            snprintf(why + length_, TRANSPORT_CASE_TEXT - (size_t)length_, __VA_ARGS__);                               \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)
#define CHECK_OK(expression, error) CHECK((expression) == WEFT_OK, "%s", (error)->text)

void transport_case_groups_init(transport_case_groups *groups, int32_t size)
{
    int32_t even = 0;
    for (int32_t i = 0; i < size; i++) {
        groups->everybody[i] = i;
        if (i % 2 == 0) groups->even[even++] = i;
    }
    groups->last[0] = size - 1;
    groups->groups[0] = (weft_group){groups->everybody, size};
    groups->groups[1] = (weft_group){groups->even, even};
    groups->groups[2] = (weft_group){groups->last, 1};
}

static weft_status post_send(weft_transport *t, int32_t peer, int32_t tag, const void *bytes, size_t count,
                             weft_request *out, weft_error *error)
{
    return t->operations->send(t, NULL, peer, tag, bytes, count, out, error);
}

static weft_status post_receive(weft_transport *t, int32_t peer, int32_t tag, void *bytes, size_t count,
                                weft_request *out, weft_error *error)
{
    return t->operations->receive(t, NULL, peer, tag, bytes, count, out, error);
}

/* Tests and waits until all requests are done (they become -1), for PATIENCE seconds at most. */
static weft_status finish(weft_transport *t, weft_request *requests, int count, weft_error *error)
{
    double begin = weft_clock_seconds();
    for (;;) {
        int left = 0;
        for (int i = 0; i < count; i++) {
            bool done = false;
            if (requests[i] < 0) continue;
            TRY(t->operations->test(t, requests[i], &done, error));
            if (done)
                requests[i] = -1;
            else
                left++;
        }
        if (left == 0) return WEFT_OK;
        if (weft_clock_seconds() - begin > PATIENCE) FAIL(error, WEFT_TIMEOUT, "%d requests are never done", left);
        TRY(t->operations->wait(t, 1.0, error));
    }
}

static weft_status finish_one(weft_transport *t, weft_request request, weft_error *error)
{
    return finish(t, &request, 1, error);
}

static weft_status meet(weft_transport *t, weft_error *error)
{
    return t->operations->barrier(t, PATIENCE, error);
}

/* Content: byte i of a message is known from its key. */
static void fill(unsigned char *bytes, size_t count, uint64_t key)
{
    uint64_t x = key * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(x >> 56);
    }
}

static bool is_filled(const unsigned char *bytes, size_t count, uint64_t key)
{
    uint64_t x = key * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        if (bytes[i] != (unsigned char)(x >> 56)) return false;
    }
    return true;
}

/* --- message storm --- */

typedef struct storm_item {
    unsigned char *bytes;
    size_t count;
    uint64_t key;
    bool receives;
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

/* Sizes are spread over the powers of two; one in eight is empty. */
static size_t message_size(uint64_t key)
{
    weft_random_key random = weft_random_key_make(key, "size");
    uint64_t bits = weft_random_bits(random, 0);
    if (bits % 8 == 0) return 0;
    return (size_t)(weft_random_bits(random, 1) % ((uint64_t)1 << (bits / 8 % 21))) + 1;
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
    if (item->receives) return post_receive(t, peer, tag, item->bytes, item->count, &item->request, error);
    fill(item->bytes, item->count, item->key);
    return post_send(t, peer, tag, item->bytes, item->count, &item->request, error);
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
        TRY(post_item(s, stream, error));
        storm_item *old = &s->items[draw % (uint64_t)s->posted];
        bool done = false;
        if (old->request >= 0) TRY(t->operations->test(t, old->request, &done, error));
        if (done) old->request = -1;
    }
    return WEFT_OK;
}

static weft_status finish_storm(storm *s, weft_error *error)
{
    for (int i = 0; i < s->total; i++) {
        storm_item *item = &s->items[i];
        if (item->request >= 0) TRY(finish_one(s->transport, item->request, error));
        if (item->bytes[item->count] != 0xa5) FAIL(error, WEFT_FAILED, "wrote past the end of a buffer");
        if (item->receives && !is_filled(item->bytes, item->count, item->key))
            FAIL(error, WEFT_FAILED, "round %d: wrong content in a message of %zu bytes", s->round, item->count);
    }
    return WEFT_OK;
}

static bool run_storm(weft_transport *t, char *why)
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

/* --- order and posting times --- */

static bool run_order(weft_transport *t, char *why)
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

static bool run_early_receives(weft_transport *t, char *why)
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

static bool run_early_sends(weft_transport *t, char *why)
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

/* --- gather --- */

typedef struct gathering {
    unsigned char *own, *all;
    size_t counts[TRANSPORT_CASE_MEMBERS], total, offset;
    weft_request request;
} gathering;

static uint64_t part_key(int32_t group, int index, int32_t rank)
{
    return (uint64_t)((group * 100 + index) * 100 + rank);
}

static size_t part_size(int32_t group, int index, int32_t rank)
{
    return message_size(part_key(group, index, rank) + 1000000) / 4;
}

static weft_status start_gather(gathering *g, weft_transport *t, const weft_group *members, int32_t group, int index,
                                weft_error *error)
{
    g->total = g->offset = 0;
    size_t mine = 0;
    for (int32_t i = 0; i < members->count; i++) {
        g->counts[i] = part_size(group, index, members->members[i]);
        if (members->members[i] == t->rank) {
            g->offset = g->total;
            mine = g->counts[i];
        }
        g->total += g->counts[i];
    }
    g->all = calloc(g->total + 1, 1);
    g->own = malloc(mine + 1);
    if (!g->all || !g->own) FAIL(error, WEFT_NO_MEMORY, "no memory for the test");
    unsigned char *source = index % 2 ? g->own : g->all + g->offset; /* every other one in its final place */
    fill(source, mine, part_key(group, index, t->rank));
    return t->operations->gather(t, NULL, group, source, g->counts, g->all, &g->request, error);
}

static bool run_gather(weft_transport *t, char *why)
{
    enum { AHEAD = 6 };
    static const int32_t order[2][TRANSPORT_CASE_GROUPS] = {{0, 1, 2}, {2, 1, 0}};
    weft_error error;
    transport_case_groups groups;
    transport_case_groups_init(&groups, t->size);
    for (int round = 0; round < 2; round++) {
        gathering gathers[TRANSPORT_CASE_GROUPS][AHEAD] = {0};
        for (int i = 0; i < AHEAD; i++)
            for (int k = 0; k < TRANSPORT_CASE_GROUPS; k++) {
                int32_t group = order[round][k];
                gathers[group][i].request = -1;
                if (group == 1 && t->rank % 2) continue;
                if (group == 2 && t->rank != t->size - 1) continue;
                CHECK_OK(start_gather(&gathers[group][i], t, &groups.groups[group], group, round * AHEAD + i, &error),
                         &error);
            }
        for (int32_t group = 0; group < TRANSPORT_CASE_GROUPS; group++)
            for (int i = 0; i < AHEAD; i++) {
                gathering *g = &gathers[group][i];
                if (g->request < 0) continue;
                CHECK_OK(finish_one(t, g->request, &error), &error);
                size_t offset = 0;
                for (int32_t m = 0; m < groups.groups[group].count; m++) {
                    uint64_t key = part_key(group, round * AHEAD + i, groups.groups[group].members[m]);
                    CHECK(is_filled(g->all + offset, g->counts[m], key), "group %d, gather %d, member %d", group, i, m);
                    offset += g->counts[m];
                }
                free(g->all);
                free(g->own);
            }
    }
    return true;
}

/* --- barrier --- */

static bool run_barrier(weft_transport *t, char *why)
{
    for (int round = 0; round < 5; round++) {
        weft_error error;
        size_t counts[TRANSPORT_CASE_MEMBERS];
        int64_t own[2], all[2 * TRANSPORT_CASE_MEMBERS];
        weft_clock_sleep(0.004 * ((t->rank + round) % t->size));
        own[0] = weft_clock_nanoseconds();
        CHECK_OK(meet(t, &error), &error);
        own[1] = weft_clock_nanoseconds();
        for (int32_t i = 0; i < t->size; i++) counts[i] = sizeof own;
        weft_request request = -1;
        CHECK_OK(t->operations->gather(t, NULL, 0, own, counts, all, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
        for (int32_t i = 0; i < t->size; i++)
            CHECK(all[2 * i] <= own[1], "worker %d entered after worker %d had left", i, t->rank);
    }
    return true;
}

static bool run_barrier_timeout(weft_transport *t, char *why)
{
    if (t->size == 1) return true;
    weft_error error;
    char byte = 0;
    weft_request request = -1;
    for (int32_t i = 1; i < t->size && t->rank == 0; i++) {
        CHECK_OK(post_receive(t, i, 0, &byte, 1, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
    }
    if (t->rank > 0) {
        CHECK(t->operations->barrier(t, 0.05, &error) == WEFT_TIMEOUT, "worker 0 was not there");
        CHECK(strstr(error.text, "barrier"), "%s", error.text);
        CHECK_OK(post_send(t, 0, 0, &byte, 1, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
    }
    CHECK_OK(meet(t, &error), &error); /* a second try is allowed, and works */
    CHECK_OK(meet(t, &error), &error);
    return true;
}

/* --- errors --- */

static bool run_invalid(weft_transport *t, char *why)
{
    weft_error error;
    weft_request request = -1;
    bool done = false;
    char byte = 0;
    size_t counts[TRANSPORT_CASE_MEMBERS] = {0};
    CHECK(post_send(t, t->size, 0, &byte, 1, &request, &error) == WEFT_INVALID, "peer");
    CHECK(post_receive(t, -1, 0, &byte, 1, &request, &error) == WEFT_INVALID, "peer");
    CHECK(post_send(t, 0, -1, &byte, 1, &request, &error) == WEFT_INVALID, "tag");
    CHECK(post_receive(t, 0, 0, NULL, 1, &request, &error) == WEFT_INVALID, "buffer");
    CHECK(t->operations->test(t, 0, &done, &error) == WEFT_INVALID, "request");
    CHECK(t->operations->test(t, -1, &done, &error) == WEFT_INVALID, "request");
    CHECK(t->operations->test(t, 1 << 20, &done, &error) == WEFT_INVALID, "request");
    CHECK(t->operations->gather(t, NULL, TRANSPORT_CASE_GROUPS, &byte, counts, &byte, &request, &error) == WEFT_INVALID,
          "group");
    if (t->rank != t->size - 1)
        CHECK(t->operations->gather(t, NULL, 2, &byte, counts, &byte, &request, &error) == WEFT_INVALID,
              "not a member");
    return run_order(t, why);
}

/* Waits until the transport says that another worker stopped the run. */
static weft_status await_stop(weft_transport *t, weft_error *error)
{
    double begin = weft_clock_seconds();
    while (weft_clock_seconds() - begin < PATIENCE) TRY(t->operations->wait(t, 1.0, error));
    FAIL(error, WEFT_TIMEOUT, "no stop arrived");
}

static bool mismatch(weft_transport *t, size_t sent, size_t expected, char *why)
{
    weft_error error;
    if (t->size == 1 || t->rank > 1) return true;
    unsigned char *bytes = calloc(sent > expected ? sent : expected, 1);
    CHECK(bytes, "no memory for the test");
    weft_request request = -1;
    if (t->rank == 1) {
        CHECK_OK(post_send(t, 0, 3, bytes, sent, &request, &error), &error);
        weft_status status = finish_one(t, request, &error); /* no error here, but the stop may be quicker */
        if (status == WEFT_OK) status = await_stop(t, &error);
        CHECK(status == WEFT_STOPPED, "%s", error.text);
    } else {
        CHECK_OK(post_receive(t, 1, 3, bytes, expected, &request, &error), &error);
        CHECK(finish_one(t, request, &error) == WEFT_FAILED, "%zu sent, %zu expected", sent, expected);
        char number[32];
        snprintf(number, sizeof number, "%zu", expected);
        CHECK(strstr(error.text, "worker 1, tag 3") && strstr(error.text, number), "%s", error.text);
    }
    free(bytes);
    return true;
}

/* Each pair of sizes needs its own world: an error ends the run. */
static bool run_mismatch_end(weft_transport *t, size_t sent, size_t expected, char *why)
{
    weft_error error;
    if (!mismatch(t, sent, expected, why)) return false;
    if (t->rank == 0) t->operations->stop(t);
    if (t->rank > 1) CHECK(await_stop(t, &error) == WEFT_STOPPED, "%s", error.text);
    return true;
}

static bool run_too_long(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 200, 100, why);
}

static bool run_too_short(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 100, 200, why);
}

static bool run_much_too_long(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 220000, 130000, why);
}

static bool run_much_too_short(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 50000, 130000, why);
}

/* --- reports and stops --- */

static bool run_interrogate(weft_transport *t, char *why)
{
    weft_error error;
    weft_transport_report reports[TRANSPORT_CASE_MEMBERS];
    char text[400], byte = 0;
    weft_request requests[TRANSPORT_CASE_MEMBERS];
    snprintf(text, sizeof text, "worker %d is idle", t->rank);
    t->operations->publish(t, text);
    CHECK_OK(meet(t, &error), &error);
    if (t->rank == 0) {
        t->operations->interrogate(t, PATIENCE, reports);
        for (int32_t i = 0; i < t->size; i++) {
            snprintf(text, sizeof text, "worker %d is idle", i);
            CHECK(reports[i].answered, "worker %d does not answer", i);
            CHECK(strcmp(reports[i].text, text) == 0, "worker %d says %s", i, reports[i].text);
        }
        for (int32_t i = 1; i < t->size; i++) CHECK_OK(post_send(t, i, 0, &byte, 1, &requests[i - 1], &error), &error);
        CHECK_OK(finish(t, requests, t->size - 1, &error), &error);
    } else {
        CHECK_OK(post_receive(t, 0, 0, &byte, 1, requests, &error), &error);
        CHECK_OK(finish(t, requests, 1, &error), &error);
    }
    memset(text, 'x', sizeof text - 1); /* a text that is too long is cut */
    text[sizeof text - 1] = '\0';
    t->operations->publish(t, text);
    CHECK_OK(meet(t, &error), &error);
    t->operations->interrogate(t, PATIENCE, reports); /* everybody asks at once */
    for (int32_t i = 0; i < t->size; i++) {
        CHECK(reports[i].answered, "worker %d does not answer", i);
        CHECK(strlen(reports[i].text) == WEFT_TRANSPORT_REPORT - 1, "worker %d says %s", i, reports[i].text);
    }
    CHECK_OK(meet(t, &error), &error);
    return true;
}

static bool run_stop(weft_transport *t, char *why)
{
    weft_error error;
    bool done = true;
    char byte = 0;
    weft_request request = -1;
    if (t->size == 1) return true;
    int32_t last = t->size - 1;
    CHECK_OK(meet(t, &error), &error);
    if (t->rank == last) {
        t->operations->publish(t, "lost its mind");
        weft_clock_sleep(0.05);
        t->operations->stop(t);
        CHECK_OK(t->operations->progress(t, &error), &error);
        return true;
    }
    CHECK_OK(post_receive(t, last, 0, &byte, 1, &request, &error), &error);
    double begin = weft_clock_seconds();
    CHECK(t->operations->wait(t, PATIENCE, &error) == WEFT_STOPPED, "%s", error.text);
    CHECK(weft_clock_seconds() - begin < PATIENCE / 2, "the waiter slept on");
    char expected[64];
    snprintf(expected, sizeof expected, "worker %d stopped", last);
    CHECK(strstr(error.text, expected) && strstr(error.text, "lost its mind"), "%s", error.text);
    CHECK(t->operations->test(t, request, &done, &error) == WEFT_STOPPED && !done, "test");
    CHECK(t->operations->progress(t, &error) == WEFT_STOPPED, "progress");
    CHECK(t->operations->barrier(t, PATIENCE, &error) == WEFT_STOPPED, "barrier");
    return true;
}

static bool run_stop_in_barrier(weft_transport *t, char *why)
{
    weft_error error;
    if (t->size == 1) return true;
    CHECK_OK(meet(t, &error), &error);
    if (t->rank == 0) {
        weft_clock_sleep(0.05);
        t->operations->stop(t);
        return true;
    }
    CHECK(t->operations->barrier(t, PATIENCE, &error) == WEFT_STOPPED, "%s", error.text);
    return true;
}

/* --- waiting --- */

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool run_idle(weft_transport *t, char *why)
{
    weft_error error;
    char in = 0, out = 0;
    weft_request request = -1;
    int32_t from = (t->rank + t->size - 1) % t->size, to = (t->rank + 1) % t->size;
    CHECK_OK(post_receive(t, from, 0, &in, 1, &request, &error), &error);
    CHECK_OK(meet(t, &error), &error);
    CHECK_OK(t->operations->wait(t, 0, &error), &error); /* takes what was left to be noticed */
    double begin = weft_clock_seconds(), used = processor_seconds();
    CHECK_OK(t->operations->wait(t, 0.5, &error), &error);
    double wall = weft_clock_seconds() - begin;
    used = processor_seconds() - used;
    CHECK(wall >= 0.45, "wait came back after %.3f s though nothing had moved", wall);
    CHECK(wall < PATIENCE / 2, "wait overslept: %.3f s", wall);
    CHECK(used < 0.3 * wall, "%.3f s of processor time in %.3f s of waiting", used, wall);
    CHECK_OK(meet(t, &error), &error);
    weft_request send = -1;
    CHECK_OK(post_send(t, to, 0, &out, 1, &send, &error), &error);
    CHECK_OK(finish_one(t, request, &error), &error);
    CHECK_OK(finish_one(t, send, &error), &error);
    return true;
}

/* What completes while another request is tested must not be slept over. */
static bool run_no_lost_wake(weft_transport *t, char *why)
{
    weft_error error;
    char in[2] = {0}, out[2] = {0};
    weft_request receives[2], sends[2];
    int32_t from = (t->rank + t->size - 1) % t->size, to = (t->rank + 1) % t->size;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2; i++) CHECK_OK(post_receive(t, from, i, &in[i], 1, &receives[i], &error), &error);
        CHECK_OK(post_send(t, to, 1, &out[1], 1, &sends[1], &error), &error);
        CHECK_OK(meet(t, &error), &error);
        bool done = false;
        CHECK_OK(t->operations->test(t, receives[0], &done, &error), &error);
        CHECK(!done, "nothing was sent on this tag");
        double begin = weft_clock_seconds();
        CHECK_OK(t->operations->wait(t, PATIENCE, &error), &error);
        CHECK(weft_clock_seconds() - begin < PATIENCE / 2, "wait slept over a message");
        CHECK_OK(meet(t, &error), &error); /* everybody has looked before anything comes on this tag */
        CHECK_OK(post_send(t, to, 0, &out[0], 1, &sends[0], &error), &error);
        CHECK_OK(finish(t, receives, 2, &error), &error);
        CHECK_OK(finish(t, sends, 2, &error), &error);
    }
    return true;
}

const transport_case transport_cases[] = {
    {"storm", run_storm},
    {"order per tag", run_order},
    {"receives before sends", run_early_receives},
    {"sends before receives", run_early_sends},
    {"gather", run_gather},
    {"barrier", run_barrier},
    {"barrier timeout", run_barrier_timeout},
    {"invalid arguments", run_invalid},
    {"message too long", run_too_long},
    {"message too short", run_too_short},
    {"message much too long", run_much_too_long},
    {"message much too short", run_much_too_short},
    {"interrogate", run_interrogate},
    {"stop", run_stop},
    {"stop in barrier", run_stop_in_barrier},
    {"idle", run_idle},
    {"no lost wake", run_no_lost_wake},
};
const int transport_case_count = (int)(sizeof transport_cases / sizeof transport_cases[0]);
