/* The cpu device's loops at every length and for extreme values, for every instruction set that this processor runs,
 * against the definitions in double. */
#include "base/random.h"
#include "device/cpu/loops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 2100, GUARD = 32, ROOM = 2 * MOST + GUARD, SHORT = 70 };

/* Storage arrays hold the element type in their first bytes. */
typedef struct desk {
    float x[ROOM], y[ROOM], weight[ROOM], bias[ROOM], out[ROOM], single[ROOM], row[ROOM];
} desk;

typedef struct subject {
    const weft_cpu_loops *loops;
    weft_element element;
} subject;

static double get(const subject *s, const float *array, int64_t i)
{
    return s->element == WEFT_FP32 ? (double)array[i] : (double)weft_bf16_to_float(((const uint16_t *)array)[i]);
}

static void put(const subject *s, float *array, int64_t i, float value)
{
    if (s->element == WEFT_FP32)
        array[i] = value;
    else
        ((uint16_t *)array)[i] = weft_bf16_from_float(value);
}

static void *at(const subject *s, float *array, int64_t i)
{
    return (char *)array + (size_t)i * weft_element_bytes(s->element);
}

static void fill(const subject *s, float *array, const char *name, int64_t count)
{
    const weft_random_key key = weft_random_key_make(5, name);
    for (int64_t i = 0; i < count; i++) put(s, array, i, 2.0f * (float)weft_random_normal(key, (uint64_t)i));
}

/* `off`: what a sum of large terms may be off by. */
static void assert_near(const subject *s, double is, double should, double share, double off, const char *what,
                        int64_t i)
{
    if (isnan(should) ? isnan(is) : is == should || fabs(is - should) <= share * fabs(should) + off) return;
    fail_msg("%s %s: %s at %lld: %.9g, should be %.9g", s->loops->name, weft_element_name(s->element), what,
             (long long)i, is, should);
}

/* The parts of a call are arrays of columns: gate, up and their gradients lie `count` apart. */
static void gelu_forward(const subject *s, int64_t count, float *x, float *y, float *out)
{
    (void)y;
    s->loops->gelu_forward(count, x, out);
}

static void gelu_backward(const subject *s, int64_t count, float *x, float *y, float *out)
{
    s->loops->gelu_backward(count, x, y, out);
}

static void swiglu_forward(const subject *s, int64_t count, float *x, float *y, float *out)
{
    (void)y;
    s->loops->swiglu_forward(count, x, out);
}

static void swiglu_backward(const subject *s, int64_t count, float *x, float *y, float *out)
{
    s->loops->swiglu_backward(count, x, y, out);
}

static void rotary(const subject *s, int64_t count, float *x, float *y, float *out)
{
    float cosine[MOST], sine[MOST];
    for (int64_t i = 0; i < count; i++) {
        cosine[i] = (float)get(s, y, i);
        sine[i] = 0.5f * cosine[i];
    }
    memcpy(out, x, (size_t)(2 * count) * weft_element_bytes(s->element));
    s->loops->rotary(1, 2 * count, cosine, sine, -1.0f, 2 * count, out);
}

static const struct {
    const char *name;
    void (*run)(const subject *, int64_t, float *, float *, float *);
    int in, out; /* parts of x and of what is written */
} elementwise[] = {
    {"gelu forward", gelu_forward, 1, 1},
    {"gelu backward", gelu_backward, 1, 1},
    {"swiglu forward", swiglu_forward, 2, 1},
    {"swiglu backward", swiglu_backward, 2, 2},
    {"rotary", rotary, 2, 2},
};

