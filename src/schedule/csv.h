/*
 * Reading a schedule file: its cells first (csv_read.c), then what only the whole file can tell (csv_check.c), then the
 * places of its reductions and waits (csv_waits.c).
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

/* WAIT_SEND_F, WAIT_SEND_B and WAIT_REDUCE_GRAD are no actions: cell.action is what they end. */
typedef struct weft_csv_wait {
    weft_csv_action cell;
    size_t before; /* the number of actions in front of it */
} weft_csv_wait;

typedef struct weft_csv_reader {
    const char *source;
    weft_csv_dialect dialect;
    weft_error *error;
    weft_csv_action *actions;
    size_t count, capacity;
    weft_csv_wait *waits;
    size_t wait_count, wait_capacity;
    size_t *first; /* (rows) */
    size_t rows, first_capacity;
    size_t row, column;             /* of the cell being read */
    size_t blank_row, blank_column; /* the first blank cell; 0: none */
    bool has_messages;              /* or UNSHARD or RESHARD: executed as written */
    uint32_t stages, microbatches;  /* the highest seen, and one */
} weft_csv_reader;

/* Reads every cell. WEFT_INVALID names source, row, column and token of the first cell that is wrong. */
weft_status weft_csv_read_rows(weft_csv_reader *reader, const char *bytes, size_t length) WEFT_CHECKED;

/* An action as the file has it. */
void weft_csv_print_cell(const weft_csv_reader *reader, weft_action action, weft_text *out);
/* WEFT_INVALID with source, row, column and cell, and what is wrong with it. */
weft_status weft_csv_reject(const weft_csv_reader *reader, const weft_csv_action *place, const char *why) WEFT_CHECKED;
weft_status weft_csv_reject_wait(const weft_csv_reader *reader, const weft_csv_wait *wait,
                                 const char *why) WEFT_CHECKED;

/* Every reduction comes once, behind the last gradient of its stage; in a file with waits every SEND and REDUCE_GRAD
 * has one, behind it in its row, no rank has two reductions pending, and no rank waits for ever when each row is one
 * list. schedule: as the file has it, REDUCE_GRAD too. */
weft_status weft_csv_check_waits(const weft_csv_reader *reader, const weft_schedule *schedule) WEFT_CHECKED;

#endif
