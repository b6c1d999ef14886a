/*
 * Attention in blocks on tensor cores, after FlashAttention-2 (Dao, arXiv 2307.08691): a block has 64 queries of one
 * head and walks over the keys that they see, 64 at a time, in ascending order. While scores are made of the keys the
 * values come in, and while these are added the next keys do.
 */
#include "device/cuda/blocks.cuh"

enum { KEYS = 64, SCORES = KEYS / 8 };

/* The lane's two rows: which keys they see, and their softmax so far. */
typedef struct softmax_rows {
    int32_t low[2], high[2];
    float largest[2], total[2]; /* of scores times their scale, to base 2 */
} softmax_rows;

__device__ static __forceinline__ float over_quad(float value, bool largest)
{
    for (int distance = 1; distance < 4; distance *= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, value, distance);
        value = largest ? fmaxf(value, other) : value + other;
    }
    return value;
}

__device__ static __forceinline__ void mask_scores(const softmax_rows &rows, int32_t first, float scores[SCORES][4])
{
    const int lane = (int)threadIdx.x % WEFT_WARP;
    for (int n = 0; n < SCORES; n++)
        for (int i = 0; i < 4; i++) {
            const int32_t key = first + n * 8 + lane % 4 * 2 + i % 2;
            if (key < rows.low[i / 2] || key > rows.high[i / 2]) scores[n][i] = -INFINITY;
        }
}

/* Scores become weights; what was added so far shrinks where a larger score came. */
template <int D>
__device__ static __forceinline__ void weigh(softmax_rows &rows, float scale, float scores[SCORES][4],
                                             float sums[D / 8][4])
{
    for (int half = 0; half < 2; half++) {
        float largest = rows.largest[half], total = 0.0f;
        for (int n = 0; n < SCORES; n++)
            largest = fmaxf(largest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]) * scale);
        largest = over_quad(largest, true);
        const float taken = largest == -INFINITY ? 0.0f : largest; /* a row that sees no key yet */
        const float shrink = exp2f(rows.largest[half] - taken);
        for (int n = 0; n < SCORES; n++)
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                scores[n][i] = exp2f(scores[n][i] * scale - taken);
                total += scores[n][i];
            }
        rows.total[half] = rows.total[half] * shrink + over_quad(total, false);
        rows.largest[half] = largest;
        for (int n = 0; n < D / 8; n++) {
            sums[n][2 * half] *= shrink;
            sums[n][2 * half + 1] *= shrink;
        }
    }
}

__device__ static __forceinline__ softmax_rows begin_rows(const weft_attention &attention, const int32_t *documents,
                                                          int32_t first)
{
    softmax_rows rows = {};
    for (int half = 0; half < 2; half++) {
        const int32_t t = first + (int)threadIdx.x % WEFT_WARP / 4 + half * 8;
        const bool there = t < attention.T;
        rows.low[half] = there ? first_key(attention, documents, t) : 0;
        rows.high[half] = there ? t : -1;
        rows.largest[half] = -INFINITY;
    }
    return rows;
}

/* Which block this is: those with most keys come first, so that the last ones to run are short. */
typedef struct forward_place {
    int64_t b, h, g;
    int32_t first; /* query */
} forward_place;

