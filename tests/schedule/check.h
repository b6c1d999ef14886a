/* What the schedule tests share: building a schedule, and an executor that knows nothing but dependencies. */
#ifndef WEFT_TESTS_SCHEDULE_CHECK_H
#define WEFT_TESTS_SCHEDULE_CHECK_H

#include "schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Fails the test when the schedule is refused. */
weft_schedule *make(const char *kind, const char *placement, int32_t P, int32_t V, int32_t M, bool forward_only);

/* Fails the test unless every stage is on its rank and each (stage, micro-batch) has one F, and one B if any. */
void check_complete(const weft_schedule *schedule);

/* Time of the last action when each starts as soon as its rank is free and its inputs are there; -1 for a deadlock.
 * Forward and backward take these times divided by the rank's number of stages: equal ranks whatever the loops. */
double execute(const weft_schedule *schedule, double forward, double backward);

#endif
