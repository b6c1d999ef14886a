/*
 * Walks a program in an order in which it can run, node by node: one action, a SEND with its RECV, or a collective
 * with all its members. Nodes come in stretches: as many of the same lanes, one behind the other, as can run now, so
 * that memory is read in its order. Linear in the program; keeps a few words a lane and nothing an action. The
 * lowering, the verifier and the simulator all stand on it.
 *
 * Owns: its arrays; borrows the program, whose lanes and `after` must be in range.  Threads: one owner.
 */
#ifndef WEFT_PROGRAM_WALK_H
#define WEFT_PROGRAM_WALK_H

#include "program/program.h"

typedef enum weft_walk_state { WEFT_WALK_QUEUED, WEFT_WALK_WAITING, WEFT_WALK_ARRIVED, WEFT_WALK_DONE } weft_walk_state;

typedef struct weft_walk_lane {
    uint32_t cursor; /* its next action */
    uint32_t need;   /* WAITING: the action it waits for */
    int32_t waiters; /* lanes that wait for this one: the first, or -1 */
    int32_t next;    /* the next lane that waits for the same one, or -1 */
    weft_walk_state state;
} weft_walk_lane;

typedef struct weft_walk_member {
    int32_t lane;
    uint32_t first; /* its action in the first node */
} weft_walk_member;

typedef struct weft_walk {
    const weft_program *program;
    bool local; /* one rank by itself: messages and collectives wait for nobody */
    bool pairs; /* may be set after weft_walk_init: an overlapped pair waits until both parts can begin */
    int32_t lane_first, lane_count;
    weft_walk_lane *lanes; /* (lane_count) */
    int32_t *stack;        /* lanes to look at */
    int32_t depth;
    int32_t expected[WEFT_ACTION_KINDS], arrived[WEFT_ACTION_KINDS]; /* members of collectives */
    uint64_t remaining;                                              /* actions */
    uint64_t looks; /* how often a lane was looked at: a few times an action at most */

    /* The nodes just reached: node k holds the action first + k of each member. The SEND of a message comes first. */
    weft_walk_member *members;
    int32_t member_count;
    uint32_t nodes;
} weft_walk;

/* rank -1: all ranks under rendezvous; else one rank locally. */
weft_status weft_walk_init(weft_walk *walk, const weft_program *program, int32_t rank, weft_error *error) WEFT_CHECKED;
void weft_walk_fini(weft_walk *walk);

/* The next nodes; false when all is done (remaining is 0) or nothing can move. */
bool weft_walk_next(weft_walk *walk);

/* How many actions begin together at the lane's cursor: 2 for an overlapped pair, else 1. */
uint32_t weft_walk_width(const weft_walk *walk, int32_t lane);

/* After weft_walk_next returned false with actions remaining: WEFT_INVALID with the shortest circle of waits. */
weft_status weft_walk_explain(const weft_walk *walk, weft_error *error) WEFT_CHECKED;

#endif
