#include "device/cpu/onednn.h"

#include "base/clock.h"
#include "base/memory.h"
#include "device/cpu/cpu.h"

#include <oneapi/dnnl/dnnl.h>
#include <math.h>
#include <omp.h>

enum { ARGUMENTS = 5 };

/* The order of a run's arguments; scratch and bias last, since not every product has one. */
enum { A, B, C, SCRATCH, BIAS };
static const int argument_names[ARGUMENTS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD,
                                              DNNL_ARG_BIAS};

/* What oneDNN is asked for, and where its parts lie in the scratch. */
typedef struct product_layout {
    weft_product_shape shape; /* as oneDNN sees it: widened copies are dense */
    dnnl_data_type_t type;
    dnnl_memory_desc_t memory[ARGUMENTS];
    size_t own_scratch;                                      /* oneDNN's */
    size_t a_offset, b_offset, c_offset, bias_offset, total; /* widened copies */
} product_layout;

struct weft_product {
    weft_product_shape shape;
    product_layout layout;
    dnnl_primitive_t primitive;
    dnnl_memory_t *memory; /* ARGUMENTS for each place */
};

struct weft_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t *streams; /* one for each place */
    weft_product **table;   /* open addressing; capacity is a power of two */
    size_t count, capacity;
    const weft_cpu_loops *loops;
    weft_element element;
    int32_t threads;
    bool widen;
};

static void describe_matrix(dnnl_memory_desc_t *out, int64_t rows, int64_t columns, bool transposed, int64_t stride,
                            dnnl_data_type_t type)
{
    dnnl_dims_t sizes = {rows, columns}, strides = {transposed ? 1 : stride, transposed ? stride : 1};
    (void)dnnl_memory_desc_init_by_strides(out, 2, sizes, type, strides);
}

static void describe_packed(dnnl_memory_desc_t *out, int64_t rows, int64_t columns)
{
    dnnl_dims_t sizes = {rows, columns};
    (void)dnnl_memory_desc_init_by_tag(out, 2, sizes, dnnl_bf16, dnnl_BA16a64b2a);
}

static bool is_copy(const weft_product_shape *shape)
{
    return shape->kind == WEFT_PRODUCT_PACK || shape->kind == WEFT_PRODUCT_COPY;
}

/* Copies of one operand: never widened. */
static void describe_copy(const weft_product_shape *shape, weft_element element, product_layout *out)
{
    *out = (product_layout){.shape = *shape, .type = element == WEFT_BF16 ? dnnl_bf16 : dnnl_f32};
    describe_matrix(&out->memory[A], shape->m, shape->n, shape->transpose_a, shape->a_stride, out->type);
    describe_matrix(&out->memory[C], shape->m, shape->n, false, shape->n, out->type);
    if (shape->kind == WEFT_PRODUCT_PACK) describe_packed(&out->memory[C], shape->m, shape->n);
}

/* Fills the shape as oneDNN sees it and the memory descriptions. */
static void describe(const weft_product_shape *shape, weft_element element, bool widen, product_layout *out)
{
    *out = (product_layout){.shape = *shape, .type = element == WEFT_BF16 && !widen ? dnnl_bf16 : dnnl_f32};
    weft_product_shape *seen = &out->shape;
    if (widen) {
        seen->a_stride = shape->transpose_a ? shape->m : shape->k;
        seen->b_stride = shape->transpose_b ? shape->k : shape->n;
        if (!shape->c_fp32) seen->c_stride = shape->n;
    }
    dnnl_data_type_t c_type = shape->c_fp32 ? dnnl_f32 : out->type;
    describe_matrix(&out->memory[A], shape->m, shape->k, shape->transpose_a, seen->a_stride, out->type);
    describe_matrix(&out->memory[B], shape->k, shape->n, shape->transpose_b, seen->b_stride, out->type);
    if (shape->kind == WEFT_PRODUCT_PACKED) describe_packed(&out->memory[B], shape->k, shape->n);
    describe_matrix(&out->memory[C], shape->m, shape->n, false, seen->c_stride, c_type);
    describe_matrix(&out->memory[BIAS], 1, shape->n, false, shape->n, out->type);
}

