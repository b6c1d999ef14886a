#include "report/sweep.h"

#include "schedule/schedule.h"

#include <math.h>

static const double mebibyte = 1048576;

void weft_sweep_text_head(const weft_sweep *sweep, weft_text *out)
{
    weft_text_add(out, "%s, ", sweep->schedule);
    weft_schedule_add_shape(sweep->stages, sweep->ranks, out);
    if (sweep->data > 1) weft_text_add(out, " in each of %d pipelines", (int)sweep->data);
    if (sweep->tensor > 1) weft_text_add(out, ", %d workers divide each layer", (int)sweep->tensor);
    weft_text_add(out, "; a batch of ");
    weft_text_add_count(out, sweep->sequences, "sequence");
    weft_text_add(out, " of ");
    weft_text_add_count(out, sweep->tokens, "token");
    weft_text_add(out, "; ");
    weft_text_add_count(out, sweep->steps, "step");
    weft_text_add(out, " a size after %lld of warm-up\n", (long long)sweep->warmup);
    if (sweep->peak > 0) weft_text_add(out, "measured peak of all workers %.1f Gflop/s\n", sweep->peak * 1e-9);
    weft_text_add(out, "\n  micro-batch          tokens/s          bubble, %%     share of peak  share while busy  "
                       "largest worker\n");
    weft_text_add(out, "size      M   measured  predicted   meas.   pred.     meas.   pred.     meas.   pred.        "
                       "     MiB\n");
}

static void add_share(double share, weft_text *out)
{
    if (isfinite(share))
        weft_text_add(out, "%8.3f", share);
    else
        weft_text_add(out, "%8s", "-");
}

static void add_pair(double measured, double predicted, weft_text *out)
{
    weft_text_add(out, "  ");
    add_share(measured, out);
    add_share(predicted, out);
}

void weft_sweep_text_row(const weft_sweep *sweep, const weft_sweep_row *row, weft_text *out)
{
    const weft_sweep_figures *m = &row->measured, *p = &row->predicted;
    weft_text_add(out, "%4lld %6lld", (long long)row->microbatch, (long long)row->microbatches);
    if (row->outcome == WEFT_SWEEP_MEASURED) {
        weft_text_add(out, " %10.0f %10.0f%8.1f%8.1f", m->tokens_per_second, p->tokens_per_second, 100 * m->bubble,
                      100 * p->bubble);
        add_pair(m->peak_share, p->peak_share, out);
        add_pair(m->busy_peak_share, p->busy_peak_share, out);
        weft_text_add(out, "%16.1f\n", (double)weft_sweep_memory(sweep, row) / mebibyte);
        return;
    }
    if (row->outcome == WEFT_SWEEP_TOO_LARGE)
        weft_text_add(out, "   does not fit: %s\n", row->reason);
    else
        weft_text_add(out, "   not run\n");
}

static bool is_beyond_peak(const weft_sweep *sweep)
{
    for (int i = 0; i < sweep->count; i++)
        if (sweep->rows[i].outcome == WEFT_SWEEP_MEASURED && sweep->rows[i].measured.busy_peak_share > 1) return true;
    return false;
}

void weft_sweep_text_end(const weft_sweep *sweep, weft_text *out)
{
    int best = weft_sweep_best(sweep), predicted = weft_sweep_predicted_best(sweep);
    if (best < 0) {
        weft_text_add(out, "\nno size was measured\n");
        return;
    }
    weft_text_add(out, "\nbest      %lld a micro-batch, %.0f tokens/s", (long long)sweep->rows[best].microbatch,
                  sweep->rows[best].measured.tokens_per_second);
    if (predicted >= 0) weft_text_add(out, "; predicted: %lld", (long long)sweep->rows[predicted].microbatch);
    weft_text_add(out, "\nsmaller   ");
    weft_sweep_explain(sweep, false, out);
    weft_text_add(out, "\nlarger    ");
    weft_sweep_explain(sweep, true, out);
    weft_text_add(out, "\n");
    if (is_beyond_peak(sweep))
        weft_text_add(out, "note: a share of the peak above 1: the machine did something else while the peak was "
                           "measured\n");
}
