/* What is done to each row by itself: activations, rotary positions, rows of the embedding's tables. */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"

#include <math.h>

enum { THREADS = 256 };

/* GELU by tanh: x sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3); written so, nothing cancels far below 0. */
__device__ static __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

__device__ static __forceinline__ float gelu(float x)
{
    return x * sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
}

__device__ static __forceinline__ float gelu_slope(float x)
{
    const float s = sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
    return s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 0.134145f * x * x);
}

/* The row and the first element of the pack that the calling thread has: packs of a row lie side by side. */
typedef struct pack_place {
    int64_t row, at;
} pack_place;

template <class T> __device__ static __forceinline__ pack_place own_pack(int64_t width)
{
    const int64_t packs = (width + weft_pack<T>::N - 1) / weft_pack<T>::N;
    const int64_t index = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    return {index / packs, index % packs * weft_pack<T>::N};
}

template <class T> static int64_t blocks_for(int64_t rows, int64_t width)
{
    return weft_cuda_divide_up(rows * weft_cuda_divide_up(width, weft_pack<T>::N), THREADS);
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    activation_forward_kernel(weft_activation activation, bool wide, const T *x, T *out)
{
    enum { N = weft_pack<T>::N };
    const int64_t width = activation.width;
    const pack_place own = own_pack<T>(width);
    if (own.row >= activation.rows) return;
    const int64_t left = width - own.at;
    if (activation.kind == WEFT_GELU) {
        weft_pack<T> values = weft_load(x + own.row * width + own.at, left, wide);
        for (int i = 0; i < N; i++) values.v[i] = gelu(values.v[i]);
        weft_store(values, out + own.row * width + own.at, left, wide);
        return;
    }
    weft_pack<T> gate = weft_load(x + own.row * 2 * width + own.at, left, wide);
    const weft_pack<T> up = weft_load(x + (own.row * 2 + 1) * width + own.at, left, wide);
    for (int i = 0; i < N; i++) gate.v[i] *= sigmoid(gate.v[i]) * up.v[i];
    weft_store(gate, out + own.row * width + own.at, left, wide);
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    activation_backward_kernel(weft_activation activation, bool wide, const T *x, const T *dy, T *dx)
{
    enum { N = weft_pack<T>::N };
    const int64_t width = activation.width;
    const pack_place own = own_pack<T>(width);
    if (own.row >= activation.rows) return;
    const int64_t left = width - own.at;
    const weft_pack<T> gradient = weft_load(dy + own.row * width + own.at, left, wide);
    if (activation.kind == WEFT_GELU) {
        weft_pack<T> values = weft_load(x + own.row * width + own.at, left, wide);
        for (int i = 0; i < N; i++) values.v[i] = gradient.v[i] * gelu_slope(values.v[i]);
        weft_store(values, dx + own.row * width + own.at, left, wide);
        return;
    }
    const int64_t first = own.row * 2 * width + own.at, second = first + width;
    weft_pack<T> gate = weft_load(x + first, left, wide), up = weft_load(x + second, left, wide);
    for (int i = 0; i < N; i++) {
        const float s = sigmoid(gate.v[i]), silu = gate.v[i] * s;
        gate.v[i] = gradient.v[i] * up.v[i] * s * (1.0f + gate.v[i] * (1.0f - s));
        up.v[i] = gradient.v[i] * silu;
    }
    weft_store(gate, dx + first, left, wide);
    weft_store(up, dx + second, left, wide);
}

template <class T> static bool width_wide(int64_t width, const void *a, const void *b, const void *c)
{
    return width % weft_pack<T>::N == 0 && weft_cuda_wide(a, b, c);
}

template <class T>
static cudaError_t activation_forward(const weft_cuda_call *call, const weft_activation *activation, const void *x,
                                      void *out)
{
    const cudaLaunchConfig_t config =
        weft_cuda_grid(call, blocks_for<T>(activation->rows, activation->width), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, activation_forward_kernel<T>, *activation,
                              width_wide<T>(activation->width, x, out, NULL), (const T *)x, (T *)out);
}

cudaError_t weft_cuda_activation_forward(const weft_cuda_call *call, const weft_activation *activation, const void *x,
                                         void *out)
{
    return call->element == WEFT_FP32 ? activation_forward<float>(call, activation, x, out)
                                      : activation_forward<__nv_bfloat16>(call, activation, x, out);
}

template <class T>
static cudaError_t activation_backward(const weft_cuda_call *call, const weft_activation *activation, const void *x,
                                       const void *dy, void *dx)
{
    const cudaLaunchConfig_t config =
        weft_cuda_grid(call, blocks_for<T>(activation->rows, activation->width), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, activation_backward_kernel<T>, *activation,
                              width_wide<T>(activation->width, x, dy, dx), (const T *)x, (const T *)dy, (T *)dx);
}

cudaError_t weft_cuda_activation_backward(const weft_cuda_call *call, const weft_activation *activation, const void *x,
                                          const void *dy, void *dx)
{
    return call->element == WEFT_FP32 ? activation_backward<float>(call, activation, x, dy, dx)
                                      : activation_backward<__nv_bfloat16>(call, activation, x, dy, dx);
}

/* A thread has a pack of pairs (i, i + D/2) of one head. */
template <class T>
__global__ void __launch_bounds__(THREADS) rotary_kernel(weft_rotary rotary, bool wide, const int32_t *positions,
                                                         const float *cosine, const float *sine, float direction, T *x)
{
    enum { N = weft_pack<T>::N };
    const int64_t half = rotary.D / 2;
    const pack_place own = own_pack<T>(half); /* rows of half a head */
    const int64_t row = own.row / rotary.heads, head = own.row % rotary.heads, left = half - own.at;
    if (row >= rotary.B * rotary.T) return;
    const int64_t position = positions == NULL ? row % rotary.T : positions[row];
    T *first = x + row * rotary.stride + head * rotary.D + own.at, *second = first + half;
    weft_pack<T> a = weft_load(first, left, wide), b = weft_load(second, left, wide);
    for (int i = 0; i < N; i++) {
        const bool there = i < left;
        const float c = there ? cosine[position * half + own.at + i] : 0.0f;
        const float s = there ? direction * sine[position * half + own.at + i] : 0.0f;
        const float turned = a.v[i] * c - b.v[i] * s;
        b.v[i] = b.v[i] * c + a.v[i] * s;
        a.v[i] = turned;
    }
    weft_store(a, first, left, wide);
    weft_store(b, second, left, wide);
}

template <class T>
static cudaError_t rotary_run(const weft_cuda_call *call, const weft_rotary *rotary, const int32_t *positions,
                              const float *cosine, const float *sine, int direction, void *x)
{
    const int64_t half = rotary->D / 2, halves = rotary->B * rotary->T * rotary->heads;
    const bool wide = (half | rotary->stride) % weft_pack<T>::N == 0 && weft_cuda_wide(x, NULL, NULL);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, blocks_for<T>(halves, half), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, rotary_kernel<T>, *rotary, wide, positions, cosine, sine, (float)direction,
                              (T *)x);
}

cudaError_t weft_cuda_rotary(const weft_cuda_call *call, const weft_rotary *rotary, const int32_t *positions,
                             const float *cosine, const float *sine, int direction, void *x)
{
    return call->element == WEFT_FP32 ? rotary_run<float>(call, rotary, positions, cosine, sine, direction, x)
                                      : rotary_run<__nv_bfloat16>(call, rotary, positions, cosine, sine, direction, x);
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    embed_forward_kernel(weft_embed embed, bool wide, const int32_t *tokens, const int32_t *positions, const T *wte,
                         const T *wpe, T *out)
{
    enum { N = weft_pack<T>::N };
    const pack_place own = own_pack<T>(embed.C);
    if (own.row >= embed.rows) return;
    const int64_t from = (int64_t)tokens[own.row] - embed.first, left = embed.C - own.at;
    weft_pack<T> sum = {};
    if (from >= 0 && from < embed.V) sum = weft_load(wte + from * embed.C + own.at, left, wide);
    if (from >= 0 && from < embed.V && wpe != NULL) {
        const int64_t position = positions == NULL ? own.row % embed.T : positions[own.row];
        const weft_pack<T> more = weft_load(wpe + position * embed.C + own.at, left, wide);
        for (int i = 0; i < N; i++) sum.v[i] += more.v[i];
    }
    weft_store(sum, out + own.row * embed.C + own.at, left, wide);
}

template <class T>
static cudaError_t embed_forward(const weft_cuda_call *call, const weft_embed *embed, const int32_t *tokens,
                                 const int32_t *positions, const void *wte, const void *wpe, void *out)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, blocks_for<T>(embed->rows, embed->C), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, embed_forward_kernel<T>, *embed, width_wide<T>(embed->C, wte, wpe, out), tokens,
                              positions, (const T *)wte, (const T *)wpe, (T *)out);
}

cudaError_t weft_cuda_embed_forward(const weft_cuda_call *call, const weft_embed *embed, const int32_t *tokens,
                                    const int32_t *positions, const void *wte, const void *wpe, void *out)
{
    return call->element == WEFT_FP32 ? embed_forward<float>(call, embed, tokens, positions, wte, wpe, out)
                                      : embed_forward<__nv_bfloat16>(call, embed, tokens, positions, wte, wpe, out);
}
