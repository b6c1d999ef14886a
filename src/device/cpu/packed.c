#include "device/cpu/packed.h"

#include <omp.h>

enum {
    PIECE_ROWS = 256,      /* of c: what one thread makes at a time */
    GRADIENT_ROWS = 512,   /* where c is a weight gradient */
    GRAIN = 32,            /* rows that a product's inner kernel makes at once */
    LONG_DEPTH = 1024,     /* of k: longer rows of a are worth a copy */
    CHUNK_DEPTH = 512,     /* of k: c's and a's blocks stay in a core's cache */
    GRADIENT_DEPTH = 1024, /* where c is a weight gradient: too large for the cache, so touched once */
    MOST_GRADIENTS = 8192, /* rows of a weight gradient: memory bounds more, and the copies are in the way */
    WHOLE_WIDTH = 4096,    /* columns of c up to this many are made together */
    GROUP_WIDTH = 1024,    /* columns of c, else */
    BUFFERS = 2,           /* of packed b: one is filled while slower members still read the other */
};

/* How a product is cut. c's columns are made in groups, each group over chunks of k, each chunk over pieces of rows. A
 * weight gradient's columns are one group, and it is added up where it lies; other results are added up in sums. */
typedef struct plan {
    weft_product_shape shape;
    int64_t rows, row_pieces, depth, chunks, width, groups;
    size_t b_bytes, sum_bytes, a_bytes;
} plan;

/* One thread's view of the workspace. */
typedef struct places {
    char *b[BUFFERS], *a, *scratch;
    float *sums;
} places;

/* A range of k and columns that is being worked on. */
typedef struct step {
    int64_t chunk, group, depth, width;
} step;

bool weft_packed_fits(const weft_product_shape *shape, int32_t threads)
{
    int64_t team = threads + threads % 2;
    if (shape->m < GRAIN * team || shape->n < WEFT_PACK_COLUMNS || shape->k < WEFT_PACK_ROWS) return false;
    if (shape->c_stride != shape->n || shape->bias) return false;
    return shape->c_fp32 ? shape->m <= MOST_GRADIENTS : !shape->transpose_b && shape->k > LONG_DEPTH;
}

static plan plan_make(const weft_product_shape *shape, int32_t threads)
{
    int64_t team = threads + threads % 2;
    int64_t rows = shape->c_fp32 ? GRADIENT_ROWS : PIECE_ROWS, depth = shape->c_fp32 ? GRADIENT_DEPTH : CHUNK_DEPTH;
    int64_t wanted = weft_cpu_divide_up(weft_cpu_divide_up(shape->m, rows), team) * team;
    plan cut = {
        .shape = *shape, .rows = weft_cpu_whole(weft_cpu_divide_up(shape->m, wanted), GRAIN), .width = shape->n};
    cut.row_pieces = weft_cpu_divide_up(shape->m, cut.rows);
    cut.depth = weft_cpu_whole(weft_cpu_divide_up(shape->k, weft_cpu_divide_up(shape->k, depth)), WEFT_PACK_ROWS);
    if (cut.depth > shape->k) cut.depth = shape->k;
    cut.chunks = weft_cpu_divide_up(shape->k, cut.depth);
    if (!shape->c_fp32 && shape->n > WHOLE_WIDTH) cut.width = GROUP_WIDTH;
    cut.groups = weft_cpu_divide_up(shape->n, cut.width);
    cut.b_bytes =
        weft_cpu_aligned(weft_cpu_whole(cut.depth, WEFT_PACK_ROWS) * weft_cpu_whole(cut.width, WEFT_PACK_COLUMNS) * 2);
    cut.sum_bytes = shape->c_fp32 ? 0 : weft_cpu_aligned(shape->m * cut.width * 4);
    cut.a_bytes = weft_cpu_aligned(cut.rows * cut.depth * 2);
    return cut;
}

static places place(const plan *cut, char *workspace, size_t scratch, int member)
{
    places out;
    char *at = workspace;
    for (int i = 0; i < BUFFERS; i++, at += cut->b_bytes) out.b[i] = at;
    out.sums = (float *)at;
    at += cut->sum_bytes + (cut->a_bytes + scratch) * (size_t)member;
    out.a = at;
    out.scratch = out.a + cut->a_bytes;
    return out;
}

