/* Results worked out by hand or taken from the definitions, on every kind of device in this build, most in fp32. */
#include "operations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SCRATCH_BYTES = 1 << 20, MOST_OPERANDS = 40 };

/* operands: what ON and ROOM made, released after the body. */
typedef struct test_fixture {
    weft_device *device;
    const weft_device_operations *operations;
    void *workspace, *operands[MOST_OPERANDS];
    int count;
} test_fixture;

static void *room(test_fixture *f, size_t bytes)
{
    void *memory = NULL;
    assert_true(f->count < MOST_OPERANDS);
    assert_int_equal(f->operations->allocate(f->device, WEFT_MEMORY_DEVICE, bytes, &memory, NULL), WEFT_OK);
    f->operands[f->count++] = memory;
    return memory;
}

static void *on(test_fixture *f, const void *host, size_t bytes)
{
    void *memory = room(f, bytes);
    assert_int_equal(f->operations->write(f->device, memory, host, bytes, NULL), WEFT_OK);
    return memory;
}

static void back(test_fixture *f, void *host, const void *from, size_t bytes)
{
    assert_int_equal(f->operations->read(f->device, host, from, bytes, NULL), WEFT_OK);
}

/* Of arrays and of single values: device memory that holds the same, that has room for as much, and what is in it. */
#define ON(array) on(f, &(array), sizeof(array))
#define ROOM(array) room(f, sizeof(array))
#define BACK(array, from) back(f, &(array), from, sizeof(array))

static void fixture_init(test_fixture *f, const weft_device_kind *kind, weft_element element)
{
    const weft_device_options options = {.element = element, .threads = 1};
    *f = (test_fixture){0};
    assert_int_equal(kind->create(&options, &f->device, NULL), WEFT_OK);
    f->operations = f->device->operations;
    assert_int_equal(f->operations->allocate(f->device, WEFT_MEMORY_DEVICE, SCRATCH_BYTES, &f->workspace, NULL),
                     WEFT_OK);
}

static void fixture_fini(test_fixture *f)
{
    assert_int_equal(f->operations->stream_wait(f->device, NULL, NULL), WEFT_OK);
    while (f->count > 0) f->operations->release(f->device, f->operands[--f->count]);
    f->operations->release(f->device, f->workspace);
    f->operations->destroy(f->device);
}

/* Runs body on each kind that computes and is here. */
static void for_each_kind(weft_element element, void (*body)(test_fixture *f))
{
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if ((*kind)->computes_nothing || !kind_is_here(*kind)) continue;
        test_fixture fixture;
        fixture_init(&fixture, *kind, element);
        body(&fixture);
        fixture_fini(&fixture);
    }
}

static void assert_near(const float *actual, const double *expected, int count)
{
    for (int i = 0; i < count; i++) assert_true(fabs((double)actual[i] - expected[i]) < 2e-6);
}

static void embed(test_fixture *f)
{
    const int32_t tokens[4] = {2, 0, 1, 2};
    const float wte[6] = {1, 2, 3, 4, 5, 6}, wpe[4] = {10, 20, 30, 40};
    const double expected[8] = {15, 26, 31, 42, 13, 24, 35, 46};
    float out[8];
    weft_embed shape = {.rows = 4, .T = 2, .C = 2, .V = 3};
    float *to = ROOM(out);
    f->operations->embed_forward(f->device, NULL, &shape, ON(tokens), NULL, ON(wte), ON(wpe), to);
    BACK(out, to);
    assert_near(out, expected, 8);
}

