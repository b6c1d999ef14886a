/*
 * bf16 products on packed operands, where oneDNN has kernels that read them (weft_onednn_packs).
 *
 * oneDNN's matrix units run at full speed only on blocks that lie densely in a core's own cache. A plain product packs
 * b again for every piece of rows, reads long rows of a that fall on few cache sets, and has no fast kernel for a
 * transposed a with long rows. Here b is packed once for the team, chunk by chunk of k, and a's blocks are copied.
 *
 * Threads: the instance's own.
 */
#ifndef WEFT_DEVICE_CPU_PACKED_H
#define WEFT_DEVICE_CPU_PACKED_H

#include "device/cpu/cpu.h"

typedef struct weft_operands {
    const void *a, *b, *bias;
    void *c;
} weft_operands;

/* True for the products that gain: weight gradients but the largest, and long sums. Depends on the shape and on the
 * thread count rounded up to an even number. */
bool weft_packed_fits(const weft_product_shape *shape, int32_t threads);

/* Bytes of workspace that the product needs, 64-byte aligned. */
size_t weft_packed_workspace(const weft_device_options *options, const weft_product_shape *shape);

/* c = a b [+ c] of a shape that fits; an error becomes the instance's. */
void weft_packed_multiply(weft_cpu *cpu, const weft_product_shape *shape, const weft_operands *all, void *workspace);

#endif
