/*
 * Reading a schedule file: its cells first (csv_read.c), then what only the whole file can tell (csv_check.c).
 *
 * Internal to this layer.  Owns: a reader owns its arrays until weft_schedule_read_csv frees them.  Threads: one.
 */
#ifndef WEFT_SCHEDULE_CSV_H
#define WEFT_SCHEDULE_CSV_H

#include "schedule/schedule.h"

/* An action and the cell it came from; row and column count from 1. */
typedef struct weft_csv_action {
    weft_action action;
    uint32_t row;
    size_t column;
} weft_csv_action;

typedef struct weft_csv_reader {
    const char *source;
    weft_csv_dialect dialect;
    weft_error *error;
    weft_csv_action *actions;
    size_t count, capacity;
    size_t *first; /* (rows) */
    size_t rows, first_capacity;
    size_t row, column;             /* of the cell being read */
    size_t blank_row, blank_column; /* the first blank cell; 0: none */
    bool has_messages;
    uint32_t stages, microbatches; /* the highest seen, and one */
} weft_csv_reader;

/* Reads every cell. WEFT_INVALID names source, row, column and token of the first cell that is wrong. */
weft_status weft_csv_read_rows(weft_csv_reader *reader, const char *bytes, size_t length) WEFT_CHECKED;

#endif
