/*
 * Gradients of attention in blocks on tensor cores, without atomics: one kernel walks over keys for a block of queries
 * (dq), one over queries for a block of keys (dk, dv), the query heads that share these in ascending order. Both make
 * the probabilities again from logsumexp. Each walks ahead by one tile of two kinds of rows: while a tile is worked on
 * the next comes in.
 */
#include "device/cuda/blocks.cuh"
#include "device/cuda/pack.cuh"

enum { DELTA_WARPS = 8, DELTA_THREADS = DELTA_WARPS * WEFT_WARP };

/* Rows of the tiles that are walked over, as many as there are registers for. */
enum { QUERIES = 32 };
template <int D> struct tiles {
    enum { PITCH = D + TILE_GAP, OWN = BLOCK_ROWS * PITCH, KEYS = D == 64 ? 64 : 32 };
};

/* delta (B, H, T): the sum of dout out, a warp a row. */
__global__ void __launch_bounds__(DELTA_THREADS)
    attention_delta_kernel(weft_attention attention, const __nv_bfloat16 *out, const __nv_bfloat16 *dout, float *delta)
{
    enum { N = weft_pack<__nv_bfloat16>::N };
    const int64_t row = (int64_t)blockIdx.x * DELTA_WARPS + threadIdx.x / WEFT_WARP; /* of (B T, H) */
    const int lane = (int)threadIdx.x % WEFT_WARP;
    const int64_t T = attention.T, H = attention.H, D = attention.D;
    if (row >= attention.B * T * H) return;
    float sum = 0.0f;
    for (int64_t at = lane * N; at < D; at += WEFT_WARP * N) {
        const weft_pack<__nv_bfloat16> a = weft_load(out + row * D + at, D - at, true);
        const weft_pack<__nv_bfloat16> b = weft_load(dout + row * D + at, D - at, true);
        for (int i = 0; i < N; i++) sum += a.v[i] * b.v[i];
    }
    sum = weft_warp_sum(sum);
    if (lane == 0) delta[(row / H / T * H + row % H) * T + row / H % T] = sum;
}

/* What a probability and its slope need of a row of queries. */
typedef struct query_row {
    float kept, mean; /* logsumexp to base 2, delta */
    int32_t t, low;   /* t is -1 where the row is not there */
} query_row;

/* Scores become probabilities' slopes in place of dp; scores, the probabilities. */
__device__ static __forceinline__ void slope(const query_row &row, int32_t key, float scale, float &score, float &dp)
{
    const bool seen = key >= row.low && key <= row.t;
    score = seen ? exp2f(score * (scale * LOG2_E) - row.kept) : 0.0f;
    dp = seen ? score * (dp - row.mean) * scale : 0.0f;
}

__device__ static __forceinline__ query_row find_query(const weft_attention &attention, const int32_t *documents,
                                                       const float *logsumexp, const float *delta, int32_t t)
{
    if (t >= attention.T) return {0.0f, 0.0f, -1, 0};
    return {logsumexp[t] * LOG2_E, delta[t], t, first_key(attention, documents, t)};
}

typedef struct backward_operands {
    const int32_t *documents;
    const __nv_bfloat16 *qkv, *dout;
    const float *logsumexp, *delta;
    __nv_bfloat16 *dqkv;
} backward_operands;

