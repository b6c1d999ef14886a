/*
 * Who works where: the number of each worker, its coordinates, and the groups that workers form.
 *
 * A worker has a place in its pipeline (rank), one among the data-parallel workers of that rank, and one among the
 * tensor-parallel workers of both. parallel.order says which of the three changes fastest from number to number;
 * results do not depend on it.
 *
 * Owns: nothing.  Threads: any may read.
 */
#ifndef WEFT_TRAIN_WORLD_H
#define WEFT_TRAIN_WORLD_H

#include "train/job.h"
#include "transport/transport.h"

typedef struct weft_coordinates {
    int32_t rank, data, tensor;
} weft_coordinates;

int32_t weft_world_number(const weft_job *job, weft_coordinates at);
weft_coordinates weft_world_coordinates(const weft_job *job, int32_t number);

/* Workers that are alike but for one coordinate, in its order, for one purpose. */
typedef enum weft_world_purpose {
    WEFT_WORLD_GATHER,        /* data-parallel: weights */
    WEFT_WORLD_REDUCE,        /* data-parallel: gradients */
    WEFT_WORLD_TENSOR_GATHER, /* tensor-parallel: rows, in the middle of a pass */
    WEFT_WORLD_TENSOR_REDUCE, /* tensor-parallel: parts of sums, in the middle of a pass */
    WEFT_WORLD_TENSOR_SUM,    /* tensor-parallel: gradients of what all of them have */
    WEFT_WORLD_TIED,          /* the ranks of the first and the last stage: gradients of the weight that both have */
    WEFT_WORLD_PURPOSES
} weft_world_purpose;

enum { WEFT_GROUP_ALL = 0 };

/* Index of a worker's group in the list that the transport is created with. Of WEFT_WORLD_TIED only where two ranks
 * share a weight, weft_share_holders(job) == 2. */
int32_t weft_world_group(const weft_job *job, weft_world_purpose purpose, weft_coordinates at);

/* Its members, in the arena. */
weft_status weft_world_members(const weft_job *job, weft_world_purpose purpose, weft_coordinates at, weft_arena *arena,
                               weft_group *out, weft_error *error) WEFT_CHECKED;

enum { WEFT_WORLD_NAMES = 96 };

/* Its members, for messages: "with rank 3" in a group of two, "of ranks 4, 5, 6 and 7". Cut off where out ends. */
void weft_world_describe(const weft_job *job, weft_world_purpose purpose, weft_coordinates at, char *out, size_t size);

/* All workers of a pipeline rank: "rank 3", "one of the ranks 2 and 3". */
void weft_world_describe_rank(const weft_job *job, int32_t rank, char *out, size_t size);

/* All groups of the run: everybody first. */
weft_status weft_world_groups(const weft_job *job, weft_arena *arena, const weft_group **out, int32_t *out_count,
                              weft_error *error) WEFT_CHECKED;

#endif
