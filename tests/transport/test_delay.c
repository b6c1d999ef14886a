/* The delay transport over one that does everything at once: it holds back what it is told, and what it tells. */
#include "transport/transport.h"

#include <setjmp.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { LANES = 8, DEPTH = 5, MESSAGES = LANES * DEPTH };

/* Remembers what was posted; every request is done. */
typedef struct quick {
    weft_transport base;
    int32_t tags[MESSAGES];
    const void *sources[MESSAGES];
    int posted;
} quick;

static weft_status quick_send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                              const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    (void)stream;
    (void)peer;
    (void)count;
    quick *q = (quick *)transport;
    if (q->posted == MESSAGES) FAIL(error, WEFT_FAILED, "more is posted than was told");
    q->tags[q->posted] = tag;
    q->sources[q->posted] = bytes;
    *out = q->posted++;
    return WEFT_OK;
}

static weft_status quick_test(weft_transport *transport, weft_request request, bool *out_done, weft_error *error)
{
    if (request >= ((quick *)transport)->posted) FAIL(error, WEFT_FAILED, "a request that was not posted");
    *out_done = true;
    return WEFT_OK;
}

static weft_status quick_progress(weft_transport *transport, weft_error *error)
{
    (void)transport;
    (void)error;
    return WEFT_OK;
}

static weft_status quick_wait(weft_transport *transport, double seconds, weft_error *error)
{
    (void)seconds;
    return quick_progress(transport, error);
}

static void quick_destroy(weft_transport *transport)
{
    (void)transport;
}

static const weft_transport_operations operations = {
    .destroy = quick_destroy,
    .send = quick_send,
    .test = quick_test,
    .progress = quick_progress,
    .wait = quick_wait,
};

static void send_all(weft_transport *t, const char *bytes, weft_request *requests)
{
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(t->operations->send(t, NULL, 0, i % LANES, &bytes[i], 1, &requests[i], NULL), WEFT_OK);
}

/* Of one lane in order, of different lanes not. */
static void test_posting(void **state)
{
    (void)state;
    static const char bytes[MESSAGES];
    quick inner = {.base = {.operations = &operations, .size = 1}};
    weft_transport *t = NULL;
    weft_request requests[MESSAGES];
    assert_int_equal(weft_delay_transport_create(&inner.base, 1, 0.1, &t, NULL), WEFT_OK);
    assert_null(t->operations->borrow);
    assert_null(t->operations->release);
    send_all(t, bytes, requests);
    while (inner.posted < MESSAGES) assert_int_equal(t->operations->wait(t, 1, NULL), WEFT_OK);
    int next[LANES] = {0}, overtaken = 0;
    for (int i = 0; i < MESSAGES; i++) {
        int lane = inner.tags[i];
        assert_ptr_equal(inner.sources[i], &bytes[lane + LANES * next[lane]]);
        next[lane]++;
        overtaken += inner.sources[i] != &bytes[i];
    }
    assert_true(overtaken > MESSAGES / 2);
    t->operations->destroy(t);
}

/* The inner transport is done with each message when it is first asked. */
static void test_completion(void **state)
{
    (void)state;
    static const char bytes[MESSAGES];
    quick inner = {.base = {.operations = &operations, .size = 1}};
    weft_transport *t = NULL;
    weft_request requests[MESSAGES];
    bool done[MESSAGES] = {false};
    assert_int_equal(weft_delay_transport_create(&inner.base, 1, 0.1, &t, NULL), WEFT_OK);
    send_all(t, bytes, requests);
    while (inner.posted < MESSAGES) assert_int_equal(t->operations->wait(t, 1, NULL), WEFT_OK);
    int at_once = 0, left = MESSAGES;
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(t->operations->test(t, requests[i], &done[i], NULL), WEFT_OK);
        at_once += done[i];
    }
    assert_true(at_once < MESSAGES / 2);
    for (left -= at_once; left > 0; assert_int_equal(t->operations->wait(t, 1, NULL), WEFT_OK))
        for (int i = 0; i < MESSAGES; i++) {
            if (done[i]) continue;
            assert_int_equal(t->operations->test(t, requests[i], &done[i], NULL), WEFT_OK);
            left -= done[i];
        }
    weft_error error;
    assert_int_equal(t->operations->test(t, requests[0], &done[0], &error), WEFT_INVALID);
    t->operations->destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_posting), cmocka_unit_test(test_completion)};
    return cmocka_run_group_tests_name("transport delay", tests, NULL, NULL);
}
