/*
 * Normal numbers by the block against weft_random_normal, bit for bit, in every instruction set that this machine runs.
 *
 * test_normals [all]: with all, the logarithm and the cosine of each of the 2^32 arguments that there are, which is
 * what the rounding test in base/normals.h rests on, and more numbers.
 */
#include "base/normals.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = WEFT_NORMALS_BLOCK, SOME = 300 };

static bool all;

static float one(weft_random_key key, uint64_t counter, double deviation)
{
    return (float)(deviation * weft_random_normal(key, counter));
}

static void check(const float *got, weft_random_key key, uint64_t counter, double deviation, int64_t count,
                  const char *what)
{
    for (int64_t i = 0; i < count; i++) {
        const float expected = one(key, counter + (uint64_t)i, deviation);
        if (memcmp(&got[i], &expected, sizeof expected) != 0)
            fail_msg("%s: key %08x %08x, counter %llu, deviation %g: %a, not %a", what, (unsigned)key.word[0],
                     (unsigned)key.word[1], (unsigned long long)(counter + (uint64_t)i), deviation, (double)got[i],
                     (double)expected);
    }
}

/* Any first number and any count; nothing beside them is written. */
static void test_any_range(void **state)
{
    (void)state;
    weft_random_key dice = weft_random_key_make(1, "ranges");
    float out[SOME + 2];
    for (uint64_t i = 0; i < 2000; i++) {
        const uint64_t bits = weft_random_bits(dice, i);
        const int64_t count = (int64_t)(bits % (SOME + 1));
        const uint64_t counter =
            weft_random_bits(dice, ~i) >> (bits >> 32) % 64; /* also across 2^32, and around zero */
        const weft_random_key key = weft_random_key_make(i, "numbers");
        memset(out, 0xff, sizeof out);
        weft_random_normals(key, counter, 0.02, count, out + 1);
        check(out + 1, key, counter, 0.02, count, "a range");
        assert_true(isnan(out[0]) && isnan(out[count + 1]));
    }
}

/* Counters whose upper words change within a block. */
static void test_carries(void **state)
{
    (void)state;
    const weft_random_key key = weft_random_key_make(2, "carries");
    float out[3 * BLOCK];
    for (int bit = 6; bit < 64; bit++) {
        const uint64_t counter = (UINT64_C(1) << bit) - BLOCK - 5;
        weft_random_normals(key, counter, 1, 3 * BLOCK, out);
        check(out, key, counter, 1, 3 * BLOCK, "a carry");
    }
    weft_random_normals(key, UINT64_MAX - BLOCK, 1, 3 * BLOCK, out);
    check(out, key, UINT64_MAX - BLOCK, 1, 3 * BLOCK, "the end");
}

/* Of every size; those whose numbers are subnormal, nothing or infinite too. The last that models have are first. */
static const double deviations[] = {0.02, 1,    0.02 / 8.485281374238570, 100, 1e-38, 3e-44, 1e-46, 1e-320, 0,
                                    1e38, 1e300};

static void check_block(weft_random_key key, uint64_t counter, double deviation)
{
    float out[BLOCK], expected[BLOCK];
    for (int i = 0; i < BLOCK; i++) expected[i] = one(key, counter + (uint64_t)i, deviation);
    for (weft_vectors set = WEFT_VECTORS_PLAIN; set < WEFT_VECTOR_SETS; set++) {
        const weft_normals *normals = weft_normals_get(set);
        if (normals == NULL) continue;
        normals->block(key, counter, deviation, out);
        if (memcmp(out, expected, sizeof out) != 0) check(out, key, counter, deviation, BLOCK, normals->name);
    }
}

static void test_sets(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof deviations / sizeof *deviations; d++) {
        const int64_t blocks = !all ? 2000 : d < 3 ? 800000 : 40000;
        for (int64_t i = 0; i < blocks; i++) {
            const weft_random_key key = weft_random_key_make((uint64_t)(i % 7), "numbers");
            check_block(key, (uint64_t)(i * BLOCK), deviations[d]);
        }
    }
}

/* Numbers so near to the middle of two fp32 that a set's own logarithm and cosine give the other one of them. */
static void test_near_the_middle(void **state)
{
    (void)state;
    static const uint64_t counters[] = {42499523, 221157906, 422237655, 623686432};
    const weft_random_key key = weft_random_key_make(1, "near");
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) check_block(key, counters[i], 0.02);
}

static void check_near(double got, double expected, const char *what, const char *set, uint32_t word)
{
    if (!(fabs(got - expected) <= 0x1p-50 * fabs(expected)))
        fail_msg("%s, %s of word %u: %a, not %a", set, what, (unsigned)word, got, expected);
}

/* The arguments that words first .. first + BLOCK - 1 stand for. */
static void check_words(uint32_t first)
{
    double u[BLOCK], v[BLOCK], logarithm[BLOCK], cosine[BLOCK];
    for (uint32_t i = 0; i < BLOCK; i++) {
        logarithm[i] = log(((double)(first + i) + 0.5) * 0x1p-32);
        cosine[i] = cos(6.283185307179586476925 * ((double)(first + i) * 0x1p-32));
    }
    for (weft_vectors set = WEFT_VECTORS_PLAIN; set < WEFT_VECTOR_SETS; set++) {
        const weft_normals *normals = weft_normals_get(set);
        if (normals == NULL) continue;
        for (uint32_t i = 0; i < BLOCK; i++) {
            u[i] = ((double)(first + i) + 0.5) * 0x1p-32;
            v[i] = (double)(first + i) * 0x1p-32;
        }
        normals->logarithms(u);
        normals->cosines(v);
        for (uint32_t i = 0; i < BLOCK; i++) {
            check_near(u[i], logarithm[i], "logarithm", normals->name, first + i);
            check_near(v[i], cosine[i], "cosine", normals->name, first + i);
        }
    }
}

/* The ends, the eighths of a turn, the powers of two between which logarithms change their course, and some of the
 * rest; or all. */
static void test_functions(void **state)
{
    (void)state;
    enum { AROUND = 1 << 14 };
    for (uint64_t word = 0; all && word <= UINT32_MAX; word += BLOCK) check_words((uint32_t)word);
    if (all) return;
    for (uint32_t eighth = 0; eighth < 8; eighth++)
        for (uint32_t i = 0; i < 2 * AROUND; i += BLOCK) check_words((eighth << 29) + i - AROUND);
    for (int bit = 0; bit < 32; bit++) {
        check_words((UINT32_C(1) << bit) - BLOCK / 2);
        check_words((uint32_t)(0x1.6a09e667f3bcdp-1 * (double)(UINT64_C(2) << bit)) - BLOCK / 2);
    }
    const weft_random_key dice = weft_random_key_make(3, "words");
    for (uint64_t i = 0; i < 10000; i++) check_words((uint32_t)weft_random_bits(dice, i));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_range), cmocka_unit_test(test_carries),
                                       cmocka_unit_test(test_sets), cmocka_unit_test(test_near_the_middle),
                                       cmocka_unit_test(test_functions)};
    all = argc > 1 && strcmp(argv[1], "all") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
