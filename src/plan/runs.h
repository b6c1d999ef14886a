/*
 * Measured training runs, one a row of a CSV file: what a planner is calibrated to and judged by.
 *
 * The header names the columns (docs/plan.md); their order is free, unknown ones are refused. An empty cell is not
 * known, and a remark behind the first word of a cell is left out. A row that cannot be used says why and is kept, so
 * that it can be counted.
 *
 * Owns: its rows.  Lifetime: read to fini.  Threads: any may read.
 */
#ifndef WEFT_PLAN_RUNS_H
#define WEFT_PLAN_RUNS_H

#include "base/memory.h"
#include "plan/layout.h"
#include "plan/model.h"

typedef struct weft_plan_run {
    char id[96], group[64];
    weft_plan_model model;
    weft_plan_layout layout;
    char gpu[32]; /* a name of the table of GPUs; "" when the row names none, or none of the table */
    double gpu_memory;
    int32_t gpus, gpus_per_node, global_batch;
    double step;   /* seconds; 0: not measured */
    double memory; /* peak bytes of the fullest GPU; 0: not measured */
    char memory_kind[16];
    bool out_of_memory, fp16;
    const char *unusable; /* why its time cannot be predicted; NULL: it can */
} weft_plan_run;

typedef struct weft_plan_runs {
    weft_plan_run *rows;
    size_t count, capacity;
} weft_plan_runs;

/* Adds the rows of a text. WEFT_INVALID names file, row and column of what is no CSV, of an unknown column, and of a
 * cell that is no number. */
weft_status weft_plan_runs_read(weft_plan_runs *runs, const char *text, size_t length, const char *source,
                                weft_error *error) WEFT_CHECKED;
void weft_plan_runs_fini(weft_plan_runs *runs);

#endif
