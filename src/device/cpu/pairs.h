/*
 * bf16 products on own micro-kernels, for processors that multiply pairs (vdpbf16ps) and for those that have tiles
 * (AMX), where oneDNN is behind. By pairs: weight gradients, which go straight into the fp32 gradients here, input
 * gradients over many outputs, and the head. By tiles: all but forward products and input gradients of few rows.
 * Everything else stays with oneDNN.
 *
 * Operands are copied into panels of pairs along k: for each pair the columns of the panel, two numbers each, filled up
 * with zeros to whole columns and pairs. An element of the result is one accumulator's sum over a chunk of k, pair by
 * pair, or by tiles 16 pairs by 16 pairs, and chunks are added in order. Chunks follow from k and the type of c, so
 * no cut of the rows and columns, over threads or over workers, changes a bit.
 *
 * Threads: the instance's own.
 */
#ifndef WEFT_DEVICE_CPU_PAIRS_H
#define WEFT_DEVICE_CPU_PAIRS_H

#include "device/cpu/packed.h"

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
    const uint16_t *bias; /* one a column, added before rounding; may be NULL */
    int64_t sums_stride, rounded_stride;
    int64_t rows, columns; /* of the result, at most a kernel's */
    bool add;
    /* By tiles alone: the kernel begins with these sums, or leaves them here instead of a result; of a whole kernel,
     * dense. NULL: neither. */
    const float *carried;
    float *carry;
    const char *next; /* fetched into the second cache meanwhile, step bytes for each pair */
    int64_t step;
} weft_pairs_tile;

/* The code of one instruction set. */
typedef struct weft_pairs_code {
    int64_t rows, columns; /* of c that a kernel makes: widths of the panels of a and b */
    int64_t pairs;         /* panels are filled up to a multiple of these */
    bool tiles;            /* AMX */
    int64_t near;          /* pairs of a panel of b that stay in the nearest cache; 0: all at once */
    bool (*runs)(void);    /* on this processor */
    /* Around a thread's block of calls of multiply: oneDNN, which has tiles of its own, may run before and after. NULL:
     * nothing is to be done. */
    void (*begin)(void);
    void (*end)(void);
    /* The panels of a, or of b, for count of its rows or columns from first on, k .. k + depth - 1. */
    void (*pack_rows)(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth,
                      uint32_t *to);
    void (*pack_columns)(const weft_pairs_operand *from, int64_t first, int64_t count, int64_t k, int64_t depth,
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

/* True for the products that gain. Depends on the code and the shape, not on threads. */
bool weft_pairs_fits(const weft_pairs_code *code, const weft_product_shape *shape);

/* Bytes of workspace that a product needs, 64-byte aligned. */
size_t weft_pairs_workspace(const weft_pairs_code *code, const weft_product_shape *shape, int32_t threads);

/* c = a b [+ c] of a shape that fits. */
void weft_pairs_multiply(weft_cpu *cpu, const weft_product_shape *shape, const weft_operands *all, void *workspace);

#endif
