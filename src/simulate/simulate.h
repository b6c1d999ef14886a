/*
 * Longest path through a program with costs: when each action begins and ends, the bubble and its causes.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_SIMULATE_SIMULATE_H
#define WEFT_SIMULATE_SIMULATE_H

#include "program/program.h"

/* Seconds (or any unit) per stage; B costs backward_input + backward_weight. Messages occupy their lanes only. An
 * overlapped pair runs part after part, as the worker runs it; with `pairs` it is one piece: both parts begin when both
 * can, and end together. */
typedef struct weft_costs {
    const double *forward, *backward_input, *backward_weight; /* (S) of one micro-batch */
    const double *update;                                     /* (S) or NULL for 0 */
    double message, reduce;                                   /* latency of one message; time of one collective */
    const double *gathers;                                    /* (S) UNSHARD of a stage; NULL: 0 */
    const double *reductions;                                 /* (S) REDUCE_GRAD of a stage; NULL: reduce */
    const double *messages;                                   /* (S) by the stage that sends; NULL: message for all */
    const double *collectives;                                /* (WEFT_ACTION_KINDS) by kind; NULL: reduce for all */
    const double *overlap; /* (S) of a pair, by the stage of its F; NULL: the sum of its parts */
    bool pairs;
    const double *actions; /* (actions) of one program: how long each takes, and all above says nothing; or NULL */
} weft_costs;

/* How long the action occupies its lane once it can begin: a message when both its ends are ready. */
double weft_costs_of(const weft_costs *costs, weft_action action);

/* timeline must be initialised for the program. WEFT_INVALID when the program has a cycle, or its pairs as one piece
 * close one. */
weft_status weft_simulate(const weft_program *program, const weft_costs *costs, weft_timeline *timeline,
                          weft_error *error) WEFT_CHECKED;

typedef enum weft_bubble_cause {
    WEFT_BUBBLE_FILL,      /* before a rank's first compute action */
    WEFT_BUBBLE_DRAIN,     /* after its last F, B, I or W while others still compute */
    WEFT_BUBBLE_IMBALANCE, /* waiting for an action of another rank that is still computing */
    WEFT_BUBBLE_MESSAGE,   /* waiting for a message whose sender has finished computing it */
    WEFT_BUBBLE_WEIGHTS,   /* waiting for weights, or for a gradient buffer that is being reduced */
    WEFT_BUBBLE_UPDATE,    /* waiting for NORM or another collective before UPDATE, and after the last action */
    WEFT_BUBBLE_CAUSES
} weft_bubble_cause;

const char *weft_bubble_cause_name(weft_bubble_cause cause);

/* One time in which a rank's compute lane stands still. */
typedef struct weft_bubble_gap {
    int32_t rank;
    uint32_t before; /* the action that it ends with; UINT32_MAX: the end of the step */
    uint32_t waited; /* what kept that action waiting, on its rank; UINT32_MAX: not known */
    uint32_t source; /* the other rank's compute action that a message in waited came from; UINT32_MAX: none */
    double begin, end;
    double cause[WEFT_BUBBLE_CAUSES]; /* adds up to end - begin */
} weft_bubble_gap;

/* Visits every gap, rank by rank in the order of time. */
void weft_bubble_visit(const weft_timeline *timeline, void (*visit)(const weft_bubble_gap *gap, void *context),
                       void *context);

typedef struct weft_bubble_rank {
    double busy, idle;                /* compute lane; they add up to the step time */
    double cause[WEFT_BUBBLE_CAUSES]; /* adds up to idle */
    double first_begin, last_end;     /* of its first F, and of its last F, B, I or W */
    int64_t peak_activations;         /* most micro-batch stages held between F and the B or W that frees them */
} weft_bubble_rank;

/* Works on simulated and measured timelines alike. ranks: (P), the caller's. */
void weft_bubble_measure(const weft_timeline *timeline, double *out_step_time, double *out_bubble_fraction,
                         weft_bubble_rank *ranks);

/* Of a step, how much of it the ranks stood still by each cause: means over the ranks. */
void weft_bubble_shares(const weft_bubble_rank *ranks, int32_t count, double step_time, double out[WEFT_BUBBLE_CAUSES]);

/* Actions of one kind on the gather or the reduce lanes, and how much of their time is hidden: the compute lane of
 * their rank runs something meanwhile. Sums over all ranks. */
typedef struct weft_hidden {
    uint64_t count;
    double seconds, hidden;
} weft_hidden;

/* Works on simulated and measured timelines alike. kind: UNSHARD or REDUCE_GRAD. */
weft_hidden weft_hidden_measure(const weft_timeline *timeline, weft_action_kind kind);
double weft_hidden_share(const weft_hidden *part); /* NAN where there is no time to hide */

#endif
