/* Blends: exact at every prefix, a function of the place alone, and read from the sources as each would be alone. */
#include "fixture.h"

#include "base/random.h"
#include "data/blend.h"

#include <math.h>

static weft_blend *make(const double *weights, int32_t count)
{
    weft_error error;
    weft_blend *blend = NULL;
    if (weft_blend_create(weights, count, &blend, &error) != WEFT_OK) fail_msg("%s", error.text);
    return blend;
}

/* After every prefix each source has its share within less than one, and its sequences come in order. */
static void expect_exact(const double *weights, int32_t count, uint64_t length)
{
    weft_blend *blend = make(weights, count);
    uint64_t taken[64] = {0};
    double sum = 0, worst = 0;
    for (int32_t i = 0; i < count; i++) sum += weights[i];
    for (uint64_t k = 0; k < length; k++) {
        int32_t source = -1;
        uint64_t index = 0;
        weft_blend_find(blend, k, &source, &index);
        assert_true(source >= 0 && source < count);
        assert_int_equal(index, taken[source]++);
        for (int32_t i = 0; i < count; i++) {
            double off = fabs((double)taken[i] - weights[i] / sum * (double)(k + 1));
            if (off > worst) worst = off;
        }
    }
    if (worst >= 1) fail_msg("%d sources: %g off", count, worst);
    weft_blend_destroy(blend);
}

static void test_exact(void **state)
{
    (void)state;
    static const double three[] = {0.7, 0.2, 0.1}, odd[] = {1, 1e-9, 3, 0, 2}, one[] = {5};
    expect_exact(three, 3, 1000000);
    expect_exact(odd, 5, 200000);
    expect_exact(one, 1, 1000);
    weft_random_key key = weft_random_key_make(3, "blends");
    for (uint64_t round = 0; round < 60; round++) {
        double weights[40];
        int32_t count = (int32_t)(1 + weft_random_bits(key, 100 * round) % 40);
        for (int32_t i = 0; i < count; i++)
            weights[i] = pow((double)(1 + weft_random_bits(key, 100 * round + 1 + (uint64_t)i) % 1000), 2);
        expect_exact(weights, count, 3000);
    }
}

/* In whatever order, from however many readers, the same is found. */
static void test_any_order(void **state)
{
    (void)state;
    enum { LENGTH = 5000, COUNT = 4 };
    static const double weights[COUNT] = {0.31, 0.05, 0.44, 0.2};
    static int32_t sources[LENGTH];
    static uint64_t indexes[LENGTH];
    weft_blend *blend = make(weights, COUNT);
    for (uint64_t k = 0; k < LENGTH; k++) weft_blend_find(blend, k, &sources[k], &indexes[k]);
    weft_random_key key = weft_random_key_make(4, "order");
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t place = weft_random_bits(key, i) % LENGTH;
        for (uint64_t k = place; k < place + 3 && k < LENGTH; k++) {
            int32_t source = -1;
            uint64_t index = 0;
            weft_blend_find(blend, k, &source, &index);
            assert_int_equal(source, sources[k]);
            assert_int_equal(index, indexes[k]);
        }
    }
    weft_blend_destroy(blend);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        double weights[2];
        const char *words;
    } cases[] = {
        {{0, 0}, "the weights of all sources add up to 0"},
        {{1, -1}, "the weight of source 2 is -1"},
        {{NAN, 1}, "the weight of source 1 is"},
        {{1, INFINITY}, "the weight of source 2 is inf"},
        {{1e308, 1e308}, "add up to inf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_error error;
        weft_blend *blend = NULL;
        assert_int_equal(weft_blend_create(cases[i].weights, 2, &blend, &error), WEFT_INVALID);
        test_says(error.text, cases[i].words);
    }
}

enum { T = 4, BLOCKS = 40 };

static const char *put_source(const char *name, uint32_t first)
{
    uint32_t numbers[T * BLOCKS + 1];
    for (uint32_t i = 0; i < T * BLOCKS + 1; i++) numbers[i] = first + i;
    return test_put_numbers(name, numbers, T * BLOCKS + 1, 2, false);
}

/* Every block of a source comes once before any comes twice; held-out blocks are never trained on, and each is met. */
static void test_sources(void **state)
{
    (void)state;
    weft_data_source sources[] = {
        {put_source("a.bin", 0), 3}, {put_source("b.bin", 1000), 1}, {put_source("c.bin", 2000), 0}};
    weft_data_options options = test_options(NULL, T, 0.2);
    options.sources = sources;
    options.source_count = 3;
    weft_data *data = test_open(options);
    int seen[3][BLOCKS] = {{0}}, held[3][BLOCKS] = {{0}};
    weft_error error;
    int32_t tokens[T], targets[T];
    weft_data_rows rows = {.tokens = tokens, .targets = targets};
    int64_t held_out = weft_data_blocks(data, WEFT_DATA_HELD_OUT);
    assert_int_equal(held_out, 3 * BLOCKS / 5);
    for (int64_t k = 0; k < held_out; k++) {
        assert_int_equal(weft_data_read(data, WEFT_DATA_HELD_OUT, k, 1, rows, &error), WEFT_OK);
        assert_int_equal(weft_data_source_of(data, WEFT_DATA_HELD_OUT, k), tokens[0] / 1000);
        held[tokens[0] / 1000][tokens[0] % 1000 / T]++;
    }
    enum { TRAIN = BLOCKS - BLOCKS / 5 };
    for (int64_t k = 0; k < 4 * TRAIN; k++) {
        assert_int_equal(weft_data_read(data, WEFT_DATA_TRAIN, k, 1, rows, &error), WEFT_OK);
        assert_int_equal(weft_data_source_of(data, WEFT_DATA_TRAIN, k), tokens[0] / 1000);
        for (int t = 0; t < T; t++) assert_int_equal(targets[t], tokens[0] + t + 1);
        seen[tokens[0] / 1000][tokens[0] % 1000 / T]++;
    }
    for (int block = 0; block < BLOCKS; block++)
        for (int source = 0; source < 3; source++) {
            assert_int_equal(seen[source][block], held[source][block] ? 0 : source == 0 ? 3 : source == 1);
            assert_true(held[source][block] <= 1);
        }
    weft_data_close(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
