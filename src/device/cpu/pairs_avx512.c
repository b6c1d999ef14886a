/*
 * Panels and the kernel of pairs.h by vdpbf16ps; compiled with the instruction's flags, called where the processor has
 * it.
 *
 * The kernel's sums, 8 rows of 3 vectors, stay in registers from the first pair to the last: loops over them must be
 * unrolled whole (tests/device/spills.sh reads the assembly).
 */
#include "device/cpu/pairs_vectors.h"

enum {
    ROWS = 8,
    COLUMNS = 48,
    VECTORS = COLUMNS / LANES,
    AHEAD = 16,       /* pairs of b that are fetched ahead of their use */
    DOWN_AHEAD = 16,  /* rows of a source whose k goes down */
    ALONG_AHEAD = 256 /* elements of a source whose k goes along */
};

static bool runs(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* One pair of rows, four panels of 8 columns at a time. */
INLINE void pack_narrow(const uint16_t *even, const uint16_t *odd, int64_t ahead, int64_t words, uint32_t *to)
{
    __m512i first, second;
    interleave(even, odd, ahead, &first, &second);
    _mm256_storeu_si256((__m256i *)to, _mm512_castsi512_si256(first));
    _mm256_storeu_si256((__m256i *)(to + words), _mm512_extracti64x4_epi64(first, 1));
    _mm256_storeu_si256((__m256i *)(to + 2 * words), _mm512_castsi512_si256(second));
    _mm256_storeu_si256((__m256i *)(to + 3 * words), _mm512_extracti64x4_epi64(second, 1));
}

/* One pair of rows, two panels of 48 columns at a time. */
INLINE void pack_wide(const uint16_t *even, const uint16_t *odd, int64_t ahead, int64_t words, uint32_t *to)
{
    uint32_t *const other = to + words;
    __m512i v[2 * VECTORS];
    for (int i = 0; i < VECTORS; i++) interleave(even + 32 * i, odd + 32 * i, ahead, &v[2 * i], &v[2 * i + 1]);
    for (int i = 0; i < VECTORS; i++) {
        _mm512_storeu_si512(to + LANES * i, v[i]);
        _mm512_storeu_si512(other + LANES * i, v[VECTORS + i]);
    }
}

/* k down: two rows at a time, those of a panel's pairs. at: (k 0, column 0). */
static void pack_down(const uint16_t *at, int64_t stride, int64_t k, int64_t columns, int64_t width, uint32_t *to)
{
    const int64_t pairs = (k + 1) / 2, words = weft_pairs_words(pairs, width);
    const bool narrow = width == ROWS;
    const int64_t grain = narrow ? 4 * ROWS : 2 * COLUMNS;
    for (int64_t p = 0; p < pairs; p++, to += width) {
        const uint16_t *even = at + 2 * p * stride, *odd = 2 * p + 1 < k ? even + stride : NULL;
        const int64_t fast = odd != NULL ? columns / grain * grain : 0;
        const int64_t ahead = 2 * p + DOWN_AHEAD + 1 < k ? DOWN_AHEAD * stride : 0;
        for (int64_t c = 0; c < fast; c += grain) {
            uint32_t *panel = to + c / width * words;
            if (narrow) {
                pack_narrow(even + c, odd + c, ahead, words, panel);
            } else {
                pack_wide(even + c, odd + c, ahead, words, panel);
            }
        }
        pack_edge(even, odd, fast, columns, width, words, to);
    }
}

/* k along: 8 rows of 16 pairs each, turned into 16 pairs of 8 columns each; only so many rows and pairs are there. */
INLINE void turn(const uint16_t *at, int64_t stride, int64_t rows, __mmask32 in, int64_t pairs, int64_t width,
                 uint32_t *to)
{
    const __m512i front = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  back = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i x[8], y[8];
    UNROLLED
    for (int r = 0; r < 8; r++)
        x[r] = r < rows ? _mm512_maskz_loadu_epi16(in, at + r * stride) : _mm512_setzero_si512();
    UNROLLED
    for (int r = 0; r < 8; r += 2) {
        y[r] = _mm512_unpacklo_epi32(x[r], x[r + 1]);
        y[r + 1] = _mm512_unpackhi_epi32(x[r], x[r + 1]);
    }
    UNROLLED
    for (int h = 0; h < 8; h += 4) {
        x[h + 0] = _mm512_unpacklo_epi64(y[h], y[h + 2]);
        x[h + 1] = _mm512_unpackhi_epi64(y[h], y[h + 2]);
        x[h + 2] = _mm512_unpacklo_epi64(y[h + 1], y[h + 3]);
        x[h + 3] = _mm512_unpackhi_epi64(y[h + 1], y[h + 3]);
    }
    UNROLLED
    for (int q = 0; q < 4; q++) { /* of x[q] and x[4 + q], 128 bits l are rows 0-3 and 4-7 of pair 4 l + q */
        __m512i low = _mm512_permutex2var_epi64(x[q], front, x[4 + q]);
        __m512i high = _mm512_permutex2var_epi64(x[q], back, x[4 + q]);
        uint32_t *pair = to + q * width;
        if (q < pairs) _mm256_storeu_si256((__m256i *)pair, _mm512_castsi512_si256(low));
        if (q + 4 < pairs) _mm256_storeu_si256((__m256i *)(pair + 4 * width), _mm512_extracti64x4_epi64(low, 1));
        if (q + 8 < pairs) _mm256_storeu_si256((__m256i *)(pair + 8 * width), _mm512_castsi512_si256(high));
        if (q + 12 < pairs) _mm256_storeu_si256((__m256i *)(pair + 12 * width), _mm512_extracti64x4_epi64(high, 1));
    }
}

/* Eight columns of a panel, of which so many rows are there. at: (row 0, k 0). */
static void pack_strip(const uint16_t *at, int64_t stride, int64_t k, int64_t rows, int64_t width, uint32_t *to)
{
    const int64_t pairs = (k + 1) / 2;
    for (int64_t p = 0; p < pairs; p += LANES) {
        const int64_t left = k - 2 * p;
        const uint16_t *from = at + 2 * p;
        if (rows >= 8 && left >= 2 * LANES) {
            UNROLLED
            for (int r = 0; r < 8; r++) _mm_prefetch((const char *)(from + r * stride + ALONG_AHEAD), _MM_HINT_T0);
            turn(from, stride, 8, 0xffffffffu, LANES, width, to + p * width);
        } else {
            __mmask32 in = left >= 2 * LANES ? 0xffffffffu : (1u << left) - 1;
            turn(from, stride, rows, in, pairs - p, width, to + p * width);
        }
    }
}

static void pack_along(const uint16_t *at, int64_t stride, int64_t k, int64_t columns, int64_t width, uint32_t *to)
{
    const int64_t words = weft_pairs_words((k + 1) / 2, width);
    for (int64_t first = 0; first < columns; first += width, to += words) {
        for (int64_t strip = 0; strip < width; strip += 8) {
            pack_strip(at + (first + strip) * stride, stride, k, columns - first - strip, width, to + strip);
        }
    }
}

static void pack(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth, int64_t width,
                 uint32_t *to)
{
    if (from->down)
        pack_down(from->at + k * from->stride + first, from->stride, depth, count, width, to);
    else
        pack_along(from->at + first * from->stride + k, from->stride, depth, count, width, to);
}

static void pack_rows(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth,
                      uint32_t *to)
{
    pack(from, first, count, k, depth, ROWS, to);
}

static void pack_columns(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth,
                         uint32_t *to)
{
    pack(from, first, count, k, depth, COLUMNS, to);
}

static void multiply(int64_t pairs, const uint32_t *a, const uint32_t *b, const weft_pairs_tile *to)
{
    __m512 sum[ROWS][VECTORS];
    UNROLLED
    for (int r = 0; r < ROWS; r++) {
        UNROLLED
        for (int v = 0; v < VECTORS; v++) sum[r][v] = _mm512_setzero_ps();
    }
    for (int64_t r = 0; to->sums != NULL && r < to->rows; r++) {
        for (int v = 0; v < VECTORS; v++) __builtin_prefetch(to->sums + r * to->sums_stride + v * LANES, 1);
    }
    const char *next = to->next;
    const int64_t step = to->step;
    for (int64_t p = 0; p < pairs; p++, a += ROWS, b += VECTORS * LANES, next += step) {
        __m512bh right[VECTORS];
        _mm_prefetch(next, _MM_HINT_T1);
        UNROLLED
        for (int v = 0; v < VECTORS; v++) {
            right[v] = (__m512bh)_mm512_load_si512(b + v * LANES);
            _mm_prefetch((const char *)(b + (AHEAD * VECTORS + v) * LANES), _MM_HINT_T0);
        }
        UNROLLED
        for (int r = 0; r < ROWS; r++) {
            const __m512bh left = (__m512bh)_mm512_set1_epi32((int)a[r]);
            UNROLLED
            for (int v = 0; v < VECTORS; v++) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, right[v]);
        }
    }
    UNROLLED
    for (int r = 0; r < ROWS; r++) {
        if (r >= to->rows) break;
        UNROLLED
        for (int v = 0; v < VECTORS; v++) {
            if (v * LANES < to->columns) store(to, r, v * LANES, sum[r][v]);
        }
    }
}

const weft_pairs_code weft_pairs_avx512 = {.rows = ROWS,
                                           .columns = COLUMNS,
                                           .pairs = 1,
                                           .runs = runs,
                                           .pack_rows = pack_rows,
                                           .pack_columns = pack_columns,
                                           .multiply = multiply};
