/*
 * Cells of a CSV text.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_CSV_H
#define WEFT_PLAN_CSV_H

#include <stdbool.h>
#include <stddef.h>

/* The next cell, quotes taken off, cut to size - 1 bytes; *at goes behind it. Returns whether the row goes on. */
bool weft_plan_csv_cell(const char **at, const char *end, char *out, size_t size);

#endif
