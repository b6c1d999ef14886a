/* Closed forms of a planner against the programs they stand for, and against themselves. */
#include "plan/replay.h"
#include "plan/screen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODELS = 3, SAMPLE = 200 };

static const weft_plan_model models[MODELS] = {
    {.name = "1.3B", .layers = 24, .hidden = 2048, .heads = 16, .vocabulary = 50257, .sequence = 2048, .tied = true},
    {.name = "52B", .layers = 64, .hidden = 8192, .heads = 64, .vocabulary = 30592, .sequence = 1024, .tied = true},
    {.name = "70B",
     .layers = 80,
     .hidden = 8192,
     .ffn = 28672,
     .heads = 64,
     .kv_heads = 8,
     .vocabulary = 128256,
     .sequence = 4096,
     .gated = true},
};

static weft_plan_model complete(weft_plan_model model)
{
    weft_error error = {0};
    assert_int_equal(weft_plan_model_complete(&model, &error), WEFT_OK);
    return model;
}

static weft_plan_cluster make_cluster(const char *gpu, const char *software)
{
    weft_plan_cluster cluster;
    weft_plan_cluster_init(&cluster, weft_plan_gpu_find(gpu), weft_plan_software_find(software));
    cluster.nodes = 32;
    cluster.nic = 200e9;
    cluster.message_start = 30e-6;
    return cluster;
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* A layout at random that a screen would price. */
static bool draw_layout(uint64_t *seed, const weft_plan_model *model, weft_plan_kind kind, weft_plan_layout *out)
{
    static const int32_t powers[] = {1, 2, 4, 8, 16, 32, 64};
    *out = (weft_plan_layout){.data = powers[draw(seed, 4)],
                              .tensor = powers[draw(seed, 4)],
                              .pipeline = powers[1 + draw(seed, 4)],
                              .loops = 1,
                              .context = 1,
                              .micro_batch = powers[draw(seed, 3)],
                              .micro_batches = (int32_t)(1 + draw(seed, 40)),
                              .rounds = 1,
                              .kind = (uint8_t)kind};
    bool looped = kind == WEFT_PLAN_DEPTH_FIRST || kind == WEFT_PLAN_BREADTH_FIRST || kind == WEFT_PLAN_HYBRID;
    if (looped) out->loops = powers[1 + draw(seed, 3)];
    if (kind == WEFT_PLAN_ZB_V) out->loops = 2;
    if (out->data > 1) out->shard = (uint8_t)draw(seed, WEFT_SHARDS);
    if (kind == WEFT_PLAN_HYBRID) {
        out->rounds = (int32_t)(2 + draw(seed, 3));
        out->micro_batches = out->rounds * (out->pipeline + (int32_t)draw(seed, 10));
    }
    return model->layers % (out->pipeline * out->loops) == 0;
}

static double compare(const weft_plan_question *question, const weft_plan_layout *layout)
{
    weft_plan_cell cell;
    weft_plan_time time;
    weft_plan_replayed replayed;
    weft_error error = {0};
    weft_plan_cell_make(question->model, question->cluster, layout->tensor, layout->context, layout->micro_batch,
                        (weft_plan_recompute)layout->recompute, layout->sequence_parallel, &cell);
    weft_plan_step(question->model, question->cluster, &cell, layout, &time);
    assert_int_equal(weft_plan_replay(question, layout, &replayed, &error), WEFT_OK);
    return time.step / replayed.time.step - 1;
}

static void test_screen_is_replay(void **state)
{
    (void)state;
    uint64_t seed = 1;
    double worst = 0;
    for (int i = 0; i < SAMPLE;) {
        weft_plan_model model = complete(models[draw(&seed, MODELS)]);
        weft_plan_kind kind = (weft_plan_kind)(1 + draw(&seed, WEFT_PLAN_KINDS - 1));
        weft_plan_cluster cluster = make_cluster("A100-SXM-80GB", draw(&seed, 2) ? "weft" : "megatron-2022");
        weft_plan_layout layout;
        if (!draw_layout(&seed, &model, kind, &layout)) continue;
        weft_plan_question question = {.model = &model, .cluster = &cluster, .gpus = 4096, .batch = 1};
        double off = compare(&question, &layout);
        worst = fmax(worst, fabs(off));
        if (fabs(off) > 0.03)
            print_message(
                "%s %s %s: data %d tensor %d pipeline %d loops %d micro-batch %d x %d rounds %d shard %d: %+.1f %%\n",
                model.name, cluster.software.name, weft_plan_kind_name(kind), layout.data, layout.tensor,
                layout.pipeline, layout.loops, layout.micro_batch, layout.micro_batches, layout.rounds, layout.shard,
                100 * off);
        i++;
    }
    assert_true(worst < 0.03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen_is_replay),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
