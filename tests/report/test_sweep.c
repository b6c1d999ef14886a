/* Sweeps: their figures, what limits them, their files. */
#include "report/sweep.h"
#include "xml.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SWEEP_ROWS = 5 };

static const size_t sweep_memory[SWEEP_ROWS][2] = {
    {3 << 20, 2 << 20}, {3 << 20, 4 << 20}, {5 << 20, 4 << 20}, {6 << 20, 5 << 20}, {9 << 20, 8 << 20}};

/* Sizes 1 to 16 of a batch of 16 sequences of 10 tokens. Small ones are slow while busy, large ones stand idle; the
 * last does not fit, and 8 was not run. */
static void make_sweep(weft_sweep *sweep, weft_sweep_row *rows, double peak)
{
    static const double busy[SWEEP_ROWS] = {4, 2, 1.8, 1.75, 0}, bubble[SWEEP_ROWS] = {0.05, 0.1, 0.4, 0.7, 0};
    *sweep = (weft_sweep){.schedule = "a<b",
                          .data = 1,
                          .ranks = 2,
                          .stages = 4,
                          .sequences = 16,
                          .tokens = 10,
                          .steps = 3,
                          .step_flops = 1e9,
                          .peak = peak,
                          .rows = rows,
                          .count = SWEEP_ROWS};
    for (int i = 0; i < SWEEP_ROWS; i++) {
        double seconds = busy[i] / (1 - bubble[i]);
        rows[i] = (weft_sweep_row){.microbatch = 1 << i, .microbatches = 16 >> i, .memory = sweep_memory[i]};
        if (i < 3) {
            rows[i].outcome = WEFT_SWEEP_MEASURED;
            rows[i].measured = weft_sweep_figure(sweep, seconds, bubble[i]);
            rows[i].has_prediction = true;
            rows[i].predicted = weft_sweep_figure(sweep, seconds * (i == 2 ? 0.5 : 1), bubble[i]);
        }
    }
    rows[4].outcome = WEFT_SWEEP_TOO_LARGE;
    rows[4].reason = "it needs \"more\"";
}

static void assert_near(double a, double b)
{
    assert_true(fabs(a - b) <= 1e-12 * fabs(b));
}

static void test_sweep_figures(void **state)
{
    (void)state;
    weft_sweep sweep;
    weft_sweep_row rows[SWEEP_ROWS];
    make_sweep(&sweep, rows, 2e9);
    for (int i = 0; i < 3; i++) {
        const weft_sweep_figures *f = &rows[i].measured;
        assert_near(f->tokens_per_second * sweep.step_flops / (16 * 10), sweep.peak * f->peak_share);
        assert_near(f->peak_share, f->busy_peak_share * (1 - f->bubble));
    }
    assert_int_equal(weft_sweep_best(&sweep), 1);
    assert_int_equal(weft_sweep_predicted_best(&sweep), 2);
    assert_int_equal(weft_sweep_memory(&sweep, &rows[1]), 4 << 20);
    assert_true(isnan(weft_sweep_figure(&(weft_sweep){.step_flops = 1, .sequences = 1, .tokens = 1}, 1, 0).peak_share));
}

static void assert_explained(const weft_sweep *sweep, bool larger, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_sweep_explain(sweep, larger, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static void test_sweep_limits(void **state)
{
    (void)state;
    weft_sweep sweep;
    weft_sweep_row rows[SWEEP_ROWS];
    make_sweep(&sweep, rows, 2e9);
    assert_explained(
        &sweep, false,
        "the device limits: it reaches 0.12 of its peak while busy at 1, 0.25 at 2; the bubble takes 5.0 % "
        "of the step at 1, 10.0 % at 2");
    assert_explained(&sweep, true,
                     "the bubble limits: it takes 40.0 % of the step at 4, 10.0 % at 2; the device reaches 0.28 of its "
                     "peak while busy at 4, 0.25 at 2");
    sweep.peak = 0;
    assert_explained(&sweep, false,
                     "the device limits: it does 40 tokens/s while busy at 1, 80 at 2; the bubble takes 5.0 % of the "
                     "step at 1, 10.0 % at 2");
    rows[0].outcome = WEFT_SWEEP_NOT_RUN;
    assert_explained(&sweep, false, "nothing smaller was measured");
    rows[2].outcome = WEFT_SWEEP_TOO_LARGE;
    assert_explained(&sweep, true, "memory limits: 4 does not fit");
    rows[1].outcome = WEFT_SWEEP_NOT_RUN;
    assert_int_equal(weft_sweep_best(&sweep), -1);
    assert_int_equal(weft_sweep_limit(&sweep, true).row, -1);
}

/* Every file of a sweep, whatever part of it is known. */
static void test_sweep_files(void **state)
{
    (void)state;
    static void (*const writers[])(const weft_sweep *, weft_text *) = {weft_sweep_json, weft_sweep_csv, weft_sweep_svg,
                                                                       weft_sweep_text_end};
    weft_sweep sweep;
    weft_sweep_row rows[SWEEP_ROWS];
    for (int known = 3; known >= 0; known--) {
        make_sweep(&sweep, rows, known > 1 ? 2e9 : 0);
        for (int i = known; i < 3; i++) rows[i].outcome = WEFT_SWEEP_NOT_RUN, rows[i].has_prediction = i < 2;
        for (size_t w = 0; w < sizeof writers / sizeof *writers; w++) {
            weft_text text;
            weft_text_init(&text);
            writers[w](&sweep, &text);
            assert_false(text.failed);
            const char *wrote = weft_text_get(&text);
            assert_null(strstr(wrote, "nan"));
            if (w == 0) assert_int_equal(count_of(wrote, "\"outcome\": \"measured\""), known);
            if (w == 1) assert_int_equal(count_of(wrote, ",measured,"), known);
            if (w == 2) check_well_formed(wrote);
            if (w == 2) assert_int_equal(count_of(wrote, ", measured, at "), known * (known > 1 ? 4 : 2));
            if (w == 2) assert_int_equal(count_of(wrote, ">does not fit<"), 2); /* in both plots */
            weft_text_fini(&text);
        }
    }
    sweep.count = 1; /* one size has no scale to lie on */
    weft_text text;
    weft_text_init(&text);
    weft_sweep_svg(&sweep, &text);
    check_well_formed(weft_text_get(&text));
    assert_null(strstr(weft_text_get(&text), "nan"));
    weft_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep_figures),
        cmocka_unit_test(test_sweep_limits),
        cmocka_unit_test(test_sweep_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
