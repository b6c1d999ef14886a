/* The parts of the search: rules that never get stuck, changes that keep an order valid, bounds that hold. */
#include "../program/build.h"
#include "plan/search_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = WEFT_SEARCH_SIZE_LIMIT };

/* A random case: placement, costs, cap from the least feasible up. */
typedef struct subject {
    int32_t stage_rank[MOST];
    double forward[MOST], input[MOST], weight[MOST], messages[MOST], latencies[MOST];
    weft_costs costs;
    weft_search_problem problem;
    weft_search_state state;
    weft_search_order order;
    weft_search_list list;
} subject;

static void place(dice *d, subject *it, int32_t P, int32_t V)
{
    uint32_t how = dice_roll(d, 4);
    for (int32_t s = 0; s < P * V; s++) {
        int32_t loop = s / P, at = s % P;
        it->stage_rank[s] = how == 0 ? s / V : how == 1 && loop % 2 ? P - 1 - at : at;
    }
    for (int32_t s = P * V - 1; s > 0 && how == 2; s--) {
        int32_t other = (int32_t)dice_roll(d, (uint32_t)s + 1), rank = it->stage_rank[s];
        it->stage_rank[s] = it->stage_rank[other];
        it->stage_rank[other] = rank;
    }
}

static void start(dice *d, subject *it)
{
    int32_t P = 1 + (int32_t)dice_roll(d, 5), V = 1 + (int32_t)dice_roll(d, 3), M = 1 + (int32_t)dice_roll(d, 6);
    weft_error error;
    place(d, it, P, V);
    for (int32_t s = 0; s < P * V; s++) {
        it->forward[s] = dice_roll(d, 6);
        it->input[s] = dice_roll(d, 6);
        it->weight[s] = dice_roll(d, 6);
        it->messages[s] = dice_roll(d, 3);
        it->latencies[s] = it->stage_rank[s] % 3;
    }
    it->costs = (weft_costs){.forward = it->forward,
                             .backward_input = it->input,
                             .backward_weight = it->weight,
                             .messages = it->messages,
                             .latencies = it->latencies};
    it->problem = (weft_search_problem){.ranks = P,
                                        .stages = P * V,
                                        .microbatches = M,
                                        .stage_rank = it->stage_rank,
                                        .costs = &it->costs,
                                        .cap = V + dice_roll(d, 4),
                                        .whole = dice_roll(d, 4) == 0,
                                        .own = dice_roll(d, 2)};
    assert_int_equal(weft_search_state_init(&it->state, &it->problem, &error), WEFT_OK);
    assert_int_equal(weft_search_order_init(&it->order, &it->state, &error), WEFT_OK);
    assert_int_equal(weft_search_list_init(&it->list, &it->order, &error), WEFT_OK);
}

static void finish(subject *it)
{
    weft_search_list_fini(&it->list);
    weft_search_order_fini(&it->order);
    weft_search_state_fini(&it->state);
}

/* An order by a rule of chance. */
static double list(dice *d, subject *it)
{
    double urgency[PASSES * MOST];
    int32_t limits[MOST];
    bool by_tail = dice_roll(d, 2), limited = dice_roll(d, 2);
    for (int32_t i = 0; i < it->order.count; i++) urgency[i] = by_tail ? it->order.nodes[i].tail : dice_roll(d, 1000);
    for (int32_t s = 0; s < it->state.S; s++) limits[s] = limited ? 1 + (int32_t)dice_roll(d, 3) : it->state.cap;
    weft_search_rule rule = {.urgency = urgency, .limits = limits, .room = 1 + (int32_t)dice_roll(d, 4)};
    return weft_search_list_run(&it->list, &rule);
}

