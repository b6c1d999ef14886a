#include "plan/search_order.h"

#include <math.h>
#include <string.h>

static weft_status allocate(weft_search_order *order, weft_error *error)
{
    const weft_search_state *state = order->state;
    size_t count = (size_t)order->count, P = (size_t)state->P;
    double **times[] = {&order->begin,     &order->arrive,     &order->lane_before,
                        &order->new_begin, &order->new_arrive, &order->new_lane_before};
    int32_t **places[] = {&order->sequence, &order->place, &order->held};
    int32_t **ranks[] = {&order->from, &order->at, &order->turn};
    TRY(weft_allocate(count, sizeof *order->nodes, &order->nodes, error));
    TRY(weft_allocate(P + 1, sizeof *order->first, &order->first, error));
    for (size_t i = 0; i < 6; i++) TRY(weft_allocate(count, sizeof **times[i], times[i], error));
    for (size_t i = 0; i < 3; i++) TRY(weft_allocate(count, sizeof **places[i], places[i], error));
    for (size_t i = 0; i < 3; i++) TRY(weft_allocate(2 * P, sizeof **ranks[i], ranks[i], error));
    TRY(weft_allocate(P, sizeof *order->rank_begin, &order->rank_begin, error));
    TRY(weft_allocate(P, sizeof *order->rank_free, &order->rank_free, error));
    return weft_allocate((size_t)state->lanes + 1, sizeof *order->lane_free, &order->lane_free, error);
}

/* before needs to have run when the pass begins. */
static void connect(weft_search_order *order, int32_t pass, int32_t before)
{
    weft_search_node *node = &order->nodes[pass], *other = &order->nodes[before];
    int i = 0, k = 0;
    if (node->rank != other->rank) {
        node->source = before;
        other->target = pass;
        return;
    }
    while (node->before[i] >= 0) i++;
    while (other->after[k] >= 0) k++;
    node->before[i] = before;
    other->after[k] = pass;
}

static void describe(weft_search_order *order, weft_search_pass pass, int32_t stage, int32_t m)
{
    const weft_search_state *state = order->state;
    bool sends = pass < PASS_W;
    order->nodes[weft_search_pass_number(state, pass, stage, m)] =
        (weft_search_node){.rank = state->stage_rank[stage],
                           .stage = stage,
                           .microbatch = m,
                           .pass = pass,
                           .source = -1,
                           .target = -1,
                           .before = {-1, -1, -1},
                           .after = {-1, -1, -1},
                           .lane = sends ? state->lane[pass][stage] : -1,
                           .cost = state->cost[pass][stage],
                           .message = sends ? state->message[pass][stage] : 0,
                           .latency = sends ? state->latency[pass][stage] : 0,
                           .tail = state->tail[pass][weft_search_at(state, stage, m)]};
}

static void connect_all(weft_search_order *order, weft_search_pass pass, int32_t stage, int32_t m)
{
    const weft_search_state *state = order->state;
    int32_t number = weft_search_pass_number(state, pass, stage, m), from = pass == PASS_F ? stage - 1 : stage + 1;
    if (m > 0) connect(order, number, number - 1);
    if (pass > PASS_F) connect(order, number, weft_search_pass_number(state, (weft_search_pass)(pass - 1), stage, m));
    if (pass < PASS_W && from >= 0 && from < state->S)
        connect(order, number, weft_search_pass_number(state, pass, from, m));
}

weft_status weft_search_order_init(weft_search_order *order, const weft_search_state *state, weft_error *error)
{
    *order = (weft_search_order){.state = state, .count = state->passes * state->S * state->M, .value = INFINITY};
    TRY(allocate(order, error));
    for (int32_t r = 0; r < state->P; r++)
        order->first[r + 1] = order->first[r] + state->ranks[r].count * state->M * state->passes;
    for (int round = 0; round < 2; round++)
        for (int32_t pass = 0; pass < state->passes; pass++)
            for (int32_t s = 0; s < state->S; s++)
                for (int32_t m = 0; m < state->M; m++)
                    (round ? connect_all : describe)(order, (weft_search_pass)pass, s, m);
    return WEFT_OK;
}

void weft_search_order_fini(weft_search_order *order)
{
    void *const arrays[] = {order->nodes,     order->first,      order->sequence,        order->place,
                            order->held,      order->begin,      order->arrive,          order->lane_before,
                            order->new_begin, order->new_arrive, order->new_lane_before, order->from,
                            order->at,        order->rank_begin, order->rank_free,       order->lane_free,
                            order->turn};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) weft_free(arrays[i]);
}

static bool takes(const weft_search_order *order, int32_t pass)
{
    return order->nodes[pass].pass == PASS_F;
}

static bool frees(const weft_search_order *order, int32_t pass)
{
    return (int32_t)order->nodes[pass].pass == order->state->passes - 1;
}

/* Of a pass that has been timed, now or before. */
static double arrival(const weft_search_order *order, int32_t pass)
{
    bool anew = order->place[pass] >= order->from[order->nodes[pass].rank];
    return (anew ? order->new_arrive : order->arrive)[pass];
}

