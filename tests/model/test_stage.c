#include "rig.h"

#include "base/random.h"

#include <math.h>
#include <stdio.h>

enum { B = 2, T = 8, M = 2, TOKENS = M * B * T, NUMBERS = 2 + 2 * B };

static const int32_t whole[] = {3};
static const rig_plan single = {whole, 1, false, false};

static double *direction_of(const model_rig *rig, int32_t p, const float *gradient, bool along, double *out_slope)
{
    const weft_parameter *parameter = &rig->parameters[p];
    double *direction = malloc((size_t)parameter->elements * sizeof *direction), norm = 0, slope = 0;
    assert_non_null(direction);
    weft_random_key key = weft_random_key_make(9, parameter->name);
    for (int64_t i = 0; i < parameter->elements; i++) {
        direction[i] = along ? (double)gradient[i] : weft_random_normal(key, (uint64_t)i);
        norm += direction[i] * direction[i];
    }
    for (int64_t i = 0; i < parameter->elements; i++) {
        direction[i] /= sqrt(norm);
        slope += direction[i] * (double)gradient[i];
    }
    *out_slope = slope;
    return direction;
}

/* Loss with parameter p moved along a direction; both tied matrices move together. */
static double moved_loss(model_rig *rig, int32_t p, const double *direction, double by, const int32_t *tokens,
                         const int32_t *targets)
{
    int64_t count = rig->parameters[p].elements;
    size_t bytes = (size_t)count * sizeof(float);
    float *saved = malloc(bytes), *moved = malloc(bytes);
    assert_true(saved != NULL && moved != NULL);
    rig_read(rig, saved, rig->weight[p], bytes);
    for (int64_t i = 0; i < count; i++) moved[i] = (float)((double)saved[i] + by * direction[i]);
    rig_write(rig, rig->weight[p], moved, bytes);
    double loss = 0;
    for (int m = 0; m < M; m++) loss += (double)rig_loss(rig, &single, tokens + m * B * T, targets + m * B * T);
    rig_write(rig, rig->weight[p], saved, bytes);
    free(moved);
    free(saved);
    return loss;
}

/* The slope along a direction in the space of one tensor, measured and by the gradient. */
static void check_slope(model_rig *rig, int32_t p, const float *gradient, bool along, const int32_t *tokens,
                        const int32_t *targets)
{
    const double step = 4e-3;
    double slope, total = 0;
    double *direction = direction_of(rig, p, gradient, along, &slope);
    /* Central differences at two steps, combined so that the error is of fourth order. */
    double difference[2];
    for (int i = 0; i < 2; i++) {
        double by = step * (i + 1);
        double above = moved_loss(rig, p, direction, by, tokens, targets);
        difference[i] = above - moved_loss(rig, p, direction, -by, tokens, targets);
    }
    double measured = (8 * difference[0] - difference[1]) / (12 * step) / (TOKENS - 2);
    for (int64_t i = 0; i < rig->parameters[p].elements; i++) total += (double)gradient[i] * (double)gradient[i];
    if (!(fabs(measured - slope) <= 2e-3 * sqrt(total) + 4e-4)) {
        fail_msg("%s: slope %.6g, measured %.6g, whole gradient %.6g", rig->parameters[p].name, slope, measured,
                 sqrt(total));
    }
    free(direction);
}

static void test_finite_differences(void **state)
{
    (void)state;
    for (int flags = 0; flags < RIG_MODELS; flags++) {
        model_rig rig;
        weft_model_config model = rig_mixed(flags);
        rig_init(&rig, weft_device_kind_find("reference"), WEFT_FP32, &model, B, T);
        int32_t tokens[TOKENS], targets[TOKENS];
        float losses[M];
        rig_tokens(model.vocabulary, TOKENS, tokens, targets);
        rig_step(&rig, &single, M, tokens, targets, losses);
        for (int32_t p = 0; p < rig.count; p++) {
            if (rig.parameters[p].tied) continue;
            int64_t count = rig.parameters[p].elements;
            float *gradient = malloc((size_t)count * sizeof *gradient), *head = malloc((size_t)count * sizeof *head);
            assert_true(gradient != NULL && head != NULL);
            rig_read(&rig, gradient, rig.gradient[p], (size_t)count * sizeof *gradient);
            if (model.tied && p == 0) {
                rig_read(&rig, head, rig.gradient[rig.count - 1], (size_t)count * sizeof *head);
                for (int64_t i = 0; i < count; i++) gradient[i] += head[i];
            }
            check_slope(&rig, p, gradient, true, tokens, targets);
            check_slope(&rig, p, gradient, false, tokens, targets);
            free(head);
            free(gradient);
        }
        rig_fini(&rig);
    }
}