static int64_t rows_of(const plan *cut, int64_t piece)
{
    return piece + 1 < cut->row_pieces ? cut->rows : cut->shape.m - piece * cut->rows;
}

static step step_get(const plan *cut, int64_t index)
{
    step out = {.chunk = index % cut->chunks, .group = index / cut->chunks};
    out.depth = out.chunk + 1 < cut->chunks ? cut->depth : cut->shape.k - out.chunk * cut->depth;
    out.width = out.group + 1 < cut->groups ? cut->width : cut->shape.n - out.group * cut->width;
    return out;
}

static weft_product_shape copy_shape(const plan *cut, const step *now, int64_t rows)
{
    return (weft_product_shape){.m = rows,
                                .n = now->depth,
                                .a_stride = cut->shape.a_stride,
                                .transpose_a = cut->shape.transpose_a,
                                .kind = WEFT_PRODUCT_COPY};
}

static weft_product_shape pack_shape(const plan *cut, const step *now, int64_t columns)
{
    return (weft_product_shape){.m = now->depth,
                                .n = columns,
                                .a_stride = cut->shape.b_stride,
                                .transpose_a = cut->shape.transpose_b,
                                .kind = WEFT_PRODUCT_PACK};
}

static weft_product_shape piece_shape(const plan *cut, const step *now, int64_t rows)
{
    return (weft_product_shape){.m = rows,
                                .n = now->width,
                                .k = now->depth,
                                .a_stride = now->depth,
                                .b_stride = now->width,
                                .c_stride = now->width,
                                .c_fp32 = 1,
                                .accumulate = cut->shape.accumulate || now->chunk > 0,
                                .kind = WEFT_PRODUCT_PACKED};
}

/* Columns of the strip that begins at column begin of a step. */
static int64_t strip_of(const step *now, int64_t begin)
{
    return now->width - begin < WEFT_PACK_COLUMNS ? now->width - begin : WEFT_PACK_COLUMNS;
}

enum { CORNERS = 3 * 2 * 2, SHAPES_OF_CORNER = 4 };

/* The shapes of which a product is made: at its first, middle and last chunk, first and last group and piece. */
static void corner_shapes(const plan *cut, int corner, weft_product_shape out[SHAPES_OF_CORNER])
{
    int64_t chunk = corner % 3 == 0 ? 0 : corner % 3 == 1 ? cut->chunks > 1 : cut->chunks - 1;
    int64_t group = corner / 3 % 2 ? cut->groups - 1 : 0, piece = corner / 6 ? cut->row_pieces - 1 : 0;
    step now = step_get(cut, group * cut->chunks + chunk);
    int64_t last = (now.width - 1) / WEFT_PACK_COLUMNS * WEFT_PACK_COLUMNS;
    out[0] = piece_shape(cut, &now, rows_of(cut, piece));
    out[1] = pack_shape(cut, &now, strip_of(&now, 0));
    out[2] = pack_shape(cut, &now, strip_of(&now, last));
    out[3] = copy_shape(cut, &now, rows_of(cut, piece));
}

size_t weft_packed_workspace(const weft_device_options *options, const weft_product_shape *shape)
{
    plan cut = plan_make(shape, options->threads);
    size_t scratch = 0;
    for (int corner = 0; corner < CORNERS; corner++) {
        weft_product_shape shapes[SHAPES_OF_CORNER];
        corner_shapes(&cut, corner, shapes);
        for (int i = 0; i < SHAPES_OF_CORNER; i++) {
            size_t bytes = weft_onednn_scratch(options->element, &shapes[i]);
            if (bytes > scratch) scratch = bytes;
        }
    }
    return BUFFERS * cut.b_bytes + cut.sum_bytes + (cut.a_bytes + scratch) * (size_t)options->threads;
}

/* Makes what the product is made of; the scratch that the largest needs. */
static weft_status prepare(weft_cpu *cpu, const plan *cut, size_t *out_scratch, weft_error *error)
{
    *out_scratch = 0;
    for (int corner = 0; corner < CORNERS; corner++) {
        weft_product_shape shapes[SHAPES_OF_CORNER];
        corner_shapes(cut, corner, shapes);
        for (int i = 0; i < SHAPES_OF_CORNER; i++) {
            TRY(weft_onednn_prepare(cpu->onednn, &shapes[i], error));
            size_t scratch = weft_product_scratch(weft_onednn_find(cpu->onednn, &shapes[i]));
            if (scratch > *out_scratch) *out_scratch = scratch;
        }
    }
    return WEFT_OK;
}

