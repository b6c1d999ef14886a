/*
 * Own products of pairs and tiles (device/cpu/pairs.h), on a processor that has the instructions: exact sums at every
 * edge, nothing touched that is not an operand's, the same bits for any number of threads and any cut. Run as it is,
 * and with ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16, so that a processor with tiles does as one without.
 */
#include "base/random.h"
#include "device/cpu/pairs.h"
#include "device/kinds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIPPED = 77, KINDS = 5 };
typedef enum product_kind { BIASED, FORWARD, INPUT, WEIGHT, WEIGHT_ADDED } product_kind;

static weft_product_shape shape_of(product_kind kind, int64_t m, int64_t n, int64_t k)
{
    const bool weight = kind >= WEIGHT, forward = kind <= FORWARD;
    return (weft_product_shape){.m = m,
                                .n = n,
                                .k = k,
                                .a_stride = weight ? m : k,
                                .b_stride = forward ? k : n,
                                .c_stride = n,
                                .transpose_a = weight,
                                .transpose_b = forward,
                                .bias = kind == BIASED,
                                .c_fp32 = weight,
                                .accumulate = kind == WEIGHT_ADDED};
}

/* Memory whose end is the end of what may be touched. */
typedef struct fenced {
    void *at;
    char *base;
    size_t length;
} fenced;

static fenced fence(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    fenced out = {.length = whole + page};
    out.base = mmap(NULL, out.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(out.base != MAP_FAILED);
    assert_int_equal(mprotect(out.base + whole, page, PROT_NONE), 0);
    out.at = out.base + whole - bytes;
    return out;
}

static void open_fence(const fenced *memory)
{
    assert_int_equal(munmap(memory->base, memory->length), 0);
}

/* A product with operands of its own. */
typedef struct product {
    weft_product_shape shape;
    fenced a, b, bias, c;
    size_t c_bytes;
} product;

static void fill(const char *name, int64_t count, bool whole_numbers, uint16_t *to)
{
    const weft_random_key key = weft_random_key_make(5, name);
    for (int64_t i = 0; i < count; i++) {
        const double value = whole_numbers ? (double)(int)(weft_random_uniform(key, (uint64_t)i) * 17.0) - 8.0
                                           : weft_random_normal(key, (uint64_t)i);
        to[i] = weft_bf16_from_float((float)value);
    }
}

static product product_make(product_kind kind, int64_t m, int64_t n, int64_t k, bool whole_numbers)
{
    product out = {.shape = shape_of(kind, m, n, k), .c_bytes = (size_t)(m * n) * (kind >= WEIGHT ? 4 : 2)};
    out.a = fence((size_t)(m * k) * 2);
    out.b = fence((size_t)(k * n) * 2);
    out.bias = fence((size_t)n * 2);
    out.c = fence(out.c_bytes);
    fill("bias", n, whole_numbers, out.bias.at);
    fill("a", m * k, whole_numbers, out.a.at);
    fill("b", k * n, whole_numbers, out.b.at);
    for (int64_t i = 0; kind == WEIGHT_ADDED && i < m * n; i++) ((float *)out.c.at)[i] = (float)(i % 13);
    if (kind != WEIGHT_ADDED) memset(out.c.at, 0xff, out.c_bytes); /* not a number, unless written */
    return out;
}

static void product_end(const product *self)
{
    open_fence(&self->a);
    open_fence(&self->b);
    open_fence(&self->bias);
    open_fence(&self->c);
}

static void multiply(const weft_product_shape *shape, int32_t threads, const weft_operands *all)
{
    const weft_device_options options = {.element = WEFT_BF16, .threads = threads};
    weft_device *device = NULL;
    assert_int_equal(weft_device_cpu.create(&options, &device, NULL), WEFT_OK);
    const fenced workspace = fence(weft_pairs_workspace(weft_cpu_of(device)->pairs, shape, threads));
    weft_pairs_multiply(weft_cpu_of(device), shape, all, workspace.at);
    open_fence(&workspace);
    device->operations->destroy(device);
}

static void product_run(const product *self, int32_t threads)
{
    const weft_operands all = {
        .a = self->a.at, .b = self->b.at, .bias = self->shape.bias ? self->bias.at : NULL, .c = self->c.at};
    multiply(&self->shape, threads, &all);
}

static float a_of(const product *self, int64_t row, int64_t k)
{
    const weft_product_shape *s = &self->shape;
    return weft_bf16_to_float(((uint16_t *)self->a.at)[s->transpose_a ? k * s->m + row : row * s->k + k]);
}

static float b_of(const product *self, int64_t k, int64_t column)
{
    const weft_product_shape *s = &self->shape;
    return weft_bf16_to_float(((uint16_t *)self->b.at)[s->transpose_b ? column * s->k + k : k * s->n + column]);
}

/* Sums of small whole numbers are exact in fp32, in whatever order. */
static int64_t count_wrong(const product *self)
{
    const weft_product_shape *s = &self->shape;
    int64_t wrong = 0;
    for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = 0; j < s->n; j++) {
            float sum = s->accumulate ? (float)((i * s->n + j) % 13) : 0.0f;
            if (s->bias) sum = weft_bf16_to_float(((uint16_t *)self->bias.at)[j]);
            for (int64_t k = 0; k < s->k; k++) sum += a_of(self, i, k) * b_of(self, k, j);
            const int64_t at = i * s->n + j;
            wrong += s->c_fp32 ? !(((float *)self->c.at)[at] == sum)
                               : ((uint16_t *)self->c.at)[at] != weft_bf16_from_float(sum);
        }
    }
    return wrong;
}