/* Everything a step leaves, as bytes. */
typedef struct step_result {
    unsigned char *bytes;
    size_t count;
    float losses[M * NUMBERS];
    int64_t numbers;
} step_result;

static step_result run_step(model_rig *rig, const rig_plan *plan, const int32_t *tokens, const int32_t *targets)
{
    step_result result = {.numbers = rig_numbers(rig)};
    assert_true(result.numbers <= NUMBERS);
    rig_step(rig, plan, M, tokens, targets, result.losses);
    for (int32_t p = 0; p < rig->count; p++) result.count += (size_t)rig->parameters[p].elements * sizeof(float);
    result.bytes = malloc(result.count);
    assert_non_null(result.bytes);
    size_t at = 0;
    for (int32_t p = 0; p < rig->count; p++) {
        size_t bytes = (size_t)rig->parameters[p].elements * sizeof(float);
        rig_read(rig, result.bytes + at, rig->gradient[p], bytes);
        at += bytes;
    }
    return result;
}

static void check_same(const model_rig *rig, const step_result *expected, const step_result *got, const char *what)
{
    for (int64_t i = 0; i < M * got->numbers; i++) {
        assert_true(isfinite(expected->losses[i]));
        assert_memory_equal(&expected->losses[i], &got->losses[i], sizeof(float));
    }
    size_t at = 0;
    for (int32_t p = 0; p < rig->count; p++) {
        for (int64_t i = 0; i < rig->parameters[p].elements; i++, at += sizeof(float)) {
            float a, b;
            memcpy(&a, expected->bytes + at, sizeof a);
            memcpy(&b, got->bytes + at, sizeof b);
            if (isfinite(a) && memcmp(&a, &b, sizeof a) == 0) continue;
            fail_msg("%s, %s, %s: %s[%lld] is %g, not %g", rig->kind->name, weft_element_name(rig->options.element),
                     what, rig->parameters[p].name, (long long)i, (double)b, (double)a);
        }
    }
}

static void check_plans(model_rig *rig)
{
    static const int32_t halves[] = {1, 2}, ends[] = {0, 3, 0}, bare[] = {0, 0, 3}, many[] = {1, 0, 1, 1, 0};
    const struct {
        const int32_t *layers;
        int32_t stages;
    } cuts[] = {{whole, 1}, {halves, 2}, {ends, 3}, {bare, 3}, {many, 5}};
    int32_t tokens[TOKENS], targets[TOKENS];
    rig_tokens(rig->model.vocabulary, TOKENS, tokens, targets);
    step_result expected = run_step(rig, &single, tokens, targets);
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        for (int way = 0; way < 4; way++) {
            rig_plan plan = {cuts[c].layers, cuts[c].stages, way & 1, way >> 1};
            char what[64];
            snprintf(what, sizeof what, "%d stages%s%s", plan.stages, plan.recompute ? ", recomputed" : "",
                     plan.split ? ", split" : "");
            step_result got = run_step(rig, &plan, tokens, targets);
            check_same(rig, &expected, &got, what);
            free(got.bytes);
        }
        rig_plan plan = {cuts[c].layers, cuts[c].stages, false, false};
        for (int m = 0; m < M; m++) {
            float loss = rig_loss(rig, &plan, tokens + m * B * T, targets + m * B * T);
            assert_memory_equal(&loss, &expected.losses[m * expected.numbers + (rig->loss.z > 0)], sizeof loss);
        }
    }
    free(expected.bytes);
}

static void test_same_bits(void **state)
{
    (void)state;
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if (!rig_runs_on(*kind)) continue;
        for (int element = WEFT_FP32; element <= WEFT_BF16; element++) {
            for (int flags = 0; flags < RIG_MODELS; flags += flags < 30 ? 5 : 1) {
                model_rig rig;
                weft_model_config model = rig_mixed(flags);
                rig_init(&rig, *kind, (weft_element)element, &model, B, T);
                if (flags & 1) rig.loss = (weft_stage_loss){0.01, 0.1, true};
                check_plans(&rig);
                rig_fini(&rig);
            }
        }
    }
}

