#include "sum_lane.h"
#include "transport_cases.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 6, MOST_DEVICES = 4 };

static transport_case_setting setting; /* all 0: the local transport itself */

/* The linker puts these in front of the library's allocator (see meson.build). */
weft_status __real_weft_allocate(size_t count, size_t size, void *out_pointer, weft_error *error);
weft_status __wrap_weft_allocate(size_t count, size_t size, void *out_pointer, weft_error *error);
weft_status __real_weft_grow(void *pointer, size_t *capacity, size_t need, size_t size, weft_error *error);
weft_status __wrap_weft_grow(void *pointer, size_t *capacity, size_t need, size_t size, weft_error *error);

static atomic_int allocations, allowed; /* allowed < 0: as many as wanted */

weft_status __wrap_weft_allocate(size_t count, size_t size, void *out_pointer, weft_error *error)
{
    void *none = NULL;
    memcpy(out_pointer, &none, sizeof none);
    if (atomic_load(&allowed) >= 0 && atomic_load(&allocations) >= atomic_load(&allowed))
        return weft_fail(error, WEFT_NO_MEMORY, "the test allows no more");
    atomic_fetch_add(&allocations, 1);
    return __real_weft_allocate(count, size, out_pointer, error);
}

weft_status __wrap_weft_grow(void *pointer, size_t *capacity, size_t need, size_t size, weft_error *error)
{
    if (need > *capacity) {
        if (atomic_load(&allowed) >= 0 && atomic_load(&allocations) >= atomic_load(&allowed))
            return weft_fail(error, WEFT_NO_MEMORY, "the test allows no more");
        atomic_fetch_add(&allocations, 1);
    }
    return __real_weft_grow(pointer, capacity, need, size, error);
}

typedef struct worker {
    weft_local_hub *hub;
    transport_case one;
    int32_t rank;
    char why[TRANSPORT_CASE_TEXT];
} worker;

static void *work(void *pointer)
{
    worker *w = pointer;
    weft_error error;
    weft_transport *transport = NULL;
    transport_case_site site;
    if (weft_local_transport_create(w->hub, w->rank, &transport, &error) != WEFT_OK) {
        snprintf(w->why, sizeof w->why, "%s", error.text);
        return NULL;
    }
    if (transport_case_site_init(&site, transport, &setting, &error) != WEFT_OK)
        snprintf(w->why, sizeof w->why, "%s", error.text);
    else if (!w->one.run(site.transport, w->why))
        fprintf(stderr, "worker %d: %s\n", w->rank, w->why);
    transport_case_site_leave(&site);
    if (w->one.after) w->one.after(w->rank);
    transport_case_site_fini(&site);
    return NULL;
}

