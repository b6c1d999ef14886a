/* Lines of metrics.jsonl come back as they were written; a line that was cut anywhere is none. */
#include "report/metrics_read.h"
#include "report/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const weft_step_record step = {.step = 123456789012,
                                      .loss = 1.0 / 3,
                                      .gradient_norm = NAN,
                                      .learning_rate = (float)3e-5,
                                      .seconds = 0.5,
                                      .tokens_per_second = 1.0e7 / 3,
                                      .ranks = 2,
                                      .bubble = (const double[]){0.25, NAN}};

static void test_steps(void **state)
{
    (void)state;
    weft_metrics_line line;
    weft_text text;
    weft_text_init(&text);
    weft_report_step_json(&step, &text);
    size_t length = text.length - 1;
    assert_true(weft_metrics_line_read(text.bytes, length, &line));
    assert_true(line.step == step.step && !line.evaluation);
    assert_true(line.values[WEFT_METRICS_LOSS] == step.loss);
    assert_true(isnan(line.values[WEFT_METRICS_GRADIENT_NORM]));
    assert_true((float)line.values[WEFT_METRICS_LEARNING_RATE] == (float)step.learning_rate);
    assert_true(line.values[WEFT_METRICS_TOKENS_PER_SECOND] == step.tokens_per_second);
    assert_true(isnan(line.values[WEFT_METRICS_BITS_PER_BYTE]));
    for (size_t cut = 0; cut < length; cut++) assert_false(weft_metrics_line_read(text.bytes, cut, &line));
    weft_text_fini(&text);
}

static void expect_source(const weft_metrics_line *line, weft_metrics_source *source, const char *name, double value)
{
    assert_true(weft_metrics_source_next(line, source));
    assert_true(source->length == strlen(name) && memcmp(source->name, name, source->length) == 0);
    assert_true(isnan(value) ? isnan(source->value) : source->value == value);
}

/* Names keep their escapes; what stands behind them in the line is no source. */
static void test_sources(void **state)
{
    (void)state;
    const weft_source_loss sources[] = {
        {.path = "a, b", .loss = 2.5}, {.path = "\"c}", .loss = NAN}, {.path = "d", .loss = 1}};
    weft_step_record record = step;
    weft_metrics_line line;
    weft_metrics_source source = {.name = NULL};
    weft_text text;
    record.adds = true;
    record.cross_entropy = 0.25;
    record.sources = sources;
    record.source_count = 3;
    weft_text_init(&text);
    weft_report_step_json(&record, &text);
    assert_true(weft_metrics_line_read(text.bytes, text.length - 1, &line));
    assert_true(line.values[WEFT_METRICS_LOSS] == step.loss && line.values[WEFT_METRICS_CROSS_ENTROPY] == 0.25);
    expect_source(&line, &source, "a, b", 2.5);
    expect_source(&line, &source, "\\\"c}", (double)NAN);
    expect_source(&line, &source, "d", 1);
    assert_false(weft_metrics_source_next(&line, &source));
    weft_text_fini(&text);
    static const char *const none[] = {"{\"step\":1}", "{\"step\":1,\"loss_by_source\":{}}",
                                       "{\"step\":1,\"loss_by_source\":[1,2]}", "{\"loss_by_source\":null,\"step\":1}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        source = (weft_metrics_source){.name = NULL};
        assert_true(weft_metrics_line_read(none[i], strlen(none[i]), &line));
        assert_false(weft_metrics_source_next(&line, &source));
    }
}

static void test_evaluations(void **state)
{
    (void)state;
    const weft_evaluation_record record = {.step = 7, .loss = 2.5, .bits_per_byte = 1.25, .tokens = 64};
    weft_metrics_line line;
    weft_text text;
    weft_text_init(&text);
    weft_report_evaluation_json(&record, &text);
    assert_true(weft_metrics_line_read(text.bytes, text.length - 1, &line));
    assert_true(line.step == 7 && line.evaluation);
    assert_true(line.values[WEFT_METRICS_LOSS] == 2.5 && line.values[WEFT_METRICS_BITS_PER_BYTE] == 1.25);
    weft_text_fini(&text);
}

static void test_other_lines(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"step\":1}", " { \"step\" : 2 , \"loss\" : -1.5e+3 } ", "{\"step\":3,\"loss\":NaN}", "{\"step\":4.0e0}\r",
        "{\"step\":5,\"more\":{\"a\":[1,\"\\\"]\",{}],\"b\":null},\"less\":[[],[true]]}"};
    static const char *const bad[] = {"",
                                      "{}",
                                      "null",
                                      "[1]",
                                      "{\"step\":0}",
                                      "{\"step\":-1}",
                                      "{\"step\":1.5}",
                                      "{\"step\":1e99}",
                                      "{\"step\":null}",
                                      "{\"step\":\"1\"}",
                                      "{\"loss\":1}",
                                      "{\"step\":1,}",
                                      "{\"step\":1}}",
                                      "{\"step\":1}{\"step\":2}",
                                      "{\"step\":1,\"loss\":}",
                                      "{\"step\":1,\"loss\":1.}",
                                      "{\"step\":1,\"loss\":.5}",
                                      "{\"step\":1,\"loss\":1e}",
                                      "{\"step\":1,\"loss\":0x10}",
                                      "{\"step\":1,\"loss\":inf}",
                                      "{\"step\":1,\"a\":[1,2}",
                                      "{\"step\":1 \"a\":2}",
                                      "{step:1}"};
    weft_metrics_line line;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(weft_metrics_line_read(good[i], strlen(good[i]), &line));
        assert_int_equal(line.step, i + 1);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (weft_metrics_line_read(bad[i], strlen(bad[i]), &line)) fail_msg("taken for a line: %s", bad[i]);
}

/* Nesting has an end, also that of a hostile file. */
static void test_deep(void **state)
{
    (void)state;
    weft_metrics_line line;
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "{\"step\":1,\"a\":");
    for (int i = 0; i < 100000; i++) weft_text_add(&text, "[");
    assert_false(weft_metrics_line_read(text.bytes, text.length, &line));
    weft_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_sources),
                                       cmocka_unit_test(test_evaluations), cmocka_unit_test(test_other_lines),
                                       cmocka_unit_test(test_deep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
