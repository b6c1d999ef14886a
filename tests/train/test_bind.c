/*
 * Bound programs of many layouts: every action is there once, waits are enough, and each of them is needed: left out,
 * something may begin too early.
 */
#include "bound_check.h"
#include "layouts.h"
#include "place.h"

#include "train/executor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int checked_waits;

static void check_signals(const weft_bound *bound, const char *name)
{
    bool *waited = calloc(bound->count, 1);
    for (uint32_t i = 0; i < bound->count; i++)
        for (uint32_t k = 0; k < bound->instructions[i].wait_count; k++)
            waited[bound->waits[bound->instructions[i].waits + k]] = true;
    for (uint32_t i = 0; i < bound->count; i++)
        if (waited[i] != bound->instructions[i].signals) fail_msg("%s: signal of instruction %u", name, i);
    free(waited);
}

static void check_bound(const weft_bound *bound, int32_t rank, const char *name)
{
    char why[128] = "";
    uint32_t waits = 0;
    if (!bound_is_whole(bound, rank, why, sizeof why)) fail_msg("%s, rank %d: %s", name, rank, why);
    if (!bound_waits_enough(bound, UINT32_MAX, why, sizeof why)) fail_msg("%s, rank %d: %s", name, rank, why);
    for (uint32_t i = 0; i < bound->count; i++) waits += bound->instructions[i].wait_count;
    for (uint32_t i = 0; i < waits; i++, checked_waits++)
        if (bound_waits_enough(bound, i, why, sizeof why))
            fail_msg("%s, rank %d: others imply wait %u of %u", name, rank, i, waits);
    check_signals(bound, name);
}

/* What is judged are the first numbers of all micro-batches, wherever they lie among the others. */
static void check_losses(const weft_worker *worker, const weft_bound *bound)
{
    const weft_memory_row *row = weft_memory_plan_find(&worker->plan, WEFT_ROW_HOST_BATCH_LOSSES, -1);
    int64_t numbers = weft_stage_losses(&worker->job->stages[0].train);
    for (uint32_t i = 0; i < bound->count; i++) {
        const weft_instruction *each = &bound->instructions[i];
        if (each->operation != WEFT_OPERATION_METRICS) continue;
        assert_int_equal(each->metrics.stride, numbers);
        assert_int_equal((size_t)(each->metrics.count * numbers) * sizeof(float), row->bytes);
    }
}

static void check_worker(const weft_job *job, weft_local_hub *hub, int32_t number, const char *name)
{
    weft_transport *transport = NULL;
    weft_worker *worker = NULL;
    weft_error error;
    assert_int_equal(weft_local_transport_create(hub, number, &transport, &error), WEFT_OK);
    if (weft_worker_create(job, number, transport, &worker, &error) != WEFT_OK) fail_msg("%s", error.text);
    check_bound(weft_executor_bound(worker->train), worker->at.rank, name);
    check_bound(weft_executor_bound(worker->forward), worker->at.rank, name);
    check_losses(worker, weft_executor_bound(worker->train));
    transport->operations->destroy(transport);
    weft_worker_destroy(worker);
}

static void check_layout(test_suite *suite, const test_layout *layout, const test_run *base)
{
    (void)suite;
    char name[256];
    weft_config config;
    weft_job *job = NULL;
    weft_arena arena;
    const weft_group *groups = NULL;
    int32_t count = 0;
    weft_local_hub *hub = NULL;
    weft_error error;
    test_layout_name(layout, name, sizeof name);
    if (test_layout_job(base, test_corpus, layout, "local", &config, &job, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    weft_arena_init(&arena);
    assert_int_equal(weft_world_groups(job, &arena, &groups, &count, &error), WEFT_OK);
    assert_int_equal(weft_local_hub_create(job->workers, groups, count, &hub, &error), WEFT_OK);
    for (int32_t w = 0; w < job->workers; w++)
        if (weft_world_coordinates(job, w).data == 0) check_worker(job, hub, w, name);
    weft_local_hub_destroy(hub);
    weft_arena_fini(&arena);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

static void check_all(const char *const *model, int data, int tensor)
{
    test_run base = {.device = "reference", .model = model};
    snprintf(base.folder, sizeof base.folder, "%s/run", test_folder);
    for (int i = 0; i < TEST_PIPELINES; i++) {
        test_layout layout = {.schedule = test_pipelines[i].schedule,
                              .data = data,
                              .pipeline = test_pipelines[i].pipeline,
                              .loops = test_pipelines[i].loops,
                              .shard = "none",
                              .reduce = "once",
                              .buffers = 1,
                              .element = "fp32",
                              .recompute = "none",
                              .tensor = tensor};
        if (data > 1)
            test_suite_shards(NULL, &base, layout, check_layout);
        else
            check_layout(NULL, &layout, &base);
    }
}

static void test_pipelines_alone(void **state)
{
    (void)state;
    check_all(NULL, 1, 1);
}

static void test_shared_weights(void **state)
{
    (void)state;
    static const char *const tied[] = {"model.tied=true", NULL};
    check_all(tied, 1, 2);
}

/* Updates that wait for the losses of all. */
static void test_skipped_steps(void **state)
{
    (void)state;
    static const char *const skips[] = {"optimizer.skip=6", "optimizer.skip_window=2", "model.tied=true", "loss.z=0.01",
                                        NULL};
    check_all(skips, 1, 1);
}

static void test_shards(void **state)
{
    (void)state;
    check_all(NULL, 2, 1);
    assert_true(checked_waits > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pipelines_alone), cmocka_unit_test(test_shared_weights),
                                       cmocka_unit_test(test_skipped_steps), cmocka_unit_test(test_shards)};
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
