#include "device/cpu/pairs.h"

#include <omp.h>

enum {
    CHUNK_DEPTH = 1024, /* of k, about: longer, and a panel of b leaves the caches; shorter, and c is touched more */
    TILES_DEPTH = 512,  /* the same by tiles, of results that are rounded: a's rows leave the caches sooner */
    DEPTH_GRAIN = 32,
    BLOCK_ROWS = 192,  /* of c, what one thread makes at a time: its part of a stays in a core's second cache */
    TILES_BLOCK = 512, /* by tiles, for which what comes from further away is too slow */
    MOST_WIDTH = 3072, /* columns of c made together: packed b stays in the third */
    LEAST_ROWS = 32,   /* of a forward product: with fewer the copy of b takes longer than the product */
    TILES_ROWS = 128,  /* by tiles, and of an input gradient, too */
    HEAD_OUTPUTS = 4,  /* for each input: where forward products gain */
    SHARED = 1 << 15,  /* multiplications that are worth a thread */
    LINE = 64,
    BUFFERS = 2, /* of packed b: one is filled while slower members still read the other */
};

/* How a product is cut: its columns into groups, each group made over chunks of k, each chunk over blocks of rows. */
typedef struct pairs_plan {
    const weft_pairs_code *code;
    weft_pairs_operand a, b;
    int64_t m, n, k;
    int64_t rows, blocks, depth, chunks, width, groups;
    bool c_fp32, accumulate;
    size_t b_bytes, sum_bytes, a_bytes, carry_bytes;
} pairs_plan;

/* One thread's view of the workspace. Sums lie tile by tile, row of tiles by row of tiles. */
typedef struct pairs_places {
    uint32_t *b[BUFFERS], *a;
    float *sums, *carry;
} pairs_places;

/* A range of k and columns that is being worked on. */
typedef struct pairs_step {
    int64_t column, width, k, depth;
} pairs_step;

/* What comes next of an operand is brought into the second cache line by line while kernels run. In bytes and lines. */
typedef struct fetch {
    const char *at;
    int64_t stride, rows, lines, row, line, share;
} fetch;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool weft_pairs_fits(const weft_pairs_code *code, const weft_product_shape *shape)
{
    if (shape->c_stride != shape->n) return false;
    if (shape->c_fp32) return true; /* the gradient of a weight */
    if (code->tiles) return shape->m >= TILES_ROWS;
    if (shape->bias) return false;
    if (!shape->transpose_b) return shape->k > shape->n; /* of an input, over more outputs than inputs */
    return shape->m >= LEAST_ROWS && shape->n > HEAD_OUTPUTS * shape->k;
}

/* Follows from k and what is made, not from the rows and columns that there are. */
static int64_t chunk_depth(const weft_pairs_code *code, const weft_product_shape *shape)
{
    const int64_t k = shape->k, near = (k + CHUNK_DEPTH / 2) / CHUNK_DEPTH;
    int64_t chunks = near > 1 ? near : 1;
    if (code->tiles && !shape->c_fp32 && k > CHUNK_DEPTH) chunks = weft_cpu_divide_up(k, TILES_DEPTH);
    return weft_cpu_whole(weft_cpu_divide_up(k, chunks), DEPTH_GRAIN);
}

