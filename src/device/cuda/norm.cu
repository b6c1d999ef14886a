/*
 * LayerNorm and RMSNorm: a warp a row; the row comes from the nearest cache where it is read again. Gradients of
 * weights: rows in ranges, each added by a block, the ranges' sums in ascending order by a second kernel.
 */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"
#include "device/cuda/warp.cuh"

enum { WARPS = 8, THREADS = WARPS * WEFT_WARP };

/* weft_norm_at, on the device. */
__device__ static __forceinline__ int64_t row_begin(const weft_norm &norm, int64_t row)
{
    if (norm.heads == 0) return row * norm.width;
    return row / norm.heads * norm.stride + norm.first + row % norm.heads * norm.width;
}

/* The row of the calling warp. */
__device__ static __forceinline__ int64_t own_row(void)
{
    return (int64_t)blockIdx.x * WARPS + threadIdx.x / WEFT_WARP;
}

template <class T>
__device__ static __forceinline__ float row_mean(const weft_norm &norm, bool wide, const T *x, int lane)
{
    enum { N = weft_pack<T>::N };
    if (norm.kind == WEFT_RMSNORM) return 0.0f;
    float sum = 0.0f;
    for (int64_t at = lane * N; at < norm.width; at += WEFT_WARP * N) {
        const weft_pack<T> values = weft_load(x + at, norm.width - at, wide);
        for (int i = 0; i < N; i++) sum += values.v[i];
    }
    return weft_warp_sum(sum) / (float)norm.width;
}

template <class T>
__device__ static __forceinline__ float row_rstd(const weft_norm &norm, bool wide, const T *x, int lane, float centre)
{
    enum { N = weft_pack<T>::N };
    float squares = 0.0f;
    for (int64_t at = lane * N; at < norm.width; at += WEFT_WARP * N) {
        const weft_pack<T> values = weft_load(x + at, norm.width - at, wide);
        for (int i = 0; i < N; i++) {
            const float centred = at + i < norm.width ? values.v[i] - centre : 0.0f;
            squares += centred * centred;
        }
    }
    return 1.0f / sqrtf(weft_warp_sum(squares) / (float)norm.width + norm.epsilon);
}

template <class T>
__global__ void __launch_bounds__(THREADS) norm_forward_kernel(weft_norm norm, bool wide, const T *x, const T *weight,
                                                               const T *bias, T *out, float *mean, float *rstd)
{
    enum { N = weft_pack<T>::N };
    const int lane = (int)threadIdx.x % WEFT_WARP;
    const int64_t row = own_row();
    if (row >= norm.rows) return; /* all of the warp */
    const int64_t begin = row_begin(norm, row);
    const float centre = row_mean(norm, wide, x + begin, lane);
    const float scale = row_rstd(norm, wide, x + begin, lane, centre);
    for (int64_t at = lane * N; at < norm.width; at += WEFT_WARP * N) {
        weft_pack<T> values = weft_load(x + begin + at, norm.width - at, wide);
        const weft_pack<T> by = weft_load(weight + at, norm.width - at, wide);
        for (int i = 0; i < N; i++) values.v[i] = (values.v[i] - centre) * scale * by.v[i];
        if (bias != NULL) {
            const weft_pack<T> more = weft_load(bias + at, norm.width - at, wide);
            for (int i = 0; i < N; i++) values.v[i] += more.v[i];
        }
        weft_store(values, out + begin + at, norm.width - at, wide);
    }
    if (lane != 0) return;
    if (norm.kind == WEFT_LAYERNORM) mean[row] = centre;
    rstd[row] = scale;
}

/* Whether rows and what belongs to their elements may be read in whole packs. */
template <class T> static bool rows_wide(const weft_norm *norm, const void *a, const void *b, const void *c)
{
    const int64_t odd = norm->width | norm->first | norm->stride;
    return odd % weft_pack<T>::N == 0 && weft_cuda_wide(a, b, c);
}

template <class T>
static cudaError_t forward(const weft_cuda_call *call, const weft_norm *norm, const void *x, const void *weight,
                           const void *bias, void *out, float *mean, float *rstd)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(norm->rows, WARPS), 1, THREADS, 0);
    const bool wide = rows_wide<T>(norm, x, weight, bias) && weft_cuda_wide(out, NULL, NULL);
    return cudaLaunchKernelEx(&config, norm_forward_kernel<T>, *norm, wide, (const T *)x, (const T *)weight,
                              (const T *)bias, (T *)out, mean, rstd);
}