static void place_scratch(const weft_product_shape *shape, bool widen, product_layout *out)
{
    out->a_offset = weft_cpu_aligned((int64_t)out->own_scratch);
    out->b_offset = out->a_offset + (widen ? weft_cpu_aligned(shape->m * shape->k * 4) : 0);
    out->c_offset = out->b_offset + (widen ? weft_cpu_aligned(shape->k * shape->n * 4) : 0);
    out->bias_offset = out->c_offset + (widen && !shape->c_fp32 ? weft_cpu_aligned(shape->m * shape->n * 4) : 0);
    out->total = out->bias_offset + (widen && shape->bias ? weft_cpu_aligned(shape->n * 4) : 0);
}

static bool attributes_create(bool accumulate, dnnl_primitive_attr_t *out)
{
    dnnl_post_ops_t operations = NULL;
    *out = NULL;
    bool good = dnnl_primitive_attr_create(out) == dnnl_success &&
                dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user) == dnnl_success;
    if (good && accumulate) {
        good = dnnl_post_ops_create(&operations) == dnnl_success &&
               dnnl_post_ops_append_sum(operations, 1.0f) == dnnl_success &&
               dnnl_primitive_attr_set_post_ops(*out, operations) == dnnl_success;
        if (operations != NULL) (void)dnnl_post_ops_destroy(operations);
    }
    return good;
}

static bool matmul_describe(dnnl_engine_t engine, const product_layout *layout, dnnl_primitive_attr_t attributes,
                            dnnl_primitive_desc_t *out)
{
    dnnl_matmul_desc_t matmul;
    return dnnl_matmul_desc_init(&matmul, &layout->memory[A], &layout->memory[B],
                                 layout->shape.bias ? &layout->memory[BIAS] : NULL,
                                 &layout->memory[C]) == dnnl_success &&
           dnnl_primitive_desc_create(out, &matmul, attributes, engine, NULL) == dnnl_success;
}

static bool copy_describe(dnnl_engine_t engine, const product_layout *layout, dnnl_primitive_attr_t attributes,
                          dnnl_primitive_desc_t *out)
{
    return dnnl_reorder_primitive_desc_create(out, &layout->memory[A], engine, &layout->memory[C], engine,
                                              attributes) == dnnl_success;
}

/* A primitive for a team: oneDNN reads the team size of the calling thread when a description is made. */
static bool team_describe(dnnl_engine_t engine, const weft_product_shape *shape, weft_element element, bool widen,
                          int32_t threads, product_layout *out, dnnl_primitive_desc_t *out_primitive)
{
    const bool copies = is_copy(shape);
    if (copies) {
        describe_copy(shape, element, out);
    } else {
        describe(shape, element, widen, out);
    }
    dnnl_primitive_attr_t attributes = NULL;
    *out_primitive = NULL;
    int team = omp_get_max_threads();
    omp_set_num_threads(threads);
    bool good = attributes_create(shape->accumulate, &attributes) &&
                (copies ? copy_describe : matmul_describe)(engine, out, attributes, out_primitive);
    omp_set_num_threads(team);
    if (attributes != NULL) (void)dnnl_primitive_attr_destroy(attributes);
    if (!good) return false;
    out->memory[SCRATCH] = *dnnl_primitive_desc_query_md(*out_primitive, dnnl_query_scratchpad_md, 0);
    out->own_scratch = dnnl_memory_desc_get_size(&out->memory[SCRATCH]);
    place_scratch(shape, widen && !copies, out);
    return true;
}

/* A primitive for one thread. */
static bool product_describe(dnnl_engine_t engine, const weft_product_shape *shape, weft_element element, bool widen,
                             product_layout *out, dnnl_primitive_desc_t *out_primitive)
{
    return team_describe(engine, shape, element, widen, 1, out, out_primitive);
}

/* True when oneDNN has no bf16 product for this machine, or only its plain reference code. */
static bool needs_widening(dnnl_engine_t engine)
{
    weft_product_shape shape = {.m = 64, .n = 64, .k = 64, .a_stride = 64, .b_stride = 64, .c_stride = 64};
    product_layout unused;
    dnnl_primitive_desc_t primitive;
    if (!product_describe(engine, &shape, WEFT_BF16, false, &unused, &primitive)) return true;
    const char *name = "";
    (void)dnnl_primitive_desc_query(primitive, dnnl_query_impl_info_str, 0, &name);
    bool plain = strncmp(name, "ref", 3) == 0;
    (void)dnnl_primitive_desc_destroy(primitive);
    return plain;
}

bool weft_onednn_widens(weft_element element)
{
    dnnl_engine_t engine = NULL;
    if (element != WEFT_BF16 || dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) return false;
    bool widens = needs_widening(engine);
    (void)dnnl_engine_destroy(engine);
    return widens;
}

