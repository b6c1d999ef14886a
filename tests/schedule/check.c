#include "check.h"

#include <stdlib.h>
#include <string.h>

weft_schedule *make(const char *kind, const char *placement, int32_t P, int32_t V, int32_t M, bool forward_only)
{
    weft_schedule_options options = {.kind = kind, .ranks = P, .loops = V, .microbatches = M, .placement = placement};
    weft_schedule *schedule = NULL, *forward = NULL;
    weft_error error;
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK)
        fail_msg("%s, P = %d, V = %d, M = %d: %s", kind, P, V, M, error.text);
    if (!forward_only) return schedule;
    if (weft_schedule_forward(schedule, &forward, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    weft_schedule_destroy(schedule);
    return forward;
}

weft_schedule *make_groups(const char *kind, int32_t P, int32_t V, int32_t M, int32_t group)
{
    weft_schedule_options options = {.kind = kind, .ranks = P, .loops = V, .microbatches = M, .group = group};
    weft_schedule *schedule = NULL;
    weft_error error;
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK)
        fail_msg("%s, P = %d, V = %d, M = %d, K = %d: %s", kind, P, V, M, group, error.text);
    return schedule;
}

/* What an action makes: the output of a stage, the gradient of its input, the gradient of its weights. */
enum { OUTPUT, INPUT, WEIGHT, PRODUCTS };

static size_t place(const weft_schedule *schedule, int product, size_t stage, size_t microbatch)
{
    return ((size_t)product * (size_t)schedule->stages + stage) * (size_t)schedule->microbatches + microbatch;
}

static size_t places(const weft_schedule *schedule)
{
    return PRODUCTS * (size_t)schedule->stages * (size_t)schedule->microbatches;
}

static void see(unsigned char *seen)
{
    assert_int_equal(*seen, 0);
    *seen = 1;
}

static void see_action(const weft_schedule *schedule, weft_action action, unsigned char *seen)
{
    size_t s = action.stage, m = action.microbatch;
    switch (action.kind) {
    case WEFT_F:
        see(&seen[place(schedule, OUTPUT, s, m)]);
        break;
    case WEFT_B:
        see(&seen[place(schedule, INPUT, s, m)]);
        see(&seen[place(schedule, WEIGHT, s, m)]);
        break;
    case WEFT_I:
        see(&seen[place(schedule, INPUT, s, m)]);
        break;
    case WEFT_W:
        assert_int_equal(seen[place(schedule, INPUT, s, m)], 1);
        see(&seen[place(schedule, WEIGHT, s, m)]);
        break;
    default:
        fail_msg("an action of kind %d", (int)action.kind);
    }
}

void check_complete(const weft_schedule *schedule)
{
    unsigned char *seen = calloc(places(schedule), 1);
    assert_non_null(seen);
    for (int32_t rank = 0; rank < schedule->ranks; rank++)
        for (size_t i = schedule->first[rank]; i < schedule->first[rank + 1]; i++) {
            weft_action action = schedule->actions[i];
            assert_true((int32_t)action.stage < schedule->stages);
            assert_true((int32_t)action.microbatch < schedule->microbatches);
            assert_int_equal(schedule->stage_rank[action.stage], rank);
            see_action(schedule, action, seen);
        }
    for (size_t i = 0; i < places(schedule); i++)
        assert_int_equal(seen[i], !schedule->forward_only || i < places(schedule) / PRODUCTS);
    free(seen);
}

/* When the inputs of an action are there, or -1 when they are not yet made. */
static double ready(const weft_schedule *schedule, const double *done, weft_action action)
{
    size_t s = action.stage, m = action.microbatch;
    if (action.kind == WEFT_F) return s ? done[place(schedule, OUTPUT, s - 1, m)] : 0;
    if (action.kind == WEFT_W) return done[place(schedule, INPUT, s, m)];
    double own = done[place(schedule, OUTPUT, s, m)];
    if ((int32_t)s + 1 == schedule->stages || own < 0) return own;
    double above = done[place(schedule, INPUT, s + 1, m)];
    return above < 0 || above > own ? above : own;
}

/* Runs what one rank can run now; returns how many actions that were. */
static size_t advance(const weft_schedule *schedule, int32_t rank, const double *cost, size_t *next, double *clock,
                      double *first, double *done)
{
    static const int product[] = {[WEFT_F] = OUTPUT, [WEFT_B] = INPUT, [WEFT_I] = INPUT, [WEFT_W] = WEIGHT};
    size_t ran = 0;
    for (; *next < schedule->first[rank + 1]; (*next)++, ran++) {
        weft_action action = schedule->actions[*next];
        double begin = ready(schedule, done, action);
        if (begin < 0) break;
        if (begin < *clock) begin = *clock;
        if (*next == schedule->first[rank]) *first = begin;
        *clock = begin + cost[action.kind];
        done[place(schedule, product[action.kind], action.stage, action.microbatch)] = *clock;
    }
    return ran;
}

bool execute(const weft_schedule *schedule, seconds cost, duration *out)
{
    double V = schedule->loops;
    double costs[] = {[WEFT_F] = cost.forward / V,
                      [WEFT_B] = (cost.input + cost.weight) / V,
                      [WEFT_I] = cost.input / V,
                      [WEFT_W] = cost.weight / V};
    size_t P = (size_t)schedule->ranks, left = schedule->first[P], ran = 1;
    double *done = malloc(places(schedule) * sizeof *done), *clock = calloc(2 * P, sizeof *clock), *first = clock + P;
    size_t *next = malloc(P * sizeof *next);
    assert_true(done && clock && next);
    for (size_t i = 0; i < places(schedule); i++) done[i] = -1;
    memcpy(next, schedule->first, P * sizeof *next);
    for (; left && ran; left -= ran) {
        ran = 0;
        for (size_t rank = 0; rank < P; rank++)
            ran += advance(schedule, (int32_t)rank, costs, &next[rank], &clock[rank], &first[rank], done);
    }
    *out = (duration){0};
    for (size_t rank = 0; rank < P; rank++) {
        if (clock[rank] > out->step) out->step = clock[rank];
        if (clock[rank] - first[rank] > out->span) out->span = clock[rank] - first[rank];
    }
    free(done);
    free(clock);
    free(next);
    return left == 0;
}

int32_t most_held(const weft_schedule *schedule, int32_t rank)
{
    int32_t held = 0, most = 0;
    for (size_t i = schedule->first[rank]; i < schedule->first[rank + 1]; i++) {
        unsigned kind = schedule->actions[i].kind;
        held += kind == WEFT_F ? 1 : kind == WEFT_I ? 0 : -1;
        most = held > most ? held : most;
    }
    return most;
}
