/* Runs from CSV, and the constants that they were made with found again. */
#include "base/text.h"
#include "plan/fit.h"
#include "plan/rings.h"
#include "program/program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char header[] =
    "id,group,gpu,gpus,gpus_per_node,arch,layers,hidden,heads,vocab,seq,global_batch,micro_batch,"
    "micro_batches,data,tensor,pipeline,schedule,recompute,attention,step_s,mem_bytes,mem_kind\n";

static weft_status read_text(weft_plan_runs *runs, const char *text, weft_error *error)
{
    *error = (weft_error){0};
    return weft_plan_runs_read(runs, text, strlen(text), "runs.csv", error);
}

static weft_plan_cluster make_cluster(void)
{
    weft_plan_cluster cluster;
    weft_plan_cluster_init(&cluster, weft_plan_gpu_find("A100-SXM-80GB"), weft_plan_software_find("megatron-2022"));
    cluster.software.stall = 0;
    return cluster;
}

/* Layouts of two models over 64 GPUs, without times. */
static void make_runs(weft_plan_runs *runs)
{
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    weft_text_add(&text, "%s", header);
    for (int i = 0; i < 48; i++) {
        int tensor = 1 << i % 4, pipeline = 1 << i / 4 % 3, data = 64 / tensor / pipeline, size = 1 << i / 12 % 3;
        weft_text_add(
            &text, "r%d,g,A100-SXM-80GB,64,8,gpt,32,%d,32,50257,2048,%d,%d,8,%d,%d,%d,%s,full,flash,1,4e10,device\n", i,
            i % 2 ? 4096 : 2048, 8 * size * data, size, data, tensor, pipeline, pipeline > 1 ? "1f1b" : "none");
    }
    assert_int_equal(read_text(runs, weft_text_get(&text), &error), WEFT_OK);
    assert_int_equal(runs->count, 48);
    weft_text_fini(&text);
}

static void test_constants_are_found_again(void **state)
{
    (void)state;
    weft_plan_cluster real = make_cluster(), guess = make_cluster();
    real.software.speed = 0.88;
    real.software.host = 0.9e-3;
    real.nic_efficiency = 0.35;
    real.reserved = 3e9;
    weft_plan_runs runs = {0};
    weft_plan_fit fit;
    weft_error error = {0};
    make_runs(&runs);
    for (size_t i = 0; i < runs.count; i++) {
        runs.rows[i].step = weft_plan_run_step(&real, &runs.rows[i]);
        runs.rows[i].memory = weft_plan_run_memory(&real, &runs.rows[i]);
    }
    assert_int_equal(weft_plan_fit_runs(runs.rows, runs.count, &guess, &fit, &error), WEFT_OK);
    assert_int_equal(fit.time.used, runs.count);
    assert_true(fit.time.error < 0.01 && fit.memory.error < 0.02);
    assert_true(fabs(guess.software.speed / real.software.speed - 1) < 0.03);
    assert_true(fabs(guess.software.host / real.software.host - 1) < 0.1);
    assert_true(fabs(guess.reserved / real.reserved - 1) < 0.2);
    weft_plan_fit_fini(&fit);
    weft_plan_runs_fini(&runs);
}

/* A shape that takes longer than the forms say keeps that factor, and no other shape gets it. */
static void test_shapes_have_factors(void **state)
{
    (void)state;
    weft_plan_cluster cluster = make_cluster();
    weft_plan_runs runs = {0};
    weft_plan_fit fit;
    weft_error error = {0};
    make_runs(&runs);
    for (size_t i = 0; i < runs.count; i++) {
        weft_plan_run *run = &runs.rows[i];
        bool slow = run->model.hidden == 4096 && run->layout.tensor == 2 && run->layout.micro_batch == 1;
        run->step = weft_plan_run_step(&cluster, run) * (slow ? 1.25 : 1);
    }
    assert_int_equal(weft_plan_fit_runs(runs.rows, runs.count, &cluster, &fit, &error), WEFT_OK);
    for (int32_t i = 0; i < fit.shape_count; i++) {
        const weft_plan_shape_times *shape = &fit.shapes[i];
        bool slow = shape->hidden == 4096 && shape->tensor == 2 && shape->tokens == 2048;
        assert_true(slow ? shape->times > 1.15 : fabs(shape->times - 1) < 0.08);
    }
    weft_plan_fit_fini(&fit);
    weft_plan_runs_fini(&runs);
}

