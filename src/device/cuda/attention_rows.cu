/*
 * Attention row by row, for every element type and head width: a warp has a row of queries, or in backward a row of
 * keys, and takes 32 of the others at a time, one a lane for the products over D, then all of them a lane for each
 * element of the sums. Rows that it sees are counted from the first, so that a document of a packed sequence has the
 * bits that it has alone.
 */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"
#include "device/cuda/warp.cuh"

#include <math.h>

enum { WARPS = 4, THREADS = WARPS * WEFT_WARP };

/* Rows of one head: element d of row r lies at [r * stride + d]. */
template <class T> struct head_rows {
    const T *at;
    int64_t stride;
};

template <class T>
__device__ static __forceinline__ float dot_row(const float *row, const head_rows<T> &rows, int64_t r, int64_t D)
{
    float sum = 0.0f;
    for (int64_t d = 0; d < D; d++) sum += row[d] * weft_widen(rows.at[r * rows.stride + d]);
    return sum;
}

/* A row to the warp's shared memory; every lane has its own elements. */
template <class T> __device__ static __forceinline__ void fetch_row(const T *row, int64_t D, int lane, float *to)
{
    for (int64_t d = lane; d < D; d += WEFT_WARP) to[d] = weft_widen(row[d]);
}

/* sums[d] = shrink sums[d] + sum over i of weights[i] rows[first + i][d], in ascending order. */
template <class T>
__device__ static __forceinline__ void add_rows(const head_rows<T> &rows, int64_t first, int count,
                                                const float *weights, float shrink, int64_t D, int lane, float *sums)
{
    for (int64_t d = lane; d < D; d += WEFT_WARP) {
        float sum = sums[d] * shrink;
        for (int i = 0; i < count; i++) sum += weights[i] * weft_widen(rows.at[(first + i) * rows.stride + d]);
        sums[d] = sum;
    }
}

__device__ static __forceinline__ int64_t first_seen(const weft_attention &attention, const int32_t *documents,
                                                     int64_t b, int64_t t)
{
    const int64_t begin = documents == NULL ? 0 : documents[b * attention.T + t];
    const int64_t reach = attention.window == 0 ? 0 : t - attention.window + 1;
    return begin > reach ? begin : reach;
}

__device__ static __forceinline__ int chunk_of(int64_t begin, int64_t end)
{
    return end - begin < WEFT_WARP ? (int)(end - begin) : (int)WEFT_WARP;
}

/* What a query sees of rows first .. last: sums (D) of values, not yet divided by *out_total. query, sums and weights
 * (32) are the warp's own shared memory. Returns the largest score. */
template <class T>
__device__ static __forceinline__ float attend(const head_rows<T> &keys, const head_rows<T> &values, int64_t first,
                                               int64_t last, float scale, int64_t D, const float *query, float *weights,
                                               float *sums, float *out_total)
{
    const int lane = (int)threadIdx.x % WEFT_WARP;
    float largest = -INFINITY, total = 0.0f;
    for (int64_t begin = first; begin <= last; begin += WEFT_WARP) {
        const int count = chunk_of(begin, last + 1);
        const float score = lane < count ? scale * dot_row(query, keys, begin + lane, D) : -INFINITY;
        const float top = fmaxf(largest, weft_warp_largest(score));
        const float weight = lane < count ? expf(score - top) : 0.0f;
        const float shrink = largest == -INFINITY ? 0.0f : expf(largest - top);
        weights[lane] = weight;
        total = total * shrink + weft_warp_sum(weight);
        largest = top;
        __syncwarp();
        add_rows(values, begin, count, weights, shrink, D, lane, sums);
        __syncwarp();
    }
    *out_total = total;
    return largest;
}

/* Of a block's shared memory: what the calling warp has. */
__device__ static __forceinline__ float *own_shared(unsigned char *shared, int64_t floats)
{
    return (float *)shared + (int64_t)(threadIdx.x / WEFT_WARP) * floats;
}

static int64_t warps_to_blocks(int64_t warps)
{
    return weft_cuda_divide_up(warps, WARPS);
}

