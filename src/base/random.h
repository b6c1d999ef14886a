/*
 * Counter-based random numbers: the same key and counter always give the same number, in any order, on any worker.
 * Source: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_BASE_RANDOM_H
#define WEFT_BASE_RANDOM_H

#include <stdint.h>

typedef struct weft_random_key {
    uint32_t word[2];
} weft_random_key;

/* A key for a named use of a seed, for example a parameter's name, or "shuffle". */
weft_random_key weft_random_key_make(uint64_t seed, const char *name);

uint64_t weft_random_bits(weft_random_key key, uint64_t counter);
double weft_random_uniform(weft_random_key key, uint64_t counter); /* in [0, 1), 53 bits */
double weft_random_normal(weft_random_key key, uint64_t counter);  /* mean 0, deviation 1, by Box and Muller */

/* out[i] = deviation x the normal number of counter + i, rounded to fp32: the same bits as one by one, an eighth to
 * a third of the time. */
void weft_random_normals(weft_random_key key, uint64_t counter, double deviation, int64_t count, float *out);

/* Bijection of 0 .. count-1 onto itself, keyed: the place that element index has in a shuffled order. count >= 1. */
uint64_t weft_random_permute(weft_random_key key, uint64_t index, uint64_t count);

#endif
