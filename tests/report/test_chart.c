/* Charts: a mark for each point that can be shown, names escaped, whatever the numbers are. */
#include "report/chart.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int count(const char *text, const char *word)
{
    int found = 0;
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) found++;
    return found;
}

static void draw(const weft_chart *chart, bool page, weft_text *out)
{
    weft_error error;
    weft_text_init(out);
    (page ? weft_chart_html : weft_chart_svg)(chart, out);
    assert_int_equal(weft_text_check(out, &error), WEFT_OK);
}

static const weft_chart_point points[] = {{.x = 0.5, .y = 10, .note = "a <b>\nc"},
                                          {.x = 2, .y = 1e7, .note = "second", .marked = true},
                                          {.x = 8, .y = 0, .note = "no logarithm"},
                                          {.x = NAN, .y = 1, .note = "nowhere"},
                                          {.x = 1, .y = INFINITY, .note = "far"}};
static const weft_chart_line lines[] = {{"one", 0, points, 5, WEFT_CHART_POINTS},
                                        {"<two>", 12, points, 0, WEFT_CHART_POINTS}};

static void test_plots(void **state)
{
    (void)state;
    for (int logarithmic = 0; logarithmic < 2; logarithmic++)
        for (int at_points = 0; at_points < 2; at_points++) {
            const weft_chart_plot plot = {.title = "plot & title",
                                          .x_name = "x",
                                          .logarithmic_y = logarithmic,
                                          .ticks_at_points = at_points,
                                          .lines = lines,
                                          .line_count = 2};
            const weft_chart chart = {"T & <U>", "caption", &plot, 1, NULL};
            weft_text text;
            draw(&chart, false, &text);
            const char *svg = weft_text_get(&text);
            assert_int_equal(count(svg, "<title>"), logarithmic ? 2 : 3);
            assert_int_equal(count(svg, "r=\"8\""), 1);
            assert_int_equal(count(svg, "a &lt;b&gt;\nc"), 1);
            assert_int_equal(count(svg, "T &amp; &lt;U&gt;"), 1);
            assert_int_equal(count(svg, "nan") + count(svg, "inf"), 0);
            weft_text_fini(&text);
        }
}

/* As many schedules as a plan has: every key lies within the picture, and no two are alike. */
static void test_keys(void **state)
{
    (void)state;
    enum { LINES = 15 };
    weft_chart_line many[LINES];
    for (int i = 0; i < LINES; i++)
        many[i] = (weft_chart_line){.name = "interleaved-zero-bubble", .colour = i, .points = points};
    const weft_chart_plot plot = {.title = "plot", .x_name = "x", .lines = many, .line_count = LINES};
    const weft_chart chart = {.title = "title", .caption = "caption", .plots = &plot, .plot_count = 1};
    weft_text text;
    draw(&chart, false, &text);
    int keys = 0;
    char seen[LINES][8] = {{0}};
    const char *at = weft_text_get(&text);
    while ((at = strstr(at, "width=\"12\" height=\"12\"")) != NULL) {
        const char *fill = strstr(at, "fill=\"") + strlen("fill=\""), *name = strstr(at, "<text x=\"");
        assert_true(keys < LINES && strtod(name + strlen("<text x=\""), NULL) < 960 - 23 * 6.6);
        memcpy(seen[keys], fill, 7);
        for (int i = 0; i < keys; i++) assert_string_not_equal(seen[i], seen[keys]);
        keys++;
        at = name;
    }
    assert_int_equal(keys, LINES);
    weft_text_fini(&text);
}

static void test_bars(void **state)
{
    (void)state;
    static const char *const names[] = {"compute", "bubble", "none"};
    static const double parts[][3] = {{3, 1, 0}, {0, 0, 0}};
    const weft_chart_bar bars[] = {{"first", parts[0]}, {"empty", parts[1]}};
    const weft_chart_bars all = {"bars", "s", names, 3, bars, 2};
    const weft_chart chart = {"title", "caption", NULL, 0, &all};
    weft_text text;
    draw(&chart, false, &text);
    const char *svg = weft_text_get(&text);
    assert_int_equal(count(svg, "<title>"), 2);
    assert_int_equal(count(svg, "compute: 3 s, 75.0 %"), 1);
    assert_int_equal(count(svg, "bubble: 1 s, 25.0 %"), 1);
    assert_int_equal(count(svg, "nan"), 0);
    weft_text_fini(&text);
}

/* Nothing at all is a picture too, and a page holds exactly that picture. */
static void test_page(void **state)
{
    (void)state;
    const weft_chart_plot plot = {.title = "empty", .x_name = "x", .ticks_at_points = true};
    const weft_chart chart = {"title", "caption", &plot, 1, NULL};
    weft_text svg, page;
    draw(&chart, false, &svg);
    draw(&chart, true, &page);
    assert_int_equal(count(weft_text_get(&svg), "nan"), 0);
    assert_non_null(strstr(weft_text_get(&page), weft_text_get(&svg)));
    assert_int_equal(count(weft_text_get(&page), "http"), 1); /* the name space alone: no outside resources */
    weft_text_fini(&svg);
    weft_text_fini(&page);
}

