/* Numbers for random cases of tests: from one seed the same ones on every machine. */
#ifndef WEFT_TESTS_DRAW_H
#define WEFT_TESTS_DRAW_H

#include <stdint.h>

/* The next of a seed, from 0 to below - 1. */
static inline uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

#endif
