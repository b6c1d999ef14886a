#include "plan/search_run.h"

#include <math.h>

/*
 * A probe asks whether there is an order that takes no longer than a limit, and looks at partial orders whose bound is
 * within it. An answer either way narrows what is known: the best so far, and the bound, which no order is below.
 */

static bool is_out(weft_search_run *run)
{
    run->result->nodes++;
    return run->work >= run->budget || weft_search_run_out(run);
}

static double bound_behind(weft_search_run *run, const weft_search_move *move, double time)
{
    weft_search_undo undo;
    int32_t rank;
    weft_search_apply(&run->state, move, time, &undo);
    double next = weft_search_next(&run->state, &rank), bound = INFINITY;
    if (run->state.left == 0 || next < INFINITY) bound = weft_search_bound(&run->state, run->state.left ? next : 0);
    run->work += (uint64_t)run->state.left + 1;
    weft_search_take_back(&run->state, move, &undo);
    return bound;
}

/* The most promising first; of equal ones what has the longest way to go; waiting last. */
static int compare_moves(const weft_search_state *state, const weft_search_move *a, const weft_search_move *b)
{
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    if (a->stage < 0 || b->stage < 0) return a->stage < 0 ? 1 : -1;
    double tail_a = state->tail[a->pass][weft_search_at(state, a->stage, state->done[a->pass][a->stage])];
    double tail_b = state->tail[b->pass][weft_search_at(state, b->stage, state->done[b->pass][b->stage])];
    return (tail_a < tail_b) - (tail_a > tail_b);
}

static void sort_moves(const weft_search_state *state, weft_search_move *moves, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        weft_search_move move = moves[i];
        int32_t k = i;
        for (; k > 0 && compare_moves(state, &move, &moves[k - 1]) < 0; k--) moves[k] = moves[k - 1];
        moves[k] = move;
    }
}

/* The moves whose bounds are within the limit, sorted; the others count for next_bound. */
static int32_t choose_moves(weft_search_run *run, int32_t rank, double time, weft_search_move *moves)
{
    int32_t count = weft_search_moves(&run->state, rank, time, moves), kept = 0;
    for (int32_t i = 0; i < count; i++) {
        moves[i].bound = bound_behind(run, &moves[i], time);
        if (moves[i].bound <= run->limit)
            moves[kept++] = moves[i];
        else if (moves[i].bound < run->next_bound)
            run->next_bound = moves[i].bound;
    }
    sort_moves(&run->state, moves, kept);
    return kept;
}

/* Ends where it began, whatever the answer. A rank that decides to wait changes nothing but what it may do next: the
 * state would be covered by the one before, of whose search it is a part. */
static weft_search_answer descend(weft_search_run *run, bool waited)
{
    int32_t rank;
    weft_search_move moves[WEFT_SEARCH_MOVES];
    if (run->state.left == 0) {
        weft_search_run_take_trail(run);
        return WEFT_SEARCH_YES;
    }
    if (is_out(run)) return WEFT_SEARCH_NONE;
    double time = weft_search_next(&run->state, &rank);
    if (!waited && weft_search_memo_covers(&run->memo, &run->state)) return WEFT_SEARCH_NO;
    int32_t count = choose_moves(run, rank, time, moves);
    for (int32_t i = 0; i < count; i++) {
        weft_search_undo undo;
        weft_search_apply(&run->state, &moves[i], time, &undo);
        if (moves[i].stage >= 0) run->trail[run->length++] = moves[i];
        weft_search_answer found = descend(run, moves[i].stage < 0);
        if (moves[i].stage >= 0) run->length--;
        weft_search_take_back(&run->state, &moves[i], &undo);
        if (found != WEFT_SEARCH_NO) return found;
    }
    return WEFT_SEARCH_NO;
}

weft_search_answer weft_search_probe(weft_search_run *run, double limit, uint64_t work)
{
    run->limit = limit + weft_search_run_slack(run);
    run->next_bound = INFINITY;
    run->budget = run->work + work;
    weft_search_memo_clear(&run->memo);
    weft_search_answer found = descend(run, false);
    if (found == WEFT_SEARCH_NO) run->bound = run->next_bound < run->value ? run->next_bound : run->value;
    return found;
}
