/* The screen against an enumeration that knows nothing of it, and what must hold of any planner: more of anything is
 * never slower, all that is named can be trained, what is said to fit fits. */
#include "plan/advice.h"
#include "plan/answer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct setting {
    weft_plan_model model;
    weft_plan_cluster cluster;
    weft_plan_question question;
    weft_error error;
} setting;

static void init(setting *s, const char *gpu, const char *software, int32_t layers, int64_t hidden, int64_t gpus,
                 int64_t batch)
{
    *s = (setting){.model = {.name = "model",
                             .layers = layers,
                             .hidden = hidden,
                             .heads = hidden / 64,
                             .vocabulary = 32000,
                             .sequence = 1024,
                             .tied = true}};
    weft_error_clear(&s->error);
    assert_int_equal(weft_plan_model_complete(&s->model, &s->error), WEFT_OK);
    weft_plan_cluster_init(&s->cluster, weft_plan_gpu_find(gpu), weft_plan_software_find(software));
    s->question =
        (weft_plan_question){.model = &s->model, .cluster = &s->cluster, .gpus = gpus, .batch = batch, .top = 50};
}

static void screen(setting *s, weft_plan_screened *out)
{
    weft_status status = weft_plan_screen(&s->question, NULL, out, &s->error);
    if (status != WEFT_OK) fail_msg("%s", s->error.text);
}

static double best(setting *s)
{
    weft_plan_screened screened;
    screen(s, &screened);
    double step = screened.best_count ? screened.best[0].step : INFINITY;
    weft_plan_screened_fini(&screened);
    return step;
}

/* Whether weft trains it: written down anew, from docs/schedules.md. */
static bool is_trainable(const setting *s, const weft_plan_layout *l)
{
    const weft_plan_model *model = &s->model;
    int p = l->pipeline, v = l->loops, m = l->micro_batches;
    if (l->data * l->micro_batch * m != s->question.batch || model->layers % (p * v)) return false;
    if ((int64_t)l->data * l->tensor * p > s->question.gpus || model->heads % l->tensor) return false;
    if (s->cluster.gpus_per_node % l->tensor || (l->data == 1 && l->shard) || (l->tensor == 1 && l->sequence_parallel))
        return false;
    if (l->recompute == WEFT_PLAN_RECOMPUTE_SELECTIVE || (p == 1 && v > 1)) return false;
    if (l->kind != WEFT_PLAN_HYBRID && l->rounds != 1) return false;
    switch (l->kind) {
    case WEFT_PLAN_NONE:
        return p == 1;
    case WEFT_PLAN_GPIPE:
    case WEFT_PLAN_1F1B:
    case WEFT_PLAN_ZB_H1:
    case WEFT_PLAN_ZB_H2:
    case WEFT_PLAN_SEQUENTIAL:
        return p > 1 && v == 1;
    case WEFT_PLAN_ZB_V:
    case WEFT_PLAN_V_HALF:
    case WEFT_PLAN_V_MIN:
        return p > 1 && v == 2;
    case WEFT_PLAN_DUALPIPE_V:
        return p > 1 && v == 2 && m >= 2 * p;
    case WEFT_PLAN_HYBRID: /* groups above the pipeline, of which there are several */
        return p > 1 && v > 1 && l->rounds > 1 && m % l->rounds == 0 && m / l->rounds > p;
    default:
        return p > 1 && v > 1;
    }
}

typedef struct counted {
    uint64_t named, fit;
    weft_plan_candidate best;
} counted;

static void count_one(const setting *s, const weft_plan_layout *layout, counted *out)
{
    weft_plan_candidate found = {.layout = *layout};
    if (!is_trainable(s, layout)) return;
    out->named++;
    weft_plan_price(&s->question, layout, &found.step, &found.memory);
    if (found.memory > s->cluster.gpu.memory) return;
    out->fit++;
    if (out->best.step == 0 || weft_plan_candidate_compare(&found, &out->best) < 0) out->best = found;
}

static void count_names(const setting *s, weft_plan_layout layout, counted *out)
{
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++)
        for (int rounds = 1; rounds <= layout.micro_batches; rounds++)
            for (int shard = 0; shard < WEFT_SHARDS; shard++)
                for (int recompute = 0; recompute < WEFT_PLAN_RECOMPUTES; recompute++)
                    for (int yes = 0; yes < 2; yes++) {
                        layout.kind = (uint8_t)kind;
                        layout.rounds = rounds;
                        layout.shard = (uint8_t)shard;
                        layout.recompute = (uint8_t)recompute;
                        layout.sequence_parallel = yes;
                        count_one(s, &layout, out);
                    }
}

