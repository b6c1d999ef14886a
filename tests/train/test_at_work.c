/*
 * Ranks that wait for a rank at work: whatever its observer does, it goes on driving a transport that must be driven to
 * be heard; and what the others make of the answers they get: silence and a standstill end the run, work does not.
 */
#include "layouts.h"
#include "place.h"

#include "base/clock.h"
#include "base/file.h"
#include "transport/transport.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What is changed in the answers to a question. */
typedef enum { HONEST, SILENT_LAST, FIRST_ALL_WAIT } answers;

static struct {
    bool driven;
    answers answers;
    atomic_int asked;
    atomic_llong driven_by_first; /* how often rank 0 has driven its transport */
    pthread_t driver;             /* that made rank 0's, in the worker's thread */
    atomic_int strangers;         /* how often another thread has driven it */
} stage;

static const weft_transport_operations *real;

weft_status __real_weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                               weft_error *error);
weft_status __wrap_weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                               weft_error *error);

static weft_status progress(weft_transport *transport, weft_error *error)
{
    if (transport->rank == 0) atomic_fetch_add(&stage.driven_by_first, 1);
    if (transport->rank == 0 && !pthread_equal(stage.driver, pthread_self())) atomic_fetch_add(&stage.strangers, 1);
    return real->progress(transport, error);
}

static void interrogate(weft_transport *transport, double seconds, weft_transport_report *out)
{
    real->interrogate(transport, seconds, out);
    bool counts = stage.answers != SILENT_LAST || transport->rank < transport->size - 1; /* that one finds no silence */
    bool first = counts && atomic_fetch_add(&stage.asked, 1) < 1;
    if (stage.answers == SILENT_LAST) out[transport->size - 1].answered = transport->rank == transport->size - 1;
    for (int32_t r = 0; first && stage.answers == FIRST_ALL_WAIT && r < transport->size; r++)
        snprintf(out[r].text, sizeof out[r].text, "step 1, last finished nothing, waits for rank %d", r);
}

weft_status __wrap_weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                               weft_error *error)
{
    static weft_transport_operations watched[8];
    TRY(__real_weft_local_transport_create(hub, rank, out, error));
    if (rank == 0) real = (*out)->operations;
    if (rank == 0) stage.driver = pthread_self();
    watched[rank] = *(*out)->operations;
    watched[rank].progress = progress;
    watched[rank].interrogate = interrogate;
    (*out)->operations = &watched[rank];
    (*out)->driven = stage.driven;
    return WEFT_OK;
}

/* What the observer was told, each time not before the transport had been driven again and again meanwhile. */
typedef struct {
    int started, steps, timelines, evaluations, saved, calibrated;
} told;

static weft_status see_it_driven(int *count, weft_error *error)
{
    long long wanted = atomic_load(&stage.driven_by_first) + 3;
    double patience = weft_clock_seconds() + 60;
    ++*count;
    while (atomic_load(&stage.driven_by_first) < wanted) {
        if (weft_clock_seconds() > patience) FAIL(error, WEFT_FAILED, "nobody drives the transport");
        weft_clock_sleep(1e-3);
    }
    return WEFT_OK;
}

static weft_status on_started(void *context, const weft_run_start *start, weft_error *error)
{
    (void)start;
    return see_it_driven(&((told *)context)->started, error);
}

static weft_status on_calibrated(void *context, const weft_calibration *calibration, weft_error *error)
{
    (void)calibration;
    return see_it_driven(&((told *)context)->calibrated, error);
}

static weft_status on_step(void *context, const weft_step_record *record, weft_error *error)
{
    (void)record;
    return see_it_driven(&((told *)context)->steps, error);
}

static weft_status on_timeline(void *context, const weft_timeline_record *record, weft_error *error)
{
    (void)record;
    return see_it_driven(&((told *)context)->timelines, error);
}