/* True when oneDNN's fast kernels take a packed b. */
static bool has_packed(dnnl_engine_t engine)
{
    weft_product_shape shape = {.m = 64, .n = 64, .k = 64, .a_stride = 64, .b_stride = 64, .c_stride = 64};
    shape.kind = WEFT_PRODUCT_PACKED;
    product_layout unused;
    dnnl_primitive_desc_t primitive;
    if (!product_describe(engine, &shape, WEFT_BF16, false, &unused, &primitive)) return false;
    const char *name = "";
    (void)dnnl_primitive_desc_query(primitive, dnnl_query_impl_info_str, 0, &name);
    bool fast = strncmp(name, "brg", 3) == 0;
    (void)dnnl_primitive_desc_destroy(primitive);
    return fast;
}

bool weft_onednn_packs(weft_element element)
{
    dnnl_engine_t engine = NULL;
    if (element != WEFT_BF16 || dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) return false;
    bool packs = !needs_widening(engine) && has_packed(engine);
    (void)dnnl_engine_destroy(engine);
    return packs;
}

weft_bf16_code weft_onednn_bf16(void)
{
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_avx512_core_bf16:
        return WEFT_BF16_PAIRS;
    case dnnl_cpu_isa_avx512_core_amx:
        return WEFT_BF16_TILES;
    default:
        return WEFT_BF16_OTHER;
    }
}

weft_status weft_onednn_create(weft_element element, int32_t threads, weft_onednn **out, weft_error *error)
{
    *out = NULL;
    weft_onednn *onednn = NULL;
    TRY(weft_allocate(1, sizeof *onednn, &onednn, error));
    *onednn = (weft_onednn){.element = element, .threads = threads, .loops = weft_cpu_loops_select(element)};
    weft_status status = weft_allocate((size_t)threads, sizeof(dnnl_stream_t), &onednn->streams, error);
    bool good = status == WEFT_OK && dnnl_engine_create(&onednn->engine, dnnl_cpu, 0) == dnnl_success;
    for (int32_t i = 0; good && i < threads; i++) {
        good = dnnl_stream_create(&onednn->streams[i], onednn->engine, dnnl_stream_default_flags) == dnnl_success;
    }
    if (!good) {
        weft_onednn_destroy(onednn);
        if (status != WEFT_OK) return status;
        FAIL(error, WEFT_FAILED, "oneDNN cannot make its engine for the cpu device on this machine");
    }
    onednn->widen = element == WEFT_BF16 && needs_widening(onednn->engine);
    *out = onednn;
    return WEFT_OK;
}

static void product_destroy(weft_product *product, int32_t threads)
{
    if (product == NULL) return;
    for (int32_t i = 0; product->memory != NULL && i < threads * ARGUMENTS; i++) {
        if (product->memory[i] != NULL) (void)dnnl_memory_destroy(product->memory[i]);
    }
    if (product->primitive != NULL) (void)dnnl_primitive_destroy(product->primitive);
    weft_free(product->memory);
    weft_free(product);
}

void weft_onednn_destroy(weft_onednn *onednn)
{
    if (onednn == NULL) return;
    for (size_t i = 0; i < onednn->capacity; i++) product_destroy(onednn->table[i], onednn->threads);
    weft_free(onednn->table);
    for (int32_t i = 0; onednn->streams != NULL && i < onednn->threads; i++) {
        if (onednn->streams[i] != NULL) (void)dnnl_stream_destroy(onednn->streams[i]);
    }
    weft_free(onednn->streams);
    if (onednn->engine != NULL) (void)dnnl_engine_destroy(onednn->engine);
    weft_free(onednn);
}

/* FNV-1a over the shape's numbers. */
static size_t shape_hash(const weft_product_shape *shape)
{
    const unsigned char *bytes = (const unsigned char *)shape;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *shape; i += 2) {
        hash = (hash ^ (uint64_t)(bytes[i] | bytes[i + 1] << 8)) * 1099511628211u;
    }
    return (size_t)(hash ^ hash >> 32);
}

/* The place of the shape in the table, or the empty one where it belongs. The table has room. */
static size_t table_place(weft_product *const *table, size_t capacity, const weft_product_shape *shape)
{
    size_t place = shape_hash(shape) & (capacity - 1);
    while (table[place] != NULL && memcmp(&table[place]->shape, shape, sizeof *shape) != 0) {
        place = (place + 1) & (capacity - 1);
    }
    return place;
}

