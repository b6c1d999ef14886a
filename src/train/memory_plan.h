/*
 * The memory of one worker as a table of rows: what, how many bytes, which category, in which space, where. --dry-run
 * prints its sums, the planner counts by it, and the worker allocates a block of each space and adds its address to the
 * offsets. There is no other list of what a worker takes: what needs memory gets a row here (memory_plan.c).
 *
 * How a row is found: weft_memory_plan_find(plan, WEFT_ROW_LOSSES, -1), and for a row of a unit (share.h)
 * weft_memory_plan_find(plan, WEFT_ROW_MASTER, unit). weft_memory_plan_resolve does the same and adds the address: it
 * gives NULL where the worker has no such row. Every row begins at a multiple of the alignment of the device.
 *
 * Spaces: device memory, and pinned memory of the host, which the host fills and reads and copies on streams move. What
 * lies in both has a row in each: the pinned ones are WEFT_ROW_HOST_*. On a device whose memory the host reaches
 * (weft_device_kind) such a pinned row is its device row, it has the same address and takes no bytes, and nothing needs
 * to be copied: `alias` says so, and so does a comparison of the two addresses. Then both batches are one, too: there
 * the next batch is read when a step is over.
 *
 * Owns: nothing; rows lie in the arena that the plan was made with.  Threads: any may read.
 */
#ifndef WEFT_TRAIN_MEMORY_PLAN_H
#define WEFT_TRAIN_MEMORY_PLAN_H

#include "train/share.h"
#include "train/world.h"

enum { WEFT_SPACES = WEFT_MEMORY_PINNED + 1 };
enum { WEFT_STAGING_BYTES = 16 << 20 }; /* of each of the two pieces */

typedef enum weft_row {
    /* Of each unit that the worker has; its own share, or where told the whole unit. */
    WEFT_ROW_GRADIENT, /* whole; none where gradients are on pages */
    WEFT_ROW_REDUCED,  /* fp32; only where gradients are on pages, else part of the above */
    WEFT_ROW_STORAGE,  /* whole unless weights are sharded: what kernels read */
    WEFT_ROW_MASTER,   /* fp32; only where storage is something else */
    WEFT_ROW_MOMENT1,
    WEFT_ROW_MOMENT2,
    WEFT_ROWS_OF_UNIT,
    /* Once, in device memory. M micro-batches of B sequences of T tokens, D data-parallel workers. */
    WEFT_ROW_WEIGHT_PAGES = WEFT_ROWS_OF_UNIT,
    WEFT_ROW_GRADIENT_PAGES,
    WEFT_ROW_REDUCE_SPACE,     /* for sums of gradients over data-parallel workers */
    WEFT_ROW_TENSOR_SUM_SPACE, /* the same over tensor-parallel ones */
    WEFT_ROW_EXCHANGE_SPACE,   /* for sums in the middle of a pass */
    WEFT_ROW_SLOTS,            /* the slot arena of the programs begins here, and has the next row too: a buffer */
    WEFT_ROW_SLOTS_MORE,       /* changes its tenants, and counts as what it is first */
    WEFT_ROW_SCRATCH,          /* of kernels */
    WEFT_ROW_ANGLES,           /* of rotary positions */
    WEFT_ROW_TIED_SPACE,       /* for the sum of the shared weight's gradients */
    WEFT_ROW_TOKENS,           /* (M, B, T) int32 */
    WEFT_ROW_TARGETS,          /* (M, B, T) int32 */
    WEFT_ROW_DOCUMENTS,        /* (M, B, T) int32; none where data.documents is none */
    WEFT_ROW_POSITIONS,        /* (M, B, T) int32; none where they are not reset */
    WEFT_ROW_LOSSES,           /* (M, numbers of the job's losses) float: own */
    WEFT_ROW_BATCH_LOSSES,     /* (D, M, numbers): everybody's; none where the host's row serves */
    WEFT_ROW_SCALARS,          /* weft_step_scalars */
    WEFT_ROW_OWN_SUMS,         /* (norm blocks) double */
    WEFT_ROW_ALL_SUMS,         /* the same of all workers, one after the other */
    WEFT_ROW_ORDERED_SUMS,     /* the same in global order */
    WEFT_ROW_SUM_INDEX,        /* (norm blocks) int32: which of the ordered each of all is; none of one worker alone */
    WEFT_ROW_LOGITS,           /* storage: sampling (B, V), of the last stage where they are shown (M, B, T, V) */
    WEFT_ROW_CACHE,            /* sampling, token by token (steps.h): keys and values */
    WEFT_ROW_STEP_SPACE,       /* activations and workspace of some tokens */
    WEFT_ROW_STEP_POSITIONS,   /* (T) int32: 0, 1, .. */
    /* Once, in pinned memory. */
    WEFT_ROW_HOST_TOKENS,        /* as WEFT_ROW_TOKENS, of steps with an even number */
    WEFT_ROW_HOST_TARGETS,       /* and their targets, */
    WEFT_ROW_HOST_DOCUMENTS,     /* documents */
    WEFT_ROW_HOST_POSITIONS,     /* and positions */
    WEFT_ROW_HOST_TOKENS_ODD,    /* of steps with an odd number */
    WEFT_ROW_HOST_TARGETS_ODD,   /* */
    WEFT_ROW_HOST_DOCUMENTS_ODD, /* */
    WEFT_ROW_HOST_POSITIONS_ODD, /* */
    WEFT_ROW_HOST_SCALARS,       /* what goes in */
    WEFT_ROW_HOST_SCALARS_OUT,   /* what comes out */
    WEFT_ROW_HOST_BATCH_LOSSES,  /* out; has bytes of its own on every device */
    WEFT_ROW_HOST_LOGITS,        /* out */
    WEFT_ROW_STAGING,            /* two pieces of WEFT_STAGING_BYTES for whatever is loaded and saved; none where the */
    WEFT_ROW_STAGING_ODD,        /* host reaches the device */
    WEFT_ROWS
} weft_row;