static void count_all(const setting *s, counted *out)
{
    weft_plan_layout layout = {.context = 1};
    *out = (counted){0};
    for (layout.tensor = 1; layout.tensor <= s->question.gpus; layout.tensor++)
        for (layout.pipeline = 1; layout.pipeline <= s->model.layers; layout.pipeline++)
            for (layout.loops = 1; layout.loops * layout.pipeline <= s->model.layers; layout.loops++)
                for (layout.data = 1; layout.data <= s->question.gpus; layout.data++)
                    for (layout.micro_batch = 1; layout.micro_batch <= s->question.batch; layout.micro_batch++) {
                        int64_t sequences = (int64_t)layout.data * layout.micro_batch;
                        layout.micro_batches = (int32_t)(s->question.batch / sequences);
                        if (s->question.batch % sequences == 0) count_names(s, layout, out);
                    }
}

static void test_every_layout(void **state)
{
    (void)state;
    static const struct {
        int32_t layers;
        int64_t gpus, batch;
        double memory;
    } rows[] = {{6, 8, 12, 80e9}, {8, 16, 16, 8e9}, {5, 7, 9, 80e9}, {12, 12, 30, 6e9}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setting s;
        counted expected;
        weft_plan_screened found;
        init(&s, "A100-SXM-80GB", "weft", rows[i].layers, 2048, rows[i].gpus, rows[i].batch);
        s.cluster.gpu.memory = rows[i].memory;
        count_all(&s, &expected);
        screen(&s, &found);
        assert_int_equal(found.enumerated, expected.named);
        assert_true(expected.fit > 0 && (i == 0 || i == 2 || expected.fit < expected.named));
        assert_true(fabs(found.best[0].step - expected.best.step) <= 1e-9 * expected.best.step);
        weft_plan_screened_fini(&found);
    }
}

static void test_same_again(void **state)
{
    (void)state;
    setting s;
    weft_plan_screened first, second;
    init(&s, "H100-SXM-80GB", "weft", 32, 4096, 128, 256);
    screen(&s, &first);
    screen(&s, &second);
    assert_int_equal(first.best_count, second.best_count);
    for (size_t i = 0; i < first.best_count; i++) {
        assert_int_equal(weft_plan_candidate_compare(&first.best[i], &second.best[i]), 0);
        assert_true(i == 0 || weft_plan_candidate_compare(&first.best[i - 1], &first.best[i]) < 0);
        assert_true(first.best[i].memory <= s.cluster.gpu.memory);
    }
    uint64_t refused = first.refused[WEFT_PLAN_REFUSED_WEIGHTS] + first.refused[WEFT_PLAN_REFUSED_MEMORY] +
                       first.refused[WEFT_PLAN_REFUSED_SLOWER];
    assert_int_equal(refused + first.best_count, first.enumerated);
    weft_plan_screened_fini(&first);
    weft_plan_screened_fini(&second);
}

static void test_more_gpus(void **state)
{
    (void)state;
    static const char *const softwares[] = {"weft", "megatron-2022", "zero-3"};
    for (int i = 0; i < 3; i++) {
        setting s;
        double before = INFINITY;
        init(&s, "A100-SXM-80GB", softwares[i], 24, 2048, 1, 96);
        for (int64_t gpus = 1; gpus <= 64; gpus++) {
            s.question.gpus = gpus;
            double step = best(&s);
            assert_true(step <= before);
            before = step;
        }
        assert_true(isfinite(before));
    }
}

static void test_more_of_anything(void **state)
{
    (void)state;
    static const size_t members[] = {
        offsetof(weft_plan_cluster, gpu.memory), offsetof(weft_plan_cluster, gpu.bandwidth),
        offsetof(weft_plan_cluster, gpu.peak),   offsetof(weft_plan_cluster, gpu.link),
        offsetof(weft_plan_cluster, nic),        offsetof(weft_plan_cluster, nic_efficiency)};
    static const char *const softwares[] = {"weft", "megatron-2022", "zero-3"};
    for (int i = 0; i < 18; i++) {
        setting s;
        init(&s, i % 2 ? "V100-SXM2-32GB" : "H100-SXM-80GB", softwares[i % 3], 24, 4096, 64, 64);
        double *member = (double *)(void *)((char *)&s.cluster + members[i / 3]), start = *member, before = INFINITY;
        for (double times = 0.25; times < 5; times *= 1.3) {
            *member = start * times;
            double step = best(&s);
            if (step > before * (1 + 1e-12)) fail_msg("member %d x %g: %.9g after %.9g", i / 3, times, step, before);
            before = step;
        }
    }
}

