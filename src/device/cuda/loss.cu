/*
 * The loss: a block a row, the largest logit and the sum of exponentials in one pass, the gradient in place in a
 * second. A block has a run of rows of one sequence, which it adds in row order in double; one more block adds the runs
 * in their order.
 */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"
#include "device/cuda/warp.cuh"

#include <math.h>

enum { THREADS = 256, WARPS = THREADS / WEFT_WARP, MOST_RUNS = 1024, SHARED = 3 * WARPS * 4 };

/* The largest of some logits, the sum of e^(logit - largest), and that of the logits. Of no logit, or of -INFINITY
 * alone, the first sum is 0; where one was NaN it is NaN. */
typedef struct row_sum {
    float largest, sum, logits;
} row_sum;

__device__ static __forceinline__ float rescale(float from, float to)
{
    return from == to || from == -INFINITY ? 1.0f : expf(from - to); /* the sum of nothing is 0, or NaN */
}

__device__ static __forceinline__ row_sum join(row_sum a, row_sum b)
{
    const float largest = fmaxf(a.largest, b.largest);
    return {largest, a.sum * rescale(a.largest, largest) + b.sum * rescale(b.largest, largest), a.logits + b.logits};
}

/* Logits that a thread takes at a time, THREADS apart. */
enum { TURN = 4 };

template <class T> __device__ static __forceinline__ row_sum sum_own(const T *row, int64_t V)
{
    row_sum own = {-INFINITY, 0.0f, 0.0f};
    for (int64_t first = threadIdx.x; first < V; first += TURN * THREADS) {
        float logits[TURN], largest = own.largest;
        for (int i = 0; i < TURN; i++) {
            const bool there = first + i * THREADS < V;
            logits[i] = there ? weft_widen(row[first + i * THREADS]) : -INFINITY;
            own.logits += there ? logits[i] : 0.0f;
            largest = fmaxf(largest, logits[i]);
        }
        const float taken = largest == -INFINITY ? 0.0f : largest;
        own.sum *= rescale(own.largest, largest);
        for (int i = 0; i < TURN; i++) own.sum += expf(logits[i] - taken);
        own.largest = largest;
    }
    return own;
}

/* Of the whole row, to all threads. Ends with a barrier: the row may be overwritten then. */
template <class T> __device__ static __forceinline__ row_sum sum_row(const T *row, int64_t V, float *shared)
{
    row_sum own = sum_own(row, V);
    for (int distance = WEFT_WARP / 2; distance > 0; distance /= 2) {
        const row_sum other = {__shfl_xor_sync(0xffffffffu, own.largest, distance),
                               __shfl_xor_sync(0xffffffffu, own.sum, distance),
                               __shfl_xor_sync(0xffffffffu, own.logits, distance)};
        own = join(own, other);
    }
    if (threadIdx.x % WEFT_WARP == 0) {
        shared[threadIdx.x / WEFT_WARP] = own.largest;
        shared[WARPS + threadIdx.x / WEFT_WARP] = own.sum;
        shared[2 * WARPS + threadIdx.x / WEFT_WARP] = own.logits;
    }
    __syncthreads();
    row_sum all = {shared[0], shared[WARPS], shared[2 * WARPS]};
    for (int warp = 1; warp < WARPS; warp++)
        all = join(all, {shared[warp], shared[WARPS + warp], shared[2 * WARPS + warp]});
    __syncthreads();
    return all;
}

/* What some rows come to, in nats: what is trained and the cross entropy; how many of them have a target. */
typedef struct run_sum {
    double trained, plain;
    int64_t targets;
} run_sum;

/* Adds a row; its logsumexp is *out_total. */
__device__ static __forceinline__ void add_row(run_sum &run, const weft_loss &loss, row_sum all, float target,
                                               double *out_total)
{
    const double total = (double)all.largest + log((double)all.sum), plain = total - (double)target;
    double trained = plain;
    if (loss.smoothing > 0.0)
        trained += loss.smoothing * ((double)target - (double)all.logits / (double)loss.vocabulary);
    if (loss.z > 0.0) trained += loss.z * total * total;
    run.trained += trained;
    run.plain += plain;
    run.targets++;
    *out_total = total;
}

/* target: the row's within these logits, below 0 or beyond them where another slice has it. */
template <class T>
__device__ static __forceinline__ void write_gradient(T *row, const weft_loss &loss, int64_t target, row_sum all,
                                                      double total, float scale)
{
    const double steep = loss.z > 0.0 ? 1.0 + 2.0 * loss.z * total : 1.0;
    const float factor = (float)((double)scale * steep / (double)all.sum);
    const float even = (float)((double)scale * loss.smoothing / (double)loss.vocabulary);
    const float hit = (float)((double)scale * (1.0 - loss.smoothing));
    for (int64_t i = threadIdx.x; i < loss.width; i += THREADS) {
        const float part = factor * expf(weft_widen(row[i]) - all.largest) - even;
        row[i] = weft_narrow<T>(i == target ? part - hit : part);
    }
}

