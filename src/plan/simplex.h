/*
 * The least value of a function of a few numbers, without its slopes.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_SIMPLEX_H
#define WEFT_PLAN_SIMPLEX_H

enum { WEFT_PLAN_SIMPLEX_MOST = 8 };

typedef double weft_plan_loss(const void *context, const double *point);

/* From 0, with first steps (count) long; count is at most WEFT_PLAN_SIMPLEX_MOST. Writes the point (count), returns its
 * value. Deterministic. */
double weft_plan_descend(weft_plan_loss *loss, const void *context, int count, const double *steps, double *out);

#endif
