/* The steps of lowering; see weft_program_create. Threads: one owner. */
#ifndef WEFT_PROGRAM_LOWER_H
#define WEFT_PROGRAM_LOWER_H

#include "program/index.h"

/* What the reuse of buffers adds: `to` comes after `from`, another lane of the same rank. */
typedef struct weft_edge {
    uint32_t from, to;
} weft_edge;

typedef struct weft_edges {
    weft_edge *rows;
    size_t count, capacity;
} weft_edges;

weft_status weft_edges_add(weft_edges *edges, uint32_t from, uint32_t to, weft_error *error) WEFT_CHECKED;

/* Lanes and actions of an empty program from a schedule, and the waiting that sharding adds. */
weft_status weft_lower_lanes(weft_program *program, const weft_schedule *schedule, const weft_lower_options *options,
                             weft_edges *edges, weft_error *error) WEFT_CHECKED;

/* An action of the gather or the reduce lane, and positions on its rank's compute lane, -1 for none. */
typedef struct weft_shard_row {
    weft_action action;
    int64_t after, then; /* it comes after that action, which comes after it */
    int64_t first; /* the first pass that works in the buffer: of a stay that UNSHARD begins or a reduction ends */
} weft_shard_row;

typedef struct weft_shard_rows {
    weft_shard_row *rows;
    uint32_t count;
} weft_shard_rows;

/* What the workers of one rank do together. */
typedef struct weft_shard_plan {
    weft_shard_rows gather, reduce;
} weft_shard_plan;

/* Of program, its widths, shard and buffers. updates: (S) the stages in the order of their UPDATEs; NULL: there are
 * none. out: (P), each for fini, on error too.
 */
weft_status weft_lower_shard_plans(const weft_schedule *schedule, const weft_program *program, const int32_t *updates,
                                   weft_shard_plan *out, weft_error *error) WEFT_CHECKED;
void weft_lower_shard_plan_fini(weft_shard_plan *plan);

/* Of all lanes, which actions overwrite, and the pages. plans: (P), NULL as above. */
weft_status weft_lower_effects(weft_program *program, const weft_shard_plan *plans, weft_error *error) WEFT_CHECKED;

/* Fills after_first and after from the meaning of the actions and the edges of reuse; leaves out what an earlier action
 * of the lane has waited for already. WEFT_INVALID when the meaning is against the order of a lane. */
weft_status weft_lower_after(weft_program *program, const weft_index *index, const weft_edges *reuse,
                             weft_error *error) WEFT_CHECKED;

/* Begin of each action with unlimited slots, in lowering's own units; begin may be NULL: only shows that there is such
 * an execution. */
weft_status weft_lower_times(const weft_program *program, const double *stage_cost, uint64_t *begin,
                             weft_error *error) WEFT_CHECKED;

/* How long an action takes in those units. weft_lower_units fills stage_units (S): how long F of a stage takes. */
enum { WEFT_UNITS = 64, WEFT_UNITS_SLACK = 32 };
weft_status weft_lower_units(const weft_program *program, const double *stage_cost, uint64_t *stage_units,
                             weft_error *error) WEFT_CHECKED;
uint64_t weft_lower_duration(weft_action action, const uint64_t *stage_units);

/* Buffers, slots, offsets; adds the edges of reuse. */
weft_status weft_lower_slots(weft_program *program, const weft_index *index, const weft_lower_options *options,
                             weft_edges *edges, weft_error *error) WEFT_CHECKED;

#endif