/* bf16 differs from fp32 by rounding, not by more. */
static void test_bf16_is_near(void **state)
{
    (void)state;
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if (!rig_runs_on(*kind)) continue;
        const weft_model_config models[] = {rig_gpt2(), rig_llama()};
        for (int i = 0; i < 2; i++) {
            int32_t tokens[TOKENS], targets[TOKENS];
            rig_tokens(models[i].vocabulary, TOKENS, tokens, targets);
            step_result results[2];
            for (int element = WEFT_FP32; element <= WEFT_BF16; element++) {
                model_rig rig;
                rig_init(&rig, *kind, (weft_element)element, &models[i], B, T);
                results[element] = run_step(&rig, &single, tokens, targets);
                rig_fini(&rig);
            }
            double error = 0, norm = 0;
            for (size_t at = 0; at < results[0].count; at += sizeof(float)) {
                float exact, rounded;
                memcpy(&exact, results[0].bytes + at, sizeof exact);
                memcpy(&rounded, results[1].bytes + at, sizeof rounded);
                error += pow((double)exact - (double)rounded, 2);
                norm += (double)exact * (double)exact;
            }
            assert_true(error < 0.03 * 0.03 * norm);
            assert_true(fabsf(results[0].losses[0] - results[1].losses[0]) < 0.02f * results[0].losses[0]);
            free(results[0].bytes);
            free(results[1].bytes);
        }
    }
}

/* The logits of a position depend on nothing after it, and not on the cut. */
static void test_sampling(void **state)
{
    (void)state;
    static const int32_t cut[] = {2, 0, 1};
    const rig_plan pieces = {cut, 3, false, false};
    const weft_model_config models[] = {rig_gpt2(), rig_llama(), rig_mixed(36)};
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if (!rig_runs_on(*kind)) continue;
        for (int run = 0; run < 6; run++) {
            model_rig rig;
            rig_init(&rig, *kind, run & 1 ? WEFT_BF16 : WEFT_FP32, &models[run >> 1], B, T);
            int32_t tokens[TOKENS], targets[TOKENS];
            rig_tokens(rig.model.vocabulary, TOKENS, tokens, targets);
            size_t count = (size_t)(B * rig.model.vocabulary);
            float *first = malloc(count * sizeof *first), *second = malloc(count * sizeof *second);
            assert_true(first != NULL && second != NULL);
            rig_logits(&rig, &single, tokens, 4, first);
            for (int b = 0; b < B; b++) tokens[b * T + 5] = (tokens[b * T + 5] + 1) % 23;
            rig_logits(&rig, &pieces, tokens, 4, second);
            assert_memory_equal(first, second, count * sizeof *first);
            rig_logits(&rig, &pieces, tokens, 5, second);
            assert_memory_not_equal(first, second, count * sizeof *first);
            free(second);
            free(first);
            rig_fini(&rig);
        }
    }
}

/* What a token computes depends on those in its window through all layers, and on none before them. */
static void test_window(void **state)
{
    (void)state;
    const weft_device_kind *kind = weft_device_kind_find("reference");
    weft_model_config model = rig_llama();
    model.window = 2; /* three layers: a token sees three before it */
    model_rig rig;
    rig_init(&rig, kind, WEFT_FP32, &model, B, T);
    int32_t tokens[TOKENS], targets[TOKENS];
    float logits[2][B * 23];
    rig_tokens(model.vocabulary, TOKENS, tokens, targets);
    for (int changed = 0; changed < 8; changed++) {
        rig_logits(&rig, &single, tokens, 7, logits[0]);
        tokens[changed] = (tokens[changed] + 1) % 23;
        rig_logits(&rig, &single, tokens, 7, logits[1]);
        assert_int_equal(memcmp(logits[0], logits[1], sizeof logits[0]) != 0, changed >= 4);
    }
    rig_fini(&rig);
}

