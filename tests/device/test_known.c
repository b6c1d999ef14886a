/* Results worked out by hand or taken from the definitions, on every kind of device in this build, in fp32. */
#include "device/device.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SCRATCH_BYTES = 1 << 20 };

typedef struct test_fixture {
    weft_device *device;
    const weft_device_operations *operations;
    void *workspace;
} test_fixture;

/* Runs body on each kind. */
static void for_each_kind(void (*body)(const test_fixture *f))
{
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if ((*kind)->takes_costs) continue; /* it computes nothing */
        const weft_device_options options = {.element = WEFT_FP32, .threads = 1};
        test_fixture fixture = {0};
        assert_int_equal((*kind)->create(&options, &fixture.device, NULL), WEFT_OK);
        fixture.operations = fixture.device->operations;
        assert_int_equal(
            fixture.operations->allocate(fixture.device, WEFT_MEMORY_DEVICE, SCRATCH_BYTES, &fixture.workspace, NULL),
            WEFT_OK);
        body(&fixture);
        assert_int_equal(weft_device_check(fixture.device, NULL), WEFT_OK);
        fixture.operations->release(fixture.device, fixture.workspace);
        fixture.operations->destroy(fixture.device);
    }
}

static void assert_near(const float *actual, const double *expected, int count)
{
    for (int i = 0; i < count; i++) assert_true(fabs((double)actual[i] - expected[i]) < 2e-6);
}

static void embed(const test_fixture *f)
{
    const int32_t tokens[4] = {2, 0, 1, 2};
    const float wte[6] = {1, 2, 3, 4, 5, 6}, wpe[4] = {10, 20, 30, 40};
    const double expected[8] = {15, 26, 31, 42, 13, 24, 35, 46};
    float out[8];
    weft_embed shape = {.rows = 4, .T = 2, .C = 2, .V = 3};
    f->operations->embed_forward(f->device, NULL, &shape, tokens, wte, wpe, out);
    assert_near(out, expected, 8);
}

