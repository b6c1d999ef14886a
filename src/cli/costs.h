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

/* Every cost: COST(key, name, help), name being that of its flag and of its key in a file. */
#define WEFT_CLI_PASS_COSTS(COST)                                                                                      \
    COST(FORWARD, "forward", "time of F, of one micro-batch in one stage; one number, or one a stage: 1,1,2,1")        \
    COST(BACKWARD_INPUT, "backward-input", "time of I")                                                                \
    COST(BACKWARD_WEIGHT, "backward-weight", "time of W")                                                              \
    COST(BACKWARD, "backward", "time of B, a whole backward pass (default: that of I and of W)")
#define WEFT_CLI_STEP_COSTS(COST)                                                                                      \
    COST(UPDATE, "update", "time of UPDATE of one stage; given, the step ends with NORM and UPDATE")                   \
    COST(OVERLAP, "overlap", "time of an overlapped pair of F and B as one piece (default: its parts)")
#define WEFT_CLI_MESSAGE_COSTS(COST)                                                                                   \
    COST(COMM, "comm", "time of one message on its lane, which the next one waits for (default 0)")                    \
    COST(LATENCY, "latency", "time from when a message has left its lane to when it is there (default 0)")
#define WEFT_CLI_COLLECTIVE_COSTS(COST)                                                                                \
    COST(GATHER, "gather", "time of one gather of a stage's weights (default 0)")                                      \
    COST(REDUCE, "reduce", "time of one reduction of a stage's gradients, or of the norm (default 0)")

#define WEFT_CLI_TENSOR_COSTS(COST)                                                                                    \
    COST(EXCHANGE, "exchange",                                                                                         \
         "time that exchanges between tensor-parallel workers add to F, to I and to W (default 0)")                    \
    COST(REDUCE_TENSOR, "reduce-tensor",                                                                               \
         "time of one sum of a stage's gradients over tensor-parallel workers (default 0)")

#define WEFT_CLI_COST_OPTION(key, name, help) {name, "X", help},
#define WEFT_CLI_COSTS_OPTION                                                                                          \
    {                                                                                                                  \
        "costs", "FILE", "costs as YAML or JSON, by the names of the flags; flags win"                                 \
    }
/* Rows of a verb's option table that weft_cli_costs_init reads: all, and those that make an order of passes. */
#define WEFT_CLI_COST_OPTIONS                                                                                          \
    WEFT_CLI_PASS_COSTS(WEFT_CLI_COST_OPTION)                                                                          \
    WEFT_CLI_STEP_COSTS(WEFT_CLI_COST_OPTION)                                                                          \
    WEFT_CLI_MESSAGE_COSTS(WEFT_CLI_COST_OPTION)                                                                       \
    WEFT_CLI_COLLECTIVE_COSTS(WEFT_CLI_COST_OPTION) WEFT_CLI_COSTS_OPTION
#define WEFT_CLI_ORDER_COST_OPTIONS                                                                                    \
    WEFT_CLI_PASS_COSTS(WEFT_CLI_COST_OPTION)                                                                          \
    WEFT_CLI_MESSAGE_COSTS(WEFT_CLI_COST_OPTION)                                                                       \
    WEFT_CLI_COSTS_OPTION

/* And those that only tensor parallelism has. */
#define WEFT_CLI_TENSOR_COST_OPTIONS WEFT_CLI_TENSOR_COSTS(WEFT_CLI_COST_OPTION)

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
