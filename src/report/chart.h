/*
 * A picture of lines and stacked bars under each other, as SVG, as a page that tells what a pointer is over, and in
 * the characters of a terminal.
 *
 * Owns: nothing; all is borrowed for the call.  Threads: any.
 */
#ifndef WEFT_REPORT_CHART_H
#define WEFT_REPORT_CHART_H

#include "base/text.h"

typedef struct weft_chart_point {
    double x, y;      /* above 0 on a logarithmic axis */
    const char *note; /* what it tells, in lines; NULL: nothing */
    bool marked;      /* ringed */
} weft_chart_point;

typedef enum weft_chart_shape {
    WEFT_CHART_POINTS, /* a line with each point visible */
    WEFT_CHART_CURVE,  /* of many points: the line alone */
    WEFT_CHART_MARKS   /* hollow points without a line, and without an entry of the legend */
} weft_chart_shape;

typedef struct weft_chart_line {
    const char *name;
    int colour; /* from 0 up; lines of one colour belong together */
    const weft_chart_point *points;
    int count;
    weft_chart_shape shape;
} weft_chart_line;

/* Both axes logarithmic and y from 0 up, but for what is said. */
typedef struct weft_chart_plot {
    const char *title, *x_name;
    bool logarithmic_y;
    bool ticks_at_points; /* on the x axis; points of a line ascend */
    const weft_chart_line *lines;
    int line_count;
    bool linear_x;          /* whole numbers, as of steps */
    bool tight_y;           /* from the least that is shown */
    int height;             /* pixels; 0: as every other plot */
    const char *y_name;     /* NULL: the title says it */
    const char *marks_name; /* what hollow points are; NULL: there are none */
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

typedef struct weft_chart_screen {
    int columns, rows; /* of characters, with axes and title */
    bool unicode;      /* else pure ASCII */
    bool colour;       /* escape sequences of terminals that have 256 colours */
} weft_chart_screen;

/* A plot in the characters of a terminal. Several lines without colours are drawn in letters: a, b, c and so on, their
 * hollow points in capitals. */
void weft_chart_text(const weft_chart_plot *plot, const weft_chart_screen *screen, weft_text *out);
/* What stands for a line in a legend: a letter, or a short stroke in its colour. */
void weft_chart_text_key(const weft_chart_plot *plot, const weft_chart_screen *screen, int colour, weft_text *out);

void weft_chart_svg(const weft_chart *chart, weft_text *out);
/* The same in a page without outside resources. */
void weft_chart_html(const weft_chart *chart, weft_text *out);

#endif
