/*
 * Binding: one rank's part of a program, resolved for one worker to instructions (instruction.h).
 *
 * Programs are verified before. A rank's instructions stand lane by lane, in the order of the program; what an action
 * comes after becomes the wait of an instruction, unless others imply it.
 */
#ifndef WEFT_TRAIN_BIND_H
#define WEFT_TRAIN_BIND_H

#include "train/instruction.h"
#include "train/worker.h"

typedef struct weft_bind_options {
    const weft_program *program; /* borrowed, as all of these */
    const weft_worker *worker;   /* with its memory, reducers and stages */
    weft_stage *const *stages;   /* (S) NULL where another rank has the stage */
    /* Diagnosis: room in pinned memory (weft_bind_checks) for what a CHECK behind every pass finds; there are no
     * updates then. NULL: neither. */
    double *checks;
} weft_bind_options;

weft_status weft_bind(const weft_bind_options *options, weft_arena *arena, weft_bound **out,
                      weft_error *error) WEFT_CHECKED;

/* Sums that the checks of a program find, in all. */
size_t weft_bind_checks(const weft_program *program, const weft_worker *worker);

#endif
