/*
 * A partial order in the making: what has run, when it ended, and what may run next. See search.c for the search.
 *
 * Ranks decide in the order of time. At its time a rank starts a pass that is ready, or waits for one that is not. The
 * passes that it could have started are then excluded until it has started another one: whoever waits and then runs
 * what was there before could have run it at once.
 *
 * Owns: its arrays, until weft_search_state_fini.  Threads: one owner.
 */
#ifndef WEFT_PLAN_SEARCH_STATE_H
#define WEFT_PLAN_SEARCH_STATE_H

#include "plan/search.h"

typedef enum weft_search_pass { PASS_F, PASS_I, PASS_W, PASSES } weft_search_pass;

enum { WEFT_SEARCH_MOVES = PASSES * WEFT_SEARCH_LOCAL_LIMIT + 1 };

typedef struct weft_search_rank {
    int32_t first, count; /* its stages among local */
    double begin, free;   /* of its first pass, INFINITY before it; end of its last pass */
    double deadline;      /* while it waits: to start anything from then on is no better than not to have waited */
    uint32_t excluded;    /* a bit for each local stage and pass */
    int32_t held;
} weft_search_rank;

typedef struct weft_search_state {
    int32_t P, S, M, lanes;
    int32_t passes; /* of a micro-batch in a stage: F, I, W, or F and I, which is then B */
    int32_t cap;    /* at least 1; more than can be held where there is none */
    bool own;       /* the objective: see search.h */
    const int32_t *stage_rank;
    int32_t *local;          /* (S) stages by rank, ascending */
    double *cost[PASSES];    /* (S) */
    double *message[PASSES]; /* (S) of what F sends to the next stage and I to the one before; 0 on the same rank */
    double *latency[PASSES]; /* (S) that it is under way behind that */
    int32_t *lane[PASSES];   /* (S) that it goes by; -1: no message */
    double *tail[PASSES]; /* (S, M) least time from the end of a pass to the end of the step, or of its rank's part */
    double *head[PASSES]; /* (S, M) least begin of what has not run: scratch of the bound */

    weft_search_rank *ranks; /* (P) */
    int32_t *done[PASSES];   /* (S) passes that have run; the next one is of that micro-batch */
    double *arrive[PASSES];  /* (S, M) when what F or I made is where the next pass needs it */
    double *lane_free;       /* (lanes) */
    int32_t left;            /* passes that have not run */
    int32_t idle;            /* ranks that have not begun */
    double *own_least;       /* (P) least time from a rank's begin to its end */
} weft_search_state;

/* One decision. */
typedef struct weft_search_move {
    int32_t rank, stage, microbatch; /* stage -1: to wait */
    weft_search_pass pass;
    double bound; /* of what follows */
} weft_search_move;

/* What a decision changed. */
typedef struct weft_search_undo {
    weft_search_rank rank;
    double lane_free;
} weft_search_undo;

weft_status weft_search_state_init(weft_search_state *state, const weft_search_problem *problem,
                                   weft_error *error) WEFT_CHECKED;
void weft_search_state_fini(weft_search_state *state);

/* Time of the next decision: all that has not run begins then or later. INFINITY when nothing can run any more. */
double weft_search_next(const weft_search_state *state, int32_t *out_rank);

/* The decisions of that rank, at most 3 x its stages + 1. None when its deadline has passed. */
int32_t weft_search_moves(const weft_search_state *state, int32_t rank, double time, weft_search_move *out);

void weft_search_apply(weft_search_state *state, const weft_search_move *move, double time, weft_search_undo *undo);
void weft_search_take_back(weft_search_state *state, const weft_search_move *move, const weft_search_undo *undo);

/* Whether the rank, where that many F of each stage have run, keeps room for the next micro-batches that it has not
 * seen through, so many, when it runs the next F of a stage. Without room for one it gets stuck. */
bool weft_search_keeps_room(const weft_search_state *state, const weft_search_rank *rank, const int32_t *forwards,
                            int32_t stage, int32_t microbatches);

/* A step that goes on from here takes at least so long. time: of the next decision. */
double weft_search_bound(weft_search_state *state, double time);
/* Fills tail and own_least, once. */
void weft_search_tails(weft_search_state *state);

/*
 * States that were searched already. A state need not be searched when another one, with the same passes run, has
 * everything as early and excludes no more: whatever follows here could follow there. It is a help, no more: when
 * memory is short, all is forgotten.
 */
typedef struct weft_search_memo {
    struct weft_search_entry *entries;
    size_t entry_capacity, pool_capacity;
    uint32_t *heads; /* of the lists of entries with the same hash */
    double *pool;    /* the entries' rows */
    size_t used;     /* of the pool */
    uint32_t count;  /* of the entries */
} weft_search_memo;

weft_status weft_search_memo_init(weft_search_memo *memo, weft_error *error) WEFT_CHECKED;
void weft_search_memo_fini(weft_search_memo *memo);
void weft_search_memo_clear(weft_search_memo *memo);
/* Whether the state is covered; remembers it if not. */
bool weft_search_memo_covers(weft_search_memo *memo, const weft_search_state *state);

static inline size_t weft_search_at(const weft_search_state *state, int32_t stage, int32_t microbatch)
{
    return (size_t)stage * (size_t)state->M + (size_t)microbatch;
}

#endif
