#include "plan/search_state.h"

#include <math.h>

static weft_status allocate(weft_search_state *state, weft_error *error)
{
    size_t S = (size_t)state->S, SM = S * (size_t)state->M;
    TRY(weft_allocate(S, sizeof *state->local, &state->local, error));
    TRY(weft_allocate((size_t)state->P, sizeof *state->ranks, &state->ranks, error));
    TRY(weft_allocate((size_t)state->P, sizeof *state->own_least, &state->own_least, error));
    TRY(weft_allocate(2 * S, sizeof *state->lane_free, &state->lane_free, error));
    for (int pass = 0; pass < PASSES; pass++) {
        TRY(weft_allocate(S, sizeof(double), &state->cost[pass], error));
        TRY(weft_allocate(S, sizeof(double), &state->message[pass], error));
        TRY(weft_allocate(S, sizeof(double), &state->latency[pass], error));
        TRY(weft_allocate(S, sizeof(int32_t), &state->lane[pass], error));
        TRY(weft_allocate(S, sizeof(int32_t), &state->done[pass], error));
        TRY(weft_allocate(SM, sizeof(double), &state->tail[pass], error));
        TRY(weft_allocate(SM, sizeof(double), &state->head[pass], error));
        TRY(weft_allocate(SM, sizeof(double), &state->arrive[pass], error));
    }
    return WEFT_OK;
}

static void list_local(weft_search_state *state)
{
    int32_t count = 0;
    for (int32_t r = 0; r < state->P; r++) {
        state->ranks[r] = (weft_search_rank){.first = count, .begin = INFINITY, .deadline = INFINITY};
        for (int32_t s = 0; s < state->S; s++)
            if (state->stage_rank[s] == r) state->local[count++] = s;
        state->ranks[r].count = count - state->ranks[r].first;
    }
}

/* Messages between the same two ranks share a lane, one for each direction of the model. With one latency none comes to
 * wait for the one before it to arrive. */
static weft_status connect(weft_search_state *state, int32_t stage, weft_search_pass pass, const weft_costs *costs,
                           weft_error *error)
{
    int32_t step = pass == PASS_F ? 1 : -1, to = stage + step;
    state->lane[pass][stage] = -1;
    if (to < 0 || to >= state->S || state->stage_rank[to] == state->stage_rank[stage]) return WEFT_OK;
    state->message[pass][stage] = costs->messages ? costs->messages[stage] : costs->message;
    state->latency[pass][stage] = costs->latencies ? costs->latencies[stage] : costs->latency;
    for (int32_t s = 0; s < state->S; s++) {
        if (state->lane[pass][s] < 0 || state->stage_rank[s] != state->stage_rank[stage] ||
            state->stage_rank[s + step] != state->stage_rank[to])
            continue;
        state->lane[pass][stage] = state->lane[pass][s];
        if (state->latency[pass][s] != state->latency[pass][stage])
            FAIL(error, WEFT_INVALID,
                 "messages of stages %d and %d go from rank %d to rank %d with latencies of %g and %g: weft searches "
                 "with one latency between two ranks",
                 (int)s, (int)stage, (int)state->stage_rank[s], (int)state->stage_rank[to], state->latency[pass][s],
                 state->latency[pass][stage]);
    }
    if (state->lane[pass][stage] < 0) state->lane[pass][stage] = state->lanes++;
    return WEFT_OK;
}

weft_status weft_search_state_init(weft_search_state *state, const weft_search_problem *problem, weft_error *error)
{
    const weft_costs *costs = problem->costs;
    *state = (weft_search_state){.P = problem->ranks,
                                 .S = problem->stages,
                                 .M = problem->microbatches,
                                 .passes = problem->whole ? 2 : 3,
                                 .own = problem->own,
                                 .idle = problem->ranks,
                                 .stage_rank = problem->stage_rank};
    int32_t all = state->S * state->M;
    state->cap = problem->cap && problem->cap < all ? (int32_t)problem->cap : all;
    state->left = all * state->passes;
    TRY(allocate(state, error));
    list_local(state);
    for (int32_t s = 0; s < state->S; s++) {
        state->cost[PASS_F][s] = costs->forward[s];
        weft_action back = {.kind = problem->whole ? WEFT_B : WEFT_I, .stage = (uint32_t)s & (WEFT_STAGES_LIMIT - 1)};
        state->cost[PASS_I][s] = weft_costs_of(costs, back);
        state->cost[PASS_W][s] = costs->backward_weight[s];
        for (int32_t pass = PASS_F; pass <= PASS_I; pass++) state->lane[pass][s] = -1;
    }
    for (int32_t s = 0; s < state->S; s++)
        for (int32_t pass = PASS_F; pass <= PASS_I; pass++)
            TRY(connect(state, s, (weft_search_pass)pass, costs, error));
    weft_search_tails(state);
    return WEFT_OK;
}