template <class T> __device__ static __forceinline__ void zero_row(T *row, int64_t V)
{
    for (int64_t i = threadIdx.x; i < V; i += THREADS) row[i] = weft_narrow<T>(0.0f);
}

/* How rows are cut into runs: `each` rows or less, `count` runs a sequence; where none is told the whole is one. */
typedef struct loss_runs {
    int64_t sequence, sequences, each, count;
} loss_runs;

static loss_runs cut_rows(const weft_loss *loss)
{
    loss_runs runs = {};
    runs.sequence = loss->sequence > 0 ? loss->sequence : loss->rows;
    runs.sequences = loss->rows / runs.sequence;
    const int64_t most = MOST_RUNS > runs.sequences ? MOST_RUNS / runs.sequences : 1;
    runs.each = weft_cuda_divide_up(runs.sequence, most);
    runs.count = weft_cuda_divide_up(runs.sequence, runs.each);
    return runs;
}

/* The first row of the calling block, and where its run ends. */
__device__ static __forceinline__ int64_t own_rows(const loss_runs &runs, int64_t *out_end)
{
    const int64_t begin = blockIdx.x % runs.count * runs.each, sequence = blockIdx.x / runs.count * runs.sequence;
    *out_end = sequence + (begin + runs.each < runs.sequence ? begin + runs.each : runs.sequence);
    return sequence + begin;
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    cross_entropy_kernel(weft_loss loss, loss_runs runs, T *logits, const int32_t *targets,
                         const weft_step_scalars *scalars, bool gradient, run_sum *sums)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    run_sum run = {};
    int64_t end = 0;
    for (int64_t at = own_rows(runs, &end); at < end; at++) {
        T *row = logits + at * loss.width;
        const int64_t target = targets[at];
        double total = 0.0;
        if (target < 0) {
            if (gradient) zero_row(row, loss.width);
            continue;
        }
        const float wanted = weft_widen(row[target]); /* before the barriers of sum_row: then it is overwritten */
        const row_sum all = sum_row(row, loss.width, (float *)weft_shared);
        add_row(run, loss, all, wanted, &total);
        if (gradient) write_gradient(row, loss, target, all, total, scalars->loss_gradient_scale);
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = run;
}

/* One block: all fetch, the first thread adds in order. out as of the operations. */
__global__ void __launch_bounds__(THREADS)
    add_runs_kernel(weft_loss loss, loss_runs runs, const run_sum *sums, float *out)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    run_sum *fetched = (run_sum *)weft_shared, all = {}, own = {};
    const int64_t count = runs.sequences * runs.count;
    for (int64_t first = 0; first < count; first += THREADS) {
        if (first + threadIdx.x < count) fetched[threadIdx.x] = sums[first + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < THREADS && first + i < count && threadIdx.x == 0; i++) {
            all.trained += fetched[i].trained;
            all.plain += fetched[i].plain;
            own.trained += fetched[i].trained;
            own.targets += fetched[i].targets;
            if (loss.sequence == 0 || (first + i + 1) % runs.count != 0) continue;
            float *place = out + 1 + (loss.plain ? 1 : 0) + 2 * ((first + i) / runs.count);
            place[0] = (float)own.trained;
            place[1] = (float)own.targets;
            own = {};
        }
        __syncthreads();
    }
    if (threadIdx.x != 0) return;
    out[0] = (float)all.trained;
    if (loss.plain) out[1] = (float)all.plain;
}

static cudaError_t add_runs(const weft_cuda_call *call, const weft_loss *loss, const loss_runs *runs, float *out)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, 1, 1, THREADS, THREADS * sizeof(run_sum));
    return cudaLaunchKernelEx(&config, add_runs_kernel, *loss, *runs, (const run_sum *)call->scratch, out);
}

/* Whether a stream's scratch has room for all runs. */
static bool runs_fit(const weft_cuda_call *call, const loss_runs *runs)
{
    return call->scratch != NULL && runs->sequences * runs->count <= WEFT_CUDA_SCRATCH / (int64_t)sizeof(run_sum);
}