/* The tokens 1 and 2 of a vocabulary that goes on; the others are zeros, without their positions too. */
static void embed_slice(const test_fixture *f)
{
    const int32_t tokens[4] = {2, 0, 1, 3};
    const float wte[4] = {3, 4, 5, 6}, wpe[4] = {10, 20, 30, 40}, dout[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const double expected[8] = {15, 26, 0, 0, 13, 24, 0, 0};
    float out[8], dwte[4] = {100, 100, 100, 100}, dwpe[4] = {100, 100, 100, 100};
    const weft_embed shape = {.rows = 4, .T = 2, .C = 2, .V = 2, .first = 1};
    f->operations->embed_forward(f->device, NULL, &shape, tokens, wte, wpe, out);
    assert_near(out, expected, 8);
    f->operations->embed_backward(f->device, NULL, &shape, tokens, dout, false, dwte, NULL);
    assert_near(dwte, (const double[]){5, 6, 1, 2}, 4);
    f->operations->embed_backward(f->device, NULL, &shape, tokens, dout, true, NULL, dwpe);
    assert_near(dwpe, (const double[]){106, 108, 110, 112}, 4);
}

/* 1 + 2^24 is rounded to 2^24: added in this order nothing is left, in another 1 is. */
static void sum_in_order(const test_fixture *f)
{
    const float one = 1.0f, large = 0x1p24f, minus = -0x1p24f;
    const void *const parts[3] = {&one, &large, &minus}, *const other[3] = {&large, &minus, &one};
    float out = 7.0f;
    f->operations->sum(f->device, NULL, WEFT_FP32, 1, 3, parts, &out);
    assert_true(out == 0.0f);
    f->operations->sum(f->device, NULL, WEFT_FP32, 1, 3, other, &out);
    assert_true(out == 1.0f);
}

static void norm(const test_fixture *f)
{
    const float x[4] = {1, 2, 3, 6}, weight[4] = {1, 1, 2, 1}, bias[4] = {0, 0, 0, 5};
    const weft_norm layer = {WEFT_LAYERNORM, 1, 4, 0.5f}, rms = {WEFT_RMSNORM, 1, 4, 0.0f};
    float out[4], mean = 0, rstd = 0;
    /* mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5, with epsilon 4; mean square 12.5 */
    const double layer_expected[4] = {-1, -0.5, 0, 6.5}, root = sqrt(12.5);
    const double rms_expected[4] = {1 / root, 2 / root, 6 / root, 6 / root};
    f->operations->norm_forward(f->device, NULL, &layer, x, weight, bias, out, &mean, &rstd);
    assert_near(out, layer_expected, 4);
    assert_true(mean == 3.0f && rstd == 0.5f);
    f->operations->norm_forward(f->device, NULL, &rms, x, weight, NULL, out, NULL, &rstd);
    assert_near(out, rms_expected, 4);
    assert_true(fabs((double)rstd - 1 / root) < 1e-6);
}

static void linear(const test_fixture *f)
{
    const float x[4] = {1, 2, 3, 4}, w[6] = {1, 0, 0, 1, 1, 1}, bias[3] = {10, 20, 30};
    const weft_linear shape = {2, 2, 3};
    const double expected[6] = {11, 22, 33, 13, 24, 37};
    float y[6];
    f->operations->linear_forward(f->device, NULL, &shape, x, w, bias, y, f->workspace);
    assert_near(y, expected, 6);
}

/* From x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), and x / (1 + e^-x) times the second half. */
static void activation(const test_fixture *f)
{
    const float x[4] = {1, -0.5f, 3, 0}, pair[4] = {1, -2, 10, 100};
    const weft_activation gelu = {WEFT_GELU, 1, 4}, swiglu = {WEFT_SWIGLU, 1, 2};
    const double gelu_expected[4] = {0.8411919906, -0.1542859829, 2.9963627911, 0};
    const double swiglu_expected[2] = {7.3105857863, -23.8405844044};
    float out[4];
    f->operations->activation_forward(f->device, NULL, &gelu, x, out);
    assert_near(out, gelu_expected, 4);
    f->operations->activation_forward(f->device, NULL, &swiglu, pair, out);
    for (int i = 0; i < 2; i++) assert_true(fabs((double)out[i] / swiglu_expected[i] - 1.0) < 1e-6);
}

/* Element i turns with element i + D/2; the second head is not among those rotated. */
static void rotary(const test_fixture *f)
{
    const weft_rotary shape = {.B = 1, .T = 2, .heads = 1, .D = 4, .stride = 8};
    const float cosine[4] = {1, 1, 0, 0.6f}, sine[4] = {0, 0, 1, 0.8f};
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = (float)i;
    const double expected[16] = {0,  1,  2,  3, 4, 5, 6, 7, -10, 0.6 * 9 - 0.8 * 11, 8, 0.6 * 11 + 0.8 * 9,
                                 12, 13, 14, 15};
    f->operations->rotary(f->device, NULL, &shape, cosine, sine, 1, x);
    assert_near(x, expected, 16);
}

/* One token attends to itself only: each head gives the values of its group. */
static void attention_groups(const test_fixture *f)
{
    enum { H = 4, G = 2, D = 8 };
    const weft_attention shape = {.B = 1, .T = 1, .H = H, .G = G, .D = D};
    float qkv[(H + 2 * G) * D], out[H * D], logsumexp[H];
    for (int i = 0; i < (H + 2 * G) * D; i++) qkv[i] = (float)(i % 13) / 8.0f;
    f->operations->attention_forward(f->device, NULL, &shape, qkv, out, logsumexp, f->workspace);
    for (int h = 0; h < H; h++) {
        double score = 0;
        for (int d = 0; d < D; d++) {
            assert_true(fabs((double)out[h * D + d] - (double)qkv[(H + G + h / 2) * D + d]) < 1e-6);
            score += (double)qkv[h * D + d] * (double)qkv[(H + h / 2) * D + d] / sqrt(D);
        }
        assert_true(fabs((double)logsumexp[h] - score) < 1e-5);
    }
}

/* Two tokens: the second one's scores are 0 and log 3, so it takes 1/4 and 3/4 of the values. */
static void attention_weights(const test_fixture *f)
{
    enum { D = 8 };
    const weft_attention shape = {.B = 1, .T = 2, .H = 1, .G = 1, .D = D};
    float qkv[2 * 3 * D] = {0}, out[2 * D], logsumexp[2];
    qkv[3 * D] = 1.0f;
    qkv[3 * D + D] = (float)(sqrt(D) * log(3.0));
    for (int d = 0; d < D; d++) {
        qkv[2 * D + d] = 4.0f;
        qkv[3 * D + 2 * D + d] = 8.0f;
    }
    f->operations->attention_forward(f->device, NULL, &shape, qkv, out, logsumexp, f->workspace);
    for (int d = 0; d < D; d++) {
        assert_true(fabs((double)out[d] - 4.0) < 1e-5);
        assert_true(fabs((double)out[D + d] - 7.0) < 1e-5);
    }
    assert_true(fabs((double)logsumexp[0]) < 1e-6);
    assert_true(fabs((double)logsumexp[1] - log(4.0)) < 1e-6);
}

static void squares(const test_fixture *f)
{
    enum { COUNT = 2 * WEFT_NORM_BLOCK + 17 };
    float *ones = f->workspace;
    double sums[3] = {0};
    for (int i = 0; i < COUNT; i++) ones[i] = 2.0f;
    f->operations->square_sums(f->device, NULL, COUNT, ones, sums);
    assert_true(sums[0] == 4.0 * WEFT_NORM_BLOCK && sums[1] == 4.0 * WEFT_NORM_BLOCK && sums[2] == 4.0 * 17);
}

/* The algorithm as torch.optim.AdamW documents it, in double. */
static void adamw(const test_fixture *f)
{
    const weft_step_scalars s = {.learning_rate = 0.01f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.95f,
                                 .epsilon = 0.001f,
                                 .weight_decay = 0.1f,
                                 .correction1 = 0.271f,
                                 .correction2 = 0.142625f,
                                 .clip_norm = 1.0f,
                                 .clip_factor = 0.7f};
    for (int decay = 0; decay < 2; decay++) {
        const float gradient[2] = {0.5f, -2.0f};
        float weight[2] = {1.0f, -3.0f}, moment1[2] = {0.2f, 0.1f}, moment2[2] = {0.3f, 0.02f}, storage[2];
        double expected[3][2];
        for (int i = 0; i < 2; i++) {
            double g = (double)gradient[i] * 0.7;
            double m = 0.9 * (double)moment1[i] + 0.1 * g, v = 0.95 * (double)moment2[i] + 0.05 * g * g;
            expected[0][i] = (double)weight[i] * (decay ? 1.0 - 0.01 * 0.1 : 1.0) -
                             0.01 / 0.271 * m / (sqrt(v) / sqrt(0.142625) + 0.001);
            expected[1][i] = m;
            expected[2][i] = v;
        }
        f->operations->adamw(f->device, NULL, 2, &s, decay != 0, gradient, weight, moment1, moment2, storage);
        assert_near(weight, expected[0], 2);
        assert_near(moment1, expected[1], 2);
        assert_near(moment2, expected[2], 2);
        assert_near(storage, expected[0], 2);
    }
}

/* 1 + 2^-8 + 2^-30 lies just above the middle of two bf16 numbers; through fp32 it would be taken for the middle. */
static void test_reference_rounds_once(void **state)
{
    (void)state;
    const weft_device_options options = {.element = WEFT_BF16, .threads = 1};
    const weft_linear shape = {1, 3, 1};
    const uint16_t one = 0x3f80, w[3] = {one, one, one};
    const uint16_t x[3] = {one, weft_bf16_from_float(0x1p-8f), weft_bf16_from_float(0x1p-30f)};
    double workspace[64];
    uint16_t y[1];
    weft_device *device = NULL;
    const weft_device_kind *kind = weft_device_kind_find("reference");
    assert_true(kind->linear_workspace(&options, &shape) <= sizeof workspace);
    assert_int_equal(kind->create(&options, &device, NULL), WEFT_OK);
    device->operations->linear_forward(device, NULL, &shape, x, w, NULL, y, workspace);
    assert_true(weft_bf16_to_float(y[0]) == 1.0078125f);
    device->operations->destroy(device);
}

/* 2^-8 is half of what 1 can be raised by: three of them count when the sum is rounded once, none when one by one. */
static void check_sums(weft_device *device)
{
    uint16_t one[1] = {0x3f80}, small[1] = {weft_bf16_from_float(0x1p-8f)}, out[1];
    float wide[1] = {1.0f}, step[1] = {0x1p-8f};
    const void *const parts[4] = {one, small, small, small}, *const fp32[2] = {wide, step};
    device->operations->sum(device, NULL, WEFT_BF16, 1, 2, parts, out);
    assert_true(weft_bf16_to_float(out[0]) == 1.0f);
    device->operations->sum(device, NULL, WEFT_BF16, 1, 3, parts, out);
    assert_true(weft_bf16_to_float(out[0]) == 1.0078125f);
    device->operations->sum(device, NULL, WEFT_BF16, 1, 4, parts, one);
    assert_true(weft_bf16_to_float(one[0]) == 1.015625f);
    device->operations->sum(device, NULL, WEFT_FP32, 1, 2, fp32, wide); /* such an instance adds both */
    assert_true(wide[0] == 1.00390625f);
}

/* Ties go to even, a NaN stays one, and the sum of bf16 numbers is rounded once. */
static void test_bf16_rounding(void **state)
{
    (void)state;
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if ((*kind)->takes_costs) continue; /* it computes nothing */
        const weft_device_options options = {.element = WEFT_BF16, .threads = 1};
        weft_device *device = NULL;
        const float from[5] = {1.0f, 1.00390625f, 1.01171875f, -1.00390637f, NAN};
        const float expected[4] = {1.0f, 1.0f, 1.015625f, -1.0078125f};
        uint16_t to[5], sum[1], one[1] = {0x3f80}, small[1] = {weft_bf16_from_float(0.00390625f)};
        assert_int_equal((*kind)->create(&options, &device, NULL), WEFT_OK);
        device->operations->round(device, NULL, 5, from, to);
        for (int i = 0; i < 4; i++) assert_true(weft_bf16_to_float(to[i]) == expected[i]);
        assert_true(isnan(weft_bf16_to_float(to[4])));
        device->operations->add(device, NULL, 1, one, small, sum);
        assert_true(weft_bf16_to_float(sum[0]) == 1.0f);
        check_sums(device);
        device->operations->destroy(device);
    }
}

#define KNOWN(body)                                                                                                    \
    static void test_##body(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        for_each_kind(body);                                                                                           \
    }
KNOWN(embed)
KNOWN(embed_slice)
KNOWN(sum_in_order)
KNOWN(norm)
KNOWN(linear)
KNOWN(activation)
KNOWN(rotary)
KNOWN(attention_groups)
KNOWN(attention_weights)
KNOWN(squares)
KNOWN(adamw)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_embed_slice),
        cmocka_unit_test(test_sum_in_order),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_activation),
        cmocka_unit_test(test_rotary),
        cmocka_unit_test(test_attention_groups),
        cmocka_unit_test(test_attention_weights),
        cmocka_unit_test(test_squares),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_reference_rounds_once),
        cmocka_unit_test(test_bf16_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
