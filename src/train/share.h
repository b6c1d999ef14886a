/*
 * How data-parallel workers divide a stage: units of consecutive parameters, cut into one share a worker.
 *
 * A unit is what is gathered and reduced at once: the parameters of a stage, padded to cache lines, one behind the
 * other. A weight that two stages share is a unit of its own on both sides, so that both are cut alike. Cuts fall on
 * blocks of the gradient norm (WEFT_NORM_BLOCK elements of one tensor), as even as these allow; so a share may be
 * empty.
 *
 * Owns: nothing; the job's arena holds it.  Threads: any may read.
 */
#ifndef WEFT_TRAIN_SHARE_H
#define WEFT_TRAIN_SHARE_H

#include "train/job.h"

struct weft_job_unit {
    int32_t stage, parameter_first, parameter_count;
    int32_t
        weights;   /* the unit whose weights it has: itself, or the embedding's where one rank has the tied head too */
    size_t floats; /* padded length of all its parameters */
    size_t *cut;   /* (data + 1) worker d has floats cut[d] .. cut[d + 1] - 1 */
};

/* Elements of a parameter that one worker has; from == to: none. */
typedef struct weft_share {
    int64_t from, to;
} weft_share;

/* Fills job->units, unit_count, stage_units, unit_of and offsets; needs stages and parameters. */
weft_status weft_share_units(weft_job *job, weft_error *error) WEFT_CHECKED;

/* The masters, moments and reduced gradients of a parameter that worker `data` of its rank has: all of it where nothing
 * is divided. */
weft_share weft_share_of(const weft_job *job, int32_t parameter, int32_t data);

/* The same for a unit, in floats from its beginning. */
size_t weft_share_begin(const weft_job *job, int32_t unit, int32_t data);
size_t weft_share_end(const weft_job *job, int32_t unit, int32_t data);

/* Floats of all units of a stage; and of the largest stage of a rank. */
size_t weft_share_stage_floats(const weft_job *job, int32_t stage);
size_t weft_share_page_floats(const weft_job *job, int32_t rank);

/* Pages that a rank needs when so many may be used: it never fills more than it has stages. */
int32_t weft_share_pages(const weft_job *job, int32_t rank, int32_t most);

/* Bytes that the sums of gradients need. */
size_t weft_share_workspace(const weft_job *job);
enum { WEFT_SHARE_CHUNK = 1 << 17 }; /* floats that are added at once */

/* Squares of gradients: the norm blocks of a parameter that a worker sums. One worker sums each block. */
weft_share weft_share_blocks(const weft_job *job, int32_t parameter, int32_t data);

#endif