/* An element has the bits that it has alone, at every length and place, and nothing is written behind the last. */
static void check_length(const subject *s, size_t which, int64_t count, desk *d)
{
    const size_t bytes = weft_element_bytes(s->element);
    const int parts = elementwise[which].out;
    memset(d->out, 0x5a, sizeof d->out);
    elementwise[which].run(s, count, d->x, d->y, d->out);
    for (int64_t i = 0; i < count; i++) {
        float x[2], y[1], out[2];
        for (int part = 0; part < elementwise[which].in; part++)
            memcpy(at(s, x, part), at(s, d->x, part * count + i), bytes);
        memcpy(y, at(s, d->y, i), bytes);
        elementwise[which].run(s, 1, x, y, out);
        for (int part = 0; part < parts; part++) {
            if (memcmp(at(s, out, part), at(s, d->out, part * count + i), bytes) == 0) continue;
            fail_msg("%s: %s of %lld: element %lld has other bits than alone", s->loops->name, elementwise[which].name,
                     (long long)count, (long long)i);
        }
    }
    const unsigned char *behind = at(s, d->out, parts * count);
    for (int i = 0; i < GUARD; i++) assert_int_equal(behind[i], 0x5a);
}

static void lengths(const subject *s, desk *d)
{
    static const int64_t long_ones[] = {127, 128, 255, 257, 511, 512, 513, 1023, 1024, 1025, 1537, MOST};
    fill(s, d->x, "x", ROOM);
    fill(s, d->y, "y", ROOM);
    for (size_t which = 0; which < sizeof elementwise / sizeof *elementwise; which++) {
        for (int64_t count = 1; count <= SHORT; count++) check_length(s, which, count, d);
        for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++) check_length(s, which, long_ones[i], d);
    }
}

/* x logistic(2 u), and the derivatives of both. */
static double twice_u(double x)
{
    return 2.0 * 0.79788456080286535588 * (x + 0.044715 * x * x * x);
}

static double gelu(double x)
{
    return x / (1.0 + exp(-twice_u(x)));
}

static double gelu_slope(double x)
{
    const double u = twice_u(x), slope = 2.0 * 0.79788456080286535588 * (1.0 + 3.0 * 0.044715 * x * x);
    const double s = 1.0 / (1.0 + exp(-u));
    return s + x * slope * (s / (1.0 + exp(u)));
}

static double silu(double x)
{
    return x / (1.0 + exp(-x));
}

static double silu_slope(double x)
{
    const double s = 1.0 / (1.0 + exp(-x));
    return s + x * (s / (1.0 + exp(x)));
}

/* What is finite gives what the definitions give, however large or small; what is not gives NaN or infinity as they do.
 * An exponent has as many digits fewer as it is large. */
static double share_of(const subject *s, double exponent)
{
    return s->element == WEFT_FP32 ? 1e-6 + 4e-7 * fmin(90.0, fabs(exponent)) : 1.0 / 200;
}

static void extremes(const subject *s, desk *d)
{
    static const float values[] = {0.0f,   -0.0f,  1e-45f,   -1e-40f,   1e-38f, 1e-20f, 0.3f,   -0.3f, 3.0f,
                                   -3.0f,  5.0f,   -5.0f,    9.9f,      10.1f,  11.0f,  20.0f,  88.0f, 90.0f,
                                   -90.0f, 200.0f, -200.0f,  1e4f,      -1e4f,  1e13f,  -1e13f, 1e20f, -1e20f,
                                   3e38f,  -3e38f, INFINITY, -INFINITY, NAN,    -NAN};
    enum { VALUES = sizeof values / sizeof *values };
    for (int64_t place = 0; place < 40; place++) {
        const int64_t count = VALUES + place;
        for (int64_t i = 0; i < count; i++) {
            put(s, d->x, i, values[(i + place) % VALUES]);
            put(s, d->x, count + i, 1.0f);
            put(s, d->y, i, 1.0f);
        }
        s->loops->gelu_forward(count, d->x, d->out);
        s->loops->gelu_backward(count, d->x, d->y, d->single);
        for (int64_t i = 0; i < count; i++) {
            const double x = get(s, d->x, i);
            const double share = share_of(s, twice_u(x));
            assert_near(s, get(s, d->out, i), gelu(x), share, 1e-30, "gelu", i);
            assert_near(s, get(s, d->single, i), gelu_slope(x), share, 1e-30, "gelu's derivative", i);
        }
        s->loops->swiglu_forward(count, d->x, d->out);
        s->loops->swiglu_backward(count, d->x, d->y, d->single);
        for (int64_t i = 0; i < count; i++) {
            const double x = get(s, d->x, i);
            const double share = share_of(s, x);
            assert_near(s, get(s, d->out, i), silu(x), share, 1e-30, "silu", i);
            assert_near(s, get(s, d->single, i), silu_slope(x), share, 1e-30, "silu's derivative", i);
            assert_near(s, get(s, d->single, count + i), silu(x), share, 1e-30, "up's gradient", i);
        }
    }
}

