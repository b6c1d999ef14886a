/*
 * How data-parallel workers divide a stage: units of consecutive parameters, cut into one share a worker.
 *
 * A unit is what is gathered and reduced at once: parameters of a stage, padded to what the device aligns, one behind
 * the other.
 * Those that are frozen, and those whose gradients tensor-parallel workers add up, are units of their own; so is a
 * weight that two stages share, on both sides, so that both are cut alike. Cuts fall on blocks of the gradient norm
 * (WEFT_NORM_BLOCK elements of one tensor), as even as these allow; so a share may be empty.
 *
 * Owns: nothing; the job's arena holds it.  Threads: any may read.
 */
#ifndef WEFT_TRAIN_SHARE_H
#define WEFT_TRAIN_SHARE_H

#include "train/job.h"

/* Elements of one tensor-parallel worker's part of a parameter; from == to: none. */
typedef struct weft_share {
    int64_t from, to;
} weft_share;

/* The element of the share that is nearest to value; share.to counts as one. */
int64_t weft_share_clamp(weft_share share, int64_t value);

/* Fills job->units, unit_count, stage_units, unit_of, offsets, rank_first, rank_units, held and page_floats; needs
 * stages and parameters. */
weft_status weft_share_units(weft_job *job, weft_error *error) WEFT_CHECKED;

/* The parameter of the unit behind p, or -1. */
int32_t weft_share_next(const weft_job *job, int32_t unit, int32_t p);

/* The masters, moments and reduced gradients of a parameter that data-parallel worker `data` of its rank has, in
 * elements of one tensor-parallel worker: all of them where nothing is divided. */
weft_share weft_share_of(const weft_job *job, int32_t parameter, int32_t data);

/* The same for a unit, in floats from its beginning. */
size_t weft_share_begin(const weft_job *job, int32_t unit, int32_t data);
size_t weft_share_end(const weft_job *job, int32_t unit, int32_t data);

/* Whether whole weights of a unit need no gather of their own: a tied head where the embedding's are, frozen ones that
 * stay as they were. */
bool weft_share_is_there(const weft_job *job, int32_t unit);

/* Floats of all units of a stage. */
size_t weft_share_stage_floats(const weft_job *job, int32_t stage);

/* Pages that a rank needs when so many may be used: it never fills more than it has stages. */
int32_t weft_share_pages(const weft_job *job, int32_t rank, int32_t most);

/* How many ranks have the weight that the first and the last stage share, as far as each needs the other's gradients: 1
 * or 2. */
int32_t weft_share_holders(const weft_job *job);

/* Bytes that sums need: of gradients over data-parallel workers, of the shared weight's over the ranks that have it,
 * and over tensor-parallel workers of an element type. */
size_t weft_share_workspace(const weft_job *job);
size_t weft_share_tied_workspace(const weft_job *job);
size_t weft_share_tensor_workspace(const weft_job *job, weft_element element);

/* Norm blocks of one tensor-parallel worker's part of a parameter. */
int32_t weft_share_norm_blocks(const weft_parameter *parameter);

/* Squares of gradients: the norm blocks of a parameter that a worker sums, among all of the parameter. One worker sums
 * each block. */
weft_share weft_share_blocks(const weft_job *job, int32_t parameter, int32_t data, int32_t tensor);

#endif