/* A warp a (sequence, head, token). */
template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_rows_kernel(weft_attention attention, const int32_t *documents, const T *qkv, T *out, float *logsumexp)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t T_ = attention.T, H = attention.H, G = attention.G, D = attention.D, width = (H + 2 * G) * D;
    const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / WEFT_WARP;
    const int lane = (int)threadIdx.x % WEFT_WARP;
    if (row >= attention.B * H * T_) return;
    const int64_t t = row % T_, h = row / T_ % H, b = row / T_ / H, g = h / (H / G);
    float *query = own_shared(weft_shared, 2 * D + WEFT_WARP), *sums = query + D, *weights = sums + D, total;
    fetch_row(qkv + (b * T_ + t) * width + h * D, D, lane, query);
    for (int64_t d = lane; d < D; d += WEFT_WARP) sums[d] = 0.0f;
    __syncwarp();
    const head_rows<T> keys = {qkv + b * T_ * width + (H + g) * D, width}, values = {keys.at + G * D, width};
    const float largest = attend(keys, values, first_seen(attention, documents, b, t), t, 1.0f / sqrtf((float)D), D,
                                 query, weights, sums, &total);
    for (int64_t d = lane; d < D; d += WEFT_WARP) out[((b * T_ + t) * H + h) * D + d] = weft_narrow<T>(sums[d] / total);
    if (lane == 0) logsumexp[row] = largest + logf(total);
}

template <class T>
static cudaError_t forward(const weft_cuda_call *call, const weft_attention *attention, const int32_t *documents,
                           const void *qkv, void *out, float *logsumexp)
{
    const int64_t rows = attention->B * attention->H * attention->T;
    const size_t shared = (size_t)(WARPS * (2 * attention->D + WEFT_WARP)) * sizeof(float);
    const cudaLaunchConfig_t config = weft_cuda_grid(call, warps_to_blocks(rows), 1, THREADS, shared);
    return cudaLaunchKernelEx(&config, attention_rows_kernel<T>, *attention, documents, (const T *)qkv, (T *)out,
                              logsumexp);
}

cudaError_t weft_cuda_rows_forward(const weft_cuda_call *call, const weft_attention *attention,
                                   const int32_t *documents, const void *qkv, void *out, float *logsumexp)
{
    return call->element == WEFT_FP32 ? forward<float>(call, attention, documents, qkv, out, logsumexp)
                                      : forward<__nv_bfloat16>(call, attention, documents, qkv, out, logsumexp);
}

/* A warp a (sequence, head, token): dq, and in delta (B, H, T) the sum of dout out, which dk needs too. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_rows_dquery_kernel(weft_attention attention, const int32_t *documents, const T *qkv, const T *out,
                                 const float *logsumexp, const T *dout, T *dqkv, float *delta)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t T_ = attention.T, H = attention.H, G = attention.G, D = attention.D, width = (H + 2 * G) * D;
    const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / WEFT_WARP;
    const int lane = (int)threadIdx.x % WEFT_WARP;
    if (row >= attention.B * H * T_) return;
    const int64_t t = row % T_, h = row / T_ % H, b = row / T_ / H, g = h / (H / G);
    const int64_t at = ((b * T_ + t) * H + h) * D, own = (b * T_ + t) * width + h * D;
    float *query = own_shared(weft_shared, 3 * D + WEFT_WARP), *drow = query + D, *sums = drow + D;
    float *slopes = sums + D, mean = 0.0f;
    const float scale = 1.0f / sqrtf((float)D), kept = logsumexp[row];
    fetch_row(qkv + own, D, lane, query);
    fetch_row(dout + at, D, lane, drow);
    for (int64_t d = lane; d < D; d += WEFT_WARP) {
        sums[d] = 0.0f;
        mean += drow[d] * weft_widen(out[at + d]);
    }
    mean = weft_warp_sum(mean);
    __syncwarp();
    const head_rows<T> keys = {qkv + b * T_ * width + (H + g) * D, width}, values = {keys.at + G * D, width};
    for (int64_t begin = first_seen(attention, documents, b, t); begin <= t; begin += WEFT_WARP) {
        const int count = chunk_of(begin, t + 1);
        float slope = 0.0f;
        if (lane < count) {
            const float p = expf(scale * dot_row(query, keys, begin + lane, D) - kept);
            slope = p * (dot_row(drow, values, begin + lane, D) - mean) * scale;
        }
        slopes[lane] = slope;
        __syncwarp();
        add_rows(keys, begin, count, slopes, 1.0f, D, lane, sums);
        __syncwarp();
    }
    for (int64_t d = lane; d < D; d += WEFT_WARP) dqkv[own + d] = weft_narrow<T>(sums[d]);
    if (lane == 0) delta[row] = mean;
}

/* A row of keys and values of a warp, and the sums of their gradients, in its shared memory. */
typedef struct key_row {
    float *key, *value, *dkey, *dvalue, *slopes, *weights;
} key_row;

