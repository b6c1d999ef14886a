/* The staged transport's own: what it refuses, what it makes when, and how it ends. The shared cases run over it too
 * (test_local.c, test_mpi.c). */
#include "deferred.h"
#include "transport_cases.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LANES = 3, PIECE = 4096, SEEDS = 20 };

/* A worker of a world of two, driven by the test's own thread. */
typedef struct end {
    weft_transport *t;
    weft_device *device;
    weft_stream *stream;
    char *memory, *pinned; /* PIECE x 64 bytes */
} end;

typedef struct pair {
    weft_local_hub *hub;
    end ends[2];
} pair;

static const int32_t both[] = {0, 1};
static const weft_group group = {both, 2};

static void *take(weft_device *device, weft_memory_kind kind)
{
    void *memory = NULL;
    assert_int_equal(device->operations->allocate(device, kind, PIECE * 64, &memory, NULL), WEFT_OK);
    return memory;
}

static weft_transport *stage(weft_local_hub *hub, int32_t rank)
{
    weft_transport *local = NULL, *staged = NULL;
    weft_staged_options options = {.groups = &group, .group_count = 1, .lanes = LANES, .piece = PIECE};
    assert_int_equal(weft_local_transport_create(hub, rank, &local, NULL), WEFT_OK);
    assert_int_equal(weft_staged_transport_create(local, &options, &staged, NULL), WEFT_OK);
    return staged;
}

static void start(pair *p)
{
    const weft_device_kind *kind = weft_device_kind_find("deferred");
    assert_int_equal(weft_local_hub_create(2, &group, 1, &p->hub, NULL), WEFT_OK);
    for (int32_t i = 0; i < 2; i++) {
        end *e = &p->ends[i];
        weft_device_options options = {.element = WEFT_FP32, .threads = 1, .index = i};
        assert_int_equal(kind->create(&options, &e->device, NULL), WEFT_OK);
        assert_int_equal(e->device->operations->stream_create(e->device, WEFT_STREAM_TRANSFER, &e->stream, NULL),
                         WEFT_OK);
        e->t = stage(p->hub, i);
        assert_int_equal(e->t->operations->attach(e->t, e->device, NULL), WEFT_OK);
        e->memory = take(e->device, WEFT_MEMORY_DEVICE);
        e->pinned = take(e->device, WEFT_MEMORY_PINNED);
    }
}

static void leave(end *e)
{
    if (!e->t) return;
    e->t->operations->destroy(e->t);
    e->device->operations->stream_destroy(e->device, e->stream);
    e->device->operations->destroy(e->device);
    e->t = NULL;
}

static void finish_pair(pair *p)
{
    leave(&p->ends[0]);
    leave(&p->ends[1]);
    weft_local_hub_destroy(p->hub);
}

static void seed(int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    assert_int_equal(setenv("WEFT_DEFERRED_SEED", text, 1), 0);
}

static weft_request post(end *e, bool sends, int32_t peer, int32_t tag, size_t count)
{
    weft_request request = -1;
    weft_status status = sends
                             ? e->t->operations->send(e->t, e->stream, peer, tag, e->memory, count, &request, NULL)
                             : e->t->operations->receive(e->t, e->stream, peer, tag, e->memory, count, &request, NULL);
    assert_int_equal(status, WEFT_OK);
    return request;
}

/* Both sides look in turn until both are done. */
static void settle(pair *p, weft_request a, weft_request b)
{
    weft_error error;
    double begin = weft_clock_seconds();
    for (weft_request requests[2] = {a, b}; requests[0] >= 0 || requests[1] >= 0;)
        for (int i = 0; i < 2; i++) {
            bool done = false;
            weft_transport *t = p->ends[i].t;
            if (requests[i] < 0) continue;
            assert_int_equal(t->operations->test(t, requests[i], &done, &error), WEFT_OK);
            if (done) requests[i] = -1;
            assert_true(weft_clock_seconds() - begin < PATIENCE);
        }
}

/* Done means a place on the stream: what is given to it then is behind, and what lies in between is the device's. */
static void test_place(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, PIECE / 2, PIECE, PIECE * 7, PIECE * 60 + 1};
    for (int s = 0; s < SEEDS; s++) {
        pair p = {0};
        seed(s);
        start(&p);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t count = sizes[i];
            end *from = &p.ends[i % 2], *to = &p.ends[1 - i % 2];
            fill((unsigned char *)from->pinned, count, i);
            if (count > 0)
                from->device->operations->copy_in(from->device, from->stream, from->memory, from->pinned, count);
            weft_request receive = post(to, false, from->t->rank, 1, count);
            weft_request send = post(from, true, to->t->rank, 1, count);
            settle(&p, i % 2 == 0 ? send : receive, i % 2 == 0 ? receive : send);
            if (count > 0) to->device->operations->copy_out(to->device, to->stream, to->pinned, to->memory, count);
            assert_int_equal(to->device->operations->stream_wait(to->device, to->stream, NULL), WEFT_OK);
            assert_true(is_filled((unsigned char *)to->pinned, count, i));
        }
        finish_pair(&p);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    pair p = {0};
    weft_error error;
    weft_request request = -1;
    weft_transport *staged = NULL;
    weft_staged_options none = {.groups = &group, .group_count = 1, .lanes = 0, .piece = PIECE};
    start(&p);
    end *e = &p.ends[0];
    const weft_transport_operations *o = e->t->operations;
    assert_null(o->borrow);
    assert_null(o->release);
    assert_false(e->t->ordered);
    assert_int_equal(weft_staged_transport_create(e->t, &none, &staged, &error), WEFT_INVALID);
    assert_int_equal(o->attach(e->t, e->device, &error), WEFT_INVALID);
    assert_int_equal(o->send(e->t, e->stream, 2, 0, e->memory, 1, &request, &error), WEFT_INVALID);
    assert_int_equal(o->send(e->t, e->stream, 1, 0, NULL, 1, &request, &error), WEFT_INVALID);
    assert_int_equal(o->send(e->t, e->stream, 1, 0, e->memory, SIZE_MAX / 2, &request, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "too many for pieces of 4096 bytes"));
    assert_int_equal(o->gather(e->t, e->stream, 1, e->memory, NULL, e->memory, &request, &error), WEFT_INVALID);
    for (int32_t tag = 1; tag < LANES; tag++) (void)post(e, false, 1, tag, 1);
    assert_int_equal(o->receive(e->t, e->stream, 1, LANES, e->memory, 1, &request, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "more than 3 lanes"));
    finish_pair(&p);
}

