#include "report/canvas.h"

#include <string.h>

static const double letter = 6.6; /* mean width in pixels at the legend's size */

/* Mean over ranks of each cause, in percent of the step. */
static void add_causes(const weft_canvas *canvas)
{
    const char *separator = ": ";
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        double percent = 100 * canvas->bubble.cause[cause];
        if (percent < 0.05) continue;
        weft_text_add(canvas->out, "%s%s %.1f %%", separator, weft_bubble_cause_name((weft_bubble_cause)cause),
                      percent);
        separator = ", ";
    }
}

static void begin_line(weft_text *out, int y)
{
    weft_text_add(out, "<text x=\"24\" y=\"%d\" font-size=\"13\" fill=\"#55606e\">", y);
}

static void draw_title(const weft_canvas *canvas)
{
    weft_text *out = canvas->out;
    weft_text_add(out, "<text x=\"24\" y=\"38\" font-size=\"20\" font-weight=\"600\" fill=\"#1d2733\">");
    weft_text_add_xml(out, canvas->picture->title ? canvas->picture->title : "");
    weft_text_add(out, "</text>\n");
    begin_line(out, 62);
    if (canvas->picture->caption && *canvas->picture->caption) {
        weft_text_add_xml(out, canvas->picture->caption);
        weft_text_add(out, " \xc2\xb7 ");
    }
    weft_canvas_add_time(canvas, canvas->bubble.step_time, out);
    weft_text_add(out, " \xc2\xb7 bubble %.1f %%", 100 * canvas->bubble.fraction);
    add_causes(canvas);
    weft_text_add(out, "</text>\n");
}

/* The line under that. */
static void draw_memory(const weft_canvas *canvas)
{
    weft_text *out = canvas->out;
    begin_line(out, 81);
    weft_text_add(out, "a rank's first pass to its last: ");
    weft_canvas_add_time(canvas, canvas->bubble.own_step_time, out);
    weft_text_add(out, ", bubble %.1f %% \xc2\xb7 ", 100 * canvas->bubble.own_fraction);
    weft_canvas_add_held(canvas, out);
    weft_text_add(out, "</text>\n");
}

typedef struct legend_pen {
    const weft_canvas *canvas;
    double x, y;
} legend_pen;

/* Makes room for swatches pixels and a label; leaves x where the label begins. */
static double place_item(legend_pen *legend, double swatches, const char *label)
{
    double width = swatches + 6 + letter * (double)strlen(label) + 14;
    if (legend->x + width > WEFT_CANVAS_WIDTH - 24 && legend->x > 24) {
        legend->x = 24;
        legend->y += 22;
    }
    double begin = legend->x;
    legend->x += width;
    return begin;
}

static void draw_label(const legend_pen *legend, double x, const char *label)
{
    weft_text_add(legend->canvas->out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#333d49\">", x,
                  legend->y + 10.5);
    weft_text_add_xml(legend->canvas->out, label);
    weft_text_add(legend->canvas->out, "</text>\n");
}

static void draw_swatch(const legend_pen *legend, double x, bool thin, weft_colour colour)
{
    weft_text_add(legend->canvas->out,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"13\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n", x,
                  legend->y + (thin ? 4 : 0), thin ? 5 : 13, colour.red, colour.green, colour.blue);
}

static void draw_kind(legend_pen *legend, weft_action_kind kind)
{
    enum { MOST_SWATCHES = 4 };
    const weft_paint *paint = weft_paint_get(kind);
    bool thin = weft_action_info_get(kind)->lane != WEFT_LANE_COMPUTE;
    int32_t shades = legend->canvas->shades, swatches = thin ? 1 : shades;
    if (swatches > MOST_SWATCHES) swatches = MOST_SWATCHES;
    double x = place_item(legend, 14 * swatches, paint->label);
    for (int32_t i = 0; i < swatches; i++) draw_swatch(legend, x + 14 * i, thin, weft_paint_shade(paint, i, swatches));
    draw_label(legend, x + 14 * swatches + 5, paint->label);
}

static void draw_kinds(legend_pen *legend, bool compute)
{
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        weft_action_lane lane = weft_action_info_get((weft_action_kind)kind)->lane;
        if (legend->canvas->used[kind] && (lane == WEFT_LANE_COMPUTE) == compute)
            draw_kind(legend, (weft_action_kind)kind);
    }
}

static void draw_idle(legend_pen *legend)
{
    double x = place_item(legend, 14, "idle");
    weft_text_add(legend->canvas->out,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"13\" height=\"13\" fill=\"url(#idle)\" stroke=\"#d5d9de\"/>\n",
                  x, legend->y);
    draw_label(legend, x + 19, "idle");
}

void weft_canvas_draw_head(weft_canvas *canvas)
{
    static const char shades[] = "lighter: later stage of the rank";
    legend_pen legend = {.canvas = canvas, .x = 24, .y = 97};
    draw_title(canvas);
    draw_memory(canvas);
    draw_kinds(&legend, true);
    draw_idle(&legend);
    if (canvas->strips) draw_kinds(&legend, false);
    if (canvas->shades > 1) draw_label(&legend, place_item(&legend, 0, shades), shades);
    canvas->top = legend.y + 32;
}