/* What the program of an order says: it is proved, obeys the cap, runs micro-batches in order, and takes so long. */
static double prove(subject *it, const int32_t *sequence)
{
    weft_action actions[PASSES * MOST];
    size_t first[MOST + 1];
    int32_t next[PASSES][MOST] = {{0}};
    weft_search_row row;
    weft_program *program = NULL;
    weft_error error;
    static const weft_action_kind split[] = {WEFT_F, WEFT_I, WEFT_W}, whole[] = {WEFT_F, WEFT_B};
    for (int32_t r = 0; r <= it->state.P; r++) first[r] = (size_t)it->order.first[r];
    for (int32_t i = 0; i < it->order.count; i++) {
        const weft_search_node *node = &it->order.nodes[sequence[i]];
        assert_int_equal(node->microbatch, next[node->pass][node->stage]++);
        actions[i] = (weft_action){.kind = (it->problem.whole ? whole : split)[node->pass] & 0x3f,
                                   .stage = (uint32_t)node->stage & 0xffffff,
                                   .microbatch = (uint32_t)node->microbatch};
    }
    weft_schedule schedule = {.ranks = it->state.P,
                              .stages = it->state.S,
                              .microbatches = it->state.M,
                              .stage_rank = it->stage_rank,
                              .first = first,
                              .actions = actions};
    if (weft_program_create(&schedule, &(weft_lower_options){0}, &program, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    if (weft_program_verify(program, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_program_destroy(program);
    assert_int_equal(weft_search_simulate(&it->problem, &schedule, &row, &error), WEFT_OK);
    assert_true(row.held <= it->problem.cap);
    return it->problem.own ? row.own_step_time : row.step_time;
}

/* Down to the least cap there is, no rule gets stuck, and its order is what it says. */
static void test_every_rule_ends(void **state)
{
    (void)state;
    static subject it;
    dice d = {11};
    for (int round = 0; round < 3000; round++) {
        start(&d, &it);
        double value = list(&d, &it);
        assert_true(fabs(prove(&it, it.list.sequence) - value) < 1e-9);
        assert_true(weft_search_order_take(&it.order, it.list.sequence));
        assert_true(it.order.value == value);
        assert_true(weft_search_bound(&it.state, 0) <= value + 1e-9);
        finish(&it);
    }
}

/* All times of the order are those that it has when it is timed as a whole, in a second order. */
static void check_times(const weft_search_order *order, weft_search_order *again)
{
    assert_true(weft_search_order_take(again, order->sequence));
    assert_true(again->value == order->value);
    size_t count = (size_t)order->count;
    assert_memory_equal(again->begin, order->begin, count * sizeof *order->begin);
    assert_memory_equal(again->arrive, order->arrive, count * sizeof *order->arrive);
    assert_memory_equal(again->place, order->place, count * sizeof *order->place);
    assert_memory_equal(again->held, order->held, count * sizeof *order->held);
    for (size_t i = 0; i < count; i++)
        if (order->nodes[i].lane >= 0) assert_true(again->lane_before[i] == order->lane_before[i]);
}

/* A change is kept, or leaves no trace; times that are found by halves are those of the whole. */
static void change(dice *d, weft_search_order *order, int *kept)
{
    int32_t r = (int32_t)dice_roll(d, (uint32_t)order->state->P), count = order->first[r + 1] - order->first[r];
    int32_t from = order->first[r] + (int32_t)dice_roll(d, (uint32_t)count);
    int32_t to = order->first[r] + (int32_t)dice_roll(d, (uint32_t)count);
    static int32_t before[PASSES * MOST];
    double limit = dice_roll(d, 2) ? INFINITY : order->value;
    memcpy(before, order->sequence, (size_t)order->count * sizeof *before);
    if (weft_search_order_shift(order, from, to, dice_roll(d, 2))) {
        double value = weft_search_order_try(order, limit);
        if (value < INFINITY && value <= limit) {
            weft_search_order_keep(order, value);
            ++*kept;
            return;
        }
        weft_search_order_drop(order);
    }
    assert_memory_equal(before, order->sequence, (size_t)order->count * sizeof *before);
}

static void test_changes_keep_orders_valid(void **state)
{
    (void)state;
    static subject it;
    dice d = {12};
    int kept = 0;
    for (int round = 0; round < 400; round++) {
        weft_search_order again;
        weft_error error;
        start(&d, &it);
        assert_int_equal(weft_search_order_init(&again, &it.state, &error), WEFT_OK);
        list(&d, &it);
        assert_true(weft_search_order_take(&it.order, it.list.sequence));
        for (int i = 0; i < 40; i++) {
            change(&d, &it.order, &kept);
            check_times(&it.order, &again);
        }
        assert_true(fabs(prove(&it, it.order.sequence) - it.order.value) < 1e-9);
        weft_search_order_fini(&again);
        finish(&it);
    }
    assert_true(kept > 1000);
}

/* Wherever a partial order of chance comes to its end, it was never below the bound that it had on the way. */
static void test_bounds_hold(void **state)
{
    (void)state;
    static subject it;
    dice d = {13};
    int ends = 0;
    for (int round = 0; round < 3000; round++) {
        static double bounds[PASSES * MOST];
        static weft_search_move trail[PASSES * MOST];
        weft_search_undo undo;
        int32_t length = 0, rank;
        start(&d, &it);
        for (double time; it.state.left && (time = weft_search_next(&it.state, &rank)) < INFINITY;) {
            weft_search_move moves[WEFT_SEARCH_MOVES];
            bounds[length] = weft_search_bound(&it.state, time);
            int32_t count = weft_search_moves(&it.state, rank, time, moves);
            if (count > 1 && moves[count - 1].stage < 0 && dice_roll(&d, 30)) count--;
            weft_search_move move = moves[dice_roll(&d, (uint32_t)count)];
            weft_search_apply(&it.state, &move, time, &undo);
            if (move.stage >= 0) trail[length++] = move;
        }
        if (it.state.left == 0) {
            int32_t sequence[PASSES * MOST], next[MOST];
            memcpy(next, it.order.first, (size_t)it.state.P * sizeof *next);
            for (int32_t i = 0; i < length; i++)
                sequence[next[trail[i].rank]++] =
                    weft_search_pass_number(&it.state, trail[i].pass, trail[i].stage, trail[i].microbatch);
            double value = prove(&it, sequence);
            for (int32_t i = 0; i < length; i++) assert_true(bounds[i] <= value + 1e-9);
            ends++;
        }
        finish(&it);
    }
    assert_true(ends > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_ends),
        cmocka_unit_test(test_changes_keep_orders_valid),
        cmocka_unit_test(test_bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
