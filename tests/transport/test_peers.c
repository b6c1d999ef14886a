/*
 * Workers whose devices reach each other's memory: what they pass to each other is ordered by streams alone. They share
 * one that is late, or are on all devices of a kind in turn. Usage: test_peers [KIND].
 */
#include "on_device.h"
#include "peers.h"
#include "shared_device.h"
#include "sum_lane.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 4, COUNT = 1000, ROUNDS = 20 };

typedef struct world {
    bool ordered, leaves; /* leaves: as soon as it has run, whatever the others do */
    bool (*run)(weft_transport *transport, char *why);
    weft_local_hub *hub;
    peers_hub *peers;
    shared_device *device;
    transport_case_groups groups;
    pthread_barrier_t end; /* what one lends stays until all are done with it */
} world;

typedef struct worker {
    world *world;
    int32_t rank;
    char why[TRANSPORT_CASE_TEXT];
} worker;

static const weft_device_kind *several; /* NULL: one is shared */

static weft_status open_device(const worker *w, weft_device **out, weft_error *error)
{
    if (!several) return shared_device_open(w->world->device, out, error);
    weft_device_options options = {
        .element = WEFT_BF16, .threads = 1, .index = weft_device_index(several, -1, w->rank)};
    return several->create(&options, out, error);
}

/* The local transport itself, to which cases of host memory come through on_device; an ordered endpoint is the case's
 * own. */
static weft_status set_up(const worker *w, transport_case_site *site, weft_error *error)
{
    static const transport_case_setting plain;
    weft_transport *local = NULL, *over = NULL;
    const world *all = w->world;
    TRY(weft_local_transport_create(all->hub, w->rank, &local, error));
    over = local;
    if (all->ordered) TRY(peers_create(all->peers, local, &over, error));
    TRY(transport_case_site_init(site, over, &plain, error));
    TRY(open_device(w, &site->device, error));
    if (!all->ordered) {
        TRY(on_device_create(over, all->groups.groups, site->device, &site->transport, error));
        site->stream = on_device_stream(site->transport);
        return WEFT_OK;
    }
    TRY(over->operations->attach(over, site->device, error));
    return site->device->operations->stream_create(site->device, WEFT_STREAM_COMPUTE, &site->stream, error);
}

static void *memory[MOST][2]; /* a worker's own, released when it has left */

static void *work(void *pointer)
{
    worker *w = pointer;
    weft_error error;
    transport_case_site site = {0};
    if (set_up(w, &site, &error) != WEFT_OK)
        snprintf(w->why, sizeof w->why, "%s", error.text);
    else if (!w->world->run(site.transport, w->why))
        fprintf(stderr, "worker %d: %s\n", w->rank, w->why);
    if (w->why[0] != '\0') exit(1); /* the others wait */
    if (!w->world->leaves) pthread_barrier_wait(&w->world->end);
    if (w->world->ordered) site.device->operations->stream_destroy(site.device, site.stream);
    transport_case_site_leave(&site);
    for (int i = 0; i < 2; i++) site.device->operations->release(site.device, memory[w->rank][i]);
    memory[w->rank][0] = memory[w->rank][1] = NULL;
    transport_case_site_fini(&site);
    return NULL;
}

static void run_world(int32_t size, world all)
{
    weft_error error;
    worker workers[MOST];
    pthread_t threads[MOST];
    transport_case_groups_init(&all.groups, size);
    assert_int_equal(weft_local_hub_create(size, all.groups.groups, TRANSPORT_CASE_GROUPS, &all.hub, &error), WEFT_OK);
    assert_int_equal(peers_hub_create(all.groups.groups, TRANSPORT_CASE_GROUPS, &all.peers, &error), WEFT_OK);
    if (!several) assert_int_equal(shared_device_create(WEFT_BF16, &all.device, &error), WEFT_OK);
    pthread_barrier_init(&all.end, NULL, (unsigned)size);
    for (int32_t i = 0; i < size; i++) {
        workers[i] = (worker){.world = &all, .rank = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int32_t i = 0; i < size; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all.end);
    shared_device_destroy(all.device);
    peers_hub_destroy(all.peers);
    weft_local_hub_destroy(all.hub);
}

static void test_local(void **state)
{
    (void)state;
    static bool (*const cases[])(weft_transport * t, char *why) = {
        case_storm, case_order,     case_early_receives, case_early_sends, case_gather, case_group_message,
        case_sums,  case_sums_bf16, case_many_sums,      case_sum_awaited, case_barrier};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int32_t size = 1; size <= MOST; size++) run_world(size, (world){.run = cases[i]});
}