void weft_search_state_fini(weft_search_state *state)
{
    weft_free(state->local);
    weft_free(state->ranks);
    weft_free(state->own_least);
    weft_free(state->lane_free);
    for (int pass = 0; pass < PASSES; pass++) {
        weft_free(state->cost[pass]);
        weft_free(state->message[pass]);
        weft_free(state->latency[pass]);
        weft_free(state->lane[pass]);
        weft_free(state->done[pass]);
        weft_free(state->tail[pass]);
        weft_free(state->head[pass]);
        weft_free(state->arrive[pass]);
    }
}

/*
 * Whether F of micro-batch m leaves room. A rank that has room for no stage more of the first micro-batch that it has
 * not seen through could never free any: all its F come before what frees memory. The micro-batches before that one can
 * always be finished, then it itself, then the next, so that a rank which keeps this room can always go on. With room
 * kept the ranks cannot keep each other waiting either: whoever finishes micro-batches one by one always may.
 */
bool weft_search_keeps_room(const weft_search_state *state, const weft_search_rank *rank, const int32_t *forwards,
                            int32_t stage, int32_t microbatches)
{
    const int32_t *local = state->local + rank->first;
    int32_t behind = forwards[local[rank->count - 1]] + microbatches, ahead = rank->count * microbatches;
    if (forwards[stage] < behind) return true;
    for (int32_t i = 0; i < rank->count; i++)
        if (forwards[local[i]] > behind) ahead += forwards[local[i]] - behind;
    return ahead < state->cap;
}

/* When the next pass of a stage could begin but for its rank; INFINITY while something before it has not run. What ran
 * on the same rank needs no look: the rank is free only behind it. */
static double ready(const weft_search_state *state, int32_t stage, weft_search_pass pass)
{
    int32_t m = state->done[pass][stage];
    const weft_search_rank *rank = &state->ranks[state->stage_rank[stage]];
    if (m == state->M) return INFINITY;
    if (pass == PASS_F) {
        if (rank->held == state->cap || !weft_search_keeps_room(state, rank, state->done[PASS_F], stage, 1))
            return INFINITY;
        if (stage == 0) return 0;
        return m < state->done[PASS_F][stage - 1] ? state->arrive[PASS_F][weft_search_at(state, stage - 1, m)]
                                                  : INFINITY;
    }
    if (m == state->done[pass - 1][stage]) return INFINITY;
    if (pass == PASS_W || stage + 1 == state->S) return 0;
    return m < state->done[PASS_I][stage + 1] ? state->arrive[PASS_I][weft_search_at(state, stage + 1, m)] : INFINITY;
}

static uint32_t bit(const weft_search_state *state, int32_t local, int32_t pass)
{
    return 1u << (local * state->passes + pass);
}

static double next_of(const weft_search_state *state, const weft_search_rank *rank)
{
    double next = INFINITY;
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            if (rank->excluded & bit(state, i, pass)) continue;
            double time = ready(state, state->local[rank->first + i], (weft_search_pass)pass);
            if (time < rank->free) time = rank->free;
            if (time < next) next = time;
        }
    return next;
}

double weft_search_next(const weft_search_state *state, int32_t *out_rank)
{
    double next = INFINITY;
    *out_rank = -1;
    for (int32_t r = 0; r < state->P; r++) {
        double time = next_of(state, &state->ranks[r]);
        if (time >= next) continue;
        next = time;
        *out_rank = r;
    }
    for (int32_t r = 0; r < state->P; r++)
        if (state->ranks[r].deadline <= next) return INFINITY;
    return next;
}

