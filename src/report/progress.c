#include "report/report.h"

#include <math.h>

static void add_rate(double rate, weft_text *out)
{
    if (!isfinite(rate) || rate < 0) return;
    if (rate < 1e4)
        weft_text_add(out, "  %.0f tokens/s", rate);
    else if (rate < 1e7)
        weft_text_add(out, "  %.1fk tokens/s", rate * 1e-3);
    else
        weft_text_add(out, "  %.1fM tokens/s", rate * 1e-6);
}

static void add_time_left(double seconds, weft_text *out)
{
    if (!(seconds >= 0) || seconds > 1e9) return;
    int64_t whole = (int64_t)(seconds + 0.5), hours = whole / 3600, minutes = whole / 60 % 60;
    if (hours)
        weft_text_add(out, "  %lld:%02lld:%02lld left", (long long)hours, (long long)minutes, (long long)whole % 60);
    else
        weft_text_add(out, "  %lld:%02lld left", (long long)minutes, (long long)whole % 60);
}

/* "skipped (loss above 2.345)" */
static void add_skipped(const weft_step_record *record, weft_text *out)
{
    if (!record->skipped) return;
    weft_text_add(out, "  skipped (%s ", record->skipped == WEFT_SKIPPED_LOSS ? "loss" : "gradient norm");
    if (isfinite(record->limit))
        weft_text_add(out, "above %.4g)", record->limit);
    else
        weft_text_add(out, "not finite)");
}

/* The step is padded to the width of the last one, so that lines below each other, or over each other, keep still. */
void weft_report_progress(const weft_step_record *record, weft_text *out)
{
    int width = 1;
    for (int64_t rest = record->steps; rest > 9; rest /= 10) width++;
    weft_text_add(out, "step %*lld/%lld  loss %.4f", width, (long long)record->step, (long long)record->steps,
                  isnan(record->loss) ? (double)NAN : record->loss); /* never "-nan" */
    add_skipped(record, out);
    add_rate(record->tokens_per_second, out);
    if (record->peak > 0 && isfinite(record->flops_per_second))
        weft_text_add(out, "  %.0f%% of peak", 100 * record->flops_per_second / record->peak);
    add_time_left(record->seconds_left, out);
}
