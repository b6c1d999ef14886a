#include "report/chart.h"

#include "report/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 960, LEFT = 92, RIGHT = 930, PLOT = 250, HEAD = 76, ABOVE = 58, BELOW = 62, BAR = 24, NAMES = 190 };

static const char page[] =
#include "chart.inc"
    ;

static const char mark[] = "<!--CHART-->"; /* where the picture goes */

static const char *const colours[] = {"#1f5fa8", "#be4637", "#1b7848", "#b56e0e", "#7b4fa3",
                                      "#0f8a96", "#a33e6c", "#5b6b2f", "#55606e", "#c9a227",
                                      "#8c96a3", "#4aa8e0", "#e07a9b", "#6fae45", "#2b2d42"};

/* Okabe and Ito's, which people who are blind to some colours tell apart; without the yellow, which white hides. */
static const char *const curve_colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                            "#e69f00", "#56b4e9", "#000000"};
/* The same colours come again in another dash. */
static const char *const dashes[] = {"none", "7 3", "2 3", "9 3 2 3"};

enum {
    COLOURS = sizeof colours / sizeof *colours,
    CURVE_COLOURS = sizeof curve_colours / sizeof *curve_colours,
    DASHES = sizeof dashes / sizeof *dashes
};

static const char *colour_of(int index)
{
    return colours[index % COLOURS];
}

static const char *line_colour(const weft_chart_line *line)
{
    return line->shape == WEFT_CHART_POINTS ? colour_of(line->colour) : curve_colours[line->colour % CURVE_COLOURS];
}

static const char *dash_of(const weft_chart_line *line)
{
    return line->shape == WEFT_CHART_POINTS ? dashes[0] : dashes[line->colour / CURVE_COLOURS % DASHES];
}

typedef struct plot {
    const weft_chart_plot *what;
    weft_text *out;
    weft_axis x, y;
} plot;

static bool can_show(const plot *it, const weft_chart_point *point)
{
    return weft_axis_can_show(&it->x, point->x) && weft_axis_can_show(&it->y, point->y);
}

static void find_ranges(plot *it)
{
    for (int l = 0; l < it->what->line_count; l++)
        for (int i = 0; i < it->what->lines[l].count; i++) {
            const weft_chart_point *point = &it->what->lines[l].points[i];
            if (!can_show(it, point)) continue;
            weft_axis_include(&it->x, point->x);
            weft_axis_include(&it->y, point->y);
        }
    weft_axis_close(&it->x, false);
    weft_axis_close(&it->y, !it->what->tight_y);
}

static void draw_tick(const plot *it, bool vertical, double value)
{
    const weft_axis *on = vertical ? &it->y : &it->x;
    double at = weft_axis_place(on, value);
    if (vertical)
        weft_text_add(it->out,
                      "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#1d2733\" stroke-opacity=\".12\"/>\n"
                      "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"end\">",
                      LEFT, at, RIGHT, at, LEFT - 8, at + 4);
    else
        weft_text_add(
            it->out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#1d2733\" stroke-opacity=\".12\"/>\n"
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\">",
            at, it->y.to, at, it->y.from, at, it->y.from + 18);
    weft_axis_add_number(on, value, it->out);
    weft_text_add(it->out, "</text>\n");
}

static void draw_ticks(plot *it, bool vertical)
{
    double ticks[WEFT_AXIS_TICKS];
    int count = weft_axis_ticks(vertical ? &it->y : &it->x, vertical ? 22 : 52, ticks);
    for (int i = 0; i < count; i++) draw_tick(it, vertical, ticks[i]);
}

/* Where the points of the first line with most of them are. */
static void draw_at_points(const plot *it)
{
    const weft_chart_line *longest = it->what->lines;
    double last = -1e9;
    for (int i = 0; i < it->what->line_count; i++)
        if (it->what->lines[i].count > longest->count) longest = &it->what->lines[i];
    for (int i = 0; it->what->line_count && i < longest->count; i++) {
        double at = weft_axis_place(&it->x, longest->points[i].x);
        if (!can_show(it, &longest->points[i]) || at - last < 46) continue;
        last = at;
        draw_tick(it, false, longest->points[i].x);
    }
}

static void draw_axes(plot *it)
{
    weft_text_add(it->out,
                  "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"none\" stroke=\"#1d2733\" "
                  "stroke-opacity=\".5\"/>\n",
                  LEFT, it->y.to, RIGHT - LEFT, it->y.from - it->y.to);
    if (it->what->ticks_at_points)
        draw_at_points(it);
    else
        draw_ticks(it, false);
    draw_ticks(it, true);
    weft_text_add(it->out,
                  "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\">%s</text>\n",
                  (LEFT + RIGHT) / 2, it->y.from + 40, it->what->x_name);
    double middle = (it->y.from + it->y.to) / 2;
    if (it->what->y_name)
        weft_text_add(it->out,
                      "<text x=\"28\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\" "
                      "transform=\"rotate(-90 28 %.1f)\">%s</text>\n",
                      middle, middle, it->what->y_name);
}

