#include "cli/metrics_view.h"

#include "base/json.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PICTURE = 420, NUMBERS = 37, MARKS = 27, LEAST_NAME = 8, MOST_NAME = 60 };

/* From so many times the least value on, the largest is shown on a logarithmic axis. */
static const double wide = 20;

/* How a figure is shown. */
typedef struct manner {
    const char *label;
    bool most;        /* the largest value is told, not the least */
    bool logarithmic; /* may be drawn so where the values are wide apart */
} manner;

static const manner manners[] = {
    [WEFT_METRICS_LOSS] = {"loss, nats a token", false, true},
    [WEFT_METRICS_GRADIENT_NORM] = {"gradient norm", true, true},
    [WEFT_METRICS_LEARNING_RATE] = {"learning rate", true, false},
    [WEFT_METRICS_TOKENS_PER_SECOND] = {"tokens a second", true, false},
    [WEFT_METRICS_BITS_PER_BYTE] = {"held-out bits a byte", false, true},
    [WEFT_METRICS_CROSS_ENTROPY] = {"cross entropy, nats a token", false, true},
    [WEFT_METRICS_LOSS_BY_SOURCE] = {"loss by source, nats a token", false, true},
};

/* The lines of a plot, and what they point to. */
typedef struct sketch {
    weft_arena arena;
    weft_chart_plot plot;
    weft_chart_line lines[2 * WEFT_METRICS_MOST_RUNS];
    char title[128];
} sketch;

static bool of_evaluations(const weft_metrics_view *view)
{
    return view->key == WEFT_METRICS_BITS_PER_BYTE;
}

static const weft_series *curve_of(const weft_metrics_view *view, const weft_run_metrics *run)
{
    return of_evaluations(view) ? &run->evaluations : &run->steps;
}

/* What is marked beside the curve; NULL: nothing is. */
static const weft_series *marks_of(const weft_metrics_view *view, const weft_run_metrics *run)
{
    return view->key == WEFT_METRICS_LOSS && run->evaluations.values > 0 ? &run->evaluations : NULL;
}

static const weft_series_point *best_of(const weft_metrics_view *view, const weft_series *series)
{
    return manners[view->key].most ? &series->most : &series->least;
}

bool weft_metrics_view_has(const weft_metrics_view *view)
{
    for (int i = 0; i < view->count; i++)
        if (curve_of(view, &view->runs[i])->values > 0 || marks_of(view, &view->runs[i])) return true;
    return false;
}

static bool any_marks(const weft_metrics_view *view)
{
    for (int i = 0; i < view->count; i++)
        if (marks_of(view, &view->runs[i])) return true;
    return false;
}

static bool is_logarithmic(const weft_metrics_view *view)
{
    double least = 0, most = 0;
    bool any = false;
    if (view->scale != WEFT_METRICS_AUTO) return view->scale == WEFT_METRICS_LOGARITHMIC;
    for (int i = 0; i < view->count; i++) {
        const weft_series *series = curve_of(view, &view->runs[i]);
        if (series->values == 0) continue;
        if (!any || series->least.value < least) least = series->least.value;
        if (!any || series->most.value > most) most = series->most.value;
        any = true;
    }
    return manners[view->key].logarithmic && any && least > 0 && most / least >= wide;
}

/* What a terminal would not print as it stands becomes a question mark. */
static void add_printable(const char *text, size_t length, bool unicode, weft_text *out)
{
    for (const char *at = text, *end = at + length; at < end;) {
        uint32_t code = 0;
        int bytes = weft_utf8_next(at, &code);
        bool plain = bytes > 0 && !weft_utf8_needs_escape(code) && (unicode || code < 0x80);
        weft_text_add_bytes(out, plain ? at : "?", plain ? (size_t)bytes : 1);
        at += bytes > 0 ? bytes : 1;
    }
}

