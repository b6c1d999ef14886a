#include "plan/search_state.h"

#include <math.h>
#include <string.h>

/*
 * How long a step takes at least. Every pass has a head, before which it cannot begin, and a tail, which comes after it
 * at least: along the dependencies of its micro-batch, behind what its own rank must run before or after it, and where
 * memory lets a forward pass begin only behind the last pass that frees some. For one rank by itself, passes that may
 * be interrupted and that run in the order of their tails give the least end that heads, times and tails allow
 * (Jackson's preemptive schedule; J. Carlier, European Journal of Operational Research 11, 1982); the largest of all
 * ranks counts.
 */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Passes of kind `pass` that stage `other` must have run before `stage` runs `at` of micro-batch m: up to which one.
 * freed: the micro-batch that must have been freed before F of m, m - cap. -1: none. */
static int32_t needed_before(const weft_search_state *state, int32_t other, int32_t pass, int32_t stage,
                             weft_search_pass at, int32_t m)
{
    int32_t freed = other == stage ? m - state->cap : -1;
    if (freed < -1) freed = -1;
    if (pass == PASS_F) return at != PASS_F || other <= stage ? m : freed;
    if (at == PASS_F || pass == PASS_W) return at == PASS_W && other == stage ? m : freed;
    return other >= stage ? m : freed;
}

/* Time that the rank of a stage still spends before the pass, from what it has left to run. */
static double load_before(const weft_search_state *state, int32_t stage, weft_search_pass at, int32_t m)
{
    const weft_search_rank *rank = &state->ranks[state->stage_rank[stage]];
    double load = -state->cost[at][stage];
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            int32_t other = state->local[rank->first + i];
            int32_t count = needed_before(state, other, pass, stage, at, m) + 1 - state->done[pass][other];
            if (count > 0) load += count * state->cost[pass][other];
        }
    return load;
}

/* From which micro-batch on passes of `other` come behind the pass: the mirror of needed_before. */
static int32_t needed_after(const weft_search_state *state, int32_t other, int32_t pass, int32_t stage,
                            weft_search_pass at, int32_t m)
{
    int32_t waits = other == stage ? m + state->cap : state->M; /* for the memory of this one */
    if (waits > state->M) waits = state->M;
    if (pass == PASS_F) return at == PASS_F && other >= stage ? m : waits;
    if (pass == PASS_I) return at == PASS_F || (at == PASS_I && other <= stage) ? m : waits;
    return at == PASS_F || (at == PASS_I && other <= stage) || other == stage ? m : waits;
}

static double load_after(const weft_search_state *state, int32_t stage, weft_search_pass at, int32_t m)
{
    const weft_search_rank *rank = &state->ranks[state->stage_rank[stage]];
    double load = -state->cost[at][stage];
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            int32_t other = state->local[rank->first + i];
            load += (state->M - needed_after(state, other, pass, stage, at, m)) * state->cost[pass][other];
        }
    return load;
}

/* From the end of a pass to when its message is there. */
static double way(const weft_search_state *state, int32_t stage, weft_search_pass pass)
{
    return state->message[pass][stage] + state->latency[pass][stage];
}

/* What runs behind a pass: its own time and its tail. */
static double rest(const weft_search_state *state, int32_t stage, weft_search_pass pass, int32_t m)
{
    return state->cost[pass][stage] + state->tail[pass][weft_search_at(state, stage, m)];
}

/* until: the rank whose end counts; -1: the end of the step. */
static void find_tail(weft_search_state *state, int32_t stage, weft_search_pass pass, int32_t m, int32_t until)
{
    weft_search_pass last = (weft_search_pass)(state->passes - 1);
    bool counts = until < 0 || state->stage_rank[stage] == until;
    double tail = counts ? load_after(state, stage, pass, m) : -INFINITY;
    if (pass == PASS_F && stage + 1 < state->S)
        tail = larger(tail, way(state, stage, PASS_F) + rest(state, stage + 1, PASS_F, m));
    if (pass == PASS_F && stage + 1 == state->S) tail = larger(tail, rest(state, stage, PASS_I, m));
    if (pass == PASS_I && stage > 0) tail = larger(tail, way(state, stage, PASS_I) + rest(state, stage - 1, PASS_I, m));
    if (pass == PASS_I && last == PASS_W) tail = larger(tail, rest(state, stage, PASS_W, m));
    if (pass == last && m + state->cap < state->M) tail = larger(tail, rest(state, stage, PASS_F, m + state->cap));
    if (m + 1 < state->M) tail = larger(tail, rest(state, stage, pass, m + 1));
    state->tail[pass][weft_search_at(state, stage, m)] = tail;
}

static void find_tails(weft_search_state *state, int32_t until)
{
    for (int32_t m = state->M - 1; m >= 0; m--) {
        for (int32_t s = 0; s < state->S && state->passes == PASSES; s++) find_tail(state, s, PASS_W, m, until);
        for (int32_t s = 0; s < state->S; s++) find_tail(state, s, PASS_I, m, until);
        for (int32_t s = state->S - 1; s >= 0; s--) find_tail(state, s, PASS_F, m, until);
    }
}

/* When the pass ends at the earliest; of one that has run, when its message is there or its rank is free. */
static double end_of(const weft_search_state *state, int32_t stage, weft_search_pass pass, int32_t m, bool message)
{
    size_t at = weft_search_at(state, stage, m);
    if (m < state->done[pass][stage]) return message ? state->arrive[pass][at] : 0;
    return state->head[pass][at] + state->cost[pass][stage] + (message ? way(state, stage, pass) : 0);
}

