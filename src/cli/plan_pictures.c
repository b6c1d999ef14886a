/* weft plan --svg and --html: time against money, throughput by batch, where the time goes. */
#include "cli/plan_print.h"
#include "base/file.h"
#include "plan/moves.h"
#include "report/chart.h"

#include <math.h>

enum { MOST_BARS = 16 };

typedef struct drawing {
    const weft_planning *p;
    weft_arena *arena;
    weft_error *error;
    weft_chart_line lines[2][WEFT_PLAN_KINDS];
    int line_count[2];
    weft_chart_bar bars[MOST_BARS];
    int bar_count;
} drawing;

/* A text in the arena. */
static weft_status keep(drawing *d, weft_text *text, const char **out)
{
    weft_status status = weft_text_check(text, d->error);
    if (status == WEFT_OK) status = weft_arena_text(d->arena, weft_text_get(text), out, d->error);
    weft_text_fini(text);
    return status;
}

static weft_status note(drawing *d, const weft_plan_case *which, const weft_plan_row *row, const char **out)
{
    weft_text text;
    double hours = weft_plan_case_hours(which, row), cost = weft_plan_case_cost(which, row);
    weft_text_init(&text);
    weft_text_add(&text, "%s: %lld GPU%s, batch %lld\n%.3f s a step, %.1f GB",
                  weft_plan_kind_name((weft_plan_kind)row->layout.kind), (long long)which->question.gpus,
                  weft_text_plural(which->question.gpus), (long long)which->question.batch, row->replayed.time.step,
                  row->replayed.memory.bytes / 1e9);
    if (!isnan(hours)) weft_text_add(&text, "\n%.1f hours", hours);
    if (!isnan(cost)) weft_text_add(&text, ", cost %.0f", cost);
    weft_text_add(&text, "\n");
    weft_plan_layout_text(&row->layout, &text);
    weft_text_add(&text, "\nlimited by %s", weft_plan_part_name(row->limit));
    return keep(d, &text, out);
}

/* Hours and money, or what stands for them: a billion tokens, GPU-hours. */
static weft_chart_point trade_of(const weft_plan_case *which, const weft_plan_row *row)
{
    weft_plan_case one = *which;
    if (!(one.tokens > 0)) one.tokens = 1e9;
    double hours = weft_plan_case_hours(&one, row), cost = weft_plan_case_cost(&one, row);
    return (weft_chart_point){.x = hours, .y = isnan(cost) ? hours * (double)which->question.gpus : cost};
}

static weft_chart_point rate_of(const weft_plan_case *which, const weft_plan_row *row)
{
    const weft_plan_question *q = &which->question;
    double batch = (double)q->batch, gpus = (double)q->gpus;
    return (weft_chart_point){.x = batch / gpus,
                              .y = batch * (double)q->model->sequence / row->replayed.time.step / gpus};
}

typedef weft_chart_point point_of(const weft_plan_case *which, const weft_plan_row *row);

static void sort_by_x(weft_chart_point *points, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && points[k].x < points[k - 1].x; k--) {
            weft_chart_point other = points[k];
            points[k] = points[k - 1];
            points[k - 1] = other;
        }
}

/* What no other point is below and left of. */
static int keep_front(weft_chart_point *points, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (kept == 0 || points[i].y < points[kept - 1].y) points[kept++] = points[i];
    return kept;
}

/* A line a schedule: its best in each case that `gpus` admits, 0: all. */
static weft_status add_lines(drawing *d, int plot, point_of *get, int64_t gpus, bool front)
{
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++) {
        weft_chart_point *points = NULL;
        int count = 0;
        TRY(weft_arena_take(d->arena, (size_t)d->p->case_count, sizeof *points, &points, d->error));
        for (int i = 0; i < d->p->case_count; i++) {
            const weft_plan_case *which = &d->p->cases[i];
            const weft_plan_row *row = &which->best[kind];
            if (!(row->replayed.time.step > 0) || (gpus > 0 && which->question.gpus != gpus)) continue;
            points[count] = get(which, row);
            points[count].marked = which->answer.rows[0].layout.kind == kind;
            TRY(note(d, which, row, &points[count++].note));
        }
        sort_by_x(points, count);
        if (front) count = keep_front(points, count);
        if (count == 0) continue;
        d->lines[plot][d->line_count[plot]++] =
            (weft_chart_line){weft_plan_kind_name((weft_plan_kind)kind), kind, points, count, WEFT_CHART_POINTS};
    }
    return WEFT_OK;
}

