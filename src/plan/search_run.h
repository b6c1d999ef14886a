/*
 * One search: what its parts share. See search.c.
 *
 * Owns: its parts.  Threads: one owner.
 */
#ifndef WEFT_PLAN_SEARCH_RUN_H
#define WEFT_PLAN_SEARCH_RUN_H

#include "plan/search_list.h"

typedef enum weft_search_answer { WEFT_SEARCH_NO, WEFT_SEARCH_YES, WEFT_SEARCH_NONE } weft_search_answer;

typedef struct weft_search_run {
    const weft_search_problem *problem;
    weft_search_result *result;
    weft_search_state state;
    weft_search_memo memo;
    weft_search_order order;
    weft_search_move *trail;  /* (count) passes from the beginning on, without waits */
    int32_t length;           /* of the trail */
    int32_t *best;            /* (count) the best order so far, rank by rank */
    double best_value;        /* what is to be small, of it */
    int32_t *sequence;        /* (count) an order in the making */
    int32_t *counts;          /* (PASSES S + P) while it is made */
    double kind_value;        /* of the best kind, whose schedule is the result's */
    double value, bound;      /* the smaller of both; no order comes below the bound */
    double limit, next_bound; /* of the probe; the least bound above the limit */
    uint64_t budget;          /* the work at which the probe ends */
    uint64_t rounds;          /* of chance */
    uint64_t work, next_look; /* passes timed; when to look at the clock */
    double stop;              /* clock */
    bool over;
} weft_search_run;

/* Whether time or work have come to an end, or somebody wants the search to. Looks at the clock now and then. */
bool weft_search_run_out(weft_search_run *run);
/* The order becomes the best, if it is. */
void weft_search_run_offer(weft_search_run *run);
/* The order of a trail that is whole is timed and offered. */
void weft_search_run_take_trail(weft_search_run *run);
/* Small differences are rounding. */
double weft_search_run_slack(const weft_search_run *run);

/* Step times of the kinds of schedules that obey the cap; the best of them. */
weft_status weft_search_try_kinds(weft_search_run *run, weft_error *error) WEFT_CHECKED;
weft_status weft_search_simulate(const weft_search_problem *problem, const weft_schedule *schedule,
                                 weft_search_row *out, weft_error *error) WEFT_CHECKED;

/* Asks whether there is an order that takes no longer than limit; an answer is in value or in bound. */
weft_search_answer weft_search_probe(weft_search_run *run, double limit, uint64_t work);

/* Tries so many rules; the order of the best of them becomes run->order, to be improved. */
weft_status weft_search_seek(weft_search_run *run, uint64_t rules, weft_error *error) WEFT_CHECKED;
/* Tries so many changes of run->order. */
weft_status weft_search_improve(weft_search_run *run, uint64_t moves, weft_error *error) WEFT_CHECKED;

#endif
