#include "check.h"

#include <stdlib.h>
#include <string.h>

weft_schedule *make(const char *kind, const char *placement, int32_t P, int32_t V, int32_t M, bool forward_only)
{
    weft_schedule_options options = {kind, P, V, M, placement};
    weft_schedule *schedule = NULL, *forward = NULL;
    weft_error error;
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK)
        fail_msg("%s, P = %d, V = %d, M = %d: %s", kind, P, V, M, error.text);
    if (!forward_only) return schedule;
    if (weft_schedule_forward(schedule, &forward, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    weft_schedule_destroy(schedule);
    return forward;
}

static size_t place(const weft_schedule *schedule, bool backward, size_t stage, size_t microbatch)
{
    return ((size_t)backward * (size_t)schedule->stages + stage) * (size_t)schedule->microbatches + microbatch;
}

static size_t places(const weft_schedule *schedule)
{
    return 2 * (size_t)schedule->stages * (size_t)schedule->microbatches;
}

void check_complete(const weft_schedule *schedule)
{
    unsigned char *seen = calloc(places(schedule), 1);
    assert_non_null(seen);
    for (int32_t rank = 0; rank < schedule->ranks; rank++)
        for (size_t i = schedule->first[rank]; i < schedule->first[rank + 1]; i++) {
            weft_action action = schedule->actions[i];
            assert_true(action.kind == WEFT_F || (action.kind == WEFT_B && !schedule->forward_only));
            assert_true((int32_t)action.stage < schedule->stages);
            assert_true((int32_t)action.microbatch < schedule->microbatches);
            assert_int_equal(schedule->stage_rank[action.stage], rank);
            seen[place(schedule, action.kind == WEFT_B, action.stage, action.microbatch)]++;
        }
    for (size_t i = 0; i < places(schedule); i++)
        assert_int_equal(seen[i], schedule->forward_only && i >= places(schedule) / 2 ? 0 : 1);
    free(seen);
}

/* When the inputs of an action are there, or -1 when they are not yet made. */
static double ready(const weft_schedule *schedule, const double *done, weft_action action)
{
    size_t s = action.stage, m = action.microbatch;
    if (action.kind == WEFT_F) return s ? done[place(schedule, false, s - 1, m)] : 0;
    double own = done[place(schedule, false, s, m)];
    if ((int32_t)s + 1 == schedule->stages || own < 0) return own;
    double above = done[place(schedule, true, s + 1, m)];
    return above < 0 || above > own ? above : own;
}

/* Runs what one rank can run now; returns how many actions that were. */
static size_t advance(const weft_schedule *schedule, int32_t rank, const double seconds[2], size_t *next, double *clock,
                      double *done)
{
    size_t ran = 0;
    for (; *next < schedule->first[rank + 1]; (*next)++, ran++) {
        weft_action action = schedule->actions[*next];
        double begin = ready(schedule, done, action);
        if (begin < 0) break;
        bool backward = action.kind == WEFT_B;
        *clock = (begin > *clock ? begin : *clock) + seconds[backward];
        done[place(schedule, backward, action.stage, action.microbatch)] = *clock;
    }
    return ran;
}

double execute(const weft_schedule *schedule, double forward, double backward)
{
    double seconds[2] = {forward / schedule->loops, backward / schedule->loops}, last = 0;
    size_t P = (size_t)schedule->ranks, left = schedule->first[P], ran = 1;
    double *done = malloc(places(schedule) * sizeof *done), *clock = calloc(P, sizeof *clock);
    size_t *next = malloc(P * sizeof *next);
    assert_true(done && clock && next);
    for (size_t i = 0; i < places(schedule); i++) done[i] = -1;
    memcpy(next, schedule->first, P * sizeof *next);
    for (; left && ran; left -= ran) {
        ran = 0;
        for (size_t rank = 0; rank < P; rank++)
            ran += advance(schedule, (int32_t)rank, seconds, &next[rank], &clock[rank], done);
    }
    for (size_t rank = 0; rank < P; rank++) last = clock[rank] > last ? clock[rank] : last;
    free(done);
    free(clock);
    free(next);
    return left ? -1 : last;
}
