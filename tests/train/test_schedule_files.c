/* Schedules from files and placements from lists: they train with the bits of one worker, or say why not. */
#include "layouts.h"
#include "place.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static test_run alone; /* one worker */

static const char order_note[] = "gradients do not arrive in ascending micro-batch order";

/* Trains with the settings; file: a schedule written to a file, or NULL. */
static weft_status train(const char *name, const char *file, const char *const *settings, test_run *run,
                         weft_error *error)
{
    char path[128], schedule[160];
    const char *overrides[16] = {"device=reference"};
    int count = 1;
    snprintf(run->folder, sizeof run->folder, "%s/%s", test_folder, name);
    snprintf(path, sizeof path, "%s/%s.csv", test_folder, name);
    snprintf(schedule, sizeof schedule, "parallel.schedule=%s", path);
    if (file) {
        assert_int_equal(weft_file_write(path, file, strlen(file), error), WEFT_OK);
        overrides[count++] = schedule;
    }
    while (*settings) overrides[count++] = *settings++;
    overrides[count] = NULL;
    weft_error_clear(error);
    return test_train(run, test_corpus, overrides, error);
}

static int set_up(void **state)
{
    weft_error error;
    const char *none[] = {NULL};
    if (test_place_set_up(state) != 0) return -1;
    return train("alone", NULL, none, &alone, &error) == WEFT_OK ? 0 : -1;
}

static void check_same_bits(const char *name, const test_run *run)
{
    bool same = false;
    weft_error error;
    weft_text difference;
    weft_text_init(&difference);
    assert_memory_equal(alone.losses, run->losses, sizeof alone.losses);
    assert_memory_equal(&alone.held_out, &run->held_out, sizeof alone.held_out);
    assert_int_equal(weft_checkpoint_compare(alone.folder, run->folder, &same, &difference, &error), WEFT_OK);
    if (!same) fail_msg("%s: %s", name, weft_text_get(&difference));
    weft_text_fini(&difference);
    assert_null(strstr(run->notes, order_note));
}

static void check_trains(const char *name, const char *file, const char *const *settings)
{
    test_run run = {0};
    weft_error error;
    if (train(name, file, settings, &run, &error) != WEFT_OK) fail_msg("%s: %s", name, error.text);
    check_same_bits(name, &run);
}

/* What a kind is, written to a file. */
static void check_kind(const char *kind, int32_t ranks, int32_t loops)
{
    char name[64], pipeline[64];
    const char *settings[] = {pipeline, NULL};
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .loops = loops, .microbatches = 6};
    weft_schedule *schedule = NULL;
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    weft_schedule_write_csv(schedule, &text);
    snprintf(name, sizeof name, "%s-%d-%d", kind, ranks, loops);
    snprintf(pipeline, sizeof pipeline, "parallel.pipeline=%d", ranks);
    check_trains(name, weft_text_get(&text), settings);
    weft_text_fini(&text);
    weft_schedule_destroy(schedule);
}

static void test_kinds(void **state)
{
    (void)state;
    check_kind("breadth-first", 2, 2);
    check_kind("depth-first", 4, 2);
    check_kind("zb-h2", 3, 1);
    check_kind("v-half", 2, 2);
}

/* Three ranks with one, two and one stage, some backward passes whole, some split, blanks, and a pair. */
static void test_by_hand(void **state)
{
    (void)state;
    const char *settings[] = {"parallel.pipeline=3", "parallel.stages=[2,3,1,2]", NULL};
    check_trains("by-hand",
                 "0F0,0F1,0F2,0F3,0B0,0F4,0I1,0F5,0W1,0B2,0B3,0B4,0B5\r\n"
                 ",1F0,1F1,3F0,3B0,1B0,1F2,3F1,3I1,1I1,3W1,1W1,1F3,(3F2;3B2)OVERLAP_F_B,1B2,1F4,3F3,3B3,1B3,1F5,3F4,"
                 "3B4,1B4,3F5,3B5,1B5\r\n"
                 "2F0,,2B0,2F1,2B1,2F2,2B2,2F3,2B3,2F4,2B4,2F5,2B5\r\n",
                 settings);
}