static void run_workers(int32_t size, transport_case one)
{
    weft_error error;
    weft_local_hub *hub = NULL;
    transport_case_groups groups;
    transport_case_groups_init(&groups, size);
    assert_int_equal(weft_local_hub_create(size, groups.groups, TRANSPORT_CASE_GROUPS, &hub, &error), WEFT_OK);
    pthread_t threads[MOST];
    static worker workers[MOST];
    for (int32_t i = 0; i < size; i++) {
        workers[i] = (worker){.hub = hub, .one = one, .rank = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int32_t i = 0; i < size; i++) pthread_join(threads[i], NULL);
    weft_local_hub_destroy(hub);
    for (int32_t i = 0; i < size; i++) assert_string_equal(workers[i].why, "");
}

static void test_cases(void **state)
{
    const transport_case *one = *state;
    int32_t most = setting.piece > 0 ? MOST_DEVICES : MOST;
    for (int32_t size = 1; size <= most; size++) run_workers(size, *one);
}

/* One step of a ring: a message to the right, one from the left, a gather and a sum of everybody. */
static bool ring_step(weft_transport *t, sum_lane *lane, char *why)
{
    weft_error error;
    unsigned char in[64] = {0}, out[64] = {0}, all[64 * MOST] = {0};
    size_t counts[MOST];
    weft_request requests[3];
    const weft_transport_operations *o = t->operations;
    for (int i = 0; i < MOST; i++) counts[i] = 64;
    weft_status status = o->receive(t, NULL, (t->rank + t->size - 1) % t->size, 0, in, 64, &requests[0], &error);
    if (status == WEFT_OK) status = o->send(t, NULL, (t->rank + 1) % t->size, 0, out, 64, &requests[1], &error);
    if (status == WEFT_OK) status = o->gather(t, NULL, 0, out, counts, all, &requests[2], &error);
    for (int i = 0; i < 3 && status == WEFT_OK; i++)
        for (bool done = false; status == WEFT_OK && !done;) {
            status = o->test(t, requests[i], &done, &error);
            if (status == WEFT_OK && !done) status = o->wait(t, 1, &error);
        }
    if (status == WEFT_OK) status = weft_reducer_all(lane->reducer, lane->values, lane->total, &error);
    if (status == WEFT_OK) status = sum_finish(lane, &error);
    if (status == WEFT_OK) status = o->barrier(t, 60, &error);
    if (status != WEFT_OK) snprintf(why, TRANSPORT_CASE_TEXT, "%s", error.text);
    return status == WEFT_OK;
}

static bool ring_steps(weft_transport *t, sum_lane *lane, char *why)
{
    for (int step = 0; step < 3; step++)
        if (!ring_step(t, lane, why)) return false;
    int before = atomic_load(&allocations);
    for (int step = 0; step < 200; step++)
        if (!ring_step(t, lane, why)) return false;
    if (atomic_load(&allocations) == before) return true;
    snprintf(why, TRANSPORT_CASE_TEXT, "%d allocations in the steady state", atomic_load(&allocations) - before);
    return false;
}

static bool ring_without_allocation(weft_transport *t, char *why)
{
    weft_error error;
    sum_lane lane;
    transport_case_groups groups;
    transport_case_groups_init(&groups, t->size);
    weft_status status = sum_open(&lane, t, &groups.groups[3], 3, WEFT_FP32, 100, &error);
    for (int32_t i = 0; i < t->size; i++) lane.counts[i] = 500;
    if (status == WEFT_OK) status = sum_begin(&lane, SUM_ALL, 1, &error);
    if (status == WEFT_OK) status = sum_finish(&lane, &error);
    if (status != WEFT_OK) snprintf(why, TRANSPORT_CASE_TEXT, "%s", error.text);
    bool right = status == WEFT_OK && ring_steps(t, &lane, why);
    sum_close(&lane);
    return right;
}

static void test_steady_state(void **state)
{
    (void)state;
    run_workers(4, (transport_case){.run = ring_without_allocation});
}

/* Every allocation fails once: a clear error each time, nothing leaked (the sanitizer build looks), then it works. */
static void test_no_memory(void **state)
{
    (void)state;
    bool worked = false;
    for (int n = 0; n < 50 && !worked; n++) {
        weft_error error;
        weft_local_hub *hub = NULL;
        weft_transport *transport = NULL;
        transport_case_groups groups;
        transport_case_groups_init(&groups, 1);
        char byte = 0;
        float number = 0;
        weft_request request = -1;
        atomic_store(&allocations, 0);
        atomic_store(&allowed, n);
        weft_status status = weft_local_hub_create(1, groups.groups, TRANSPORT_CASE_GROUPS, &hub, &error);
        if (status == WEFT_OK) status = weft_local_transport_create(hub, 0, &transport, &error);
        if (status == WEFT_OK) status = transport->operations->send(transport, NULL, 0, 0, &byte, 1, &request, &error);
        weft_reducer *reducer = NULL;
        weft_reducer_options options = {
            .transport = transport, .group = 3, .members = groups.groups[3], .chunk = 1, .workspace = &number};
        if (status == WEFT_OK) status = weft_reducer_create(&options, &reducer, &error);
        weft_reducer_destroy(reducer);
        worked = status == WEFT_OK;
        assert_true(worked || status == WEFT_NO_MEMORY);
        if (transport) transport->operations->destroy(transport);
        weft_local_hub_destroy(hub);
    }
    atomic_store(&allowed, -1);
    assert_true(worked);
}

static bool leave_early(weft_transport *t, char *why)
{
    (void)why;
    static unsigned char bytes[MOST][MOST][2][1 << 16]; /* (rank, peer, direction) */
    weft_error error;
    weft_request request;
    const void *where[MOST];
    bool done;
    for (int32_t i = 0; i < t->size; i++) {
        if (t->operations->borrow(t, i, 1, 1 << 16, &where[i], &request, &error) != WEFT_OK) return false;
        if (t->operations->send(t, NULL, i, 1, bytes[t->rank][i][1], 1 << 16, &request, &error) != WEFT_OK)
            return false;
        if (t->operations->test(t, request, &done, &error) != WEFT_OK) return false;
        if (t->operations->receive(t, NULL, i, 0, bytes[t->rank][i][0], 1 << 16, &request, &error) != WEFT_OK)
            return false;
        if (t->operations->send(t, NULL, i, 0, bytes[t->rank][i][1], 1 << 16, &request, &error) != WEFT_OK)
            return false;
    }
    return true;
}

/* Destroying an endpoint with requests under way takes them back: peers neither crash nor write to its buffers. */
static void test_destroy_while_busy(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) run_workers(4, (transport_case){.run = leave_early});
}

static atomic_bool lent, returned; /* worker 1 holds worker 0's bytes; and not any more */

/* Worker 0 stops the run and leaves while worker 1 reads its memory. */
static bool leave_while_lending(weft_transport *t, char *why)
{
    static unsigned char bytes[100];
    const weft_transport_operations *o = t->operations;
    weft_error error;
    weft_request request = -1;
    const void *where = NULL;
    weft_status status = t->rank == 0 ? post_send(t, 1, 0, bytes, sizeof bytes, &request, &error)
                                      : o->borrow(t, 0, 0, sizeof bytes, &where, &request, &error);
    if (status == WEFT_OK && t->rank == 1) status = finish_one(t, request, &error);
    if (t->rank == 1) atomic_store(&lent, true);
    while (!atomic_load(&lent)) weft_clock_sleep(0.001);
    if (t->rank == 0) o->stop(t);
    if (t->rank == 1) {
        status = await_stop(t, &error);
        weft_clock_sleep(0.05); /* it still reads */
        atomic_store(&returned, true);
    }
    if (status == (t->rank == 0 ? WEFT_OK : WEFT_STOPPED)) return true;
    snprintf(why, TRANSPORT_CASE_TEXT, "%s", error.text);
    return false;
}