/* A block has 64 queries of one head. */
template <int D>
__global__ void __launch_bounds__(BLOCK_THREADS)
    attention_blocks_dquery_kernel(weft_attention attention, backward_operands of)
{
    enum { KEYS = tiles<D>::KEYS, OWN = tiles<D>::OWN, TILE = KEYS * tiles<D>::PITCH };
    extern __shared__ __align__(16) unsigned char weft_shared[];
    __nv_bfloat16 *query = (__nv_bfloat16 *)weft_shared, *drow = query + OWN, *walks = drow + OWN;
    const int64_t T = attention.T, H = attention.H, G = attention.G, width = (H + 2 * G) * D;
    const int64_t heads = attention.B * H, head = blockIdx.x % heads, h = head % H, b = head / H, g = h / (H / G);
    const int32_t own = (int32_t)((gridDim.x / heads - 1 - blockIdx.x / heads) * BLOCK_ROWS);
    const int32_t last = own + BLOCK_ROWS < T ? own + BLOCK_ROWS - 1 : (int32_t)T - 1;
    const int lane = (int)threadIdx.x % WEFT_WARP, rows = (int)threadIdx.x / WEFT_WARP * WARP_ROWS;
    const int32_t *documents = of.documents == NULL ? NULL : of.documents + b * T;
    const block_rows keys = {of.qkv + b * T * width + (H + g) * D, width, (int32_t)T};
    const block_rows values = {keys.at + G * D, width, (int32_t)T};
    load_tile<D>({of.qkv + b * T * width + h * D, width, (int32_t)T}, own, BLOCK_ROWS, query);
    load_tile<D>({of.dout + (b * T * H + h) * D, H * D, (int32_t)T}, own, BLOCK_ROWS, drow);
    query_row row[2];
    for (int half = 0; half < 2; half++)
        row[half] = find_query(attention, documents, of.logsumexp + head * T, of.delta + head * T,
                               own + rows + lane / 4 + half * 8);
    const float scale = 1.0f / sqrtf((float)D);
    float sums[D / 8][4] = {};
    const int32_t begin = first_key(attention, documents, own) / KEYS * KEYS;
    load_tile<D>(keys, begin, KEYS, walks);
    load_tile<D>(values, begin, KEYS, walks + TILE);
    copy_async_commit();
    for (int32_t first = begin, turn = 0; first <= last; first += KEYS, turn ^= 1) {
        const __nv_bfloat16 *key = walks + 2 * turn * TILE, *value = key + TILE;
        float scores[KEYS / 8][4] = {}, slopes[KEYS / 8][4] = {};
        copy_async_wait<0>();
        __syncthreads(); /* this tile is there, the one before is read */
        if (first + KEYS <= last) {
            load_tile<D>(keys, first + KEYS, KEYS, walks + 2 * (turn ^ 1) * TILE);
            load_tile<D>(values, first + KEYS, KEYS, walks + (2 * (turn ^ 1) + 1) * TILE);
        }
        copy_async_commit();
        multiply_rows<D, KEYS>(query + rows * (D + TILE_GAP), key, scores);
        multiply_rows<D, KEYS>(drow + rows * (D + TILE_GAP), value, slopes);
        for (int n = 0; n < KEYS / 8; n++)
            for (int i = 0; i < 4; i++)
                slope(row[i / 2], first + n * 8 + lane % 4 * 2 + i % 2, scale, scores[n][i], slopes[n][i]);
        multiply_sums<D, KEYS>(slopes, key, sums);
    }
    const float factors[2] = {1.0f, 1.0f};
    store_rows<D>(sums, factors, own + rows, (int32_t)T, of.dqkv + b * T * width + h * D, width);
}

/* How many tiles of each of its heads a block of keys walks over: from its own tokens on; beyond the window, or from
 * where a later document begins, no query sees them. */
__device__ static __forceinline__ int32_t count_tiles(const weft_attention &attention, const int32_t *documents,
                                                      int32_t own, int32_t last)
{
    const int64_t reach = last + attention.window;
    const int32_t end = attention.window > 0 && reach < attention.T ? (int32_t)reach : (int32_t)attention.T;
    int32_t count = 0;
    for (int32_t t = own; t < end && (documents == NULL || documents[t] <= last); t += QUERIES) count++;
    return count;
}

/* A tile of queries and one of dout come in, and what probabilities need of these rows. */
template <int D>
__device__ static __forceinline__ void fetch_queries(const weft_attention &attention, const backward_operands &of,
                                                     int64_t b, int64_t h, int32_t first, __nv_bfloat16 *tile,
                                                     query_row *rows)
{
    const int64_t T = attention.T, H = attention.H, width = (H + 2 * attention.G) * D, head = (b * H + h) * T;
    load_tile<D>({of.qkv + b * T * width + h * D, width, (int32_t)T}, first, QUERIES, tile);
    load_tile<D>({of.dout + (b * T * H + h) * D, H * D, (int32_t)T}, first, QUERIES, tile + QUERIES * tiles<D>::PITCH);
    if (threadIdx.x < QUERIES)
        rows[threadIdx.x] = find_query(attention, of.documents == NULL ? NULL : of.documents + b * T,
                                       of.logsumexp + head, of.delta + head, first + (int32_t)threadIdx.x);
}

