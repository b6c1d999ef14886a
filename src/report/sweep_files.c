#include "base/json.h"
#include "report/sweep.h"

#include <math.h>
#include <stdio.h>

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

enum { NAME_BYTES = 40 };

static const char *name_of(int index, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s%s", index >= FIGURES ? "predicted_" : "", names[index % FIGURES]);
    return name;
}

static void add_row(weft_json *json, const weft_sweep *sweep, const weft_sweep_row *row)
{
    char name[NAME_BYTES];
    weft_json_object(json, NULL, WEFT_JSON_ROW);
    weft_json_int(json, "microbatch", row->microbatch);
    weft_json_int(json, "microbatches", row->microbatches);
    weft_json_text(json, "outcome", outcomes[row->outcome]);
    weft_json_text(json, "reason", row->reason);
    for (int i = 0; i < 2 * FIGURES; i++) weft_json_number(json, name_of(i, name), figure_of(row, i));
    weft_json_list(json, "memory_bytes", WEFT_JSON_ROW);
    for (int32_t rank = 0; rank < sweep->ranks; rank++) weft_json_int(json, NULL, (int64_t)row->memory[rank]);
    weft_json_list_end(json);
    weft_json_object_end(json);
}

static void add_size(weft_json *json, const char *key, const weft_sweep *sweep, int row)
{
    if (row < 0)
        weft_json_null(json, key);
    else
        weft_json_int(json, key, sweep->rows[row].microbatch);
}

static void add_limit(weft_json *json, const weft_sweep *sweep, bool larger)
{
    weft_sweep_side side = weft_sweep_limit(sweep, larger);
    const char *key = larger ? "larger" : "smaller", *limit = side.is_bubble ? "bubble" : "device";
    weft_text sentence;
    if (weft_sweep_best(sweep) < 0) {
        weft_json_null(json, key);
        return;
    }
    weft_text_init(&sentence);
    weft_sweep_explain(sweep, larger, &sentence);
    weft_json_object(json, key, WEFT_JSON_ROW);
    weft_json_text(json, "limit", side.row < 0 ? NULL : limit);
    weft_json_take_text(json, "text", &sentence);
    weft_json_object_end(json);
}

void weft_sweep_json(const weft_sweep *sweep, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "schedule", sweep->schedule);
    weft_json_int(&json, "data", sweep->data);
    weft_json_int(&json, "tensor", sweep->tensor);
    weft_json_int(&json, "pipeline", sweep->ranks);
    weft_json_int(&json, "stages", sweep->stages);
    weft_json_int(&json, "sequences", sweep->sequences);
    weft_json_int(&json, "tokens", sweep->tokens);
    weft_json_int(&json, "warmup", sweep->warmup);
    weft_json_int(&json, "steps", sweep->steps);
    weft_json_number(&json, "step_flops", sweep->step_flops);
    weft_json_number(&json, "peak_flops_per_second", sweep->peak > 0 ? sweep->peak : NAN);
    weft_json_int(&json, "memory_limit", sweep->memory_limit);
    weft_json_truth(&json, "complete", !sweep->stopped);
    add_size(&json, "best", sweep, weft_sweep_best(sweep));
    add_size(&json, "predicted_best", sweep, weft_sweep_predicted_best(sweep));
    add_limit(&json, sweep, false);
    add_limit(&json, sweep, true);
    weft_json_list(&json, "sizes", WEFT_JSON_LINES);
    for (int i = 0; i < sweep->count; i++) add_row(&json, sweep, &sweep->rows[i]);
    weft_json_list_end(&json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

void weft_sweep_csv(const weft_sweep *sweep, weft_text *out)
{
    weft_text_add(out, "microbatch,microbatches,outcome");
    char name[NAME_BYTES];
    for (int i = 0; i < 2 * FIGURES; i++) weft_text_add(out, ",%s", name_of(i, name));
    weft_text_add(out, ",memory_bytes\n");
    for (int i = 0; i < sweep->count; i++) {
        const weft_sweep_row *row = &sweep->rows[i];
        weft_text_add(out, "%lld,%lld,%s", (long long)row->microbatch, (long long)row->microbatches,
                      outcomes[row->outcome]);
        for (int f = 0; f < 2 * FIGURES; f++) {
            weft_text_add(out, ",");
            if (isfinite(figure_of(row, f))) weft_text_add_double(out, figure_of(row, f));
        }
        weft_text_add(out, ",%zu\n", weft_sweep_memory(sweep, row));
    }
}
