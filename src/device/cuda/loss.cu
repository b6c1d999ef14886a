/*
 * The loss: a block a row, the largest logit and the sum of exponentials in one pass, the gradient in place in a
 * second. A block has a run of rows, whose losses it adds in row order in double; one more block adds the runs.
 */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"
#include "device/cuda/warp.cuh"

#include <math.h>

enum { THREADS = 256, WARPS = THREADS / WEFT_WARP, MOST_RUNS = 1024, SHARED = 2 * WARPS * 4 };

/* The largest of some logits and the sum of e^(logit - largest). Of no logit, or of -INFINITY alone: a sum of 0; where
 * one was NaN the sum is NaN. */
typedef struct row_sum {
    float largest, sum;
} row_sum;

__device__ static __forceinline__ float rescale(float from, float to)
{
    return from == to || from == -INFINITY ? 1.0f : expf(from - to); /* the sum of nothing is 0, or NaN */
}

__device__ static __forceinline__ row_sum join(row_sum a, row_sum b)
{
    const float largest = fmaxf(a.largest, b.largest);
    return {largest, a.sum * rescale(a.largest, largest) + b.sum * rescale(b.largest, largest)};
}

__device__ static __forceinline__ row_sum add_logits(row_sum so_far, const float *logits, int count)
{
    float largest = so_far.largest;
    for (int i = 0; i < count; i++) largest = fmaxf(largest, logits[i]);
    const float taken = largest == -INFINITY ? 0.0f : largest;
    float sum = so_far.sum * rescale(so_far.largest, largest);
    for (int i = 0; i < count; i++) sum += expf(logits[i] - taken);
    return {largest, sum};
}

/* Logits that a thread takes at a time, THREADS apart. */
enum { TURN = 4 };

/* Of the whole row, to all threads. Ends with a barrier: the row may be overwritten then. */
template <class T> __device__ static __forceinline__ row_sum sum_row(const T *row, int64_t V, float *shared)
{
    row_sum own = {-INFINITY, 0.0f};
    for (int64_t first = threadIdx.x; first < V; first += TURN * THREADS) {
        float logits[TURN];
        for (int i = 0; i < TURN; i++)
            logits[i] = first + i * THREADS < V ? weft_widen(row[first + i * THREADS]) : -INFINITY;
        own = add_logits(own, logits, TURN);
    }
    for (int distance = WEFT_WARP / 2; distance > 0; distance /= 2) {
        const row_sum other = {__shfl_xor_sync(0xffffffffu, own.largest, distance),
                               __shfl_xor_sync(0xffffffffu, own.sum, distance)};
        own = join(own, other);
    }
    if (threadIdx.x % WEFT_WARP == 0) {
        shared[threadIdx.x / WEFT_WARP] = own.largest;
        shared[WARPS + threadIdx.x / WEFT_WARP] = own.sum;
    }
    __syncthreads();
    row_sum all = {shared[0], shared[WARPS]};
    for (int warp = 1; warp < WARPS; warp++) all = join(all, {shared[warp], shared[WARPS + warp]});
    __syncthreads();
    return all;
}

/* target: the row's within these V, below 0 or beyond them where another slice has it. */
template <class T>
__device__ static __forceinline__ void write_gradient(T *row, int64_t V, int64_t target, row_sum all, float scale)
{
    const float by = scale / all.sum;
    for (int64_t i = threadIdx.x; i < V; i += THREADS) {
        const float part = by * expf(weft_widen(row[i]) - all.largest);
        row[i] = weft_narrow<T>(i == target ? part - scale : part);
    }
}

template <class T> __device__ static __forceinline__ void zero_row(T *row, int64_t V)
{
    for (int64_t i = threadIdx.x; i < V; i += THREADS) row[i] = weft_narrow<T>(0.0f);
}

/* The rows of a block: run_rows from its own first on. */
typedef struct loss_rows {
    int64_t N, V, run_rows;
    int32_t first, parts; /* of a slice of the vocabulary: the first token, and of how many slices stats are */
} loss_rows;

/* Of every block's run. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    cross_entropy_kernel(loss_rows of, T *logits, const int32_t *targets, const weft_step_scalars *scalars,
                         bool gradient, double *runs)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t begin = (int64_t)blockIdx.x * of.run_rows;
    const int64_t end = begin + of.run_rows < of.N ? begin + of.run_rows : of.N;
    double loss = 0.0;
    for (int64_t at = begin; at < end; at++) {
        T *row = logits + at * of.V;
        const int64_t target = targets[at];
        if (target < 0) {
            if (gradient) zero_row(row, of.V);
            continue;
        }
        const float wanted = weft_widen(row[target]); /* before the barriers of sum_row: then it is overwritten */
        const row_sum all = sum_row(row, of.V, (float *)weft_shared);
        loss += (double)all.largest + log((double)all.sum) - (double)wanted;
        if (gradient) write_gradient(row, of.V, target, all, scalars->loss_gradient_scale);
    }
    if (threadIdx.x == 0) runs[blockIdx.x] = loss;
}

/* One thread, in order. */
__global__ void __launch_bounds__(WEFT_WARP) add_runs_kernel(int64_t count, const double *runs, float *loss)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count && threadIdx.x == 0; i++) sum += runs[i];
    if (threadIdx.x == 0) *loss = (float)sum;
}

