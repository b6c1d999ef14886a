/*
 * `weft plan`: what is asked, as questions of one number of GPUs and one batch each, and the answers.
 *
 * Internal to cli/.  Owns: the arena and the answers, until fini.  Threads: main's.
 */
#ifndef WEFT_CLI_PLAN_CASE_H
#define WEFT_CLI_PLAN_CASE_H

#include "cli/plan_sizes.h"
#include "cli/verb.h"
#include "plan/answer.h"
#include "plan/fit.h"

enum { WEFT_PLAN_CASES = 64 }; /* most numbers of a list */

/* One number of GPUs and one batch. */
typedef struct weft_plan_case {
    weft_plan_question question;
    weft_plan_answer answer;
    double tokens;                       /* to train, at small batches; 0: not said */
    weft_error refusal;                  /* why there is no plan; WEFT_OK where there is one */
    weft_plan_row best[WEFT_PLAN_KINDS]; /* of each schedule; step 0: none */
} weft_plan_case;

typedef struct weft_planning {
    weft_arena arena;
    weft_plan_model model;
    weft_cli_plan_run run; /* what the model was read from, where that is a run of weft (has_run) */
    bool has_run;
    weft_plan_sizes sizes;
    weft_plan_cluster cluster;
    weft_plan_fit fit; /* the cluster borrows from it */
    weft_plan_fix fix;
    int64_t gpus[WEFT_PLAN_CASES], batches[WEFT_PLAN_CASES];
    int gpu_count, batch_count;
    weft_plan_kind rivals[WEFT_PLAN_KINDS]; /* to compare */
    int rival_count;
    int64_t top;
    double tokens, days;
    weft_plan_how how;
    weft_plan_case *cases; /* (case_count) by GPUs, then batch: those that were looked at before a stop */
    int case_count;
    const char *at; /* what the progress line says */
} weft_planning;

/* "64,128,256" of an option; WEFT_INVALID. */
weft_status weft_planning_list(const weft_arguments *arguments, const char *name, int64_t *out, int *out_count,
                               weft_error *error) WEFT_CHECKED;
/* "data=4,shard=weights"; a name that is given again is one more that is allowed. */
weft_status weft_planning_fix(weft_plan_fix *fix, const char *list, weft_error *error) WEFT_CHECKED;
/* Names of schedules. */
weft_status weft_planning_rivals(weft_planning *p, const char *list, weft_error *error) WEFT_CHECKED;

/* Answers all questions. WEFT_INVALID where none has a plan, and the reason of the first. */
weft_status weft_planning_solve(weft_planning *p, weft_error *error) WEFT_CHECKED;
void weft_planning_fini(weft_planning *p);

/* Seconds a step, hours and money of a row; NAN where tokens or price are not known. */
double weft_plan_case_hours(const weft_plan_case *which, const weft_plan_row *row);
double weft_plan_case_cost(const weft_plan_case *which, const weft_plan_row *row);

/* Whether a case has a plan. */
static inline bool weft_plan_case_has(const weft_plan_case *which)
{
    return which->answer.count > 0;
}

#endif
