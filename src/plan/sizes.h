/*
 * What the planner asks of the trainer whose runs it plans: sizes that only the trainer knows to the byte. A table of
 * functions, filled by whoever knows models and workers; the planner knows neither.
 *
 * Owns: nothing.  Threads: its functions are called by several at once.
 */
#ifndef WEFT_PLAN_SIZES_H
#define WEFT_PLAN_SIZES_H

#include "plan/cost.h"

typedef struct weft_plan_sizes {
    const void *context; /* borrowed */
    /* Memory of the worker that needs most, without what the machine reserves. layers: (S). No closed form gives it:
     * how large the slots of a rank are only its program tells, so that this takes about as long as a replay.
     * WEFT_INVALID where the trainer cannot do this layout: the closed form stands. */
    weft_status (*memory)(const void *context, const weft_plan_layout *layout, const int32_t *layers,
                          weft_plan_memory *out, weft_error *error);
} weft_plan_sizes;

#endif