/* A chain of exchanges as passes have them, given to the stream without a look: x = sum over workers of x + rank, by
 * halves that are gathered; the host waits once, at the end. */
static bool run_chain(weft_transport *t, char *why)
{
    weft_error error;
    const transport_case_site *site = transport_case_site_of(t);
    const weft_device_operations *o = site->device->operations;
    sum_lane lane;
    size_t counts[MOST], bytes[MOST];
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    CHECK_OK(sum_open(&lane, t, &site->groups.groups[3], 3, WEFT_FP32, 300, &error), &error);
    for (int32_t i = 0; i < t->size; i++) lane.counts[i] = counts[i] = COUNT;
    for (int32_t i = 0; i < t->size; i++) bytes[i] = COUNT * sizeof(float);
    CHECK_OK(sum_begin(&lane, SUM_SCATTER, 1, &error), &error);
    size_t total = (size_t)t->size * COUNT;
    float *values = calloc(total, sizeof *values), expected = 1;
    CHECK(values, "no memory for the test");
    CHECK_OK(weft_reducer_poll(lane.reducer, &state, &error), &error);
    CHECK(state == WEFT_REDUCER_DONE, "an ordered sum is done when it was given");
    CHECK_OK(o->stream_wait(site->device, site->stream, &error), &error);
    for (size_t i = 0; i < total; i++) ((float *)lane.begun)[i] = 1;
    o->copy_in(site->device, site->stream, lane.values, lane.begun, total * sizeof(float));
    for (int round = 0; round < ROUNDS; round++) {
        weft_request gather = -1;
        bool done = false;
        CHECK_OK(weft_reducer_scatter(lane.reducer, lane.values, counts, lane.out, &error), &error);
        CHECK_OK(t->operations->gather(t, site->stream, 0, lane.out, bytes, lane.values, &gather, &error), &error);
        CHECK_OK(t->operations->test(t, gather, &done, &error), &error);
        CHECK(done, "an ordered gather has no place");
        expected *= (float)t->size;
        if (round % 8 < 4) continue; /* it would become inexact */
        o->copy_in(site->device, site->stream, lane.values, lane.begun, total * sizeof(float));
        expected = 1;
    }
    CHECK_OK(o->stream_wait(site->device, site->stream, &error), &error);
    CHECK_OK(o->read(site->device, values, lane.values, total * sizeof(float), &error), &error);
    for (size_t i = 0; i < total; i++)
        CHECK(values[i] == expected, "element %zu is %g, not %g", i, values[i], expected);
    free(values);
    sum_close(&lane);
    return true;
}

/* Both neighbours in one batch: neither waits for the other's call. */
static bool run_ring(weft_transport *t, char *why)
{
    weft_error error;
    const transport_case_site *site = transport_case_site_of(t);
    const weft_device_operations *o = site->device->operations;
    int32_t to = (t->rank + 1) % t->size, from = (t->rank + t->size - 1) % t->size;
    void *out = NULL, *in = NULL, *pinned = NULL;
    int32_t found[COUNT];
    CHECK_OK(o->allocate(site->device, WEFT_MEMORY_DEVICE, sizeof found, &out, &error), &error);
    CHECK_OK(o->allocate(site->device, WEFT_MEMORY_DEVICE, sizeof found, &in, &error), &error);
    CHECK_OK(o->allocate(site->device, WEFT_MEMORY_PINNED, sizeof found, &pinned, &error), &error);
    for (int i = 0; i < COUNT; i++) ((int32_t *)pinned)[i] = t->rank;
    o->copy_in(site->device, site->stream, out, pinned, sizeof found);
    for (int round = 0; round < t->size; round++) { /* every round takes it a worker further */
        weft_request requests[2];
        t->operations->batch_begin(t);
        CHECK_OK(t->operations->send(t, site->stream, to, 0, out, sizeof found, &requests[0], &error), &error);
        CHECK_OK(t->operations->receive(t, site->stream, from, 0, in, sizeof found, &requests[1], &error), &error);
        CHECK_OK(t->operations->batch_end(t, &error), &error);
        CHECK_OK(finish(t, requests, 2, &error), &error);
        o->copy(site->device, site->stream, out, in, sizeof found);
    }
    CHECK_OK(o->stream_wait(site->device, site->stream, &error), &error);
    CHECK_OK(o->read(site->device, found, out, sizeof found, &error), &error);
    for (int i = 0; i < COUNT; i++) CHECK(found[i] == t->rank, "%d has come round, not %d", found[i], t->rank);
    return true;
}

static int away; /* rounds */

