#include "data/blend.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

/* Places from which to go on: workers read side by side, each its own part of every batch. */
enum { CURSORS = 64 };

static const int64_t whole = INT64_C(1) << 52; /* all shares together */

/* So many sequences are assigned. lag: of each source, how far it is behind its share, in 1/whole of a sequence. */
typedef struct {
    uint64_t assigned, used; /* used: when it was last gone on from */
    int64_t *lag;            /* (count) */
    uint64_t *taken;         /* (count) sequences of each source among them */
} cursor;

struct weft_blend {
    int32_t count;
    int64_t *shares; /* (count) of whole */
    cursor cursors[CURSORS];
    uint64_t clock;
    pthread_mutex_t lock; /* of cursors */
};

static weft_status check_weights(const double *weights, int32_t count, double *out_sum, weft_error *error)
{
    *out_sum = 0;
    if (count < 1 || count > WEFT_BLEND_SOURCES)
        FAIL(error, WEFT_INVALID, "a blend has 1 to %d sources, not %d", WEFT_BLEND_SOURCES, count);
    for (int32_t i = 0; i < count; i++) {
        if (!(weights[i] >= 0) || isinf(weights[i]))
            FAIL(error, WEFT_INVALID, "the weight of source %d is %g: weights are numbers from 0 on", i + 1,
                 weights[i]);
        *out_sum += weights[i];
    }
    if (!(*out_sum > 0) || isinf(*out_sum))
        FAIL(error, WEFT_INVALID, "the weights of all sources add up to %g", *out_sum);
    return WEFT_OK;
}

/* Rounded down; what is left goes to the heaviest. */
static void set_shares(weft_blend *blend, const double *weights, double sum)
{
    int64_t left = whole;
    int32_t heaviest = 0;
    for (int32_t i = 0; i < blend->count; i++) {
        blend->shares[i] = (int64_t)(weights[i] / sum * (double)whole);
        left -= blend->shares[i];
        if (weights[i] > weights[heaviest]) heaviest = i;
    }
    blend->shares[heaviest] += left;
}

static weft_status allocate(weft_blend *blend, weft_error *error)
{
    size_t count = (size_t)blend->count;
    TRY(weft_allocate(count, sizeof *blend->shares, &blend->shares, error));
    for (int i = 0; i < CURSORS; i++) {
        TRY(weft_allocate(count, sizeof *blend->cursors[i].lag, &blend->cursors[i].lag, error));
        TRY(weft_allocate(count, sizeof *blend->cursors[i].taken, &blend->cursors[i].taken, error));
    }
    return WEFT_OK;
}

weft_status weft_blend_create(const double *weights, int32_t count, weft_blend **out, weft_error *error)
{
    double sum = 0;
    weft_blend *blend = NULL;
    *out = NULL;
    TRY(check_weights(weights, count, &sum, error));
    TRY(weft_allocate(1, sizeof *blend, &blend, error));
    blend->count = count;
    pthread_mutex_init(&blend->lock, NULL);
    weft_status status = allocate(blend, error);
    if (status != WEFT_OK) {
        weft_blend_destroy(blend);
        return status;
    }
    set_shares(blend, weights, sum);
    *out = blend;
    return WEFT_OK;
}

void weft_blend_destroy(weft_blend *blend)
{
    if (!blend) return;
    for (int i = 0; i < CURSORS; i++) {
        weft_free(blend->cursors[i].lag);
        weft_free(blend->cursors[i].taken);
    }
    pthread_mutex_destroy(&blend->lock);
    weft_free(blend->shares);
    weft_free(blend);
}

/* Of the sources that would not be ahead of their shares, that which would soonest be too far behind. */
static int32_t choose(const weft_blend *blend, const cursor *at)
{
    int64_t slack = blend->count > 1 ? whole / (2 * blend->count - 2) : 0;
    int32_t chosen = -1;
    double soonest = INFINITY;
    for (int32_t i = 0; i < blend->count; i++) {
        if (blend->shares[i] == 0 || at->lag[i] < slack) continue;
        double left = (double)(whole - slack - at->lag[i]) / (double)blend->shares[i];
        if (left >= soonest) continue;
        soonest = left;
        chosen = i;
    }
    for (int32_t i = 0; i < blend->count && chosen < 0; i++) /* with one source there is no slack to have */
        if (blend->shares[i] > 0) chosen = i;
    return chosen;
}

static int32_t assign(const weft_blend *blend, cursor *at)
{
    for (int32_t i = 0; i < blend->count; i++) at->lag[i] += blend->shares[i];
    int32_t chosen = choose(blend, at);
    at->lag[chosen] -= whole;
    at->taken[chosen]++;
    at->assigned++;
    return chosen;
}

static cursor *latest_before(weft_blend *blend, uint64_t sequence)
{
    cursor *found = NULL;
    for (int i = 0; i < CURSORS; i++) {
        cursor *each = &blend->cursors[i];
        if (each->used == 0 || each->assigned > sequence) continue;
        if (!found || each->assigned > found->assigned) found = each;
    }
    return found;
}

static cursor *least_used(weft_blend *blend)
{
    cursor *found = &blend->cursors[0];
    for (int i = 1; i < CURSORS; i++)
        if (blend->cursors[i].used < found->used) found = &blend->cursors[i];
    return found;
}

/* Where to go on from. Whoever reads the next sequence takes the place along; else it stays for who comes behind. */
static cursor *begin_at(weft_blend *blend, uint64_t sequence)
{
    size_t count = (size_t)blend->count;
    cursor *before = latest_before(blend, sequence), *at = before;
    if (!before || before->assigned != sequence) {
        at = least_used(blend);
        if (at != before) {
            at->assigned = before ? before->assigned : 0;
            for (size_t i = 0; i < count; i++) {
                at->lag[i] = before ? before->lag[i] : 0;
                at->taken[i] = before ? before->taken[i] : 0;
            }
        }
    }
    at->used = ++blend->clock;
    return at;
}

void weft_blend_find(weft_blend *blend, uint64_t sequence, int32_t *out_source, uint64_t *out_index)
{
    pthread_mutex_lock(&blend->lock);
    cursor *at = begin_at(blend, sequence);
    while (at->assigned < sequence) assign(blend, at);
    *out_source = assign(blend, at);
    *out_index = at->taken[*out_source] - 1;
    pthread_mutex_unlock(&blend->lock);
}