/* Swatch and name; returns where the next one goes. */
static double draw_key(weft_text *out, double x, double y, const char *colour, const char *name)
{
    weft_text_add(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" rx=\"3\" fill=\"%s\"/>\n", x, y - 10,
                  colour);
    weft_text_add(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#333d49\">", x + 17, y);
    weft_text_add_xml(out, name);
    weft_text_add(out, "</text>\n");
    return x + 17 + 6.6 * (double)strlen(name) + 16;
}

static double key_width(const char *name)
{
    return 33 + 6.6 * (double)strlen(name);
}

/* Goes on to the next place of a legend, in a new row where this one is full. */
static void next_key(double *x, double *y, const char *name)
{
    if (*x > 24 && *x + key_width(name) > RIGHT) {
        *x = 24;
        *y += 20;
    }
}

/* Names of the lines from y downwards; returns where the last row is. out NULL: only that. */
static double draw_keys(const weft_chart_plot *what, double y, weft_text *out)
{
    double x = 24;
    for (int i = 0; i < what->line_count; i++) {
        const weft_chart_line *line = &what->lines[i];
        if (line->shape == WEFT_CHART_MARKS) continue;
        next_key(&x, &y, line->name);
        if (out) draw_key(out, x, y, line_colour(line), line->name);
        x += key_width(line->name);
    }
    if (!what->marks_name) return y;
    next_key(&x, &y, what->marks_name);
    if (!out) return y;
    weft_text_add(out,
                  "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#ffffff\" stroke=\"#333d49\" stroke-width=\"2\"/>\n",
                  x + 6, y - 4);
    weft_text_add(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#333d49\">%s</text>\n", x + 17, y,
                  what->marks_name);
    return y;
}

/* What falls on the pixel before it is left out. */
static void draw_path(const plot *it, const weft_chart_line *line)
{
    char last[32] = "";
    weft_text_add(it->out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" ", line_colour(line),
                  line->shape == WEFT_CHART_POINTS ? "2" : "1.5");
    if (dash_of(line) != dashes[0]) weft_text_add(it->out, "stroke-dasharray=\"%s\" ", dash_of(line));
    weft_text_add(it->out, "stroke-linejoin=\"round\" d=\"");
    for (int i = 0; i < line->count; i++) {
        char next[32];
        if (!can_show(it, &line->points[i])) continue;
        snprintf(next, sizeof next, "%.1f %.1f", weft_axis_place(&it->x, line->points[i].x),
                 weft_axis_place(&it->y, line->points[i].y));
        if (strcmp(next, last) != 0) weft_text_add(it->out, "%s%s", *last ? " L" : "M", next);
        memcpy(last, next, sizeof last);
    }
    weft_text_add(it->out, "%s\"/>\n", *last ? "" : "M0 0");
}

static void draw_point(const plot *it, const weft_chart_line *line, const weft_chart_point *point)
{
    double x = weft_axis_place(&it->x, point->x), y = weft_axis_place(&it->y, point->y);
    bool hollow = line->shape == WEFT_CHART_MARKS;
    if (point->marked)
        weft_text_add(it->out,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"8\" fill=\"none\" stroke=\"#b56e0e\" "
                      "stroke-width=\"2\"/>\n",
                      x, y);
    weft_text_add(it->out, "<circle cx=\"%.1f\" cy=\"%.1f\" ", x, y);
    if (hollow)
        weft_text_add(it->out, "r=\"4\" fill=\"#ffffff\" stroke=\"%s\" stroke-width=\"2\">", line_colour(line));
    else
        weft_text_add(it->out, "r=\"4.5\" fill=\"%s\">", line_colour(line));
    if (point->note) {
        weft_text_add(it->out, "<title>");
        weft_text_add_xml(it->out, point->note);
        weft_text_add(it->out, "</title>");
    }
    weft_text_add(it->out, "</circle>\n");
}

/* A curve of one point is a point. */
static void draw_line(const plot *it, const weft_chart_line *line)
{
    int shown = 0;
    for (int i = 0; i < line->count; i++) shown += can_show(it, &line->points[i]);
    weft_text_add(it->out, "<g data-line=\"");
    weft_text_add_xml(it->out, line->name);
    weft_text_add(it->out, "\">\n");
    if (line->shape != WEFT_CHART_MARKS) draw_path(it, line);
    for (int i = 0; i < line->count && (line->shape != WEFT_CHART_CURVE || shown == 1); i++)
        if (can_show(it, &line->points[i])) draw_point(it, line, &line->points[i]);
    weft_text_add(it->out, "</g>\n");
}

static void draw_title(weft_text *out, double y, const char *title)
{
    weft_text_add(out, "<text x=\"24\" y=\"%.1f\" font-size=\"14\" font-weight=\"600\" fill=\"#333d49\">", y);
    weft_text_add_xml(out, title);
    weft_text_add(out, "</text>\n");
}

static double above(const weft_chart_plot *what)
{
    return draw_keys(what, ABOVE, NULL);
}

static double height_of_plot(const weft_chart_plot *what)
{
    return above(what) + (what->height ? what->height : PLOT) + BELOW;
}

static void draw_plot(const weft_chart_plot *what, double top, weft_text *out)
{
    double head = top + above(what);
    plot it = {.what = what,
               .out = out,
               .x = {.from = LEFT, .to = RIGHT, .logarithmic = !what->linear_x, .whole = what->linear_x},
               .y = {.from = top + height_of_plot(what) - BELOW, .to = head, .logarithmic = what->logarithmic_y}};
    find_ranges(&it);
    draw_title(out, top + 20, what->title);
    draw_keys(what, top + 44, out);
    draw_axes(&it);
    for (int i = 0; i < what->line_count; i++) draw_line(&it, &what->lines[i]);
}

static double sum(const weft_chart_bars *what, int bar)
{
    double all = 0;
    for (int i = 0; i < what->part_count; i++) all += what->bars[bar].parts[i];
    return all;
}

/* All bars have one length: shares of each are what can be compared. */
static void draw_bar(const weft_chart_bars *what, int bar, double y, weft_text *out)
{
    double x = NAMES, all = sum(what, bar), scale = all > 0 ? (RIGHT - NAMES - 90) / all : 0;
    weft_text_add(out, "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#333d49\" text-anchor=\"end\">", NAMES - 10,
                  y + BAR - 9);
    weft_text_add_xml(out, what->bars[bar].name);
    weft_text_add(out, "</text>\n");
    for (int i = 0; i < what->part_count; i++) {
        double part = what->bars[bar].parts[i], width = part * scale;
        if (!(width > 0.05)) continue;
        weft_text_add(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>", x, y, width,
                      BAR - 5, colour_of(i));
        weft_text_add_xml(out, what->bars[bar].name);
        weft_text_add(out, "\n%s: %.4g %s, %.1f %%</title></rect>\n", what->part_names[i], part, what->unit,
                      100 * part / all);
        x += width;
    }
    weft_text_add(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\">%.4g %s</text>\n", x + 8,
                  y + BAR - 9, all, what->unit);
}

static void draw_bars(const weft_chart_bars *what, double top, weft_text *out)
{
    double x = 24, y = top + 44;
    draw_title(out, top + 20, what->title);
    for (int i = 0; i < what->part_count; i++) {
        if (x > WIDTH - 140) {
            x = 24;
            y += 20;
        }
        x = draw_key(out, x, y, colour_of(i), what->part_names[i]);
    }
    for (int i = 0; i < what->bar_count; i++) draw_bar(what, i, top + 84 + i * BAR, out);
}

static int height_of(const weft_chart *chart)
{
    int height = HEAD;
    for (int i = 0; i < chart->plot_count; i++) height += (int)height_of_plot(&chart->plots[i]);
    return chart->bars ? height + 84 + chart->bars->bar_count * BAR + 20 : height;
}

void weft_chart_svg(const weft_chart *chart, weft_text *out)
{
    int height = height_of(chart);
    double top = HEAD;
    weft_text_add(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                  "font-family=\"Inter, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n",
                  WIDTH, height, WIDTH, height);
    weft_text_add(out,
                  "<rect x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#ffffff\" stroke=\"#d5d9de\"/>\n",
                  WIDTH - 1, height - 1);
    weft_text_add(out, "<text x=\"24\" y=\"38\" font-size=\"20\" font-weight=\"600\" fill=\"#1d2733\">");
    weft_text_add_xml(out, chart->title);
    weft_text_add(out, "</text>\n<text x=\"24\" y=\"60\" font-size=\"13\" fill=\"#55606e\">");
    weft_text_add_xml(out, chart->caption);
    weft_text_add(out, "</text>\n");
    for (int i = 0; i < chart->plot_count; i++) {
        draw_plot(&chart->plots[i], top, out);
        top += height_of_plot(&chart->plots[i]);
    }
    if (chart->bars) draw_bars(chart->bars, top, out);
    weft_text_add(out, "</svg>\n");
}

void weft_chart_html(const weft_chart *chart, weft_text *out)
{
    const char *at = strstr(page, mark);
    weft_text_add_bytes(out, page, (size_t)(at - page));
    weft_chart_svg(chart, out);
    weft_text_add_bytes(out, at + strlen(mark), strlen(at + strlen(mark)));
}
