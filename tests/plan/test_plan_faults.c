/* The n-th allocation of a calibration, a screen and a replay fails, for every n: the cause is reported, nothing is
 * lost. */
#include "base/text.h"
#include "plan/answer.h"
#include "plan/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

static const char rows[] =
    "id,gpu,gpus,gpus_per_node,arch,layers,hidden,heads,vocab,seq,micro_batch,micro_batches,data,"
    "tensor,pipeline,schedule,attention,step_s\n"
    "a,A100-SXM-80GB,8,8,gpt,8,1024,16,1000,512,1,4,4,1,2,1f1b,flash,0.1\n"
    "b,A100-SXM-80GB,8,8,gpt,8,1024,16,1000,512,2,4,4,2,1,none,flash,0.2\n";

static weft_status plan(weft_plan_cluster *cluster, weft_error *error)
{
    weft_plan_model model = {.layers = 8, .hidden = 1024, .heads = 16, .vocabulary = 1000, .sequence = 512};
    TRY(weft_plan_model_complete(&model, error));
    weft_plan_question question = {.model = &model, .cluster = cluster, .gpus = 4, .batch = 4, .top = 3, .room = 1e12};
    question.fix.kinds = 1u << WEFT_PLAN_1F1B | 1u << WEFT_PLAN_BREADTH_FIRST;
    weft_plan_how how = {.threads = 1};
    weft_plan_answer answer;
    TRY(weft_plan_find(&question, &how, &answer, error));
    weft_plan_answer_fini(&answer);
    return WEFT_OK;
}

static weft_status whole_way(weft_error *error)
{
    weft_plan_runs runs = {0};
    weft_plan_fit fit = {0};
    weft_plan_cluster cluster;
    weft_plan_cluster_init(&cluster, weft_plan_gpu_find("A100-SXM-80GB"), weft_plan_software_find("weft"));
    weft_status status = weft_plan_runs_read(&runs, rows, sizeof rows - 1, "rows", error);
    if (status == WEFT_OK) status = weft_plan_fit_runs(runs.rows, runs.count, &cluster, &fit, error);
    if (status == WEFT_OK) status = plan(&cluster, error);
    weft_plan_fit_fini(&fit);
    weft_plan_runs_fini(&runs);
    return status;
}

static void test_every_allocation(void **state)
{
    (void)state;
    int failures = 0;
    for (;; failures++) {
        weft_error error = {0};
        allocations_left = failures;
        weft_status status = whole_way(&error);
        allocations_left = -1;
        if (status == WEFT_OK) break;
        assert_int_equal(status, WEFT_NO_MEMORY);
        assert_int_equal(error.status, WEFT_NO_MEMORY);
    }
    assert_true(failures > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests_name("plan_memory", tests, NULL, NULL);
}
