/*
 * The best order of F, I and W for given costs and a cap on memory, by branch and bound: what the schedules that follow
 * a rule are measured against. For small cases; within its time it proves the best, or says how far off it can be.
 *
 * Owns: a result owns its schedule and its rows.  Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_SEARCH_H
#define WEFT_PLAN_SEARCH_H

#include "simulate/simulate.h"

#include <signal.h>

enum { WEFT_SEARCH_SIZE_LIMIT = 256, WEFT_SEARCH_LOCAL_LIMIT = 8 }; /* S x M; stages of a rank */

typedef struct weft_search_problem {
    int32_t ranks, stages, microbatches;
    const int32_t *stage_rank; /* (S) */
    const char *placement;     /* its name or list, for the schedules to compare with */
    const weft_costs *costs;   /* update and reduce are not looked at */
    int64_t cap;               /* micro-batch stages that a rank may hold at once; 0: any number */
    bool whole;                /* B in place of I and W */
    bool own;                  /* the time that is to be small: own_step_time, not step_time */
    double seconds;            /* when to stop; the first bound, a first order and the comparison are always made */
    uint64_t work;             /* when to stop, in passes timed, which does not depend on the machine; 0: never */
    uint64_t seed;             /* of what is left to chance */
    const volatile sig_atomic_t *stop; /* non-zero: stop as if the time were over; may be NULL */
} weft_search_problem;

/* A kind of schedule with the same placement and costs, within the cap. */
typedef struct weft_search_row {
    const char *kind; /* static */
    double step_time, own_step_time;
    int64_t held; /* most micro-batch stages of a rank */
} weft_search_row;

typedef struct weft_search_result {
    weft_schedule *schedule; /* the best found; forward, input and weight passes in ascending micro-batch order */
    double step_time;        /* of it: from the first begin to the last end of all ranks */
    double own_step_time;    /* the longest that a rank takes from the begin of its first pass to the end of its last */
    double bound;            /* what is to be small is not below it in any order */
    bool optimal;            /* it is the same, but for rounding (1e-9 of it) */
    bool stopped;            /* because of problem->stop */
    uint64_t nodes, work;    /* partial orders looked at; passes timed */
    weft_search_row *rows;   /* by the time that is to be small */
    int32_t row_count;
} weft_search_result;

/* WEFT_INVALID when the case is too large, or no order obeys the cap. */
weft_status weft_search(const weft_search_problem *problem, weft_search_result *out, weft_error *error) WEFT_CHECKED;
void weft_search_result_fini(weft_search_result *result);

#endif
