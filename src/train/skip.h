/*
 * Steps that are skipped (optimizer.skip): the host's part. The device decides, by limits that follow from the steps
 * before (device.h, judge); here is what they follow from, the same on every worker, and what a checkpoint keeps of it.
 * Internal to train/.
 *
 * Owns: nothing, its arrays live in an arena.  Threads: one owner.
 */
#ifndef WEFT_TRAIN_SKIP_H
#define WEFT_TRAIN_SKIP_H

#include "checkpoint/checkpoint.h"
#include "device/device.h"
#include "train/record.h"

typedef struct weft_skip {
    double z;               /* optimizer.skip; 0: no step is skipped */
    int64_t window;         /* steps that limits follow from; 0: none, what is finite passes */
    double *losses, *norms; /* (window) of the last steps that were not skipped, step i of them at i % window */
    int64_t kept;           /* of these, as far as they are known */
    int64_t skipped;        /* steps of the whole run */
    int64_t in_a_row;       /* up to the last step */
} weft_skip;

/* state: of the checkpoint that the run goes on from, or NULL. */
weft_status weft_skip_init(weft_skip *skip, const weft_config *config, const weft_checkpoint_state *state,
                           weft_arena *arena, weft_error *error) WEFT_CHECKED;

/* The limits of the next step: means of the window, and z of its standard deviations. There are none until the window
 * is full, nor where nothing in it differs. */
void weft_skip_pose(const weft_skip *skip, weft_step_scalars *out);

/* Takes a step that has ended. */
void weft_skip_take(weft_skip *skip, double loss, const weft_step_scalars *scalars);

/* For which figure the step was skipped, the loss first. out_limit: what that was to be at most; NAN where it is not
 * finite. */
weft_skipped weft_skip_cause(double loss, const weft_step_scalars *scalars, double *out_limit);

/* losses, norms: room for (window) of each, that *out borrows. */
void weft_skip_save(const weft_skip *skip, double *losses, double *norms, weft_checkpoint_skips *out);

#endif
