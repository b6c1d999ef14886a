/* A trial tells what every part takes that its job has, and of no other; a trial's steps end when their time is over.
 */
#include "train/trial.h"

#include "place.h"
#include "train/train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char base[] = "model: {layers: 4, width: 16, heads: 2, feed_forward: 32, vocabulary: 256, context: 8}\n"
                           "device: reference\nthreads: 1\nbatch: {microbatches: 3, sequences: 1}\n"
                           "run: {timelines: 48, folder: none}\n"
                           "parallel: {stages: [0, 4, 0], loops: 3, schedule: depth-first}\n";

static weft_job *make_job(weft_config *config, const char *const *words, int count)
{
    const char *overrides[8];
    char data[256];
    weft_job *job = NULL;
    weft_error error;
    weft_error_clear(&error);
    snprintf(data, sizeof data, "data.path=%s", test_corpus);
    overrides[0] = data;
    for (int i = 0; i < count; i++) overrides[1 + i] = words[i];
    if (weft_config_load_text(config, base, strlen(base), "trial", overrides, 1 + count, &error) != WEFT_OK ||
        weft_job_create(config, &job, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    return job;
}

static weft_trial try_job(bool alone, const char *const *words, int count)
{
    weft_config config;
    weft_trial found;
    weft_error error;
    weft_error_clear(&error);
    weft_job *job = make_job(&config, words, count);
    weft_trial_options options = {.steps = 3, .alone = alone};
    if (weft_trial_run(job, &options, &found, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return found;
}

static void test_parts(void **state)
{
    (void)state;
    static const char *const data[] = {"parallel.data=2"};
    static const char *const weights[] = {"parallel.data=2", "parallel.shard=weights"};
    static const char *const tensor[] = {"parallel.tensor=2"};
    static const char *const pipeline[] = {"parallel.pipeline=2", "parallel.loops=1", "parallel.stages=[2,2]",
                                           "parallel.schedule=gpipe"};
    weft_trial found = try_job(false, data, 1);
    for (int s = 0; s < WEFT_TRIAL_STAGES; s++) assert_true(found.forward[s] > 0 && found.backward[s] > 0);
    assert_true(found.update > 0 && found.norm > 0 && found.parameters > found.stage_parameters[1]);
    assert_true(found.reduction[1] == 0 && found.gather[1] == 0 && found.sum[1] == 0 && found.message == 0);
    found = try_job(true, data, 1);
    assert_true(found.reduction[1] > 0 && found.gather[1] == 0 && found.sum[1] == 0 && found.message == 0);
    found = try_job(true, weights, 2);
    assert_true(found.reduction[1] > 0 && found.gather[1] > 0);
    found = try_job(true, tensor, 1);
    assert_true(found.reduction[1] == 0 && found.sum[1] > 0 && found.message == 0);
    found = try_job(true, pipeline, 4);
    assert_true(found.message > 0 && found.forward[0] > 0 && found.forward[1] == 0); /* of the first rank alone */
}

static weft_status count_step(void *context, const weft_step_record *record, weft_error *error)
{
    (void)error;
    *(int64_t *)context = record->step;
    return WEFT_OK;
}

/* A second is over at once where nobody counts it. */
static void test_time_is_over(void **state)
{
    (void)state;
    static const double seconds[] = {1e-9, 0};
    static const int64_t steps[] = {2, 7};
    for (int i = 0; i < 2; i++) {
        static const char *const words[] = {"parallel.data=2"};
        int64_t told = 0;
        weft_config config;
        weft_error error;
        weft_error_clear(&error);
        weft_job *job = make_job(&config, words, 1);
        weft_train_options options = {.trial_steps = 7, .trial_seconds = seconds[i]};
        options.observer = (weft_observer){.context = &told, .step = count_step};
        if (weft_train(job, &options, &error) != WEFT_OK) fail_msg("%s", error.text);
        assert_int_equal(told, steps[i]);
        weft_job_destroy(job);
        weft_config_fini(&config);
    }
}

static void test_middle(void **state)
{
    (void)state;
    weft_trial trials[3] = {{.update = 3, .message = 1}, {.update = 1, .message = 9}, {.update = 2, .message = 4}},
               found;
    static const double updates[] = {3, 1, 2}, messages[] = {1, 1, 4};
    for (size_t count = 1; count <= 3; count++) {
        weft_trial_middle(trials, count, &found);
        assert_true(found.update == updates[count - 1] && found.message == messages[count - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts), cmocka_unit_test(test_time_is_over),
                                       cmocka_unit_test(test_middle)};
    return cmocka_run_group_tests_name("trial", tests, test_place_set_up, test_place_tear_down);
}
