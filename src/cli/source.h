/* Schedules named on the command line: KIND with its sizes, or FILE.csv. Threads: main's. */
#ifndef WEFT_CLI_SOURCE_H
#define WEFT_CLI_SOURCE_H

#include "cli/verb.h"
#include "schedule/schedule.h"

/* Rows of a verb's option table that weft_cli_schedule reads. */
#define WEFT_CLI_SCHEDULE_OPTIONS                                                                                      \
    {"pipeline", "P", "pipeline ranks"}, {"loops", "V", "stages of each rank (default: the kind's own, mostly 1)"},    \
        {"microbatches", "M", "micro-batches of a step"},                                                              \
        {"placement", "X", "which rank holds each stage: linear, loop, v, or a list such as 0,1,1,0"},                 \
        {"group", "K", "hybrid: micro-batches of a group, P to M (default: half of M, or P)"},                         \
    {                                                                                                                  \
        "dialect", "2024", "of a file in which B is the gradient of the input only, BW the full backward pass"         \
    }

/* The schedule of the verb's first operand. A kind needs --pipeline and --microbatches; with a file they may be left
 * out, and must agree with it where they are given. WEFT_INVALID for a kind of more than most_actions; 0: no limit. */
weft_status weft_cli_schedule(const weft_arguments *arguments, int64_t most_actions, weft_schedule **out,
                              weft_error *error) WEFT_CHECKED;

/* Lists the kinds for --help. */
void weft_cli_schedule_kinds(weft_text *out);

#endif
