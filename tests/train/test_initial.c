/* What a run begins with, whatever it is divided into: weights of each element by itself, or all of a checkpoint. */
#include "base/random.h"
#include "layouts.h"
#include "place.h"
#include "tensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS = 8 };

/* Large tensors are made and loaded in several ranges, each by several threads. */
static const char *const cases[][WORDS] = {
    {"device=reference"},
    {"threads=3", "element=bf16", "model.vocabulary=33000"},
    {"threads=2", "parallel.pipeline=2", "parallel.loops=2", "parallel.data=2", "parallel.shard=weights",
     "model.vocabulary=33001"},
    {"threads=3", "parallel.tensor=2", "parallel.data=2", "parallel.shard=optimizer", "element=bf16",
     "model.vocabulary=16385", "model.width=64"},
    {"threads=2", "parallel.tensor=2", "parallel.shard=weights", "parallel.data=2", "model.architecture=llama",
     "model.kv_heads=2", "model.tied=false"},
};

/* By definition. */
static float initial(const weft_parameter *parameter, uint64_t seed, int64_t element)
{
    if (parameter->init != WEFT_INIT_NORMAL) return parameter->init == WEFT_INIT_ONES ? 1 : 0;
    weft_random_key key = weft_random_key_make(seed, parameter->name);
    return (float)(parameter->deviation * weft_random_normal(key, (uint64_t)element));
}

static void check_parameter(const test_tensors *run, int32_t p)
{
    const weft_parameter *parameter = &run->parameters[p];
    weft_error error;
    if (parameter->tied) return;
    float *got = test_tensors_read(run, WEFT_CHECKPOINT_WEIGHTS, p, &error);
    if (!got) fail_msg("%s", error.text);
    for (int64_t i = 0; i < parameter->elements; i++) {
        const float expected = initial(parameter, (uint64_t)run->config.run.seed, i);
        if (memcmp(&got[i], &expected, sizeof expected) != 0)
            fail_msg("%s, element %lld: %a, not %a", parameter->name, (long long)i, (double)got[i], (double)expected);
    }
    free(got);
}

/* A run of so many overrides more. */
static test_run train(const char *name, const char *const *words, int count, const char *const *overrides)
{
    const char *model[WORDS + 1] = {NULL};
    test_run run = {.model = model};
    weft_error error;
    for (int i = 0; i < count; i++) model[i] = words[i];
    snprintf(run.folder, sizeof run.folder, "%s/%s", test_folder, name);
    if (test_train(&run, test_corpus, overrides, &error) != WEFT_OK) fail_msg("%s: %s", name, error.text);
    run.model = NULL;
    return run;
}

/* A step that changes nothing, and what its checkpoint holds. */
static void test_elements(void **state)
{
    (void)state;
    static const char *const nothing[] = {"optimizer.learning_rate=0", "run.steps=1", "batch.microbatches=2", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        snprintf(name, sizeof name, "initial-%d", (int)i);
        test_run run = train(name, cases[i], WORDS, nothing);
        test_tensors tensors;
        weft_error error;
        if (test_tensors_open(&tensors, run.folder, &error) != WEFT_OK) fail_msg("%s", error.text);
        for (int32_t p = 0; p < tensors.count; p++) check_parameter(&tensors, p);
        test_tensors_close(&tensors);
    }
}

/* What kernels read is rounded by one thread or by two, with the same bits. */
static void test_threads(void **state)
{
    (void)state;
    static const char *const overrides[] = {"run.steps=2", "element=bf16", "model.width=64", NULL};
    static const char *const threads[] = {"threads=1", "threads=2"};
    test_run one = train("one", &threads[0], 1, overrides), two = train("two", &threads[1], 1, overrides);
    char why[256];
    if (!test_runs_agree(&one, &two, why, sizeof why)) fail_msg("%s", why);
}

/* A run that is broken off after its first step and resumed ends as one that is not: all was loaded. */
static void test_loaded(void **state)
{
    (void)state;
    static const char *const overrides[] = {"run.steps=2", "batch.microbatches=2", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32], why[512];
        weft_error error;
        snprintf(name, sizeof name, "straight-%d", (int)i);
        test_run straight = train(name, cases[i], WORDS, overrides);
        const char *words[WORDS + 1] = {NULL};
        test_run broken = {.model = words, .stop = 1};
        memcpy(words, cases[i], sizeof cases[i]);
        snprintf(broken.folder, sizeof broken.folder, "%s/broken-%d", test_folder, (int)i);
        for (int64_t step = 1; step <= 2; step++) {
            if (test_train(&broken, test_corpus, overrides, &error) != WEFT_OK) fail_msg("%s: %s", name, error.text);
            assert_int_equal(broken.steps, step);
            broken.resume = true;
        }
        if (!test_checkpoints_agree(straight.folder, broken.folder, why, sizeof why)) fail_msg("%s: %s", name, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements), cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_loaded)};
    return cmocka_run_group_tests_name("initial", tests, test_place_set_up, test_place_tear_down);
}
