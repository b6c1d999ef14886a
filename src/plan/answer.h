/*
 * The answer to a planning question: the best layouts, screened by closed forms, replayed by their programs, each with
 * what limits it.
 *
 * Owns: its rows.  Lifetime: find to fini.  Threads: find makes its own; the answer may be read by any.
 */
#ifndef WEFT_PLAN_ANSWER_H
#define WEFT_PLAN_ANSWER_H

#include "plan/replay.h"

/* How far a time can be trusted, by what its inputs are. */
typedef enum weft_plan_confidence {
    WEFT_PLAN_UNSEEN,    /* this kind of machine was never measured: 10 to 20 % */
    WEFT_PLAN_FITTED_TO, /* calibrated to runs of this machine: 5 to 10 % */
    WEFT_PLAN_TIMED,     /* with measured layer times: 4 to 10 % */
} weft_plan_confidence;

const char *weft_plan_confidence_text(weft_plan_confidence confidence);

typedef struct weft_plan_row {
    weft_plan_layout layout;
    double screened; /* step by closed forms, seconds */
    weft_plan_replayed replayed;
    weft_plan_part limit; /* what costs most of what could be saved */
    double without_limit; /* the step if that part cost nothing, seconds */
    bool equal;           /* differs from the row before by less than 2 % */
} weft_plan_row;

typedef struct weft_plan_answer {
    weft_plan_row *rows; /* (count) by time, then memory, then layout; all fit */
    size_t count;
    weft_plan_screened screened;
    size_t replays;
    bool stopped; /* before all were replayed */
} weft_plan_answer;

typedef struct weft_plan_how {
    int32_t threads;                                          /* 0: one */
    bool screen_only;                                         /* no replays */
    const volatile sig_atomic_t *stop;                        /* NULL, or set by whoever wants what is done so far */
    void (*progress)(void *context, size_t done, size_t all); /* NULL: none; from the thread of the caller */
    void *context;
} weft_plan_how;

/* Errors as weft_plan_screen. */
weft_status weft_plan_find(const weft_plan_question *question, const weft_plan_how *how, weft_plan_answer *out,
                           weft_error *error) WEFT_CHECKED;
void weft_plan_answer_fini(weft_plan_answer *answer);

/* Of a layout; NULL: the best that any may have. Measured layer times count where they are of the model's width and of
 * the layout's tensor width and micro-batch. */
weft_plan_confidence weft_plan_confidence_of(const weft_plan_model *model, const weft_plan_cluster *cluster,
                                             const weft_plan_layout *layout);

#endif