/* The tokens 1 and 2 of a vocabulary that goes on; the others are zeros, without their positions too. */
static void embed_slice(test_fixture *f)
{
    const int32_t tokens[4] = {2, 0, 1, 3};
    const float wte[4] = {3, 4, 5, 6}, wpe[4] = {10, 20, 30, 40}, dout[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const double expected[8] = {15, 26, 0, 0, 13, 24, 0, 0};
    float out[8], dwte[4] = {100, 100, 100, 100}, dwpe[4] = {100, 100, 100, 100};
    const weft_embed shape = {.rows = 4, .T = 2, .C = 2, .V = 2, .first = 1};
    float *to = ROOM(out), *tokens_there = ON(dwte), *positions_there = ON(dwpe);
    f->operations->embed_forward(f->device, NULL, &shape, ON(tokens), NULL, ON(wte), ON(wpe), to);
    BACK(out, to);
    assert_near(out, expected, 8);
    f->operations->embed_backward(f->device, NULL, &shape, ON(tokens), NULL, ON(dout), false, tokens_there, NULL);
    BACK(dwte, tokens_there);
    assert_near(dwte, (const double[]){5, 6, 1, 2}, 4);
    f->operations->embed_backward(f->device, NULL, &shape, ON(tokens), NULL, ON(dout), true, NULL, positions_there);
    BACK(dwpe, positions_there);
    assert_near(dwpe, (const double[]){106, 108, 110, 112}, 4);
}

/* 1 + 2^24 is rounded to 2^24: added in this order nothing is left, in another 1 is. */
static void sum_in_order(test_fixture *f)
{
    const float one = 1.0f, large = 0x1p24f, minus = -0x1p24f;
    const void *const a = ON(one), *const b = ON(large), *const c = ON(minus);
    const void *const parts[3] = {a, b, c}, *const other[3] = {b, c, a};
    float out = 7.0f, *to = ROOM(out);
    f->operations->sum(f->device, NULL, WEFT_FP32, 1, 3, parts, to);
    BACK(out, to);
    assert_true(out == 0.0f);
    f->operations->sum(f->device, NULL, WEFT_FP32, 1, 3, other, to);
    BACK(out, to);
    assert_true(out == 1.0f);
}

static void norm(test_fixture *f)
{
    const float x[4] = {1, 2, 3, 6}, weight[4] = {1, 1, 2, 1}, bias[4] = {0, 0, 0, 5};
    const weft_norm layer = {.kind = WEFT_LAYERNORM, .rows = 1, .width = 4, .epsilon = 0.5f},
                    rms = {.kind = WEFT_RMSNORM, .rows = 1, .width = 4};
    float out[4], mean = 0, rstd = 0;
    /* mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5, with epsilon 4; mean square 12.5 */
    const double layer_expected[4] = {-1, -0.5, 0, 6.5}, root = sqrt(12.5);
    const double rms_expected[4] = {1 / root, 2 / root, 6 / root, 6 / root};
    float *to = ROOM(out), *mean_there = ROOM(mean), *rstd_there = ROOM(rstd);
    f->operations->norm_forward(f->device, NULL, &layer, ON(x), ON(weight), ON(bias), to, mean_there, rstd_there);
    BACK(out, to);
    BACK(mean, mean_there);
    BACK(rstd, rstd_there);
    assert_near(out, layer_expected, 4);
    assert_true(mean == 3.0f && rstd == 0.5f);
    f->operations->norm_forward(f->device, NULL, &rms, ON(x), ON(weight), NULL, to, NULL, rstd_there);
    BACK(out, to);
    BACK(rstd, rstd_there);
    assert_near(out, rms_expected, 4);
    assert_true(fabs((double)rstd - 1 / root) < 1e-6);
}

static void linear(test_fixture *f)
{
    const float x[4] = {1, 2, 3, 4}, w[6] = {1, 0, 0, 1, 1, 1}, bias[3] = {10, 20, 30};
    const weft_linear shape = {2, 2, 3};
    const double expected[6] = {11, 22, 33, 13, 24, 37};
    float y[6], *to = ROOM(y);
    f->operations->linear_forward(f->device, NULL, &shape, ON(x), ON(w), ON(bias), to, f->workspace);
    BACK(y, to);
    assert_near(y, expected, 6);
}

/* From x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), and x / (1 + e^-x) times the second half. */
static void activation(test_fixture *f)
{
    const float x[4] = {1, -0.5f, 3, 0}, pair[4] = {1, -2, 10, 100};
    const weft_activation gelu = {WEFT_GELU, 1, 4}, swiglu = {WEFT_SWIGLU, 1, 2};
    const double gelu_expected[4] = {0.8411919906, -0.1542859829, 2.9963627911, 0};
    const double swiglu_expected[2] = {7.3105857863, -23.8405844044};
    float out[4], *to = ROOM(out);
    f->operations->activation_forward(f->device, NULL, &gelu, ON(x), to);
    BACK(out, to);
    assert_near(out, gelu_expected, 4);
    f->operations->activation_forward(f->device, NULL, &swiglu, ON(pair), to);
    BACK(out, to);
    for (int i = 0; i < 2; i++) assert_true(fabs((double)out[i] / swiglu_expected[i] - 1.0) < 1e-6);
}

/* Element i turns with element i + D/2; the second head is not among those rotated. */
static void rotary(test_fixture *f)
{
    const weft_rotary shape = {.B = 1, .T = 2, .heads = 1, .D = 4, .stride = 8};
    const float cosine[4] = {1, 1, 0, 0.6f}, sine[4] = {0, 0, 1, 0.8f};
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = (float)i;
    const double expected[16] = {0,  1,  2,  3, 4, 5, 6, 7, -10, 0.6 * 9 - 0.8 * 11, 8, 0.6 * 11 + 0.8 * 9,
                                 12, 13, 14, 15};
    float *there = ON(x);
    f->operations->rotary(f->device, NULL, &shape, NULL, ON(cosine), ON(sine), 1, there);
    BACK(x, there);
    assert_near(x, expected, 16);
}

/* One token attends to itself only: each head gives the values of its group. */
static void attention_groups(test_fixture *f)
{
    enum { H = 4, G = 2, D = 8 };
    const weft_attention shape = {.B = 1, .T = 1, .H = H, .G = G, .D = D};
    float qkv[(H + 2 * G) * D], out[H * D], logsumexp[H];
    for (int i = 0; i < (H + 2 * G) * D; i++) qkv[i] = (float)(i % 13) / 8.0f;
    float *to = ROOM(out), *kept = ROOM(logsumexp);
    f->operations->attention_forward(f->device, NULL, &shape, NULL, ON(qkv), to, kept, f->workspace);
    BACK(out, to);
    BACK(logsumexp, kept);
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
static void attention_weights(test_fixture *f)
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
    float *to = ROOM(out), *kept = ROOM(logsumexp);
    f->operations->attention_forward(f->device, NULL, &shape, NULL, ON(qkv), to, kept, f->workspace);
    BACK(out, to);
    BACK(logsumexp, kept);
    for (int d = 0; d < D; d++) {
        assert_true(fabs((double)out[d] - 4.0) < 1e-5);
        assert_true(fabs((double)out[D + d] - 7.0) < 1e-5);
    }
    assert_true(fabs((double)logsumexp[0]) < 1e-6);
    assert_true(fabs((double)logsumexp[1] - log(4.0)) < 1e-6);
}

static void squares(test_fixture *f)
{
    enum { COUNT = 2 * WEFT_NORM_BLOCK + 17 };
    static float twos[COUNT];
    double sums[3] = {0}, *to = ROOM(sums);
    for (int i = 0; i < COUNT; i++) twos[i] = 2.0f;
    f->operations->square_sums(f->device, NULL, COUNT, ON(twos), to);
    BACK(sums, to);
    assert_true(sums[0] == 4.0 * WEFT_NORM_BLOCK && sums[1] == 4.0 * WEFT_NORM_BLOCK && sums[2] == 4.0 * 17);
}

/* The algorithm as torch.optim.AdamW documents it, in double. */
static void adamw(test_fixture *f)
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
        float *w = ON(weight), *m1 = ON(moment1), *m2 = ON(moment2), *rounded = ROOM(storage);
        f->operations->adamw(f->device, NULL, 2, ON(s), decay != 0, ON(gradient), w, m1, m2, rounded);
        BACK(weight, w);
        BACK(moment1, m1);
        BACK(moment2, m2);
        BACK(storage, rounded);
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
    const weft_linear shape = {1, 3, 1};
    const uint16_t one = 0x3f80, w[3] = {one, one, one};
    const uint16_t x[3] = {one, weft_bf16_from_float(0x1p-8f), weft_bf16_from_float(0x1p-30f)};
    uint16_t y[1];
    test_fixture fixture, *f = &fixture;
    fixture_init(f, weft_device_kind_find("reference"), WEFT_BF16);
    uint16_t *to = ROOM(y);
    f->operations->linear_forward(f->device, NULL, &shape, ON(x), ON(w), NULL, to, f->workspace);
    BACK(y, to);
    assert_true(weft_bf16_to_float(y[0]) == 1.0078125f);
    fixture_fini(f);
}

