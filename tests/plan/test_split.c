/* Splits: the numbers of GPT-2 124M, and local search against all splits of small models. */
#include "../program/build.h"
#include "plan/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static weft_schedule *create(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches)
{
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .loops = loops, .microbatches = microbatches};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    return schedule;
}

/* Matrix-product flops of two sequences of T = 512 tokens: 2 a weight and token each way, and causal attention of width
 * C, 2 T C a token forward and twice that for the gradient of the input. */
static weft_layer_cost cost_of(double weights, double width)
{
    double tokens = 2 * 512, product = 2 * weights * tokens, attention = 2 * 512 * width * tokens;
    return (weft_layer_cost){product + attention, product + 2 * attention, product, 0};
}

/* Step time of a split when buffers are shared as for the given stage costs. */
static double time_with_slots(const weft_split_problem *problem, const int32_t *layers, const double *stage_cost)
{
    size_t input[4] = {0, 64, 64, 64}, stash[4] = {128, 128, 128, 128}, work[4] = {0};
    double cost[4][4], step = 0, fraction = 0;
    weft_slot_sizes sizes = {input, stash, work};
    weft_lower_options options = problem->lower;
    options.sizes = &sizes;
    options.stage_cost = stage_cost;
    weft_program *program = NULL;
    weft_timeline timeline;
    weft_bubble_rank ranks[2];
    weft_error error = {0};
    assert_int_equal(weft_program_create(problem->schedule, &options, &program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    weft_split_stage_costs(problem, layers, cost[0], cost[1], cost[2], cost[3]);
    weft_costs costs = {.forward = cost[0],
                        .backward_input = cost[1],
                        .backward_weight = cost[2],
                        .update = cost[3],
                        .message = problem->message};
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    weft_bubble_measure(&timeline, &step, &fraction, ranks);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    return step;
}

static void test_gpt2(void **state)
{
    (void)state;
    weft_layer_cost layers[12];
    for (int i = 0; i < 12; i++) layers[i] = cost_of(7.08e6, 768);
    weft_schedule *schedule = create("breadth-first", 2, 2, 8);
    weft_split_problem problem = {.schedule = schedule,
                                  .layers = layers,
                                  .layer_count = 12,
                                  .head = cost_of(38.6e6, 0),
                                  .lower = {.update = true, .clip = true, .tied = true, .metrics = true}};
    int32_t even[] = {3, 3, 3, 3}, best[4], again[4];
    double even_time, even_efficiency, time, efficiency, check_time, check_efficiency;
    weft_error error = {0};
    assert_int_equal(weft_split_evaluate(&problem, even, &even_time, &even_efficiency, &error), WEFT_OK);
    assert_int_equal(weft_split_layers(&problem, best, &time, &efficiency, &error), WEFT_OK);
    print_message("even %.4f, found %.4f with %d %d %d %d layers\n", even_efficiency, efficiency, best[0], best[1],
                  best[2], best[3]);
    assert_true(even_efficiency < 0.77);
    assert_true(efficiency >= 0.93);
    assert_int_equal(best[0] + best[1] + best[2] + best[3], 12);
    assert_int_equal(weft_split_evaluate(&problem, best, &check_time, &check_efficiency, &error), WEFT_OK);
    assert_true(check_time == time && check_efficiency == efficiency && time < even_time);
    /* Sharing buffers costs nothing when lowering knows the stages' costs. */
    double cost[4][4];
    weft_split_stage_costs(&problem, best, cost[0], cost[1], cost[2], cost[3]);
    print_message("shared buffers: x %.4f, blind x %.4f\n", time_with_slots(&problem, best, cost[0]) / time,
                  time_with_slots(&problem, best, NULL) / time);
    assert_true(time_with_slots(&problem, best, cost[0]) <= time * 1.001);
    assert_int_equal(weft_split_layers(&problem, again, NULL, NULL, &error), WEFT_OK);
    assert_memory_equal(best, again, sizeof best);
    weft_schedule_destroy(schedule);
}

/* The best of all splits of the layers from stage s on. */
static double best_of_all(const weft_split_problem *problem, int32_t *layers, int32_t s, int32_t left)
{
    double best = INFINITY, time = 0;
    weft_error error = {0};
    if (s == problem->schedule->stages - 1) {
        layers[s] = left;
        assert_int_equal(weft_split_evaluate(problem, layers, &time, NULL, &error), WEFT_OK);
        return time;
    }
    for (layers[s] = 0; layers[s] <= left; layers[s]++) {
        time = best_of_all(problem, layers, s + 1, left - layers[s]);
        if (time < best) best = time;
    }
    return best;
}

static void test_against_all(void **state)
{
    (void)state;
    dice d = {8};
    int exact = 0, cases = 120;
    for (int i = 0; i < cases; i++) {
        static const char *const kinds[] = {"gpipe", "1f1b", "depth-first", "breadth-first"};
        uint32_t kind = dice_roll(&d, 4);
        int32_t loops = kind < 2 ? 1 : 2, ranks = 2 + (int32_t)dice_roll(&d, kind < 2 ? 3 : 1);
        weft_schedule *schedule = create(kinds[kind], ranks, loops, 1 + (int32_t)dice_roll(&d, 6));
        weft_layer_cost layers[8];
        weft_split_problem problem = {.schedule = schedule,
                                      .layers = layers,
                                      .layer_count = (int32_t)dice_roll(&d, 9),
                                      .message = dice_roll(&d, 2) * 0.1};
        for (int k = 0; k < 8; k++) layers[k] = (weft_layer_cost){1 + dice_roll(&d, 2) * 0.5, 1, 1, 0.1};
        double head = dice_roll(&d, 5);
        problem.head = (weft_layer_cost){head, head, head, head};
        int32_t found[16], all[16];
        double time;
        weft_error error = {0};
        assert_int_equal(weft_split_layers(&problem, found, &time, NULL, &error), WEFT_OK);
        double best = best_of_all(&problem, all, 0, problem.layer_count);
        assert_true(time >= best * (1 - 1e-9));
        if (time > best * 1.15) fail_msg("%s: %g found, %g is best", schedule->name, time, best);
        exact += time <= best * (1 + 1e-9);
        weft_schedule_destroy(schedule);
    }
    print_message("%d of %d splits are the best there is\n", exact, cases);
    assert_true(exact >= cases * 85 / 100);
}

static void test_equal_stays_even(void **state)
{
    (void)state;
    weft_schedule *schedule = create("1f1b", 4, 1, 8);
    weft_layer_cost layers[10];
    for (int i = 0; i < 10; i++) layers[i] = (weft_layer_cost){1, 1, 1, 0};
    weft_split_problem problem = {.schedule = schedule, .layers = layers, .layer_count = 8};
    int32_t found[4], even[] = {2, 2, 2, 2}, wrong[] = {2, 2, 2, 3}, below[] = {9, -1, 0, 0};
    double efficiency;
    weft_error error = {0};
    assert_int_equal(weft_split_layers(&problem, found, NULL, &efficiency, &error), WEFT_OK);
    assert_memory_equal(found, even, sizeof even);
    assert_true(fabs(efficiency - 8.0 / 11) < 1e-12);
    assert_int_equal(weft_split_evaluate(&problem, wrong, NULL, NULL, &error), WEFT_INVALID);
    assert_int_equal(weft_split_evaluate(&problem, below, NULL, NULL, &error), WEFT_INVALID);
    problem.layers = (weft_layer_cost[8]){[3] = {.forward = -1}};
    assert_int_equal(weft_split_layers(&problem, found, NULL, NULL, &error), WEFT_INVALID);
    weft_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gpt2), cmocka_unit_test(test_against_all),
                                       cmocka_unit_test(test_equal_stays_even)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
