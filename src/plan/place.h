/*
 * Chooses where the stages are: each placement that is tried is judged by the simulated step of its best split.
 *
 * Tried are the schedule's own placement and, where the kind goes with every list, looped ones of more loops, and all
 * of them with a stage more: the head alone, on the rank of the embedding. The head costs as much as several layers,
 * which the last rank otherwise has on top of its share, at the end of a micro-batch's way, where nothing can be put in
 * front of it; and a head that is tied to the embedding is at home there.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_PLACE_H
#define WEFT_PLAN_PLACE_H

#include "plan/split.h"

/* What more stages must be worth: so much of the step. They cost messages, which are not counted. */
#define WEFT_PLACE_WORTH 0.005

typedef struct weft_placing {
    weft_split_problem split;      /* its schedule is not read */
    weft_schedule_options options; /* its placement is not read, it is the kind's own; loops: the fewest, from 1 */
    size_t longest;                /* a list of more bytes is not tried */
} weft_placing;

typedef struct weft_tried {
    const char *placement; /* as the options of a schedule have it: "loop", a list, or NULL for the kind's own */
    int32_t loops;         /* stages of each rank */
    bool head;             /* and one more: placement is a list, with which a schedule's loops are 0 */
    int32_t stages;
    int32_t *layers;         /* (stages) the best split that was found */
    double step, efficiency; /* as of weft_split_layers */
    double work;             /* with which it was looked for */
} weft_tried;

/* Owns: the places.  Lifetime: init to fini; borrows the placing. */
typedef struct weft_placed {
    const weft_placing *placing;
    weft_tried *items; /* the kind's own first, with the fewest loops; then by their stages */
    int32_t count;
    weft_arena arena;
} weft_placed;

/* Tries them all. WEFT_INVALID where the kind's own makes no schedule; others that make none are left out. Needs fini
 * in any case. */
weft_status weft_placed_init(weft_placed *placed, const weft_placing *placing, weft_error *error) WEFT_CHECKED;
void weft_placed_fini(weft_placed *placed);

typedef weft_status weft_tried_fits(void *context, const weft_tried *place, bool *out_fits, weft_error *error);

/* The index of the place with the fewest stages, and the first of these, whose step is within WEFT_PLACE_WORTH of the
 * shortest, of all that fit (NULL: all do); -1: none does. A split that fits as it was found is then searched for with
 * all the work that a weft_split_layers would spend, and has to fit again. A function of the placing and of what fits
 * alone. */
weft_status weft_placed_choose(weft_placed *placed, weft_tried_fits *fits, void *context, int32_t *out,
                               weft_error *error) WEFT_CHECKED;

#endif
