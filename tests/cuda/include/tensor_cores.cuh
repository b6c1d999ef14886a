/*
 * Tensor cores and asynchronous copies on the emulator: the functions of src/device/cuda/ptx/tensor_cores.cuh, which
 * says what they do.
 *
 * A copy happens where it is given or where it is waited for; which it is, the emulator draws. An mma adds its 16
 * products in ascending order in fp32; hardware's own order is not specified.
 */
#ifndef WEFT_TESTS_CUDA_TENSOR_CORES_CUH
#define WEFT_TESTS_CUDA_TENSOR_CORES_CUH

#include <cuda_runtime.h>

struct emulator_mma {
    const uint32_t *a, *b;
    float *d;
};
struct emulator_ldmatrix {
    uint32_t *out;
    const void *row;
    bool transposed;
};
void emulator_copy_async(void *shared, const void *global, size_t bytes, bool filled, emulator_place place);
void emulator_copy_async_commit(void);
void emulator_copy_async_wait(int groups);

static inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const char *file = __builtin_FILE(),
                            int line = __builtin_LINE())
{
    const emulator_mma registers = {a, b, d};
    emulator_warp(EMULATOR_MMA_BF16, 0xffffffffu, (uint64_t)(uintptr_t)&registers, 0, 32, {file, line});
}

static inline void emulator_load(uint32_t *out, const void *row, bool transposed, emulator_place place)
{
    const emulator_ldmatrix load = {out, row, transposed};
    emulator_warp(EMULATOR_LDMATRIX, 0xffffffffu, (uint64_t)(uintptr_t)&load, 0, 32, place);
}
static inline void ldmatrix_x4(uint32_t out[4], const void *row, const char *file = __builtin_FILE(),
                               int line = __builtin_LINE())
{
    emulator_load(out, row, false, {file, line});
}
static inline void ldmatrix_x4_trans(uint32_t out[4], const void *row, const char *file = __builtin_FILE(),
                                     int line = __builtin_LINE())
{
    emulator_load(out, row, true, {file, line});
}

static inline void copy_async_16_if(bool filled, void *shared, const void *global, const char *file = __builtin_FILE(),
                                    int line = __builtin_LINE())
{
    emulator_copy_async(shared, global, 16, filled, {file, line});
}
static inline void copy_async_commit(void)
{
    emulator_copy_async_commit();
}
template <int groups> static inline void copy_async_wait(void)
{
    emulator_copy_async_wait(groups);
}

#endif