/* Curves: a path each, marks of their own, a colour and a dash of each line, whatever the numbers are. */
static void test_curves(void **state)
{
    (void)state;
    static const double extremes[][2] = {{0, 0}, {-1e308, 1e308}, {1e-308, 1}, {1, 1 + 1e-15}, {-5, -5}, {1e300, 1}};
    for (size_t i = 0; i < 2 * sizeof extremes / sizeof *extremes; i++) {
        const weft_chart_point curve[] = {{.x = 1, .y = extremes[i / 2][0]},
                                          {.x = 2, .y = NAN},
                                          {.x = 9e15, .y = extremes[i / 2][1]},
                                          {.x = 9e15, .y = 3, .note = "step <3>"}};
        const weft_chart_line all[] = {{"a", 0, curve, 4, WEFT_CHART_CURVE},
                                       {"b", 7, curve, 4, WEFT_CHART_CURVE},
                                       {"a", 0, curve + 3, 1, WEFT_CHART_MARKS}};
        const weft_chart_plot plot = {.title = "t",
                                      .x_name = "step",
                                      .y_name = "nats",
                                      .logarithmic_y = i % 2,
                                      .lines = all,
                                      .line_count = 3,
                                      .linear_x = true,
                                      .tight_y = true,
                                      .marks_name = "held out"};
        const weft_chart chart = {"title", "caption", &plot, 1, NULL};
        weft_text text;
        draw(&chart, false, &text);
        const char *svg = weft_text_get(&text);
        assert_int_equal(count(svg, "<path "), 2);
        assert_int_equal(count(svg, "stroke-dasharray"), 1);
        assert_true(count(svg, "<title>step &lt;3&gt;</title>") >= 1);
        assert_int_equal(count(svg, ">nats<") + count(svg, ">step<") + count(svg, ">held out<"), 3);
        assert_int_equal(count(svg, "nan") + count(svg, "inf"), 0);
        weft_text_fini(&text);
    }
}

/* No line is longer than the screen, nothing but ASCII unless it is asked for, at every size. */
static void test_terminal(void **state)
{
    (void)state;
    const weft_chart_point curve[] = {{.x = 1, .y = 5}, {.x = 50, .y = 1e-3}, {.x = 1e6, .y = 70000}};
    const weft_chart_line all[] = {{"a", 0, curve, 3, WEFT_CHART_CURVE},
                                   {"b", 1, curve + 1, 2, WEFT_CHART_CURVE},
                                   {"b", 1, curve, 1, WEFT_CHART_MARKS}};
    for (int i = 0; i < 8 * 120; i++) {
        const weft_chart_plot plot = {.title = "t",
                                      .x_name = "step",
                                      .logarithmic_y = i & 1,
                                      .lines = all,
                                      .line_count = i & 2 ? 3 : 1,
                                      .linear_x = true,
                                      .tight_y = true};
        const weft_chart_screen screen = {24 + i / 8, 7 + i / 80, i & 4, false};
        weft_error error;
        weft_text text;
        weft_text_init(&text);
        weft_chart_text(&plot, &screen, &text);
        assert_int_equal(weft_text_check(&text, &error), WEFT_OK);
        int columns = 0, rows = 0, other = 0;
        for (const char *at = weft_text_get(&text); *at; at++) {
            columns = *at == '\n' ? 0 : columns + ((*at & 0xC0) != 0x80);
            rows += *at == '\n';
            other += (unsigned char)*at >= 0x80;
            assert_in_range(columns, 0, screen.columns);
        }
        assert_int_equal(rows, screen.rows);
        assert_int_equal(other > 0, screen.unicode);
        assert_int_equal(strchr(strchr(weft_text_get(&text), '\n'), 'B') != NULL, plot.line_count == 3);
        weft_text_fini(&text);
    }
}

/* Each row gives the terminal its own colour back. */
static void test_colours(void **state)
{
    (void)state;
    const weft_chart_point curve[] = {{.x = 1, .y = 5}, {.x = 50, .y = 1}, {.x = 100, .y = 4}};
    const weft_chart_line all[] = {{"a", 0, curve, 3, WEFT_CHART_CURVE}, {"b", 8, curve + 1, 2, WEFT_CHART_MARKS}};
    const weft_chart_plot plot = {.title = "t", .x_name = "x", .lines = all, .line_count = 2, .linear_x = true};
    weft_chart_screen screen = {80, 24, true, true};
    weft_text text;
    weft_text_init(&text);
    weft_chart_text(&plot, &screen, &text);
    weft_chart_text_key(&plot, &screen, 1, &text);
    bool coloured = false;
    int changes = 0;
    for (const char *at = weft_text_get(&text); *at; at++) {
        if (*at == '\033') {
            coloured = strncmp(at, "\033[38;5;", 7) == 0;
            assert_true(coloured || strncmp(at, "\033[0m", 4) == 0);
            changes += coloured;
        }
        assert_false(*at == '\n' && coloured);
    }
    assert_true(changes > 3 && !coloured);
    weft_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plots),  cmocka_unit_test(test_keys),
                                       cmocka_unit_test(test_bars),   cmocka_unit_test(test_page),
                                       cmocka_unit_test(test_curves), cmocka_unit_test(test_terminal),
                                       cmocka_unit_test(test_colours)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