/* 2^-8 is half of what 1 can be raised by: three of them count when the sum is rounded once, none when one by one. */
static void bf16_sums(test_fixture *f)
{
    static const float expected[] = {1.0f, 1.0078125f, 1.015625f};
    uint16_t one = 0x3f80, small = weft_bf16_from_float(0x1p-8f), out = 0;
    float wide = 1.0f, step = 0x1p-8f, *sum = ON(wide);
    void *there = ON(one), *other = ON(small);
    const void *const parts[4] = {there, other, other, other}, *const fp32[2] = {sum, ON(step)};
    for (int32_t count = 2; count <= 4; count++) {
        void *to = count == 4 ? there : ROOM(out); /* the last time one of the parts itself */
        f->operations->sum(f->device, NULL, WEFT_BF16, 1, count, parts, to);
        BACK(out, to);
        assert_true(weft_bf16_to_float(out) == expected[count - 2]);
    }
    f->operations->sum(f->device, NULL, WEFT_FP32, 1, 2, fp32, sum); /* such an instance adds both */
    BACK(wide, sum);
    assert_true(wide == 1.00390625f);
}

/* Ties go to even, a NaN stays one, and the sum of bf16 numbers is rounded once. */
static void bf16_rounding(test_fixture *f)
{
    const float from[5] = {1.0f, 1.00390625f, 1.01171875f, -1.00390637f, NAN};
    const float expected[4] = {1.0f, 1.0f, 1.015625f, -1.0078125f};
    uint16_t to[5], sum = 0, one = 0x3f80, small = weft_bf16_from_float(0.00390625f);
    void *rounded = ROOM(to), *added = ROOM(sum);
    f->operations->round(f->device, NULL, 5, ON(from), rounded);
    BACK(to, rounded);
    for (int i = 0; i < 4; i++) assert_true(weft_bf16_to_float(to[i]) == expected[i]);
    assert_true(isnan(weft_bf16_to_float(to[4])));
    f->operations->add(f->device, NULL, 1, ON(one), ON(small), added);
    BACK(sum, added);
    assert_true(weft_bf16_to_float(sum) == 1.0f);
}

#define KNOWN(body) KNOWN_IN(WEFT_FP32, body)
#define KNOWN_IN(element, body)                                                                                        \
    static void test_##body(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        for_each_kind(element, body);                                                                                  \
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
KNOWN_IN(WEFT_BF16, bf16_rounding)
KNOWN_IN(WEFT_BF16, bf16_sums)

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
        cmocka_unit_test(test_bf16_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