/* A block has 64 keys of one head, and their values. Its scores are turned: rows are keys. */
template <int D>
__global__ void __launch_bounds__(BLOCK_THREADS)
    attention_blocks_dkey_kernel(weft_attention attention, backward_operands of)
{
    enum { OWN = tiles<D>::OWN, TILE = QUERIES * tiles<D>::PITCH };
    extern __shared__ __align__(16) unsigned char weft_shared[];
    __nv_bfloat16 *key = (__nv_bfloat16 *)weft_shared, *value = key + OWN, *walks = value + OWN;
    query_row *kept = (query_row *)(walks + 4 * TILE);
    const int64_t T = attention.T, H = attention.H, G = attention.G, width = (H + 2 * G) * D;
    const int64_t heads = attention.B * G, g = blockIdx.x % heads % G, b = blockIdx.x % heads / G, group = H / G;
    const int32_t own = (int32_t)(blockIdx.x / heads * BLOCK_ROWS);
    const int32_t last = own + BLOCK_ROWS < T ? own + BLOCK_ROWS - 1 : (int32_t)T - 1;
    const int lane = (int)threadIdx.x % WEFT_WARP, rows = (int)threadIdx.x / WEFT_WARP * WARP_ROWS;
    const int64_t at = b * T * width + (H + g) * D;
    const int32_t count = count_tiles(attention, of.documents == NULL ? NULL : of.documents + b * T, own, last);
    const float scale = 1.0f / sqrtf((float)D);
    float dkeys[D / 8][4] = {}, dvalues[D / 8][4] = {};
    load_tile<D>({of.qkv + at, width, (int32_t)T}, own, BLOCK_ROWS, key);
    load_tile<D>({of.qkv + at + G * D, width, (int32_t)T}, own, BLOCK_ROWS, value);
    fetch_queries<D>(attention, of, b, g * group, own, walks, kept);
    copy_async_commit();
    for (int32_t turn = 0; turn < group * count; turn++) {
        const int32_t next = turn + 1;
        const __nv_bfloat16 *query = walks + 2 * (turn % 2) * TILE, *drow = query + TILE;
        const query_row *row = kept + turn % 2 * QUERIES;
        float scores[QUERIES / 8][4] = {}, slopes[QUERIES / 8][4] = {};
        copy_async_wait<0>();
        __syncthreads(); /* these tiles are there, those before are read */
        if (next < group * count)
            fetch_queries<D>(attention, of, b, g * group + next / count, own + next % count * QUERIES,
                             walks + 2 * (next % 2) * TILE, kept + next % 2 * QUERIES);
        copy_async_commit();
        multiply_rows<D, QUERIES>(key + rows * (D + TILE_GAP), query, scores);
        multiply_rows<D, QUERIES>(value + rows * (D + TILE_GAP), drow, slopes);
        for (int n = 0; n < QUERIES / 8; n++)
            for (int i = 0; i < 4; i++)
                slope(row[n * 8 + lane % 4 * 2 + i % 2], own + rows + lane / 4 + i / 2 * 8, scale, scores[n][i],
                      slopes[n][i]);
        multiply_sums<D, QUERIES>(scores, drow, dvalues);
        multiply_sums<D, QUERIES>(slopes, query, dkeys);
    }
    const float factors[2] = {1.0f, 1.0f};
    store_rows<D>(dkeys, factors, own + rows, (int32_t)T, of.dqkv + at, width);
    store_rows<D>(dvalues, factors, own + rows, (int32_t)T, of.dqkv + at + G * D, width);
}

template <int D>
static cudaError_t backward(const weft_cuda_call *call, const weft_attention *attention, const backward_operands *of)
{
    enum {
        DQUERY = (2 * tiles<D>::OWN + 4 * tiles<D>::KEYS * tiles<D>::PITCH) * 2,
        DKEY = (2 * tiles<D>::OWN + 4 * QUERIES * tiles<D>::PITCH) * 2 + 2 * QUERIES * (int)sizeof(query_row),
    };
    const int64_t blocks = weft_cuda_divide_up(attention->T, BLOCK_ROWS) * attention->B;
    const cudaLaunchConfig_t first = weft_cuda_grid(call, blocks * attention->H, 1, BLOCK_THREADS, DQUERY);
    const cudaLaunchConfig_t second = weft_cuda_grid(call, blocks * attention->G, 1, BLOCK_THREADS, DKEY);
    cudaError_t error =
        cudaFuncSetAttribute(attention_blocks_dquery_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, DQUERY);
    if (error == cudaSuccess)
        error =
            cudaFuncSetAttribute(attention_blocks_dkey_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, DKEY);
    if (error == cudaSuccess) error = cudaLaunchKernelEx(&first, attention_blocks_dquery_kernel<D>, *attention, *of);
    if (error == cudaSuccess) error = cudaLaunchKernelEx(&second, attention_blocks_dkey_kernel<D>, *attention, *of);
    return error;
}

cudaError_t weft_cuda_blocks_backward(const weft_cuda_call *call, const weft_attention *attention,
                                      const int32_t *documents, const void *qkv, const void *out,
                                      const float *logsumexp, const void *dout, void *dqkv, float *delta)
{
    const __nv_bfloat16 *result = (const __nv_bfloat16 *)out, *gradient = (const __nv_bfloat16 *)dout;
    const backward_operands of = {documents, (const __nv_bfloat16 *)qkv, gradient, logsumexp,
                                  delta,     (__nv_bfloat16 *)dqkv};
    const int64_t rows = attention->B * attention->H * attention->T;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(rows, DELTA_WARPS), 1, DELTA_THREADS, 0);
    if (!weft_cuda_wide(qkv, out, dout) || !weft_cuda_wide(dqkv, NULL, NULL)) return cudaErrorMisalignedAddress;
    const cudaError_t error = cudaLaunchKernelEx(&config, attention_delta_kernel, *attention, result, gradient, delta);
    if (error != cudaSuccess) return error;
    return attention->D == 64 ? backward<64>(call, attention, &of) : backward<128>(call, attention, &of);
}
