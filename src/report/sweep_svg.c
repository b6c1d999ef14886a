#include "report/canvas.h"
#include "report/sweep.h"

#include <math.h>

enum { WIDTH = 960, LEFT = 84, RIGHT = 924, INSET = 56 };

static const double most_relative = 1.06; /* room above the highest point */

/* One of the two plots under each other; both have the sizes on their horizontal axis. */
typedef struct panel {
    const weft_sweep *sweep;
    weft_text *out;
    double top, bottom; /* pixels */
    double most;        /* the value at the top, in units of the axis */
    double scale;       /* from a figure to the axis */
} panel;

typedef struct series {
    const char *label;
    const char *colour;
    double (*get)(const weft_sweep_figures *figures);
} series;

static double get_rate(const weft_sweep_figures *figures)
{
    return figures->tokens_per_second;
}

static double get_bubble(const weft_sweep_figures *figures)
{
    return figures->bubble;
}

static double get_share(const weft_sweep_figures *figures)
{
    return figures->peak_share;
}

static double get_busy_share(const weft_sweep_figures *figures)
{
    return figures->busy_peak_share;
}

static const series rates[] = {{"throughput", "#1f5fa8", get_rate}, {NULL, NULL, NULL}};
static const series shares[] = {{"bubble", "#be4637", get_bubble},
                                {"share of peak while busy", "#1b7848", get_busy_share},
                                {"share of peak, whole step", "#1f5fa8", get_share},
                                {NULL, NULL, NULL}};

/* NAN where it is not known. */
static double value_of(const weft_sweep_row *row, const series *line, bool predicted)
{
    if (predicted) return row->has_prediction ? line->get(&row->predicted) : NAN;
    return row->outcome == WEFT_SWEEP_MEASURED ? line->get(&row->measured) : NAN;
}

static double x_of(const weft_sweep *sweep, int row)
{
    double least = log2((double)sweep->rows[0].microbatch),
           length = log2((double)sweep->rows[sweep->count - 1].microbatch) - least;
    double share = length > 0 ? (log2((double)sweep->rows[row].microbatch) - least) / length : 0.5;
    return LEFT + INSET + (RIGHT - LEFT - 2 * INSET) * share;
}

static double y_of(const panel *it, double value)
{
    return it->bottom - (it->bottom - it->top) * value * it->scale / it->most;
}

static void find_most(panel *it, const series *lines)
{
    for (const series *line = lines; line->label; line++)
        for (int i = 0; i < 2 * it->sweep->count; i++) {
            double value = value_of(&it->sweep->rows[i / 2], line, i % 2) * it->scale;
            if (isfinite(value) && value * most_relative > it->most) it->most = value * most_relative;
        }
    if (!(it->most > 0)) it->most = 1;
}

static void draw_frame(const panel *it, const char *title)
{
    double tick = weft_canvas_tick(it->most);
    weft_text_add(it->out,
                  "<text x=\"%d\" y=\"%.1f\" font-size=\"13\" font-weight=\"600\" fill=\"#333d49\">%s</text>\n", LEFT,
                  it->top - 12, title);
    for (int i = 0; i * tick <= it->most * (1 + 1e-9); i++) {
        double y = y_of(it, i * tick / it->scale);
        weft_text_add(it->out,
                      "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#1d2733\" stroke-opacity=\"%s\"/>\n",
                      LEFT, y, RIGHT, y, i ? ".12" : ".5");
        weft_text_add(it->out,
                      "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"end\">%.*f</text>\n",
                      LEFT - 8, y + 4, weft_canvas_tick_decimals(tick), i * tick);
    }
}

/* A size that has no figures says why. */
static void draw_absent(const panel *it, int row)
{
    const weft_sweep_row *at = &it->sweep->rows[row];
    if (at->outcome == WEFT_SWEEP_MEASURED) return;
    double x = x_of(it->sweep, row), middle = (it->top + it->bottom) / 2;
    weft_text_add(it->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"28\" height=\"%.1f\" fill=\"url(#absent)\"/>\n", x - 14,
                  it->top, it->bottom - it->top);
    weft_text_add(it->out,
                  "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\" "
                  "transform=\"rotate(-90 %.1f %.1f)\">%s</text>\n",
                  x + 4, middle, x + 4, middle, at->outcome == WEFT_SWEEP_TOO_LARGE ? "does not fit" : "not run");
}

static void draw_line(const panel *it, const series *line, bool predicted)
{
    int points = 0;
    weft_text_add(it->out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s d=\"", line->colour,
                  predicted ? " stroke-dasharray=\"6 4\"" : "");
    for (int i = 0; i < it->sweep->count; i++) {
        double value = value_of(&it->sweep->rows[i], line, predicted);
        if (!isfinite(value)) continue;
        weft_text_add(it->out, "%s%.1f %.1f", points++ ? " L" : "M", x_of(it->sweep, i), y_of(it, value));
    }
    weft_text_add(it->out, "%s\"/>\n", points ? "" : "M0 0");
}

static void draw_points(const panel *it, const series *line, bool predicted)
{
    for (int i = 0; i < it->sweep->count; i++) {
        double value = value_of(&it->sweep->rows[i], line, predicted);
        if (!isfinite(value)) continue;
        weft_text_add(
            it->out,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\" stroke=\"%s\" stroke-width=\"1.5\"><title>%s, %s, at "
            "%lld: %.4g</title></circle>\n",
            x_of(it->sweep, i), y_of(it, value), predicted ? "3" : "4", predicted ? "#ffffff" : line->colour,
            line->colour, line->label, predicted ? "predicted" : "measured", (long long)it->sweep->rows[i].microbatch,
            value * it->scale);
    }
}

