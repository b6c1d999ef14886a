/*
 * Shows a training run on the terminal and keeps its record: progress lines, RUN/metrics.jsonl, RUN/timelines,
 * RUN/timeline.svg and RUN/timeline.csv, and TensorBoard's event files where the configuration asks for them.
 *
 * Owns: the open files.  Threads: one at a time, between init and fini.
 */
#ifndef WEFT_CLI_OBSERVER_H
#define WEFT_CLI_OBSERVER_H

#include "cli/event_file.h"
#include "train/train.h"

#include <stdio.h>

typedef struct weft_run_observer {
    const weft_job *job;
    FILE *progress; /* where lines for people go; a terminal gets one line that is overwritten */
    bool terminal;
    int lock;    /* of RUN: two runs in one folder would overwrite each other; -1: none */
    int metrics; /* RUN/metrics.jsonl, or -1 */
    char metrics_path[4200];
    weft_event_file events;
    double last_line; /* when the last progress line was printed */
    weft_text line;
    /* What a summary needs. */
    weft_run_start start;
    weft_step_record last_step;
    weft_evaluation_record last_evaluation;
    bool evaluated;  /* metrics.jsonl holds the evaluation of the step that the run was resumed at */
    double *seconds; /* of this run's first steps, for the median */
    size_t seconds_count, seconds_capacity;
    double mean_bubble; /* of the last step, over ranks */
    bool drawn;
    bool line_open; /* the terminal's progress line has no end yet */
} weft_run_observer;

weft_status weft_run_observer_init(weft_run_observer *observer, const weft_job *job, FILE *progress,
                                   weft_error *error) WEFT_CHECKED;
weft_status weft_run_observer_fini(weft_run_observer *observer, weft_error *error); /* also reports a failed close */
weft_observer weft_run_observer_table(weft_run_observer *observer);
/* For processes of other ranks: notes to standard error, nothing else. */
weft_observer weft_run_observer_silent(void);
/* Shows how far the tokenising of text is; for processes of all ranks. */
void weft_run_observer_tokenised(void *observer, const weft_tokenize_totals *totals);
/* Ends the progress line, so that something else can be printed. */
void weft_run_observer_end_line(weft_run_observer *observer);

/* Median seconds of a step; 0 before the first. Sorts in place. */
double weft_run_observer_median(weft_run_observer *observer);

#endif
