/* Closed forms of a planner against the programs they stand for, and against themselves. */
#include "../draw.h"
#include "plan/answer.h"
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
    const weft_plan_kind_traits *traits = weft_plan_kind_of(kind);
    out->loops = traits->loops ? traits->loops : powers[1 + draw(seed, 3)];
    out->micro_batches += traits->least * out->pipeline;
    if (out->data > 1) out->shard = (uint8_t)draw(seed, WEFT_SHARDS);
    /* Where F and B of many stages take turns at two buffers of weights, or late W want them, only the replay knows. */
    bool turns = kind == WEFT_PLAN_DEPTH_FIRST || kind == WEFT_PLAN_HYBRID ||
                 kind == WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE || kind == WEFT_PLAN_BREADTH_FIRST_SPLIT;
    if (turns && out->loops > 2 && out->shard == WEFT_SHARD_WEIGHTS) out->shard = WEFT_SHARD_GRADIENTS;
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

static weft_plan_time price(const weft_plan_model *model, const weft_plan_cluster *cluster,
                            const weft_plan_layout *layout)
{
    weft_plan_cell cell;
    weft_plan_time time;
    weft_plan_cell_make(model, cluster, layout->tensor, layout->context, layout->micro_batch,
                        (weft_plan_recompute)layout->recompute, layout->sequence_parallel, &cell);
    weft_plan_step(model, cluster, &cell, layout, &time);
    return time;
}

/* Layouts of all kinds, of the model that draw picks. */
static void draw_any(uint64_t *seed, weft_plan_model *model, weft_plan_layout *out)
{
    do {
        *model = complete(models[draw(seed, MODELS)]);
    } while (!draw_layout(seed, model, (weft_plan_kind)(1 + draw(seed, WEFT_PLAN_KINDS - 1)), out));
    out->recompute = (uint8_t)draw(seed, WEFT_PLAN_RECOMPUTES);
}

static void test_parts_add_up(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int i = 0; i < 500; i++) {
        weft_plan_model model;
        weft_plan_layout layout;
        draw_any(&seed, &model, &layout);
        weft_plan_cluster cluster = make_cluster("H100-SXM-80GB", i % 2 ? "weft" : "megatron-2022");
        weft_plan_time time = price(&model, &cluster, &layout);
        double sum = 0;
        for (int part = 0; part < WEFT_PLAN_PARTS; part++) {
            assert_true(time.part[part] >= -1e-12 * time.step);
            sum += time.part[part];
        }
        assert_true(fabs(sum / time.step - 1) < 1e-9);
    }
}

/* Nothing that is faster makes a layout slower. */
static void test_faster_is_not_slower(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 500; i++) {
        weft_plan_model model;
        weft_plan_layout layout;
        draw_any(&seed, &model, &layout);
        weft_plan_cluster cluster = make_cluster("A100-SXM-80GB", i % 2 ? "weft" : "megatron-2022"), faster = cluster;
        double *const rates[] = {&faster.nic, &faster.gpu.link, &faster.gpu.bandwidth, &faster.gpu.peak};
        *rates[draw(&seed, 4)] *= 1.5;
        double before = price(&model, &cluster, &layout).step, after = price(&model, &faster, &layout).step;
        assert_true(after <= before * (1 + 1e-9));
    }
}

static double best_of(const weft_plan_question *question)
{
    weft_plan_screened found;
    weft_error error = {0};
    assert_int_equal(weft_plan_screen(question, NULL, &found, &error), WEFT_OK);
    double best = found.best_count ? found.best[0].step : INFINITY;
    weft_plan_screened_fini(&found);
    return best;
}

