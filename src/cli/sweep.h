/*
 * The sizes of a sweep over micro-batches: the list of the command line, checked, and a job for each.
 *
 * Owns: jobs, configurations and rows, from init to fini.  Threads: main's.
 */
#ifndef WEFT_CLI_SWEEP_H
#define WEFT_CLI_SWEEP_H

#include "report/sweep.h"
#include "train/train.h"

typedef struct weft_cli_sizes {
    weft_config *configs; /* (count) of the file, with another micro-batch size and count; share its strings */
    weft_job **jobs;      /* (count) */
    weft_sweep_row *rows; /* (count) by ascending size; those that cannot fit say why */
    int count;
    weft_arena arena;
} weft_cli_sizes;

/* list: "1,2,4,8". WEFT_INVALID in one line for what is no list of sizes, for sizes that do not divide the batch (which
 * would), and for those of which no job can be made. What does not fit in memory is no error: its row says so. */
weft_status weft_cli_sizes_init(weft_cli_sizes *sizes, const weft_config *config, const char *list,
                                weft_error *error) WEFT_CHECKED;
void weft_cli_sizes_fini(weft_cli_sizes *sizes);

#endif