static void test_messages_as_written(void **state)
{
    (void)state;
    const char *settings[] = {"parallel.pipeline=2", "batch.microbatches=2", "batch.sequences=6", NULL};
    test_run one = {0}, two = {0};
    weft_error error;
    assert_int_equal(train("two-alone", NULL, settings + 1, &one, &error), WEFT_OK);
    assert_int_equal(train("messages",
                           "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
                           "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n",
                           settings, &two, &error),
                     WEFT_OK);
    assert_memory_equal(one.losses, two.losses, sizeof one.losses);
}

static void test_dialect_of_2024(void **state)
{
    (void)state;
    static const char file[] = "0F0,0F1,0F2,0B0,0F3,0B1,0W0,0F4,0B2,0W1,0F5,0B3,0W2,0W3,0BW4,0BW5\n"
                               "1F0,1BW0,1F1,1BW1,1F2,1BW2,1F3,1BW3,1F4,1BW4,1F5,1BW5\n";
    const char *unnamed[] = {"parallel.pipeline=2", NULL};
    const char *named[] = {"parallel.pipeline=2", "parallel.dialect=2024", NULL};
    const char *kind[] = {"parallel.schedule=gpipe", "parallel.dialect=2024", NULL};
    test_run run = {0};
    weft_error error;
    assert_int_equal(train("of-2024", file, unnamed, &run, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "parallel.dialect=2024"));
    check_trains("of-2024", file, named);
    assert_int_equal(train("no-file", NULL, kind, &run, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "only a schedule file has a dialect"));
}

/* Backward passes of rank 0 from the last to the first: it trains, and says that the bits are others. */
static void test_not_ascending(void **state)
{
    (void)state;
    const char *settings[] = {"parallel.pipeline=2", NULL};
    test_run run = {0};
    weft_error error;
    assert_int_equal(train("descending",
                           "0F0,0F1,0F2,0F3,0F4,0F5,0B5,0B4,0B3,0B2,0B1,0B0\n"
                           "1F0,1F1,1F2,1F3,1F4,1F5,1B5,1B4,1B3,1B2,1B1,1B0\n",
                           settings, &run, &error),
                     WEFT_OK);
    assert_non_null(strstr(run.notes, order_note));
    assert_int_equal(run.steps, alone.steps);
    for (int64_t i = 1; i <= run.steps; i++) assert_true(fabs(run.losses[i] - alone.losses[i]) < 1e-3);
}

static void test_placement_lists(void **state)
{
    (void)state;
    const char *middle[] = {"parallel.pipeline=3", "parallel.placement=2,0,1,1,0", "parallel.schedule=breadth-first",
                            NULL};
    const char *around[] = {"parallel.pipeline=2", "parallel.placement=0,1,1,0,1", "parallel.schedule=depth-first",
                            NULL};
    const char *turned[] = {"parallel.pipeline=2", "parallel.placement=1,0,0,1", "parallel.schedule=zb-v",
                            "parallel.stages=[1,2,3,2]", NULL};
    check_trains("middle", NULL, middle);
    check_trains("around", NULL, around);
    check_trains("turned", NULL, turned);
    const char *both[] = {"parallel.pipeline=2", "parallel.placement=0,1", NULL};
    test_run run = {0};
    weft_error error;
    assert_int_equal(train("both", "0F0,0B0\n1F0,1B0\n", both, &run, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "parallel.placement: the rows of"));
}

static int take_token(void *context, int32_t token, bool bytes)
{
    (void)token;
    *(int *)context += bytes;
    return 0;
}

/* Text comes from a pipeline of one, whatever the keys of the run's own schedule were. */
static void test_sample_of_any_schedule(void **state)
{
    (void)state;
    const char *settings[] = {"parallel.pipeline=2", "parallel.loops=2", "parallel.schedule=hybrid", "parallel.group=3",
                              NULL};
    test_run run = {0};
    weft_error error;
    int tokens = 0;
    weft_sample_options options = {.prompt = "weft", .tokens = 2, .token = take_token, .context = &tokens};
    assert_int_equal(train("hybrid", NULL, settings, &run, &error), WEFT_OK);
    if (weft_sample(run.folder, NULL, &options, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(tokens, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_dialect_of_2024),
        cmocka_unit_test(test_messages_as_written),
        cmocka_unit_test(test_not_ascending),
        cmocka_unit_test(test_placement_lists),
        cmocka_unit_test(test_sample_of_any_schedule),
    };
    return cmocka_run_group_tests(tests, set_up, test_place_tear_down);
}