/*
 * A pass that a waiting rank passes over could run in the gap if it ended before the gap does, and would only help:
 * later passes begin when they did. But another forward pass may take the memory that a forward pass of another stage
 * on the rank would have found free, and its message may stand in the way of the one that goes by the same lane.
 */
static double deadline_of(const weft_search_state *state, const weft_search_rank *rank, int32_t stage,
                          weft_search_pass pass, double begin)
{
    double end = begin + state->cost[pass][stage];
    if (rank->count == 1 || pass == PASS_W) return end;
    if (pass == PASS_F && state->cap < rank->count * state->M) return INFINITY;
    int32_t lane = state->lane[pass][stage];
    if (lane >= 0 && state->lane_free[lane] > end) end = state->lane_free[lane];
    return end + state->message[pass][stage];
}

int32_t weft_search_moves(const weft_search_state *state, int32_t number, double time, weft_search_move *out)
{
    const weft_search_rank *rank = &state->ranks[number];
    int32_t count = 0;
    bool others = false;
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            int32_t stage = state->local[rank->first + i];
            if (rank->excluded & bit(state, i, pass)) continue;
            if (ready(state, stage, (weft_search_pass)pass) <= time)
                out[count++] = (weft_search_move){.rank = number,
                                                  .stage = stage,
                                                  .microbatch = state->done[pass][stage],
                                                  .pass = (weft_search_pass)pass};
            else
                others = others || state->done[pass][stage] < state->M;
        }
    if (others) out[count++] = (weft_search_move){.rank = number, .stage = -1};
    return count;
}

/* A rank's own part is shorter when the rank begins later: earlier is better everywhere only when all have begun. */
static void wait(weft_search_state *state, weft_search_rank *rank, double time)
{
    bool earlier_is_better = !state->own || state->idle == 0;
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            int32_t stage = state->local[rank->first + i];
            double begin = ready(state, stage, (weft_search_pass)pass);
            if (begin > time || rank->excluded & bit(state, i, pass)) continue;
            if (begin < rank->free) begin = rank->free;
            rank->excluded |= bit(state, i, pass);
            double deadline = deadline_of(state, rank, stage, (weft_search_pass)pass, begin);
            if (earlier_is_better && deadline < rank->deadline) rank->deadline = deadline;
        }
}

/* What F and I make arrives when the lane has carried what went before. */
static void send(weft_search_state *state, int32_t stage, weft_search_pass pass, double end)
{
    int32_t lane = state->lane[pass][stage];
    double *arrive = &state->arrive[pass][weft_search_at(state, stage, state->done[pass][stage])];
    *arrive = end;
    if (lane < 0) return;
    double begin = end > state->lane_free[lane] ? end : state->lane_free[lane];
    state->lane_free[lane] = begin + state->message[pass][stage];
    *arrive = state->lane_free[lane] + state->latency[pass][stage];
}

void weft_search_apply(weft_search_state *state, const weft_search_move *move, double time, weft_search_undo *undo)
{
    weft_search_rank *rank = &state->ranks[move->rank];
    undo->rank = *rank;
    undo->lane_free = 0;
    if (move->stage < 0) {
        wait(state, rank, time);
        return;
    }
    int32_t lane = move->pass < PASS_W ? state->lane[move->pass][move->stage] : -1;
    if (lane >= 0) undo->lane_free = state->lane_free[lane];
    double end = time + state->cost[move->pass][move->stage];
    if (rank->begin == INFINITY) {
        rank->begin = time;
        state->idle--;
    }
    if (move->pass < PASS_W) send(state, move->stage, move->pass, end);
    state->done[move->pass][move->stage]++;
    state->left--;
    rank->free = end;
    rank->excluded = 0;
    rank->deadline = INFINITY;
    if (move->pass == PASS_F) rank->held++;
    if ((int32_t)move->pass == state->passes - 1) rank->held--;
}

void weft_search_take_back(weft_search_state *state, const weft_search_move *move, const weft_search_undo *undo)
{
    if (undo->rank.begin == INFINITY && move->stage >= 0) state->idle++;
    state->ranks[move->rank] = undo->rank;
    if (move->stage < 0) return;
    int32_t lane = move->pass < PASS_W ? state->lane[move->pass][move->stage] : -1;
    if (lane >= 0) state->lane_free[lane] = undo->lane_free;
    state->done[move->pass][move->stage]--;
    state->left++;
}