/* Whether what the pass gets from another rank has been sent. */
static bool is_ready(const weft_search_order *order, const weft_search_node *node)
{
    return node->source < 0 || order->place[node->source] < order->at[order->nodes[node->source].rank];
}

/* Returns the least value that the order can still have. */
static double time_pass(weft_search_order *order, int32_t pass)
{
    const weft_search_node *node = &order->nodes[pass];
    double begin = order->rank_free[node->rank];
    if (node->source >= 0 && arrival(order, node->source) > begin) begin = arrival(order, node->source);
    double end = begin + node->cost;
    order->new_begin[pass] = begin;
    order->new_arrive[pass] = end;
    if (order->at[node->rank] == order->first[node->rank]) order->rank_begin[node->rank] = begin;
    if (node->lane >= 0) {
        double free = order->lane_free[node->lane];
        order->new_lane_before[pass] = free;
        order->lane_free[node->lane] = (end > free ? end : free) + node->message;
        order->new_arrive[pass] = order->lane_free[node->lane] + node->latency;
    }
    order->rank_free[node->rank] = end;
    order->at[node->rank]++;
    order->timed++;
    return end + node->tail - (order->state->own ? order->rank_begin[node->rank] : 0);
}

/* All that can be timed; false when the limit is passed or ranks wait for each other. */
static bool run(weft_search_order *order, double limit)
{
    const weft_search_state *state = order->state;
    int32_t turns = 0;
    for (int32_t r = state->P - 1; r >= 0; r--) order->turn[turns++] = r;
    while (turns) {
        int32_t r = order->turn[--turns];
        while (order->at[r] < order->first[r + 1]) {
            int32_t pass = order->sequence[order->at[r]], target = order->nodes[pass].target;
            if (!is_ready(order, &order->nodes[pass])) break;
            if (time_pass(order, pass) > limit) return false;
            if (target < 0) continue;
            int32_t to = order->nodes[target].rank; /* its turn comes when it waits for this one */
            if (order->place[target] == order->at[to]) order->turn[turns++] = to;
        }
    }
    for (int32_t r = 0; r < state->P; r++)
        if (order->at[r] < order->first[r + 1]) return false;
    return true;
}

static double value_of(const weft_search_order *order)
{
    double value = 0;
    for (int32_t r = 0; r < order->state->P; r++) {
        double part = order->rank_free[r] - (order->state->own ? order->rank_begin[r] : 0);
        if (part > value) value = part;
    }
    return value;
}

/* Everything of rank r from place `from` on is timed anew. */
static void rewind_rank(weft_search_order *order, int32_t r, int32_t from)
{
    int32_t first = order->first[r];
    order->from[r] = order->at[r] = from;
    for (int32_t i = order->first[r + 1] - 1; i >= from; i--) {
        int32_t pass = order->sequence[i], lane = order->nodes[pass].lane;
        if (lane >= 0 && order->lane_before[pass] < order->lane_free[lane])
            order->lane_free[lane] = order->lane_before[pass];
    }
    int32_t last = from > first ? order->sequence[from - 1] : -1;
    order->rank_free[r] = last >= 0 ? order->begin[last] + order->nodes[last].cost : 0;
    if (from > first) order->rank_begin[r] = order->begin[order->sequence[first]];
}

/* Of rank r the places from `low` on have changed. What began earlier than all of them, anywhere, keeps its times: so
 * does all that it waited for. */
static void rewind_all(weft_search_order *order, int32_t r, int32_t low)
{
    const weft_search_state *state = order->state;
    double time = INFINITY;
    for (int32_t i = low; i < order->first[r + 1]; i++) time = fmin(time, order->begin[order->sequence[i]]);
    for (int32_t lane = 0; lane < state->lanes; lane++) order->lane_free[lane] = INFINITY;
    for (int32_t other = 0; other < state->P; other++) {
        int32_t from = order->first[other + 1];
        while (from > order->first[other] && order->begin[order->sequence[from - 1]] >= time) from--;
        rewind_rank(order, other, other == r ? low : from);
    }
}

static void move(weft_search_order *order, weft_search_shift shift)
{
    int32_t step = shift.to > shift.from ? 1 : -1, pass = order->sequence[shift.from];
    for (int32_t i = shift.from; i != shift.to; i += step) {
        order->sequence[i] = order->sequence[i + step];
        order->place[order->sequence[i]] = i;
    }
    order->sequence[shift.to] = pass;
    order->place[pass] = shift.to;
}

/* Whether the passes of a stage and a micro-batch stay in order. */
static bool is_allowed(const weft_search_order *order, weft_search_shift shift)
{
    const weft_search_node *node = &order->nodes[order->sequence[shift.from]];
    for (int i = 0; i < 3; i++) {
        if (node->before[i] >= 0 && order->place[node->before[i]] >= shift.to) return false;
        if (node->after[i] >= 0 && order->place[node->after[i]] <= shift.to) return false;
    }
    return true;
}