const weft_product *weft_onednn_find(const weft_onednn *onednn, const weft_product_shape *shape)
{
    return onednn->capacity == 0 ? NULL : onednn->table[table_place(onednn->table, onednn->capacity, shape)];
}

/* Keeps the table at most half full. */
static weft_status table_reserve(weft_onednn *onednn, weft_error *error)
{
    if (2 * (onednn->count + 1) <= onednn->capacity) return WEFT_OK;
    size_t capacity = onednn->capacity == 0 ? 64 : 2 * onednn->capacity;
    weft_product **table = NULL;
    TRY(weft_allocate(capacity, sizeof(weft_product *), &table, error));
    for (size_t i = 0; i < onednn->capacity; i++) {
        weft_product *product = onednn->table[i];
        if (product != NULL) table[table_place(table, capacity, &product->shape)] = product;
    }
    weft_free(onednn->table);
    onednn->table = table;
    onednn->capacity = capacity;
    return WEFT_OK;
}

/* Makes the primitive and every place's memory objects; handles are set at each run. */
static bool product_build(weft_onednn *onednn, weft_product *product, dnnl_primitive_desc_t primitive)
{
    if (dnnl_primitive_create(&product->primitive, primitive) != dnnl_success) return false;
    for (int32_t i = 0; i < onednn->threads * ARGUMENTS; i++) {
        const dnnl_memory_desc_t *memory = &product->layout.memory[i % ARGUMENTS];
        if (dnnl_memory_create(&product->memory[i], memory, onednn->engine, DNNL_MEMORY_NONE) != dnnl_success)
            return false;
    }
    return true;
}

weft_status weft_onednn_prepare(weft_onednn *onednn, const weft_product_shape *shape, weft_error *error)
{
    if (weft_onednn_find(onednn, shape) != NULL) return WEFT_OK;
    TRY(table_reserve(onednn, error));
    weft_product *product = NULL;
    TRY(weft_allocate(1, sizeof *product, &product, error));
    product->shape = *shape;
    weft_status status =
        weft_allocate((size_t)onednn->threads * ARGUMENTS, sizeof(dnnl_memory_t), &product->memory, error);
    dnnl_primitive_desc_t primitive = NULL;
    bool good = status == WEFT_OK &&
                product_describe(onednn->engine, shape, onednn->element, onednn->widen, &product->layout, &primitive);
    good = good && product_build(onednn, product, primitive);
    if (primitive != NULL) (void)dnnl_primitive_desc_destroy(primitive);
    if (!good) {
        product_destroy(product, onednn->threads);
        if (status != WEFT_OK) return status;
        FAIL(error, WEFT_FAILED,
             "oneDNN refuses a %s matrix product of %lld x %lld x %lld; try another device or element type",
             weft_element_name(onednn->element), (long long)shape->m, (long long)shape->n, (long long)shape->k);
    }
    onednn->table[table_place(onednn->table, onednn->capacity, shape)] = product;
    onednn->count++;
    return WEFT_OK;
}

size_t weft_onednn_scratch(weft_element element, const weft_product_shape *shape)
{
    dnnl_engine_t engine = NULL;
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) return 0;
    bool widen = element == WEFT_BF16 && needs_widening(engine);
    product_layout found;
    dnnl_primitive_desc_t primitive;
    size_t bytes = 0;
    if (product_describe(engine, shape, element, widen, &found, &primitive)) {
        bytes = found.total;
        (void)dnnl_primitive_desc_destroy(primitive);
    }
    (void)dnnl_engine_destroy(engine);
    return bytes;
}

size_t weft_product_scratch(const weft_product *product)
{
    return product->layout.total;
}

/* Copies rows of storage into dense fp32. */
static float *widen_rows(const weft_cpu_loops *loops, int64_t rows, int64_t columns, int64_t stride, const void *from,
                         void *to)
{
    for (int64_t row = 0; row < rows; row++) {
        loops->widen(columns, (const uint16_t *)from + row * stride, (float *)to + row * columns);
    }
    return to;
}

static bool product_execute(const weft_onednn *onednn, const weft_product *product, int place, void *const *pointers)
{
    dnnl_exec_arg_t arguments[ARGUMENTS];
    dnnl_memory_t *memory = product->memory + place * ARGUMENTS;
    int count = 0;
    for (int i = 0; i < ARGUMENTS; i++) {
        if (i == BIAS && !product->shape.bias) continue;
        if (i == B && is_copy(&product->shape)) continue;
        if (dnnl_memory_set_data_handle(memory[i], pointers[i]) != dnnl_success) return false;
        arguments[count++] = (dnnl_exec_arg_t){argument_names[i], memory[i]};
    }
    return dnnl_primitive_execute(product->primitive, onednn->streams[place], count, arguments) == dnnl_success;
}

