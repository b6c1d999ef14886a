/* Reductions over the lanes of a warp and the warps of a block, each in one fixed order. */
#ifndef WEFT_DEVICE_CUDA_WARP_CUH
#define WEFT_DEVICE_CUDA_WARP_CUH

#include <cuda_runtime.h>
#include <math.h>

enum { WEFT_WARP = 32 };

/* All lanes get the sum. */
template <class T> __device__ static __forceinline__ T weft_warp_sum(T value)
{
    for (int distance = WEFT_WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

__device__ static __forceinline__ float weft_warp_largest(float value)
{
    for (int distance = WEFT_WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

/* All threads get the sum; shared: a value for each warp, to be written again only behind a barrier. */
template <class T> __device__ static __forceinline__ T weft_block_sum(T value, T *shared)
{
    const int lane = (int)threadIdx.x % WEFT_WARP, warps = (int)blockDim.x / WEFT_WARP;
    value = weft_warp_sum(value);
    if (lane == 0) shared[threadIdx.x / WEFT_WARP] = value;
    __syncthreads();
    T sum = shared[0];
    for (int warp = 1; warp < warps; warp++) sum += shared[warp];
    return sum;
}

#endif