static weft_status on_evaluated(void *context, const weft_evaluation_record *record, weft_error *error)
{
    (void)record;
    return see_it_driven(&((told *)context)->evaluations, error);
}

static weft_status on_saved(void *context, int64_t step, weft_error *error)
{
    (void)step;
    return see_it_driven(&((told *)context)->saved, error);
}

/* Runs the base configuration with these overrides, and an observer. */
static weft_status train(const char *const *overrides, const weft_train_options *options, weft_error *error)
{
    test_run run = {0};
    weft_config config;
    weft_job *job = NULL;
    snprintf(run.folder, sizeof run.folder, "%s/run", test_folder);
    assert_int_equal(weft_folder_remove(run.folder, error), WEFT_OK);
    weft_error_clear(error);
    TRY(test_job(&run, test_corpus, overrides, &config, &job, error));
    alarm(300);
    weft_status status = weft_train(job, options, error);
    alarm(0);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return status;
}

static void observe_while_driven(const char *device)
{
    const char *const overrides[] = {device,        "parallel.pipeline=2", "model.layers=2",
                                     "run.steps=2", "checkpoint.every=1",  "run.evaluate_every=1",
                                     "timeout=0.2", "run.timelines=2",     NULL};
    told seen = {0};
    weft_error error;
    weft_train_options options = {.calibrate_seconds = 1e-3,
                                  .observer = {.context = &seen,
                                               .started = on_started,
                                               .calibrated = on_calibrated,
                                               .step = on_step,
                                               .timeline = on_timeline,
                                               .evaluated = on_evaluated,
                                               .saved = on_saved}};
    stage.driven = true;
    stage.answers = HONEST;
    if (train(overrides, &options, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(seen.started, 1);
    assert_int_equal(seen.calibrated, 1);
    assert_int_equal(seen.steps, 2);
    assert_int_equal(seen.timelines, 2);
    assert_int_equal(seen.evaluations, 2);
    assert_int_equal(seen.saved, 2);
    assert_int_equal(atomic_load(&stage.strangers), 0);
}

static void test_observed_while_driven(void **state)
{
    (void)state;
    observe_while_driven("device=reference");
}

/* The thread that writes a checkpoint copies it from the device, and drives nothing between its copies. */
static void test_copied_while_driven(void **state)
{
    (void)state;
    observe_while_driven("device=deferred");
}

static weft_status until_asked(void *context, const weft_step_record *record, weft_error *error)
{
    double patience = weft_clock_seconds() + 60;
    (void)record;
    while (atomic_load(&stage.asked) < *(int *)context) {
        if (weft_clock_seconds() > patience) FAIL(error, WEFT_FAILED, "nobody asks rank 0");
        weft_clock_sleep(1e-3);
    }
    return WEFT_OK;
}

/* Rank 0 is at work until it has been asked `times` times: what the others make of these answers. */
static weft_status answer(answers given, int times, weft_error *error)
{
    static const char *const overrides[] = {"device=reference", "parallel.pipeline=3", "model.layers=3",
                                            "run.steps=2",      "timeout=0.05",        NULL};
    weft_train_options options = {.trial_steps = 1, .observer = {.context = &times, .step = until_asked}};
    stage.driven = false;
    stage.answers = given;
    atomic_store(&stage.asked, 0);
    return train(overrides, &options, error);
}

static void test_answers(void **state)
{
    (void)state;
    weft_error error;
    if (answer(HONEST, 20, &error) != WEFT_OK) fail_msg("at work: %s", error.text);
    /* One that comes from its work waits for a moment too. */
    if (answer(FIRST_ALL_WAIT, 20, &error) != WEFT_OK) fail_msg("once seen to wait: %s", error.text);
    /* Nobody's work excuses another's silence. */
    assert_int_equal(answer(SILENT_LAST, 1, &error), WEFT_TIMEOUT);
    assert_non_null(strstr(error.text, "rank 2: no answer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_observed_while_driven),
        cmocka_unit_test(test_copied_while_driven),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
