#include "report/sweep.h"

#include <math.h>

weft_sweep_figures weft_sweep_figure(const weft_sweep *sweep, double step_seconds, double bubble)
{
    double flops = sweep->step_flops / step_seconds;
    double share = sweep->peak > 0 ? flops / sweep->peak : NAN;
    return (weft_sweep_figures){.step_seconds = step_seconds,
                                .tokens_per_second = (double)(sweep->sequences * sweep->tokens) / step_seconds,
                                .bubble = bubble,
                                .peak_share = share,
                                .busy_peak_share = bubble < 1 ? share / (1 - bubble) : NAN};
}

size_t weft_sweep_memory(const weft_sweep *sweep, const weft_sweep_row *row)
{
    size_t largest = 0;
    for (int32_t rank = 0; rank < sweep->ranks; rank++)
        if (row->memory[rank] > largest) largest = row->memory[rank];
    return largest;
}

int weft_sweep_best(const weft_sweep *sweep)
{
    int best = -1;
    for (int i = 0; i < sweep->count; i++) {
        const weft_sweep_row *row = &sweep->rows[i];
        if (row->outcome != WEFT_SWEEP_MEASURED) continue;
        if (best < 0 || row->measured.tokens_per_second > sweep->rows[best].measured.tokens_per_second) best = i;
    }
    return best;
}

int weft_sweep_predicted_best(const weft_sweep *sweep)
{
    int best = -1;
    for (int i = 0; i < sweep->count; i++) {
        const weft_sweep_row *row = &sweep->rows[i];
        if (!row->has_prediction) continue;
        if (best < 0 || row->predicted.tokens_per_second > sweep->rows[best].predicted.tokens_per_second) best = i;
    }
    return best;
}

weft_sweep_side weft_sweep_limit(const weft_sweep *sweep, bool larger)
{
    weft_sweep_side side = {.row = -1};
    int best = weft_sweep_best(sweep), step = larger ? 1 : -1;
    for (int i = best + step; best >= 0 && i >= 0 && i < sweep->count; i += step)
        if (sweep->rows[i].outcome == WEFT_SWEEP_MEASURED) side.row = i;
    if (side.row < 0) return side;
    const weft_sweep_figures *outer = &sweep->rows[side.row].measured, *top = &sweep->rows[best].measured;
    /* Throughput is pace while busy x (1 - bubble): the factor that is lower by more. */
    double busy = (1 - outer->bubble) / (1 - top->bubble);
    double pace = outer->tokens_per_second / top->tokens_per_second / busy;
    side.is_bubble = busy < pace;
    return side;
}

static void add_bubble(const weft_sweep_row *outer, const weft_sweep_row *best, const char *subject, weft_text *out)
{
    weft_text_add(out, "%s takes %.1f %% of the step at %lld, %.1f %% at %lld", subject, 100 * outer->measured.bubble,
                  (long long)outer->microbatch, 100 * best->measured.bubble, (long long)best->microbatch);
}

static void add_pace(const weft_sweep *sweep, const weft_sweep_row *outer, const weft_sweep_row *best,
                     const char *subject, weft_text *out)
{
    const weft_sweep_figures *a = &outer->measured, *b = &best->measured;
    if (sweep->peak > 0)
        weft_text_add(out, "%s reaches %.2f of its peak while busy at %lld, %.2f at %lld", subject, a->busy_peak_share,
                      (long long)outer->microbatch, b->busy_peak_share, (long long)best->microbatch);
    else
        weft_text_add(out, "%s does %.0f tokens/s while busy at %lld, %.0f at %lld", subject,
                      a->tokens_per_second / (1 - a->bubble), (long long)outer->microbatch,
                      b->tokens_per_second / (1 - b->bubble), (long long)best->microbatch);
}

/* Why nothing was measured on a side. */
static void explain_absence(const weft_sweep *sweep, bool larger, weft_text *out)
{
    int next = weft_sweep_best(sweep) + (larger ? 1 : -1);
    bool listed = next >= 0 && next < sweep->count;
    if (listed && sweep->rows[next].outcome == WEFT_SWEEP_TOO_LARGE)
        weft_text_add(out, "memory limits: %lld does not fit", (long long)sweep->rows[next].microbatch);
    else
        weft_text_add(out, "nothing %s was measured", larger ? "larger" : "smaller");
}

void weft_sweep_explain(const weft_sweep *sweep, bool larger, weft_text *out)
{
    weft_sweep_side side = weft_sweep_limit(sweep, larger);
    if (side.row < 0) {
        explain_absence(sweep, larger, out);
        return;
    }
    const weft_sweep_row *outer = &sweep->rows[side.row], *best = &sweep->rows[weft_sweep_best(sweep)];
    weft_text_add(out, "the %s limits: ", side.is_bubble ? "bubble" : "device");
    if (side.is_bubble)
        add_bubble(outer, best, "it", out);
    else
        add_pace(sweep, outer, best, "it", out);
    weft_text_add(out, "; ");
    if (side.is_bubble)
        add_pace(sweep, outer, best, "the device", out);
    else
        add_bubble(outer, best, "the bubble", out);
}
