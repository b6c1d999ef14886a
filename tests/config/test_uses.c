/* A configuration read to sample or to rehearse: what it is read for wins, all else stays as configured. */
#include "config/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char yaml[] = "data: {path: x}\nmodel: {layers: 8, width: 64, heads: 8, vocabulary: 300, context: 32}\n"
                           "batch: {microbatches: 16, sequences: 2}\noptimizer: {frozen: \"head.*\"}\n"
                           "parallel: {pipeline: 2, loops: 2, data: 4, tensor: 2, shard: weights, reduce: early, "
                           "schedule: hybrid, group: 4, placement: loop, stages: [2, 2, 2, 2]}\n"
                           "device: reference\nthreads: 3\nelement: bf16\nrecompute: full\ntransport: mpi\n"
                           "memory_limit: 4GiB\n";

static void load(weft_config *config, weft_config_use use, const char *const *overrides, int count)
{
    weft_error error;
    weft_status status =
        weft_config_load_text_for(config, use, yaml, strlen(yaml), "run.yaml", overrides, count, &error);
    if (status != WEFT_OK) fail_msg("%s", error.text);
}

/* The same as its values given last on the command line, whatever is given besides. */
static void check_use(weft_config_use use)
{
    enum { MOST = 100 };
    static char words[MOST][128];
    const char *overrides[MOST] = {"threads=7", "batch.tokens=16"};
    int count = 2;
    for (int i = 0; i < weft_field_count(); i++) {
        const weft_field *field = weft_field_get(i);
        if (!field->instead[use]) continue;
        assert_true(count < MOST);
        snprintf(words[count], sizeof words[count], "%s=%s", field->key, field->instead[use]);
        overrides[count] = words[count];
        count++;
    }
    weft_config expected, config;
    weft_text a, b;
    weft_text_init(&a);
    weft_text_init(&b);
    load(&expected, WEFT_CONFIG_TO_TRAIN, overrides, count);
    load(&config, use, overrides, 2);
    weft_config_dump(&expected, true, &a);
    weft_config_dump(&config, true, &b);
    assert_string_equal(weft_text_get(&a), weft_text_get(&b));
    weft_text_fini(&a);
    weft_text_fini(&b);
    weft_config_fini(&expected);
    weft_config_fini(&config);
}

static void test_same_as_overrides(void **state)
{
    (void)state;
    for (int use = 0; use < WEFT_CONFIG_USES; use++) check_use((weft_config_use)use);
}

static void test_sample(void **state)
{
    (void)state;
    weft_config config;
    load(&config, WEFT_CONFIG_TO_SAMPLE, NULL, 0);
    assert_int_equal(config.parallel.pipeline * config.parallel.data * config.parallel.tensor, 1);
    assert_int_equal(config.parallel.loops, 1);
    assert_int_equal(config.parallel.stages.count, 0);
    assert_int_equal(config.batch.microbatches * config.batch.sequences, 1);
    assert_int_equal(config.transport, WEFT_CONFIG_LOCAL);
    assert_int_equal(config.model.layers, 8);
    assert_int_equal(config.batch.tokens, 32);
    assert_string_equal(config.device, "reference");
    weft_config_fini(&config);
}

static void test_rehearse(void **state)
{
    (void)state;
    static const char *const stages[] = {"model.layers=4", "parallel.stages=[1, 1, 1, 1]"};
    weft_config config;
    load(&config, WEFT_CONFIG_TO_REHEARSE, stages, 2);
    assert_string_equal(config.device, "emulated");
    assert_string_equal(config.parallel.schedule, "hybrid");
    assert_int_equal(config.parallel.pipeline, 2);
    assert_int_equal(config.parallel.data, 4);
    assert_int_equal(config.parallel.shard, WEFT_CONFIG_SHARD_WEIGHTS);
    assert_int_equal(config.parallel.tensor * config.threads * config.model.context * config.batch.tokens, 1);
    assert_string_equal(config.optimizer.frozen, "");
    assert_int_equal(config.batch.microbatches, 16);
    weft_config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_as_overrides), cmocka_unit_test(test_sample),
                                       cmocka_unit_test(test_rehearse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