static weft_status add_bar(drawing *d, const weft_plan_case *which, const weft_plan_row *row, int rank)
{
    weft_text text;
    weft_chart_bar *bar = &d->bars[d->bar_count];
    if (d->bar_count == MOST_BARS || !(row->replayed.time.part[WEFT_PLAN_COMPUTE] > 0)) return WEFT_OK;
    const char *kind = weft_plan_kind_name((weft_plan_kind)row->layout.kind);
    weft_text_init(&text);
    if (rank)
        weft_text_add(&text, "%d: %s", rank, kind);
    else
        weft_text_add(&text, "%lld GPU%s, batch %lld", (long long)which->question.gpus,
                      weft_text_plural(which->question.gpus), (long long)which->question.batch);
    TRY(keep(d, &text, &bar->name));
    bar->parts = row->replayed.time.part;
    d->bar_count++;
    return WEFT_OK;
}

static weft_status add_bars(drawing *d)
{
    const weft_planning *p = d->p;
    for (int i = 0; i < p->case_count && p->case_count > 1; i++)
        if (weft_plan_case_has(&p->cases[i])) TRY(add_bar(d, &p->cases[i], &p->cases[i].answer.rows[0], 0));
    if (p->case_count > 1) return WEFT_OK;
    const weft_plan_case *only = &p->cases[0];
    for (int i = 0; i < MOST_BARS && i < (int)only->answer.count && i < p->top; i++)
        TRY(add_bar(d, only, &only->answer.rows[i], i + 1));
    return WEFT_OK;
}

static weft_status write_file(const weft_arguments *arguments, const char *option, const weft_chart *chart,
                              void (*draw)(const weft_chart *chart, weft_text *out), weft_error *error)
{
    const char *path = weft_arguments_get(arguments, option);
    weft_text text;
    if (!path) return WEFT_OK;
    weft_text_init(&text);
    draw(chart, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_file_write(path, text.bytes, text.length, error);
    weft_text_fini(&text);
    return status;
}

static weft_status draw(drawing *d, const weft_arguments *arguments)
{
    const weft_planning *p = d->p;
    const char *title = NULL, *caption = NULL, *part_names[WEFT_PLAN_PARTS];
    int64_t gpus = p->cases[p->case_count - 1].question.gpus;
    weft_text text;
    TRY(add_lines(d, 0, trade_of, 0, true));
    TRY(add_lines(d, 1, rate_of, gpus, false));
    TRY(add_bars(d));
    for (int i = 0; i < WEFT_PLAN_PARTS; i++) part_names[i] = weft_plan_part_name((weft_plan_part)i);
    weft_text_init(&text);
    weft_text_add(&text, "%s on %s", p->model.name, p->cluster.gpu.name);
    TRY(keep(d, &text, &title));
    weft_text_init(&text);
    weft_text_add(&text, "%.3g parameters, software %s; predicted, to be trusted to %s",
                  weft_plan_parameters(&p->model), p->cluster.software.name,
                  weft_plan_confidence_text(weft_plan_confidence_of(&p->model, &p->cluster, NULL)));
    TRY(keep(d, &text, &caption));
    weft_text_init(&text);
    weft_text_add(&text, "sequences of a batch for each of %lld GPU%s", (long long)gpus, weft_text_plural(gpus));
    const char *per_gpu = NULL;
    TRY(keep(d, &text, &per_gpu));
    const weft_chart_plot plots[] = {
        {.title = p->cluster.price > 0 ? "cost against time: what no other of its schedule beats"
                                       : "GPU-hours against time: what no other of its schedule beats",
         .x_name = p->tokens > 0 ? "hours" : "hours for a billion tokens",
         .logarithmic_y = true,
         .lines = d->lines[0],
         .line_count = d->line_count[0]},
        {.title = "tokens a second and GPU, the best of each schedule; ringed: the best of all",
         .x_name = per_gpu,
         .ticks_at_points = true,
         .lines = d->lines[1],
         .line_count = d->line_count[1]}};
    weft_chart_bars bars = {
        "where the time of a step goes: shares, and the step", "s", part_names, WEFT_PLAN_PARTS, d->bars, d->bar_count};
    bool trades = p->gpu_count > 1 || (p->batch_count > 1 && p->model.critical_batch > 0), rates = p->batch_count > 1;
    weft_chart chart = {.title = title,
                        .caption = caption,
                        .plots = trades ? plots : plots + 1,
                        .plot_count = trades + rates,
                        .bars = d->bar_count ? &bars : NULL};
    TRY(write_file(arguments, "svg", &chart, weft_chart_svg, d->error));
    return write_file(arguments, "html", &chart, weft_chart_html, d->error);
}

weft_status weft_plan_pictures(const weft_planning *p, const weft_arguments *arguments, weft_error *error)
{
    weft_arena arena;
    if (!weft_arguments_has(arguments, "svg") && !weft_arguments_has(arguments, "html")) return WEFT_OK;
    weft_arena_init(&arena);
    drawing d = {.p = p, .arena = &arena, .error = error};
    weft_status status = draw(&d, arguments);
    weft_arena_fini(&arena);
    return status;
}
