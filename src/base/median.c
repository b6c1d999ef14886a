#include "base/median.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double weft_median_low(double *values, size_t count)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, by_value);
    return values[(count - 1) / 2];
}

double weft_median(double *values, size_t count)
{
    double low = weft_median_low(values, count);
    return count ? (low + values[count / 2]) / 2 : 0;
}
