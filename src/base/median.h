/*
 * The middle of measured numbers.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_BASE_MEDIAN_H
#define WEFT_BASE_MEDIAN_H

#include <stddef.h>

/* Sorts in place. Of an even count the mean of the two in the middle; 0 of none. No value is NaN. */
double weft_median(double *values, size_t count);

/* The same, but of an even count the less of the two. */
double weft_median_low(double *values, size_t count);

#endif
