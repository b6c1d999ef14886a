/* The n-th allocation fails, for every n: the cause is reported and nothing is lost (the leak checker watches). */
#include "../program/build.h"
#include "plan/answer.h"
#include "plan/search.h"
#include "plan/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static int allocations_left = -1; /* -1: never fail */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return __real_aligned_alloc(alignment, size);
}

static weft_status whole_way(const weft_split_problem *problem, const weft_slot_sizes *sizes, weft_error *error)
{
    int32_t layers[4];
    weft_program *program = NULL;
    weft_lower_options options = {.update = true, .clip = true, .metrics = true, .sizes = sizes};
    TRY(weft_split_layers(problem, layers, NULL, NULL, error));
    TRY(weft_program_create(problem->schedule, &options, &program, error));
    weft_status status = weft_program_verify(program, error);
    weft_program_destroy(program);
    return status;
}

static void test_every_allocation(void **state)
{
    (void)state;
    static const size_t bytes[] = {64, 64, 128, 64};
    static const weft_slot_sizes sizes = {bytes, bytes, bytes};
    weft_layer_cost layers[] = {{1, 1, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 0}};
    weft_schedule_options options = {.kind = "breadth-first", .ranks = 2, .loops = 2, .microbatches = 3};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    weft_split_problem problem = {.schedule = schedule, .layers = layers, .layer_count = 3};
    int failures = 0;
    for (;; failures++) {
        weft_error_clear(&error);
        allocations_left = failures;
        weft_status status = whole_way(&problem, &sizes, &error);
        allocations_left = -1;
        if (status == WEFT_OK) break;
        assert_int_equal(status, WEFT_NO_MEMORY);
        assert_int_equal(error.status, WEFT_NO_MEMORY);
    }
    assert_true(failures > 50);
    weft_schedule_destroy(schedule);
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
    int failures = 0, errors = 0;
    for (bool all = false; !all; failures++) {
        weft_search_result result;
        weft_error error;
        weft_error_clear(&error);
        allocations_left = failures;
        problem.own = failures % 2;
        weft_status status = weft_search(&problem, &result, &error);
        all = allocations_left > 0;
        allocations_left = -1;
        if (status == WEFT_OK) assert_true(result.optimal);
        if (status != WEFT_OK) assert_int_equal(status, WEFT_NO_MEMORY);
        errors += status != WEFT_OK;
        weft_search_result_fini(&result);
    }
    assert_true(errors > 100);
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
    int failures = 0;
    for (;; failures++) {
        weft_plan_answer answer;
        weft_error_clear(&error);
        allocations_left = failures;
        weft_status status = weft_plan_find(&question, &(weft_plan_how){.threads = 1}, &answer, &error);
        allocations_left = -1;
        if (status == WEFT_OK) {
            assert_true(answer.count > 0);
            weft_plan_answer_fini(&answer);
            break;
        }
        assert_int_equal(status, WEFT_NO_MEMORY);
        assert_int_equal(error.status, WEFT_NO_MEMORY);
    }
    assert_true(failures > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation),
                                       cmocka_unit_test(test_every_allocation_of_a_plan),
                                       cmocka_unit_test(test_every_allocation_of_a_search)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
