#include "rig.h"

#include <math.h>

static weft_model_config gpt2_124m(void)
{
    weft_model_config model = rig_gpt2();
    model.layers = 12;
    model.width = 768;
    model.heads = model.kv_heads = 12;
    model.feed_forward = 3072;
    model.vocabulary = 50257;
    model.context = 1024;
    model.init_deviation = 0.02;
    return model;
}

static void check_names(const weft_model_config *model, const char *const *names, int32_t expected)
{
    weft_arena arena;
    weft_error error;
    const weft_parameter *parameters;
    int32_t count;
    weft_arena_init(&arena);
    assert_int_equal(weft_model_parameters(model, 1, &arena, &parameters, &count, &error), WEFT_OK);
    assert_int_equal(count, expected);
    for (int32_t p = 0; p < count; p++) {
        assert_string_equal(parameters[p].name, names[p]);
        assert_int_equal(parameters[p].elements, parameters[p].shape[0] * parameters[p].shape[1]);
        assert_int_equal(parameters[p].decay, parameters[p].dimensions == 2);
    }
    weft_arena_fini(&arena);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const gpt2[] = {"embedding.token",
                                       "embedding.position",
                                       "layer.0.norm1.weight",
                                       "layer.0.norm1.bias",
                                       "layer.0.attention.qkv.weight",
                                       "layer.0.attention.qkv.bias",
                                       "layer.0.attention.output.weight",
                                       "layer.0.attention.output.bias",
                                       "layer.0.norm2.weight",
                                       "layer.0.norm2.bias",
                                       "layer.0.mlp.up.weight",
                                       "layer.0.mlp.up.bias",
                                       "layer.0.mlp.down.weight",
                                       "layer.0.mlp.down.bias",
                                       "final_norm.weight",
                                       "final_norm.bias",
                                       "head.weight"};
    static const char *const llama[] = {"embedding.token",
                                        "layer.0.norm1.weight",
                                        "layer.0.attention.qkv.weight",
                                        "layer.0.attention.output.weight",
                                        "layer.0.norm2.weight",
                                        "layer.0.mlp.up.weight",
                                        "layer.0.mlp.down.weight",
                                        "final_norm.weight",
                                        "head.weight"};
    weft_model_config model = rig_gpt2();
    model.layers = 1;
    check_names(&model, gpt2, 17);
    static const char *const qwen[] = {"embedding.token",
                                       "layer.0.norm1.weight",
                                       "layer.0.attention.qkv.weight",
                                       "layer.0.attention.qkv.bias",
                                       "layer.0.attention.query_norm.weight",
                                       "layer.0.attention.key_norm.weight",
                                       "layer.0.attention.output.weight",
                                       "layer.0.norm2.weight",
                                       "layer.0.mlp.up.weight",
                                       "layer.0.mlp.down.weight",
                                       "final_norm.weight",
                                       "head.weight"};
    model = rig_llama();
    model.layers = 1;
    check_names(&model, llama, 9);
    model.qkv_bias = model.query_key_norm = true;
    check_names(&model, qwen, 12);
}

static void test_gpt2_size(void **state)
{
    (void)state;
    weft_model_config model = gpt2_124m();
    weft_arena arena;
    weft_error error;
    const weft_parameter *parameters;
    int32_t count;
    int64_t elements = 0, products = 0;
    weft_arena_init(&arena);
    assert_int_equal(weft_model_parameters(&model, 1, &arena, &parameters, &count, &error), WEFT_OK);
    for (int32_t p = 0; p < count; p++) {
        if (!parameters[p].tied) elements += parameters[p].elements;
        if (parameters[p].dimensions == 2 && parameters[p].layer >= 0) products += parameters[p].elements;
    }
    assert_int_equal(elements, 124439808); /* the published size */
    assert_true(parameters[count - 1].tied);
    double flops = 6.0 * (double)products + 6.0 * 12 * 512 * 768;
    assert_true(fabs(weft_model_flops_per_token(&model, 512) - flops) < 1e-9 * flops);
    weft_flops layer = weft_layer_flops(&model, 2, 512), head = weft_head_flops(&model, 2, 512);
    double parts = 12 * (layer.forward + layer.backward_input + layer.backward_weight) + head.forward +
                   head.backward_input + head.backward_weight;
    assert_true(fabs(parts - 1024 * flops) < 1e-9 * parts);
    weft_arena_fini(&arena);
}

/* With a window a token of T sees itself and up to w - 1 before it; heads may be wider than C / H. */
static void test_window_flops(void **state)
{
    (void)state;
    weft_model_config model = gpt2_124m();
    weft_flops all = weft_layer_flops(&model, 1, 512);
    model.window = 512;
    assert_true(weft_layer_flops(&model, 1, 512).forward == all.forward);
    model.window = 100;
    weft_flops some = weft_layer_flops(&model, 1, 512);
    double seen = 0, full = 0;
    for (int t = 0; t < 512; t++) {
        seen += t + 0.5 < 100 ? t + 0.5 : 100 - 0.5 + 0.5; /* the triangle and the band, halves of the diagonal */
        full += t + 0.5;
    }
    assert_true(fabs((all.forward - some.forward) - 4 * (full - seen) * 768) < 1e-6 * all.forward);
    assert_true(fabs((all.backward_input - some.backward_input) - 8 * (full - seen) * 768) < 1e-6 * all.forward);
    model.window = 0;
    model.head_width = 128;
    weft_flops wide = weft_layer_flops(&model, 1, 512);
    assert_true(wide.backward_weight - all.backward_weight == 2.0 * 512 * 4 * 768 * 768);
    assert_true(wide.forward - all.forward == 2.0 * 512 * 4 * 768 * 768 + 2.0 * 512 * 512 * 768);
}

