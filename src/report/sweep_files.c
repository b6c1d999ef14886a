#include "report/report.h"
#include "report/sweep.h"

#include <math.h>

static const char *const outcomes[WEFT_SWEEP_OUTCOMES] = {
    [WEFT_SWEEP_NOT_RUN] = "not run", [WEFT_SWEEP_MEASURED] = "measured", [WEFT_SWEEP_TOO_LARGE] = "too large"};

static const char *const names[] = {"step_seconds", "tokens_per_second", "bubble", "peak_share", "busy_peak_share"};

enum { FIGURES = sizeof names / sizeof *names };

static double figure(const weft_sweep_figures *figures, bool known, int index)
{
    const double values[FIGURES] = {figures->step_seconds, figures->tokens_per_second, figures->bubble,
                                    figures->peak_share, figures->busy_peak_share};
    return known ? values[index] : NAN;
}

/* The measured figures, then the predicted ones. */
static double figure_of(const weft_sweep_row *row, int index)
{
    bool predicted = index >= FIGURES;
    return figure(predicted ? &row->predicted : &row->measured,
                  predicted ? row->has_prediction : row->outcome == WEFT_SWEEP_MEASURED, index % FIGURES);
}

static void add_name(int index, weft_text *out)
{
    weft_text_add(out, "%s%s", index >= FIGURES ? "predicted_" : "", names[index % FIGURES]);
}

static void add_row(const weft_sweep *sweep, const weft_sweep_row *row, weft_text *out)
{
    weft_text_add(out, "    {\"microbatch\": %lld, \"microbatches\": %lld, \"outcome\": \"%s\", \"reason\": ",
                  (long long)row->microbatch, (long long)row->microbatches, outcomes[row->outcome]);
    if (row->reason)
        weft_text_add_json(out, row->reason);
    else
        weft_text_add(out, "null");
    for (int i = 0; i < 2 * FIGURES; i++) {
        weft_text_add(out, ", \"");
        add_name(i, out);
        weft_text_add(out, "\": ");
        weft_report_add_number(figure_of(row, i), out);
    }
    weft_text_add(out, ", \"memory_bytes\": [");
    for (int32_t rank = 0; rank < sweep->ranks; rank++)
        weft_text_add(out, "%s%zu", rank ? ", " : "", row->memory[rank]);
    weft_text_add(out, "]}");
}

static void add_size(const char *key, const weft_sweep *sweep, int row, weft_text *out)
{
    weft_text_add(out, "  \"%s\": ", key);
    if (row < 0)
        weft_text_add(out, "null,\n");
    else
        weft_text_add(out, "%lld,\n", (long long)sweep->rows[row].microbatch);
}

static void add_limit(const weft_sweep *sweep, bool larger, weft_text *out)
{
    weft_sweep_side side = weft_sweep_limit(sweep, larger);
    weft_text sentence;
    weft_text_init(&sentence);
    weft_text_add(out, "  \"%s\": ", larger ? "larger" : "smaller");
    if (weft_sweep_best(sweep) < 0) {
        weft_text_add(out, "null,\n");
        return;
    }
    weft_sweep_explain(sweep, larger, &sentence);
    weft_text_add(out, "{\"limit\": ");
    if (side.row < 0)
        weft_text_add(out, "null");
    else
        weft_text_add(out, side.is_bubble ? "\"bubble\"" : "\"device\"");
    weft_text_add(out, ", \"text\": ");
    weft_text_add_json(out, weft_text_get(&sentence));
    weft_text_add(out, "},\n");
    if (sentence.failed) out->failed = true;
    weft_text_fini(&sentence);
}

void weft_sweep_json(const weft_sweep *sweep, weft_text *out)
{
    weft_text_add(out, "{\n  \"schedule\": ");
    weft_text_add_json(out, sweep->schedule);
    weft_text_add(out, ",\n  \"data\": %d,\n  \"tensor\": %d,\n  \"pipeline\": %d,\n  \"stages\": %d,\n",
                  (int)sweep->data, (int)sweep->tensor, (int)sweep->ranks, (int)sweep->stages);
    weft_text_add(out, "  \"sequences\": %lld,\n  \"tokens\": %lld,\n", (long long)sweep->sequences,
                  (long long)sweep->tokens);
    weft_text_add(out, "  \"warmup\": %lld,\n  \"steps\": %lld,\n  \"step_flops\": ", (long long)sweep->warmup,
                  (long long)sweep->steps);
    weft_report_add_number(sweep->step_flops, out);
    weft_text_add(out, ",\n  \"peak_flops_per_second\": ");
    weft_report_add_number(sweep->peak > 0 ? sweep->peak : NAN, out);
    weft_text_add(out, ",\n  \"memory_limit\": %lld,\n  \"complete\": %s,\n", (long long)sweep->memory_limit,
                  sweep->stopped ? "false" : "true");
    add_size("best", sweep, weft_sweep_best(sweep), out);
    add_size("predicted_best", sweep, weft_sweep_predicted_best(sweep), out);
    add_limit(sweep, false, out);
    add_limit(sweep, true, out);
    weft_text_add(out, "  \"sizes\": [\n");
    for (int i = 0; i < sweep->count; i++) {
        add_row(sweep, &sweep->rows[i], out);
        weft_text_add(out, "%s\n", i + 1 < sweep->count ? "," : "");
    }
    weft_text_add(out, "  ]\n}\n");
}

void weft_sweep_csv(const weft_sweep *sweep, weft_text *out)
{
    weft_text_add(out, "microbatch,microbatches,outcome");
    for (int i = 0; i < 2 * FIGURES; i++) {
        weft_text_add(out, ",");
        add_name(i, out);
    }
    weft_text_add(out, ",memory_bytes\n");
    for (int i = 0; i < sweep->count; i++) {
        const weft_sweep_row *row = &sweep->rows[i];
        weft_text_add(out, "%lld,%lld,%s", (long long)row->microbatch, (long long)row->microbatches,
                      outcomes[row->outcome]);
        for (int f = 0; f < 2 * FIGURES; f++) {
            weft_text_add(out, ",");
            if (isfinite(figure_of(row, f))) weft_report_add_number(figure_of(row, f), out);
        }
        weft_text_add(out, ",%zu\n", weft_sweep_memory(sweep, row));
    }
}
