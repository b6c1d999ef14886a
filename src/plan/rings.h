/*
 * Measured all-reduces in a node, from a CSV file.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_RINGS_H
#define WEFT_PLAN_RINGS_H

#include "plan/machine.h"

#include <stddef.h>

/* Columns gpus_in_ring, bytes, time_us_out_of_place; op (all_reduce counts) and gpu (the beginning of the kind's name)
 * where they are there; others are left out. Start and bus of each ring of 2, 4, 8, ... GPUs by least squares of the
 * relative error. WEFT_INVALID names source and row of what is no such table, and a table without such a ring. */
weft_status weft_plan_rings_read(const char *text, size_t length, const char *source, weft_plan_gpu *gpu,
                                 weft_error *error) WEFT_CHECKED;

#endif
