/*
 * One axis of a plot: the range of what it shows, where a value is, and where its ticks are.
 *
 * Internal to this layer.  Owns: nothing.  Threads: any.
 */
#ifndef WEFT_REPORT_AXIS_H
#define WEFT_REPORT_AXIS_H

#include "base/text.h"

enum { WEFT_AXIS_TICKS = 64 };

typedef struct weft_axis {
    double from, to; /* places of the ends: pixels, or cells of a terminal */
    bool logarithmic;
    bool whole;         /* no ticks between whole numbers */
    bool any;           /* something was included */
    double least, most; /* of what was included; after weft_axis_close of what is shown */
    int digits;         /* that tell neighbouring ticks apart */
} weft_axis;

/* Whether the value has a place: it is finite, and above 0 where the axis is logarithmic. */
bool weft_axis_can_show(const weft_axis *axis, double value);
void weft_axis_include(weft_axis *axis, double value); /* one that it can show */
/* Leaves some room at the ends; from_zero: a linear one begins at 0. */
void weft_axis_close(weft_axis *axis, bool from_zero);
double weft_axis_place(const weft_axis *axis, double value);

/* Round values at least so far apart, ascending; returns how many. */
int weft_axis_ticks(weft_axis *axis, double room, double ticks[WEFT_AXIS_TICKS]);
/* "1.5k", "20M": short enough for an axis. */
void weft_axis_add_number(const weft_axis *axis, double value, weft_text *out);

#endif