static double deviation(const weft_parameter *parameter, uint64_t seed, float *values)
{
    double sum = 0;
    weft_parameter_init(parameter, 0, seed, 0, parameter->own, values);
    for (int64_t i = 0; i < parameter->elements; i++) sum += (double)values[i] * (double)values[i];
    return sqrt(sum / (double)parameter->elements);
}

static void test_init(void **state)
{
    (void)state;
    weft_model_config model = rig_gpt2();
    model.width = 128;
    model.layers = 8;
    weft_arena arena;
    weft_error error;
    const weft_parameter *parameters;
    int32_t count;
    weft_arena_init(&arena);
    assert_int_equal(weft_model_parameters(&model, 1, &arena, &parameters, &count, &error), WEFT_OK);
    float *first = malloc(sizeof *first * 128 * 1024), *second = malloc(sizeof *second * 128 * 1024);
    assert_true(first != NULL && second != NULL);
    for (int32_t p = 0; p < count; p++) {
        const weft_parameter *parameter = &parameters[p];
        size_t bytes = (size_t)parameter->elements * sizeof *first;
        double measured = deviation(parameter, 1, first), expected = parameter->init == WEFT_INIT_ONES ? 1 : 0;
        bool residual = strstr(parameter->name, "output.weight") || strstr(parameter->name, "down.weight");
        if (parameter->init == WEFT_INIT_NORMAL) expected = residual ? 0.2 / sqrt(2.0 * 8) : 0.2;
        assert_true(fabs(measured - expected) <= (parameter->init == WEFT_INIT_NORMAL ? 0.1 * expected : 0));
        assert_int_equal(parameter->init == WEFT_INIT_NORMAL, parameter->decay);
        if (parameter->init != WEFT_INIT_NORMAL) continue;
        deviation(parameter, 1, second);
        assert_memory_equal(first, second, bytes);
        deviation(parameter, 2, second);
        assert_memory_not_equal(first, second, bytes);
        deviation(&parameters[parameter->tied ? 0 : (p + 12) % 60], 1, second);
        if (parameter->tied)
            assert_memory_equal(first, second, bytes);
        else
            assert_memory_not_equal(first, second, 64);
    }
    free(second);
    free(first);
    weft_arena_fini(&arena);
}

/* Any cut shares out all parameters, in order. */
static void test_stage_ranges(void **state)
{
    (void)state;
    weft_model_config model = rig_gpt2();
    weft_arena arena;
    weft_error error;
    const weft_parameter *parameters;
    int32_t count;
    weft_arena_init(&arena);
    assert_int_equal(weft_model_parameters(&model, 1, &arena, &parameters, &count, &error), WEFT_OK);
    for (int32_t a = 0; a <= 3; a++) {
        for (int32_t b = a; b <= 3; b++) {
            int32_t edges[] = {0, a, b, 3}, next = 0, sizes[3];
            for (int32_t s = 0; s < 3; s++) {
                weft_stage_shape shape = {.model = &model,
                                          .first_layer = edges[s],
                                          .layer_count = edges[s + 1] - edges[s],
                                          .embedding = s == 0,
                                          .head = s == 2};
                int32_t first;
                weft_stage_parameters(&shape, parameters, count, &first, &sizes[s]);
                assert_int_equal(first, next);
                next += sizes[s];
            }
            assert_int_equal(next, count);
            assert_int_equal(sizes[0], 2 + 12 * a);
            assert_int_equal(sizes[1], 12 * (b - a));
        }
    }
    weft_arena_fini(&arena);
}

static void test_memory(void **state)
{
    (void)state;
    weft_model_config model = gpt2_124m();
    weft_stage_shape shape = {.model = &model,
                              .first_layer = 2,
                              .layer_count = 2,
                              .B = 2,
                              .T = 512,
                              .device = weft_device_kind_find("reference"),
                              .options = {.element = WEFT_FP32, .threads = 1}};
    const size_t N = 1024, boundary = N * 768 * 4;
    weft_stage_bytes two = weft_stage_memory(&shape);
    shape.layer_count = 4;
    weft_stage_bytes four = weft_stage_memory(&shape);
    assert_int_equal(four.stash - two.stash, 2 * N * 30784); /* as layout.h says */
    assert_int_equal(two.stash, 2 * N * 30784 - boundary);   /* the first input lies in the neighbour's slot */
    assert_int_equal(two.input, boundary);
    model.query_key_norm = true; /* what queries, keys and values were before, and of each head its norm's root */
    assert_int_equal(weft_stage_memory(&shape).stash - four.stash, 4 * N * (3 * 768 + 24) * 4);
    model.query_key_norm = false;
    shape.layer_count = 6;
    assert_int_equal(weft_stage_memory(&shape).workspace, four.workspace);
    shape.layer_count = 4;
    shape.recompute = true;
    weft_stage_bytes recomputed = weft_stage_memory(&shape);
    assert_int_equal(recomputed.stash, 3 * boundary);
    assert_true(recomputed.workspace > four.workspace && recomputed.work > four.work);
    shape.recompute = false;
    shape.head = true;
    assert_true(weft_stage_memory(&shape).stash - four.stash >= N * 50257 * 4 + boundary);
    shape.head = false;
    shape.forward_only = true;
    weft_stage_bytes forward = weft_stage_memory(&shape);
    shape.layer_count = 8;
    assert_int_equal(weft_stage_memory(&shape).stash, forward.stash);
    assert_int_equal(forward.work, 0);
    shape.embedding = true;
    shape.first_layer = 0;
    assert_int_equal(weft_stage_memory(&shape).input, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),        cmocka_unit_test(test_gpt2_size),
                                       cmocka_unit_test(test_window_flops), cmocka_unit_test(test_init),
                                       cmocka_unit_test(test_stage_ranges), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
