/*
 * bf16 products on own micro-kernels, for processors that multiply pairs (vdpbf16ps) and have no tiles. There oneDNN is
 * behind them for weight gradients, which go straight into the fp32 gradients here, for input gradients over many
 * outputs and for the head; everything else stays with oneDNN.
 *
 * Operands are copied into panels of pairs along k: for each pair the columns of the panel, two numbers each, filled up
 * with zeros to whole columns and pairs. An element of the result is one accumulator's sum over a chunk of k, pair by
 * pair, and chunks are added in order. Chunks follow from k alone, so no cut of the rows and columns, over threads or
 * over workers, changes a bit.
 *
 * Threads: the instance's own.
 */
#ifndef WEFT_DEVICE_CPU_PAIRS_H
#define WEFT_DEVICE_CPU_PAIRS_H

#include "device/cpu/packed.h"

enum { WEFT_PAIRS_ROWS = 8, WEFT_PAIRS_COLUMNS = 48 }; /* of c that a kernel makes: widths of the panels of a and b */

/* One operand of a product, a (m, k) or b (k, n), by its rows or columns i. */
typedef struct weft_pairs_operand {
    const uint16_t *at;
    int64_t stride; /* elements from one stored row to the next */
    bool down;      /* stored as rows of k: (k, i) lies at k stride + i; else (i, k) at i stride + k */
} weft_pairs_operand;

/* Where a kernel's result goes. Sums are read when add, and written unless rounded is there, which then is. */
typedef struct weft_pairs_tile {
    float *sums; /* NULL: the result is rounded at once */
    uint16_t *rounded;
    int64_t sums_stride, rounded_stride;
    int64_t rows, columns; /* of the result, at most a kernel's */
    bool add;
    const char *next; /* fetched into the second cache meanwhile, step bytes for each pair */
    int64_t step;
} weft_pairs_tile;

/* The code of one instruction set. */
typedef struct weft_pairs_code {
    bool (*runs)(void); /* on this processor */
    /* The panels, width columns each, of count rows or columns from first on, for k .. k + depth - 1. */
    void (*pack)(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth, int64_t width,
                 uint32_t *to);
    /* One panel of a by one of b, which begins at a multiple of 64 bytes. */
    void (*multiply)(int64_t pairs, const uint32_t *a, const uint32_t *b, const weft_pairs_tile *to);
} weft_pairs_code;

/* Words of a panel: one line more than it holds, else panels of a power of two would fall on the same cache sets. */
static inline int64_t weft_pairs_words(int64_t pairs, int64_t width)
{
    return pairs * width + 16;
}

/* The code for products of this element type that fit: where the processor has the instruction, and oneDNN, which an
 * environment variable may hold to less, would use it and nothing better; else NULL. pairs_find.c */
const weft_pairs_code *weft_pairs_find(weft_element element);

/* True for the products that gain. Depends on the shape alone. */
bool weft_pairs_fits(const weft_product_shape *shape);

/* Bytes of workspace that a product needs, 64-byte aligned. */
size_t weft_pairs_workspace(const weft_product_shape *shape, int32_t threads);

/* c = a b [+ c] of a shape that fits. */
void weft_pairs_multiply(weft_cpu *cpu, const weft_product_shape *shape, const weft_operands *all, void *workspace);

#endif