/* Each row of an answer has a program that is proved; what is kept fits by the replay's own count. */
static void test_answers(void **state)
{
    (void)state;
    setting s;
    weft_plan_answer answer;
    weft_plan_how how = {.threads = 2};
    init(&s, "A100-SXM-80GB", "weft", 12, 2048, 16, 32);
    assert_int_equal(weft_plan_find(&s.question, &how, &answer, &s.error), WEFT_OK);
    assert_true(answer.count > 50 && answer.replays > 0 && !answer.stopped);
    bool seen[WEFT_PLAN_KINDS] = {false};
    for (size_t i = 0; i < answer.count; i++) {
        const weft_plan_row *row = &answer.rows[i];
        double sum = 0;
        for (int part = 0; part < WEFT_PLAN_PARTS; part++) sum += row->replayed.time.part[part];
        assert_true(fabs(sum - row->replayed.time.step) < 1e-9 * sum);
        assert_true(row->replayed.memory.bytes <= s.cluster.gpu.memory);
        assert_true(i == 0 || row->replayed.time.step >= answer.rows[i - 1].replayed.time.step);
        assert_true(is_trainable(&s, &row->layout));
        seen[row->layout.kind] = true;
    }
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++) assert_true(seen[kind]);
    weft_plan_answer_fini(&answer);
}

static void test_stopped(void **state)
{
    (void)state;
    setting s;
    weft_plan_answer answer;
    volatile sig_atomic_t stop = 1;
    weft_plan_how how = {.threads = 1, .stop = &stop};
    init(&s, "A100-SXM-80GB", "weft", 12, 2048, 16, 32);
    assert_int_equal(weft_plan_find(&s.question, &how, &answer, &s.error), WEFT_OK);
    assert_true(answer.stopped);
    weft_plan_answer_fini(&answer);
}

static void test_moves(void **state)
{
    (void)state;
    setting s;
    weft_plan_screened found;
    weft_plan_move moves[WEFT_PLAN_MOVES];
    init(&s, "A100-SXM-80GB", "weft", 24, 2048, 32, 64);
    s.cluster.gpu.memory = 16e9;
    screen(&s, &found);
    int fit = 0, refused = 0;
    for (size_t i = 0; i < found.best_count; i++) {
        size_t count = 0;
        assert_int_equal(weft_plan_moves(&s.question, &found.best[i].layout, false, moves, &count, &s.error), WEFT_OK);
        assert_true(count > 3 && count < WEFT_PLAN_MOVES);
        for (size_t k = 0; k < count; k++) {
            refused += moves[k].refusal[0] != '\0';
            if (moves[k].refusal[0]) continue;
            fit++;
            assert_true(is_trainable(&s, &moves[k].layout));
            assert_true(moves[k].step >= found.best[0].step * (1 - 1e-9) && moves[k].memory <= 16e9);
            assert_string_not_equal(moves[k].from, moves[k].to);
        }
    }
    assert_true(fit > 100 && refused > 10);
    weft_plan_screened_fini(&found);
}

