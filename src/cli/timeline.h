/*
 * A measured step beside its prediction: what weft timeline computes and prints. Internal to the verb.
 *
 * Owns: what it read and computed, init to fini.  Threads: main's.
 */
#ifndef WEFT_CLI_TIMELINE_H
#define WEFT_CLI_TIMELINE_H

#include "cli/timelines.h"
#include "simulate/draw.h"
#include "simulate/fit.h"
#include "simulate/lost.h"
#include "train/resplit.h"

/* A step, measured or predicted; seconds. */
typedef struct weft_step_view {
    const weft_timeline *timeline;
    double step, program, outside; /* program: from the first action's begin to the last one's end; the sum is step */
    double bubble;                 /* share of the program's time, mean over ranks */
    double cause[WEFT_BUBBLE_CAUSES]; /* shares of the program's time; they add up to bubble */
    double own, own_bubble;           /* of a rank from its first pass to its last (weft_bubble) */
} weft_step_view;

typedef struct weft_step_forecast {
    const char *run;
    weft_arena arena;
    weft_config config;
    weft_job *job;
    int64_t *steps;                /* that are there, ascending */
    size_t step_count;             /* the one looked at is the last; costs are from those before it */
    weft_timeline *timelines;      /* (step_count) */
    weft_timeline_record *records; /* (step_count) */
    weft_fit fit;
    weft_draw draw;
    weft_timeline drawn;
    weft_step_view measured, predicted;
    bool has_exchanges;                     /* something was said of: */
    double exchange_latency, exchange_rate; /* seconds, bytes a second */
    double steady;                          /* program time when every action takes its fitted cost, always */
    double median;                          /* seconds of all these steps */
    weft_lost lost, usual;                  /* of the step looked at; of the middle one from usual_from up to it */
    int64_t usual_from;
    weft_resplit split; /* of the layers by the fitted costs; only where it is faster */
    bool splits;
} weft_step_forecast;

void weft_step_forecast_print(const weft_step_forecast *it, weft_text *out);
void weft_step_forecast_print_json(const weft_step_forecast *it, weft_text *out);
/* The costs as weft simulate --costs reads them. */
void weft_step_forecast_print_costs(const weft_step_forecast *it, weft_text *out);

#endif