static void test_without_a_device(void **state)
{
    (void)state;
    weft_error error;
    weft_local_hub *hub = NULL;
    weft_request request = -1;
    bool done = false;
    char byte = 1, other = 0;
    size_t counts[] = {1};
    assert_int_equal(weft_local_hub_create(1, &(weft_group){both, 1}, 1, &hub, NULL), WEFT_OK);
    weft_transport *t = stage(hub, 0);
    assert_int_equal(t->operations->send(t, (weft_stream *)&other, 0, 0, &byte, 1, &request, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "no device is attached"));
    assert_int_equal(t->operations->gather(t, NULL, 0, &byte, counts, &other, &request, &error), WEFT_OK);
    assert_int_equal(t->operations->test(t, request, &done, &error), WEFT_OK);
    assert_true(done && other == 1); /* control and the host's memory need none */
    t->operations->destroy(t);
    weft_local_hub_destroy(hub);
}

/* A peer stops and goes while copies are under way on both sides: the other hears of it from test and wait, and both
 * end without a wait for each other. */
static void test_stop(void **state)
{
    (void)state;
    for (int s = 0; s < SEEDS; s++) {
        pair p = {0};
        weft_error error;
        bool done = false;
        seed(s);
        start(&p);
        end *stays = &p.ends[0];
        const weft_transport_operations *o = stays->t->operations;
        weft_request send = post(stays, true, 1, 0, PIECE * 5), receive = post(stays, false, 1, 1, PIECE * 5);
        (void)post(&p.ends[1], true, 0, 1, PIECE * 5);
        for (int looks = 0; looks < s; looks++) {
            if (!done) assert_int_equal(o->test(stays->t, receive, &done, &error), WEFT_OK);
            assert_int_equal(p.ends[1].t->operations->progress(p.ends[1].t, &error), WEFT_OK);
        }
        p.ends[1].t->operations->publish(p.ends[1].t, "lost its device");
        p.ends[1].t->operations->stop(p.ends[1].t);
        assert_int_equal(o->test(stays->t, send, &done, &error), WEFT_STOPPED);
        assert_non_null(
            strstr(error.text, "worker 1 stopped the run after an error; it last reported: lost its device"));
        assert_int_equal(o->wait(stays->t, PATIENCE, &error), WEFT_STOPPED);
        leave(&p.ends[1]);
        finish_pair(&p);
    }
}

/* What a device met is told by the transfers that wait for it. */
static void test_device_error(void **state)
{
    (void)state;
    pair p = {0};
    weft_error error = {0};
    bool done = false;
    seed(1);
    start(&p);
    end *e = &p.ends[0];
    weft_request send = post(e, true, 1, 0, 100);
    e->device->operations->zero(e->device, e->stream, e->pinned, 1); /* not memory of the device */
    weft_status status = WEFT_OK;
    for (int looks = 0; looks < 1000 && status == WEFT_OK; looks++)
        status = e->t->operations->test(e->t, send, &done, &error);
    assert_int_equal(status, WEFT_FAILED);
    assert_non_null(strstr(error.text, "device deferred: zero"));
    finish_pair(&p);
}

/* With a late device the host sleeps until the copy is due: looks do not grow with how late it is. */
static void test_sleeps_until_due(void **state)
{
    (void)state;
    int64_t asked[2];
    for (int i = 0; i < 2; i++) {
        pair p = {0};
        bool done = false;
        assert_int_equal(setenv("WEFT_DEFERRED_DELAY", i == 0 ? "2000" : "40000", 1), 0);
        assert_int_equal(unsetenv("WEFT_DEFERRED_SEED"), 0);
        start(&p);
        (void)post(&p.ends[1], false, 0, 0, 100);
        asked[i] = deferred_polls();
        weft_request send = post(&p.ends[0], true, 1, 0, 100);
        while (!done) {
            assert_int_equal(p.ends[0].t->operations->wait(p.ends[0].t, 1, NULL), WEFT_OK);
            assert_int_equal(p.ends[0].t->operations->test(p.ends[0].t, send, &done, NULL), WEFT_OK);
        }
        asked[i] = deferred_polls() - asked[i];
        finish_pair(&p);
        assert_int_equal(unsetenv("WEFT_DEFERRED_DELAY"), 0);
    }
    assert_in_range(asked[1], 1, asked[0] + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place), cmocka_unit_test(test_refusals),     cmocka_unit_test(test_without_a_device),
        cmocka_unit_test(test_stop),  cmocka_unit_test(test_device_error), cmocka_unit_test(test_sleeps_until_due),
    };
    return cmocka_run_group_tests_name("transport staged", tests, NULL, NULL);
}
