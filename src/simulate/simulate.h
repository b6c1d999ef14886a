/*
 * Longest path through a program with costs: when each action begins and ends, the bubble and its causes.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_SIMULATE_SIMULATE_H
#define WEFT_SIMULATE_SIMULATE_H

#include "program/program.h"

/* Seconds (or any unit) per stage. Messages occupy their lanes only: that of the sender from when both ends can begin,
 * that of the receiver as long, `latency` later, so that the next one may follow while one is under way. An overlapped
 * pair runs part after part, as the worker runs it; with `pairs` it is one piece: both parts begin when both can, and
 * end together. */
typedef struct weft_costs {
    const double *forward, *backward_input, *backward_weight; /* (S) of one micro-batch */
    const double *backward;                                   /* (S) B; NULL: the sum of I and W */
    const double *update;                                     /* (S) or NULL for 0 */
    double message, reduce;   /* time of one message on its lanes; time of one collective */
    double latency;           /* from when a message has left its sender's lane to when it is there */
    const double *gathers;    /* (S) UNSHARD of a stage; NULL: 0 */
    const double *reductions; /* (S) REDUCE_GRAD of a stage; NULL: reduce */
    const double *sums;       /* (S) REDUCE_TENSOR of a stage; NULL: 0 */
    const double *messages;   /* (S) by the stage that sends; NULL: message for all */
    const double *latencies;  /* (S) by the stage that sends; NULL: latency for all */
    /* (S) by kind of pass: what exchanges of tensor-parallel workers add to a pass; NULL: nothing */
    const double *exchanges[WEFT_PASS_KINDS];
    const double *collectives; /* (WEFT_ACTION_KINDS) by kind; NULL: reduce for all */
    const double *overlap;     /* (S) of a pair, by the stage of its F; NULL: the sum of its parts */
    bool pairs;
    /* (actions) of one program: how long each takes, and all above but pairs says nothing; or NULL. A RECV has the
     * latency in it, its SEND has not; a pair as one piece takes the longer of its parts. */
    const double *actions;
} weft_costs;

/* How long the action occupies its lane once it can begin: a message when both its ends are ready. */
double weft_costs_of(const weft_costs *costs, weft_action action);
/* How much later a RECV begins and ends than its SEND; 0 of all others. */
double weft_costs_latency(const weft_costs *costs, weft_action action);

/* timeline must be initialised for the program. WEFT_INVALID when the program has a cycle, or its pairs as one piece
 * close one. */
weft_status weft_simulate(const weft_program *program, const weft_costs *costs, weft_timeline *timeline,
                          weft_error *error) WEFT_CHECKED;

typedef enum weft_bubble_cause {
    WEFT_BUBBLE_FILL,      /* before a rank's first compute action */
    WEFT_BUBBLE_DRAIN,     /* after its last F, B, I or W while others still compute */
    WEFT_BUBBLE_WAIT,      /* waiting for an action of another rank that is still computing */
    WEFT_BUBBLE_IMBALANCE, /* what of that vanishes when all stages cost their mean */
    WEFT_BUBBLE_MESSAGE,   /* waiting for a message whose sender has finished computing it */
    WEFT_BUBBLE_GATHER,    /* waiting for weights */
    WEFT_BUBBLE_REDUCE,    /* waiting for a gradient buffer that is being reduced, or for the reductions at the end */
    WEFT_BUBBLE_EXCHANGE,  /* in a pass, but exchanging with other tensor-parallel workers */
    WEFT_BUBBLE_UPDATE,    /* waiting at the end for NORM, UPDATE or METRICS */
    WEFT_BUBBLE_CAUSES
} weft_bubble_cause;

const char *weft_bubble_cause_name(weft_bubble_cause cause);
/* Whether a program can have the cause at all: others need not be told. */
bool weft_bubble_cause_is_there(const weft_program *program, weft_bubble_cause cause);

/* One time in which a rank's compute lane stands still, or what a pass exchanges: at its end, `before` is the pass. */
typedef struct weft_bubble_gap {
    int32_t rank;
    uint32_t before; /* the action that it ends with; UINT32_MAX: the end of the step */
    uint32_t waited; /* what kept that action waiting, on its rank; UINT32_MAX: not known */
    uint32_t source; /* the other rank's compute action that a message in waited came from; UINT32_MAX: none */
    double begin, end;
    double cause[WEFT_BUBBLE_CAUSES]; /* adds up to end - begin */
} weft_bubble_gap;

typedef struct weft_bubble_rank {
    double busy, idle;                /* compute lane; they add up to the step time */
    double cause[WEFT_BUBBLE_CAUSES]; /* adds up to idle */
    double first_begin, last_end;     /* of its first F, and of its last F, B, I or W */
    double passes;                    /* busy with F, B, I or W, or exchanging in them */
    int64_t peak_activations;         /* most micro-batch stages held between F and the B or W that frees them */
} weft_bubble_rank;

/* The bubble of a step, simulated or measured.  Owns: its ranks; borrows the timeline.  Lifetime: init to fini. */
typedef struct weft_bubble {
    const weft_timeline *timeline;
    double step_time;
    double fraction;                  /* idle share of all compute lanes over the whole step */
    double cause[WEFT_BUBBLE_CAUSES]; /* shares of the step, means over the ranks; they add up to fraction */
    /* As papers of zero-bubble schedules count: the longest time of a rank from the begin of its first pass to the end
     * of its last one, and the share of it in which ranks run no pass, mean over the ranks. */
    double own_step_time, own_fraction;
    weft_bubble_rank *ranks; /* (P) */
} weft_bubble;

/* Where stages differ, the step is simulated once more with all stages at their mean, to tell imbalance from wait. */
weft_status weft_bubble_init(weft_bubble *bubble, const weft_timeline *timeline, weft_error *error) WEFT_CHECKED;
void weft_bubble_fini(weft_bubble *bubble);

/* Visits every gap, rank by rank in the order of time. Of a rank's waiting each gap has the same part of imbalance. */
void weft_bubble_visit(const weft_bubble *bubble, void (*visit)(const weft_bubble_gap *gap, void *context),
                       void *context);

/* The same figures in little time, without telling imbalance apart: all of it is wait. ranks: (P), the caller's. */
void weft_bubble_measure(const weft_timeline *timeline, double *out_step_time, double *out_bubble_fraction,
                         weft_bubble_rank *ranks);

/* The most that a rank holds at once: a micro-batch stage from its F to the B or W that frees it, each of bytes[stage];
 * NULL: 1 each. */
uint64_t weft_bubble_held(const weft_program *program, int32_t rank, const size_t *bytes);

/* Actions of one kind on the gather or the reduce lanes, and how much of their time is hidden: the compute lane of
 * their rank runs something meanwhile. Sums over all ranks. */
typedef struct weft_hidden {
    uint64_t count;
    double seconds, hidden;
} weft_hidden;

/* Works on simulated and measured timelines alike. kind: UNSHARD, or REDUCE_GRAD for REDUCE_TENSOR, too. */
weft_hidden weft_hidden_measure(const weft_timeline *timeline, weft_action_kind kind);
double weft_hidden_share(const weft_hidden *part); /* NAN where there is no time to hide */

#endif
