/* The cpu device's loops for every instruction set that this processor runs, against the plain ones. The operation
 * tests run only the widest. */
#include "base/random.h"
#include "device/cpu/cpu.h"
#include "device/cpu/loops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ROWS = 5, WIDTH = 147, COUNT = ROWS * WIDTH, OUTPUTS = 4, FIRST = WIDTH - ROWS };

/* Inputs and outputs of one call; storage arrays hold the element type in their first bytes. */
typedef struct scene {
    float input[3][COUNT], fp32[OUTPUTS][COUNT], storage[OUTPUTS][COUNT];
    double number;
} scene;

static const weft_norm layer = {.kind = WEFT_LAYERNORM, .rows = ROWS, .width = WIDTH, .epsilon = 1e-5f},
                       rms = {.kind = WEFT_RMSNORM, .rows = ROWS, .width = WIDTH, .epsilon = 1e-5f};

static void call_simple(const weft_cpu_loops *loops, scene *s)
{
    loops->add(COUNT, s->input[0], s->input[1], s->storage[0]);
    loops->round(COUNT, s->fp32[0], s->storage[1]);
    loops->sum_fp32(0, COUNT, 2, (const void *const[]){s->fp32[0], s->fp32[1]}, s->fp32[2]);
    loops->widen(COUNT, s->input[0], s->fp32[3]);
    loops->add_row(WIDTH, s->input[1], true, s->fp32[3]);
    s->number = loops->square_sum(COUNT, s->fp32[0]) + (double)loops->dot(WIDTH, s->input[0], s->input[1]);
}

static void call_sum(const weft_cpu_loops *loops, scene *s)
{
    const void *const fp32[] = {s->fp32[0], s->fp32[1], s->fp32[2], s->fp32[3]};
    const void *const storage[] = {s->input[0], s->input[1], s->input[2], s->input[0]};
    loops->sum_fp32(0, 100, 3, fp32, s->fp32[1]);
    loops->sum_fp32(100, COUNT, 4, fp32, s->fp32[1]);
    for (int parts = 1; parts <= OUTPUTS; parts++) loops->sum(parts, COUNT, parts, storage, s->storage[parts - 1]);
}

static void call_columns(const weft_cpu_loops *loops, scene *s)
{
    loops->column_sums(ROWS, WIDTH, 0, WIDTH, s->input[0], true, s->fp32[0]);
    loops->norm_backward_weight(&layer, 0, WIDTH, s->input[0], s->input[1], s->fp32[1], s->fp32[2], true, s->fp32[3],
                                s->fp32[3] + WIDTH);
}

static void call_norm(const weft_cpu_loops *loops, scene *s)
{
    loops->norm_forward(&layer, 0, ROWS, s->input[0], s->input[1], s->input[2], s->storage[0], s->fp32[0], s->fp32[1]);
    loops->norm_forward(&rms, 0, ROWS, s->input[0], s->input[1], NULL, s->storage[1], NULL, s->fp32[2]);
    loops->norm_backward_input(&layer, 0, ROWS, s->input[0], s->input[1], s->input[2], s->fp32[0], s->fp32[1], NULL,
                               s->storage[2]);
    loops->norm_backward_input(&rms, 0, ROWS, s->input[0], s->input[1], s->input[2], NULL, s->fp32[2], s->input[2],
                               s->storage[3]);
}

static void call_activation(const weft_cpu_loops *loops, scene *s)
{
    loops->gelu_forward(COUNT, s->input[0], s->storage[0]);
    loops->gelu_backward(COUNT, s->input[0], s->input[1], s->storage[1]);
    loops->swiglu_forward(WIDTH, s->input[0], s->storage[2]);
    loops->swiglu_backward(WIDTH, s->input[0], s->input[1], s->storage[3]);
}

static void call_rotary(const weft_cpu_loops *loops, scene *s)
{
    loops->gather(ROWS, 130, WIDTH, s->input[0], 130, s->storage[0]);
    loops->rotary(ROWS, 130, s->fp32[0], s->fp32[1], -1.0f, s->storage[0]);
}

static void call_softmax(const weft_cpu_loops *loops, scene *s)
{
    memcpy(s->storage[0], s->fp32[0], sizeof s->storage[0]);
    loops->softmax(ROWS, FIRST, WIDTH, NULL, 0.3f, s->storage[0], s->storage[1], s->fp32[1]);
    loops->softmax_backward(WIDTH, 0, ROWS, NULL, 0.3f, s->fp32[0], s->fp32[2], s->fp32[3], s->fp32[3], s->storage[2],
                            s->storage[3]);
    memset(s->storage[0], 0, sizeof s->storage[0]); /* exponentials in fp32, whatever the storage type */
}

/* Rows that do not see the first keys: none of them, some, all but their own. */
static void call_softmax_low(const weft_cpu_loops *loops, scene *s)
{
    static const int64_t low[ROWS] = {0, 1, 77, 77, WIDTH - 1};
    int64_t lows[WIDTH];
    for (int row = 0; row < WIDTH; row++) lows[row] = row / 33;
    memcpy(s->storage[0], s->fp32[0], sizeof s->storage[0]);
    loops->softmax(ROWS, FIRST, WIDTH, low, 0.3f, s->storage[0], s->storage[1], s->fp32[1]);
    loops->softmax_backward(WIDTH, 0, ROWS, lows, 0.3f, s->fp32[0], s->fp32[2], s->fp32[3], s->fp32[3], s->storage[2],
                            s->storage[3]);
    memset(s->storage[0], 0, sizeof s->storage[0]);
}