cudaError_t weft_cuda_norm_forward(const weft_cuda_call *call, const weft_norm *norm, const void *x, const void *weight,
                                   const void *bias, void *out, float *mean, float *rstd)
{
    if (norm->rows == 0) return cudaSuccess;
    return call->element == WEFT_FP32 ? forward<float>(call, norm, x, weight, bias, out, mean, rstd)
                                      : forward<__nv_bfloat16>(call, norm, x, weight, bias, out, mean, rstd);
}

/* With h = (x - mean) rstd and g = dy weight:  dx = residual + rstd (g - mean(g) - h mean(g h)). */
template <class T>
__global__ void __launch_bounds__(THREADS)
    norm_backward_input_kernel(weft_norm norm, bool wide, const T *dy, const T *x, const T *weight, const float *mean,
                               const float *rstd, const T *residual, T *dx)
{
    enum { N = weft_pack<T>::N };
    const int lane = (int)threadIdx.x % WEFT_WARP;
    const int64_t row = own_row();
    if (row >= norm.rows) return; /* all of the warp */
    const int64_t begin = row_begin(norm, row);
    const float centre = norm.kind == WEFT_LAYERNORM ? mean[row] : 0.0f, scale = rstd[row];
    float sum_g = 0.0f, sum_gh = 0.0f;
    for (int64_t at = lane * N; at < norm.width; at += WEFT_WARP * N) {
        const weft_pack<T> gradient = weft_load(dy + begin + at, norm.width - at, wide);
        const weft_pack<T> values = weft_load(x + begin + at, norm.width - at, wide);
        const weft_pack<T> by = weft_load(weight + at, norm.width - at, wide);
        for (int i = 0; i < N; i++) {
            const float g = gradient.v[i] * by.v[i];
            sum_g += g;
            sum_gh += g * ((values.v[i] - centre) * scale);
        }
    }
    const float mean_g = norm.kind == WEFT_LAYERNORM ? weft_warp_sum(sum_g) / (float)norm.width : 0.0f;
    const float mean_gh = weft_warp_sum(sum_gh) / (float)norm.width;
    for (int64_t at = lane * N; at < norm.width; at += WEFT_WARP * N) {
        weft_pack<T> gradient = weft_load(dy + begin + at, norm.width - at, wide);
        const weft_pack<T> values = weft_load(x + begin + at, norm.width - at, wide);
        const weft_pack<T> by = weft_load(weight + at, norm.width - at, wide);
        for (int i = 0; i < N; i++) {
            const float h = (values.v[i] - centre) * scale;
            gradient.v[i] = scale * (gradient.v[i] * by.v[i] - mean_g - h * mean_gh);
        }
        if (residual != NULL) {
            const weft_pack<T> more = weft_load(residual + begin + at, norm.width - at, wide);
            for (int i = 0; i < N; i++) gradient.v[i] += more.v[i];
        }
        weft_store(gradient, dx + begin + at, norm.width - at, wide);
    }
}

template <class T>
static cudaError_t backward_input(const weft_cuda_call *call, const weft_norm *norm, const void *dy, const void *x,
                                  const void *weight, const float *mean, const float *rstd, const void *residual,
                                  void *dx)
{
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(norm->rows, WARPS), 1, THREADS, 0);
    const bool wide = rows_wide<T>(norm, dy, x, weight) && weft_cuda_wide(residual, dx, NULL);
    return cudaLaunchKernelEx(&config, norm_backward_input_kernel<T>, *norm, wide, (const T *)dy, (const T *)x,
                              (const T *)weight, mean, rstd, (const T *)residual, (T *)dx);
}

cudaError_t weft_cuda_norm_backward_input(const weft_cuda_call *call, const weft_norm *norm, const void *dy,
                                          const void *x, const void *weight, const float *mean, const float *rstd,
                                          const void *residual, void *dx)
{
    if (norm->rows == 0) return cudaSuccess;
    return call->element == WEFT_FP32
               ? backward_input<float>(call, norm, dy, x, weight, mean, rstd, residual, dx)
               : backward_input<__nv_bfloat16>(call, norm, dy, x, weight, mean, rstd, residual, dx);
}

/* Adds the WARPS sums of each column in ascending order; shared: (WARPS, columns of the block). Thread i has column i.
 */
