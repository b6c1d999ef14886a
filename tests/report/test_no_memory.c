/* Each allocation in turn fails, while everything that people look at is written, and a measured step is read back. */
#include "../base/failing.h"
#include "report/chart.h"
#include "report/report.h"
#include "report/sweep.h"
#include "report/tensorboard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct writer {
    void (*write)(const weft_timeline *timeline, const weft_picture *picture, weft_text *out);
    const weft_timeline *timeline;
} writer;

static const weft_picture picture = {.title = "<title>", .caption = "caption", .unit = "ms", .unit_scale = 1e3};

static void write_stack(const weft_timeline *timeline, const weft_picture *words, weft_text *out)
{
    const weft_panel panels[] = {{timeline, words}, {timeline, words}};
    weft_report_svg_stack(panels, 2, out);
    weft_report_html(panels, 2, out);
    weft_report_trace_stack(panels, 2, out);
}

static void write_csv(const weft_timeline *timeline, const weft_picture *words, weft_text *out)
{
    (void)words;
    weft_report_csv(timeline, out);
}

static void write_sweep(const weft_timeline *timeline, const weft_picture *words, weft_text *out)
{
    (void)timeline;
    (void)words;
    const size_t memory[] = {1000, 2000};
    weft_sweep sweep = {.schedule = "gpipe",
                        .ranks = 2,
                        .stages = 2,
                        .data = 1,
                        .tensor = 1,
                        .sequences = 4,
                        .tokens = 8,
                        .steps = 1,
                        .step_flops = 1e9,
                        .peak = 1e9,
                        .count = 2};
    weft_sweep_row rows[] = {{.microbatch = 1, .microbatches = 4, .outcome = WEFT_SWEEP_MEASURED, .memory = memory},
                             {.microbatch = 2, .microbatches = 2, .outcome = WEFT_SWEEP_MEASURED, .memory = memory}};
    rows[0].measured = weft_sweep_figure(&sweep, 2, 0.1);
    rows[1].measured = weft_sweep_figure(&sweep, 3, 0.2);
    sweep.rows = rows;
    weft_sweep_text_head(&sweep, out);
    weft_sweep_text_row(&sweep, rows, out);
    weft_sweep_text_end(&sweep, out);
    weft_sweep_json(&sweep, out);
    weft_sweep_csv(&sweep, out);
    weft_sweep_svg(&sweep, out);
}

static void write_curves(const weft_timeline *timeline, const weft_picture *words, weft_text *out)
{
    (void)timeline;
    (void)words;
    const weft_chart_point points[] = {{.x = 1, .y = 5, .note = "one"}, {.x = 300, .y = 0.01}};
    const weft_chart_line lines[] = {{"a", 0, points, 2, WEFT_CHART_CURVE}, {"b", 1, points, 2, WEFT_CHART_MARKS}};
    const weft_chart_plot plot = {.title = "t", .x_name = "x", .lines = lines, .line_count = 2, .marks_name = "m"};
    const weft_chart chart = {.title = "t", .caption = "c", .plots = &plot, .plot_count = 1};
    const weft_chart_screen screen = {80, 24, true, true};
    const weft_step_record step = {.step = 1, .loss = 2};
    weft_chart_text(&plot, &screen, out);
    weft_chart_svg(&chart, out);
    weft_tensorboard_begin(1, 1, out);
    weft_tensorboard_step(1, &step, out);
}

static weft_status write_text(void *context, weft_error *error)
{
    const writer *it = context;
    weft_text text;
    weft_text_init(&text);
    it->write(it->timeline, &picture, &text);
    weft_status status = weft_text_check(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status read_back(const weft_text *text, const weft_program *program, weft_error *error)
{
    weft_timeline timeline;
    weft_timeline_record record;
    TRY(weft_text_check(text, error));
    TRY(weft_timeline_init(&timeline, program, error));
    weft_status status = weft_report_read_step_csv(weft_text_get(text), "step", &timeline, &record, error);
    weft_timeline_fini(&timeline);
    return status;
}

static weft_status write_and_read_step(void *context, weft_error *error)
{
    const weft_timeline *timeline = context;
    weft_timeline_record record = {.step = 3, .end = 1, .measured = timeline};
    weft_text text;
    weft_text_init(&text);
    weft_report_step_csv(&record, &text);
    weft_status status = read_back(&text, timeline->program, error);
    weft_text_fini(&text);
    return status;
}

static void test_every_allocation(void **state)
{
    (void)state;
    static void (*const writers[])(const weft_timeline *, const weft_picture *, weft_text *) = {
        weft_report_svg, weft_report_trace, write_stack, write_csv, write_sweep, write_curves};
    static const double ones[] = {1, 1, 1, 1};
    weft_costs costs = {.forward = ones, .backward_input = ones, .backward_weight = ones, .message = 0.5};
    weft_schedule_options options = {.kind = "breadth-first", .ranks = 2, .loops = 2, .microbatches = 2};
    weft_lower_options lower = {.clip = true, .update = true, .data = 2, .shard = WEFT_SHARD_WEIGHTS};
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_timeline timeline;
    weft_error error;
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(schedule, &lower, &program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        writer it = {writers[i], &timeline};
        assert_true(failing_each(write_text, &it, FAILING_REPORTS) > 5);
    }
    assert_true(failing_each(write_and_read_step, &timeline, FAILING_REPORTS) > 5);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