__device__ static __forceinline__ forward_place own_place(const weft_attention &attention)
{
    const int64_t heads = attention.B * attention.H, blocks = (attention.T + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const int64_t head = blockIdx.x % heads, block = blocks - 1 - blockIdx.x / heads;
    const int64_t h = head % attention.H;
    return {head / attention.H, h, h / (attention.H / attention.G), (int32_t)(block * BLOCK_ROWS)};
}

template <int D>
__global__ void __launch_bounds__(BLOCK_THREADS)
    attention_blocks_kernel(weft_attention attention, const int32_t *documents, const __nv_bfloat16 *qkv,
                            __nv_bfloat16 *out, float *logsumexp)
{
    enum { TILE = BLOCK_ROWS * (D + TILE_GAP) };
    extern __shared__ __align__(16) unsigned char weft_shared[];
    __nv_bfloat16 *query = (__nv_bfloat16 *)weft_shared, *key = query + TILE, *value = key + TILE;
    const forward_place own = own_place(attention);
    const int64_t T = attention.T, H = attention.H, G = attention.G, width = (H + 2 * G) * D;
    const int warp = (int)threadIdx.x / WEFT_WARP;
    const int32_t last = own.first + BLOCK_ROWS < T ? own.first + BLOCK_ROWS - 1 : (int32_t)T - 1;
    const int32_t *seen = documents == NULL ? NULL : documents + own.b * T;
    const block_rows queries = {qkv + own.b * T * width + own.h * D, width, (int32_t)T};
    const block_rows keys = {qkv + own.b * T * width + (H + own.g) * D, width, (int32_t)T};
    const block_rows values = {keys.at + G * D, width, (int32_t)T};
    const float scale = LOG2_E / sqrtf((float)D);
    softmax_rows rows = begin_rows(attention, seen, own.first + warp * WARP_ROWS);
    float sums[D / 8][4] = {};
    const int32_t begin = first_key(attention, seen, own.first) / KEYS * KEYS;
    const int32_t inner = first_key(attention, seen, last); /* all rows see the keys from here to the first query */
    load_tile<D>(queries, own.first, BLOCK_ROWS, query);
    load_tile<D>(keys, begin, KEYS, key);
    copy_async_commit();
    for (int32_t first = begin; first <= last; first += KEYS) {
        float scores[SCORES][4] = {};
        copy_async_wait<0>();
        __syncthreads(); /* keys are there, the values before are read */
        load_tile<D>(values, first, KEYS, value);
        copy_async_commit();
        multiply_rows<D, KEYS>(query + warp * WARP_ROWS * (D + TILE_GAP), key, scores);
        if (first < inner || first + KEYS - 1 > own.first) mask_scores(rows, first, scores);
        weigh<D>(rows, scale, scores, sums);
        copy_async_wait<0>();
        __syncthreads(); /* values are there, the keys are read */
        if (first + KEYS <= last) load_tile<D>(keys, first + KEYS, KEYS, key);
        copy_async_commit();
        multiply_sums<D, KEYS>(scores, value, sums);
    }
    const float factors[2] = {1.0f / rows.total[0], 1.0f / rows.total[1]};
    store_rows<D>(sums, factors, own.first + warp * WARP_ROWS, (int32_t)T, out + (own.b * T * H + own.h) * D, H * D);
    for (int half = 0; half < 2 && threadIdx.x % 4 == 0; half++) {
        if (rows.high[half] < 0) continue;
        logsumexp[(own.b * H + own.h) * T + rows.high[half]] = (rows.largest[half] + log2f(rows.total[half])) / LOG2_E;
    }
}

template <int D>
static cudaError_t forward(const weft_cuda_call *call, const weft_attention *attention, const int32_t *documents,
                           const __nv_bfloat16 *qkv, __nv_bfloat16 *out, float *logsumexp)
{
    enum { SHARED = 3 * BLOCK_ROWS * (D + TILE_GAP) * 2 };
    const int64_t blocks = weft_cuda_divide_up(attention->T, BLOCK_ROWS) * attention->B * attention->H;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, blocks, 1, BLOCK_THREADS, SHARED);
    const cudaError_t error =
        cudaFuncSetAttribute(attention_blocks_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED);
    if (error != cudaSuccess) return error;
    return cudaLaunchKernelEx(&config, attention_blocks_kernel<D>, *attention, documents, qkv, out, logsumexp);
}

bool weft_cuda_blocks_fit(const weft_cuda_call *call, const weft_attention *attention)
{
    return call->tensor_cores && (attention->D == 64 || attention->D == 128);
}

cudaError_t weft_cuda_blocks_forward(const weft_cuda_call *call, const weft_attention *attention,
                                     const int32_t *documents, const void *qkv, void *out, float *logsumexp)
{
    const __nv_bfloat16 *from = (const __nv_bfloat16 *)qkv;
    __nv_bfloat16 *to = (__nv_bfloat16 *)out;
    if (!weft_cuda_wide(qkv, out, NULL)) return cudaErrorMisalignedAddress;
    return attention->D == 64 ? forward<64>(call, attention, documents, from, to, logsumexp)
                              : forward<128>(call, attention, documents, from, to, logsumexp);
}
