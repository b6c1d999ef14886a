/* What a run tells of its steps: progress for people, lines of metrics for programs. */
#include "report/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_progress(const weft_step_record *record, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_report_progress(record, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static void test_progress(void **state)
{
    (void)state;
    weft_step_record record = {.step = 7,
                               .steps = 600,
                               .loss = 1.23456,
                               .tokens_per_second = 9876.4,
                               .flops_per_second = 71e9,
                               .peak = 100e9,
                               .seconds_left = 83.4};
    check_progress(&record, "step   7/600  loss 1.2346  9876 tokens/s  71% of peak  1:23 left");
    record.peak = 0;
    record.tokens_per_second = 12345;
    record.seconds_left = 3661;
    check_progress(&record, "step   7/600  loss 1.2346  12.3k tokens/s  1:01:01 left");
    record.loss = NAN;
    record.tokens_per_second = NAN;
    record.seconds_left = -1;
    check_progress(&record, "step   7/600  loss nan");
    record.tokens_per_second = 2.5e7;
    record.seconds_left = INFINITY;
    check_progress(&record, "step   7/600  loss nan  25.0M tokens/s");
    record.skipped = WEFT_SKIPPED_LOSS;
    record.limit = NAN;
    record.loss = -(double)NAN;
    check_progress(&record, "step   7/600  loss nan  skipped (loss not finite)  25.0M tokens/s");
    record.loss = 2;
    record.skipped = WEFT_SKIPPED_NORM;
    record.limit = 1.23456;
    check_progress(&record, "step   7/600  loss 2.0000  skipped (gradient norm above 1.235)  25.0M tokens/s");
}

static void check_step_json(const weft_step_record *record, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_report_step_json(record, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static void test_step_json(void **state)
{
    (void)state;
    double bubble[] = {0.25, NAN};
    weft_step_record record = {.step = 7,
                               .steps = 9,
                               .loss = 5.5,
                               .gradient_norm = 1.25,
                               .learning_rate = 0.0003,
                               .seconds = 0.5,
                               .tokens_per_second = 4096,
                               .flops_per_second = 2e9,
                               .peak = 8e9,
                               .ranks = 2,
                               .bubble = bubble};
    check_step_json(&record, "{\"step\":7,\"loss\":5.5,\"gradient_norm\":1.25,\"learning_rate\":0.0003,\"seconds\":0.5,"
                             "\"tokens_per_second\":4096,\"flops_per_second\":2.0e+09,\"peak_share\":0.25,"
                             "\"bubble\":[0.25,null]}\n");
    const weft_source_loss sources[] = {{.path = "a b.bin", .loss = 2.5, .targets = 8}, {.path = "\"c\\", .loss = NAN}};
    record = (weft_step_record){
        .step = 2, .loss = 3, .adds = true, .cross_entropy = 2.75, .sources = sources, .source_count = 2};
    check_step_json(&record, "{\"step\":2,\"loss\":3,\"cross_entropy\":2.75,\"loss_by_source\":{\"a b.bin\":2.5,"
                             "\"\\\"c\\\\\":null},\"gradient_norm\":0,\"learning_rate\":0,\"seconds\":0,"
                             "\"tokens_per_second\":0,\"flops_per_second\":0,\"peak_share\":null,\"bubble\":[]}\n");
    record = (weft_step_record){.step = 1, .loss = INFINITY, .gradient_norm = NAN, .learning_rate = -INFINITY};
    check_step_json(&record, "{\"step\":1,\"loss\":null,\"gradient_norm\":null,\"learning_rate\":null,\"seconds\":0,"
                             "\"tokens_per_second\":0,\"flops_per_second\":0,\"peak_share\":null,\"bubble\":[]}\n");
    record = (weft_step_record){
        .step = 2, .loss = 3, .gradient_norm = 8, .skipped = WEFT_SKIPPED_NORM, .limit = 2.5, .seconds = 1};
    check_step_json(&record, "{\"step\":2,\"loss\":3,\"gradient_norm\":8,\"learning_rate\":0,\"skipped\":true,"
                             "\"skipped_for\":\"gradient_norm\",\"limit\":2.5,\"seconds\":1,\"tokens_per_second\":0,"
                             "\"flops_per_second\":0,\"peak_share\":null,\"bubble\":[]}\n");
    record = (weft_step_record){.step = 2, .loss = NAN, .skipped = WEFT_SKIPPED_LOSS, .limit = NAN, .seconds = 1};
    check_step_json(&record, "{\"step\":2,\"loss\":null,\"gradient_norm\":0,\"learning_rate\":0,\"skipped\":true,"
                             "\"skipped_for\":\"loss\",\"limit\":null,\"seconds\":1,\"tokens_per_second\":0,"
                             "\"flops_per_second\":0,\"peak_share\":null,\"bubble\":[]}\n");
}

/* Losses are compared bit for bit between runs, also through their text. */
static void test_numbers_come_back(void **state)
{
    (void)state;
    double value = 0.1;
    for (int i = 0; i < 2000; i++, value = value * 1.37 + 1.0 / 3) {
        if (value > 1e12) value = 1e-7 * i;
        weft_step_record record = {.loss = value};
        weft_text text;
        weft_text_init(&text);
        weft_report_step_json(&record, &text);
        const char *loss = strstr(weft_text_get(&text), "\"loss\":");
        assert_non_null(loss);
        assert_true(strtod(loss + 7, NULL) == value);
        weft_text_fini(&text);
    }
}

static void test_evaluation_json(void **state)
{
    (void)state;
    weft_evaluation_record record = {.step = 600, .loss = 1.5, .bits_per_byte = 2.25, .tokens = 123456789012};
    weft_text text;
    weft_text_init(&text);
    weft_report_evaluation_json(&record, &text);
    record.bits_per_byte = 0;
    record.loss = NAN;
    weft_report_evaluation_json(&record, &text);
    assert_string_equal(
        weft_text_get(&text),
        "{\"evaluation\":true,\"step\":600,\"loss\":1.5,\"bits_per_byte\":2.25,\"tokens\":123456789012}\n"
        "{\"evaluation\":true,\"step\":600,\"loss\":null,\"bits_per_byte\":null,\"tokens\":123456789012}\n");
    weft_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_step_json),
        cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_evaluation_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
