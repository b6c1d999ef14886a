/* Counts the basic blocks that run: gcc and clang call this at each one of code built with
 * -fsanitize-coverage=trace-pc. This file itself is built without. */
#include "count_blocks.h"

static uint64_t blocks;

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void)
{
    blocks++;
}

uint64_t count_blocks(void)
{
    return blocks;
}