static bool run(const weft_cpu *cpu, const places *own, const weft_product_shape *shape, const weft_operands *operands)
{
    return weft_product_run(cpu->onednn, weft_onednn_find(cpu->onednn, shape), omp_get_thread_num(), operands->a,
                            operands->b, NULL, operands->c, own->scratch);
}

/* The calling member's strips of b. */
static bool pack(const weft_cpu *cpu, const plan *cut, const step *now, const places *own, const void *b, char *to)
{
    const weft_product_shape *shape = &cut->shape;
    weft_cpu_span columns = weft_cpu_part(now->width, WEFT_PACK_COLUMNS);
    bool good = true;
    for (int64_t at = columns.begin; good && at < columns.end; at += WEFT_PACK_COLUMNS) {
        int64_t row = now->chunk * cut->depth, column = now->group * cut->width + at;
        int64_t from = shape->transpose_b ? column * shape->b_stride + row : row * shape->b_stride + column;
        weft_product_shape strip = pack_shape(cut, now, strip_of(now, at));
        weft_operands operands = {.a = weft_cpu_at(cpu, b, from),
                                  .c = to + at * weft_cpu_whole(now->depth, WEFT_PACK_ROWS) * 2};
        good = run(cpu, own, &strip, &operands);
    }
    return good;
}

/* Rounds finished sums to where they belong. */
static void store(const weft_cpu *cpu, const plan *cut, const step *now, const places *own, int64_t row, int64_t rows,
                  void *c)
{
    for (int64_t r = row; r < row + rows; r++) {
        void *to = weft_cpu_at_mutable(cpu, c, r * cut->shape.c_stride + now->group * cut->width);
        cpu->loops->round(now->width, own->sums + r * now->width, to);
    }
}

/* One piece of rows of one step. */
static bool make_piece(const weft_cpu *cpu, const plan *cut, const step *now, const places *own, const char *b,
                       const weft_operands *all, int64_t piece)
{
    const weft_product_shape *shape = &cut->shape;
    int64_t row = piece * cut->rows, rows = rows_of(cut, piece), k = now->chunk * cut->depth;
    int64_t from = shape->transpose_a ? k * shape->a_stride + row : row * shape->a_stride + k;
    weft_product_shape copy = copy_shape(cut, now, rows), product = piece_shape(cut, now, rows);
    float *c = shape->c_fp32 ? (float *)all->c + row * shape->c_stride : own->sums + row * now->width;
    if (!run(cpu, own, &copy, &(weft_operands){.a = weft_cpu_at(cpu, all->a, from), .c = own->a})) return false;
    if (!run(cpu, own, &product, &(weft_operands){.a = own->a, .b = b, .c = c})) return false;
    if (!shape->c_fp32 && now->chunk + 1 == cut->chunks) store(cpu, cut, now, own, row, rows, all->c);
    return true;
}

void weft_packed_multiply(weft_cpu *cpu, const weft_product_shape *shape, const weft_operands *all, void *workspace)
{
    weft_device *device = &cpu->base;
    const plan cut = plan_make(shape, device->threads);
    size_t scratch = 0;
    if (prepare(cpu, &cut, &scratch, &device->error) != WEFT_OK) return;
    int failed = 0;
#pragma omp parallel num_threads(device->threads) reduction(| : failed)
    {
        const int member = omp_get_thread_num(), team = omp_get_num_threads();
        places own = place(&cut, workspace, scratch, member);
        for (int64_t i = 0; i < cut.groups * cut.chunks; i++) {
            step now = step_get(&cut, i);
            char *b = own.b[i % BUFFERS];
            failed |= !pack(cpu, &cut, &now, &own, all->b, b);
#pragma omp barrier
            for (int64_t piece = member; piece < cut.row_pieces; piece += team) {
                failed |= !make_piece(cpu, &cut, &now, &own, b, all, piece);
                if (member == 0) weft_cpu_between(device);
            }
        }
    }
    if (failed) {
        weft_fail(&device->error, WEFT_FAILED, "device cpu: oneDNN failed in a matrix product of %lld x %lld x %lld",
                  (long long)shape->m, (long long)shape->n, (long long)shape->k);
    }
}
