/* weft plan of several numbers of GPUs and batches: what time costs, and schedules against each other. */
#include "cli/plan_print.h"

#include <math.h>
#include <string.h>

/* Hours and money of the best of a case; GPU-hours where there is no price. */
typedef struct trade {
    double hours, cost;
    bool known;
} trade;

static trade trade_of(const weft_plan_case *which)
{
    if (!weft_plan_case_has(which) || !(which->tokens > 0)) return (trade){0};
    const weft_plan_row *row = &which->answer.rows[0];
    trade found = {weft_plan_case_hours(which, row), weft_plan_case_cost(which, row), true};
    if (isnan(found.cost)) found.cost = found.hours * (double)which->question.gpus;
    return found;
}

/* No other case is both sooner and cheaper. */
static bool is_on_front(const weft_planning *p, int at)
{
    trade own = trade_of(&p->cases[at]);
    for (int i = 0; i < p->case_count && own.known; i++) {
        trade other = trade_of(&p->cases[i]);
        bool no_worse = other.known && other.hours <= own.hours && other.cost <= own.cost;
        bool better = other.hours < own.hours || other.cost < own.cost || i < at;
        if (i != at && no_worse && better) return false;
    }
    return own.known;
}

/* Where the front turns: farthest from the line between its ends, on logarithmic axes; -1 for fewer than three. */
static int find_knee(const weft_planning *p, const char *marks)
{
    int first = -1, last = -1, knee = -1;
    double farthest = 1e-9;
    for (int i = 0; i < p->case_count; i++) {
        if (marks[i] != '*') continue;
        if (first < 0 || trade_of(&p->cases[i]).hours < trade_of(&p->cases[first]).hours) first = i;
        if (last < 0 || trade_of(&p->cases[i]).hours > trade_of(&p->cases[last]).hours) last = i;
    }
    if (first < 0 || first == last) return -1;
    trade a = trade_of(&p->cases[first]), b = trade_of(&p->cases[last]);
    double width = log(b.hours / a.hours), height = log(a.cost / b.cost);
    for (int i = 0; i < p->case_count && width > 0 && height > 0; i++) {
        if (marks[i] != '*') continue;
        trade at = trade_of(&p->cases[i]);
        double below = 1 - log(at.hours / a.hours) / width - log(at.cost / b.cost) / height;
        if (below > farthest) {
            farthest = below;
            knee = i;
        }
    }
    return knee;
}

/* The fastest of the batches at so many GPUs, by closed forms; INFINITY where none fits. */
static weft_status hours_at(const weft_planning *p, int64_t gpus, double *out_hours, int64_t *out_batch,
                            weft_error *error)
{
    *out_hours = INFINITY;
    for (int b = 0; b < p->batch_count; b++) {
        weft_plan_case one = {.question = {.model = &p->model,
                                           .cluster = &p->cluster,
                                           .gpus = gpus,
                                           .batch = p->batches[b],
                                           .fix = p->fix,
                                           .top = 1},
                              .tokens = p->tokens};
        weft_plan_screened screened;
        weft_error ignored;
        weft_error_clear(&ignored);
        weft_status status = weft_plan_screen(&one.question, p->how.stop, &screened, &ignored);
        if (status == WEFT_INVALID) continue;
        if (status != WEFT_OK) {
            *error = ignored;
            return status;
        }
        weft_plan_row row = {.replayed.time.step = screened.best_count ? screened.best[0].step : INFINITY};
        double hours = weft_plan_case_hours(&one, &row);
        if (hours < *out_hours) {
            *out_hours = hours;
            *out_batch = p->batches[b];
        }
        weft_plan_screened_fini(&screened);
    }
    return WEFT_OK;
}

enum { MOST_GPUS = 1 << 20 };

