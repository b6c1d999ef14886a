/*
 * Blocks of attention on tensor cores: tiles of rows in shared memory, products of a warp's 16 rows with them, and
 * which keys a row sees.
 *
 * A block has four warps of 16 rows each. Sums lie in registers as mma_bf16 leaves them: lane l has of a tile (16, 8)
 * rows l/4 (elements 0 and 1) and l/4 + 8 (2 and 3), columns 2 (l%4) and the next.
 */
#ifndef WEFT_DEVICE_CUDA_BLOCKS_CUH
#define WEFT_DEVICE_CUDA_BLOCKS_CUH

#include "device/cuda/launch.cuh"
#include "device/cuda/warp.cuh"

#include <math.h>
#include <string.h>
#include <tensor_cores.cuh>

enum { BLOCK_WARPS = 4, BLOCK_THREADS = BLOCK_WARPS * WEFT_WARP, WARP_ROWS = 16, BLOCK_ROWS = BLOCK_WARPS * WARP_ROWS };
enum { TILE_GAP = 8 }; /* elements behind each row of a tile: 8 rows then lie in different banks */

static const float LOG2_E = 1.4426950408889634f;

/* Rows of one head: row r of the sequence begins at [r * stride]; `end` of them are there. */
typedef struct block_rows {
    const __nv_bfloat16 *at;
    int64_t stride;
    int32_t end;
} block_rows;

/* Starts to copy `count` rows from row `first` on into a tile; zeros for rows that are not there. */
template <int D>
__device__ static __forceinline__ void load_tile(const block_rows &rows, int32_t first, int count, __nv_bfloat16 *tile)
{
    enum { PACK = 8, PACKS = D / PACK };
    for (int i = (int)threadIdx.x; i < count * PACKS; i += BLOCK_THREADS) {
        const int row = i / PACKS, column = i % PACKS * PACK;
        const bool there = first + row < rows.end;
        const int64_t at = there ? (first + row) * rows.stride + column : 0;
        copy_async_16_if(there, tile + row * (D + TILE_GAP) + column, rows.at + at);
    }
}

__device__ static __forceinline__ uint32_t two_bf16(float low, float high)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
}

/* sums (16, N) += a (16, D) b (N, D)^T, both tiles. */
template <int D, int N>
__device__ static __forceinline__ void multiply_rows(const __nv_bfloat16 *a, const __nv_bfloat16 *b,
                                                     float sums[N / 8][4])
{
    enum { PITCH = D + TILE_GAP };
    const int lane = (int)threadIdx.x % WEFT_WARP;
    const __nv_bfloat16 *own_a = a + lane % 16 * PITCH + lane / 16 * 8;
    const __nv_bfloat16 *own_b = b + (lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 8;
    for (int k = 0; k < D; k += 16) {
        uint32_t left[4], right[4];
        ldmatrix_x4(left, own_a + k);
        for (int n = 0; n < N; n += 16) {
            ldmatrix_x4(right, own_b + n * PITCH + k);
            mma_bf16(sums[n / 8], left, right);
            mma_bf16(sums[n / 8 + 1], left, right + 2);
        }
    }
}

/* sums (16, D) += a (16, K), rounded to bf16, b (K, D), a tile. */
template <int D, int K>
__device__ static __forceinline__ void multiply_sums(const float a[K / 8][4], const __nv_bfloat16 *b,
                                                     float sums[D / 8][4])
{
    enum { PITCH = D + TILE_GAP };
    const int lane = (int)threadIdx.x % WEFT_WARP;
    const __nv_bfloat16 *own_b = b + (lane / 8 % 2 * 8 + lane % 8) * PITCH + lane / 16 * 8;
    for (int k = 0; k < K; k += 16) {
        const float *first = a[k / 8], *second = a[k / 8 + 1];
        const uint32_t left[4] = {two_bf16(first[0], first[1]), two_bf16(first[2], first[3]),
                                  two_bf16(second[0], second[1]), two_bf16(second[2], second[3])};
        uint32_t right[4];
        for (int n = 0; n < D; n += 16) {
            ldmatrix_x4_trans(right, own_b + k * PITCH + n);
            mma_bf16(sums[n / 8], left, right);
            mma_bf16(sums[n / 8 + 1], left, right + 2);
        }
    }
}

/* Sums (16, D) of a warp, times a factor for each of the lane's two rows, to rows first + .. of a matrix. */
template <int D>
__device__ static __forceinline__ void store_rows(const float sums[D / 8][4], const float factors[2], int32_t first,
                                                  int32_t end, __nv_bfloat16 *to, int64_t stride)
{
    const int lane = (int)threadIdx.x % WEFT_WARP;
    for (int half = 0; half < 2; half++) {
        const int32_t row = first + lane / 4 + half * 8;
        if (row >= end) continue;
        for (int n = 0; n < D / 8; n++) {
            const uint32_t pair = two_bf16(sums[n][2 * half] * factors[half], sums[n][2 * half + 1] * factors[half]);
            memcpy(to + row * stride + n * 8 + lane % 4 * 2, &pair, sizeof pair);
        }
    }
}

/* The first key that token t sees. These only rise within a sequence. documents: the sequence's, or NULL. */
__device__ static __forceinline__ int32_t first_key(const weft_attention &attention, const int32_t *documents,
                                                    int32_t t)
{
    const int32_t begin = documents == NULL ? 0 : documents[t];
    const int32_t reach = attention.window == 0 ? 0 : t - (int32_t)attention.window + 1;
    return begin > reach ? begin : reach;
}

#endif
