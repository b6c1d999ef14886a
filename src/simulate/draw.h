/*
 * Steps as they may come, drawn from timelines that were measured.
 *
 * Passes take now longer, now shorter, and a rank that waits for the longer one does not win it back with the next
 * shorter one: a step takes longer than its mean costs let expect. A drawn step has the times of one measured step,
 * each pass that of any pass of the same kind and stage in it, and is simulated with them.
 *
 * Owns: its arrays; borrows the program.  Lifetime: init to fini.  Threads: one owner.
 */
#ifndef WEFT_SIMULATE_DRAW_H
#define WEFT_SIMULATE_DRAW_H

#include "simulate/simulate.h"

typedef struct weft_draw {
    const weft_program *program;
    int32_t count;     /* of the timelines */
    double *seconds;   /* (count, actions) by the rule of fit.h */
    uint32_t *members; /* (actions) sorted by kind and stage */
    uint32_t *begins;  /* (kinds, S) and two more: where each kind and stage begins in members, then their number */
    double *drawn;     /* (actions) */
} weft_draw;

/* timelines: (count >= 1), of one program. */
weft_status weft_draw_init(weft_draw *draw, const weft_timeline *timelines, int32_t count,
                           weft_error *error) WEFT_CHECKED;
void weft_draw_fini(weft_draw *draw);

/* The step of that number; the same each time. timeline: initialised for the program. */
weft_status weft_draw_step(weft_draw *draw, uint64_t number, weft_timeline *timeline, weft_error *error) WEFT_CHECKED;

#endif