static void undo(weft_search_order *order)
{
    while (order->shift_count) {
        weft_search_shift shift = order->shifts[--order->shift_count];
        move(order, (weft_search_shift){.from = shift.to, .to = shift.from});
    }
}

static int32_t rank_at(const weft_search_order *order, int32_t place)
{
    return order->nodes[order->sequence[place]].rank;
}

/* The places that the shifts have changed. */
static void find_range(const weft_search_order *order, int32_t *out_low, int32_t *out_high)
{
    *out_low = order->count;
    *out_high = -1;
    for (int32_t i = 0; i < order->shift_count; i++) {
        weft_search_shift shift = order->shifts[i];
        int32_t low = shift.from < shift.to ? shift.from : shift.to, high = shift.from + shift.to - low;
        if (low < *out_low) *out_low = low;
        if (high > *out_high) *out_high = high;
    }
}

/* The first place at which the rank holds more than the cap; -1: none. */
static int32_t find_excess(const weft_search_order *order)
{
    int32_t low, high;
    find_range(order, &low, &high);
    int32_t held = low > order->first[rank_at(order, low)] ? order->held[low - 1] : 0;
    for (int32_t i = low; i <= high; i++) {
        held += takes(order, order->sequence[i]) - frees(order, order->sequence[i]);
        if (held > order->state->cap) return i;
    }
    return -1;
}

static bool add_shift(weft_search_order *order, int32_t from, int32_t to)
{
    weft_search_shift shift = {from, to};
    if (order->shift_count == WEFT_SEARCH_SHIFTS || !is_allowed(order, shift)) return false;
    order->shifts[order->shift_count++] = shift;
    move(order, shift);
    return true;
}

/* What frees memory goes to `place`, from behind the excess. */
static bool free_before(weft_search_order *order, int32_t place, int32_t excess)
{
    int32_t end = order->first[rank_at(order, place) + 1];
    for (int32_t i = excess + 1; i < end; i++)
        if (frees(order, order->sequence[i]) && add_shift(order, i, place)) return true;
    return false;
}

/* A forward pass from before the excess, other than `pass`, goes to `place`. */
static bool take_behind(weft_search_order *order, int32_t pass, int32_t place, int32_t excess)
{
    int32_t first = order->first[order->nodes[pass].rank];
    for (int32_t i = excess; i >= first; i--)
        if (order->sequence[i] != pass && takes(order, order->sequence[i]) && add_shift(order, i, place)) return true;
    return false;
}

bool weft_search_order_shift(weft_search_order *order, int32_t from, int32_t to, bool frees_first)
{
    int32_t pass = order->sequence[from], excess = -1;
    order->shift_count = 0;
    if (from == to || !add_shift(order, from, to)) return false;
    bool earlier = to < from;
    int32_t behind = earlier ? from : to, before = earlier ? to : from;
    while ((excess = find_excess(order)) >= 0) {
        if (earlier) before = order->place[pass];
        if (frees_first && free_before(order, before, excess)) continue;
        if (take_behind(order, pass, behind, excess)) continue;
        if (!frees_first && free_before(order, before, excess)) continue;
        undo(order);
        return false;
    }
    return true;
}

double weft_search_order_try(weft_search_order *order, double limit)
{
    int32_t low, high;
    find_range(order, &low, &high);
    rewind_all(order, rank_at(order, low), low);
    order->timed = 0;
    return run(order, limit) ? value_of(order) : INFINITY;
}

void weft_search_order_keep(weft_search_order *order, double value)
{
    const weft_search_state *state = order->state;
    order->value = value;
    order->shift_count = 0;
    for (int32_t r = 0; r < state->P; r++) {
        int32_t from = order->from[r], held = from > order->first[r] ? order->held[from - 1] : 0;
        for (int32_t i = from; i < order->first[r + 1]; i++) {
            int32_t pass = order->sequence[i];
            order->begin[pass] = order->new_begin[pass];
            order->arrive[pass] = order->new_arrive[pass];
            order->lane_before[pass] = order->new_lane_before[pass];
            order->held[i] = held += takes(order, pass) - frees(order, pass);
        }
    }
}

void weft_search_order_drop(weft_search_order *order)
{
    undo(order);
}

bool weft_search_order_take(weft_search_order *order, const int32_t *sequence)
{
    const weft_search_state *state = order->state;
    for (int32_t i = 0; i < order->count; i++) {
        order->sequence[i] = sequence[i];
        order->place[sequence[i]] = i;
    }
    memset(order->lane_free, 0, (size_t)state->lanes * sizeof *order->lane_free);
    for (int32_t r = 0; r < state->P; r++) {
        order->from[r] = order->at[r] = order->first[r];
        order->rank_free[r] = 0;
    }
    bool ends = run(order, INFINITY);
    weft_search_order_keep(order, ends ? value_of(order) : INFINITY);
    return ends;
}
