/*
 * A picture of lines and stacked bars under each other, as SVG and as a page that tells what a pointer is over.
 *
 * Owns: nothing; all is borrowed for the call.  Threads: any.
 */
#ifndef WEFT_REPORT_CHART_H
#define WEFT_REPORT_CHART_H

#include "base/text.h"

typedef struct weft_chart_point {
    double x, y;      /* above 0 on a logarithmic axis */
    const char *note; /* what it tells, in lines */
    bool marked;      /* ringed */
} weft_chart_point;

typedef struct weft_chart_line {
    const char *name;
    int colour; /* of weft_chart_colour */
    const weft_chart_point *points;
    int count;
} weft_chart_line;

/* Both axes logarithmic or y from 0 up. */
typedef struct weft_chart_plot {
    const char *title, *x_name;
    bool logarithmic_y;   /* x always is */
    bool ticks_at_points; /* on the x axis; points of a line ascend */
    const weft_chart_line *lines;
    int line_count;
} weft_chart_plot;

typedef struct weft_chart_bar {
    const char *name;
    const double *parts; /* (part_count), in the order of their names */
} weft_chart_bar;

typedef struct weft_chart_bars {
    const char *title, *unit;
    const char *const *part_names;
    int part_count;
    const weft_chart_bar *bars;
    int bar_count;
} weft_chart_bars;

typedef struct weft_chart {
    const char *title, *caption;
    const weft_chart_plot *plots;
    int plot_count;
    const weft_chart_bars *bars; /* NULL: none */
} weft_chart;

void weft_chart_svg(const weft_chart *chart, weft_text *out);
/* The same in a page without outside resources. */
void weft_chart_html(const weft_chart *chart, weft_text *out);

#endif