static void test_least_gpus(void **state)
{
    (void)state;
    setting s;
    int64_t least = 0;
    init(&s, "A100-SXM-40GB", "weft", 48, 8192, 1, 64);
    assert_int_equal(weft_plan_least_gpus(&s.question, &least, &s.error), WEFT_OK);
    assert_true(least > 1);
    s.question.gpus = least - 1;
    assert_true(isinf(best(&s)));
    s.question.gpus = least;
    assert_true(isfinite(best(&s)));
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        weft_plan_fix fix;
        const char *says;
    } rows[] = {
        {{.data = 3}, "batch: 64 sequences are no multiple of data x micro_batch, 3; take 63 or 66"},
        {{.pipeline = 5, .loops = 5}, "fix: pipeline x loops are 25 stages, the model has 24 layers"},
        {{.pipeline = 1, .loops = 2}, "fix: loops 2 need a pipeline of 2 or more, not 1"},
        {{.loops = 5}, "fix: loops: 5 do not divide 24 layers; fix pipeline too for stages of unlike size"},
        {{.tensor = 3}, "fix: tensor: 3 does not divide 32 heads, 32 kv_heads and ffn 8192 alike"},
        {{.data = 16, .pipeline = 4}, "fix: data x tensor x pipeline x context are 64 workers, there are 32 GPUs"},
        {{.context = 2}, "fix: context: software weft cannot do that"},
        {{.recomputes = 1u << WEFT_PLAN_RECOMPUTE_SELECTIVE}, "fix: recompute: software weft cannot do that"},
        {{.pipeline = 2, .kinds = 1u << WEFT_PLAN_NONE}, "fix: schedule none has one stage, pipeline is 2"},
        {{.pipeline = 1, .kinds = 1u << WEFT_PLAN_1F1B}, "fix: a pipeline of 1 has no schedule but none"},
        {{.loops = 2, .kinds = 1u << WEFT_PLAN_1F1B}, "fix: loops: no schedule that is fixed has 2 stages a rank"},
        {{.loops = 1, .kinds = 1u << WEFT_PLAN_BREADTH_FIRST},
         "fix: loops: no schedule that is fixed has 1 stage a rank"},
        {{.rounds = 2, .kinds = 1u << WEFT_PLAN_1F1B}, "fix: rounds: only schedule hybrid has them"},
        {{.data = 1, .shards = 1u << WEFT_SHARD_WEIGHTS}, "fix: with data 1 there is nobody to shard with"},
        {{.tensor = 1, .sequence_parallel = 1}, "fix: sequence_parallel needs tensor 2 or more, not 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setting s;
        weft_plan_screened found;
        init(&s, "A100-SXM-80GB", "weft", 24, 2048, 32, 64);
        s.question.fix = rows[i].fix;
        assert_int_equal(weft_plan_screen(&s.question, NULL, &found, &s.error), WEFT_INVALID);
        assert_string_equal(s.error.text, rows[i].says);
    }
}

static void test_refusals_by_software(void **state)
{
    (void)state;
    static const struct {
        const char *software;
        weft_plan_fix fix;
        const char *says;
    } rows[] = {
        {"zero-3", {.pipeline = 4}, "fix: pipeline: software zero-3 cannot do that"},
        {"zero-3", {.loops = 2}, "fix: loops: software zero-3 cannot do that"},
        {"zero-3", {.rounds = 2}, "fix: rounds: software zero-3 cannot do that"},
        {"megatron-2022", {.rounds = 2}, "fix: rounds: software megatron-2022 cannot do that"},
        {"megatron-2022", {.kinds = 1u << WEFT_PLAN_ZB_H1}, "fix: schedule: software megatron-2022 cannot do that"},
        {"megatron-2022", {.shards = 1u << WEFT_SHARD_WEIGHTS}, "fix: shard: software megatron-2022 cannot do that"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setting s;
        weft_plan_screened found;
        init(&s, "A100-SXM-80GB", rows[i].software, 24, 2048, 32, 64);
        s.question.fix = rows[i].fix;
        assert_int_equal(weft_plan_screen(&s.question, NULL, &found, &s.error), WEFT_INVALID);
        assert_string_equal(s.error.text, rows[i].says);
    }
}

/* A batch with as many divisors as there are, and sizes at their limits, come to an end. */
static void test_extremes(void **state)
{
    (void)state;
    /* The last is a prime with more micro-batches than a schedule has passes. */
    static const int64_t batches[] = {1, 999983, 1 << 30, 1073741789};
    for (int i = 0; i < 4; i++) {
        setting s;
        init(&s, "A100-SXM-80GB", "weft", 7, 2048, 1 << 24, batches[i]);
        s.question.fix.kinds = 1u << WEFT_PLAN_1F1B | 1u << WEFT_PLAN_NONE;
        assert_int_equal(isfinite(best(&s)) != 0, i < 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_layout), cmocka_unit_test(test_same_again),
                                       cmocka_unit_test(test_more_gpus),    cmocka_unit_test(test_more_of_anything),
                                       cmocka_unit_test(test_answers),      cmocka_unit_test(test_stopped),
                                       cmocka_unit_test(test_moves),        cmocka_unit_test(test_least_gpus),
                                       cmocka_unit_test(test_refusals),     cmocka_unit_test(test_refusals_by_software),
                                       cmocka_unit_test(test_extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
