/*
 * A whole order by a rule: a rank that is free starts what is most urgent of what is ready.
 *
 * Owns: its arrays, until weft_search_list_fini; borrows the order for what it says of passes.  Threads: one owner.
 */
#ifndef WEFT_PLAN_SEARCH_LIST_H
#define WEFT_PLAN_SEARCH_LIST_H

#include "plan/search_order.h"

typedef struct weft_search_rule {
    double *urgency; /* (count) by pass, which is the time left to the end and what is added to it */
    int32_t *limits; /* (S) micro-batches that a stage may hold, 1 or more */
    int32_t room;    /* micro-batches that a rank keeps room for before it begins others, 1 or more */
} weft_search_rule;

typedef struct weft_search_list {
    const weft_search_order *order;
    int32_t *sequence; /* (count) the order, rank by rank */
    int32_t *length;   /* (P) of it */
    int32_t *done;     /* (PASSES, S) passes that have run */
    int32_t *held;     /* (P) */
    double *arrive;    /* (count) */
    double *rank_begin, *rank_free, *lane_free;
    double *begin; /* (P) of the pass that a rank starts next */
    int32_t *next; /* (P) that pass; -1: none is ready */
} weft_search_list;

weft_status weft_search_list_init(weft_search_list *list, const weft_search_order *order,
                                  weft_error *error) WEFT_CHECKED;
void weft_search_list_fini(weft_search_list *list);

/* Makes sequence; returns what is to be small, of it. */
double weft_search_list_run(weft_search_list *list, const weft_search_rule *rule);

#endif