__device__ static __forceinline__ key_row split_key_row(float *shared, int64_t D)
{
    key_row own = {};
    own.key = shared;
    own.value = own.key + D;
    own.dkey = own.value + D;
    own.dvalue = own.dkey + D;
    own.slopes = own.dvalue + D;
    own.weights = own.slopes + WEFT_WARP;
    return own;
}

/* Adds what the tokens of one head that see key s leave there, from s on in ascending order. */
template <class T>
__device__ static __forceinline__ void
add_queries(const weft_attention &attention, const int32_t *documents, const head_rows<T> &queries,
            const head_rows<T> &douts, const float *logsumexp, const float *delta, int64_t s, const key_row &own)
{
    const int lane = (int)threadIdx.x % WEFT_WARP;
    const int64_t D = attention.D, reach = s + attention.window;
    const int64_t end = attention.window > 0 && reach < attention.T ? reach : attention.T;
    const float scale = 1.0f / sqrtf((float)D);
    for (int64_t begin = s; begin < end; begin += WEFT_WARP) {
        if (documents != NULL && documents[begin] > s) break; /* and those behind it */
        const int count = chunk_of(begin, end);
        const int64_t t = begin + lane;
        float p = 0.0f, slope = 0.0f;
        if (lane < count && (documents == NULL || documents[t] <= s)) {
            p = expf(scale * dot_row(own.key, queries, t, D) - logsumexp[t]);
            slope = p * (dot_row(own.value, douts, t, D) - delta[t]) * scale;
        }
        own.weights[lane] = p;
        own.slopes[lane] = slope;
        __syncwarp();
        add_rows(douts, begin, count, own.weights, 1.0f, D, lane, own.dvalue);
        add_rows(queries, begin, count, own.slopes, 1.0f, D, lane, own.dkey);
        __syncwarp();
    }
}

/* A warp a (sequence, key and value head, token): the query heads that share it in ascending order. Four blocks of a
 * multiprocessor are enough: for more of them ptxas would spill registers. */
template <class T>
__global__ void __launch_bounds__(THREADS, 4)
    attention_rows_dkey_kernel(weft_attention attention, const int32_t *documents, const T *qkv, const float *logsumexp,
                               const T *dout, const float *delta, T *dqkv)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t T_ = attention.T, H = attention.H, G = attention.G, D = attention.D, width = (H + 2 * G) * D;
    const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / WEFT_WARP;
    const int lane = (int)threadIdx.x % WEFT_WARP;
    if (row >= attention.B * G * T_) return;
    const int64_t s = row % T_, g = row / T_ % G, b = row / T_ / G, group = H / G;
    const int64_t at = (b * T_ + s) * width + (H + g) * D;
    const key_row own = split_key_row(own_shared(weft_shared, 4 * D + 2 * WEFT_WARP), D);
    fetch_row(qkv + at, D, lane, own.key);
    fetch_row(qkv + at + G * D, D, lane, own.value);
    for (int64_t d = lane; d < D; d += WEFT_WARP) own.dkey[d] = own.dvalue[d] = 0.0f;
    __syncwarp();
    for (int64_t h = g * group; h < (g + 1) * group; h++) {
        const head_rows<T> queries = {qkv + b * T_ * width + h * D, width};
        const head_rows<T> douts = {dout + (b * T_ * H + h) * D, H * D};
        add_queries(attention, documents == NULL ? NULL : documents + b * T_, queries, douts,
                    logsumexp + (b * H + h) * T_, delta + (b * H + h) * T_, s, own);
    }
    for (int64_t d = lane; d < D; d += WEFT_WARP) {
        dqkv[at + d] = weft_narrow<T>(own.dkey[d]);
        dqkv[at + G * D + d] = weft_narrow<T>(own.dvalue[d]);
    }
}

template <class T>
static cudaError_t backward(const weft_cuda_call *call, const weft_attention *attention, const int32_t *documents,
                            const void *qkv, const void *out, const float *logsumexp, const void *dout, void *dqkv,
                            float *delta)
{
    const int64_t rows = attention->B * attention->H * attention->T, D = attention->D;
    const int64_t keys = attention->B * attention->G * attention->T;
    const cudaLaunchConfig_t first =
        weft_cuda_grid(call, warps_to_blocks(rows), 1, THREADS, (size_t)(WARPS * (3 * D + WEFT_WARP)) * sizeof(float));
    const cudaLaunchConfig_t second = weft_cuda_grid(call, warps_to_blocks(keys), 1, THREADS,
                                                     (size_t)(WARPS * (4 * D + 2 * WEFT_WARP)) * sizeof(float));
    const cudaError_t error =
        cudaLaunchKernelEx(&first, attention_rows_dquery_kernel<T>, *attention, documents, (const T *)qkv,
                           (const T *)out, logsumexp, (const T *)dout, (T *)dqkv, delta);
    if (error != cudaSuccess) return error;
    return cudaLaunchKernelEx(&second, attention_rows_dkey_kernel<T>, *attention, documents, (const T *)qkv, logsumexp,
                              (const T *)dout, (const float *)delta, (T *)dqkv);
}

