/* Each allocation in turn fails, while programs are made, proved, printed and refused. */
#include "../base/failing.h"
#include "build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct request {
    const weft_schedule *schedule;
    weft_lower_options options;
} request;

static weft_status use(const weft_program *program, weft_text *text, weft_error *error)
{
    weft_timeline timeline;
    TRY(weft_program_verify(program, error));
    weft_program_print(program, text);
    TRY(weft_text_check(text, error));
    TRY(weft_timeline_init(&timeline, program, error));
    weft_timeline_fini(&timeline);
    return WEFT_OK;
}

static weft_status make(void *context, weft_error *error)
{
    const request *it = context;
    weft_program *program = NULL;
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_program_create(it->schedule, &it->options, &program, error);
    if (status == WEFT_OK) status = use(program, &text, error);
    weft_program_destroy(program);
    weft_text_fini(&text);
    return status;
}

static void test_programs(void **state)
{
    (void)state;
    dice d = {3};
    for (int i = 0; i < 40; i++) {
        stage_sizes sizes;
        weft_schedule *schedule = i % 2 ? build_kind(&d) : build_random(&d);
        build_sizes(&d, schedule->stages, &sizes);
        request it = {schedule, build_options(&d, &sizes)};
        assert_true(failing_each(make, &it, FAILING_REPORTS) > 10);
        weft_schedule_destroy(schedule);
    }
}

/* To find the shortest circle takes memory too; a refusal is what a whole call ends with. */
static weft_status make_circle(void *context, weft_error *error)
{
    weft_program *program = NULL;
    weft_status status = weft_program_create(context, &(weft_lower_options){0}, &program, error);
    assert_null(program);
    return status == WEFT_INVALID && strstr(error->text, "waits in a circle") ? WEFT_OK : status;
}

static void test_circle(void **state)
{
    (void)state;
    weft_action rows[] = {{WEFT_F, 0, 0, 0, 0}, {WEFT_B, 0, 0, 0, 0}, {WEFT_F, 0, 0, 0, 1}, {WEFT_B, 0, 0, 0, 1},
                          {WEFT_F, 0, 0, 1, 0}, {WEFT_F, 0, 0, 1, 1}, {WEFT_B, 0, 0, 1, 0}, {WEFT_B, 0, 0, 1, 1}};
    int32_t home[] = {0, 1};
    size_t first[] = {0, 4, 8};
    weft_schedule schedule = {.ranks = 2,
                              .loops = 1,
                              .stages = 2,
                              .microbatches = 2,
                              .name = "circle",
                              .stage_rank = home,
                              .first = first,
                              .actions = rows};
    assert_true(failing_each(make_circle, &schedule, FAILING_REPORTS) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_programs), cmocka_unit_test(test_circle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
