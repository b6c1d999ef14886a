/*
 * What people look at: timelines as SVG and CSV, the progress line, metrics.jsonl; and what is read back.
 *
 * Writers append text; the caller stores it. Threads: any.
 */
#ifndef WEFT_REPORT_REPORT_H
#define WEFT_REPORT_REPORT_H

#include "base/json.h"
#include "simulate/simulate.h"
#include "train/record.h"

typedef struct weft_picture {
    const char *title;   /* e.g. "breadth-first, P = 2, 2 loops, M = 8" */
    const char *caption; /* e.g. "measured, step 600" */
    const char *unit;    /* of time, e.g. "ms"; the axis shows seconds x unit_scale */
    double unit_scale;
    const size_t *held; /* (S) bytes that a stage holds of a micro-batch; NULL: not known */
} weft_picture;

/* A timeline of several and its words. */
typedef struct weft_panel {
    const weft_timeline *timeline;
    const weft_picture *picture;
} weft_panel;

/* One row a rank; colour by action and loop, micro-batch numbers where they fit, upright or turned, idle time visible,
 * messages drawn thin under the compute row, a legend, a time axis with units, bubble and memory in the caption.
 * Self-contained, well-formed. */
void weft_report_svg(const weft_timeline *timeline, const weft_picture *picture, weft_text *out);
/* Several under each other, on one axis of time. count >= 1. */
void weft_report_svg_stack(const weft_panel *panels, int count, weft_text *out);

/* rank,lane,action,stage,microbatch,begin,end with a header line; seconds with 9 decimals. */
void weft_report_csv(const weft_timeline *timeline, weft_text *out);

/* The same of a measured step, for weft_report_read_step_csv: a first row ",,STEP,,,begin,end" has the whole step. */
void weft_report_step_csv(const weft_timeline_record *record, weft_text *out);

/* Reads it back into timeline, which is of the program that was measured, and the record's begin and end. text ends
 * with a zero byte; source names it in messages. WEFT_INVALID with line and cell for all that weft_report_step_csv
 * would not have written. */
weft_status weft_report_read_step_csv(const char *text, const char *source, weft_timeline *timeline,
                                      weft_timeline_record *record, weft_error *error) WEFT_CHECKED;

/* One self-contained page for a browser: zoom, pan, what an action is and why the rank was idle before it, memory over
 * time. Several timelines lie under each other on one axis of time, in the unit of the first. count >= 1. */
void weft_report_html(const weft_panel *panels, int count, weft_text *out);

/* Trace events in JSON for ui.perfetto.dev and chrome://tracing: a process a rank, a thread a lane, and how many
 * micro-batch stages the rank holds. The picture's unit is s, ms or us; what is none of them counts as seconds. */
void weft_report_trace(const weft_timeline *timeline, const weft_picture *picture, weft_text *out);
/* Several in one file: the ranks of a later one lie below, and every rank's name has the caption. count >= 1. */
void weft_report_trace_stack(const weft_panel *panels, int count, weft_text *out);

/* "send_f 1": the lane's kind, and its peer where it has one. */
void weft_report_add_lane(const weft_lane *lane, weft_text *out);

/* "bubble_by_cause": an object of the shares of a step (WEFT_BUBBLE_CAUSES), those that the program can have, with so
 * many digits; 0: all that they have. */
void weft_report_causes_json(weft_json *json, const weft_program *program, const double *cause, int digits);

/* One line of progress without a newline: step, loss, tokens/s, share of peak, time left. */
void weft_report_progress(const weft_step_record *record, weft_text *out);

/* One JSON object and a newline: docs/metrics.md lists the keys. */
void weft_report_step_json(const weft_step_record *record, weft_text *out);
void weft_report_evaluation_json(const weft_evaluation_record *record, weft_text *out);

#endif
