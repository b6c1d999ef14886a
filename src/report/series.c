#include "report/series.h"

weft_status weft_series_init(weft_series *series, double smooth, weft_error *error)
{
    *series = (weft_series){.smooth = smooth, .each = 1};
    return weft_allocate(WEFT_SERIES_BUCKETS, sizeof *series->buckets, &series->buckets, error);
}

void weft_series_fini(weft_series *series)
{
    weft_free(series->buckets);
    series->buckets = NULL;
}

void weft_series_clear(weft_series *series)
{
    *series = (weft_series){.smooth = series->smooth, .each = 1, .buckets = series->buckets};
}

/* Of equal values the first stays. */
static void join(weft_series_bucket *bucket, const weft_series_bucket *later)
{
    if (later->least.value < bucket->least.value) bucket->least = later->least;
    if (later->most.value > bucket->most.value) bucket->most = later->most;
}

static void halve(weft_series *series)
{
    for (int i = 0; i < WEFT_SERIES_BUCKETS; i += 2) {
        weft_series_bucket both = series->buckets[i];
        join(&both, &series->buckets[i + 1]);
        series->buckets[i / 2] = both;
    }
    series->count = WEFT_SERIES_BUCKETS / 2;
    series->each *= 2;
    series->filled = series->each;
}

static void keep(weft_series *series, weft_series_point point)
{
    const weft_series_bucket one = {point, point};
    if (series->count > 0 && series->filled < series->each) {
        join(&series->buckets[series->count - 1], &one);
        series->filled++;
        return;
    }
    if (series->count == WEFT_SERIES_BUCKETS) halve(series);
    series->buckets[series->count++] = one;
    series->filled = 1;
}

void weft_series_add(weft_series *series, int64_t step, double value)
{
    const weft_series_point point = {step, value};
    if (series->values++ == 0) series->first = series->least = series->most = point;
    series->last = point;
    if (value < series->least.value) series->least = point;
    if (value > series->most.value) series->most = point;
    series->mean = series->smooth * series->mean + (1 - series->smooth) * value;
    series->weight = series->smooth * series->weight + (1 - series->smooth);
    keep(series, (weft_series_point){step, series->smooth > 0 ? series->mean / series->weight : value});
}

int weft_series_get(const weft_series *series, weft_series_point out[WEFT_SERIES_POINTS])
{
    int count = 0;
    for (int i = 0; i < series->count; i++) {
        const weft_series_bucket *bucket = &series->buckets[i];
        bool falls = bucket->most.step < bucket->least.step;
        out[count++] = falls ? bucket->most : bucket->least;
        if (bucket->most.step != bucket->least.step) out[count++] = falls ? bucket->least : bucket->most;
    }
    return count;
}