/* Sizes around those of a kernel, a vector, a panel, a chunk and a block. */
static void test_exact_sums(void **state)
{
    static const int64_t sizes[][3] = {{1, 1, 1},      {1, 50, 2},    {7, 15, 3},      {8, 48, 32},
                                       {9, 49, 31},    {17, 96, 33},  {40, 97, 64},    {33, 143, 127},
                                       {64, 192, 65},  {200, 30, 17}, {23, 17, 1535},  {11, 51, 1537},
                                       {3, 100, 2049}, {2, 3100, 5},  {3, 3080, 1600}, {520, 17, 1030}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            product p = product_make((product_kind)kind, sizes[i][0], sizes[i][1], sizes[i][2], true);
            product_run(&p, 1 + (int32_t)(i % 3));
            const int64_t wrong = count_wrong(&p);
            if (wrong > 0)
                print_error("kind %d, %lld x %lld x %lld\n", kind, (long long)sizes[i][0], (long long)sizes[i][1],
                            (long long)sizes[i][2]);
            assert_int_equal(wrong, 0);
            product_end(&p);
        }
    }
}

static void test_any_number_of_threads(void **state)
{
    static const int32_t teams[] = {2, 3, 5, 16};
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        product one = product_make((product_kind)kind, 301, 203, 2047, false);
        product_run(&one, 1);
        for (size_t i = 0; i < sizeof teams / sizeof *teams; i++) {
            product many = product_make((product_kind)kind, 301, 203, 2047, false);
            product_run(&many, teams[i]);
            assert_memory_equal(one.c.at, many.c.at, one.c_bytes);
            product_end(&many);
        }
        product_end(&one);
    }
}

/* Rows row .. and columns column .. of a product, made alone. */
static void compare_part(const product *whole, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    weft_product_shape part = whole->shape;
    const size_t size = part.c_fp32 ? 4 : 2;
    part.m = rows;
    part.n = part.c_stride = columns;
    part.accumulate = 0;
    const uint16_t *a = whole->a.at, *b = whole->b.at;
    const fenced c = fence((size_t)(rows * columns) * size);
    multiply(&part, 2,
             &(weft_operands){.a = a + (part.transpose_a ? row : row * part.a_stride),
                              .b = b + (part.transpose_b ? column * part.b_stride : column),
                              .bias = part.bias ? (uint16_t *)whole->bias.at + column : NULL,
                              .c = c.at});
    for (int64_t r = 0; r < rows; r++) {
        const char *of_whole = (const char *)whole->c.at + (size_t)((row + r) * whole->shape.n + column) * size;
        assert_memory_equal(of_whole, (const char *)c.at + (size_t)(r * columns) * size, (size_t)columns * size);
    }
    open_fence(&c);
}

/* As tensor-parallel workers cut them. */
static void test_any_cut(void **state)
{
    (void)state;
    for (int kind = 0; kind < WEIGHT_ADDED; kind++) {
        product whole = product_make((product_kind)kind, 130, 211, 1999, false);
        product_run(&whole, 1);
        compare_part(&whole, 0, 130, 0, 50);
        compare_part(&whole, 0, 130, 50, 161);
        compare_part(&whole, 0, 13, 0, 211);
        compare_part(&whole, 13, 117, 7, 99);
        product_end(&whole);
    }
}

static void test_what_fits(void **state)
{
    static const struct {
        product_kind kind;
        int64_t m, n, k;
        bool by_pairs, by_tiles;
    } rows[] = {{FORWARD, 1024, 50257, 768, true, true}, {BIASED, 1024, 50257, 768, false, true},
                {FORWARD, 1024, 3072, 768, false, true}, {FORWARD, 1, 50257, 768, false, false},
                {INPUT, 1024, 768, 3072, true, true},    {INPUT, 1024, 768, 768, false, true},
                {INPUT, 1024, 3072, 768, false, true},   {WEIGHT, 768, 768, 1024, true, true},
                {WEIGHT_ADDED, 1, 1, 1, true, true}};
    (void)state;
    const weft_pairs_code *code = weft_pairs_find(WEFT_BF16);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const weft_product_shape shape = shape_of(rows[i].kind, rows[i].m, rows[i].n, rows[i].k);
        assert_int_equal(weft_pairs_fits(code, &shape), code->tiles ? rows[i].by_tiles : rows[i].by_pairs);
    }
}

/* The same product of fewer rows fits in what was made for more. */
static void test_fewer_rows_need_no_more(void **state)
{
    const weft_pairs_code *code = weft_pairs_find(WEFT_BF16);
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int64_t m = 2; m < 800; m++) {
            const weft_product_shape fewer = shape_of((product_kind)kind, m - 1, 100, 1100);
            const weft_product_shape more = shape_of((product_kind)kind, m, 100, 1100);
            assert_true(weft_pairs_workspace(code, &fewer, 3) <= weft_pairs_workspace(code, &more, 3));
        }
    }
}

/* Held to pairs, a processor that has them uses them: else the tests above would say nothing of a run. */
static void test_devices_use_them(void **state)
{
    (void)state;
    const weft_device_options options[] = {{.element = WEFT_BF16, .threads = 1}, {.element = WEFT_FP32, .threads = 1}};
    for (int i = 0; i < 2; i++) {
        weft_device *device = NULL;
        assert_int_equal(weft_device_cpu.create(&options[i], &device, NULL), WEFT_OK);
        assert_int_equal(weft_cpu_of(device)->pairs != NULL, options[i].element == WEFT_BF16);
        device->operations->destroy(device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits),
        cmocka_unit_test(test_devices_use_them),
        cmocka_unit_test(test_fewer_rows_need_no_more),
        cmocka_unit_test(test_exact_sums),
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_any_cut),
    };
    if (!weft_pairs_find(WEFT_BF16)) {
        print_message("this processor, or what oneDNN is held to, has no products of pairs\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
