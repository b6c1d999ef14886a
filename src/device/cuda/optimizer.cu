/* The gradient's norm, in doubles and one order, and AdamW. */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"
#include "device/cuda/warp.cuh"

#include <math.h>

enum { THREADS = 256 };

/* A block of the norm is a block of the grid. */
__global__ void __launch_bounds__(THREADS) square_sums_kernel(int64_t count, const float *gradient, double *sums)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t first = (int64_t)blockIdx.x * WEFT_NORM_BLOCK;
    const int64_t end = first + WEFT_NORM_BLOCK < count ? first + WEFT_NORM_BLOCK : count;
    double sum = 0.0;
    for (int64_t i = first + threadIdx.x; i < end; i += THREADS) sum += (double)gradient[i] * (double)gradient[i];
    sum = weft_block_sum(sum, (double *)weft_shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

cudaError_t weft_cuda_square_sums(const weft_cuda_call *call, int64_t count, const float *gradient, double *sums)
{
    if (count == 0) return cudaSuccess;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(count, WEFT_NORM_BLOCK), 1, THREADS,
                                                     THREADS / WEFT_WARP * sizeof(double));
    return cudaLaunchKernelEx(&config, square_sums_kernel, count, gradient, sums);
}

__global__ void __launch_bounds__(THREADS)
    place_sums_kernel(int64_t blocks, const int32_t *index, const double *from, double *to)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < blocks) to[index[i]] = from[i];
}

cudaError_t weft_cuda_place_sums(const weft_cuda_call *call, int64_t blocks, const int32_t *index, const double *from,
                                 double *to)
{
    if (blocks == 0) return cudaSuccess;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(blocks, THREADS), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, place_sums_kernel, blocks, index, from, to);
}

/* One block: all fetch, the first thread adds in index order. */
__global__ void __launch_bounds__(THREADS)
    norm_finish_kernel(int64_t blocks, const double *sums, weft_step_scalars *scalars)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    double *fetched = (double *)weft_shared, sum = 0.0;
    for (int64_t first = 0; first < blocks; first += THREADS) {
        if (first + threadIdx.x < blocks) fetched[threadIdx.x] = sums[first + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < THREADS && first + i < blocks && threadIdx.x == 0; i++) sum += fetched[i];
        __syncthreads();
    }
    if (threadIdx.x != 0) return;
    const double norm = sqrt(sum);
    scalars->norm = norm;
    scalars->nonfinite = isfinite(norm) ? 0 : 1;
    scalars->clip_factor = 1.0f;
    if (scalars->clip_norm > 0.0f) scalars->clip_factor = (float)fmin(1.0, (double)scalars->clip_norm / (norm + 1e-6));
}

cudaError_t weft_cuda_norm_finish(const weft_cuda_call *call, int64_t blocks, const double *sums,
                                  weft_step_scalars *scalars)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, 1, 1, THREADS, THREADS * sizeof(double));
    return cudaLaunchKernelEx(&config, norm_finish_kernel, blocks, sums, scalars);
}

/* One block: all fetch, the first thread adds in ascending order. */
__global__ void __launch_bounds__(THREADS)
    judge_kernel(int64_t count, int64_t stride, const float *losses, weft_step_scalars *scalars)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    float *fetched = (float *)weft_shared;
    double sum = 0.0;
    for (int64_t first = 0; first < count; first += THREADS) {
        if (first + threadIdx.x < count) fetched[threadIdx.x] = losses[(first + threadIdx.x) * stride];
        __syncthreads();
        for (int i = 0; i < THREADS && first + i < count && threadIdx.x == 0; i++) sum += (double)fetched[i];
        __syncthreads();
    }
    if (threadIdx.x != 0) return;
    const double loss = sum / scalars->targets;
    const bool passes = isfinite(loss) && loss <= scalars->loss_limit && scalars->norm <= scalars->norm_limit;
    scalars->skipped = passes ? 0 : 1;
}

cudaError_t weft_cuda_judge(const weft_cuda_call *call, int64_t count, int64_t stride, const float *losses,
                            weft_step_scalars *scalars)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, 1, 1, THREADS, THREADS * sizeof(float));
    return cudaLaunchKernelEx(&config, judge_kernel, count, stride, losses, scalars);
}

/* The weight is computed from the moments as stored, so that a step repeated from a checkpoint gives the same bits. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    adamw_kernel(int64_t count, bool wide, const weft_step_scalars *scalars, bool decay, const float *gradient,
                 float *weight, float *moment1, float *moment2, T *storage)
{
    enum { N = weft_pack<float>::N };
    const weft_step_scalars s = *scalars;
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N, left = count - at;
    if (left <= 0 || s.nonfinite != 0 || s.skipped != 0) return;
    const float shrink = decay ? 1.0f - s.learning_rate * s.weight_decay : 1.0f;
    const float step = s.learning_rate / s.correction1, root = sqrtf(s.correction2);
    const weft_pack<float> gradients = weft_load(gradient + at, left, wide);
    weft_pack<float> w = weft_load(weight + at, left, wide), m1 = weft_load(moment1 + at, left, wide);
    weft_pack<float> m2 = weft_load(moment2 + at, left, wide);
    for (int i = 0; i < N; i++) {
        const float g = gradients.v[i] * s.clip_factor;
        m1.v[i] = m1.v[i] + (1.0f - s.beta1) * (g - m1.v[i]);
        m2.v[i] = s.beta2 * m2.v[i] + (1.0f - s.beta2) * g * g;
        w.v[i] = w.v[i] * shrink - step * m1.v[i] / (sqrtf(m2.v[i]) / root + s.epsilon);
    }
    weft_store(m1, moment1 + at, left, wide);
    weft_store(m2, moment2 + at, left, wide);
    weft_store(w, weight + at, left, wide);
    for (int i = 0; i < N && storage != NULL; i++)
        if (i < left) storage[at + i] = weft_narrow<T>(w.v[i]);
}

template <class T>
static cudaError_t adamw(const weft_cuda_call *call, int64_t count, const weft_step_scalars *scalars, bool decay,
                         const float *gradient, float *weight, float *moment1, float *moment2, void *storage)
{
    const cudaLaunchConfig_t config =
        weft_cuda_grid(call, weft_cuda_divide_up(count, THREADS * weft_pack<float>::N), 1, THREADS, 0);
    const bool wide = weft_cuda_wide(gradient, weight, moment1) && weft_cuda_wide(moment2, NULL, NULL);
    return cudaLaunchKernelEx(&config, adamw_kernel<T>, count, wide, scalars, decay, gradient, weight, moment1, moment2,
                              (T *)storage);
}

cudaError_t weft_cuda_adamw(const weft_cuda_call *call, int64_t count, const weft_step_scalars *scalars, bool decay,
                            const float *gradient, float *weight, float *moment1, float *moment2, void *storage)
{
    if (count == 0) return cudaSuccess;
    return call->element == WEFT_FP32
               ? adamw<float>(call, count, scalars, decay, gradient, weight, moment1, moment2, storage)
               : adamw<__nv_bfloat16>(call, count, scalars, decay, gradient, weight, moment1, moment2, storage);
}
