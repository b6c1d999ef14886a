/*
 * The candidates of a search that are worth keeping: the fastest, the fastest of each schedule and each shard, and the
 * front of time and memory. Internal to plan/.
 *
 * Owns: its rows.  Lifetime: init to fini.  Threads: one.
 */
#ifndef WEFT_PLAN_KEPT_H
#define WEFT_PLAN_KEPT_H

#include "plan/screen.h"

typedef struct weft_plan_kept {
    weft_plan_candidate *fastest; /* (count) a heap, the slowest first */
    size_t count, top;
    weft_plan_candidate *front; /* (front_count) by time, memory falling */
    size_t front_count, front_capacity;
    weft_plan_candidate kinds[WEFT_PLAN_KINDS], shards[WEFT_SHARDS]; /* step 0: none yet */
} weft_plan_kept;

weft_status weft_plan_kept_init(weft_plan_kept *kept, size_t top, weft_error *error) WEFT_CHECKED;
void weft_plan_kept_fini(weft_plan_kept *kept);

/* Whether an offer may change anything; the way out for most of them. */
bool weft_plan_kept_wants(const weft_plan_kept *kept, weft_plan_kind kind, weft_shard shard, double step,
                          double memory);
weft_status weft_plan_kept_offer(weft_plan_kept *kept, const weft_plan_candidate *candidate,
                                 weft_error *error) WEFT_CHECKED;

/* All that is kept, each once, in the order of plans; out is the caller's to free. */
weft_status weft_plan_kept_list(const weft_plan_kept *kept, weft_plan_candidate **out, size_t *out_count,
                                weft_error *error) WEFT_CHECKED;

#endif
