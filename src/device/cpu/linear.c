/*
 * Linear layers: a product is cut into pieces of the result, each made whole by one thread. Pieces depend on the
 * shape and on the thread count rounded up to an even number, so one thread gives the bits of two.
 */
#include "device/cpu/pairs.h"

#include <omp.h>

enum {
    PIECE_ROWS = 256,    /* measured best for oneDNN's products on one thread with the caches of today's servers */
    PIECE_COLUMNS = 512, /* where oneDNN's general kernel runs, and long rows of b a power of two apart make it slow */
    GRAIN = 32,          /* rows or columns that a product's inner kernel makes at once */
    COLUMN_GRAIN = 32,
    SHARED = 1 << 15, /* multiplications that are worth a thread */
};

typedef struct pieces {
    int64_t rows, columns; /* of one piece */
    int64_t row_pieces, column_pieces;
} pieces;

/* oneDNN's fastest kernels want rows of c that lie densely, so columns are cut only where they are not used anyway, or
 * when there are more threads than rows to share. */
static pieces cut_shape(const weft_product_shape *shape, weft_element element, bool widens, int32_t threads)
{
    int64_t team = threads + threads % 2;
    bool cuts_columns = widens || (element == WEFT_FP32 && !shape->transpose_b);
    int64_t wanted = weft_cpu_divide_up(weft_cpu_divide_up(shape->m, PIECE_ROWS), team) * team;
    pieces cut = {.rows = weft_cpu_divide_up(weft_cpu_divide_up(shape->m, wanted), GRAIN) * GRAIN};
    cut.row_pieces = weft_cpu_divide_up(shape->m, cut.rows);
    int64_t across = cuts_columns ? weft_cpu_divide_up(shape->n, PIECE_COLUMNS) : 1;
    if (cut.row_pieces * across < team) across = weft_cpu_divide_up(team, cut.row_pieces);
    cut.columns = weft_cpu_divide_up(weft_cpu_divide_up(shape->n, across), GRAIN) * GRAIN;
    cut.column_pieces = weft_cpu_divide_up(shape->n, cut.columns);
    return cut;
}

/* The shape of the piece in this row and column of pieces; the last ones may be smaller. */
static weft_product_shape piece_shape(const weft_product_shape *shape, const pieces *cut, int64_t row, int64_t column)
{
    weft_product_shape piece = *shape;
    piece.m = row + 1 < cut->row_pieces ? cut->rows : shape->m - row * cut->rows;
    piece.n = column + 1 < cut->column_pieces ? cut->columns : shape->n - column * cut->columns;
    return piece;
}

static weft_operands piece_operands(const weft_cpu *cpu, const weft_product_shape *shape, const pieces *cut,
                                    int64_t row, int64_t column, const weft_operands *all)
{
    int64_t m = row * cut->rows, n = column * cut->columns, at = m * shape->c_stride + n;
    return (weft_operands){
        .a = weft_cpu_at(cpu, all->a, shape->transpose_a ? m : m * shape->a_stride),
        .b = weft_cpu_at(cpu, all->b, shape->transpose_b ? n * shape->b_stride : n),
        .bias = shape->bias ? weft_cpu_at(cpu, all->bias, n) : NULL,
        .c = shape->c_fp32 ? (void *)((float *)all->c + at) : weft_cpu_at_mutable(cpu, all->c, at),
    };
}

/* Makes the products of the four sizes of piece; the scratch that the largest needs. */
static weft_status prepare(weft_cpu *cpu, const weft_product_shape *shape, const pieces *cut, size_t *out_scratch,
                           weft_error *error)
{
    *out_scratch = 0;
    for (int corner = 0; corner < 4; corner++) {
        weft_product_shape piece =
            piece_shape(shape, cut, corner & 1 ? cut->row_pieces - 1 : 0, corner & 2 ? cut->column_pieces - 1 : 0);
        TRY(weft_onednn_prepare(cpu->onednn, &piece, error));
        size_t scratch = weft_product_scratch(weft_onednn_find(cpu->onednn, &piece));
        if (scratch > *out_scratch) *out_scratch = scratch;
    }
    return WEFT_OK;
}

