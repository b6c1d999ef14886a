/* Each allocation in turn fails, of whichever worker, in whole runs: all workers end, and say why. */
#include "../base/failing.h"
#include "layouts.h"
#include "place.h"

#include "base/file.h"
#include "train/rehearse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TINY                                                                                                           \
    "run.steps=1", "model.layers=2", "model.width=4", "model.heads=2", "model.feed_forward=4", "batch.microbatches=1", \
        "run.timelines=0", "data.held_out=0.01", "optimizer.warmup=0"

typedef struct order {
    const char *const *overrides;
    bool resume; /* go on from the checkpoint that is there, else into a new folder */
    bool trial;  /* a step that keeps nothing */
    int runs;
} order;

static weft_status train(void *context, weft_error *error)
{
    order *it = context;
    test_run run = {.resume = it->resume, .trial_steps = it->trial, .calibrate_seconds = it->resume ? 0 : 1e-9};
    snprintf(run.folder, sizeof run.folder, "%s/%d", test_folder, it->resume ? 0 : it->runs++);
    return test_train(&run, test_corpus, it->overrides, error);
}

static int ignore_token(void *context, int32_t token, bool bytes)
{
    (void)context;
    (void)token;
    (void)bytes;
    return 0;
}

static weft_status sample(void *context, weft_error *error)
{
    weft_sample_options options = {
        .prompt = "warp", .tokens = 3, .temperature = 1, .stop = "loom", .token = ignore_token};
    return weft_sample(context, NULL, &options, error);
}

static weft_status evaluate_weights(const weft_weights *weights, const char *logits, weft_error *error)
{
    weft_job *job = NULL;
    weft_train_options options = {.logits = logits};
    TRY(weft_job_create_for(weft_weights_config(weights), WEFT_JOB_SHOWS, &job, error));
    weft_status status = weft_evaluate(job, weights, &options, error);
    weft_job_destroy(job);
    return status;
}

static weft_status evaluate(void *context, weft_error *error)
{
    char logits[80];
    weft_weights *weights = NULL;
    snprintf(logits, sizeof logits, "%s.logits", (const char *)context);
    TRY(weft_weights_open(context, 0, &weights, error));
    weft_status status = evaluate_weights(weights, logits, error);
    weft_weights_close(weights);
    return status;
}

static weft_status ignore_step(void *context, int64_t step, const weft_timeline *measured, weft_error *error)
{
    (void)context;
    (void)step;
    (void)measured;
    (void)error;
    return WEFT_OK;
}

static weft_status rehearse_job(const weft_config *config, const weft_costs *costs, weft_error *error)
{
    weft_job_rehearsal how = {.costs = costs};
    weft_job *job = NULL;
    TRY(weft_job_schedule(config, &how.schedule, error));
    TRY(weft_job_create_rehearsal(config, &how, &job, error));
    weft_status status = weft_rehearse(job, &(weft_rehearsal){.steps = 2, .step = ignore_step}, error);
    weft_job_destroy(job);
    return status;
}

static weft_status rehearse(void *context, weft_error *error)
{
    (void)context;
    static const char text[] = "{data: {path: none}, model: {layers: 4}, device: emulated, timeout: 20, parallel: {"
                               "pipeline: 2, schedule: breadth-first, loops: 2, data: 2, shard: weights}}";
    static const double brief[] = {1e-7, 1e-7, 1e-7, 1e-7};
    weft_costs costs = {.forward = brief, .backward_input = brief, .backward_weight = brief};
    weft_config config;
    TRY(weft_config_load_text(&config, text, sizeof text - 1, "test", NULL, 0, error));
    weft_status status = rehearse_job(&config, &costs, error);
    weft_config_fini(&config);
    return status;
}

/* One allocation is forgiven: a folder of which is not known whether it has a checkpoint counts as one that has. */
static void test_runs(void **state)
{
    (void)state;
    static const char *const piped[] = {TINY, "parallel.pipeline=2", NULL};
    static const char *const divided[] = {
        TINY, "parallel.loops=2", "parallel.data=2", "parallel.shard=weights", "parallel.reduce=early", NULL};
    static const char *const sliced[] = {TINY, "parallel.tensor=2", NULL};
    char first[64];
    weft_error error;
    order fresh = {.overrides = piped}, again = {.overrides = piped, .resume = true};
    if (train(&fresh, &error) != WEFT_OK) fail_msg("%s", error.text);
    snprintf(first, sizeof first, "%s/0", test_folder);
    assert_true(failing_each(sample, first, FAILING_REPORTS) > 30);
    assert_true(failing_each(evaluate, first, FAILING_REPORTS) > 50);
    assert_true(failing_each(train, &again, FAILING_FORGIVES) > 100);
    assert_true(failing_each(train, &fresh, FAILING_FORGIVES) > 100);
    order trials[] = {{.overrides = divided, .trial = true}, {.overrides = sliced, .trial = true}};
    for (int i = 0; i < 2; i++) assert_true(failing_each(train, &trials[i], FAILING_REPORTS) > 100);
    char from[80];
    snprintf(from, sizeof from, "run.start=%s", first);
    const char *const started[] = {TINY, "parallel.pipeline=2", from, NULL};
    order start = {.overrides = started, .runs = fresh.runs};
    assert_true(failing_each(train, &start, FAILING_FORGIVES) > 100);
}

static void test_rehearsal(void **state)
{
    (void)state;
    assert_true(failing_each(rehearse, NULL, FAILING_REPORTS) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs, test_place_set_up, test_place_tear_down),
        cmocka_unit_test(test_rehearsal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
