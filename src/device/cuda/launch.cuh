/* How launchers describe a grid. */
#ifndef WEFT_DEVICE_CUDA_LAUNCH_CUH
#define WEFT_DEVICE_CUDA_LAUNCH_CUH

#include "device/cuda/kernels.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

static inline int64_t weft_cuda_divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* blocks x across of so many threads; a grid's first dimension has room for 2^31 - 1, the second for 65535. */
static inline cudaLaunchConfig_t weft_cuda_grid(const weft_cuda_call *call, int64_t blocks, int64_t across, int threads,
                                                size_t shared)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)blocks, (unsigned)across);
    config.blockDim = dim3((unsigned)threads);
    config.dynamicSmemBytes = shared;
    config.stream = call->stream;
    return config;
}

/* Whether all of these may be read 16 bytes at a time. */
static inline bool weft_cuda_wide(const void *a, const void *b, const void *c)
{
    return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 15) == 0;
}

#endif