static void call_attend(const weft_cpu_loops *loops, scene *s)
{
    enum { D = 35, KEYS = COUNT / WIDTH };
    float scores[KEYS + D];
    loops->attend(KEYS, D, WIDTH, 0.02f, s->input[0], s->input[1], s->input[2], scores, s->storage[0]);
}

static const weft_loss loss = {.rows = 1, .width = COUNT, .vocabulary = COUNT, .parts = 1, .z = 0.01, .smoothing = 0.1};

static void call_loss(const weft_cpu_loops *loops, scene *s)
{
    memcpy(s->storage[0], s->input[0], sizeof s->storage[0]);
    float row[COUNT];
    weft_row_loss a = loops->cross_entropy(&loss, s->storage[0], 77, 0.5f, true, row);
    weft_row_loss b = loops->cross_entropy(&loss, s->input[1], COUNT - 1, 0.5f, false, row);
    s->number = a.trained + a.plain + b.trained + b.plain;
}

static void call_slice(const weft_cpu_loops *loops, scene *s)
{
    float row[COUNT];
    memcpy(s->storage[0], s->input[0], sizeof s->storage[0]);
    memcpy(s->storage[1], s->input[1], sizeof s->storage[1]);
    loops->loss_part(&loss, s->storage[0], 77, row, s->fp32[0]);
    loops->loss_part(&loss, s->storage[1], 78, row, s->fp32[0] + 4);
    loops->loss_gradient(&loss, s->storage[0], 77, s->fp32[0][0], (double)s->fp32[0][1], 0.5f);
    loops->loss_gradient(&loss, s->storage[1], COUNT, s->fp32[0][4], (double)s->fp32[0][5], 0.5f);
}

static void call_adamw(const weft_cpu_loops *loops, scene *s)
{
    const weft_step_scalars scalars = {.learning_rate = 0.01f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.95f,
                                       .epsilon = 1e-8f,
                                       .weight_decay = 0.1f,
                                       .correction1 = 0.1f,
                                       .correction2 = 0.05f,
                                       .clip_factor = 0.7f};
    for (int i = 0; i < COUNT; i++) s->fp32[3][i] *= s->fp32[3][i];
    loops->adamw(COUNT, &scalars, true, s->fp32[0], s->fp32[1], s->fp32[2], s->fp32[3], s->storage[0]);
}

static void scene_fill(scene *s, weft_element element)
{
    memset(s, 0, sizeof *s);
    weft_random_key key = weft_random_key_make(11, "loops");
    for (int i = 0; i < COUNT; i++) {
        for (int a = 0; a < OUTPUTS; a++) s->fp32[a][i] = (float)weft_random_normal(key, (uint64_t)(8 * i + a));
        for (int a = 0; a < 3; a++) {
            float value = 3.0f * (float)weft_random_normal(key, (uint64_t)(8 * i + 4 + a));
            if (element == WEFT_FP32) {
                s->input[a][i] = value;
            } else {
                ((uint16_t *)s->input[a])[i] = weft_bf16_from_float(value);
            }
        }
    }
}

static double storage_get(weft_element element, const float *array, int i)
{
    return element == WEFT_FP32 ? (double)array[i] : (double)weft_bf16_to_float(((const uint16_t *)array)[i]);
}

static void assert_near(double value, double expected, double share, const char *set)
{
    if (fabs(value - expected) <= share * (1.0 + fabs(expected))) return;
    fail_msg("%s: %.9g, plain: %.9g", set, value, expected);
}

static void compare(const weft_cpu_loops *loops, const scene *a, const scene *b, weft_element element)
{
    const double fp32 = 1e-5, storage = element == WEFT_FP32 ? 1e-5 : 1.0 / 128;
    for (int array = 0; array < OUTPUTS; array++) {
        for (int i = 0; i < COUNT; i++) {
            assert_near((double)a->fp32[array][i], (double)b->fp32[array][i], fp32, loops->name);
            assert_near(storage_get(element, a->storage[array], i), storage_get(element, b->storage[array], i), storage,
                        loops->name);
        }
    }
    assert_near(a->number, b->number, fp32, loops->name);
}

static void (*const calls[])(const weft_cpu_loops *, scene *) = {
    call_simple,  call_sum,         call_columns, call_norm, call_activation, call_rotary,
    call_softmax, call_softmax_low, call_attend,  call_loss, call_slice,      call_adamw,
};

static void test_sets(void **state)
{
    (void)state;
    static scene plain, other;
    for (int kind = 0; kind < 2; kind++) {
        weft_element element = kind == 0 ? WEFT_FP32 : WEFT_BF16;
        for (size_t call = 0; call < sizeof calls / sizeof *calls; call++) {
            scene_fill(&plain, element);
            calls[call](weft_cpu_loops_get(WEFT_VECTORS_PLAIN, element), &plain);
            for (weft_vectors set = WEFT_VECTORS_AVX2; set < WEFT_VECTOR_SETS; set++) {
                const weft_cpu_loops *loops = weft_cpu_loops_get(set, element);
                if (loops == NULL) continue;
                scene_fill(&other, element);
                calls[call](loops, &other);
                compare(loops, &other, &plain, element);
            }
        }
    }
}

/* One row of a generated token is one thread's work, whatever the device has. No team is between one and all: threads
 * would end and begin with each operation. */
static void test_team(void **state)
{
    (void)state;
    for (int32_t threads = 1; threads <= 17; threads++) {
        const weft_device device = {.threads = threads};
        assert_int_equal(weft_cpu_team(&device, 0), 1);
        assert_int_equal(weft_cpu_team(&device, 1), 1);
        for (int64_t pieces = 2; pieces <= 40; pieces++)
            assert_int_equal(weft_cpu_team(&device, pieces), 2 * pieces >= threads ? threads : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sets), cmocka_unit_test(test_team)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
