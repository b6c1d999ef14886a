/* The kernels of the scenes: no mistake with `wrong` BUG_none. */
#include "scenes.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <tensor_cores.cuh>

enum { WARP = 32, THREADS = 128, WARPS = THREADS / WARP };

static cudaLaunchConfig_t grid(cudaStream_t stream, unsigned blocks, unsigned threads, size_t shared)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    return config;
}

__device__ static __forceinline__ float warp_sum(float value)
{
    for (int by = WARP / 2; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffffu, value, by);
    return value;
}

__device__ static __forceinline__ float block_sum(float value, float *shared, bug wrong)
{
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    value = warp_sum(value);
    if (lane == 0) shared[warp] = value;
    if (wrong != BUG_reduction) __syncthreads();
    float sum = 0.0f;
    for (int i = 0; i < WARPS; i++) sum += shared[i];
    return sum;
}

__global__ void __launch_bounds__(THREADS)
    losses_kernel(bug wrong, __nv_bfloat16 *logits, const int32_t *targets, float *losses, float *sum)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    float *shared = (float *)weft_shared;
    __nv_bfloat16 *row = logits + (int)blockIdx.x * WIDTH;
    const int target = targets[blockIdx.x];
    float own = 0.0f;
    for (int i = (int)threadIdx.x; i < WIDTH; i += THREADS) own += expf(__bfloat162float(row[i]));
    const float total = block_sum(own, shared, wrong);
    if (wrong == BUG_behind_shared && threadIdx.x == 0) shared[WARPS] = 0.0f;
    if (wrong == BUG_far_behind_shared && threadIdx.x == 0) shared[WARPS + 4096] = 0.0f;
    if (threadIdx.x == 0) {
        const float loss = logf(total) - __bfloat162float(row[target]);
        losses[blockIdx.x] = loss;
        if (sum != nullptr) atomicAdd(sum, loss);
    }
    if (wrong == BUG_divided && threadIdx.x < WARP) __syncthreads();
    if (wrong != BUG_overwrite && (wrong != BUG_hang || threadIdx.x % 2 == 0)) __syncthreads();
    if (wrong == BUG_hang) warp_sum(total);
    for (int i = (int)threadIdx.x; i < WIDTH; i += THREADS) {
        const float probability = expf(__bfloat162float(row[i])) / total;
        row[i] = __float2bfloat16_rn(probability - (i == target ? 1.0f : 0.0f));
    }
}

__global__ void add_kernel(const float *losses, float *sum)
{
    double own = 0.0;
    for (int i = (int)threadIdx.x; i < ROWS; i += WARP) own += (double)losses[i];
    for (int by = WARP / 2; by > 0; by /= 2) own += __shfl_xor_sync(0xffffffffu, own, by);
    if (threadIdx.x == 0) *sum = (float)own;
}

__device__ static __forceinline__ float turn_by_shuffle(bug wrong, float value, int lane)
{
    if (wrong == BUG_mask) {
        if (lane >= WARP / 2) return 0.0f;
        return __shfl_sync(0x0000ffffu, value, WARP - 1 - lane);
    }
    if (wrong == BUG_mask_self) return __shfl_sync(0x0000ffffu, value, WARP - 1 - lane);
    if (wrong == BUG_mask_mixed && lane < 4) return __shfl_xor_sync(0xffffffffu, value, WARP - 1);
    return __shfl_sync(0xffffffffu, value, WARP - 1 - lane);
}

__global__ void turn_kernel(bug wrong, const float *x, float *out)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    float *shared = (float *)weft_shared;
    const int lane = (int)threadIdx.x;
    const float value = x[(int)blockIdx.x * WARP + lane];
    shared[lane] = value;
    if (wrong != BUG_syncwarp) __syncwarp();
    const float turned = shared[WARP - 1 - lane];
    if (wrong == BUG_mask_ended && lane == 5) return;
    const float again = turn_by_shuffle(wrong, value, lane);
    out[(int)blockIdx.x * WARP + lane] = turned == again ? turned : -1.0f;
}

