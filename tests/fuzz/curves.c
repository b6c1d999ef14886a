/* A file of metrics that is anything at all, read and drawn in every form, with the options that the first bytes say.
 */
#include "fuzz.h"

#include "cli/metrics_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void draw(const weft_metrics_view *view, const weft_chart_screen *screen)
{
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    weft_metrics_json(view, &text);
    if (weft_metrics_view_has(view)) {
        weft_metrics_svg(view, &text);
        fuzz_check(!strstr(weft_text_get(&text), "\"nan") && !strstr(weft_text_get(&text), " nan") &&
                       !strstr(weft_text_get(&text), "\"inf") && !strstr(weft_text_get(&text), " inf"),
                   "a place that is none");
        weft_metrics_print(view, screen, &text);
    }
    fuzz_check(weft_text_check(&text, &error) == WEFT_OK, "out of memory");
    weft_text_fini(&text);
}

static void check_series(const weft_series *series)
{
    static weft_series_point points[WEFT_SERIES_POINTS];
    int count = weft_series_get(series, points);
    fuzz_check((count == 0) == (series->values == 0), "values without points");
    for (int i = 0; i < count; i++) {
        fuzz_check(isfinite(points[i].value), "a point that is not finite");
        fuzz_check(i == 0 || points[i].step > points[i - 1].step, "steps that go back");
    }
}

/* NULL: there is none. */
static char *first_source(const weft_run_metrics *run)
{
    const char *names = weft_text_get(&run->names), *end = strchr(names, '\n');
    return end ? strndup(names, (size_t)(end - names)) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    weft_metrics_key key = (weft_metrics_key)fuzz_below(&from, WEFT_METRICS_KEYS);
    weft_metrics_scale scale = (weft_metrics_scale)fuzz_below(&from, 3);
    double smooth = fuzz_below(&from, 2) * 0.5;
    weft_chart_screen screen = {(int)fuzz_below(&from, 120), (int)fuzz_below(&from, 40), fuzz_below(&from, 2) == 1,
                                fuzz_below(&from, 2) == 1};
    weft_run_metrics run;
    weft_error error;
    weft_error_clear(&error);
    const char *path = fuzz_file("curves", from.at, from.left);
    fuzz_check(weft_run_metrics_open(&run, path, key, NULL, 1, smooth, &error) == WEFT_OK, error.text);
    weft_run_metrics_end(&run);
    char *source = first_source(&run);
    if (source) {
        weft_run_metrics_close(&run);
        fuzz_check(weft_run_metrics_open(&run, path, key, source, 1, smooth, &error) == WEFT_OK, error.text);
        weft_run_metrics_end(&run);
    }
    const weft_metrics_view view = {key, scale, smooth, &run, 1};
    check_series(&run.steps);
    check_series(&run.evaluations);
    draw(&view, &screen);
    weft_run_metrics_close(&run);
    free(source);
    return 0;
}
