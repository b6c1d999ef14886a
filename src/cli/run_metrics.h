/*
 * One figure of a run's metrics.jsonl as curves, read at once or as lines come, in a fixed amount of memory.
 *
 * Owns: the open file, a buffer and the curves, from open to close.  Threads: one.
 */
#ifndef WEFT_CLI_RUN_METRICS_H
#define WEFT_CLI_RUN_METRICS_H

#include "base/text.h"
#include "report/metrics_read.h"
#include "report/series.h"

#include <sys/types.h>

typedef struct weft_run_metrics {
    const char *operand; /* a run folder or a file, as it was given */
    char path[4200];     /* the file */
    weft_metrics_key key;
    const char *source; /* of loss_by_source, as lines have it; NULL: none, and names fills with those that there are */
    weft_text names;    /* a line each */
    int source_count;   /* of them */
    weft_text sources;  /* what the last step that has a loss_by_source has there */
    int64_t from;       /* the first step that counts */
    int descriptor;
    dev_t device; /* which file it is: one that is resumed is another */
    ino_t number;
    off_t read;     /* bytes so far */
    weft_text rest; /* the beginning of a line */
    bool skips;     /* the line that comes is too long */
    int missed;     /* how often the file was not there, in a row */
    weft_series steps, evaluations;
    int64_t lines, damaged,
        empty; /* damaged: no line of metrics, or one that goes back; empty: steps without the figure */
    int64_t last_step, last_evaluation;
} weft_run_metrics;

/* Opens and reads what is there. operand and source are borrowed. WEFT_INVALID when there is no such file; on error,
 * too, it must be closed. */
weft_status weft_run_metrics_open(weft_run_metrics *metrics, const char *operand, weft_metrics_key key,
                                  const char *source, int64_t from, double smooth, weft_error *error) WEFT_CHECKED;
void weft_run_metrics_close(weft_run_metrics *metrics);
/* Nothing more will come: a last line without an end counts when it is whole. */
void weft_run_metrics_end(weft_run_metrics *metrics);
/* Reads on; a file that another has taken the place of is read from its beginning. WEFT_FAILED when the file is gone
 * for more than a few calls. */
weft_status weft_run_metrics_follow(weft_run_metrics *metrics, bool *out_changed, weft_error *error) WEFT_CHECKED;

#endif