static pairs_plan plan_make(const weft_pairs_code *code, const weft_product_shape *shape, int32_t threads)
{
    pairs_plan cut = {.code = code,
                      .m = shape->m,
                      .n = shape->n,
                      .k = shape->k,
                      .depth = chunk_depth(code, shape),
                      .c_fp32 = shape->c_fp32,
                      .accumulate = shape->accumulate};
    cut.chunks = weft_cpu_divide_up(cut.k, cut.depth);
    const int64_t block = code->tiles ? TILES_BLOCK : BLOCK_ROWS;
    const int64_t wanted = weft_cpu_whole(weft_cpu_divide_up(cut.m, block), threads);
    cut.rows = weft_cpu_whole(weft_cpu_divide_up(cut.m, wanted), code->rows);
    cut.blocks = weft_cpu_divide_up(cut.m, cut.rows);
    cut.width = least(MOST_WIDTH, weft_cpu_whole(cut.n, code->columns));
    cut.groups = weft_cpu_divide_up(cut.n, cut.width);
    const int64_t pairs = cut.depth / 2;
    cut.b_bytes = weft_cpu_aligned(cut.width / code->columns * weft_pairs_words(pairs, code->columns) * 4);
    /* Room for a full block, so that fewer rows never need more than a workspace made for more. */
    const int64_t most_rows = least(block, weft_cpu_whole(cut.m, code->rows));
    cut.a_bytes = weft_cpu_aligned(most_rows / code->rows * weft_pairs_words(pairs, code->rows) * 4);
    if (code->near > 0) cut.carry_bytes = weft_cpu_aligned(most_rows * code->columns * 4);
    if (!cut.c_fp32 && cut.chunks > 1)
        cut.sum_bytes = weft_cpu_aligned(weft_cpu_whole(cut.m, code->rows) * cut.width * 4);
    cut.a = (weft_pairs_operand){.stride = shape->a_stride, .down = shape->transpose_a};
    cut.b = (weft_pairs_operand){.stride = shape->b_stride, .down = !shape->transpose_b};
    return cut;
}

size_t weft_pairs_workspace(const weft_pairs_code *code, const weft_product_shape *shape, int32_t threads)
{
    const pairs_plan cut = plan_make(code, shape, threads);
    return BUFFERS * cut.b_bytes + cut.sum_bytes + (cut.a_bytes + cut.carry_bytes) * (size_t)threads;
}

static pairs_places place(const pairs_plan *cut, char *workspace, int member)
{
    pairs_places out;
    for (int i = 0; i < BUFFERS; i++, workspace += cut->b_bytes) out.b[i] = (uint32_t *)workspace;
    out.sums = (float *)workspace;
    workspace += cut->sum_bytes + (cut->a_bytes + cut->carry_bytes) * (size_t)member;
    out.a = (uint32_t *)workspace;
    out.carry = (float *)(workspace + cut->a_bytes);
    return out;
}

static pairs_step step_get(const pairs_plan *cut, int64_t index)
{
    pairs_step out = {.column = index / cut->chunks * cut->width, .k = index % cut->chunks * cut->depth};
    out.width = least(cut->width, cut->n - out.column);
    out.depth = least(cut->depth, cut->k - out.k);
    return out;
}

/* The rows of a that the calling member works on after this block: its next, or its first of the step behind. */
static fetch fetch_begin(const pairs_plan *cut, int64_t index, int64_t block, int64_t calls)
{
    const int64_t after = block + omp_get_num_threads();
    const bool same = after < cut->blocks;
    const weft_pairs_operand *a = &cut->a;
    if (!same && index + 1 == cut->groups * cut->chunks) return (fetch){0};
    const pairs_step now = step_get(cut, same ? index : index + 1);
    const int64_t first = (same ? after : omp_get_thread_num()) * cut->rows, count = least(cut->rows, cut->m - first);
    fetch out = {.stride = a->stride * 2, .rows = a->down ? now.depth : count};
    out.at = (const char *)(a->down ? a->at + now.k * a->stride + first : a->at + first * a->stride + now.k);
    out.lines = (a->down ? count : now.depth) * 2 / LINE + 1;
    out.share = weft_cpu_divide_up(out.rows * out.lines, calls);
    return out;
}

static void fetch_some(fetch *self)
{
    for (int64_t i = 0; i < self->share && self->row < self->rows; i++) {
        __builtin_prefetch(self->at + self->row * self->stride + self->line * LINE, 0, 2);
        if (++self->line < self->lines) continue;
        self->line = 0;
        self->row++;
    }
}

/* Where the tile of c at row and at column of the step goes. */
static weft_pairs_tile tile_get(const pairs_plan *cut, const pairs_step *now, float *sums, const weft_operands *all,
                                int64_t row, int64_t column)
{
    const int64_t high = cut->code->rows, wide = cut->code->columns;
    const int64_t at = row * cut->n + now->column + column;
    weft_pairs_tile out = {.rows = least(high, cut->m - row),
                           .columns = least(wide, now->width - column),
                           .add = cut->accumulate || now->k > 0,
                           .sums_stride = cut->n,
                           .rounded_stride = cut->n};
    if (cut->c_fp32) {
        out.sums = (float *)all->c + at;
        return out;
    }
    if (cut->chunks > 1) {
        out.sums = sums + row * cut->width + column * high;
        out.sums_stride = wide;
    }
    if (now->k + now->depth < cut->k) return out;
    out.rounded = (uint16_t *)all->c + at;
    if (all->bias != NULL) out.bias = (const uint16_t *)all->bias + now->column + column;
    return out;
}

