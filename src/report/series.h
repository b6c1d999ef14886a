/*
 * A curve of any number of points in a fixed amount of memory.
 *
 * Neighbouring values share a bucket; of a bucket the least and the most stay, so that no spike is lost. When all are
 * taken, neighbours are joined and each holds twice as many values.
 *
 * Owns: its buckets.  Lifetime: init to fini.  Threads: one owner.
 */
#ifndef WEFT_REPORT_SERIES_H
#define WEFT_REPORT_SERIES_H

#include "base/memory.h"

enum { WEFT_SERIES_BUCKETS = 1024, WEFT_SERIES_POINTS = 2 * WEFT_SERIES_BUCKETS };

typedef struct weft_series_point {
    int64_t step;
    double value;
} weft_series_point;

typedef struct weft_series_bucket {
    weft_series_point least, most;
} weft_series_bucket;

typedef struct weft_series {
    weft_series_bucket *buckets; /* (WEFT_SERIES_BUCKETS) of the smoothed values */
    int count;
    int64_t each, filled; /* values a bucket holds, and the last one */
    double smooth;        /* share of the mean before that a value keeps: 0 to less than 1 */
    double mean, weight;  /* of the values so far: weight makes up for a mean that began with 0 */
    int64_t values;
    weft_series_point first, last, least, most; /* as they came; undefined before the first */
} weft_series;

weft_status weft_series_init(weft_series *series, double smooth, weft_error *error) WEFT_CHECKED;
void weft_series_fini(weft_series *series);
void weft_series_clear(weft_series *series); /* as after init */
/* Steps ascend; value is finite. */
void weft_series_add(weft_series *series, int64_t step, double value);
/* What is left of the curve, steps ascending; returns how many. */
int weft_series_get(const weft_series *series, weft_series_point out[WEFT_SERIES_POINTS]);

#endif
