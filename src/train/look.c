#include "train/look.h"

#include "base/clock.h"

static const double shortest = 20e-6, longest = 500e-6;

double weft_look_next(weft_look *look, int64_t due)
{
    double left = due < INT64_MAX ? (double)(due - weft_clock_nanoseconds()) * 1e-9 : 0;
    if (left > 0) return left;
    double seconds = look->seconds > shortest ? look->seconds : shortest;
    look->seconds = 2 * seconds < longest ? 2 * seconds : longest;
    return seconds;
}
