/*
 * Where each action of a program is, and what the meaning of the actions implies: which action needs which, and which
 * slots an action is the first to write. The one statement of both, used by lowering (to emit `after` edges and slots)
 * and by verification (to prove that they are there). It never looks at `after`.
 *
 * Owns: its arrays; borrows the program.  Lifetime: init to fini.  Threads: any may read.
 */
#ifndef WEFT_PROGRAM_INDEX_H
#define WEFT_PROGRAM_INDEX_H

#include "program/program.h"

#define WEFT_NO_ACTION UINT32_MAX

/* Places of a (stage, micro-batch); forward programs have the first three only. */
typedef enum weft_place {
    WEFT_PLACE_F,
    WEFT_PLACE_SEND_F,
    WEFT_PLACE_RECV_F,
    WEFT_FORWARD_PLACES,
    WEFT_PLACE_B = WEFT_FORWARD_PLACES, /* B, or I */
    WEFT_PLACE_W,                       /* only with I */
    WEFT_PLACE_SEND_B,
    WEFT_PLACE_RECV_B,
    WEFT_PLACES,
    WEFT_PLACE_ONCE_A_STAGE = WEFT_PLACES, /* elsewhere */
    WEFT_PLACE_ONCE_A_RANK,
    WEFT_PLACE_OFTEN
} weft_place;

typedef struct weft_index {
    const weft_program *program;
    uint32_t *at;                      /* (places, S, M) action, or WEFT_NO_ACTION */
    uint32_t *last_gradient;           /* (S) last B or W */
    uint32_t *reduced;                 /* (S) last REDUCE_GRAD or REDUCE_TENSOR */
    uint32_t *rank_gradient;           /* (P) last B or W on the rank's compute lane */
    uint32_t *rank_reduced;            /* (P) the last of those on its reduce lane */
    uint32_t *once[WEFT_ACTION_KINDS]; /* UPDATE (S); REDUCE_TIED, NORM, METRICS (P); else NULL */
    bool has[WEFT_ACTION_KINDS];       /* of these: there is one */
    uint32_t last_forward;             /* last F of the last stage */
} weft_index;

/* WEFT_INVALID for an action that appears twice, or on a rank or lane that is not its own. Lanes, stages and
 * micro-batches must be in range. */
weft_status weft_index_init(weft_index *index, const weft_program *program, weft_error *error) WEFT_CHECKED;
void weft_index_fini(weft_index *index);

/* WEFT_INVALID with the missing action, or for B beside I or W. */
weft_status weft_index_check(const weft_index *index, weft_error *error) WEFT_CHECKED;

/* After weft_index_check: WEFT_INVALID when the k-th SEND and the k-th RECV of a lane pair carry different payloads. */
weft_status weft_index_match(const weft_index *index, weft_error *error) WEFT_CHECKED;

static inline size_t weft_index_cell(const weft_program *program, weft_place place, int32_t stage, int32_t microbatch)
{
    return ((size_t)place * (size_t)program->stages + (size_t)stage) * (size_t)program->microbatches +
           (size_t)microbatch;
}

static inline uint32_t weft_index_at(const weft_index *index, weft_place place, int32_t stage, int32_t microbatch)
{
    return index->at[weft_index_cell(index->program, place, stage, microbatch)];
}

/* Actions of the same rank that must be done before the action begins. Returns their number. */
enum { WEFT_NEEDS_LIMIT = 3 };
int weft_index_needs(const weft_index *index, int32_t rank, uint32_t action, uint32_t out[WEFT_NEEDS_LIMIT]);

typedef struct weft_slot {
    weft_slot_kind kind;
    int32_t stage, microbatch;
    uint32_t reader; /* the last action that reads it */
} weft_slot;

/* Slots that the action is the first to write. Every slot has one first writer and one last reader, on one rank. */
enum { WEFT_WRITES_LIMIT = 3 };
int weft_index_writes(const weft_index *index, uint32_t action, weft_slot out[WEFT_WRITES_LIMIT]);

/* The lane that holds an action of the rank. */
static inline int32_t weft_program_lane(const weft_program *program, int32_t rank, uint32_t action)
{
    int32_t low = program->rank_lanes[rank], high = program->rank_lanes[rank + 1] - 1;
    while (low < high) { /* the last lane that begins at or before the action: empty lanes share their beginning */
        int32_t middle = low + (high - low + 1) / 2;
        if (program->lanes[middle].first <= action)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Text of an action for messages, for example "2SEND_F0". */
enum { WEFT_ACTION_TEXT = 48 };
const char *weft_action_text(weft_action action, char buffer[WEFT_ACTION_TEXT]);

const char *weft_lane_kind_name(weft_lane_kind kind);

#endif
