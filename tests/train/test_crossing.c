/*
 * What crosses between the host and a device whose memory it cannot touch: batches, scalars, losses, logits, weights
 * and checkpoints are those of the reference device, bit for bit, in whatever order the device does its work.
 */
#include "layouts.h"
#include "place.h"

#include "checkpoint/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 3, KEYS = 12, TOKENS = 12 };

#define SMALL "run.steps=3", "model.layers=2", "batch.microbatches=2", "run.evaluate_batches=2"

/* Trains in the test's folder/NAME-DEVICE. */
static weft_status train(test_run *run, const char *device, const char *name, const char *const *keys,
                         weft_error *error)
{
    run->device = device;
    snprintf(run->folder, sizeof run->folder, "%s/%s-%s", test_folder, name, device);
    weft_error_clear(error);
    return test_train(run, test_corpus, keys, error);
}

static void trains(test_run *run, const char *device, const char *name, const char *const *keys)
{
    weft_error error;
    if (train(run, device, name, keys, &error) != WEFT_OK) fail_msg("%s on %s: %s", name, device, error.text);
}

static void take_turns(int seed)
{
    char text[16];
    snprintf(text, sizeof text, "%d", seed);
    assert_int_equal(setenv("WEFT_DEFERRED_SEED", text, 1), 0);
}

static void assert_same_run(const char *name, const char *const *keys)
{
    test_run reference = {0};
    char why[512] = "", number[64];
    trains(&reference, "reference", name, keys);
    for (int seed = 1; seed <= SEEDS; seed++) {
        test_run run = {.poisons = true};
        take_turns(seed);
        snprintf(number, sizeof number, "%s-%d", name, seed);
        trains(&run, "deferred", number, keys);
        if (!test_runs_agree(&reference, &run, why, sizeof why)) fail_msg("%s, seed %d: %s", name, seed, why);
    }
}

/* Messages, gathers and sums of several workers cross as well, and their parts of a checkpoint. */
static void test_several_workers(void **state)
{
    (void)state;
    static const char *const cases[][KEYS] = {
        {SMALL, "parallel.pipeline=2", "model.tied=true"},
        {SMALL, "parallel.pipeline=2", "parallel.data=2", "parallel.shard=weights", "parallel.reduce=early"},
        {SMALL, "element=bf16", "parallel.tensor=2", "parallel.data=2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "several-%d", (int)i);
        assert_same_run(name, cases[i]);
    }
}

/* Evaluations come between batches that are read ahead; checkpoints are written in the middle. */
static void test_training(void **state)
{
    (void)state;
    static const char *const cases[][KEYS] = {
        {SMALL, "run.evaluate_every=2", "checkpoint.every=2"},
        {SMALL, "element=bf16", "parallel.loops=2", "parallel.schedule=breadth-first"},
        {SMALL, "model.position=rotary", "model.norm=rmsnorm", "model.activation=swiglu", "recompute=full"},
        {SMALL, "element=bf16", "model.tied=true", "optimizer.frozen=layer.0.*"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "case-%d", (int)i);
        assert_same_run(name, cases[i]);
    }
}

/* On the other device half of the steps, from the checkpoint of the first ones. */
static void test_resuming(void **state)
{
    (void)state;
    static const char *const whole[] = {SMALL, "element=bf16", NULL};
    static const char *const first[] = {SMALL, "element=bf16", "optimizer.frozen=layer.1.*", NULL};
    test_run reference = {.stop = 1}, run = {.stop = 1};
    char why[512] = "";
    take_turns(1);
    trains(&reference, "reference", "resumed", first);
    trains(&run, "deferred", "resumed", first);
    reference.stop = run.stop = 0;
    reference.resume = run.resume = true;
    trains(&reference, "reference", "resumed", whole); /* what was frozen has no moments to be read */
    trains(&run, "deferred", "resumed", whole);
    assert_int_equal(run.steps, 3);
    if (!test_runs_agree(&reference, &run, why, sizeof why)) fail_msg("%s", why);
}

/* Tensors of more than one piece of a checkpoint under way, and of no whole number of them. */
static void test_large_tensors(void **state)
{
    (void)state;
    static const char *const keys[] = {"run.steps=1",          "run.evaluate_batches=1", "model.layers=1",
                                       "model.width=16",       "model.heads=1",          "model.feed_forward=540000",
                                       "batch.microbatches=1", "batch.tokens=1",         NULL};
    test_run reference = {0};
    char why[512] = "";
    trains(&reference, "reference", "large", keys);
    for (int seed = 1; seed <= 3; seed += 2) { /* copies as late, and as early as can be */
        test_run run = {0};
        take_turns(seed);
        trains(&run, "deferred", seed == 1 ? "large-late" : "large-early", keys);
        if (!test_runs_agree(&reference, &run, why, sizeof why)) fail_msg("seed %d: %s", seed, why);
    }
}

typedef struct {
    int32_t tokens[TOKENS];
    int count;
} text;

static int keep_token(void *context, int32_t token, bool bytes)
{
    (void)bytes;
    text *kept = context;
    kept->tokens[kept->count++] = token;
    return 0;
}

static text sample(const test_run *run, const char *device)
{
    text kept = {{0}, 0};
    weft_error error;
    weft_sample_options options = {
        .prompt = "the warp", .tokens = TOKENS, .temperature = 1, .seed = 1, .token = keep_token, .context = &kept};
    if (weft_sample(run->folder, device, &options, &error) != WEFT_OK) fail_msg("%s: %s", device, error.text);
    assert_int_equal(kept.count, TOKENS);
    return kept;
}

static void test_sampling(void **state)
{
    (void)state;
    static const char *const elements[] = {"element=fp32", "element=bf16"};
    for (int i = 0; i < 2; i++) {
        const char *const keys[] = {SMALL, elements[i], NULL};
        test_run run = {0};
        trains(&run, "reference", elements[i], keys);
        text reference = sample(&run, "reference");
        for (int seed = 1; seed <= SEEDS; seed++) {
            take_turns(seed);
            text deferred = sample(&run, "deferred");
            assert_memory_equal(&reference, &deferred, sizeof reference);
        }
    }
}

/* The same words on both devices: of a loss, of a gradient of which only sums are known, and of
 * one that is found when the step is run again. */
static void test_not_finite(void **state)
{
    (void)state;
    static const char *const cases[][KEYS] = {
        {SMALL, "optimizer.learning_rate=1e30", "optimizer.warmup=0", "optimizer.weight_decay=0", "optimizer.clip=0"},
        {SMALL, "model.init_deviation=100", "model.norm_epsilon=1e-12", "optimizer.learning_rate=1e10",
         "optimizer.warmup=0", "optimizer.weight_decay=0", "optimizer.clip=0"},
        {SMALL, "model.init_deviation=100", "model.norm_epsilon=1e-12", "optimizer.learning_rate=1e10",
         "optimizer.warmup=0", "optimizer.weight_decay=0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_run reference = {0}, run = {0};
        weft_error said, expected;
        char name[24];
        snprintf(name, sizeof name, "not-finite-%d", (int)i);
        take_turns(1 + (int)i);
        assert_int_equal(train(&reference, "reference", name, cases[i], &expected), WEFT_FAILED);
        assert_int_equal(train(&run, "deferred", name, cases[i], &said), WEFT_FAILED);
        assert_string_equal(said.text, expected.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),      cmocka_unit_test(test_several_workers), cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_large_tensors), cmocka_unit_test(test_sampling),        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
