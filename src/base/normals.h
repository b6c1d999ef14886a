/*
 * Normal numbers a block at a time, for one instruction set each: normals.c is compiled once for each, and the choice
 * is made when the program runs. Internal to base/ and its tests.
 *
 * A block has the bits of weft_random_normal, which calls the C library's log and cos. Its own log and cos differ from
 * these by at most 2^-50 of the value, for each of the 2^32 arguments there are; the square root is exact to half a
 * unit and each product adds 2^-53, so that the number before it becomes an fp32 differs by less than 2^-48 of it.
 * Where twice as much would make another fp32 (one number in six million) weft_random_normal makes it instead.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_BASE_NORMALS_H
#define WEFT_BASE_NORMALS_H

#include "base/random.h"
#include "base/vectors.h"

enum { WEFT_NORMALS_BLOCK = 64 };

typedef struct weft_normals {
    const char *name; /* instruction set */
    /* Each of WEFT_NORMALS_BLOCK numbers, in place: its natural logarithm, 0 < u < 1; the cosine of 2 pi times it,
     * where that is rounded to a double first, 0 <= v < 1. */
    void (*logarithms)(double *u);
    void (*cosines)(double *v);
    /* out (WEFT_NORMALS_BLOCK): those of counter and on. */
    void (*block)(weft_random_key key, uint64_t counter, double deviation, float *out);
} weft_normals;

/* NULL where the processor does not run the set. */
const weft_normals *weft_normals_get(weft_vectors set);

#endif
