/*
 * What the parts of a timeline picture share: the measured timeline, the layout, and places in pixels.
 *
 * Internal to this layer.  Owns: local and the bubble until weft_canvas_fini.  Threads: one.
 */
#ifndef WEFT_REPORT_CANVAS_H
#define WEFT_REPORT_CANVAS_H

#include "report/palette.h"
#include "report/report.h"

/* Thin strips under the compute bar of a rank. */
typedef enum weft_strip {
    WEFT_STRIP_SEND,
    WEFT_STRIP_RECEIVE,
    WEFT_STRIP_GATHER,
    WEFT_STRIP_COLLECTIVE,
    WEFT_STRIPS
} weft_strip;

typedef struct weft_canvas {
    weft_text *out;
    const weft_timeline *timeline;
    const weft_picture *picture;
    int32_t *local; /* (S) a stage's index among the stages of its rank */
    int32_t shades; /* most stages of a rank */
    weft_bubble bubble;
    double span; /* seconds that the axis covers: the step, or more */
    bool used[WEFT_ACTION_KINDS];
    bool has_titles;                      /* each action has a tooltip: not where there are too many */
    int strip_place[WEFT_STRIPS], strips; /* from the top, or -1; how many there are */
    double row, bar, strip;               /* heights */
    double top;                           /* of the first row */
} weft_canvas;

enum { WEFT_CANVAS_WIDTH = 1200, WEFT_CANVAS_LEFT = 76, WEFT_CANVAS_RIGHT = 1104 };

weft_status weft_canvas_init(weft_canvas *canvas, const weft_timeline *timeline, const weft_picture *picture,
                             weft_text *out, weft_error *error) WEFT_CHECKED;
void weft_canvas_fini(weft_canvas *canvas);

/* The strip of a lane, or WEFT_STRIPS for a compute lane. */
weft_strip weft_canvas_strip(weft_lane_kind kind);

double weft_canvas_x(const weft_canvas *canvas, double seconds);

/* Where the rows end. */
double weft_canvas_bottom(const weft_canvas *canvas);

/* "12.35 ms": four digits in the picture's unit. */
void weft_canvas_add_time(const weft_canvas *canvas, double seconds, weft_text *out);

/* "at most 7 held (12.3 MiB)": micro-batch stages of the rank that holds most, and bytes where they are known. */
void weft_canvas_add_held(const weft_canvas *canvas, weft_text *out);

/* Title, caption with the bubble, legend; sets canvas->top. */
void weft_canvas_draw_head(weft_canvas *canvas);

/* The smallest of 1, 2 and 5 times a power of ten that divides length, which is above 0, into at most ten parts. */
double weft_canvas_tick(double length);
/* Digits that multiples of tick need behind the point. */
int weft_canvas_tick_decimals(double tick);

/* Grid lines and tick labels; returns the lowest y that it used. */
double weft_canvas_draw_axis(const weft_canvas *canvas);

#endif
