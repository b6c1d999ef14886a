/*
 * A sweep over micro-batch sizes of one batch: what each size was measured and predicted to do, which is best and what
 * limits it on either side; as a table, JSON, CSV and a plot.
 *
 * Writers append text; the caller stores it.  Owns: nothing.  Threads: any.
 */
#ifndef WEFT_REPORT_SWEEP_H
#define WEFT_REPORT_SWEEP_H

#include "base/text.h"

#include <stdint.h>

/* throughput = peak x peak_share / flops a token, and peak_share = busy_peak_share x (1 - bubble). */
typedef struct weft_sweep_figures {
    double step_seconds;
    double tokens_per_second;
    double bubble;          /* idle share of compute-lane time over the whole step, mean over the ranks */
    double peak_share;      /* of the whole step; NAN when the peak is not known */
    double busy_peak_share; /* of the time in which compute lanes were busy */
} weft_sweep_figures;

typedef enum weft_sweep_outcome {
    WEFT_SWEEP_NOT_RUN,
    WEFT_SWEEP_MEASURED,
    WEFT_SWEEP_TOO_LARGE, /* by its plan or by a failed allocation */
    WEFT_SWEEP_OUTCOMES
} weft_sweep_outcome;

typedef struct weft_sweep_row {
    int64_t microbatch;   /* sequences of a micro-batch */
    int64_t microbatches; /* of a step, in each pipeline */
    weft_sweep_outcome outcome;
    const char *reason; /* why it is too large; NULL otherwise */
    weft_sweep_figures measured;
    bool has_prediction;
    weft_sweep_figures predicted;
    const size_t *memory; /* (ranks) bytes of the worker of each that needs most, of the plan */
} weft_sweep_row;

typedef struct weft_sweep {
    const char *schedule;
    int32_t ranks, stages;
    int32_t data;              /* pipelines side by side, which share the batch */
    int32_t tensor;            /* workers that divide each layer */
    int64_t sequences, tokens; /* of the batch; of a sequence */
    int64_t warmup, steps;     /* of each size: before what is measured; measured */
    double step_flops;         /* of the whole batch */
    double peak;               /* flop/s of all workers; 0 when not known */
    int64_t memory_limit;      /* bytes of a worker; 0: none */
    bool stopped;              /* before all sizes were run */
    const weft_sweep_row *rows;
    int count; /* of rows, by ascending size */
} weft_sweep;

weft_sweep_figures weft_sweep_figure(const weft_sweep *sweep, double step_seconds, double bubble);

/* Bytes of the largest worker. */
size_t weft_sweep_memory(const weft_sweep *sweep, const weft_sweep_row *row);

/* Index of the size with the highest throughput; -1 when there is none. */
int weft_sweep_best(const weft_sweep *sweep);
int weft_sweep_predicted_best(const weft_sweep *sweep);

/* What takes the throughput between the best size and the outermost measured one of one side. */
typedef struct weft_sweep_side {
    int row;        /* the outermost; -1: none was measured on this side */
    bool is_bubble; /* the idle share took more of it than the pace while busy did */
} weft_sweep_side;

weft_sweep_side weft_sweep_limit(const weft_sweep *sweep, bool larger);

/* The same as a sentence without a full stop. There must be a best size. */
void weft_sweep_explain(const weft_sweep *sweep, bool larger, weft_text *out);

/* The table in three parts, so that it can grow while the sweep goes on. */
void weft_sweep_text_head(const weft_sweep *sweep, weft_text *out);
void weft_sweep_text_row(const weft_sweep *sweep, const weft_sweep_row *row, weft_text *out);
void weft_sweep_text_end(const weft_sweep *sweep, weft_text *out);

void weft_sweep_json(const weft_sweep *sweep, weft_text *out); /* one object: docs/cli.md lists the keys */
void weft_sweep_csv(const weft_sweep *sweep, weft_text *out);  /* with a header line; what is not known is empty */

/* Throughput over the size, and under it bubble and shares of the peak; self-contained and well-formed. */
void weft_sweep_svg(const weft_sweep *sweep, weft_text *out);

#endif
