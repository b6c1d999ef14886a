/*
 * Holds a bound program to the program it was made of: every action is there once and in its place, what instructions
 * wait for is enough, and nothing of it follows from the rest. Reads arrays only, and knows nothing of how they are
 * made.
 */
#ifndef TESTS_TRAIN_BOUND_CHECK_H
#define TESTS_TRAIN_BOUND_CHECK_H

#include "train/instruction.h"

/* without: a wait (place in bound->waits) that is left out; UINT32_MAX: none. Both return false with the reason. */
bool bound_is_whole(const weft_bound *bound, int32_t rank, char *why, size_t size);
bool bound_waits_enough(const weft_bound *bound, uint32_t without, char *why, size_t size);

#endif