/* Everything is under way, some of it is done, and each worker goes, every second one a little later. */
static bool run_away(weft_transport *t, char *why)
{
    weft_error error;
    enum { MOST_REQUESTS = 2 * MOST + 1 };
    const weft_device_operations *o = transport_case_site_of(t)->device->operations;
    weft_device *device = transport_case_site_of(t)->device;
    weft_transport *local = on_device_inner(t);
    weft_stream *stream = on_device_stream(t);
    weft_request requests[MOST_REQUESTS];
    size_t counts[MOST];
    int count = 0;
    for (int i = 0; i < 2; i++)
        CHECK_OK(o->allocate(device, WEFT_MEMORY_DEVICE, COUNT * MOST, &memory[t->rank][i], &error), &error);
    char *from = memory[t->rank][0], *to = memory[t->rank][1];
    for (int32_t i = 0; i < t->size; i++) counts[i] = COUNT;
    o->zero(device, stream, from, COUNT);
    for (int32_t i = 0; i < t->size; i++) {
        CHECK_OK(local->operations->receive(local, stream, i, 1, to, COUNT, &requests[count++], &error), &error);
        CHECK_OK(local->operations->send(local, stream, i, 1, from, COUNT, &requests[count++], &error), &error);
    }
    CHECK_OK(local->operations->gather(local, stream, 0, from, counts, to, &requests[count++], &error), &error);
    for (int looks = 0; looks < 5 + 7 * t->rank; looks++) {
        int i = looks % count;
        bool done = false;
        if (requests[i] < 0) continue;
        weft_status status = local->operations->test(local, requests[i], &done, &error);
        CHECK_OK(status, &error);
        if (done) requests[i] = -1;
    }
    if ((t->rank + away) % 2 == 0) weft_clock_sleep(0.002);
    return true;
}

static void test_run_away(void **state)
{
    (void)state;
    for (away = 0; away < 50; away++)
        for (int32_t size = 1; size <= MOST; size++) run_world(size, (world){.leaves = true, .run = run_away});
}

static void count_calls(void *context)
{
    ++*(int *)context;
}

/* Whoever drives the endpoint between operations of the device is not called inside a call of the endpoint, which may
 * be halfway. */
static bool run_hooked(weft_transport *t, char *why)
{
    weft_error error;
    weft_device *device = transport_case_site_of(t)->device;
    weft_transport *local = on_device_inner(t);
    const weft_transport_operations *o = local->operations;
    weft_stream *stream = on_device_stream(t);
    int calls = 0, next = (t->rank + 1) % t->size, last = (t->rank + t->size - 1) % t->size;
    size_t counts[MOST];
    weft_request requests[3];
    for (int i = 0; i < 2; i++)
        CHECK_OK(device->operations->allocate(device, WEFT_MEMORY_DEVICE, COUNT * MOST, &memory[t->rank][i], &error),
                 &error);
    for (int32_t i = 0; i < t->size; i++) counts[i] = COUNT;
    device->operations->zero(device, stream, memory[t->rank][0], COUNT * MOST);
    device->between = count_calls;
    device->between_context = &calls;
    char *from = memory[t->rank][0], *to = memory[t->rank][1];
    CHECK_OK(o->gather(local, stream, 0, from, counts, to, &requests[0], &error), &error);
    CHECK_OK(o->receive(local, stream, last, 1, from + COUNT, COUNT, &requests[1], &error), &error);
    CHECK_OK(o->send(local, stream, next, 1, from, COUNT, &requests[2], &error), &error);
    CHECK_OK(finish(local, requests, 3, &error), &error);
    CHECK(calls == 0, "%d calls between operations", calls);
    device->operations->copy(device, stream, from, to, COUNT);
    CHECK(calls == 1, "%d calls behind an operation", calls);
    device->between = NULL;
    return true;
}

static void test_hooked(void **state)
{
    (void)state;
    for (int32_t size = 1; size <= MOST; size++) run_world(size, (world){.run = run_hooked});
}

static void test_ordered(void **state)
{
    (void)state;
    static bool (*const cases[])(weft_transport * t, char *why) = {case_sums, case_sums_bf16, run_chain, run_ring};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int32_t size = 1; size <= MOST; size++) run_world(size, (world){.ordered = true, .run = cases[i]});
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_local), cmocka_unit_test(test_run_away),
                                       cmocka_unit_test(test_ordered)};
    const struct CMUnitTest own[] = {cmocka_unit_test(test_hooked), cmocka_unit_test(test_local),
                                     cmocka_unit_test(test_run_away)};
    several = argc > 1 ? weft_device_kind_find(argv[1]) : NULL;
    if (argc > 1 && !several) return 2;
    if (several) return cmocka_run_group_tests_name("transport peers, several", own, NULL, NULL);
    return cmocka_run_group_tests_name("transport peers", tests, NULL, NULL);
}
