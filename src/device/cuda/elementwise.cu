/* Sums and conversions, element by element: a pack a thread. */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"

enum { THREADS = 256 };

template <class T>
__global__ void __launch_bounds__(THREADS) add_kernel(int64_t count, bool wide, const T *a, const T *b, T *out)
{
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * weft_pack<T>::N;
    if (at >= count) return;
    weft_pack<T> sum = weft_load(a + at, count - at, wide);
    const weft_pack<T> more = weft_load(b + at, count - at, wide);
    for (int i = 0; i < weft_pack<T>::N; i++) sum.v[i] += more.v[i];
    weft_store(sum, out + at, count - at, wide);
}

template <class T> static int64_t blocks_for(int64_t count)
{
    return weft_cuda_divide_up(count, THREADS * weft_pack<T>::N);
}

template <class T>
static cudaError_t add(const weft_cuda_call *call, int64_t count, const void *a, const void *b, void *out)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, blocks_for<T>(count), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, add_kernel<T>, count, weft_cuda_wide(a, b, out), (const T *)a, (const T *)b,
                              (T *)out);
}

cudaError_t weft_cuda_add(const weft_cuda_call *call, int64_t count, const void *a, const void *b, void *out)
{
    if (count == 0) return cudaSuccess;
    return call->element == WEFT_FP32 ? add<float>(call, count, a, b, out) : add<__nv_bfloat16>(call, count, a, b, out);
}

typedef struct sum_sources {
    const void *at[WEFT_CUDA_SOURCES];
} sum_sources;

/* A thread has read all parts of its elements before it writes them: out may be any of the parts. */
template <class T>
__global__ void __launch_bounds__(THREADS) sum_kernel(int64_t count, bool wide, int32_t parts, sum_sources from, T *out)
{
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * weft_pack<T>::N;
    if (at >= count) return;
    weft_pack<T> sum = weft_load((const T *)from.at[0] + at, count - at, wide);
    for (int32_t part = 1; part < parts; part++) {
        const weft_pack<T> more = weft_load((const T *)from.at[part] + at, count - at, wide);
        for (int i = 0; i < weft_pack<T>::N; i++) sum.v[i] += more.v[i];
    }
    weft_store(sum, out + at, count - at, wide);
}

template <class T>
static cudaError_t sum(const weft_cuda_call *call, int64_t count, int32_t parts, const sum_sources *from, bool wide,
                       void *out)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, blocks_for<T>(count), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, sum_kernel<T>, count, wide, parts, *from, (T *)out);
}

cudaError_t weft_cuda_sum(const weft_cuda_call *call, weft_element element, int64_t count, int32_t parts,
                          const void *const *from, void *out)
{
    sum_sources sources = {};
    bool wide = weft_cuda_wide(out, NULL, NULL);
    if (parts < 1 || parts > WEFT_CUDA_SOURCES) return cudaErrorInvalidValue;
    if (count == 0) return cudaSuccess;
    for (int32_t part = 0; part < parts; part++) {
        sources.at[part] = from[part];
        wide = wide && weft_cuda_wide(from[part], NULL, NULL);
    }
    return element == WEFT_FP32 ? sum<float>(call, count, parts, &sources, wide, out)
                                : sum<__nv_bfloat16>(call, count, parts, &sources, wide, out);
}

template <class T>
__global__ void __launch_bounds__(THREADS) round_kernel(int64_t count, bool wide, const float *from, T *to)
{
    enum { N = weft_pack<float>::N };
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    if (at >= count) return;
    const weft_pack<float> values = weft_load(from + at, count - at, wide);
    for (int i = 0; i < N; i++)
        if (at + i < count) to[at + i] = weft_narrow<T>(values.v[i]);
}

cudaError_t weft_cuda_round(const weft_cuda_call *call, int64_t count, const float *from, void *to)
{
    if (count == 0) return cudaSuccess;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, blocks_for<float>(count), 1, THREADS, 0);
    const bool wide = weft_cuda_wide(from, NULL, NULL);
    if (call->element == WEFT_FP32)
        return cudaLaunchKernelEx(&config, round_kernel<float>, count, wide, from, (float *)to);
    return cudaLaunchKernelEx(&config, round_kernel<__nv_bfloat16>, count, wide, from, (__nv_bfloat16 *)to);
}
