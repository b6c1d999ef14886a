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

static bool is_pair(const weft_schedule *schedule, int32_t rank, size_t i)
{
    return i + 1 < schedule->first[rank + 1] && schedule->actions[i + 1].paired;
}

typedef struct execution {
    const weft_schedule *schedule;
    double cost[WEFT_W + 1]; /* of an action of a kind */
    bool pairs;
    double *done, *clock, *first;
    size_t *next;
} execution;

/* Runs what one rank can run now; returns how many actions that were. */
static size_t advance(execution *e, int32_t rank)
{
    static const int product[] = {[WEFT_F] = OUTPUT, [WEFT_B] = INPUT, [WEFT_I] = INPUT, [WEFT_W] = WEIGHT};
    const weft_schedule *schedule = e->schedule;
    size_t ran = 0, count = 1;
    for (size_t *next = &e->next[rank]; *next < schedule->first[rank + 1]; *next += count, ran += count) {
        count = e->pairs && is_pair(schedule, rank, *next) ? 2 : 1;
        const weft_action *actions = &schedule->actions[*next];
        double begin = e->clock[rank], end = 0;
        for (size_t i = 0; i < count; i++) {
            double inputs = ready(schedule, e->done, actions[i]);
            if (inputs < 0) return ran;
            begin = inputs > begin ? inputs : begin;
            end += e->cost[actions[i].kind];
        }
        if (*next == schedule->first[rank]) e->first[rank] = begin;
        e->clock[rank] = begin + end;
        for (size_t i = 0; i < count; i++)
            e->done[place(schedule, product[actions[i].kind], actions[i].stage, actions[i].microbatch)] = begin + end;
    }
    return ran;
}

static bool run(const weft_schedule *schedule, seconds cost, bool pairs, duration *out)
{
    double V = schedule->loops;
    size_t P = (size_t)schedule->ranks, left = schedule->first[P], ran = 1;
    execution e = {.schedule = schedule,
                   .cost = {[WEFT_F] = cost.forward / V,
                            [WEFT_B] = (cost.input + cost.weight) / V,
                            [WEFT_I] = cost.input / V,
                            [WEFT_W] = cost.weight / V},
                   .pairs = pairs,
                   .done = malloc(places(schedule) * sizeof *e.done),
                   .clock = calloc(P, sizeof *e.clock),
                   .first = calloc(P, sizeof *e.first),
                   .next = malloc(P * sizeof *e.next)};
    assert_true(e.done && e.clock && e.first && e.next);
    for (size_t i = 0; i < places(schedule); i++) e.done[i] = -1;
    memcpy(e.next, schedule->first, P * sizeof *e.next);
    for (; left && ran; left -= ran) {
        ran = 0;
        for (size_t rank = 0; rank < P; rank++) ran += advance(&e, (int32_t)rank);
    }
    *out = (duration){0};
    for (size_t rank = 0; rank < P; rank++) {
        if (e.clock[rank] > out->step) out->step = e.clock[rank];
        if (e.clock[rank] - e.first[rank] > out->span) out->span = e.clock[rank] - e.first[rank];
    }
    free(e.done);
    free(e.clock);
    free(e.first);
    free(e.next);
    return left == 0;
}

bool execute(const weft_schedule *schedule, seconds cost, duration *out)
{
    return run(schedule, cost, false, out);
}

bool execute_pairs(const weft_schedule *schedule, seconds cost, duration *out)
{
    return run(schedule, cost, true, out);
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