/* a in a ring of one tile: columns k to k + TILE of all rows. Two warps read it, and both come to the same. */
__global__ void __launch_bounds__(2 * WARP)
    tiles_kernel(bug wrong, const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *d)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    __nv_bfloat16 *left = (__nv_bfloat16 *)weft_shared, *right = left + TILE * TILE;
    const int thread = (int)threadIdx.x, lane = thread % WARP;
    float sum[4] = {};
    for (int tile = 0; tile < TILES; tile++) {
        if (thread < 32)
            copy_async_16_if(true, left + thread * 8, a + thread / 2 * MATRIX_WIDTH + tile * TILE + thread % 2 * 8);
        if (thread < 16) copy_async_16_if(true, right + thread * 8, b + (tile * TILE + thread) * TILE_WIDTH);
        copy_async_commit();
        if (wrong != BUG_tile_wait) copy_async_wait<0>();
        __syncthreads();
        uint32_t from_a[4], from_b[4];
        ldmatrix_x4(from_a, left + lane % 16 * TILE + lane / 16 * 8 + (wrong == BUG_tile_unaligned));
        ldmatrix_x4_trans(from_b, right + lane % 16 * TILE_WIDTH);
        mma_bf16(sum, from_a, from_b);
        if (wrong != BUG_tile_barrier) __syncthreads();
    }
    for (int i = 0; i < 4; i++) {
        float *to = d + thread / WARP * TILE * TILE_WIDTH;
        to[(lane / 4 + i / 2 * 8) * TILE_WIDTH + lane % 4 * 2 + i % 2] = sum[i];
    }
}

__global__ void wide_kernel(bug wrong, float *x)
{
    float4 *at = (float4 *)(x + (wrong == BUG_unaligned) + threadIdx.x * 4);
    const float4 four = *at;
    *at = make_float4(four.x + 1.0f, four.y + 1.0f, four.z + 1.0f, four.w + 1.0f);
}

__global__ void count_kernel(bug wrong, int count, float by, float *out)
{
    const int i = (int)blockIdx.x;
    if (wrong == BUG_same_place && i == 1) out[0] = -1.0f;
    out[i] = by + (float)i;
    if (wrong == BUG_slack && i == 0) out[count] = 0.0f;
    if (wrong == BUG_far_behind && i == 0) out[count + 1024] = 0.0f;
}

__global__ void count_inside_kernel(float *const *out)
{
    (*out)[blockIdx.x] = (float)blockIdx.x;
}

cudaError_t scene_losses(cudaStream_t stream, bug wrong, uint16_t *logits, const int32_t *targets, float *losses,
                         float *sum)
{
    const cudaLaunchConfig_t config = grid(stream, ROWS, THREADS, WARPS * sizeof(float));
    return cudaLaunchKernelEx(&config, losses_kernel, wrong, (__nv_bfloat16 *)logits, targets, losses, sum);
}

cudaError_t scene_add(cudaStream_t stream, bug, const float *losses, float *sum)
{
    const cudaLaunchConfig_t config = grid(stream, 1, WARP, 0);
    return cudaLaunchKernelEx(&config, add_kernel, losses, sum);
}

cudaError_t scene_turn(cudaStream_t stream, bug wrong, const float *x, float *out)
{
    const cudaLaunchConfig_t config = grid(stream, ROWS, WARP, WARP * sizeof(float));
    return cudaLaunchKernelEx(&config, turn_kernel, wrong, x, out);
}

cudaError_t scene_tiles(cudaStream_t stream, bug wrong, const uint16_t *a, const uint16_t *b, float *d)
{
    const size_t shared = (TILE * TILE + TILE * TILE_WIDTH) * sizeof(uint16_t);
    const cudaLaunchConfig_t config = grid(stream, 1, 2 * WARP, shared);
    return cudaLaunchKernelEx(&config, tiles_kernel, wrong, (const __nv_bfloat16 *)a, (const __nv_bfloat16 *)b, d);
}

cudaError_t scene_wide(cudaStream_t stream, bug wrong, float *x)
{
    const cudaLaunchConfig_t config = grid(stream, 1, WARP, 0);
    return cudaLaunchKernelEx(&config, wide_kernel, wrong, x);
}

cudaError_t scene_count(cudaStream_t stream, bug wrong, int count, float by, float *out)
{
    const cudaLaunchConfig_t config = grid(stream, (unsigned)count, 1, 0);
    return cudaLaunchKernelEx(&config, count_kernel, wrong, count, by, out);
}

cudaError_t scene_count_inside(cudaStream_t stream, int count, float *const *out)
{
    const cudaLaunchConfig_t config = grid(stream, (unsigned)count, 1, 0);
    return cudaLaunchKernelEx(&config, count_inside_kernel, out);
}
