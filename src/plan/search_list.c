#include "plan/search_list.h"

#include <math.h>
#include <string.h>

weft_status weft_search_list_init(weft_search_list *list, const weft_search_order *order, weft_error *error)
{
    const weft_search_state *state = order->state;
    size_t count = (size_t)order->count, P = (size_t)state->P, S = (size_t)state->S;
    int32_t **ranks[] = {&list->length, &list->held, &list->next};
    *list = (weft_search_list){.order = order};
    TRY(weft_allocate(count, sizeof *list->sequence, &list->sequence, error));
    TRY(weft_allocate(count, sizeof *list->arrive, &list->arrive, error));
    TRY(weft_allocate(PASSES * S, sizeof *list->done, &list->done, error));
    for (size_t i = 0; i < 3; i++) TRY(weft_allocate(P, sizeof **ranks[i], ranks[i], error));
    TRY(weft_allocate(P, sizeof *list->rank_begin, &list->rank_begin, error));
    TRY(weft_allocate(P, sizeof *list->rank_free, &list->rank_free, error));
    TRY(weft_allocate(P, sizeof *list->begin, &list->begin, error));
    return weft_allocate((size_t)state->lanes + 1, sizeof *list->lane_free, &list->lane_free, error);
}

void weft_search_list_fini(weft_search_list *list)
{
    void *const arrays[] = {list->sequence, list->arrive,     list->done,      list->length,    list->held,
                            list->next,     list->rank_begin, list->rank_free, list->lane_free, list->begin};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) weft_free(arrays[i]);
}

static int32_t *done(weft_search_list *list, int32_t pass, int32_t stage)
{
    return &list->done[pass * list->order->state->S + stage];
}

/* The next pass of a stage, and when what it needs from other ranks is there; INFINITY when it cannot run yet. */
static double ready(weft_search_list *list, const weft_search_rule *rule, int32_t stage, int32_t pass, int32_t *out)
{
    const weft_search_state *state = list->order->state;
    int32_t m = *done(list, pass, stage), last = state->passes - 1;
    const weft_search_rank *rank = &state->ranks[state->stage_rank[stage]];
    if (m == state->M || (pass && m == *done(list, pass - 1, stage))) return INFINITY;
    *out = weft_search_pass_number(state, (weft_search_pass)pass, stage, m);
    if (pass == PASS_F) {
        if (list->held[state->stage_rank[stage]] == state->cap) return INFINITY;
        if (m - *done(list, last, stage) >= rule->limits[stage]) return INFINITY;
        if (!weft_search_keeps_room(state, rank, list->done, stage, 1)) return INFINITY;
        if (!weft_search_keeps_room(state, rank, list->done, stage, rule->room)) return INFINITY;
    }
    int32_t from = pass == PASS_F ? stage - 1 : stage + 1;
    if (pass == PASS_W || from < 0 || from == state->S) return 0;
    if (m == *done(list, pass, from)) return INFINITY;
    return list->arrive[weft_search_pass_number(state, (weft_search_pass)pass, from, m)];
}

/* What a rank starts next: of what it can start first, the most urgent. */
static void choose(weft_search_list *list, const weft_search_rule *rule, int32_t r)
{
    const weft_search_state *state = list->order->state;
    const weft_search_rank *rank = &state->ranks[r];
    list->begin[r] = INFINITY;
    list->next[r] = -1;
    for (int32_t i = 0; i < rank->count; i++)
        for (int32_t pass = 0; pass < state->passes; pass++) {
            int32_t number = 0;
            double begin = ready(list, rule, state->local[rank->first + i], pass, &number);
            if (begin < list->rank_free[r]) begin = list->rank_free[r];
            if (begin == INFINITY || begin > list->begin[r]) continue;
            if (begin == list->begin[r] && rule->urgency[number] <= rule->urgency[list->next[r]]) continue;
            list->begin[r] = begin;
            list->next[r] = number;
        }
}

static void start(weft_search_list *list, int32_t r)
{
    int32_t number = list->next[r];
    const weft_search_node *node = &list->order->nodes[number];
    double end = list->begin[r] + node->cost;
    if (list->length[r] == 0) list->rank_begin[r] = list->begin[r];
    list->sequence[list->order->first[r] + list->length[r]++] = number;
    ++*done(list, (int32_t)node->pass, node->stage);
    list->rank_free[r] = list->arrive[number] = end;
    list->held[r] += (node->pass == PASS_F) - ((int32_t)node->pass == list->order->state->passes - 1);
    if (node->lane < 0) return;
    double free = list->lane_free[node->lane];
    list->lane_free[node->lane] = (end > free ? end : free) + node->message;
    list->arrive[number] = list->lane_free[node->lane] + node->latency;
}

static void clear(weft_search_list *list)
{
    const weft_search_state *state = list->order->state;
    size_t P = (size_t)state->P;
    memset(list->done, 0, (size_t)(PASSES * state->S) * sizeof *list->done);
    memset(list->length, 0, P * sizeof *list->length);
    memset(list->held, 0, P * sizeof *list->held);
    memset(list->rank_free, 0, P * sizeof *list->rank_free);
    memset(list->lane_free, 0, (size_t)state->lanes * sizeof *list->lane_free);
}

double weft_search_list_run(weft_search_list *list, const weft_search_rule *rule)
{
    const weft_search_state *state = list->order->state;
    clear(list);
    for (int32_t r = 0; r < state->P; r++) choose(list, rule, r);
    for (int32_t i = 0; i < list->order->count; i++) {
        int32_t first = 0;
        for (int32_t r = 1; r < state->P; r++)
            if (list->begin[r] < list->begin[first]) first = r;
        int32_t target = list->order->nodes[list->next[first]].target;
        start(list, first);
        choose(list, rule, first);
        if (target >= 0) choose(list, rule, list->order->nodes[target].rank);
    }
    double value = 0;
    for (int32_t r = 0; r < state->P; r++)
        value = fmax(value, list->rank_free[r] - (state->own ? list->rank_begin[r] : 0));
    return value;
}