cudaError_t weft_cuda_rows_backward(const weft_cuda_call *call, const weft_attention *attention,
                                    const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                                    const void *dout, void *dqkv, float *delta)
{
    return call->element == WEFT_FP32
               ? backward<float>(call, attention, documents, qkv, out, logsumexp, dout, dqkv, delta)
               : backward<__nv_bfloat16>(call, attention, documents, qkv, out, logsumexp, dout, dqkv, delta);
}

/* New keys and values to their places in the cache: a thread an element. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    keep_keys_kernel(weft_attention attention, int64_t past, int64_t rows, const T *qkv, T *cache)
{
    const int64_t H = attention.H, G = attention.G, D = attention.D, kept = 2 * G * D;
    const int64_t index = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = index / kept, at = index % kept;
    if (row >= attention.B * rows) return;
    const int64_t b = row / rows, t = past + row % rows;
    cache[(b * attention.T + t) * kept + at] = qkv[row * (H + 2 * G) * D + H * D + at];
}

/* A warp a (sequence, head, new token). */
template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_step_kernel(weft_attention attention, int64_t past, int64_t rows, const T *qkv, const T *cache, T *out)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const int64_t H = attention.H, G = attention.G, D = attention.D, width = (H + 2 * G) * D;
    const int64_t index = (int64_t)blockIdx.x * WARPS + threadIdx.x / WEFT_WARP;
    const int lane = (int)threadIdx.x % WEFT_WARP;
    if (index >= attention.B * H * rows) return;
    const int64_t r = index % rows, h = index / rows % H, b = index / rows / H, g = h / (H / G), t = past + r;
    float *query = own_shared(weft_shared, 2 * D + WEFT_WARP), *sums = query + D, *weights = sums + D, total;
    fetch_row(qkv + (b * rows + r) * width + h * D, D, lane, query);
    for (int64_t d = lane; d < D; d += WEFT_WARP) sums[d] = 0.0f;
    __syncwarp();
    const head_rows<T> keys = {cache + b * attention.T * 2 * G * D + g * D, 2 * G * D};
    const head_rows<T> values = {keys.at + G * D, keys.stride};
    attend(keys, values, first_seen(attention, NULL, b, t), t, 1.0f / sqrtf((float)D), D, query, weights, sums, &total);
    for (int64_t d = lane; d < D; d += WEFT_WARP)
        out[((b * rows + r) * H + h) * D + d] = weft_narrow<T>(sums[d] / total);
}

template <class T>
static cudaError_t step(const weft_cuda_call *call, const weft_attention *attention, int64_t past, int64_t rows,
                        const void *qkv, void *cache, void *out)
{
    const int64_t D = attention->D, kept = attention->B * rows * 2 * attention->G * D;
    const cudaLaunchConfig_t first = weft_cuda_grid(call, weft_cuda_divide_up(kept, THREADS), 1, THREADS, 0);
    const cudaLaunchConfig_t second = weft_cuda_grid(call, warps_to_blocks(attention->B * attention->H * rows), 1,
                                                     THREADS, (size_t)(WARPS * (2 * D + WEFT_WARP)) * sizeof(float));
    const cudaError_t error =
        cudaLaunchKernelEx(&first, keep_keys_kernel<T>, *attention, past, rows, (const T *)qkv, (T *)cache);
    if (error != cudaSuccess) return error;
    return cudaLaunchKernelEx(&second, attention_step_kernel<T>, *attention, past, rows, (const T *)qkv,
                              (const T *)cache, (T *)out);
}

cudaError_t weft_cuda_attention_step(const weft_cuda_call *call, const weft_attention *attention, int64_t past,
                                     int64_t rows, const void *qkv, void *cache, void *out)
{
    return call->element == WEFT_FP32 ? step<float>(call, attention, past, rows, qkv, cache, out)
                                      : step<__nv_bfloat16>(call, attention, past, rows, qkv, cache, out);
}
