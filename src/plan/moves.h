/*
 * The neighbours of a layout: each knob moved by one step either way, with its time, or why it is refused.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_MOVES_H
#define WEFT_PLAN_MOVES_H

#include "plan/replay.h"

enum { WEFT_PLAN_MOVES = 32 }; /* no layout has more */

typedef struct weft_plan_move {
    const char *knob; /* as --fix has it */
    char from[24], to[24];
    weft_plan_layout layout; /* data width and micro-batches adapted to it */
    double step, memory;     /* seconds and bytes of the worst rank; 0 where there is no such layout */
    char refusal[96];        /* empty for what can be trained */
} weft_plan_move;

/* exact: by replay, else by closed forms. What the user has decided is moved too. */
weft_status weft_plan_moves(const weft_plan_question *question, const weft_plan_layout *layout, bool exact,
                            weft_plan_move out[WEFT_PLAN_MOVES], size_t *out_count, weft_error *error) WEFT_CHECKED;

/* "data 16, tensor 8, ...": a layout in one line. */
void weft_plan_layout_text(const weft_plan_layout *layout, weft_text *out);

const char *weft_plan_recompute_name(weft_plan_recompute recompute);

/* Time and memory of one layout by closed forms. */
void weft_plan_price(const weft_plan_question *question, const weft_plan_layout *layout, double *out_step,
                     double *out_memory);

#endif
