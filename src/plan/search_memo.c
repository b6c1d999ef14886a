#include "plan/search_state.h"

#include <string.h>

enum { LISTS = 1 << 14, ENTRIES = 1 << 20, POOL = 1 << 24, ROW_LIMIT = 2048 };

typedef struct weft_search_entry {
    uint32_t next, begin; /* in the list, 0: the end; of its row in the pool */
} weft_search_entry;

/* A row: passes run, as one number a stage, then what is excluded, one number a rank, then times. All are whole numbers
 * or times in doubles; the first two parts are compared in other ways than the times. */
typedef struct row {
    double values[ROW_LIMIT];
    size_t count;
} row;

weft_status weft_search_memo_init(weft_search_memo *memo, weft_error *error)
{
    *memo = (weft_search_memo){.count = 1};
    return weft_allocate(LISTS, sizeof *memo->heads, &memo->heads, error);
}

void weft_search_memo_fini(weft_search_memo *memo)
{
    weft_free(memo->entries);
    weft_free(memo->heads);
    weft_free(memo->pool);
}

void weft_search_memo_clear(weft_search_memo *memo)
{
    memset(memo->heads, 0, LISTS * sizeof *memo->heads);
    memo->count = 1; /* entry 0 ends lists */
    memo->used = 0;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* What is better when it is less: a rank's own part is shorter when it begins later. What has arrived before the rank
 * that waits for it is free might as well arrive then. */
static void add_times(const weft_search_state *state, row *out)
{
    for (int32_t r = 0; r < state->P; r++) out->values[out->count++] = state->ranks[r].free;
    for (int32_t r = 0; r < state->P && state->own; r++) out->values[out->count++] = -state->ranks[r].begin;
    for (int32_t s = 0; s < state->S; s++)
        for (int32_t pass = PASS_F; pass <= PASS_I; pass++) {
            int32_t to = pass == PASS_F ? s + 1 : s - 1, lane = state->lane[pass][s];
            if (lane < 0) continue;
            double free = state->ranks[state->stage_rank[to]].free;
            for (int32_t m = state->done[pass][to]; m < state->done[pass][s]; m++)
                out->values[out->count++] = larger(free, state->arrive[pass][weft_search_at(state, s, m)]);
            if (state->done[pass][s] < state->M)
                out->values[out->count++] = larger(state->ranks[state->stage_rank[s]].free, state->lane_free[lane]);
        }
}

static uint64_t describe(const weft_search_state *state, row *out)
{
    uint64_t hash = 0;
    out->count = 0;
    for (int32_t s = 0; s < state->S; s++) {
        int64_t run = 0;
        for (int32_t pass = 0; pass < PASSES; pass++) run = run * (WEFT_SEARCH_SIZE_LIMIT + 1) + state->done[pass][s];
        out->values[out->count++] = (double)run;
        hash = (hash ^ (uint64_t)run) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (int32_t r = 0; r < state->P; r++) out->values[out->count++] = state->ranks[r].excluded;
    add_times(state, out);
    return hash;
}

static bool covers(const weft_search_state *state, const double *known, const row *wanted)
{
    size_t S = (size_t)state->S, P = (size_t)state->P;
    if (memcmp(known, wanted->values, S * sizeof *known) != 0) return false;
    for (size_t i = S; i < S + P; i++)
        if ((uint32_t)known[i] & ~(uint32_t)wanted->values[i]) return false;
    for (size_t i = S + P; i < wanted->count; i++)
        if (known[i] > wanted->values[i]) return false;
    return true;
}

static bool has_room(weft_search_memo *memo, size_t count)
{
    return memo->count < ENTRIES && memo->used + count <= POOL &&
           weft_grow(&memo->entries, &memo->entry_capacity, memo->count + 1, sizeof *memo->entries, NULL) == WEFT_OK &&
           weft_grow(&memo->pool, &memo->pool_capacity, memo->used + count, sizeof *memo->pool, NULL) == WEFT_OK;
}

bool weft_search_memo_covers(weft_search_memo *memo, const weft_search_state *state)
{
    row wanted;
    if (state->own && state->idle) return false;
    uint32_t list = (uint32_t)(describe(state, &wanted) >> 40) % LISTS;
    for (uint32_t e = memo->heads[list]; e; e = memo->entries[e].next)
        if (covers(state, memo->pool + memo->entries[e].begin, &wanted)) return true;
    if (!has_room(memo, wanted.count)) {
        weft_search_memo_clear(memo);
        return false;
    }
    memcpy(memo->pool + memo->used, wanted.values, wanted.count * sizeof *wanted.values);
    memo->entries[memo->count] = (weft_search_entry){.next = memo->heads[list], .begin = (uint32_t)memo->used};
    memo->heads[list] = memo->count++;
    memo->used += wanted.count;
    return false;
}