static void multiply(weft_cpu *cpu, const weft_product_shape *shape, const weft_operands *all, void *workspace)
{
    weft_device *device = &cpu->base;
    if (cpu->pairs && weft_pairs_fits(cpu->pairs, shape)) {
        weft_pairs_multiply(cpu, shape, all, workspace);
        return;
    }
    if (cpu->packs && weft_packed_fits(shape, device->threads)) {
        weft_packed_multiply(cpu, shape, all, workspace);
        return;
    }
    pieces parts = cut_shape(shape, device->element, cpu->widens, device->threads);
    size_t scratch = 0;
    if (prepare(cpu, shape, &parts, &scratch, &device->error) != WEFT_OK) return;
    int failed = 0;
    const int team = weft_cpu_team(device, shape->m * shape->n * shape->k / SHARED);
#pragma omp parallel for num_threads(team) schedule(dynamic, 1) reduction(| : failed)
    for (int64_t i = 0; i < parts.row_pieces * parts.column_pieces; i++) {
        int64_t row = i / parts.column_pieces, column = i % parts.column_pieces;
        int place = omp_get_thread_num();
        weft_product_shape piece = piece_shape(shape, &parts, row, column);
        weft_operands own = piece_operands(cpu, shape, &parts, row, column, all);
        const weft_product *product = weft_onednn_find(cpu->onednn, &piece);
        failed |= !weft_product_run(cpu->onednn, product, place, own.a, own.b, own.bias, own.c,
                                    (char *)workspace + scratch * (size_t)place);
        if (place == 0) weft_cpu_between(device);
    }
    if (failed) {
        weft_fail(&device->error, WEFT_FAILED, "device cpu: oneDNN failed in a matrix product of %lld x %lld x %lld",
                  (long long)shape->m, (long long)shape->n, (long long)shape->k);
    }
}

static weft_product_shape forward_shape(const weft_linear *linear, bool bias)
{
    return (weft_product_shape){.m = linear->rows,
                                .n = linear->out,
                                .k = linear->in,
                                .a_stride = linear->in,
                                .b_stride = linear->in,
                                .c_stride = linear->out,
                                .transpose_b = 1,
                                .bias = bias};
}

static weft_product_shape input_shape(const weft_linear *linear)
{
    return (weft_product_shape){.m = linear->rows,
                                .n = linear->in,
                                .k = linear->out,
                                .a_stride = linear->out,
                                .b_stride = linear->in,
                                .c_stride = linear->in};
}

static weft_product_shape weight_shape(const weft_linear *linear, bool accumulate)
{
    return (weft_product_shape){.m = linear->out,
                                .n = linear->in,
                                .k = linear->rows,
                                .a_stride = linear->out,
                                .b_stride = linear->in,
                                .c_stride = linear->in,
                                .transpose_a = 1,
                                .c_fp32 = 1,
                                .accumulate = accumulate};
}

static size_t largest_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t weft_cpu_linear_workspace(const weft_device_options *options, const weft_linear *linear)
{
    const weft_product_shape shapes[] = {forward_shape(linear, false), forward_shape(linear, true), input_shape(linear),
                                         weight_shape(linear, false), weight_shape(linear, true)};
    size_t largest = 0, packed = 0;
    const bool widens = weft_onednn_widens(options->element), packs = weft_onednn_packs(options->element);
    const weft_pairs_code *pairs = weft_pairs_find(options->element);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (pairs && weft_pairs_fits(pairs, &shapes[i])) {
            packed = largest_of(packed, weft_pairs_workspace(pairs, &shapes[i], options->threads));
            continue;
        }
        if (packs && weft_packed_fits(&shapes[i], options->threads)) {
            packed = largest_of(packed, weft_packed_workspace(options, &shapes[i]));
            continue;
        }
        pieces parts = cut_shape(&shapes[i], options->element, widens, options->threads);
        for (int corner = 0; corner < 4; corner++) {
            weft_product_shape piece = piece_shape(&shapes[i], &parts, corner & 1 ? parts.row_pieces - 1 : 0,
                                                   corner & 2 ? parts.column_pieces - 1 : 0);
            largest = largest_of(largest, weft_onednn_scratch(options->element, &piece));
        }
    }
    return largest_of(largest * (size_t)options->threads, packed);
}

void weft_cpu_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                             const void *w, const void *bias, void *y, void *workspace)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_product_shape shape = forward_shape(linear, bias != NULL);
    multiply(weft_cpu_of(device), &shape, &(weft_operands){.a = x, .b = w, .bias = bias, .c = y}, workspace);
    weft_cpu_between(device);
}

void weft_cpu_linear_backward_input(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *dy,
                                    const void *w, void *dx, void *workspace)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_product_shape shape = input_shape(linear);
    multiply(weft_cpu_of(device), &shape, &(weft_operands){.a = dy, .b = w, .c = dx}, workspace);
    weft_cpu_between(device);
}

void weft_cpu_linear_backward_weight(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                     const void *dy, const void *x, bool accumulate, float *dw, float *dbias,
                                     void *workspace)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_cpu *cpu = weft_cpu_of(device);
    weft_product_shape shape = weight_shape(linear, accumulate);
    if (dw != NULL) multiply(cpu, &shape, &(weft_operands){.a = dy, .b = x, .c = dw}, workspace);
    if (dbias != NULL) {
#pragma omp parallel num_threads(device->threads)
        {
            weft_cpu_span columns = weft_cpu_part(linear->out, COLUMN_GRAIN);
            cpu->loops->column_sums(linear->rows, linear->out, columns.begin, columns.end, dy, accumulate, dbias);
        }
    }
    weft_cpu_between(device);
}