/* One row of a norm and its gradient, of every short width. */
static void norm_row(const subject *s, weft_norm_kind kind, int64_t width, desk *d)
{
    const weft_norm norm = {.kind = kind, .rows = 1, .width = width, .epsilon = 1e-5f};
    const double fp32 = 2e-5, share = s->element == WEFT_FP32 ? fp32 : 1.0 / 100;
    float mean = 0.0f, rstd = 0.0f;
    double sum = 0.0, squares = 0.0, slopes = 0.0, product = 0.0;
    s->loops->norm_forward(&norm, 0, 1, d->x, d->weight, d->bias, d->out, &mean, &rstd);
    s->loops->norm_backward_input(&norm, 0, 1, d->y, d->x, d->weight, &mean, &rstd, d->bias, d->single);
    for (int64_t i = 0; i < width; i++) sum += get(s, d->x, i) / (double)width;
    const double centre = kind == WEFT_LAYERNORM ? sum : 0.0;
    for (int64_t i = 0; i < width; i++) squares += pow(get(s, d->x, i) - centre, 2.0) / (double)width;
    const double inverse = 1.0 / sqrt(squares + (double)norm.epsilon);
    if (kind == WEFT_LAYERNORM) assert_near(s, (double)mean, centre, fp32, fp32, "mean", width);
    assert_near(s, (double)rstd, inverse, fp32, 0.0, "rstd", width);
    for (int64_t i = 0; i < width; i++) {
        const double scaled = get(s, d->y, i) * get(s, d->weight, i) / (double)width;
        slopes += kind == WEFT_LAYERNORM ? scaled : 0.0;
        product += scaled * (get(s, d->x, i) - (double)mean) * (double)rstd;
    }
    for (int64_t i = 0; i < width; i++) {
        const double normal = (get(s, d->x, i) - (double)mean) * (double)rstd, w = get(s, d->weight, i);
        const double bias = get(s, d->bias, i);
        const double dx = bias + (double)rstd * (get(s, d->y, i) * w - slopes - normal * product);
        assert_near(s, get(s, d->out, i), normal * w + bias, share, 1e-5, "norm", i);
        assert_near(s, get(s, d->single, i), dx, share, 1e-5 + 1e-4 * (double)rstd, "dx", i);
    }
    assert_true(fabs(get(s, d->out, width) - 7.0) < 1e-9 && fabs(get(s, d->single, width) - 7.0) < 1e-9);
}

static void norms(const subject *s, desk *d)
{
    fill(s, d->x, "x", ROOM);
    fill(s, d->y, "y", ROOM);
    fill(s, d->weight, "weight", ROOM);
    fill(s, d->bias, "bias", ROOM);
    for (int64_t width = 1; width <= 2 * SHORT; width++) {
        put(s, d->out, width, 7.0f);
        put(s, d->single, width, 7.0f);
        if (width > 1) norm_row(s, WEFT_LAYERNORM, width, d);
        norm_row(s, WEFT_RMSNORM, width, d);
    }
}

/* Rows have the bits that they have alone, however many are done at once: narrow and wide, an odd number of them too.
 */