/* Of a step: what kernels take at a time, filled up. */
static int64_t pairs_of(const pairs_plan *cut, const pairs_step *now)
{
    return weft_cpu_whole((now->depth + 1) / 2, cut->code->pairs);
}

/* The calling member's panels of b. */
static void pack_columns(const pairs_plan *cut, const pairs_step *now, uint32_t *to)
{
    const weft_cpu_span columns = weft_cpu_part(now->width, 2 * cut->code->columns);
    const int64_t words = weft_pairs_words(pairs_of(cut, now), cut->code->columns);
    cut->code->pack_columns(&cut->b, now->column + columns.begin, columns.end - columns.begin, now->k, now->depth,
                            to + columns.begin / cut->code->columns * words);
}

/* One block of rows of step index. */
static void make_block(const pairs_plan *cut, int64_t index, const pairs_places *own, const uint32_t *b,
                       const weft_operands *all, int64_t block)
{
    const weft_pairs_code *code = cut->code;
    const pairs_step now = step_get(cut, index);
    const int64_t first = block * cut->rows, rows = least(cut->rows, cut->m - first);
    const int64_t pairs = pairs_of(cut, &now), across = weft_cpu_divide_up(now.width, code->columns);
    const int64_t down = weft_cpu_divide_up(rows, code->rows);
    const int64_t a_words = weft_pairs_words(pairs, code->rows), b_words = weft_pairs_words(pairs, code->columns);
    const int64_t near = code->near > 0 ? code->near : pairs;
    fetch coming = fetch_begin(cut, index, block, across * down * weft_cpu_divide_up(pairs, near));
    code->pack_rows(&cut->a, first, rows, now.k, now.depth, own->a);
    for (int64_t j = 0; j < across; j++, b += b_words) {
        const int64_t bytes = b_words * 4 / down / pairs;
        for (int64_t at = 0; at < pairs; at += near) {
            const int64_t count = least(near, pairs - at);
            for (int64_t i = 0; i < down; i++) {
                weft_pairs_tile to = tile_get(cut, &now, own->sums, all, first + i * code->rows, j * code->columns);
                float *carry = own->carry + i * code->rows * code->columns;
                to.step = bytes;
                to.next = (const char *)(b + b_words) + i * bytes * pairs + at * bytes;
                if (at > 0) to.carried = carry;
                if (at + count < pairs) to.carry = carry;
                fetch_some(&coming);
                code->multiply(count, own->a + i * a_words + at * code->rows, b + at * code->columns, &to);
            }
        }
    }
}

void weft_pairs_multiply(weft_cpu *cpu, const weft_product_shape *shape, const weft_operands *all, void *workspace)
{
    weft_device *device = &cpu->base;
    const weft_pairs_code *code = cpu->pairs;
    pairs_plan cut = plan_make(code, shape, device->threads);
    cut.a.at = all->a;
    cut.b.at = all->b;
    const int threads = weft_cpu_team(device, cut.m * cut.n * cut.k / SHARED);
#pragma omp parallel num_threads(threads)
    {
        const int member = omp_get_thread_num(), team = omp_get_num_threads();
        const pairs_places own = place(&cut, workspace, member);
        for (int64_t i = 0; i < cut.groups * cut.chunks; i++) {
            const pairs_step now = step_get(&cut, i);
            uint32_t *b = own.b[i % BUFFERS];
            pack_columns(&cut, &now, b);
#pragma omp barrier
            for (int64_t block = member; block < cut.blocks; block += team) {
                if (code->begin != NULL) code->begin();
                make_block(&cut, i, &own, b, all, block);
                if (code->end != NULL) code->end();
                if (member == 0) weft_cpu_between(device);
            }
        }
    }
}
