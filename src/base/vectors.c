#include "base/vectors.h"

weft_vectors weft_vectors_widest(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return WEFT_VECTORS_PLAIN;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return WEFT_VECTORS_AVX512;
    return WEFT_VECTORS_AVX2;
#else
    return WEFT_VECTORS_PLAIN;
#endif
}
