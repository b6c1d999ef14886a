/* Each allocation in turn fails: the cause is reported and nothing is lost (the leak checker watches). */
#include "../base/failing.h"
#include "plan/answer.h"
#include "plan/place.h"
#include "plan/search.h"
#include "plan/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static weft_status whole_way(void *context, weft_error *error)
{
    static const size_t bytes[] = {64, 64, 128, 64};
    static const weft_slot_sizes sizes = {bytes, bytes, bytes};
    const weft_split_problem *problem = context;
    int32_t layers[4];
    weft_program *program = NULL;
    weft_lower_options options = {.update = true, .clip = true, .metrics = true, .sizes = &sizes};
    TRY(weft_split_layers(problem, layers, NULL, NULL, error));
    TRY(weft_program_create(problem->schedule, &options, &program, error));
    weft_status status = weft_program_verify(program, error);
    weft_program_destroy(program);
    return status;
}

static void test_every_allocation(void **state)
{
    (void)state;
    weft_layer_cost layers[] = {{1, 1, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 0}};
    weft_schedule_options options = {.kind = "breadth-first", .ranks = 2, .loops = 2, .microbatches = 3};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    weft_split_problem problem = {.schedule = schedule, .layers = layers, .layer_count = 3};
    assert_true(failing_each(whole_way, &problem, FAILING_REPORTS) > 50);
    weft_schedule_destroy(schedule);
}

static weft_status place(void *context, weft_error *error)
{
    weft_placed placed;
    int32_t chosen = 0;
    weft_status status = weft_placed_init(&placed, context, error);
    if (status == WEFT_OK) status = weft_placed_choose(&placed, NULL, NULL, &chosen, error);
    if (status == WEFT_OK) assert_int_equal(placed.count, 4);
    if (status == WEFT_OK) assert_int_equal(chosen, 2);
    weft_placed_fini(&placed);
    return status;
}

/* None of the placements is left out for it. */
static void test_every_allocation_of_a_placing(void **state)
{
    (void)state;
    weft_layer_cost layers[] = {{1, 1, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 0}};
    weft_placing placing = {.split = {.layers = layers, .layer_count = 3, .head = {1, 1, 1, 0}},
                            .options = {.kind = "breadth-first", .ranks = 2, .loops = 1, .microbatches = 3},
                            .longest = 100};
    assert_true(failing_each(place, &placing, FAILING_REPORTS) > 100);
}

static weft_status search(void *context, weft_error *error)
{
    weft_search_result result;
    weft_status status = weft_search(context, &result, error);
    if (status == WEFT_OK) assert_true(result.optimal);
    weft_search_result_fini(&result);
    return status;
}

/* What the search remembers may be forgotten: there a failure is no error. */
static void test_every_allocation_of_a_search(void **state)
{
    (void)state;
    static const int32_t stage_rank[] = {0, 1, 1, 0};
    static const double ones[] = {1, 1, 1, 1};
    weft_costs costs = {.forward = ones, .backward_input = ones, .backward_weight = ones, .message = 0.5};
    weft_search_problem problem = {.ranks = 2,
                                   .stages = 4,
                                   .microbatches = 3,
                                   .stage_rank = stage_rank,
                                   .placement = "v",
                                   .costs = &costs,
                                   .cap = 3,
                                   .seconds = 60};
    assert_true(failing_each(search, &problem, FAILING_FORGIVES) > 100);
    problem.own = true;
    assert_true(failing_each(search, &problem, FAILING_FORGIVES) > 100);
}

static weft_status find(void *context, weft_error *error)
{
    weft_plan_answer answer = {0};
    weft_status status = weft_plan_find(context, &(weft_plan_how){.threads = 1}, &answer, error);
    if (status == WEFT_OK) assert_true(answer.count > 0);
    weft_plan_answer_fini(&answer);
    return status;
}

/* Screen, replays and the answer. */
static void test_every_allocation_of_a_plan(void **state)
{
    (void)state;
    weft_plan_model model = {
        .name = "model", .layers = 2, .hidden = 1024, .heads = 16, .vocabulary = 1000, .sequence = 128, .tied = true};
    weft_plan_cluster cluster;
    weft_error error = {0};
    assert_int_equal(weft_plan_model_complete(&model, &error), WEFT_OK);
    weft_plan_cluster_init(&cluster, weft_plan_gpu_find("A100-SXM-80GB"), weft_plan_software_find("weft"));
    weft_plan_question question = {.model = &model, .cluster = &cluster, .gpus = 2, .batch = 2, .top = 3};
    question.fix.kinds = 1u << WEFT_PLAN_1F1B | 1u << WEFT_PLAN_NONE;
    assert_true(failing_each(find, &question, FAILING_REPORTS) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation), cmocka_unit_test(test_every_allocation_of_a_plan),
        cmocka_unit_test(test_every_allocation_of_a_placing), cmocka_unit_test(test_every_allocation_of_a_search)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
