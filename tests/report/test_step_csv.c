/* Measured steps as CSV: what is written is read back, and whatever else stands there is refused with its place. */
#include "report/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct scene {
    weft_schedule *schedule;
    weft_program *program;
    weft_timeline timeline, back;
    weft_text text;
} scene;

static void scene_init(scene *it)
{
    weft_schedule_options options = {.kind = "1f1b", .ranks = 2, .microbatches = 3};
    weft_lower_options lower = {.update = true, .norm = true, .tied = true, .metrics = true};
    double times[] = {0.125, 0.3};
    weft_costs costs = {.forward = times, .backward_input = times, .backward_weight = times, .message = 0.01};
    weft_error error = {0};
    assert_int_equal(weft_schedule_create(&options, &it->schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(it->schedule, &lower, &it->program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&it->timeline, it->program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&it->back, it->program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(it->program, &costs, &it->timeline, &error), WEFT_OK);
    weft_text_init(&it->text);
    weft_report_step_csv(&(weft_timeline_record){.begin = -0.25, .end = 9.5, .measured = &it->timeline}, &it->text);
    assert_int_equal(weft_text_check(&it->text, &error), WEFT_OK);
}

static void scene_fini(scene *it)
{
    weft_text_fini(&it->text);
    weft_timeline_fini(&it->timeline);
    weft_timeline_fini(&it->back);
    weft_program_destroy(it->program);
    weft_schedule_destroy(it->schedule);
}

static void test_round_trip(void **state)
{
    (void)state;
    scene it;
    weft_error error = {0};
    weft_timeline_record record = {0};
    scene_init(&it);
    weft_text marked; /* as an editor may save it */
    weft_text_init(&marked);
    weft_text_add(&marked, "\xef\xbb\xbf%s", weft_text_get(&it.text));
    const char *texts[] = {weft_text_get(&marked), weft_text_get(&it.text)};
    for (int i = 0; i < 2; i++) {
        if (weft_report_read_step_csv(texts[i], "x.csv", &it.back, &record, &error) != WEFT_OK)
            fail_msg("%s", error.text);
        assert_true(record.begin == -0.25 && record.end == 9.5);
    }
    weft_text_fini(&marked);
    for (uint32_t a = 0; a < it.program->action_count; a++) {
        assert_true(fabs(it.back.begin[a] - it.timeline.begin[a]) < 1e-9);
        assert_true(fabs(it.back.end[a] - it.timeline.end[a]) < 1e-9);
    }
    scene_fini(&it);
}

/* Replaces the first `from` by `to`; the message must be this. */
static void refuse(const scene *it, const char *from, const char *to, const char *message)
{
    weft_error error = {0};
    weft_timeline_record record = {0};
    weft_text text;
    weft_text_init(&text);
    const char *at = strstr(it->text.bytes, from);
    assert_non_null(at);
    weft_text_add_bytes(&text, it->text.bytes, (size_t)(at - it->text.bytes));
    weft_text_add(&text, "%s%s", to, at + strlen(from));
    assert_int_equal(weft_report_read_step_csv(text.bytes, "x.csv", (weft_timeline *)&it->back, &record, &error),
                     WEFT_INVALID);
    assert_string_equal(error.text, message);
    weft_text_fini(&text);
}

static void test_refused(void **state)
{
    (void)state;
    scene it;
    scene_init(&it);
    refuse(&it, "rank,lane", "rank;lane",
           "x.csv:1: expects the names of the columns, 'rank,lane,action,stage,microbatch,begin,end', not "
           "'rank;lane,action,stage,microbatch,begin,end'");
    refuse(&it, ",,STEP,,,-0.250000000,9.500000000\n", "",
           "x.csv:2: expects the whole step, ',,STEP,,,', not '0,compute,F,0,0,0.000000000,0.125000000'");
    refuse(&it, "0,compute,F,0,1,", "0,compute,F,0,7,",
           "x.csv:4: expects 0F1, '0,compute,F,0,1,', not '0,compute,F,0,7,0.125000000,0.250000000'");
    refuse(&it, "0,compute,F,0,1,0.125", "0,compute,F,0,1,soon",
           "x.csv:4: column begin: expects seconds, not 'soon000000'");
    refuse(&it, "0,compute,F,0,1,0.125000000", "0,compute,F,0,1,inf",
           "x.csv:4: column begin: expects seconds, not 'inf'");
    refuse(&it, "0.125000000,0.250000000", "0.125000000", "x.csv:4: column begin: expects a comma behind it");
    refuse(&it, "0.125000000,0.250000000", "0.125000000,", "x.csv:4: column end: expects seconds, not ''");
    refuse(&it, "0.125000000,0.250000000", "0.125000000,0.25,1",
           "x.csv:4: column end: expects the end of the line behind it");
    refuse(&it, "0.125000000,0.250000000", "0.125000000,0.1", "x.csv:4: ends before it begins");
    scene_fini(&it);
}

static void test_length(void **state)
{
    (void)state;
    scene it;
    weft_error error = {0};
    weft_timeline_record record = {0};
    scene_init(&it);
    weft_text_add(&it.text, "1,compute,F,1,0,1,2\n");
    assert_int_equal(weft_report_read_step_csv(it.text.bytes, "x.csv", &it.back, &record, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "has more rows than the program has actions: '1,compute,F,1,0,1,2'"));
    /* Every shorter text is refused: none is a whole step. */
    size_t whole = it.text.length - strlen("1,compute,F,1,0,1,2\n");
    for (size_t length = 0; length < whole; length++) {
        it.text.bytes[whole - 1 - length] = 0;
        assert_int_equal(weft_report_read_step_csv(it.text.bytes, "x.csv", &it.back, &record, &error), WEFT_INVALID);
    }
    assert_non_null(strstr(error.text, "x.csv:1: ends here; the names of the columns is missing"));
    scene_fini(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