static void look_returned(int32_t rank)
{
    if (rank == 0 && !atomic_load(&returned)) atomic_store(&lent, false);
}

/* Destroying an endpoint waits for those who have borrowed from it, who may end without a release. */
static void test_destroy_while_lending(void **state)
{
    (void)state;
    atomic_store(&lent, false);
    atomic_store(&returned, false);
    run_workers(2, (transport_case){.run = leave_while_lending, .after = look_returned});
    assert_true(atomic_load(&returned));
    assert_true(atomic_load(&lent)); /* else worker 0 was gone too early */
}

static bool wait_for_hub_stop(weft_transport *t, char *why)
{
    weft_error error;
    weft_status status = t->operations->wait(t, 60, &error);
    while (status == WEFT_OK) status = t->operations->wait(t, 60, &error);
    if (status == WEFT_STOPPED && strstr(error.text, "not every worker could start") &&
        t->operations->barrier(t, 60, &error) == WEFT_STOPPED)
        return true;
    snprintf(why, TRANSPORT_CASE_TEXT, "%s", error.text);
    return false;
}

static void test_hub_stop(void **state)
{
    (void)state;
    weft_error error;
    weft_local_hub *hub = NULL;
    static worker waiter;
    pthread_t thread;
    assert_int_equal(weft_local_hub_create(2, NULL, 0, &hub, &error), WEFT_OK);
    waiter = (worker){.hub = hub, .one = {.run = wait_for_hub_stop}, .rank = 0};
    assert_int_equal(pthread_create(&thread, NULL, work, &waiter), 0);
    weft_local_hub_stop(hub);
    pthread_join(thread, NULL);
    weft_local_hub_destroy(hub);
    assert_string_equal(waiter.why, "");
}

static void test_bad_worlds(void **state)
{
    (void)state;
    static const int32_t members[][3] = {{0, 2, 1}, {0, 1, 4}, {-1, 0, 1}, {0, 0, 1}};
    weft_error error;
    weft_local_hub *hub = NULL;
    assert_int_equal(weft_local_hub_create(0, NULL, 0, &hub, &error), WEFT_INVALID);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        assert_int_equal(weft_local_hub_create(4, &(weft_group){members[i], 3}, 1, &hub, &error), WEFT_INVALID);
    assert_int_equal(weft_local_hub_create(4, &(weft_group){members[0], 0}, 1, &hub, &error), WEFT_INVALID);
    assert_null(hub);
    weft_transport *first = NULL, *second = NULL;
    assert_int_equal(weft_local_hub_create(2, NULL, 0, &hub, &error), WEFT_OK);
    assert_int_equal(weft_local_transport_create(hub, 2, &first, &error), WEFT_INVALID);
    assert_int_equal(weft_local_transport_create(hub, 0, &first, &error), WEFT_OK);
    assert_int_equal(weft_local_transport_create(hub, 0, &second, &error), WEFT_INVALID);
    weft_transport_report reports[2];
    first->operations->interrogate(first, 1, reports);
    assert_true(reports[0].answered);
    assert_false(reports[1].answered);
    const weft_transport_operations *operations = first->operations;
    operations->destroy(first);
    operations->destroy(NULL);
    weft_local_hub_destroy(hub);
}

/* With arguments the cases alone: seconds of the longest delay, bytes of staging between devices (transport_cases.h).
 */
int main(int argc, char **argv)
{
    atomic_store(&allowed, -1);
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(test_steady_state),          cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_destroy_while_busy),    cmocka_unit_test(test_hub_stop),
        cmocka_unit_test(test_destroy_while_lending), cmocka_unit_test(test_bad_worlds),
    };
    enum { OWN = sizeof own / sizeof own[0], ROOM = 64 };
    struct CMUnitTest tests[ROOM] = {0};
    size_t count = argc > 1 ? 0 : OWN;
    if (argc > 1) setting.longest = strtod(argv[1], NULL);
    if (argc > 2) setting.piece = strtoul(argv[2], NULL, 10);
    if (OWN + transport_case_count > ROOM) return 1;
    memcpy(tests, own, count * sizeof *own);
    for (int i = 0; i < transport_case_count; i++) {
        if (argc > 1 && transport_cases[i].at_once) continue;
        tests[count++] = (struct CMUnitTest){.name = transport_cases[i].name,
                                             .test_func = test_cases,
                                             .initial_state = (void *)(uintptr_t)&transport_cases[i]};
    }
    return _cmocka_run_group_tests(argc > 1 ? "transport local with more" : "transport local", tests, count, NULL,
                                   NULL);
}