typedef struct weft_memory_row {
    weft_row row;
    int32_t unit; /* -1: of none */
    weft_memory_category category;
    weft_memory_kind space;
    bool there;    /* else this worker has none of it; a share may be there and empty */
    bool alias;    /* a pinned row that is a device row: in that space, at that offset, no bytes of its own */
    size_t bytes;  /* without what is left free up to the next row */
    size_t offset; /* in the block of its space */
} weft_memory_row;

typedef struct weft_memory_plan {
    weft_memory_row *rows;         /* (row_count) those of units first */
    int32_t row_count, first_once; /* the first that is of no unit */
    int32_t *unit_rows;            /* (units) index of the first row of a unit, or -1 where another rank has it */
    size_t blocks[WEFT_SPACES];    /* bytes to allocate in each space, by weft_memory_kind */
    weft_job_memory memory;        /* by category */
} weft_memory_plan;

/* The plan of worker `at`, its rows in the arena. Needs the programs of the job. */
weft_status weft_memory_plan_make(const weft_job *job, weft_coordinates at, weft_arena *arena, weft_memory_plan *out,
                                  weft_error *error) WEFT_CHECKED;

/* NULL where the worker has no such row. unit: -1 for a row that is of none. */
const weft_memory_row *weft_memory_plan_find(const weft_memory_plan *plan, weft_row row, int32_t unit);

/* Where the row lies when the two blocks begin at these addresses, by weft_memory_kind. NULL as above. */
void *weft_memory_plan_resolve(const weft_memory_plan *plan, unsigned char *const blocks[WEFT_SPACES], weft_row row,
                               int32_t unit);

/* "master", "slots", ... */
const char *weft_row_name(weft_row row);

/* Sums of the worker of each pipeline rank that needs most, into job->memory, with what a staged transport takes. */
void weft_memory_plan_count(weft_job *job);

#endif