static void find_head(weft_search_state *state, int32_t stage, weft_search_pass pass, int32_t m, double time)
{
    weft_search_pass last = (weft_search_pass)(state->passes - 1);
    if (m < state->done[pass][stage]) return;
    double free = larger(state->ranks[state->stage_rank[stage]].free, time);
    double head = free + load_before(state, stage, pass, m);
    if (m > state->done[pass][stage]) head = larger(head, end_of(state, stage, pass, m - 1, false));
    if (pass == PASS_F) {
        if (stage) head = larger(head, end_of(state, stage - 1, PASS_F, m, true));
        if (m >= state->cap) head = larger(head, end_of(state, stage, last, m - state->cap, false));
    } else {
        head = larger(head, end_of(state, stage, (weft_search_pass)(pass - 1), m, false));
        if (pass == PASS_I && stage + 1 < state->S) head = larger(head, end_of(state, stage + 1, PASS_I, m, true));
    }
    state->head[pass][weft_search_at(state, stage, m)] = head;
}

static void find_heads(weft_search_state *state, double time)
{
    for (int32_t m = 0; m < state->M; m++) {
        for (int32_t s = 0; s < state->S; s++) find_head(state, s, PASS_F, m, time);
        for (int32_t s = state->S - 1; s >= 0; s--) find_head(state, s, PASS_I, m, time);
        for (int32_t s = 0; s < state->S && state->passes == PASSES; s++) find_head(state, s, PASS_W, m, time);
    }
}

/* The passes of one kind of a stage that are left; heads rise and tails fall with the micro-batch. */
typedef struct chain {
    const double *head, *tail;
    double cost, left; /* left: of its first one */
    int32_t next;
} chain;

static int32_t list_chains(const weft_search_state *state, const weft_search_rank *rank, chain *chains)
{
    int32_t count = 0;
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            int32_t stage = state->local[rank->first + i], next = state->done[pass][stage];
            if (next == state->M) continue;
            size_t begin = weft_search_at(state, stage, 0);
            chains[count++] = (chain){.head = state->head[pass] + begin,
                                      .tail = state->tail[pass] + begin,
                                      .cost = state->cost[pass][stage],
                                      .left = state->cost[pass][stage],
                                      .next = next};
        }
    return count;
}

static double bound_of_rank(const weft_search_state *state, const weft_search_rank *rank)
{
    chain chains[PASSES * WEFT_SEARCH_LOCAL_LIMIT];
    int32_t count = list_chains(state, rank, chains);
    double time = rank->free, bound = rank->free;
    while (count) {
        int32_t chosen = -1;
        double release = INFINITY;
        for (int32_t c = 0; c < count; c++) {
            if (chains[c].head[chains[c].next] > time)
                release = chains[c].head[chains[c].next] < release ? chains[c].head[chains[c].next] : release;
            else if (chosen < 0 || chains[c].tail[chains[c].next] > chains[chosen].tail[chains[chosen].next])
                chosen = c;
        }
        if (chosen < 0) {
            time = release;
            continue;
        }
        chain *it = &chains[chosen];
        if (time + it->left > release) {
            it->left -= release - time;
            time = release;
            continue;
        }
        time += it->left;
        bound = larger(bound, time + it->tail[it->next]);
        it->left = it->cost;
        if (++it->next == state->M) *it = chains[--count];
    }
    return bound;
}

double weft_search_bound(weft_search_state *state, double time)
{
    double bound = 0;
    find_heads(state, time);
    for (int32_t r = 0; r < state->P; r++) {
        const weft_search_rank *rank = &state->ranks[r];
        if (!state->own) {
            bound = larger(bound, bound_of_rank(state, rank));
            continue;
        }
        bound = larger(bound, state->own_least[r]);
        if (rank->begin < INFINITY) bound = larger(bound, bound_of_rank(state, rank) - rank->begin);
    }
    return bound;
}

/* From the begin of rank r on, whatever came before. */
static void find_own_least(weft_search_state *state, int32_t r)
{
    for (int32_t other = 0; other < state->P; other++) state->ranks[other].free = other == r ? 0 : -INFINITY;
    find_heads(state, -INFINITY);
    state->own_least[r] = bound_of_rank(state, &state->ranks[r]);
    for (int32_t other = 0; other < state->P; other++) state->ranks[other].free = 0;
}

/* Each rank's tails end with that rank; what has been found of others waits in head meanwhile. */
static void find_own_tails(weft_search_state *state)
{
    for (int32_t r = 0; r < state->P; r++) {
        find_tails(state, r);
        for (int32_t s = 0; s < state->S; s++)
            for (int32_t pass = 0; pass < state->passes && state->stage_rank[s] == r; pass++)
                memcpy(state->head[pass] + weft_search_at(state, s, 0), state->tail[pass] + weft_search_at(state, s, 0),
                       (size_t)state->M * sizeof(double));
    }
    for (int32_t pass = 0; pass < state->passes; pass++) {
        double *tail = state->head[pass];
        state->head[pass] = state->tail[pass];
        state->tail[pass] = tail;
    }
}

void weft_search_tails(weft_search_state *state)
{
    if (!state->own) {
        find_tails(state, -1);
        return;
    }
    find_own_tails(state);
    for (int32_t r = 0; r < state->P; r++) find_own_least(state, r);
}
