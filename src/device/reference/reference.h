/*
 * The reference device: plain C, one thread, slow and obviously right; every other device is compared with it.
 * Internal to src/device/reference.
 *
 * Values are loaded as double, sums are taken in double in ascending order, and each output is rounded once. So every
 * output depends on its own operands only, never on how the loops around it are blocked.
 *
 * Owns: an instance owns nothing but itself; scratch comes with the workspace operand. Threads: there is no state
 * outside the instance, so any number of instances may run at the same time, each in one thread.
 */
#ifndef WEFT_DEVICE_REFERENCE_REFERENCE_H
#define WEFT_DEVICE_REFERENCE_REFERENCE_H

#include "device/device.h"

typedef struct reference_device {
    weft_device base;
    bool in_between; /* the hook may use the device itself: it is not called again from inside */
} reference_device;

/* False once an operation has failed: later operations do nothing. */
static inline bool reference_begin(const weft_device *device)
{
    return device->error.status == WEFT_OK;
}

/* Every operation ends with it. */
void reference_end(weft_device *device);

static inline double reference_get(weft_element element, const void *base, int64_t index)
{
    if (element == WEFT_FP32) return (double)((const float *)base)[index];
    return (double)weft_bf16_to_float(((const uint16_t *)base)[index]);
}

/* Rounds to nearest once; to bf16 through fp32, with the double first rounded to odd, so that it is once there too. */
void reference_put(weft_element element, void *base, int64_t index, double value);

/* A run of elements, from base[begin] on, to and from doubles. */
void reference_load(weft_element element, const void *base, int64_t begin, int64_t count, double *out);
void reference_store(weft_element element, void *base, int64_t begin, int64_t count, const double *from);

/* out = from, or out += from with one rounding. */
static inline void reference_accumulate(bool accumulate, float *out, double from)
{
    *out = (float)(accumulate ? (double)*out + from : from);
}

size_t reference_linear_workspace(const weft_device_options *options, const weft_linear *linear);
size_t reference_attention_workspace(const weft_device_options *options, const weft_attention *attention);

/* The entries of the operation table; device.h says what each does. */
weft_status reference_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error);
void reference_release(weft_device *device, void *memory);
void reference_copy(weft_device *device, weft_stream *stream, void *to, const void *from, size_t bytes);
void reference_zero(weft_device *device, weft_stream *stream, void *memory, size_t bytes);
void reference_add(weft_device *device, weft_stream *stream, int64_t count, const void *a, const void *b, void *out);
void reference_sum(weft_device *device, weft_stream *stream, weft_element element, int64_t count, int32_t parts,
                   const void *const *from, void *out);
void reference_round(weft_device *device, weft_stream *stream, int64_t count, const float *from, void *to);

void reference_embed_forward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                             const int32_t *positions, const void *wte, const void *wpe, void *out);
void reference_embed_backward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                              const int32_t *positions, const void *dout, bool accumulate, float *dwte, float *dwpe);

void reference_norm_forward(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *x,
                            const void *weight, const void *bias, void *out, float *mean, float *rstd);
void reference_norm_backward_input(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                   const void *x, const void *weight, const float *mean, const float *rstd,
                                   const void *residual, void *dx);
void reference_norm_backward_weight(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                    const void *x, const float *mean, const float *rstd, bool accumulate,
                                    float *dweight, float *dbias);

void reference_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                              const void *w, const void *bias, void *y, void *workspace);
void reference_linear_backward_input(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                     const void *dy, const void *w, void *dx, void *workspace);
void reference_linear_backward_weight(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                      const void *dy, const void *x, bool accumulate, float *dw, float *dbias,
                                      void *workspace);

void reference_activation_forward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                  const void *x, void *out);
void reference_activation_backward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                   const void *x, const void *dy, void *dx);

void reference_rotary(weft_device *device, weft_stream *stream, const weft_rotary *rotary, const int32_t *positions,
                      const float *cosine, const float *sine, int direction, void *x);
void reference_attention_forward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                 const int32_t *documents, const void *qkv, void *out, float *logsumexp,
                                 void *workspace);
void reference_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention, int64_t past,
                              int64_t rows, const void *qkv, void *cache, void *out, void *workspace);
void reference_attention_backward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                  const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                                  const void *dout, void *dqkv, void *workspace);

void reference_cross_entropy(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                             const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *out);
void reference_loss_part(weft_device *device, weft_stream *stream, const weft_loss *loss, const void *logits,
                         const int32_t *targets, float *stats);
void reference_loss_finish(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                           const int32_t *targets, const float *stats, const weft_step_scalars *scalars, bool gradient,
                           float *out);
void reference_square_sums(weft_device *device, weft_stream *stream, int64_t count, const float *gradient,
                           double *sums);
void reference_place_sums(weft_device *device, weft_stream *stream, int64_t blocks, const int32_t *index,
                          const double *from, double *to);
void reference_norm_finish(weft_device *device, weft_stream *stream, int64_t blocks, const double *sums,
                           weft_step_scalars *scalars);
void reference_judge(weft_device *device, weft_stream *stream, int64_t count, int64_t stride, const float *losses,
                     weft_step_scalars *scalars);
void reference_adamw(weft_device *device, weft_stream *stream, int64_t count, const weft_step_scalars *scalars,
                     bool decay, const float *gradient, float *weight, float *moment1, float *moment2, void *storage);

#endif
