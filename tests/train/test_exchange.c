/*
 * Faults in what tensor-parallel workers pass to each other in the middle of a pass: a part that never comes is named
 * with its action, and a transport that fails at any call ends the run by that cause, whoever waits where.
 */
#include "layouts.h"
#include "place.h"

#include "base/file.h"
#include "train/world.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { VICTIM = 1, NOBODYS_TAG = 31000 };

/* What goes wrong with the calls that the victim makes of its transport. */
typedef enum fault_kind { NONE, LOST, FAILS } fault_kind;

static struct {
    fault_kind kind;
    int32_t group; /* whose calls count; -1: those of all */
    int after;     /* so many of them go well: then one fails, or all are lost */
    int seen;      /* by the victim's thread only */
} fault;

static const weft_transport_operations *real;

weft_status __real_weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                               weft_error *error);
weft_status __wrap_weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                               weft_error *error);

static bool strikes(int32_t group)
{
    if (fault.kind == NONE || (fault.group >= 0 && fault.group != group)) return false;
    int call = fault.seen++;
    return call == fault.after || (fault.kind == LOST && call > fault.after);
}

/* Either it fails, or it is a request that nobody ever answers. */
static weft_status strike(weft_transport *transport, weft_request *out, weft_error *error)
{
    static char nothing;
    if (fault.kind == FAILS) return weft_fail(error, WEFT_FAILED, "call %d is made to fail", fault.after);
    return real->receive(transport, NULL, 0, NOBODYS_TAG, &nothing, 1, out, error);
}

static weft_status send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    if (strikes(-1 - tag)) return strike(transport, out, error);
    return real->send(transport, stream, peer, tag, bytes, count, out, error);
}

static weft_status receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error)
{
    if (strikes(-1 - tag)) return strike(transport, out, error);
    return real->receive(transport, stream, peer, tag, bytes, count, out, error);
}

static weft_status gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    if (strikes(group)) return strike(transport, out, error);
    return real->gather(transport, stream, group, bytes, counts, out_bytes, out, error);
}

static weft_status test(weft_transport *transport, weft_request request, bool *out_done, weft_error *error)
{
    if (fault.kind == FAILS && strikes(-1)) return strike(transport, NULL, error);
    return real->test(transport, request, out_done, error);
}

weft_status __wrap_weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                               weft_error *error)
{
    static weft_transport_operations faulty;
    TRY(__real_weft_local_transport_create(hub, rank, out, error));
    if (rank != VICTIM) return WEFT_OK;
    real = (*out)->operations;
    faulty = *real;
    faulty.send = send;
    faulty.receive = receive;
    faulty.gather = gather;
    faulty.test = test;
    (*out)->operations = &faulty;
    return WEFT_OK;
}

/* A run that hangs is ended by the alarm. */
static weft_status train(const char *const *layout, const char *timeout, weft_error *error)
{
    const char *overrides[TEST_RUN_OVERRIDES] = {
        "device=reference", "model.layers=2",       "model.width=16", "model.feed_forward=16",
        "model.context=4",  "batch.microbatches=2", "run.steps=2",    timeout};
    int count = 8;
    while (*layout) overrides[count++] = *layout++;
    test_run run = {.trial_steps = 1};
    snprintf(run.folder, sizeof run.folder, "%s/none", test_folder);
    weft_error_clear(error);
    alarm(60);
    weft_status status = test_train(&run, test_corpus, overrides, error);
    alarm(0);
    return status;
}

static void assert_says(const weft_error *error, const char *pattern)
{
    regex_t expression;
    assert_int_equal(regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int found = regexec(&expression, error->text, 0, NULL, 0);
    regfree(&expression);
    if (found != 0) fail_msg("'%s' does not say '%s'", error->text, pattern);
}

/* What never comes: both workers wait for it, and either may say so first. */
static void test_lost(void **state)
{
    (void)state;
    static const struct {
        weft_world_purpose purpose;
        int after;
        const char *what;
    } cases[] = {
        {WEFT_WORLD_TENSOR_GATHER, 0, "0F0, a gather of rows"}, {WEFT_WORLD_TENSOR_GATHER, 12, "0B0, a gather of rows"},
        {WEFT_WORLD_TENSOR_REDUCE, 1, "0F0, a sum of parts"},   {WEFT_WORLD_TENSOR_REDUCE, 50, "0B1, a sum of parts"},
        {WEFT_WORLD_TENSOR_SUM, 1, "0REDUCE_TENSOR"},
    };
    static const char *const layout[] = {"parallel.tensor=2", NULL};
    const weft_job job = {.data = 1, .tensor = 2, .ranks = 1, .workers = 2};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_error error;
        char pattern[256];
        fault.kind = LOST;
        fault.group = weft_world_group(&job, cases[i].purpose, (weft_coordinates){0});
        fault.after = cases[i].after;
        fault.seen = 0;
        weft_status status = train(layout, "timeout=0.6", &error);
        if (status != WEFT_TIMEOUT) fail_msg("%d: %s", (int)i, error.text);
        snprintf(
            pattern, sizeof pattern,
            "^rank [01], step 1: nothing moved for 1 s while waiting for %s with rank [01]; rank [01]: step 1, last "
            "finished .*, waits for %s with rank [01]",
            cases[i].what, cases[i].what);
        assert_says(&error, pattern);
    }
}

/* The n-th call fails: in a pass, in what is driven while it waits, or between; the others stop, and the cause is told.
 */
static void test_any_call_fails(void **state)
{
    (void)state;
    static const char *const layouts[][6] = {
        {"parallel.tensor=2"},
        {"parallel.tensor=2", "parallel.pipeline=2", "parallel.loops=2", "model.layers=4"},
        {"parallel.tensor=2", "parallel.data=2", "parallel.loops=2", "parallel.shard=weights", "parallel.reduce=early"},
    };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        weft_status status = WEFT_FAILED;
        int runs = 0;
        for (int after = 0; status != WEFT_OK; after += 1 + after / 16, runs++) {
            weft_error error;
            fault.kind = FAILS;
            fault.group = -1;
            fault.after = after;
            fault.seen = 0;
            status = train(layouts[i], "timeout=60", &error);
            if (status == WEFT_OK) break;
            assert_int_equal(status, WEFT_FAILED);
            assert_says(&error, "call [0-9]+ is made to fail");
        }
        assert_true(runs > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_any_call_fails),
    };
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
