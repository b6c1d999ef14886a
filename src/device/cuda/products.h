/*
 * Matrix products by cuBLASLt, with fp32 sums. What is row-major here is column-major there, so that a product's
 * operands change places.
 *
 * A shape has one algorithm: the first that the library proposes, for constant preferences and the operands'
 * alignments, that may use no sums in the result's place and passes its own check. So the bits are those of the shape,
 * for one GPU model and one library.
 *
 * Owns: what the library made for each shape, until destroy. Threads: the instance's.
 */
#ifndef WEFT_DEVICE_CUDA_PRODUCTS_H
#define WEFT_DEVICE_CUDA_PRODUCTS_H

#include "device/cuda/cuda.h"

weft_status weft_cuda_products_create(int32_t index, weft_element element, weft_cuda_products **out,
                                      weft_error *error) WEFT_CHECKED;
void weft_cuda_products_destroy(weft_cuda_products *products); /* accepts NULL */

size_t weft_cuda_linear_workspace(const weft_device_options *options, const weft_linear *linear);
size_t weft_cuda_attention_workspace(const weft_device_options *options, const weft_attention *attention);

/* peak.c: 0 where memory has no room for the smallest product. */
weft_status weft_cuda_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                   weft_error *error) WEFT_CHECKED;

/* As device.h has them. */
void weft_cuda_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                              const void *w, const void *bias, void *y, void *workspace);
void weft_cuda_linear_backward_input(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                     const void *dy, const void *w, void *dx, void *workspace);
void weft_cuda_linear_backward_weight(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                      const void *dy, const void *x, bool accumulate, float *dw, float *dbias,
                                      void *workspace);

#endif
