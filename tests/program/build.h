/* What the tests of programs build: random schedules, sizes, options; small random numbers from a seed. */
#ifndef WEFT_TESTS_PROGRAM_BUILD_H
#define WEFT_TESTS_PROGRAM_BUILD_H

#include "program/program.h"

typedef struct dice {
    uint64_t state;
} dice;

uint32_t dice_roll(dice *d, uint32_t sides); /* 0 .. sides - 1 */

/* A schedule of one of the kinds, small; never fails for what it picks. */
weft_schedule *build_kind(dice *d);

/* Any placement and any order that can be executed, whole or split backward passes, sometimes forward only. */
weft_schedule *build_random(dice *d);

/* A copy with the messages written out as a file would have them. */
weft_schedule *build_with_messages(const weft_schedule *schedule);

typedef struct stage_sizes {
    size_t input[64], stash[64], work[64];
    double cost[64];
    weft_slot_sizes view;
} stage_sizes;

void build_sizes(dice *d, int32_t stages, stage_sizes *out);
weft_lower_options build_options(dice *d, const stage_sizes *sizes); /* sometimes without sizes or costs */

#endif