/* More GPUs are never slower: they may idle. */
static weft_status add_days(const weft_planning *p, weft_text *out, weft_error *error)
{
    double wished = p->days * 24, hours = INFINITY, found = INFINITY;
    int64_t below = 0, enough = 1, batch = 0, with = 0;
    for (; enough <= MOST_GPUS; enough *= 2) {
        TRY(hours_at(p, enough, &found, &with, error));
        if (found <= wished) break;
        below = enough;
    }
    if (found > wished) {
        weft_text_add(out, "\n%g days are not reached with up to %d GPUs at these batches\n", p->days, MOST_GPUS);
        return WEFT_OK;
    }
    hours = found;
    batch = with;
    while (enough - below > 1) {
        int64_t middle = below + (enough - below) / 2;
        TRY(hours_at(p, middle, &found, &with, error));
        if (found > wished) {
            below = middle;
            continue;
        }
        enough = middle;
        hours = found;
        batch = with;
    }
    weft_text_add(out, "\n%g day%s need%s %lld GPU%s by closed forms: batch %lld, %.1f days", p->days,
                  p->days == 1 ? "" : "s", p->days == 1 ? "s" : "", (long long)enough, weft_text_plural(enough),
                  (long long)batch, hours / 24);
    if (p->cluster.price > 0) weft_text_add(out, ", cost %.0f", hours * (double)enough * p->cluster.price);
    weft_text_add(out, "\n");
    return WEFT_OK;
}

weft_status weft_plan_print_what_if(const weft_planning *p, weft_text *out, weft_error *error)
{
    char marks[WEFT_PLAN_CASES * WEFT_PLAN_CASES];
    for (int i = 0; i < p->case_count; i++) marks[i] = is_on_front(p, i) ? '*' : ' ';
    int knee = find_knee(p, marks);
    if (knee >= 0) marks[knee] = '#';
    weft_plan_print_cases(p, marks, out);
    if (p->tokens > 0)
        weft_text_add(out, "\n*: no other is both sooner and cheaper%s\n",
                      knee >= 0 ? "; #: the knee, beyond which either costs most of the other" : "");
    bool stopped = p->how.stop && *p->how.stop;
    return p->days > 0 && !stopped ? add_days(p, out, error) : WEFT_OK;
}

/* Model flops of a GPU and second. */
static double rate_of(const weft_plan_case *which, const weft_plan_row *row)
{
    const weft_plan_question *q = &which->question;
    return weft_plan_sample_flops(q->model) * (double)q->batch / row->replayed.time.step / (double)q->gpus;
}

void weft_plan_print_rivals(const weft_planning *p, weft_text *out)
{
    weft_text_add(out, "Tflop/s a GPU of the model's own flops, the best of each schedule; gain of %s in percent\n\n",
                  weft_plan_kind_name(p->rivals[0]));
    weft_text_add(out, "      GPUs   batch  batch/GPU");
    for (int i = 0; i < p->rival_count; i++) weft_text_add(out, "  %14s", weft_plan_kind_name(p->rivals[i]));
    for (int i = 1; i < p->rival_count; i++)
        weft_text_add(out, "  %*s%s", (int)(14 - strlen(weft_plan_kind_name(p->rivals[i]))), "over ",
                      weft_plan_kind_name(p->rivals[i]));
    weft_text_add(out, "\n");
    for (int c = 0; c < p->case_count; c++) {
        const weft_plan_case *which = &p->cases[c];
        const weft_plan_row *own = &which->best[p->rivals[0]];
        weft_text_add(out, "%10lld %7lld  %9.4g", (long long)which->question.gpus, (long long)which->question.batch,
                      (double)which->question.batch / (double)which->question.gpus);
        for (int i = 0; i < p->rival_count; i++) {
            const weft_plan_row *row = &which->best[p->rivals[i]];
            if (row->replayed.time.step > 0)
                weft_text_add(out, "  %14.1f", rate_of(which, row) / 1e12);
            else
                weft_text_add(out, "  %14s", "none fits");
        }
        for (int i = 1; i < p->rival_count; i++) {
            const weft_plan_row *row = &which->best[p->rivals[i]];
            weft_text_add(out, "  ");
            if (row->replayed.time.step > 0 && own->replayed.time.step > 0)
                weft_text_add_change(out, 14, 0, 100 * (row->replayed.time.step / own->replayed.time.step - 1));
            else
                weft_text_add(out, "%14s", "");
        }
        weft_text_add(out, "\n");
    }
}
