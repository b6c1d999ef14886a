/* Data-parallel width and sharding, from flags. Threads: main's. */
#ifndef WEFT_CLI_SHARDING_H
#define WEFT_CLI_SHARDING_H

#include "cli/verb.h"
#include "program/program.h"

/* Rows of a verb's option table that weft_cli_sharding reads. */
#define WEFT_CLI_SHARDING_OPTIONS                                                                                      \
    {"data", "N", "data-parallel width (default 1)"},                                                                  \
        {"shard", "X", "what it divides: none, optimizer, gradients or weights (default none)"},                       \
        {"buffers", "N", "stages of a rank whose whole weights, or gradients with --reduce-early, fit (default 2)"},   \
    {                                                                                                                  \
        "reduce-early", NULL, "reduce gradients whenever their buffer is wanted, not once a step"                      \
    }

/* And one more, for verbs that have it. */
#define WEFT_CLI_TENSOR_OPTIONS                                                                                        \
    {                                                                                                                  \
        "tensor", "N", "tensor-parallel width: whose workers add up what they have of a stage's gradients (default 1)" \
    }

/* Fills data, tensor, shard and the buffers of lower. */
weft_status weft_cli_sharding(const weft_arguments *arguments, weft_lower_options *lower,
                              weft_error *error) WEFT_CHECKED;

#endif