/* A trainer that computes half of each layer again, fused attention or not, is found out by what its runs take. */
static void test_what_selective_means(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        weft_plan_cluster real = make_cluster(), guess = make_cluster();
        weft_plan_runs runs = {0};
        weft_plan_fit fit;
        weft_error error = {0};
        if (half) real.software.selective = 0.5;
        make_runs(&runs);
        for (size_t i = 0; i < runs.count; i++) {
            runs.rows[i].layout.recompute = i % 3 ? WEFT_PLAN_RECOMPUTE_SELECTIVE : WEFT_PLAN_RECOMPUTE_NONE;
            runs.rows[i].step = weft_plan_run_step(&real, &runs.rows[i]);
        }
        assert_int_equal(weft_plan_fit_runs(runs.rows, runs.count, &guess, &fit, &error), WEFT_OK);
        assert_true(guess.software.selective == real.software.selective);
        weft_plan_fit_fini(&fit);
        weft_plan_runs_fini(&runs);
    }
}

/* However few runs of sharded weights there are, none is explained by gathers that nothing hides. */
static void test_sharded_weights_come_beside_compute(void **state)
{
    (void)state;
    weft_plan_cluster guess = make_cluster();
    weft_plan_runs runs = {0};
    weft_plan_fit fit;
    weft_error error = {0};
    make_runs(&runs);
    for (size_t i = 0; i < runs.count; i++) {
        runs.rows[i].layout.shard = WEFT_SHARD_WEIGHTS;
        runs.rows[i].step = 1.5 * weft_plan_run_step(&guess, &runs.rows[i]);
    }
    assert_int_equal(weft_plan_fit_runs(runs.rows, runs.count, &guess, &fit, &error), WEFT_OK);
    assert_true(guess.software.reduces_overlap);
    weft_plan_fit_fini(&fit);
    weft_plan_runs_fini(&runs);
}

static void test_unusable_rows_say_why(void **state)
{
    (void)state;
    static const char *const cells[][2] = {
        {"gpt,24,1024,16,1000,512,8,1,8,1,1,1,none", NULL},
        {"perceptron,24,1024,16,1000,512,8,1,8,1,1,1,none", "architecture"},
        {"gpt,24,1024,16,1000,512,8,1,8,1,1,1,zigzag", "schedule"},
        {"gpt,24,1024,7,1000,512,8,1,8,1,1,1,none", "model"},
        {"gpt,,1024,16,1000,512,8,1,8,1,1,1,none", "model"},
        {"gpt,24,1024,16,1000,512,8,,8,1,1,1,none", "micro-batches"},
    };
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char text[1024];
        weft_plan_runs runs = {0};
        weft_error error;
        snprintf(text, sizeof text, "%sx,g,A100-SXM-80GB,1,8,%s,full,flash,1,,\n", header, cells[i][0]);
        assert_int_equal(read_text(&runs, text, &error), WEFT_OK);
        assert_int_equal(runs.count, 1);
        if (cells[i][1])
            assert_string_equal(runs.rows[0].unusable, cells[i][1]);
        else
            assert_null(runs.rows[0].unusable);
        weft_plan_cluster cluster = make_cluster();
        weft_plan_fit fit;
        weft_status status = weft_plan_fit_runs(runs.rows, runs.count, &cluster, &fit, &error);
        assert_int_equal(status, cells[i][1] ? WEFT_INVALID : WEFT_OK);
        weft_plan_fit_fini(&fit);
        weft_plan_runs_fini(&runs);
    }
}