static void test_more_memory_and_gpus_are_not_slower(void **state)
{
    (void)state;
    weft_plan_model model = complete(models[1]);
    weft_plan_cluster cluster = make_cluster("A100-SXM-40GB", "weft");
    double before = INFINITY;
    for (int64_t gpus = 16; gpus <= 256; gpus *= 2) {
        weft_plan_question question = {.model = &model, .cluster = &cluster, .gpus = gpus, .batch = 64, .top = 1};
        double best = best_of(&question);
        assert_true(best <= before);
        before = best;
        weft_plan_cluster larger = cluster;
        larger.gpu.memory *= 2;
        question.cluster = &larger;
        assert_true(best_of(&question) <= best);
    }
}

/* DESIGN.md's bubbles of equal stages without messages: of b over compute. */
static void test_bubbles_without_messages(void **state)
{
    (void)state;
    weft_plan_model model = complete((weft_plan_model){
        .layers = 64, .hidden = 16384, .heads = 128, .vocabulary = 128, .sequence = 2048, .tied = true});
    weft_plan_cluster cluster = make_cluster("A100-SXM-80GB", "weft");
    cluster.nic = cluster.gpu.link = 1e18;
    cluster.message_start = cluster.software.host = cluster.software.step = 0;
    static const struct {
        weft_plan_kind kind;
        int32_t p, v, m;
        double bubble;
    } cases[] = {
        {WEFT_PLAN_1F1B, 4, 1, 8, 3.0 / 8},
        {WEFT_PLAN_GPIPE, 8, 1, 16, 7.0 / 16},
        {WEFT_PLAN_DEPTH_FIRST, 4, 4, 8, 3.0 / 32},
        {WEFT_PLAN_BREADTH_FIRST, 8, 4, 4, (4.0 * 8 + 4 - 1) / 16 - 1}, /* 105 of 16 x 3 */
        {WEFT_PLAN_BREADTH_FIRST, 4, 2, 12, (2.0 * 12 + 4 - 1) / 24 - 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_plan_layout layout = {.data = 1, .tensor = 1, .context = 1, .micro_batch = 1, .rounds = 1};
        layout.kind = (uint8_t)cases[i].kind;
        layout.pipeline = cases[i].p;
        layout.loops = cases[i].v;
        layout.micro_batches = cases[i].m;
        weft_plan_time time = price(&model, &cluster, &layout);
        double compute = time.part[WEFT_PLAN_COMPUTE] + time.part[WEFT_PLAN_EDGES];
        assert_true(fabs(time.part[WEFT_PLAN_BUBBLE] / compute - cases[i].bubble) < 0.01);
    }
}

static void test_memory_lines_add_up(void **state)
{
    (void)state;
    uint64_t seed = 4;
    for (int i = 0; i < 200; i++) {
        weft_plan_model model;
        weft_plan_layout layout;
        weft_plan_cell cell;
        weft_plan_memory memory;
        draw_any(&seed, &model, &layout);
        weft_plan_cluster cluster = make_cluster("A100-SXM-80GB", "weft");
        weft_plan_cell_make(&model, &cluster, layout.tensor, 1, layout.micro_batch,
                            (weft_plan_recompute)layout.recompute, false, &cell);
        weft_plan_memory_of(&model, &cluster, &cell, &layout, NULL, NULL, &memory);
        double sum = 0;
        for (int line = 0; line < WEFT_PLAN_LINES; line++)
            if (line != WEFT_PLAN_LINE_RESERVED) sum += memory.line[line];
        assert_true(fabs((sum * cluster.software.slack + cluster.reserved) / memory.bytes - 1) < 1e-9);
        assert_true(weft_plan_least_memory(&model, &cluster, &layout) <= memory.bytes);
    }
}

/* The gradient of a table that both ends of a pipeline have is exchanged once a step, a share of it where it is
 * divided; what tensor-parallel workers add up comes once a step, too. In closed form and program alike. */
static void test_what_comes_once_a_step(void **state)
{
    (void)state;
    weft_plan_layer_time times[] = {{2048, 2, 1, 1e-3, 2e-3, 1e-4, 1e-4, 2e-3, 4e-3, 0, false}};
    weft_plan_cluster cluster = make_cluster("A100-SXM-80GB", "weft");
    cluster.measured = times;
    cluster.measured_count = 1;
    for (int shard = WEFT_SHARD_NONE; shard <= WEFT_SHARD_OPTIMIZER; shard++) {
        weft_plan_model tied = complete(models[0]), apart = tied;
        apart.tied = false;
        weft_plan_layout layout = {.data = 4,
                                   .tensor = 2,
                                   .pipeline = 4,
                                   .loops = 2,
                                   .context = 1,
                                   .micro_batch = 1,
                                   .micro_batches = 8,
                                   .rounds = 1,
                                   .kind = WEFT_PLAN_BREADTH_FIRST,
                                   .shard = (uint8_t)shard};
        double bytes = 4 * 50432.0 / 2 * 2048 / (shard ? 4 : 1); /* the vocabulary, padded to 128 t */
        double once = weft_plan_all_reduce(&cluster, bytes, 2, 1, 8);
        times[0].sum = 0;
        double found = price(&tied, &cluster, &layout).step - price(&apart, &cluster, &layout).step;
        assert_true(fabs(found / once - 1) < 1e-6);
        times[0].sum = 1e-3;
        double summed = price(&tied, &cluster, &layout).step - price(&apart, &cluster, &layout).step;
        assert_true(fabs(summed / once - 1) < 1e-6);
        weft_plan_question question = {.model = &tied, .cluster = &cluster, .gpus = 32, .batch = 32};
        assert_true(fabs(compare(&question, &layout)) < 0.03);
        double before = 0;
        for (int with = 0; with < 2; with++) {
            weft_plan_replayed replayed;
            weft_error error = {0};
            times[0].sum = with ? 1e-3 : 0;
            assert_int_equal(weft_plan_replay(&question, &layout, &replayed, &error), WEFT_OK);
            if (with) assert_true(replayed.time.step > before); /* at least of the stage that ends last */
            before = replayed.time.step;
        }
    }
}

/* Layer times of another model, or of another size of a micro-batch, make no plan better known. */
static void test_times_are_trusted_where_they_apply(void **state)
{
    (void)state;
    weft_plan_model own = complete(models[0]), other = own;
    weft_plan_layer_time times[] = {{own.hidden, 2, 1, 1e-3, 2e-3, 0, 0, 0, 0, 0, false}};
    weft_plan_cluster cluster = make_cluster("A100-SXM-80GB", "weft");
    weft_plan_layout layout = {.tensor = 2, .micro_batch = 1}, wider = layout, larger = layout;
    other.hidden *= 2;
    wider.tensor = 4;
    larger.micro_batch = 2;
    assert_int_equal(weft_plan_confidence_of(&own, &cluster, NULL), WEFT_PLAN_UNSEEN);
    cluster.measured = times;
    cluster.measured_count = 1;
    assert_int_equal(weft_plan_confidence_of(&own, &cluster, NULL), WEFT_PLAN_TIMED);
    assert_int_equal(weft_plan_confidence_of(&own, &cluster, &layout), WEFT_PLAN_TIMED);
    assert_int_equal(weft_plan_confidence_of(&own, &cluster, &wider), WEFT_PLAN_UNSEEN);
    assert_int_equal(weft_plan_confidence_of(&own, &cluster, &larger), WEFT_PLAN_UNSEEN);
    assert_int_equal(weft_plan_confidence_of(&other, &cluster, NULL), WEFT_PLAN_UNSEEN);
    assert_int_equal(weft_plan_confidence_of(&other, &cluster, &layout), WEFT_PLAN_UNSEEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen_is_replay),         cmocka_unit_test(test_parts_add_up),
        cmocka_unit_test(test_faster_is_not_slower),     cmocka_unit_test(test_more_memory_and_gpus_are_not_slower),
        cmocka_unit_test(test_bubbles_without_messages), cmocka_unit_test(test_memory_lines_add_up),
        cmocka_unit_test(test_what_comes_once_a_step),   cmocka_unit_test(test_times_are_trusted_where_they_apply),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
