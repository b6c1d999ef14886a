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
struct alignas(16) double2 {
    double x, y;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

static inline float2 make_float2(float x, float y)
{
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
static inline double2 make_double2(double x, double y)
{
    return {x, y};
}
static inline int2 make_int2(int x, int y)
{
    return {x, y};
}
static inline int4 make_int4(int x, int y, int z, int w)
{
    return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

/* ---- in kernels: where a thread is, and what it does together with others ---- */

extern uint3 threadIdx, blockIdx; /* of the fiber that runs */
extern dim3 blockDim, gridDim;
static const int warpSize = 32;

/* A line of a kernel, for messages and to tell one barrier from another. */
struct emulator_place {
    const char *file;
    int line;
};

enum emulator_collective {
    EMULATOR_SHUFFLE,
    EMULATOR_XOR,
    EMULATOR_UP,
    EMULATOR_DOWN,
    EMULATOR_BALLOT,
    EMULATOR_ANY,
    EMULATOR_ALL,
    EMULATOR_SYNCWARP,
    EMULATOR_MMA_BF16,
    EMULATOR_LDMATRIX
};

/* How many threads of the block voted for it. */
int emulator_barrier(bool vote, emulator_place place);
uint64_t emulator_warp(emulator_collective kind, unsigned mask, uint64_t value, int operand, int width,
                       emulator_place place);

static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    emulator_barrier(false, {file, line});
}
static inline int __syncthreads_count(int vote, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return emulator_barrier(vote != 0, {file, line});
}
static inline int __syncthreads_or(int vote, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return emulator_barrier(vote != 0, {file, line}) > 0;
}
static inline int __syncthreads_and(int vote, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return emulator_barrier(vote == 0, {file, line}) == 0;
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
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, const char *file = __builtin_FILE(),
                               int line = __builtin_LINE())
{
    return emulator_exchange(EMULATOR_UP, mask, value, (int)by, width, {file, line});
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                                 const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return emulator_exchange(EMULATOR_DOWN, mask, value, (int)by, width, {file, line});
}
static inline unsigned __ballot_sync(unsigned mask, int vote, const char *file = __builtin_FILE(),
                                     int line = __builtin_LINE())
{
    return (unsigned)emulator_warp(EMULATOR_BALLOT, mask, vote != 0, 0, 32, {file, line});
}
static inline int __any_sync(unsigned mask, int vote, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return (int)emulator_warp(EMULATOR_ANY, mask, vote != 0, 0, 32, {file, line});
}
static inline int __all_sync(unsigned mask, int vote, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return (int)emulator_warp(EMULATOR_ALL, mask, vote != 0, 0, 32, {file, line});
}

/* Threads of a grid run one at a time here, so that fences order nothing further. They synchronise nothing either. */
static inline void __threadfence(void)
{
}
static inline void __threadfence_block(void)
{
}

/* The old value. Atomic, and an order of nothing else. */
template <class T> static inline T emulator_atomic_add(T *at, T by)
{
    return __atomic_fetch_add(at, by, __ATOMIC_RELAXED);
}
static inline int atomicAdd(int *at, int by)
{
    return emulator_atomic_add(at, by);
}
static inline unsigned atomicAdd(unsigned *at, unsigned by)
{
    return emulator_atomic_add(at, by);
}
static inline unsigned long long atomicAdd(unsigned long long *at, unsigned long long by)
{
    return emulator_atomic_add(at, by);
}
static inline unsigned atomicCAS(unsigned *at, unsigned expected, unsigned wanted)
{
    __atomic_compare_exchange_n(at, &expected, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}
static inline int atomicOr(int *at, int bits)
{
    return __atomic_fetch_or(at, bits, __ATOMIC_RELAXED);
}
/* For the test that shows why no kernel of weft may use it. */
static inline float atomicAdd(float *at, float by)
{
    unsigned seen = __atomic_load_n((unsigned *)at, __ATOMIC_RELAXED);
    for (;;) {
        float old, sum;
        memcpy(&old, &seen, sizeof old);
        sum = old + by;
        unsigned wanted;
        memcpy(&wanted, &sum, sizeof wanted);
        const unsigned found = atomicCAS((unsigned *)at, seen, wanted);
        if (found == seen) return old;
        seen = found;
    }
}

/* ---- arithmetic ---- */

/* glibc keeps names like __expf for itself. Its results are not a GPU's: compare within bounds, not bits. */
#define __expf(x) expf(x)
#define __exp2f(x) exp2f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __cosf(x) cosf(x)
#define __sinf(x) sinf(x)
#define __powf(x, y) powf(x, y)

static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
static inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
static inline float __fdiv_rn(float x, float y)
{
    return x / y;
}
static inline float __fadd_rn(float x, float y)
{
    return x + y;
}
static inline float __fsub_rn(float x, float y)
{
    return x - y;
}
static inline float __fmul_rn(float x, float y)
{
    return x * y;
}
static inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}
static inline double __dadd_rn(double x, double y)
{
    return x + y;
}
static inline double __dmul_rn(double x, double y)
{
    return x * y;
}

template <class To, class From> static inline To emulator_bits(From value)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To out;
    memcpy(&out, &value, sizeof out);
    return out;
}
static inline unsigned __float_as_uint(float value)
{
    return emulator_bits<unsigned>(value);
}
static inline float __uint_as_float(unsigned value)
{
    return emulator_bits<float>(value);
}
static inline int __float_as_int(float value)
{
    return emulator_bits<int>(value);
}
static inline float __int_as_float(int value)
{
    return emulator_bits<float>(value);
}
static inline int __popc(unsigned value)
{
    return __builtin_popcount(value);
}
static inline int __clz(int value)
{
    return value == 0 ? 32 : __builtin_clz((unsigned)value);
}
static inline int __ffs(int value)
{
    return __builtin_ffs(value);
}
template <class T> static inline T __ldg(const T *at)
{
    return *at;
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
