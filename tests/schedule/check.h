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

/* A kind with groups of a size of its own. */
weft_schedule *make_groups(const char *kind, int32_t P, int32_t V, int32_t M, int32_t group);

/* Fails the test unless every stage is on its rank and each (stage, micro-batch) has one F and, if there is a way
 * back, one B, or one I and one W behind it. */
void check_complete(const weft_schedule *schedule);

/* Seconds of a micro-batch on a rank, divided by the rank's number of stages: equal ranks whatever the loops. */
typedef struct seconds {
    double forward, input, weight;
} seconds;

/* Each action starts as soon as its rank is free and its inputs are there; false for a deadlock. */
typedef struct duration {
    double step; /* until the last action ends */
    double span; /* a rank's time from its first start to its last end, the largest over ranks */
} duration;
bool execute(const weft_schedule *schedule, seconds cost, duration *out);

/* The same with each overlapped pair as one piece: it begins when both inputs are there, and both results are there
 * when it ends. */
bool execute_pairs(const weft_schedule *schedule, seconds cost, duration *out);

/* Most micro-batches that the stages of a rank hold between F and the end of B or W. */
int32_t most_held(const weft_schedule *schedule, int32_t rank);

#endif
