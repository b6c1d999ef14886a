/* Each allocation in turn fails, while schedules are made, written, read and worked on. */
#include "../base/failing.h"
#include "schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static weft_status derive(const weft_schedule *schedule, weft_text *text, weft_schedule *out[3], weft_error *error)
{
    weft_schedule_write_text(schedule, text);
    TRY(weft_text_check(text, error));
    text->length = 0;
    weft_schedule_write_csv(schedule, text);
    TRY(weft_text_check(text, error));
    TRY(weft_schedule_read_csv(weft_text_get(text), text->length, "a.csv", WEFT_CSV_CURRENT, &out[0], error));
    TRY(weft_schedule_forward(schedule, &out[1], error));
    return weft_schedule_write_out_messages(schedule, true, &out[2], error);
}

static weft_status make(void *context, weft_error *error)
{
    const weft_schedule_options *options = context;
    weft_schedule *schedule = NULL, *derived[3] = {NULL};
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_schedule_create(options, &schedule, error);
    if (status == WEFT_OK) status = derive(schedule, &text, derived, error);
    for (int i = 0; i < 3; i++) weft_schedule_destroy(derived[i]);
    weft_schedule_destroy(schedule);
    weft_text_fini(&text);
    return status;
}

static void test_every_kind(void **state)
{
    (void)state;
    for (const char *const *kind = weft_schedule_kind_names(); *kind; kind++) {
        weft_schedule_options options = {.kind = *kind, .ranks = 2, .microbatches = 4};
        assert_true(failing_each(make, &options, FAILING_REPORTS) > 10);
    }
    weft_schedule_options list = {.kind = "breadth-first", .ranks = 2, .microbatches = 4, .placement = "0,1,1,0"};
    assert_true(failing_each(make, &list, FAILING_REPORTS) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_kind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