template <class T> __device__ static __forceinline__ float add_warps(const weft_pack<T> &own, float *shared, int column)
{
    enum { N = weft_pack<T>::N, COLUMNS = WEFT_WARP * N };
    const int lane = (int)threadIdx.x % WEFT_WARP, warp = (int)threadIdx.x / WEFT_WARP;
    for (int i = 0; i < N; i++) shared[warp * COLUMNS + lane * N + i] = own.v[i];
    __syncthreads();
    float sum = 0.0f;
    for (int from = 0; from < WARPS && column < COLUMNS; from++) sum += shared[from * COLUMNS + column];
    __syncthreads();
    return sum;
}

/* A block: a pack of columns a lane, the rows of a range. partial (ranges, 2, width): of the weight, then of the bias.
 */
template <class T>
__global__ void __launch_bounds__(THREADS)
    norm_backward_weight_kernel(weft_norm norm, bool wide, int64_t range_rows, const T *dy, const T *x,
                                const float *mean, const float *rstd, float *partial)
{
    enum { N = weft_pack<T>::N, COLUMNS = WEFT_WARP * N };
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t at = (int64_t)blockIdx.x * COLUMNS + threadIdx.x % WEFT_WARP * N, left = norm.width - at;
    const int64_t first = (int64_t)blockIdx.y * range_rows,
                  end = first + range_rows < norm.rows ? first + range_rows : norm.rows;
    weft_pack<T> by_weight = {}, by_bias = {};
    for (int64_t row = first + threadIdx.x / WEFT_WARP; row < end && left > 0; row += WARPS) {
        const int64_t begin = row_begin(norm, row);
        const float centre = norm.kind == WEFT_LAYERNORM ? mean[row] : 0.0f, scale = rstd[row];
        const weft_pack<T> gradient = weft_load(dy + begin + at, left, wide);
        const weft_pack<T> values = weft_load(x + begin + at, left, wide);
        for (int i = 0; i < N; i++) {
            by_weight.v[i] += gradient.v[i] * ((values.v[i] - centre) * scale);
            by_bias.v[i] += gradient.v[i];
        }
    }
    const int64_t column = (int64_t)blockIdx.x * COLUMNS + threadIdx.x;
    const float weight = add_warps(by_weight, (float *)weft_shared, (int)threadIdx.x);
    const float bias = add_warps(by_bias, (float *)weft_shared, (int)threadIdx.x);
    if (threadIdx.x >= COLUMNS || column >= norm.width) return;
    partial[2 * blockIdx.y * norm.width + column] = weight;
    partial[(2 * blockIdx.y + 1) * norm.width + column] = bias;
}

/* A thread a column. sums may be NULL; the ranges of partial lie `stride` apart. */
__global__ void __launch_bounds__(THREADS) add_ranges_kernel(int64_t columns, int64_t ranges, int64_t stride,
                                                             const float *partial, bool accumulate, float *sums)
{
    const int64_t column = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (column >= columns) return;
    float sum = 0.0f;
    for (int64_t range = 0; range < ranges; range++) sum += partial[range * stride + column];
    sums[column] = accumulate ? sums[column] + sum : sum;
}

static cudaError_t add_ranges(const weft_cuda_call *call, int64_t columns, int64_t ranges, int64_t stride,
                              const float *partial, bool accumulate, float *sums)
{
    if (sums == NULL) return cudaSuccess;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(columns, THREADS), 1, THREADS, 0);
    return cudaLaunchKernelEx(&config, add_ranges_kernel, columns, ranges, stride, partial, accumulate, sums);
}

/* Rows of a range, so that there are at most `most` ranges. */
static int64_t rows_of_range(int64_t rows, int64_t most)
{
    if (most > WEFT_CUDA_SUM_RANGES) most = WEFT_CUDA_SUM_RANGES;
    const int64_t each = weft_cuda_divide_up(rows, most);
    return weft_cuda_divide_up(each, WARPS) * WARPS;
}

