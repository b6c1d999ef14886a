/*
 * A whole order of the passes, timed by the longest path, that is changed here and there. See search_improve.c.
 *
 * Passes stand rank by rank in one sequence. A change moves passes of one rank; what begins before the first of them
 * did keeps its times, and only the others are timed anew.
 *
 * Owns: its arrays, until weft_search_order_fini; borrows the state.  Threads: one owner.
 */
#ifndef WEFT_PLAN_SEARCH_ORDER_H
#define WEFT_PLAN_SEARCH_ORDER_H

#include "plan/search_state.h"

enum { WEFT_SEARCH_SHIFTS = 8 };

/* What never changes of a pass. Neighbours are numbers of passes, -1: none. */
typedef struct weft_search_node {
    int32_t rank, stage, microbatch, lane;
    weft_search_pass pass;
    int32_t source, target;      /* on another rank: whose message it waits for, who waits for its own */
    int32_t before[3], after[3]; /* on the same rank, which must stand before and behind it */
    double cost, tail;
    double message, latency; /* how long what it sends occupies the lane, and is under way behind that */
} weft_search_node;

/* The pass at `from` goes to `to`; those between move up by one. */
typedef struct weft_search_shift {
    int32_t from, to;
} weft_search_shift;

typedef struct weft_search_order {
    const weft_search_state *state;
    weft_search_node *nodes; /* (count) */
    int32_t count;
    int32_t *first;    /* (P + 1) */
    int32_t *sequence; /* (count) */
    int32_t *place;    /* (count) of each pass in sequence */
    int32_t *held;     /* (count) by place: what the rank holds behind it */
    double value;      /* what is to be small: step time, or own step time */

    double *begin, *arrive, *lane_before; /* (count) by pass; when its lane was free for it */
    /* While a change is tried: the same behind `from` of each rank. */
    double *new_begin, *new_arrive, *new_lane_before;
    int32_t *from, *at; /* (P) places: the first that is timed anew, the next one to be */
    double *rank_begin, *rank_free, *lane_free;
    int32_t *turn; /* (2 P) ranks that may go on; one may be there twice */
    weft_search_shift shifts[WEFT_SEARCH_SHIFTS];
    int32_t shift_count;
    uint64_t timed; /* passes that the last try timed */
} weft_search_order;

weft_status weft_search_order_init(weft_search_order *order, const weft_search_state *state,
                                   weft_error *error) WEFT_CHECKED;
void weft_search_order_fini(weft_search_order *order);

static inline int32_t weft_search_pass_number(const weft_search_state *state, weft_search_pass pass, int32_t stage,
                                              int32_t microbatch)
{
    return ((int32_t)pass * state->S + stage) * state->M + microbatch;
}

/* A new sequence, (count) passes rank by rank. False, and value INFINITY, when the ranks would wait for each other. */
bool weft_search_order_take(weft_search_order *order, const int32_t *sequence);

/* Moves a pass to another place of its rank. Where that takes more than the cap, what frees memory comes earlier and
 * what takes it later; frees_first says which is tried first. False, with nothing changed, when the order of a stage or
 * the cap forbids it. */
bool weft_search_order_shift(weft_search_order *order, int32_t from, int32_t to, bool frees_first);
/* Times the shifted order; INFINITY when it comes to more than limit, or never ends. */
double weft_search_order_try(weft_search_order *order, double limit);
/* After a shift that was tried: it stays, or goes. */
void weft_search_order_keep(weft_search_order *order, double value);
void weft_search_order_drop(weft_search_order *order);

#endif
