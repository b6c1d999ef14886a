/*
 * Panels and the kernel of pairs.h by tiles (AMX); compiled with the instructions' flags, called where the processor
 * has them.
 *
 * A kernel makes 32 rows of 32 columns: four tiles of sums, of two tiles of a and two of b in each step along k. Tiles
 * of a are rows of 16 pairs, one tile behind the other; b's panel is what it is for vectors.
 */
#include "device/cpu/pairs_vectors.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SIDE = 16,          /* rows of a tile, and 32-bit words of a row */
    ROWS = 2 * SIDE,    /* of c */
    COLUMNS = 2 * SIDE, /* of c */
    NEAR = 128,         /* pairs: 16 KiB of a panel of b and as many of a */
    AHEAD = 256,        /* elements of a source whose k goes along, that are fetched ahead */
    LINE = 64,          /* bytes */
    STEP = ROWS * SIDE, /* words of a and of b in one step along k */
    REQUEST = 0x1023,   /* arch_prctl: Linux keeps tiles for who asks */
    TILE_DATA = 18,
};

typedef struct tile_shapes {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tile_shapes;

static bool runs(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

static void begin(void)
{
    static const tile_shapes shapes = {.palette = 1,
                                       .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                       .rows = {SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE}};
    _tile_loadconfig(&shapes);
}

static void end(void)
{
    _tile_release();
}

/* 16 rows of 16 words, turned into rows stride words apart. */
INLINE void turn_tile(__m512i x[SIDE], int64_t stride, uint32_t *to)
{
    __m512i y[SIDE];
    UNROLLED
    for (int r = 0; r < SIDE; r += 2) {
        y[r] = _mm512_unpacklo_epi32(x[r], x[r + 1]);
        y[r + 1] = _mm512_unpackhi_epi32(x[r], x[r + 1]);
    }
    UNROLLED
    for (int h = 0; h < SIDE; h += 4) { /* 128 bits l of x[h + q] are rows h .. h + 3 of column 4 l + q */
        x[h + 0] = _mm512_unpacklo_epi64(y[h], y[h + 2]);
        x[h + 1] = _mm512_unpackhi_epi64(y[h], y[h + 2]);
        x[h + 2] = _mm512_unpacklo_epi64(y[h + 1], y[h + 3]);
        x[h + 3] = _mm512_unpackhi_epi64(y[h + 1], y[h + 3]);
    }
    UNROLLED
    for (int q = 0; q < 4; q++) {
        __m512i low = _mm512_shuffle_i32x4(x[q], x[4 + q], 0x88), high = _mm512_shuffle_i32x4(x[q], x[4 + q], 0xdd);
        __m512i low2 = _mm512_shuffle_i32x4(x[8 + q], x[12 + q], 0x88),
                high2 = _mm512_shuffle_i32x4(x[8 + q], x[12 + q], 0xdd);
        _mm512_storeu_si512(to + (0 + q) * stride, _mm512_shuffle_i32x4(low, low2, 0x88));
        _mm512_storeu_si512(to + (8 + q) * stride, _mm512_shuffle_i32x4(low, low2, 0xdd));
        _mm512_storeu_si512(to + (4 + q) * stride, _mm512_shuffle_i32x4(high, high2, 0x88));
        _mm512_storeu_si512(to + (12 + q) * stride, _mm512_shuffle_i32x4(high, high2, 0xdd));
    }
}

/* One step of a panel of a whose k goes down: depth rows of k, columns of c's rows; at most a step's. */
INLINE void rows_down(const uint16_t *at, int64_t stride, int64_t depth, __mmask32 in, int64_t ahead, uint32_t *to)
{
    __m512i first[SIDE], second[SIDE];
    UNROLLED
    for (int p = 0; p < SIDE; p++) {
        const uint16_t *even = at + 2 * p * stride, *odd = even + stride;
        _mm_prefetch((const char *)(even + ahead), _MM_HINT_T0);
        _mm_prefetch((const char *)(odd + ahead), _MM_HINT_T0);
        __m512i x = 2 * p < depth ? _mm512_maskz_loadu_epi16(in, even) : _mm512_setzero_si512();
        __m512i y = 2 * p + 1 < depth ? _mm512_maskz_loadu_epi16(in, odd) : _mm512_setzero_si512();
        interleave_words(x, y, &first[p], &second[p]);
    }
    turn_tile(first, SIDE, to);
    turn_tile(second, SIDE, to + SIDE * SIDE);
}

static void pack_rows(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth,
                      uint32_t *to)
{
    const int64_t stride = from->stride, steps = (depth + 2 * SIDE - 1) / (2 * SIDE);
    const int64_t words = weft_pairs_words(steps * SIDE, ROWS);
    for (int64_t i = 0; i < count; i += ROWS, to += words) {
        const int64_t rows = count - i < ROWS ? count - i : ROWS;
        for (int64_t s = 0; s < steps; s++) {
            const int64_t left = depth - s * 2 * SIDE;
            uint32_t *step = to + s * STEP;
            if (from->down) {
                const uint16_t *at = from->at + (k + s * 2 * SIDE) * stride + first + i;
                if (rows == ROWS && left >= 2 * SIDE)
                    rows_down(at, stride, 2 * SIDE, 0xffffffffu, left >= 4 * SIDE ? 2 * SIDE * stride : 0, step);
                else
                    rows_down(at, stride, left, rows == ROWS ? 0xffffffffu : (1u << rows) - 1, 0, step);
                continue;
            }
            const uint16_t *at = from->at + (first + i) * stride + k + s * 2 * SIDE;
            const __mmask32 in = left >= 2 * SIDE ? 0xffffffffu : (1u << left) - 1;
            for (int64_t r = 0; r < ROWS; r++)
                _mm512_storeu_si512(step + r * SIDE,
                                    r < rows ? _mm512_maskz_loadu_epi16(in, at + r * stride) : _mm512_setzero_si512());
        }
    }
}

/* A tile of a panel of b whose k goes along: so many of its columns and so much of k are there. */
INLINE void columns_along(const uint16_t *at, int64_t stride, int64_t columns, __mmask32 in, uint32_t *to)
{
    __m512i x[SIDE];
    UNROLLED
    for (int c = 0; c < SIDE; c++) {
        _mm_prefetch((const char *)(at + c * stride + AHEAD), _MM_HINT_T0);
        x[c] = c < columns ? _mm512_maskz_loadu_epi16(in, at + c * stride) : _mm512_setzero_si512();
    }
    turn_tile(x, COLUMNS, to);
}

/* Half a panel of b, so many of its columns. */
static void half_along(const uint16_t *at, int64_t stride, int64_t columns, int64_t depth, uint32_t *to)
{
    for (int64_t k = 0; k < depth; k += 2 * SIDE, to += STEP) {
        const int64_t left = depth - k;
        if (columns >= SIDE && left >= 2 * SIDE)
            columns_along(at + k, stride, SIDE, 0xffffffffu, to);
        else
            columns_along(at + k, stride, columns, left >= 2 * SIDE ? 0xffffffffu : (1u << left) - 1, to);
    }
}

/* A pair of rows of k after the other, across all panels. */
static void columns_down(const uint16_t *at, int64_t stride, int64_t columns, int64_t depth, int64_t words,
                         uint32_t *to)
{
    for (int64_t k = 0; k < depth; k += 2, at += 2 * stride, to += COLUMNS) {
        const uint16_t *odd = k + 1 < depth ? at + stride : NULL;
        const int64_t fast = odd != NULL ? columns / COLUMNS * COLUMNS : 0;
        const int64_t ahead = k + SIDE + 1 < depth ? SIDE * stride : 0;
        for (int64_t c = 0; c < fast; c += COLUMNS) {
            __m512i low, high;
            interleave(at + c, odd + c, ahead, &low, &high);
            _mm512_storeu_si512(to + c / COLUMNS * words, low);
            _mm512_storeu_si512(to + c / COLUMNS * words + LANES, high);
        }
        pack_edge(at, odd, fast, columns, COLUMNS, words, to);
    }
}

static void pack_columns(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth,
                         uint32_t *to)
{
    const int64_t stride = from->stride, pairs = (depth + 2 * SIDE - 1) / (2 * SIDE) * SIDE, filled = (depth + 1) / 2;
    const int64_t words = weft_pairs_words(pairs, COLUMNS);
    if (from->down) columns_down(from->at + k * stride + first, stride, count, depth, words, to);
    for (int64_t c = 0; c < count; c += COLUMNS, to += words) {
        const uint16_t *at = from->at + (first + c) * stride + k;
        if (from->down) {
            memset(to + filled * COLUMNS, 0, (size_t)((pairs - filled) * COLUMNS) * sizeof *to);
        } else {
            half_along(at, stride, count - c, depth, to);
            half_along(at + SIDE * stride, stride, count - c - SIDE, depth, to + SIDE);
        }
    }
}

INLINE void load_tiles(const float *from, int64_t stride)
{
    _tile_loadd(0, from, stride * 4);
    _tile_loadd(1, from + SIDE, stride * 4);
    _tile_loadd(2, from + SIDE * stride, stride * 4);
    _tile_loadd(3, from + SIDE * stride + SIDE, stride * 4);
}

INLINE void store_tiles(float *to)
{
    _tile_stored(0, to, COLUMNS * 4);
    _tile_stored(1, to + SIDE, COLUMNS * 4);
    _tile_stored(2, to + SIDE * COLUMNS, COLUMNS * 4);
    _tile_stored(3, to + SIDE * COLUMNS + SIDE, COLUMNS * 4);
}

/* A whole result. */
INLINE void store_whole(const weft_pairs_tile *to, const float *sums)
{
    __m512 bias[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int h = 0; to->bias != NULL && h < 2; h++) {
        const __m256i from = _mm256_loadu_si256((const __m256i *)(to->bias + h * LANES));
        bias[h] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(from), 16));
    }
    for (int64_t r = 0; r < ROWS; r++, sums += COLUMNS) {
        __m512 first = _mm512_load_ps(sums), second = _mm512_load_ps(sums + LANES);
        if (to->add) {
            const float *c = to->sums + r * to->sums_stride;
            first = _mm512_add_ps(first, _mm512_loadu_ps(c));
            second = _mm512_add_ps(second, _mm512_loadu_ps(c + LANES));
        }
        if (to->rounded == NULL) {
            _mm512_storeu_ps(to->sums + r * to->sums_stride, first);
            _mm512_storeu_ps(to->sums + r * to->sums_stride + LANES, second);
            continue;
        }
        if (to->bias != NULL) {
            first = _mm512_add_ps(first, bias[0]);
            second = _mm512_add_ps(second, bias[1]);
        }
        _mm512_storeu_si512(to->rounded + r * to->rounded_stride, (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }
}

static void multiply(int64_t pairs, const uint32_t *a, const uint32_t *b, const weft_pairs_tile *to)
{
    float sums[ROWS * COLUMNS] __attribute__((aligned(64)));
    const char *next = to->next;
    __asm__ volatile("" ::: "memory"); /* gcc is not told that a tile's load reads what was stored before */
    if (to->carried != NULL) {
        load_tiles(to->carried, COLUMNS);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t p = 0; p < pairs; p += SIDE, a += STEP, b += STEP) {
        _tile_loadd(4, a, 4 * SIDE);
        _tile_loadd(6, b, 4 * COLUMNS);
        _tile_loadd(7, b + SIDE, 4 * COLUMNS);
        _tile_loadd(5, a + SIDE * SIDE, 4 * SIDE);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        for (const char *after = next + SIDE * to->step; next < after; next += LINE) _mm_prefetch(next, _MM_HINT_T1);
    }
    if (to->carry != NULL) {
        store_tiles(to->carry);
        return;
    }
    store_tiles(sums);
    if (to->rows == ROWS && to->columns == COLUMNS) {
        store_whole(to, sums);
        return;
    }
    for (int64_t r = 0; r < to->rows; r++) {
        for (int64_t c = 0; c < to->columns; c += LANES) store(to, r, c, _mm512_load_ps(sums + r * COLUMNS + c));
    }
}

const weft_pairs_code weft_pairs_amx = {.rows = ROWS,
                                        .columns = COLUMNS,
                                        .pairs = SIDE,
                                        .tiles = true,
                                        .near = NEAR,
                                        .runs = runs,
                                        .begin = begin,
                                        .end = end,
                                        .pack_rows = pack_rows,
                                        .pack_columns = pack_columns,
                                        .multiply = multiply};
