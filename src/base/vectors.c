#include "base/vectors.h"

#if defined(__x86_64__)
static bool runs_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#else
static bool runs_avx2(void)
{
    return false;
}

static bool runs_avx512(void)
{
    return false;
}
#endif

bool weft_vectors_run(weft_vectors set)
{
    return set == WEFT_VECTORS_PLAIN || (set == WEFT_VECTORS_AVX2 && runs_avx2()) ||
           (set == WEFT_VECTORS_AVX512 && runs_avx512());
}
