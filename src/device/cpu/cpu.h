/*
 * The cpu device's instance, shared by its files.
 *
 * Products run piece by piece on one thread each, by oneDNN (onednn.h) or own kernels (pairs.h); everything else is
 * loops.h over a static OpenMP team of the instance's thread count. What a piece holds depends on the shape, so that
 * one and two threads give the same bits.
 *
 * Owns: the instance owns its products and its row buffer. Threads: the thread that created it.
 */
#ifndef WEFT_DEVICE_CPU_CPU_H
#define WEFT_DEVICE_CPU_CPU_H

#include "device/cpu/onednn.h"

typedef struct weft_cpu {
    weft_device base; /* first: a weft_device * is a weft_cpu * */
    const weft_cpu_loops *loops;
    weft_onednn *onednn;
    bool widens;                         /* bf16 products are made in fp32 */
    bool packs;                          /* large products run on packed operands (packed.h) */
    const struct weft_pairs_code *pairs; /* own kernels of those that gain (pairs.h); NULL: none */
    size_t element_bytes;
    weft_row_loss *losses; /* one a row of the loss */
    size_t losses_capacity;
    float *rows; /* in bf16: one row of exponentials for each thread */
    size_t rows_capacity;
    bool in_between; /* the transport may use this device's operations meanwhile */
} weft_cpu;

typedef struct weft_cpu_span {
    int64_t begin, end;
} weft_cpu_span;

static inline weft_cpu *weft_cpu_of(weft_device *device)
{
    return (weft_cpu *)device;
}

/* Every operation begins with this: false once the instance has failed. */
static inline bool weft_cpu_begins(const weft_device *device)
{
    return device->error.status == WEFT_OK;
}

/* Every operation ends with this; long ones also call it between their pieces, from the instance's own thread. */
void weft_cpu_between(weft_device *device);

/* How many threads so many pieces of work are worth: to call one that has nothing to do, and to wait for it, takes
 * longer than a small operation, and where others use its core a thousand times longer. One or all, where half of them
 * have work: OpenMP ends the threads that a smaller team leaves out, and makes them anew for the next larger one. */
static inline int weft_cpu_team(const weft_device *device, int64_t pieces)
{
    return pieces > 1 && 2 * pieces >= device->threads ? device->threads : 1;
}

/* The calling team member's part of 0 .. total-1, cut at multiples of grain. */
weft_cpu_span weft_cpu_part(int64_t total, int64_t grain);

static inline int64_t weft_cpu_divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The least multiple of grain that is not less. */
static inline int64_t weft_cpu_whole(int64_t value, int64_t grain)
{
    return weft_cpu_divide_up(value, grain) * grain;
}

/* Bytes of a piece of workspace, so that the next one begins at a line of the cache. */
static inline size_t weft_cpu_aligned(int64_t bytes)
{
    return weft_align((size_t)bytes, WEFT_ALIGNMENT);
}

/* Where element index of a storage array lies. */
static inline const void *weft_cpu_at(const weft_cpu *cpu, const void *memory, int64_t index)
{
    return (const char *)memory + (size_t)index * cpu->element_bytes;
}

static inline void *weft_cpu_at_mutable(const weft_cpu *cpu, void *memory, int64_t index)
{
    return (char *)memory + (size_t)index * cpu->element_bytes;
}

/* Operations, by file; meanings are in device/device.h. */
void weft_cpu_embed_forward(weft_device *, weft_stream *, const weft_embed *, const int32_t *, const int32_t *,
                            const void *, const void *, void *);
void weft_cpu_embed_backward(weft_device *, weft_stream *, const weft_embed *, const int32_t *, const int32_t *,
                             const void *, bool, float *, float *);
void weft_cpu_norm_forward(weft_device *, weft_stream *, const weft_norm *, const void *, const void *, const void *,
                           void *, float *, float *);
void weft_cpu_norm_backward_input(weft_device *, weft_stream *, const weft_norm *, const void *, const void *,
                                  const void *, const float *, const float *, const void *, void *);
void weft_cpu_norm_backward_weight(weft_device *, weft_stream *, const weft_norm *, const void *, const void *,
                                   const float *, const float *, bool, float *, float *);
void weft_cpu_linear_forward(weft_device *, weft_stream *, const weft_linear *, const void *, const void *,
                             const void *, void *, void *);
void weft_cpu_linear_backward_input(weft_device *, weft_stream *, const weft_linear *, const void *, const void *,
                                    void *, void *);
void weft_cpu_linear_backward_weight(weft_device *, weft_stream *, const weft_linear *, const void *, const void *,
                                     bool, float *, float *, void *);
void weft_cpu_activation_forward(weft_device *, weft_stream *, const weft_activation *, const void *, void *);
void weft_cpu_activation_backward(weft_device *, weft_stream *, const weft_activation *, const void *, const void *,
                                  void *);
void weft_cpu_rotary(weft_device *, weft_stream *, const weft_rotary *, const int32_t *, const float *, const float *,
                     int, void *);
void weft_cpu_attention_forward(weft_device *, weft_stream *, const weft_attention *, const int32_t *, const void *,
                                void *, float *, void *);
void weft_cpu_attention_step(weft_device *, weft_stream *, const weft_attention *, int64_t, int64_t, const void *,
                             void *, void *, void *);
void weft_cpu_attention_backward(weft_device *, weft_stream *, const weft_attention *, const int32_t *, const void *,
                                 const void *, const float *, const void *, void *, void *);
void weft_cpu_add(weft_device *, weft_stream *, int64_t, const void *, const void *, void *);
void weft_cpu_sum(weft_device *, weft_stream *, weft_element, int64_t, int32_t, const void *const *, void *);
void weft_cpu_round(weft_device *, weft_stream *, int64_t, const float *, void *);
void weft_cpu_cross_entropy(weft_device *, weft_stream *, const weft_loss *, void *, const int32_t *,
                            const weft_step_scalars *, bool, float *);
void weft_cpu_loss_part(weft_device *, weft_stream *, const weft_loss *, const void *, const int32_t *, float *);
void weft_cpu_loss_finish(weft_device *, weft_stream *, const weft_loss *, void *, const int32_t *, const float *,
                          const weft_step_scalars *, bool, float *);
void weft_cpu_square_sums(weft_device *, weft_stream *, int64_t, const float *, double *);
void weft_cpu_place_sums(weft_device *, weft_stream *, int64_t, const int32_t *, const double *, double *);
void weft_cpu_norm_finish(weft_device *, weft_stream *, int64_t, const double *, weft_step_scalars *);
void weft_cpu_judge(weft_device *, weft_stream *, int64_t, int64_t, const float *, weft_step_scalars *);
void weft_cpu_adamw(weft_device *, weft_stream *, int64_t, const weft_step_scalars *, bool, const float *, float *,
                    float *, float *, void *);

size_t weft_cpu_linear_workspace(const weft_device_options *options, const weft_linear *linear);
size_t weft_cpu_attention_workspace(const weft_device_options *options, const weft_attention *attention);
weft_status weft_cpu_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                  weft_error *error) WEFT_CHECKED;

#endif
