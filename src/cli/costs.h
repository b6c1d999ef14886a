/*
 * Costs for the simulator, from flags and from a file of the same names.
 *
 * Owns: what it read, until weft_cli_costs_fini, also after an error.  Threads: main's.
 */
#ifndef WEFT_CLI_COSTS_H
#define WEFT_CLI_COSTS_H

#include "cli/verb.h"
#include "schedule/schedule.h"
#include "simulate/simulate.h"

/* Rows of a verb's option table that weft_cli_costs_init reads. */
#define WEFT_CLI_COST_OPTIONS                                                                                          \
    {"forward", "X", "time of F, of one micro-batch in one stage; one number, or one a stage: 1,1,2,1"},               \
        {"backward-input", "X", "time of I"}, {"backward-weight", "X", "time of W"},                                   \
        {"backward", "X", "time of B, a whole backward pass (default: that of I and of W)"},                           \
        {"update", "X", "time of UPDATE of one stage; given, the step ends with NORM and UPDATE"},                     \
        {"overlap", "X", "time of an overlapped pair of F and B as one piece (default: its parts)"},                   \
        {"comm", "X", "time of one message on its lane, which the next one waits for (default 0)"},                    \
        {"latency", "X", "time from when a message has left its lane to when it is there (default 0)"},                \
        {"gather", "X", "time of one gather of a stage's weights (default 0)"},                                        \
        {"reduce", "X", "time of one reduction of a stage's gradients, or of the norm (default 0)"},                   \
    {                                                                                                                  \
        "costs", "FILE", "costs as YAML or JSON, by the names of the flags; flags win"                                 \
    }

/* And those that only tensor parallelism has. */
#define WEFT_CLI_TENSOR_COST_OPTIONS                                                                                   \
    {"exchange", "X", "time that exchanges between tensor-parallel workers add to F, to I and to W (default 0)"},      \
    {                                                                                                                  \
        "reduce-tensor", "X", "time of one sum of a stage's gradients over tensor-parallel workers (default 0)"        \
    }

typedef struct weft_cli_costs {
    weft_costs costs;
    bool has_update;
    weft_arena arena;
} weft_cli_costs;

/* Without any time of F, I, W and B, the first three are 1; else those that the schedule has must be given, and with
 * `split` those of I and W; B where there is no other way back in place of these. WEFT_INVALID in one line for what is
 * no number from 0 up, or is there for another number of stages. */
weft_status weft_cli_costs_init(weft_cli_costs *costs, const weft_arguments *arguments, const weft_schedule *schedule,
                                bool split, weft_error *error) WEFT_CHECKED;
void weft_cli_costs_fini(weft_cli_costs *costs);

#endif
