/*
 * The emulated device: operations compute nothing, and a stream takes the time that it is told (spend). With it the
 * real worker and the real transports run pipelines of any length on a small machine (docs/rehearsal.md). Internal to
 * src/device/emulated.
 *
 * It behaves as a stream of a GPU does: an instruction occupies it from when it could begin, not from when the host
 * came round to it; the host sees its event once the clock has passed its end. Copies are made, since what workers tell
 * each other travels in them; everything else leaves memory as it is.
 *
 * Owns: an instance owns its streams.  Threads: as any device.
 */
#ifndef WEFT_DEVICE_EMULATED_EMULATED_H
#define WEFT_DEVICE_EMULATED_EMULATED_H

#include "device/device.h"

/* nothing.c: the entries of the operation table that compute on other devices. */
void emulated_embed_forward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                            const int32_t *positions, const void *wte, const void *wpe, void *out);
void emulated_embed_backward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                             const int32_t *positions, const void *dout, bool accumulate, float *dwte, float *dwpe);
void emulated_norm_forward(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *x,
                           const void *weight, const void *bias, void *out, float *mean, float *rstd);
void emulated_norm_backward_input(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                  const void *x, const void *weight, const float *mean, const float *rstd,
                                  const void *residual, void *dx);
void emulated_norm_backward_weight(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                   const void *x, const float *mean, const float *rstd, bool accumulate, float *dweight,
                                   float *dbias);
void emulated_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                             const void *w, const void *bias, void *y, void *workspace);
void emulated_linear_backward_input(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *dy,
                                    const void *w, void *dx, void *workspace);
void emulated_linear_backward_weight(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                     const void *dy, const void *x, bool accumulate, float *dw, float *dbias,
                                     void *workspace);
void emulated_activation_forward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                 const void *x, void *out);
void emulated_activation_backward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                  const void *x, const void *dy, void *dx);
void emulated_rotary(weft_device *device, weft_stream *stream, const weft_rotary *rotary, const int32_t *positions,
                     const float *cosine, const float *sine, int direction, void *x);
void emulated_attention_forward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                const int32_t *documents, const void *qkv, void *out, float *logsumexp,
                                void *workspace);
void emulated_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention, int64_t past,
                             int64_t rows, const void *qkv, void *cache, void *out, void *workspace);
void emulated_attention_backward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                 const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                                 const void *dout, void *dqkv, void *workspace);
void emulated_add(weft_device *device, weft_stream *stream, int64_t count, const void *a, const void *b, void *out);
void emulated_sum(weft_device *device, weft_stream *stream, weft_element element, int64_t count, int32_t parts,
                  const void *const *from, void *out);
void emulated_round(weft_device *device, weft_stream *stream, int64_t count, const float *from, void *to);
void emulated_cross_entropy(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                            const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *out);
void emulated_loss_part(weft_device *device, weft_stream *stream, const weft_loss *loss, const void *logits,
                        const int32_t *targets, float *stats);
void emulated_loss_finish(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                          const int32_t *targets, const float *stats, const weft_step_scalars *scalars, bool gradient,
                          float *out);
void emulated_square_sums(weft_device *device, weft_stream *stream, int64_t count, const float *gradient, double *sums);
void emulated_place_sums(weft_device *device, weft_stream *stream, int64_t blocks, const int32_t *index,
                         const double *from, double *to);
void emulated_norm_finish(weft_device *device, weft_stream *stream, int64_t blocks, const double *sums,
                          weft_step_scalars *scalars);
void emulated_judge(weft_device *device, weft_stream *stream, int64_t count, int64_t stride, const float *losses,
                    weft_step_scalars *scalars);
void emulated_adamw(weft_device *device, weft_stream *stream, int64_t count, const weft_step_scalars *scalars,
                    bool decay, const float *gradient, float *weight, float *moment1, float *moment2, void *storage);

#endif
