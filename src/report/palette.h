/*
 * Colours of actions: one hue a kind, dark to light over the stages of a rank.
 *
 * Internal to this layer.  Threads: any.
 */
#ifndef WEFT_REPORT_PALETTE_H
#define WEFT_REPORT_PALETTE_H

#include "schedule/schedule.h"

typedef struct weft_colour {
    unsigned char red, green, blue;
} weft_colour;

typedef struct weft_paint {
    const char *label; /* in the legend */
    weft_colour dark, light;
} weft_paint;

const weft_paint *weft_paint_get(weft_action_kind kind); /* static */

/* Shade index of count, 0 the darkest. */
weft_colour weft_paint_shade(const weft_paint *paint, int32_t index, int32_t count);

/* Whether dark text reads better on it than white. */
bool weft_colour_is_light(weft_colour colour);

#endif