static bool run_widened(const weft_onednn *onednn, const weft_product *product, int place, const void *a, const void *b,
                        const void *bias, void *c, char *scratch)
{
    const weft_product_shape *shape = &product->shape;
    const product_layout *layout = &product->layout;
    const weft_cpu_loops *loops = onednn->loops;
    int64_t a_rows = shape->transpose_a ? shape->k : shape->m, a_columns = shape->transpose_a ? shape->m : shape->k;
    int64_t b_rows = shape->transpose_b ? shape->n : shape->k, b_columns = shape->transpose_b ? shape->k : shape->n;
    void *pointers[ARGUMENTS] = {
        [A] = widen_rows(loops, a_rows, a_columns, shape->a_stride, a, scratch + layout->a_offset),
        [B] = widen_rows(loops, b_rows, b_columns, shape->b_stride, b, scratch + layout->b_offset),
        [C] = shape->c_fp32 ? c : scratch + layout->c_offset,
        [SCRATCH] = scratch,
    };
    if (shape->bias) pointers[BIAS] = widen_rows(loops, 1, shape->n, shape->n, bias, scratch + layout->bias_offset);
    if (!product_execute(onednn, product, place, pointers)) return false;
    for (int64_t row = 0; !shape->c_fp32 && row < shape->m; row++) {
        loops->round(shape->n, (const float *)pointers[C] + row * shape->n, (uint16_t *)c + row * shape->c_stride);
    }
    return true;
}

bool weft_product_run(const weft_onednn *onednn, const weft_product *product, int place, const void *a, const void *b,
                      const void *bias, void *c, void *scratch)
{
    if (onednn->widen && !is_copy(&product->shape)) return run_widened(onednn, product, place, a, b, bias, c, scratch);
    void *pointers[ARGUMENTS] = {[A] = (void *)a, [B] = (void *)b, [C] = c, [SCRATCH] = scratch, [BIAS] = (void *)bias};
    return product_execute(onednn, product, place, pointers);
}

/* Runs the primitive again and again; the best time. The first run is not counted. */
static double best_time(const weft_onednn *onednn, const weft_product *product, void *const *pointers, double seconds)
{
    double best = INFINITY, begin = weft_clock_seconds(), end = begin + seconds;
    for (bool first = true; first || best == INFINITY || begin < end; first = false) {
        double start = weft_clock_seconds();
        if (!product_execute(onednn, product, 0, pointers)) return INFINITY;
        begin = weft_clock_seconds();
        if (!first && begin - start < best) best = begin - start;
    }
    return best;
}

double weft_onednn_whole_time(weft_onednn *onednn, const weft_product_shape *shape, const void *a, const void *b,
                              void *c, double seconds)
{
    weft_product product = {.shape = *shape};
    dnnl_memory_t memory[ARGUMENTS] = {NULL};
    dnnl_primitive_desc_t primitive = NULL;
    void *scratch = NULL;
    weft_error error;
    double best = INFINITY;
    int team = omp_get_max_threads();
    const weft_element element = onednn->widen ? WEFT_FP32 : onednn->element;
    product.memory = memory;
    bool good = team_describe(onednn->engine, shape, element, false, onednn->threads, &product.layout, &primitive) &&
                weft_allocate(product.layout.own_scratch, 1, &scratch, &error) == WEFT_OK &&
                dnnl_primitive_create(&product.primitive, primitive) == dnnl_success;
    for (int i = 0; good && i < ARGUMENTS; i++) {
        good =
            dnnl_memory_create(&memory[i], &product.layout.memory[i], onednn->engine, DNNL_MEMORY_NONE) == dnnl_success;
    }
    omp_set_num_threads(onednn->threads);
    if (good) best = best_time(onednn, &product, (void *[]){(void *)a, (void *)b, c, scratch, NULL}, seconds);
    omp_set_num_threads(team);
    for (int i = 0; i < ARGUMENTS; i++) {
        if (memory[i] != NULL) (void)dnnl_memory_destroy(memory[i]);
    }
    if (product.primitive != NULL) (void)dnnl_primitive_destroy(product.primitive);
    if (primitive != NULL) (void)dnnl_primitive_desc_destroy(primitive);
    weft_free(scratch);
    return best;
}