template <class T>
static cudaError_t backward_weight(const weft_cuda_call *call, const weft_norm *norm, const void *dy, const void *x,
                                   const float *mean, const float *rstd, bool accumulate, float *dweight, float *dbias)
{
    enum { COLUMNS = WEFT_WARP * weft_pack<T>::N };
    float *partial = (float *)call->scratch;
    const int64_t width = norm->width, most = WEFT_CUDA_SCRATCH / (2 * width * (int64_t)sizeof(float));
    if (most < 1 || call->scratch == NULL) return cudaErrorInvalidValue;
    const int64_t each = rows_of_range(norm->rows, most), ranges = weft_cuda_divide_up(norm->rows, each);
    const cudaLaunchConfig_t config =
        weft_cuda_grid(call, weft_cuda_divide_up(width, COLUMNS), ranges, THREADS, WARPS * COLUMNS * sizeof(float));
    const cudaError_t error =
        cudaLaunchKernelEx(&config, norm_backward_weight_kernel<T>, *norm, rows_wide<T>(norm, dy, x, NULL), each,
                           (const T *)dy, (const T *)x, mean, rstd, partial);
    if (error != cudaSuccess) return error;
    const cudaError_t second = add_ranges(call, width, ranges, 2 * width, partial, accumulate, dweight);
    if (second != cudaSuccess) return second;
    return add_ranges(call, width, ranges, 2 * width, partial + width, accumulate, dbias);
}

cudaError_t weft_cuda_norm_backward_weight(const weft_cuda_call *call, const weft_norm *norm, const void *dy,
                                           const void *x, const float *mean, const float *rstd, bool accumulate,
                                           float *dweight, float *dbias)
{
    if (norm->rows == 0) return cudaSuccess;
    return call->element == WEFT_FP32
               ? backward_weight<float>(call, norm, dy, x, mean, rstd, accumulate, dweight, dbias)
               : backward_weight<__nv_bfloat16>(call, norm, dy, x, mean, rstd, accumulate, dweight, dbias);
}

/* As above, of one sum. partial (ranges, columns). */
template <class T>
__global__ void __launch_bounds__(THREADS)
    column_sums_kernel(int64_t rows, int64_t columns, bool wide, int64_t range_rows, const T *x, float *partial)
{
    enum { N = weft_pack<T>::N, COLUMNS = WEFT_WARP * N };
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t at = (int64_t)blockIdx.x * COLUMNS + threadIdx.x % WEFT_WARP * N, left = columns - at;
    const int64_t first = (int64_t)blockIdx.y * range_rows, end = first + range_rows < rows ? first + range_rows : rows;
    weft_pack<T> sums = {};
    for (int64_t row = first + threadIdx.x / WEFT_WARP; row < end && left > 0; row += WARPS) {
        const weft_pack<T> values = weft_load(x + row * columns + at, left, wide);
        for (int i = 0; i < N; i++) sums.v[i] += values.v[i];
    }
    const int64_t column = (int64_t)blockIdx.x * COLUMNS + threadIdx.x;
    const float sum = add_warps(sums, (float *)weft_shared, (int)threadIdx.x);
    if (threadIdx.x < COLUMNS && column < columns) partial[blockIdx.y * columns + column] = sum;
}

size_t weft_cuda_column_bytes(int64_t columns)
{
    return (size_t)(WEFT_CUDA_SUM_RANGES * columns) * sizeof(float);
}

template <class T>
static cudaError_t column_sums(const weft_cuda_call *call, int64_t rows, int64_t columns, const void *x,
                               bool accumulate, float *partial, float *sums)
{
    enum { N = weft_pack<T>::N, COLUMNS = WEFT_WARP * N };
    const int64_t each = rows_of_range(rows, WEFT_CUDA_SUM_RANGES), ranges = weft_cuda_divide_up(rows, each);
    const cudaLaunchConfig_t config =
        weft_cuda_grid(call, weft_cuda_divide_up(columns, COLUMNS), ranges, THREADS, WARPS * COLUMNS * sizeof(float));
    const bool wide = columns % N == 0 && weft_cuda_wide(x, NULL, NULL);
    const cudaError_t error =
        cudaLaunchKernelEx(&config, column_sums_kernel<T>, rows, columns, wide, each, (const T *)x, partial);
    if (error != cudaSuccess) return error;
    return add_ranges(call, columns, ranges, columns, partial, accumulate, sums);
}

cudaError_t weft_cuda_column_sums(const weft_cuda_call *call, int64_t rows, int64_t columns, const void *x,
                                  bool accumulate, float *partial, float *sums)
{
    return call->element == WEFT_FP32 ? column_sums<float>(call, rows, columns, x, accumulate, partial, sums)
                                      : column_sums<__nv_bfloat16>(call, rows, columns, x, accumulate, partial, sums);
}
