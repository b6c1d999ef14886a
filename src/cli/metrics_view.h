/*
 * weft metrics: what is shown of runs, and its forms: for a terminal, as JSON, as SVG.
 *
 * Writers append text. Owns: nothing; the runs are the verb's.  Threads: main's.
 */
#ifndef WEFT_CLI_METRICS_VIEW_H
#define WEFT_CLI_METRICS_VIEW_H

#include "cli/run_metrics.h"
#include "report/chart.h"

enum { WEFT_METRICS_MOST_RUNS = 26 }; /* letters of a plot without colours */

typedef enum weft_metrics_scale { WEFT_METRICS_AUTO, WEFT_METRICS_LINEAR, WEFT_METRICS_LOGARITHMIC } weft_metrics_scale;

typedef struct weft_metrics_view {
    weft_metrics_key key;
    weft_metrics_scale scale;
    double smooth;
    const weft_run_metrics *runs;
    int count;
} weft_metrics_view;

/* Whether any of the runs has a value of the key. */
bool weft_metrics_view_has(const weft_metrics_view *view);

/* A plot of the screen's size, a table of last and best values, notes. */
void weft_metrics_print(const weft_metrics_view *view, const weft_chart_screen *screen, weft_text *out);
void weft_metrics_json(const weft_metrics_view *view, weft_text *out);
void weft_metrics_svg(const weft_metrics_view *view, weft_text *out);

#endif