cudaError_t weft_cuda_cross_entropy(const weft_cuda_call *call, const weft_loss *loss, void *logits,
                                    const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *out)
{
    const loss_runs runs = cut_rows(loss);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, runs.sequences * runs.count, 1, THREADS, SHARED);
    run_sum *sums = (run_sum *)call->scratch;
    if (!runs_fit(call, &runs)) return cudaErrorInvalidValue;
    const cudaError_t error = call->element == WEFT_FP32
                                  ? cudaLaunchKernelEx(&config, cross_entropy_kernel<float>, *loss, runs,
                                                       (float *)logits, targets, scalars, gradient, sums)
                                  : cudaLaunchKernelEx(&config, cross_entropy_kernel<__nv_bfloat16>, *loss, runs,
                                                       (__nv_bfloat16 *)logits, targets, scalars, gradient, sums);
    return error != cudaSuccess ? error : add_runs(call, loss, &runs, out);
}

/* A block a row; stats has as many numbers of each as weft_loss_statistics says. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    loss_part_kernel(weft_loss loss, int64_t numbers, const T *logits, const int32_t *targets, float *stats)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t at = blockIdx.x, target = (int64_t)targets[at] - loss.first;
    const T *row = logits + at * loss.width;
    float *own = stats + numbers * at;
    if (targets[at] < 0) {
        if (threadIdx.x < numbers) own[threadIdx.x] = 0.0f;
        return;
    }
    const row_sum all = sum_row(row, loss.width, (float *)weft_shared);
    if (threadIdx.x != 0) return;
    own[0] = all.largest;
    own[1] = all.sum;
    own[2] = target < 0 || target >= loss.width ? -INFINITY : weft_widen(row[target]);
    if (numbers > 3) own[3] = all.logits;
}

cudaError_t weft_cuda_loss_part(const weft_cuda_call *call, const weft_loss *loss, const void *logits,
                                const int32_t *targets, float *stats)
{
    const int64_t numbers = weft_loss_statistics(loss);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, loss->rows, 1, THREADS, SHARED);
    if (call->element == WEFT_FP32)
        return cudaLaunchKernelEx(&config, loss_part_kernel<float>, *loss, numbers, (const float *)logits, targets,
                                  stats);
    return cudaLaunchKernelEx(&config, loss_part_kernel<__nv_bfloat16>, *loss, numbers, (const __nv_bfloat16 *)logits,
                              targets, stats);
}

/* Of the whole vocabulary, and the target's logit. */
__device__ static __forceinline__ row_sum join_slices(const weft_loss &loss, int64_t numbers, int64_t row,
                                                      const float *stats, float *out_target)
{
    row_sum all = {-INFINITY, 0.0f, 0.0f};
    float target = -INFINITY;
    for (int32_t part = 0; part < loss.parts; part++) {
        const float *own = stats + numbers * (part * loss.rows + row);
        all = join(all, {own[0], own[1], numbers > 3 ? own[3] : 0.0f});
        target = fmaxf(target, own[2]);
    }
    *out_target = target;
    return all;
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    loss_finish_kernel(weft_loss loss, loss_runs runs, int64_t numbers, T *logits, const int32_t *targets,
                       const float *stats, const weft_step_scalars *scalars, bool gradient, run_sum *sums)
{
    run_sum run = {};
    int64_t end = 0;
    for (int64_t at = own_rows(runs, &end); at < end; at++) {
        T *row = logits + at * loss.width;
        float wanted = 0.0f;
        double total = 0.0;
        if (targets[at] < 0) {
            if (gradient) zero_row(row, loss.width);
            continue;
        }
        const row_sum all = join_slices(loss, numbers, at, stats, &wanted);
        add_row(run, loss, all, wanted, &total);
        if (gradient)
            write_gradient(row, loss, (int64_t)targets[at] - loss.first, all, total, scalars->loss_gradient_scale);
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = run;
}

cudaError_t weft_cuda_loss_finish(const weft_cuda_call *call, const weft_loss *loss, void *logits,
                                  const int32_t *targets, const float *stats, const weft_step_scalars *scalars,
                                  bool gradient, float *out)
{
    const loss_runs runs = cut_rows(loss);
    const int64_t numbers = weft_loss_statistics(loss);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, runs.sequences * runs.count, 1, THREADS, 0);
    run_sum *sums = (run_sum *)call->scratch;
    if (!runs_fit(call, &runs)) return cudaErrorInvalidValue;
    const cudaError_t error =
        call->element == WEFT_FP32
            ? cudaLaunchKernelEx(&config, loss_finish_kernel<float>, *loss, runs, numbers, (float *)logits, targets,
                                 stats, scalars, gradient, sums)
            : cudaLaunchKernelEx(&config, loss_finish_kernel<__nv_bfloat16>, *loss, runs, numbers,
                                 (__nv_bfloat16 *)logits, targets, stats, scalars, gradient, sums);
    return error != cudaSuccess ? error : add_runs(call, loss, &runs, out);
}
