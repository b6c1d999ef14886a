/*
 * A device that reaches its events later asks no more of the host: how often the host looks depends on how many
 * instructions there are, not on how long they take.
 */
#include "deferred.h"
#include "layouts.h"
#include "place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t count_polls(const char *microseconds, const char *layout)
{
    const char *keys[] = {"run.steps=2",
                          "model.layers=4",
                          "model.width=16",
                          "model.heads=2",
                          "parallel.pipeline=2",
                          "run.evaluate_batches=1",
                          layout,
                          "batch.tokens=8",
                          "checkpoint.every=100",
                          NULL};
    test_run run = {.device = "deferred"};
    weft_error error;
    weft_error_clear(&error);
    snprintf(run.folder, sizeof run.folder, "%s/%s-%s", test_folder, microseconds, layout);
    assert_int_equal(setenv("WEFT_DEFERRED_DELAY", microseconds, 1), 0);
    int64_t before = deferred_polls();
    if (test_train(&run, test_corpus, keys, &error) != WEFT_OK) fail_msg("%s", error.text);
    return deferred_polls() - before;
}

static void assert_same_polls(const char *layout)
{
    int64_t soon = count_polls("2000", layout), late = count_polls("16000", layout);
    print_message("%s: %d polls, %d when events are reached eight times as late\n", layout, (int)soon, (int)late);
    assert_true(late < 2 * soon);
}

static void test_messages(void **state)
{
    (void)state;
    assert_same_polls("parallel.schedule=1f1b");
}

static void test_sums(void **state)
{
    (void)state;
    assert_same_polls("parallel.data=2");
}

static void test_exchanges(void **state)
{
    (void)state;
    assert_same_polls("parallel.tensor=2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_messages), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_exchanges)};
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
