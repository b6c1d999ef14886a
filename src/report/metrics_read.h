/*
 * Reading what metrics.c writes: lines of metrics.jsonl, one at a time, without memory of their own.
 *
 * Threads: any.
 */
#ifndef WEFT_REPORT_METRICS_READ_H
#define WEFT_REPORT_METRICS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum weft_metrics_key {
    WEFT_METRICS_LOSS,
    WEFT_METRICS_GRADIENT_NORM,
    WEFT_METRICS_LEARNING_RATE,
    WEFT_METRICS_TOKENS_PER_SECOND,
    WEFT_METRICS_BITS_PER_BYTE,
    WEFT_METRICS_CROSS_ENTROPY,
    WEFT_METRICS_LOSS_BY_SOURCE, /* of each source one: weft_metrics_source_next */
    WEFT_METRICS_KEYS
} weft_metrics_key;

typedef struct weft_metrics_line {
    int64_t step; /* 1 or more */
    bool evaluation;
    double values[WEFT_METRICS_KEYS];  /* NAN: null, or not in the line */
    const char *sources, *sources_end; /* within the line, what is between the brackets of loss_by_source; or NULL */
} weft_metrics_line;

/* The words of the keys, as lines have them; static. */
const char *weft_metrics_key_name(weft_metrics_key key);

/* Whether the line, whose end is not part of it, is a whole JSON object with a step; other members may be anything. The
 * byte behind it can be read and is none of a number. */
bool weft_metrics_line_read(const char *line, size_t length, weft_metrics_line *out);

/* A source of loss_by_source. */
typedef struct weft_metrics_source {
    const char *name; /* within the line, between its quotes, with escapes as they stand there */
    size_t length;
    double value; /* NAN: null */
    const char *end;
} weft_metrics_source;

/* The next one of a line whose text is still there; begins with zeros. false: there is none any more. */
bool weft_metrics_source_next(const weft_metrics_line *line, weft_metrics_source *source);

#endif