static void read_angles(const weft_model_config *model, int64_t tokens, double *out)
{
    const weft_device_kind *kind = weft_device_kind_find("reference");
    weft_stage_shape shape = {.model = model,
                              .layer_count = 1,
                              .B = 1,
                              .T = tokens,
                              .device = kind,
                              .options = {.element = WEFT_FP32, .threads = 1}};
    weft_device *device = NULL;
    size_t count = weft_stage_angle_bytes(&shape) / sizeof(float);
    assert_int_equal(count, 2 * tokens * 2);
    assert_int_equal(kind->create(&shape.options, &device, NULL), WEFT_OK);
    float *angles = malloc(count * sizeof *angles);
    assert_non_null(angles);
    assert_int_equal(weft_stage_angles_write(&shape, device, angles, NULL), WEFT_OK);
    for (size_t i = 0; i < count; i++) out[i] = (double)angles[i];
    free(angles);
    device->operations->destroy(device);
}

/* Stretched by 4, position 4 t is where t was; a context in which no wave fits stretches all, one in which all fit
 * often none. */
static void test_stretched_angles(void **state)
{
    (void)state;
    enum { LONG = 32 };
    double plain[4 * LONG], stretched[4 * LONG], other[4 * LONG];
    weft_model_config model = rig_llama();
    model.rotary_factor = 4;
    model.rotary_low = model.rotary_slow = 1;
    model.rotary_high = model.rotary_fast = 2;
    model.rotary_magnitude = 1;
    model.rotary_truncate = true;
    read_angles(&model, LONG, plain);
    model.rotary_scaling = WEFT_CONFIG_SCALING_LINEAR;
    read_angles(&model, LONG, stretched);
    for (int t = 0; t < LONG / 4; t++)
        for (int i = 0; i < 4; i++) {
            int half = i / 2 * 2 * LONG, pair = i % 2;
            assert_true(fabs(stretched[half + 8 * t + pair] - plain[half + 2 * t + pair]) < 1e-6);
        }
    model.rotary_scaling = WEFT_CONFIG_SCALING_LLAMA3;
    model.rotary_context = 1;
    read_angles(&model, LONG, other);
    assert_memory_equal(other, stretched, sizeof other);
    model.rotary_context = 10000000;
    read_angles(&model, LONG, other);
    assert_memory_equal(other, plain, sizeof other);
    model.rotary_scaling = WEFT_CONFIG_SCALING_YARN;
    read_angles(&model, LONG, other);
    assert_memory_equal(other, plain, sizeof other);
    model.rotary_magnitude = 0.5;
    read_angles(&model, LONG, other);
    for (int i = 0; i < 4 * LONG; i++) assert_true(fabs(other[i] - plain[i] / 2) < 1e-6);
}

static void test_refusals(void **state)
{
    (void)state;
    const weft_device_kind *kind = weft_device_kind_find("reference");
    weft_model_config model = rig_gpt2();
    weft_stage_shape good = {.model = &model,
                             .layer_count = 3,
                             .embedding = true,
                             .head = true,
                             .B = 1,
                             .T = 12,
                             .device = kind,
                             .options = {.element = WEFT_FP32, .threads = 1}};
    weft_device *device = NULL;
    weft_error error;
    assert_int_equal(kind->create(&good.options, &device, &error), WEFT_OK);
    weft_stage_weights none = {.storage = NULL};
    weft_stage *stage = NULL;
    assert_int_equal(weft_stage_create(&good, device, &none, &stage, &error), WEFT_OK);
    weft_stage_destroy(stage);
    weft_stage_shape bad[3] = {good, good, good};
    bad[0].T = 13;
    bad[1].layer_count = 4;
    bad[2].B = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_stage_create(&bad[i], device, &none, &stage, &error), WEFT_INVALID);
        assert_null(stage);
    }
    weft_model_config models[3] = {model, model, model};
    models[0].kv_heads = 3;
    models[1].heads = 5;
    models[2].heads = models[2].kv_heads = 16;
    models[2].position = WEFT_CONFIG_ROTARY;
    for (int i = 0; i < 3; i++) {
        good.model = &models[i];
        assert_int_equal(weft_stage_create(&good, device, &none, &stage, &error), WEFT_INVALID);
    }
    weft_stage_destroy(NULL);
    device->operations->destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_bf16_is_near),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_stretched_angles),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
