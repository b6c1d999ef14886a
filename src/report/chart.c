#include "report/chart.h"

#include "report/canvas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 960, LEFT = 92, RIGHT = 930, PLOT = 250, HEAD = 76, ABOVE = 58, BELOW = 62, BAR = 24, NAMES = 190 };

static const char page[] =
#include "chart.inc"
    ;

static const char mark[] = "<!--CHART-->"; /* where the picture goes */

static const char *const colours[] = {"#1f5fa8", "#be4637", "#1b7848", "#b56e0e", "#7b4fa3", "#0f8a96",
                                      "#a33e6c", "#5b6b2f", "#55606e", "#c9a227", "#8c96a3"};

enum { COLOURS = sizeof colours / sizeof *colours };

static const char *colour_of(int index)
{
    return colours[index % COLOURS];
}

typedef struct axis {
    double least, most;
    double from, to; /* pixels */
    bool logarithmic;
} axis;

typedef struct plot {
    const weft_chart_plot *what;
    weft_text *out;
    axis x, y;
} plot;

static double place(const axis *it, double value)
{
    double share = it->logarithmic ? log(value / it->least) / log(it->most / it->least)
                                   : (value - it->least) / (it->most - it->least);
    return it->from + share * (it->to - it->from);
}

static bool can_show(const plot *it, const weft_chart_point *point)
{
    return isfinite(point->x) && isfinite(point->y) && point->x > 0 && (point->y > 0 || !it->what->logarithmic_y);
}

static void widen(axis *it, double value)
{
    if (!(it->most > 0)) it->least = it->most = value;
    if (value < it->least) it->least = value;
    if (value > it->most) it->most = value;
}

static void find_ranges(plot *it)
{
    for (int l = 0; l < it->what->line_count; l++)
        for (int i = 0; i < it->what->lines[l].count; i++) {
            const weft_chart_point *point = &it->what->lines[l].points[i];
            if (!can_show(it, point)) continue;
            widen(&it->x, point->x);
            widen(&it->y, point->y);
        }
    axis *axes[] = {&it->x, &it->y};
    for (int i = 0; i < 2; i++) {
        if (!(axes[i]->most > 0)) axes[i]->least = axes[i]->most = 1;
        axes[i]->least /= 1.12;
        axes[i]->most *= 1.12;
    }
    it->y.logarithmic = it->what->logarithmic_y;
    if (!it->y.logarithmic) it->y.least = 0;
}

/* "1.5k", "20M": short enough for an axis. */
static void add_number(double value, weft_text *out)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    int unit = 0;
    for (; value >= (unit ? 999.5 : 9999.5) && unit < 5; unit++) value /= 1000;
    weft_text_add(out, "%.4g%s", value, units[unit]);
}

static void draw_tick(const plot *it, bool vertical, double value)
{
    double at = place(vertical ? &it->y : &it->x, value);
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
    add_number(value, it->out);
    weft_text_add(it->out, "</text>\n");
}

/* 1, 2 and 5 times powers of ten, as many as have room; finer where the axis is short of a decade. */
static void draw_logarithmic(const plot *it, bool vertical)
{
    static const double coarse[] = {1, 2, 5}, fine[] = {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9};
    const axis *on = vertical ? &it->y : &it->x;
    bool is_short = on->most < 8 * on->least;
    const double *steps = is_short ? fine : coarse;
    int count = is_short ? (int)(sizeof fine / sizeof *fine) : (int)(sizeof coarse / sizeof *coarse);
    double last = -1e9, room = vertical ? 22 : 52;
    for (int power = (int)floor(log10(on->least)); power <= (int)ceil(log10(on->most)); power++)
        for (int i = 0; i < count; i++) {
            double value = steps[i] * pow(10, power);
            if (value < on->least || value > on->most || fabs(place(on, value) - last) < room) continue;
            last = place(on, value);
            draw_tick(it, vertical, value);
        }
}

/* Where the points of the first line with most of them are. */
static void draw_at_points(const plot *it)
{
    const weft_chart_line *longest = it->what->lines;
    double last = -1e9;
    for (int i = 0; i < it->what->line_count; i++)
        if (it->what->lines[i].count > longest->count) longest = &it->what->lines[i];
    for (int i = 0; it->what->line_count && i < longest->count; i++) {
        double at = place(&it->x, longest->points[i].x);
        if (!can_show(it, &longest->points[i]) || at - last < 46) continue;
        last = at;
        draw_tick(it, false, longest->points[i].x);
    }
}

static void draw_axes(const plot *it)
{
    weft_text_add(it->out,
                  "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"none\" stroke=\"#1d2733\" "
                  "stroke-opacity=\".5\"/>\n",
                  LEFT, it->y.to, RIGHT - LEFT, it->y.from - it->y.to);
    if (it->what->ticks_at_points)
        draw_at_points(it);
    else
        draw_logarithmic(it, false);
    double tick = weft_canvas_tick(it->y.most);
    if (it->y.logarithmic) draw_logarithmic(it, true);
    for (int i = 0; !it->y.logarithmic && i * tick <= it->y.most; i++) draw_tick(it, true, i * tick);
    weft_text_add(it->out,
                  "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\">%s</text>\n",
                  (LEFT + RIGHT) / 2, it->y.from + 40, it->what->x_name);
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

static void draw_line(const plot *it, const weft_chart_line *line)
{
    int points = 0;
    weft_text_add(it->out, "<g data-line=\"");
    weft_text_add_xml(it->out, line->name);
    weft_text_add(it->out, "\">\n<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", colour_of(line->colour));
    for (int i = 0; i < line->count; i++)
        if (can_show(it, &line->points[i]))
            weft_text_add(it->out, "%s%.1f %.1f", points++ ? " L" : "M", place(&it->x, line->points[i].x),
                          place(&it->y, line->points[i].y));
    weft_text_add(it->out, "%s\"/>\n", points ? "" : "M0 0");
    for (int i = 0; i < line->count; i++) {
        const weft_chart_point *point = &line->points[i];
        if (!can_show(it, point)) continue;
        double x = place(&it->x, point->x), y = place(&it->y, point->y);
        if (point->marked)
            weft_text_add(it->out,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"8\" fill=\"none\" stroke=\"#b56e0e\" "
                          "stroke-width=\"2\"/>\n",
                          x, y);
        weft_text_add(it->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"%s\"><title>", x, y,
                      colour_of(line->colour));
        weft_text_add_xml(it->out, point->note);
        weft_text_add(it->out, "</title></circle>\n");
    }
    weft_text_add(it->out, "</g>\n");
}

static void draw_title(weft_text *out, double y, const char *title)
{
    weft_text_add(out, "<text x=\"24\" y=\"%.1f\" font-size=\"14\" font-weight=\"600\" fill=\"#333d49\">", y);
    weft_text_add_xml(out, title);
    weft_text_add(out, "</text>\n");
}

static void draw_plot(const weft_chart_plot *what, double top, weft_text *out)
{
    plot it = {.what = what,
               .out = out,
               .x = {.from = LEFT, .to = RIGHT, .logarithmic = true},
               .y = {.from = top + ABOVE + PLOT, .to = top + ABOVE}};
    double x = 24;
    find_ranges(&it);
    draw_title(out, top + 20, what->title);
    for (int i = 0; i < what->line_count; i++)
        x = draw_key(out, x, top + 44, colour_of(what->lines[i].colour), what->lines[i].name);
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
    int height = HEAD + chart->plot_count * (ABOVE + PLOT + BELOW);
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
    for (int i = 0; i < chart->plot_count; i++, top += ABOVE + PLOT + BELOW) draw_plot(&chart->plots[i], top, out);
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
