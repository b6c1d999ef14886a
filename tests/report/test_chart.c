/* Charts: a mark for each point that can be shown, names escaped, whatever the numbers are. */
#include "report/chart.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
static const weft_chart_line lines[] = {{"one", 0, points, 5}, {"<two>", 12, points, 0}};

static void test_plots(void **state)
{
    (void)state;
    for (int logarithmic = 0; logarithmic < 2; logarithmic++)
        for (int at_points = 0; at_points < 2; at_points++) {
            const weft_chart_plot plot = {"plot & title", "x", logarithmic, at_points, lines, 2};
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plots), cmocka_unit_test(test_bars),
                                       cmocka_unit_test(test_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