static void norm_cuts(const subject *s, weft_norm_kind kind, int64_t width, desk *d)
{
    const int64_t rows = ROOM / width < 5 ? ROOM / width : 5;
    const weft_norm norm = {.kind = kind, .rows = rows, .width = width, .epsilon = 1e-5f};
    float mean[2][5] = {{0.0f}}, rstd[2][5];
    s->loops->norm_forward(&norm, 0, rows, d->x, d->weight, d->bias, d->out, mean[0], rstd[0]);
    for (int64_t row = 0; row < rows; row++)
        s->loops->norm_forward(&norm, row, row + 1, d->x, d->weight, d->bias, d->single, mean[1], rstd[1]);
    assert_memory_equal(d->out, d->single, (size_t)(rows * width) * weft_element_bytes(s->element));
    assert_memory_equal(mean[0], mean[1], sizeof mean[0]);
    assert_memory_equal(rstd[0], rstd[1], (size_t)rows * sizeof(float));
}

static void norm_widths(const subject *s, desk *d)
{
    static const int64_t long_ones[] = {1021, 1022, 1023, 1024, 1025, 1026, 1027, 2048, MOST};
    fill(s, d->x, "x", ROOM);
    fill(s, d->y, "y", ROOM);
    fill(s, d->weight, "weight", ROOM);
    fill(s, d->bias, "bias", ROOM);
    for (int64_t width = 1; width <= 2 * SHORT; width++) {
        norm_cuts(s, WEFT_LAYERNORM, width, d);
        norm_cuts(s, WEFT_RMSNORM, width, d);
    }
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++) {
        norm_cuts(s, WEFT_LAYERNORM, long_ones[i], d);
        norm_cuts(s, WEFT_RMSNORM, long_ones[i], d);
        put(s, d->out, long_ones[i], 7.0f);
        put(s, d->single, long_ones[i], 7.0f);
        norm_row(s, WEFT_LAYERNORM, long_ones[i], d);
    }
}

/* The largest logit of a row at every length and place: of numbers of both signs, of negative ones, with a NaN, which
 * is passed over and makes the sum NaN, and of nothing but one number. */
static void largest_of(const subject *s, int kind, int64_t first, int64_t V, desk *d)
{
    static const float alone[] = {-INFINITY, INFINITY, 0.0f, -0.0f, -3e38f, -1e-40f};
    const weft_loss loss = {.rows = 1, .width = V, .vocabulary = V, .parts = 1};
    const bool broken = kind == 2 || kind == 3;
    float stats[4], largest = -INFINITY;
    for (int64_t i = 0; i < V; i++) {
        const float value = (float)get(s, d->y, first + i);
        put(s, d->x, first + i, kind == 0 ? value : kind < 4 ? -fabsf(value) : alone[kind - 4]);
    }
    if (broken) put(s, d->x, first + V / 2, kind == 2 ? NAN : -NAN);
    for (int64_t i = 0; i < V; i++) largest = fmaxf(largest, (float)get(s, d->x, first + i));
    s->loops->loss_part(&loss, at(s, d->x, first), 0, stats);
    assert_true(stats[0] == largest);
    assert_int_equal(isnan(stats[1]), broken || largest == INFINITY);
}

static void largest(const subject *s, desk *d)
{
    fill(s, d->y, "y", ROOM);
    for (int kind = 0; kind < 10; kind++) {
        for (int64_t V = 1; V <= 2 * SHORT; V += V < SHORT ? 1 : 7) {
            for (int64_t first = 0; first < 33; first += 3) largest_of(s, kind, first, V, d);
        }
    }
}

/* A row of logits, whole and as a slice: the sums and every element of the gradient. Some logits are so far below the
 * largest that nothing is left of them. */