static void test_hostile_text_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "\n",
                                        ",",
                                        "id,colour\n1,2\n",
                                        "id,id\n1,2\n",
                                        "id,gpus\nx,-1\n",
                                        "id,gpus\nx,one\n",
                                        "id,gpus\nx,inf\n",
                                        "id,gpus\nx,1,2\n",
                                        "id,gpus,seq\nx,1\n",
                                        "id,\"gpus\nx,1\n",
                                        "\xff\xfe\x00"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weft_plan_runs runs = {0};
        weft_error error;
        assert_int_equal(read_text(&runs, texts[i], &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "runs.csv"));
        weft_plan_runs_fini(&runs);
    }
}

/* Numbers beyond all measure make rows that cannot be used, or steps that are numbers. */
static void test_extreme_numbers(void **state)
{
    (void)state;
    static const char *const numbers[] = {"1e300", "0", "4294967296", "1e-300", "2147483647"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int place = 0; place < 12; place++) {
            weft_text text;
            weft_plan_runs runs = {0};
            weft_error error;
            weft_text_init(&text);
            weft_text_add(&text, "%sx,g,A100-SXM-80GB", header);
            static const char *const usual[] = {"8",   "8", "gpt", "24", "1024", "16", "1000",
                                                "512", "8", "1",   "8",  "1",    "1",  "1"};
            for (int k = 0; k < 14; k++) weft_text_add(&text, ",%s", k == place + (place > 1) ? numbers[i] : usual[k]);
            weft_text_add(&text, ",none,full,flash,1,,\n");
            assert_int_equal(read_text(&runs, weft_text_get(&text), &error), WEFT_OK);
            if (weft_plan_run_has_time(&runs.rows[0])) {
                weft_plan_cluster cluster = make_cluster();
                assert_true(weft_plan_run_step(&cluster, &runs.rows[0]) > 0);
            }
            weft_plan_runs_fini(&runs);
            weft_text_fini(&text);
        }
}

/* Times of a ring give its start and bus back, for each size of ring that is a power of two. */
static void test_rings_from_a_table(void **state)
{
    (void)state;
    weft_plan_gpu gpu = *weft_plan_gpu_find("A100-SXM-80GB");
    weft_error error = {0};
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "gpu,gpus_in_ring,op,bytes,time_us_out_of_place,source\n");
    for (int members = 2; members <= 4; members++)
        for (double bytes = 1e6; bytes < 1e9; bytes *= 4)
            weft_text_add(&text, "A100,%d,all_reduce,%.0f,%.9g,\"a, b\"\nV100,%d,all_reduce,%.0f,1,\n", members, bytes,
                          10 * members + 2e6 * (members - 1) / members * bytes / 200e9, members, bytes);
    assert_int_equal(weft_plan_rings_read(weft_text_get(&text), text.length, "table", &gpu, &error), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(fabs(gpu.rings[i].bus / 200e9 - 1) < 1e-6);
        assert_true(fabs(gpu.rings[i].start / ((20 << i) * 1e-6) - 1) < 1e-6);
    }
    assert_true(gpu.rings[2].bus == 0);
    weft_text_fini(&text);
    static const char *const bad[] = {"", "gpus_in_ring,bytes\n", "gpus_in_ring,bytes,time_us_out_of_place\n2,1,1\n",
                                      "gpus_in_ring,bytes,time_us_out_of_place\n2,x,1\n",
                                      "gpus_in_ring,bytes,time_us_out_of_place\n2,1,2\n2,2,1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weft_plan_rings_read(bad[i], strlen(bad[i]), "table", &gpu, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "table"));
        error = (weft_error){0};
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants_are_found_again), cmocka_unit_test(test_shapes_have_factors),
        cmocka_unit_test(test_what_selective_means),      cmocka_unit_test(test_sharded_weights_come_beside_compute),
        cmocka_unit_test(test_unusable_rows_say_why),     cmocka_unit_test(test_hostile_text_is_refused),
        cmocka_unit_test(test_extreme_numbers),           cmocka_unit_test(test_rings_from_a_table),
    };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
