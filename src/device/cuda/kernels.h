/*
 * What the kernels' files give to the host's: one launcher an operation, in C. Internal to src/device/cuda.
 *
 * A launcher enqueues its kernels on the call's stream and returns what cudaLaunchKernelEx said; nothing has run then.
 * Meanings and shapes of operands are those of device.h. How a kernel is cut into blocks, and in which order it adds,
 * depends on shapes and the element type only.
 *
 * Owns: nothing. Threads: any, each with its own call.
 */
#ifndef WEFT_DEVICE_CUDA_KERNELS_H
#define WEFT_DEVICE_CUDA_KERNELS_H

#include "device/device.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Scratch of a stream: what a kernel of several blocks leaves for the one that adds it up. */
enum { WEFT_CUDA_SCRATCH = 1 << 20 };
enum { WEFT_CUDA_SOURCES = 256 };   /* parts of a sum at most */
enum { WEFT_CUDA_SUM_RANGES = 64 }; /* ranges of rows that a sum over rows is cut into at most */

typedef struct weft_cuda_call {
    cudaStream_t stream;
    weft_element element;
    bool tensor_cores; /* the GPU has them for bf16 */
    void *scratch;     /* WEFT_CUDA_SCRATCH bytes, of the stream alone; NULL on streams of transfers */
} weft_cuda_call;

cudaError_t weft_cuda_embed_forward(const weft_cuda_call *call, const weft_embed *embed, const int32_t *tokens,
                                    const int32_t *positions, const void *wte, const void *wpe, void *out);
cudaError_t weft_cuda_embed_backward(const weft_cuda_call *call, const weft_embed *embed, const int32_t *tokens,
                                     const int32_t *positions, const void *dout, bool accumulate, float *dwte,
                                     float *dwpe);
cudaError_t weft_cuda_norm_forward(const weft_cuda_call *call, const weft_norm *norm, const void *x, const void *weight,
                                   const void *bias, void *out, float *mean, float *rstd);
cudaError_t weft_cuda_norm_backward_input(const weft_cuda_call *call, const weft_norm *norm, const void *dy,
                                          const void *x, const void *weight, const float *mean, const float *rstd,
                                          const void *residual, void *dx);
cudaError_t weft_cuda_norm_backward_weight(const weft_cuda_call *call, const weft_norm *norm, const void *dy,
                                           const void *x, const float *mean, const float *rstd, bool accumulate,
                                           float *dweight, float *dbias);
/* sums (columns) of the rows of x (rows, columns). partial: at least weft_cuda_column_bytes. */
cudaError_t weft_cuda_column_sums(const weft_cuda_call *call, int64_t rows, int64_t columns, const void *x,
                                  bool accumulate, float *partial, float *sums);
size_t weft_cuda_column_bytes(int64_t columns);
cudaError_t weft_cuda_activation_forward(const weft_cuda_call *call, const weft_activation *activation, const void *x,
                                         void *out);
cudaError_t weft_cuda_activation_backward(const weft_cuda_call *call, const weft_activation *activation, const void *x,
                                          const void *dy, void *dx);
cudaError_t weft_cuda_rotary(const weft_cuda_call *call, const weft_rotary *rotary, const int32_t *positions,
                             const float *cosine, const float *sine, int direction, void *x);
/* Attention in two forms: by rows, for everything; in blocks on tensor cores, where weft_cuda_blocks_fit says so.
 * delta: (B, H, T). */
enum { WEFT_CUDA_HEAD_WIDTH = 512 }; /* at most, by rows */
bool weft_cuda_blocks_fit(const weft_cuda_call *call, const weft_attention *attention);
cudaError_t weft_cuda_rows_forward(const weft_cuda_call *call, const weft_attention *attention,
                                   const int32_t *documents, const void *qkv, void *out, float *logsumexp);
cudaError_t weft_cuda_rows_backward(const weft_cuda_call *call, const weft_attention *attention,
                                    const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                                    const void *dout, void *dqkv, float *delta);
cudaError_t weft_cuda_blocks_forward(const weft_cuda_call *call, const weft_attention *attention,
                                     const int32_t *documents, const void *qkv, void *out, float *logsumexp);
cudaError_t weft_cuda_blocks_backward(const weft_cuda_call *call, const weft_attention *attention,
                                      const int32_t *documents, const void *qkv, const void *out,
                                      const float *logsumexp, const void *dout, void *dqkv, float *delta);
cudaError_t weft_cuda_attention_step(const weft_cuda_call *call, const weft_attention *attention, int64_t past,
                                     int64_t rows, const void *qkv, void *cache, void *out);
cudaError_t weft_cuda_add(const weft_cuda_call *call, int64_t count, const void *a, const void *b, void *out);
cudaError_t weft_cuda_sum(const weft_cuda_call *call, weft_element element, int64_t count, int32_t parts,
                          const void *const *from, void *out);
cudaError_t weft_cuda_round(const weft_cuda_call *call, int64_t count, const float *from, void *to);
cudaError_t weft_cuda_cross_entropy(const weft_cuda_call *call, const weft_loss *loss, void *logits,
                                    const int32_t *targets, const weft_step_scalars *scalars, bool gradient,
                                    float *out);
cudaError_t weft_cuda_loss_part(const weft_cuda_call *call, const weft_loss *loss, const void *logits,
                                const int32_t *targets, float *stats);
cudaError_t weft_cuda_loss_finish(const weft_cuda_call *call, const weft_loss *loss, void *logits,
                                  const int32_t *targets, const float *stats, const weft_step_scalars *scalars,
                                  bool gradient, float *out);
cudaError_t weft_cuda_square_sums(const weft_cuda_call *call, int64_t count, const float *gradient, double *sums);
cudaError_t weft_cuda_place_sums(const weft_cuda_call *call, int64_t blocks, const int32_t *index, const double *from,
                                 double *to);
cudaError_t weft_cuda_norm_finish(const weft_cuda_call *call, int64_t blocks, const double *sums,
                                  weft_step_scalars *scalars);
cudaError_t weft_cuda_judge(const weft_cuda_call *call, int64_t count, int64_t stride, const float *losses,
                            weft_step_scalars *scalars);
cudaError_t weft_cuda_adamw(const weft_cuda_call *call, int64_t count, const weft_step_scalars *scalars, bool decay,
                            const float *gradient, float *weight, float *moment1, float *moment2, void *storage);

#ifdef __cplusplus
}
#endif

#endif
