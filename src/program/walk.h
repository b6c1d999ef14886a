/*
 * Walks a program in an order in which it can run, node by node: one action, a SEND with its RECV, or a collective
 * with all its members. Linear in the program; keeps a few words a lane and nothing an action. The lowering, the
 * verifier and the simulator all stand on it.
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

typedef struct weft_walk {
    const weft_program *program;
    bool local; /* one rank by itself: messages and collectives wait for nobody */
    int32_t lane_first, lane_count;
    weft_walk_lane *lanes; /* (lane_count) */
    int32_t *stack;        /* lanes to look at */
    int32_t depth;
    int32_t members[WEFT_ACTION_KINDS], arrived[WEFT_ACTION_KINDS]; /* of collectives */
    uint64_t remaining;                                             /* actions */
    int32_t *node_lanes; /* lanes of the node just reached; its actions are at their cursors - 1 */
    int32_t node_count;
} weft_walk;

/* rank -1: all ranks under rendezvous; else one rank locally. */
weft_status weft_walk_init(weft_walk *walk, const weft_program *program, int32_t rank, weft_error *error) WEFT_CHECKED;
void weft_walk_fini(weft_walk *walk);

/* The next node; false when all is done (remaining is 0) or nothing can move. */
bool weft_walk_next(weft_walk *walk);

/* Action i of the node just reached. The SEND of a message comes first. */
uint32_t weft_walk_action(const weft_walk *walk, int32_t i);

/* After weft_walk_next returned false with actions remaining: WEFT_INVALID with the shortest circle of waits. */
weft_status weft_walk_explain(const weft_walk *walk, weft_error *error) WEFT_CHECKED;

#endif