static void loss_row(const subject *s, int64_t V, int32_t target, desk *d)
{
    const weft_loss loss = {.rows = 1, .width = V, .vocabulary = V, .parts = 1, .z = 0.01, .smoothing = 0.1};
    const double share = s->element == WEFT_FP32 ? 3e-6 : 1.0 / 200;
    double largest = -INFINITY, sum = 0.0, all = 0.0;
    float stats[4];
    for (int64_t i = 0; i < V; i++) largest = fmax(largest, get(s, d->x, i));
    for (int64_t i = 0; i < V; i++) sum += exp(get(s, d->x, i) - largest);
    for (int64_t i = 0; i < V; i++) all += get(s, d->x, i);
    const double total = largest + log(sum), steep = 1.0 + 0.02 * total, scale = 3.0;
    const size_t bytes = (size_t)(V + 1) * weft_element_bytes(s->element);
    float *row = s->element == WEFT_FP32 ? NULL : d->row;
    put(s, d->x, V, 7.0f);
    memcpy(d->out, d->x, bytes);
    memcpy(d->single, d->x, bytes);
    const weft_row_loss own = weft_row_loss_make(&loss, total, get(s, d->x, target), all);
    const weft_row_loss seen = s->loops->cross_entropy(&loss, d->out, target, 0.0f, false, NULL);
    assert_memory_equal(d->out, d->x, bytes);
    const weft_row_loss is = s->loops->cross_entropy(&loss, d->out, target, (float)scale, true, row);
    assert_true(is.trained == seen.trained && is.plain == seen.plain);
    assert_near(s, is.trained, own.trained, 1e-6, 0.0, "loss", V);
    s->loops->loss_part(&loss, d->single, target, stats);
    assert_near(s, (double)stats[1], sum, 1e-6, 0.0, "sum", V);
    assert_true((double)stats[0] == largest && (double)stats[2] == get(s, d->x, target));
    s->loops->loss_gradient(&loss, d->single, target, stats[0], (double)stats[1], (float)scale);
    for (int64_t i = 0; i < V; i++) {
        const double hit = i == target ? 0.9 : 0.0, even = 0.1 / (double)V;
        const double should = scale * (steep * exp(get(s, d->x, i) - total) - even - hit);
        const double off = 1e-6 * scale / (double)V;
        assert_near(s, get(s, d->out, i), should, share, off, "gradient", i);
        assert_near(s, get(s, d->single, i), should, share, off, "gradient of a slice", i);
    }
    assert_true(get(s, d->out, V) == 7.0 && get(s, d->single, V) == 7.0);
}

static void losses(const subject *s, desk *d)
{
    static const int64_t long_ones[] = {1023, 1024, 1025, 1026, 2047, 2048, 2049, MOST};
    fill(s, d->x, "logits", ROOM);
    for (int64_t i = 20; i < ROOM; i += 13) put(s, d->x, i, -70.0f - (float)(i % 50));
    for (int64_t V = 2; V <= 2 * SHORT; V++) {
        loss_row(s, V, 0, d);
        put(s, d->x, V, 1.5f);
        loss_row(s, V, (int32_t)V - 1, d);
        put(s, d->x, V, -1.5f);
    }
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        loss_row(s, long_ones[i], (int32_t)(long_ones[i] - 1), d);
}

static void for_all_sets(void (*body)(const subject *, desk *))
{
    static desk d;
    for (weft_vectors set = 0; set < WEFT_VECTOR_SETS; set++) {
        for (int kind = 0; kind < 2; kind++) {
            const weft_element element = kind == 0 ? WEFT_FP32 : WEFT_BF16;
            const subject s = {weft_cpu_loops_get(set, element), element};
            if (s.loops != NULL) body(&s, &d);
        }
    }
}

static void test_lengths(void **state)
{
    (void)state;
    for_all_sets(lengths);
}

static void test_extremes(void **state)
{
    (void)state;
    for_all_sets(extremes);
}

static void test_norms(void **state)
{
    (void)state;
    for_all_sets(norms);
}

static void test_norm_widths(void **state)
{
    (void)state;
    for_all_sets(norm_widths);
}

static void test_largest(void **state)
{
    (void)state;
    for_all_sets(largest);
}

static void test_losses(void **state)
{
    (void)state;
    for_all_sets(losses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_norms),   cmocka_unit_test(test_norm_widths),
                                       cmocka_unit_test(test_largest), cmocka_unit_test(test_losses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
