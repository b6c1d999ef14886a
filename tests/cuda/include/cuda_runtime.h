/*
 * CUDA C++ as C++17: the part of the kernel language that weft's .cu files use. One source is compiled by nvcc with the
 * toolkit's header of this name and by any C++ compiler with this one.
 *
 * What a .cu file keeps to (tests/cuda/rules.sh): launches by cudaLaunchKernelEx, no <<<>>>; shared memory only as
 *     extern __shared__ __align__(16) unsigned char weft_shared[];
 * inside a kernel; no macros; no atomics on floating point; kernels in no namespace; tensor cores and asynchronous
 * copies through <tensor_cores.cuh>.
 */
#ifndef WEFT_TESTS_CUDA_RUNTIME_H
#define WEFT_TESTS_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

/* ---- in kernels: where a thread is, and what it does together with others ---- */

extern uint3 threadIdx, blockIdx; /* of the fiber that runs */
extern dim3 blockDim, gridDim;

/* A line of a kernel, for messages and to tell one barrier from another. */
struct emulator_place {
    const char *file;
    int line;
};

enum emulator_collective {
    EMULATOR_SHUFFLE,
    EMULATOR_XOR,
    EMULATOR_BALLOT,
    EMULATOR_SYNCWARP,
    EMULATOR_MMA_BF16,
    EMULATOR_LDMATRIX
};

void emulator_barrier(emulator_place place);
uint64_t emulator_warp(emulator_collective kind, unsigned mask, uint64_t value, int operand, int width,
                       emulator_place place);

static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    emulator_barrier({file, line});
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, const char *file = __builtin_FILE(),
                              int line = __builtin_LINE())
{
    emulator_warp(EMULATOR_SYNCWARP, mask, 0, 0, 32, {file, line});
}

template <class T>
static inline T emulator_exchange(emulator_collective kind, unsigned mask, T value, int operand, int width,
                                  emulator_place place)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a shuffle moves up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emulator_warp(kind, mask, bits, operand, width, place);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T>
static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, const char *file = __builtin_FILE(),
                            int line = __builtin_LINE())
{
    return emulator_exchange(EMULATOR_SHUFFLE, mask, value, lane, width, {file, line});
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, const char *file = __builtin_FILE(),
                                int line = __builtin_LINE())
{
    return emulator_exchange(EMULATOR_XOR, mask, value, bits, width, {file, line});
}
static inline unsigned __ballot_sync(unsigned mask, int vote, const char *file = __builtin_FILE(),
                                     int line = __builtin_LINE())
{
    return (unsigned)emulator_warp(EMULATOR_BALLOT, mask, vote != 0, 0, 32, {file, line});
}

/* The old value. Atomic, and an order of nothing else: for the test that shows why no kernel of weft may use it. */
static inline float atomicAdd(float *at, float by)
{
    unsigned seen = __atomic_load_n((unsigned *)at, __ATOMIC_RELAXED);
    for (;;) {
        float old, sum;
        memcpy(&old, &seen, sizeof old);
        sum = old + by;
        unsigned wanted;
        memcpy(&wanted, &sum, sizeof wanted);
        if (__atomic_compare_exchange_n((unsigned *)at, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return old;
    }
}

/* ---- arithmetic ---- */

/* glibc keeps names like __expf for itself. Its results are not a GPU's: compare within bounds, not bits. */
#define __expf(x) expf(x)

template <class To, class From> static inline To emulator_bits(From value)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To out;
    memcpy(&out, &value, sizeof out);
    return out;
}
static inline int __popc(unsigned value)
{
    return __builtin_popcount(value);
}
template <class T> static inline T min(T a, T b)
{
    return b < a ? b : a;
}
template <class T> static inline T max(T a, T b)
{
    return a < b ? b : a;
}

/* ---- launches ---- */

typedef struct cudaLaunchAttribute_st {
    int id;
} cudaLaunchAttribute;

typedef struct cudaLaunchConfig_st {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    unsigned int numAttrs;
} cudaLaunchConfig_t;

/* pointers: those of the arguments that are some, which must be memory that the GPU reaches. */
cudaError_t emulator_launch(const cudaLaunchConfig_t *config, const void *kernel, const void *const *pointers,
                            size_t pointer_count, std::function<void()> thread);
cudaError_t emulator_function_attribute(const void *kernel, cudaFuncAttribute attribute, int value);

template <class T> static inline const void *emulator_pointer(const T &value)
{
    if constexpr (std::is_pointer<T>::value && !std::is_function<std::remove_pointer_t<T>>::value) return value;
    return nullptr;
}

template <class... E, class... A>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(E...), A &&...arguments)
{
    static_assert((std::is_trivially_copyable<E>::value && ...), "kernel parameters are copied as bytes");
    static_assert((sizeof(E) + ... + 0) <= 4096, "kernel parameters have 4 KiB");
    const std::tuple<E...> held(static_cast<E>(arguments)...);
    const void *const pointers[] = {emulator_pointer<E>(static_cast<E>(arguments))..., nullptr};
    return emulator_launch(config, (const void *)kernel, pointers, sizeof...(E),
                           [kernel, held]() { std::apply(kernel, held); });
}

template <class T> static inline cudaError_t cudaFuncSetAttribute(T *kernel, cudaFuncAttribute attribute, int value)
{
    return emulator_function_attribute((const void *)kernel, attribute, value);
}

#endif