static cudaError_t add_runs(const weft_cuda_call *call, int64_t count, float *loss)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, 1, 1, WEFT_WARP, 0);
    return cudaLaunchKernelEx(&config, add_runs_kernel, count, (const double *)call->scratch, loss);
}

static int64_t count_runs(loss_rows *of)
{
    of->run_rows = weft_cuda_divide_up(of->N, MOST_RUNS);
    return weft_cuda_divide_up(of->N, of->run_rows);
}

cudaError_t weft_cuda_cross_entropy(const weft_cuda_call *call, int64_t N, int64_t V, void *logits,
                                    const int32_t *targets, const weft_step_scalars *scalars, bool gradient,
                                    float *loss)
{
    loss_rows of = {N, V, 0, 0, 1};
    const int64_t runs = count_runs(&of);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, runs, 1, THREADS, SHARED);
    double *sums = (double *)call->scratch;
    const cudaError_t error =
        call->element == WEFT_FP32
            ? cudaLaunchKernelEx(&config, cross_entropy_kernel<float>, of, (float *)logits, targets, scalars, gradient,
                                 sums)
            : cudaLaunchKernelEx(&config, cross_entropy_kernel<__nv_bfloat16>, of, (__nv_bfloat16 *)logits, targets,
                                 scalars, gradient, sums);
    return error != cudaSuccess ? error : add_runs(call, runs, loss);
}

/* A block a row. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    loss_part_kernel(loss_rows of, const T *logits, const int32_t *targets, float *stats)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t at = blockIdx.x, target = (int64_t)targets[at] - of.first;
    const T *row = logits + at * of.V;
    float *own = stats + 3 * at;
    if (targets[at] < 0) {
        if (threadIdx.x < 3) own[threadIdx.x] = 0.0f;
        return;
    }
    const row_sum all = sum_row(row, of.V, (float *)weft_shared);
    if (threadIdx.x != 0) return;
    own[0] = all.largest;
    own[1] = all.sum;
    own[2] = target < 0 || target >= of.V ? -INFINITY : weft_widen(row[target]);
}

cudaError_t weft_cuda_loss_part(const weft_cuda_call *call, int64_t N, int64_t V, int32_t first, const void *logits,
                                const int32_t *targets, float *stats)
{
    const loss_rows of = {N, V, 1, first, 1};
    const cudaLaunchConfig_t config = weft_cuda_grid(call, N, 1, THREADS, SHARED);
    if (call->element == WEFT_FP32)
        return cudaLaunchKernelEx(&config, loss_part_kernel<float>, of, (const float *)logits, targets, stats);
    return cudaLaunchKernelEx(&config, loss_part_kernel<__nv_bfloat16>, of, (const __nv_bfloat16 *)logits, targets,
                              stats);
}

/* Of the whole vocabulary, and the target's logit. */
__device__ static __forceinline__ row_sum join_slices(const loss_rows &of, int64_t row, const float *stats,
                                                      float *out_target)
{
    row_sum all = {-INFINITY, 0.0f};
    float target = -INFINITY;
    for (int32_t part = 0; part < of.parts; part++) {
        const float *own = stats + 3 * (part * of.N + row);
        all = join(all, {own[0], own[1]});
        target = fmaxf(target, own[2]);
    }
    *out_target = target;
    return all;
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    loss_finish_kernel(loss_rows of, T *logits, const int32_t *targets, const float *stats,
                       const weft_step_scalars *scalars, bool gradient, double *runs)
{
    const int64_t begin = (int64_t)blockIdx.x * of.run_rows;
    const int64_t end = begin + of.run_rows < of.N ? begin + of.run_rows : of.N;
    double loss = 0.0;
    for (int64_t at = begin; at < end; at++) {
        T *row = logits + at * of.V;
        if (targets[at] < 0) {
            if (gradient) zero_row(row, of.V);
            continue;
        }
        float wanted = 0.0f;
        const row_sum all = join_slices(of, at, stats, &wanted);
        loss += (double)all.largest + log((double)all.sum) - (double)wanted;
        if (gradient)
            write_gradient(row, of.V, (int64_t)targets[at] - of.first, all, scalars->loss_gradient_scale);
    }
    if (threadIdx.x == 0) runs[blockIdx.x] = loss;
}

cudaError_t weft_cuda_loss_finish(const weft_cuda_call *call, int64_t N, int64_t V, int32_t first, int32_t parts,
                                  void *logits, const int32_t *targets, const float *stats,
                                  const weft_step_scalars *scalars, bool gradient, float *loss)
{
    loss_rows of = {N, V, 0, first, parts};
    const int64_t runs = count_runs(&of);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, runs, 1, THREADS, 0);
    double *sums = (double *)call->scratch;
    const cudaError_t error =
        call->element == WEFT_FP32
            ? cudaLaunchKernelEx(&config, loss_finish_kernel<float>, of, (float *)logits, targets, stats, scalars,
                                 gradient, sums)
            : cudaLaunchKernelEx(&config, loss_finish_kernel<__nv_bfloat16>, of, (__nv_bfloat16 *)logits, targets,
                                 stats, scalars, gradient, sums);
    return error != cudaSuccess ? error : add_runs(call, runs, loss);
}