static void draw_panel(panel *it, const series *lines, const char *title)
{
    find_most(it, lines);
    draw_frame(it, title);
    for (int i = 0; i < it->sweep->count; i++) draw_absent(it, i);
    for (int predicted = 1; predicted >= 0; predicted--)
        for (const series *line = lines; line->label; line++) {
            draw_line(it, line, predicted);
            draw_points(it, line, predicted);
        }
}

static void draw_best(const panel *it)
{
    int best = weft_sweep_best(it->sweep);
    if (best < 0) return;
    double x = x_of(it->sweep, best), y = y_of(it, it->sweep->rows[best].measured.tokens_per_second);
    weft_text_add(it->out,
                  "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"9\" fill=\"none\" stroke=\"#b56e0e\" stroke-width=\"2\"/>\n"
                  "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" font-weight=\"600\" fill=\"#b56e0e\" "
                  "text-anchor=\"middle\">best: %lld</text>\n",
                  x, y, x, y + 26, (long long)it->sweep->rows[best].microbatch);
}

static void draw_sizes(const panel *it)
{
    weft_text *out = it->out;
    for (int i = 0; i < it->sweep->count; i++) {
        const weft_sweep_row *row = &it->sweep->rows[i];
        weft_text_add(
            out,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" font-weight=\"600\" fill=\"#333d49\" "
            "text-anchor=\"middle\">%lld</text>\n<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\" fill=\"#55606e\" "
            "text-anchor=\"middle\">M = %lld</text>\n",
            x_of(it->sweep, i), it->bottom + 20, (long long)row->microbatch, x_of(it->sweep, i), it->bottom + 36,
            (long long)row->microbatches);
    }
    weft_text_add(out,
                  "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\">sequences of a "
                  "micro-batch; M micro-batches of a step (logarithmic)</text>\n",
                  (LEFT + RIGHT) / 2, it->bottom + 58);
}

/* Swatches from x on; returns where the next one goes. */
static double draw_key(weft_text *out, double x, double y, const char *colour, bool predicted, const char *label)
{
    double width = 0;
    weft_text_add(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s d=\"M%.1f %.1f h26\"/>\n", colour,
                  predicted ? " stroke-dasharray=\"6 4\"" : "", x, y);
    weft_text_add(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\" stroke=\"%s\" stroke-width=\"1.5\"/>\n",
                  x + 13, y, predicted ? "#ffffff" : colour, colour);
    weft_text_add(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#333d49\">%s</text>\n", x + 32, y + 4,
                  label);
    for (const char *at = label; *at; at++) width += 6.4;
    return x + 32 + width + 18;
}

static void draw_head(const weft_sweep *sweep, weft_text *out)
{
    int best = weft_sweep_best(sweep);
    weft_text_add(out, "<text x=\"24\" y=\"38\" font-size=\"20\" font-weight=\"600\" fill=\"#1d2733\">");
    weft_text_add_xml(out, sweep->schedule);
    if (sweep->data > 1) weft_text_add(out, ", D = %d", (int)sweep->data);
    if (sweep->tensor > 1) weft_text_add(out, ", T = %d", (int)sweep->tensor);
    weft_text_add(out,
                  ", P = %d, %d stage%s: micro-batch sizes</text>\n<text x=\"24\" y=\"62\" font-size=\"13\" "
                  "fill=\"#55606e\">batch of %lld sequence%s of %lld token%s",
                  (int)sweep->ranks, (int)sweep->stages, weft_text_plural(sweep->stages), (long long)sweep->sequences,
                  weft_text_plural(sweep->sequences), (long long)sweep->tokens, weft_text_plural(sweep->tokens));
    if (sweep->peak > 0) weft_text_add(out, " \xc2\xb7 measured peak %.1f Gflop/s", sweep->peak * 1e-9);
    if (best >= 0)
        weft_text_add(out, " \xc2\xb7 best: %lld, %.0f tokens/s", (long long)sweep->rows[best].microbatch,
                      sweep->rows[best].measured.tokens_per_second);
    weft_text_add(out, "</text>\n");
    double x = draw_key(out, 24, 84, "#55606e", false, "measured");
    x = draw_key(out, x, 84, "#55606e", true, "predicted");
    for (const series *line = shares; line->label; line++)
        x = draw_key(out, x + 6, 84, line->colour, false, line->label);
}

void weft_sweep_svg(const weft_sweep *sweep, weft_text *out)
{
    enum { HEIGHT = 690 };
    panel upper = {.sweep = sweep, .out = out, .top = 138, .bottom = 360, .scale = 1};
    panel lower = {.sweep = sweep, .out = out, .top = 408, .bottom = 614, .scale = 100};
    weft_text_add(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                  "font-family=\"Inter, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n",
                  WIDTH, HEIGHT, WIDTH, HEIGHT);
    weft_text_add(out, "<defs><pattern id=\"absent\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" "
                       "patternTransform=\"rotate(45)\"><rect width=\"7\" height=\"7\" fill=\"#f4f5f7\"/>"
                       "<rect width=\"1.4\" height=\"7\" fill=\"#dde1e6\"/></pattern></defs>\n");
    weft_text_add(out,
                  "<rect x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#ffffff\" stroke=\"#d5d9de\"/>\n",
                  WIDTH - 1, HEIGHT - 1);
    draw_head(sweep, out);
    draw_panel(&upper, rates, "throughput, tokens/s");
    draw_best(&upper);
    draw_panel(&lower, shares, "bubble and shares of the peak, %");
    draw_sizes(&lower);
    weft_text_add(out, "</svg>\n");
}