static bool goes_on(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

static int letters(const char *name)
{
    int count = 0;
    for (; *name; name++) count += !goes_on(*name);
    return count;
}

/* The operand without what every run has: a slash at its end, the name of the file; and the source. */
static void add_name(const weft_run_metrics *run, bool unicode, weft_text *out)
{
    static const char file[] = "/metrics.jsonl";
    size_t length = strlen(run->operand), tail = sizeof file - 1;
    if (length > tail && strcmp(run->operand + length - tail, file) == 0) length -= tail;
    while (length > 1 && run->operand[length - 1] == '/') length--;
    add_printable(run->operand, length, unicode, out);
    if (!run->source) return;
    weft_text_add(out, ": ");
    add_printable(run->source, strlen(run->source), unicode, out);
}

/* In so many columns; of a long one the end, which is what tells runs apart. */
static void add_fitted(const char *name, int columns, weft_text *out)
{
    int rest = letters(name) - columns;
    if (rest > 0) {
        for (rest += 2; rest > 0 && *name; name++) rest -= !goes_on(*name);
        while (goes_on(*name)) name++;
        weft_text_add(out, "..");
        columns -= 2;
    }
    weft_text_add(out, "%s%*s", name, columns - letters(name), "");
}

static weft_status add_line(sketch *it, const weft_series *series, int colour, weft_chart_shape shape, const char *name,
                            weft_error *error)
{
    weft_series_point *from = NULL;
    weft_chart_point *points = NULL;
    TRY(weft_arena_take(&it->arena, WEFT_SERIES_POINTS, sizeof *from, &from, error));
    TRY(weft_arena_take(&it->arena, WEFT_SERIES_POINTS, sizeof *points, &points, error));
    int count = weft_series_get(series, from);
    for (int i = 0; i < count; i++) {
        points[i] = (weft_chart_point){.x = (double)from[i].step, .y = from[i].value};
        if (shape != WEFT_CHART_MARKS) continue;
        char note[64];
        snprintf(note, sizeof note, "step %lld: %.5g", (long long)from[i].step, from[i].value);
        TRY(weft_arena_text(&it->arena, note, &points[i].note, error));
    }
    it->lines[it->plot.line_count++] = (weft_chart_line){name, colour, points, count, shape};
    return WEFT_OK;
}

/* "run/a: last 1.23, least 1.2 at step 290; held out 1.3" */
static weft_status legend_of(sketch *it, const weft_metrics_view *view, const weft_run_metrics *run, const char **out,
                             weft_error *error)
{
    const weft_series *curve = curve_of(view, run), *marks = marks_of(view, run);
    weft_text text, name;
    weft_text_init(&text);
    weft_text_init(&name);
    add_name(run, true, &name);
    int length = letters(weft_text_get(&name));
    add_fitted(weft_text_get(&name), length < MOST_NAME ? length : MOST_NAME, &text);
    if (curve->values > 0)
        weft_text_add(&text, ": last %.5g, %s %.5g at step %lld", curve->last.value,
                      manners[view->key].most ? "most" : "least", best_of(view, curve)->value,
                      (long long)best_of(view, curve)->step);
    if (marks) weft_text_add(&text, "; held out %.5g", marks->last.value);
    text.failed = text.failed || name.failed;
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_arena_text(&it->arena, weft_text_get(&text), out, error);
    weft_text_fini(&name);
    weft_text_fini(&text);
    return status;
}

static weft_status add_lines(sketch *it, const weft_metrics_view *view, weft_error *error)
{
    for (int i = 0; i < view->count; i++) {
        const weft_run_metrics *run = &view->runs[i];
        const weft_series *marks = of_evaluations(view) ? &run->evaluations : marks_of(view, run);
        const char *name = NULL;
        TRY(legend_of(it, view, run, &name, error));
        TRY(add_line(it, curve_of(view, run), i, WEFT_CHART_CURVE, name, error));
        if (marks) TRY(add_line(it, marks, i, WEFT_CHART_MARKS, name, error));
    }
    return WEFT_OK;
}

static weft_status make_plot(sketch *it, const weft_metrics_view *view, weft_error *error)
{
    bool logarithmic = is_logarithmic(view);
    weft_arena_init(&it->arena);
    int length =
        snprintf(it->title, sizeof it->title, "%s%s", manners[view->key].label, logarithmic ? ", logarithmic" : "");
    if (view->smooth > 0)
        snprintf(it->title + length, sizeof it->title - (size_t)length, ", smoothed by %g", view->smooth);
    it->plot = (weft_chart_plot){.title = it->title,
                                 .x_name = "step",
                                 .logarithmic_y = logarithmic,
                                 .lines = it->lines,
                                 .linear_x = true,
                                 .tight_y = true,
                                 .height = PICTURE,
                                 .y_name = manners[view->key].label,
                                 .marks_name = any_marks(view) ? "held out" : NULL};
    return add_lines(it, view, error);
}

static void add_value(const weft_series_point *point, bool known, weft_text *out)
{
    if (known)
        weft_text_add(out, " %8.5g", point->value);
    else
        weft_text_add(out, " %8s", "-");
}

/* The last value and the best, with the step of each that is asked for. */
static void add_figures(const weft_metrics_view *view, const weft_series *series, weft_text *out)
{
    bool known = series->values > 0;
    const weft_series_point *best = best_of(view, series);
    add_value(&series->last, known, out);
    add_value(best, known, out);
    if (known)
        weft_text_add(out, " %8lld", (long long)best->step);
    else
        weft_text_add(out, " %8s", "-");
}

static int longest_name(const weft_metrics_view *view, bool unicode, weft_text *name)
{
    int longest = LEAST_NAME;
    for (int i = 0; i < view->count; i++) {
        name->length = 0;
        add_name(&view->runs[i], unicode, name);
        if (letters(weft_text_get(name)) > longest) longest = letters(weft_text_get(name));
    }
    return longest;
}

static void add_table(const weft_metrics_view *view, const weft_chart_plot *plot, const weft_chart_screen *screen,
                      weft_text *name, weft_text *out)
{
    const char *best = manners[view->key].most ? "most" : "least";
    bool marks = any_marks(view) && screen->columns >= LEAST_NAME + NUMBERS + MARKS; /* else there is no room */
    int columns = longest_name(view, screen->unicode, name), room = screen->columns - NUMBERS - (marks ? MARKS : 0);
    if (columns > room) columns = room > LEAST_NAME ? room : LEAST_NAME;
    weft_text_add(out, "  %-*s %7s %8s %8s %8s", columns, "run", "step", "last", best, "at step");
    weft_text_add(out, marks ? " %8s %8s %8s\n" : "\n", "held out", best, "at step");
    for (int i = 0; i < view->count; i++) {
        const weft_run_metrics *run = &view->runs[i];
        const weft_series *curve = curve_of(view, run);
        weft_chart_text_key(plot, screen, i, out);
        weft_text_add(out, " ");
        name->length = 0;
        add_name(run, screen->unicode, name);
        add_fitted(weft_text_get(name), columns, out);
        weft_text_add(out, " %7lld", (long long)(curve->values > 0 ? curve->last.step : 0));
        add_figures(view, curve, out);
        if (marks) add_figures(view, &run->evaluations, out);
        weft_text_add(out, "\n");
    }
}

/* The losses by source of the last step that has them; of many sources the first ones. */
static void add_sources(const weft_run_metrics *run, const weft_chart_screen *screen, weft_text *out)
{
    enum { MOST_SHOWN = 8 };
    const char *text = weft_text_get(&run->sources);
    const weft_metrics_line line = {.sources = text, .sources_end = text + run->sources.length};
    weft_metrics_source source = {.name = NULL};
    weft_text_add(out, "note: ");
    add_name(run, screen->unicode, out);
    weft_text_add(out, ": last losses by source");
    for (int shown = 0; weft_metrics_source_next(&line, &source) && shown < MOST_SHOWN; shown++) {
        weft_text_add(out, shown ? ", " : ": ");
        add_printable(source.name, source.length, screen->unicode, out);
        if (isfinite(source.value))
            weft_text_add(out, " %.5g", source.value);
        else
            weft_text_add(out, " -");
    }
    weft_text_add(out, " (--key loss_by_source)\n");
}

static void add_notes(const weft_metrics_view *view, const weft_chart_screen *screen, weft_text *out)
{
    for (int i = 0; i < view->count; i++) {
        const weft_run_metrics *run = &view->runs[i];
        if (run->sources.length > 0 && view->key == WEFT_METRICS_LOSS) add_sources(run, screen, out);
        int64_t empty = run->source ? 0 : run->empty; /* a step need not have a source */
        if (run->damaged == 0 && empty == 0) continue;
        weft_text_add(out, "note: ");
        add_name(run, screen->unicode, out);
        weft_text_add(out, ": ");
        if (run->damaged > 0) {
            weft_text_add_count(out, run->damaged, "line");
            weft_text_add(out, " left out: damaged, or of a step that came before%s", empty > 0 ? "; " : "");
        }
        if (empty > 0) {
            weft_text_add_count(out, empty, of_evaluations(view) ? "evaluation" : "step");
            weft_text_add(out, " without a finite %s", weft_metrics_key_name(view->key));
        }
        weft_text_add(out, "\n");
    }
}

void weft_metrics_print(const weft_metrics_view *view, const weft_chart_screen *screen, weft_text *out)
{
    weft_error error;
    sketch it;
    weft_text name;
    weft_text_init(&name);
    if (make_plot(&it, view, &error) != WEFT_OK) {
        out->failed = true;
    } else {
        weft_chart_text(&it.plot, screen, out);
        add_table(view, &it.plot, screen, &name, out);
        add_notes(view, screen, out);
        out->failed = out->failed || name.failed;
    }
    weft_text_fini(&name);
    weft_arena_fini(&it.arena);
}

static void add_point(weft_json *json, const char *key, const weft_series_point *point)
{
    weft_json_object(json, key, WEFT_JSON_ROW);
    weft_json_int(json, "step", point->step);
    weft_json_number(json, "value", point->value);
    weft_json_object_end(json);
}

static void add_series(weft_json *json, const char *key, const weft_series *series)
{
    if (series->values == 0) {
        weft_json_null(json, key);
        return;
    }
    weft_json_object(json, key, WEFT_JSON_ROW);
    weft_json_int(json, "values", series->values);
    add_point(json, "first", &series->first);
    add_point(json, "last", &series->last);
    add_point(json, "least", &series->least);
    add_point(json, "most", &series->most);
    weft_json_object_end(json);
}

void weft_metrics_json(const weft_metrics_view *view, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_text(&json, "key", weft_metrics_key_name(view->key));
    weft_json_list(&json, "runs", WEFT_JSON_LINES);
    for (int i = 0; i < view->count; i++) {
        const weft_run_metrics *run = &view->runs[i];
        weft_json_object(&json, NULL, WEFT_JSON_ROW);
        weft_json_text(&json, "run", run->operand);
        if (run->source) weft_text_add(weft_json_item(&json, "source"), "\"%s\"", run->source);
        add_series(&json, "steps", &run->steps);
        add_series(&json, "held_out", &run->evaluations);
        weft_json_int(&json, "without_value", run->empty);
        weft_json_int(&json, "damaged_lines", run->damaged);
        weft_json_object_end(&json);
    }
    weft_json_list_end(&json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

/* "steps 1 to 300"; nothing where there are none. */
static void add_caption(const weft_metrics_view *view, weft_text *out)
{
    int64_t first = INT64_MAX, last = 0;
    for (int i = 0; i < view->count; i++) {
        const weft_series *series = curve_of(view, &view->runs[i]);
        if (series->values == 0) continue;
        if (series->first.step < first) first = series->first.step;
        if (series->last.step > last) last = series->last.step;
    }
    if (last > 0) weft_text_add(out, "steps %lld to %lld", (long long)first, (long long)last);
}

void weft_metrics_svg(const weft_metrics_view *view, weft_text *out)
{
    weft_error error;
    sketch it;
    weft_text title, caption;
    weft_text_init(&title);
    weft_text_init(&caption);
    add_caption(view, &caption);
    if (view->count == 1)
        add_name(&view->runs[0], true, &title);
    else
        weft_text_add_count(&title, view->count, "run");
    if (make_plot(&it, view, &error) == WEFT_OK) {
        const weft_chart chart = {
            .title = weft_text_get(&title), .caption = weft_text_get(&caption), .plots = &it.plot, .plot_count = 1};
        weft_chart_svg(&chart, out);
    } else {
        out->failed = true;
    }
    out->failed = out->failed || title.failed || caption.failed;
    weft_arena_fini(&it.arena);
    weft_text_fini(&caption);
    weft_text_fini(&title);
}
