/* Curves that are thinned while they are read: few points stay, and among them each least and largest. */
#include "report/series.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static weft_series_point points[WEFT_SERIES_POINTS];

static void begin(weft_series *series, double smooth)
{
    weft_error error;
    assert_int_equal(weft_series_init(series, smooth, &error), WEFT_OK);
}

static double value_at(int64_t step)
{
    return 5 + sin((double)step * 0.7) + (double)(step * 2654435761 % 1000) * 1e-3;
}

static void test_few(void **state)
{
    (void)state;
    weft_series series;
    begin(&series, 0);
    assert_int_equal(weft_series_get(&series, points), 0);
    for (int64_t step = 1; step <= WEFT_SERIES_BUCKETS; step++) weft_series_add(&series, 3 * step, value_at(step));
    assert_int_equal(weft_series_get(&series, points), WEFT_SERIES_BUCKETS);
    for (int i = 0; i < WEFT_SERIES_BUCKETS; i++)
        assert_true(points[i].step == 3 * (i + 1) && points[i].value == value_at(i + 1));
    weft_series_clear(&series);
    assert_int_equal(weft_series_get(&series, points), 0);
    weft_series_fini(&series);
}

/* Of any window that is wide enough the least and the largest value are among the points, wherever a spike is. */
static void test_many(void **state)
{
    (void)state;
    enum { VALUES = 300007, SPIKE = 123457, DIP = 200003 };
    weft_series series;
    begin(&series, 0);
    for (int64_t step = 1; step <= VALUES; step++)
        weft_series_add(&series, step, step == SPIKE ? 1e6 : step == DIP ? -1e6 : value_at(step));
    int count = weft_series_get(&series, points), spikes = 0, dips = 0;
    assert_in_range(count, WEFT_SERIES_BUCKETS, WEFT_SERIES_POINTS);
    for (int i = 0; i < count; i++) {
        if (i > 0) assert_true(points[i].step > points[i - 1].step);
        if (i > 1) assert_true(points[i].step - points[i - 2].step <= 4 * VALUES / WEFT_SERIES_BUCKETS + 4);
        spikes += points[i].step == SPIKE && points[i].value == 1e6;
        dips += points[i].step == DIP && points[i].value == -1e6;
    }
    assert_true(spikes == 1 && dips == 1 && points[0].step < 1000 && points[count - 1].step > VALUES - 1000);
    assert_true(series.values == VALUES && series.first.step == 1 && series.last.step == VALUES);
    assert_true(series.least.step == DIP && series.most.step == SPIKE);
    weft_series_fini(&series);
}

/* A constant stays what it is from the first value on; figures are of the values as they came. */
static void test_smooth(void **state)
{
    (void)state;
    weft_series series;
    begin(&series, 0.9);
    for (int64_t step = 1; step <= 100; step++) weft_series_add(&series, step, 4);
    for (int i = weft_series_get(&series, points) - 1; i >= 0; i--) assert_true(fabs(points[i].value - 4) < 1e-12);
    weft_series_add(&series, 101, 14);
    int count = weft_series_get(&series, points);
    assert_true(fabs(points[count - 1].value - 5) < 1e-3);
    assert_true(series.last.value == 14 && series.most.value == 14);
    weft_series_fini(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_few), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_smooth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
