/*
 * Schedule kinds: how each family orders the compute actions of one rank. One file per family, one row per kind.
 *
 * Internal to this layer. An order function appends the actions of one rank; room for them was reserved.
 * Owns: nothing.  Threads: any.
 */
#ifndef WEFT_SCHEDULE_KINDS_H
#define WEFT_SCHEDULE_KINDS_H

#include "schedule/schedule.h"

/* Actions are numbered with 32 bits in a program, and lowering adds messages: three for each compute action at most. */
#define WEFT_PASSES_LIMIT ((int64_t)1 << 30)

/* Stage s of S = P V is on rank s / V, on rank s mod P, or goes back and forth: 0 .. P - 1, P - 1 .. 0, ...; or a list
 * says it. A list that is one of the others under other names for the ranks counts as that one, and as linear when the
 * stages of each rank follow each other, however many they are. */
typedef enum weft_placement {
    WEFT_PLACEMENT_LINEAR,
    WEFT_PLACEMENT_LOOP,
    WEFT_PLACEMENT_V,
    WEFT_PLACEMENT_LIST,
    WEFT_PLACEMENTS
} weft_placement;

/* One rank's share of a schedule in the making. Ranks are numbered in the order in which the first micro-batch comes to
 * them, whatever the user calls them. Local stages are numbered 0 .. loops - 1 in model order. */
typedef struct weft_order {
    int32_t ranks, loops, microbatches, rank;
    int32_t group;        /* micro-batches of a group, where the kind has groups of any size */
    const int32_t *local; /* the stages of rank r are local[first[r]] .. local[first[r + 1] - 1]; -1: left out */
    const int32_t *first; /* (P + 1) */
    weft_action *actions;
    size_t count;
} weft_order;

/* The stage behind a local stage of the order's rank; actions of a stage that is left out (-1) are left out. */
int32_t weft_order_stage(const weft_order *order, int32_t local);

void weft_order_forward(weft_order *order, int32_t local, int32_t microbatch);
void weft_order_backward(weft_order *order, int32_t local, int32_t microbatch);
void weft_order_input(weft_order *order, int32_t local, int32_t microbatch);
void weft_order_weight(weft_order *order, int32_t local, int32_t microbatch);
typedef void (*weft_order_append)(weft_order *order, int32_t local, int32_t microbatch); /* one of these */

/* The two actions appended last are an overlapped pair. */
void weft_order_pair(weft_order *order);

/* One micro-batch through all local stages back to back: ascending for forward, descending for backward. */
void weft_order_forward_all(weft_order *order, int32_t microbatch);
void weft_order_backward_all(weft_order *order, int32_t microbatch);

/* Source: layer-wise model parallelism. A micro-batch goes all the way down and back before the next one starts. */
void weft_order_sequential(weft_order *order);
/* Source: arXiv 1811.06965. All forward, then all backward; stages that do not follow each other one after the other.
 */
void weft_order_gpipe(weft_order *order);
/* Source: arXiv 2006.09503 (PipeDream-Flush), arXiv 2104.04473 section 2.2.1. */
void weft_order_1f1b(weft_order *order);
/* Source: arXiv 2104.04473 section 2.2.2 (interleaved 1F1B). */
void weft_order_depth_first(weft_order *order);
/* Source: arXiv 2211.05953 section 4. */
void weft_order_breadth_first(weft_order *order);
/* The same with the backward micro-batches from the last to the first. */
void weft_order_breadth_first_descending(weft_order *order);
/* Source: arXiv 2407.21783 section 3.3.2. Depth-first in groups of order->group micro-batches. */
void weft_order_hybrid(weft_order *order);

/* Source: arXiv 2401.10241 section 2. H1 holds what 1F1B does, H2 almost twice that. */
void weft_order_zb_h1(weft_order *order);
void weft_order_zb_h2(weft_order *order);
/* Source: torch.distributed.pipelining, ScheduleInterleavedZeroBubble. */
void weft_order_interleaved_zero_bubble(weft_order *order);
/* Breadth-first with the delays of ZB-H2: weight gradients fill what would be idle. */
void weft_order_breadth_first_split(weft_order *order);

/* Source: torch.distributed.pipelining, ScheduleZBVZeroBubble, after arXiv 2401.10241 version 2. */
void weft_order_zb_v(weft_order *order);

/* Source: arXiv 2412.19437 section 3.2.1 and the repository deepseek-ai/DualPipe, on half the ranks. */
void weft_order_dualpipe_v(weft_order *order);

/* Source: arXiv 2405.15362. Of all ranks at once: first is (P + 1), of which the last is left to the caller. */
weft_status weft_order_v_half(weft_order *order, size_t *first, weft_error *error) WEFT_CHECKED;
weft_status weft_order_v_min(weft_order *order, size_t *first, weft_error *error) WEFT_CHECKED;

typedef struct weft_schedule_kind {
    const char *name, *summary;
    bool split;                          /* the backward pass is I and W in place of B */
    bool grouped;                        /* the user chooses the size of a group */
    bool rounds;                         /* counts on rounds through all ranks: local stages are those of a looped
                                          * placement from which the others are left out */
    int32_t loops;                       /* stages a rank that it must have; 0: any */
    int32_t least;                       /* micro-batches that it must have for each rank */
    weft_placement placement;            /* when the user names none */
    const char *refuse[WEFT_PLACEMENTS]; /* why, with several stages a rank; "": it is fine */
    void (*order)(weft_order *order);    /* of one rank; NULL where whole is not */
    weft_status (*whole)(weft_order *order, size_t *first, weft_error *error);
} weft_schedule_kind;

/* NULL for an unknown name. */
const weft_schedule_kind *weft_schedule_kind_find(const char *name);

/* Where each stage is, and what that means for an order. */
typedef struct weft_places {
    int32_t *number;        /* (P) of each rank in an order */
    int32_t *local, *first; /* as an order has them */
} weft_places;

/* The stages of options, whose loops are not 0 unless its placement is a list. WEFT_INVALID for too many, and for a
 * list that does not go with the loops. */
weft_status weft_placement_stages(const weft_schedule_options *options, int32_t *out_stages,
                                  weft_error *error) WEFT_CHECKED;
/* Fills stage_rank (S) and *out, which needs weft_places_fini also on error. WEFT_INVALID for what is neither a
 * placement nor a list of all ranks, and with the reason when the kind does not go with it. */
weft_status weft_places_init(weft_places *out, const weft_schedule_options *options, const weft_schedule_kind *kind,
                             int32_t stages, int32_t *stage_rank, weft_error *error) WEFT_CHECKED;
void weft_places_fini(weft_places *places);

/* Works out schedule->ascending from its actions. */
weft_status weft_schedule_note_order(weft_schedule *schedule, weft_error *error) WEFT_CHECKED;

#endif
