#include "device/cpu/loops.h"

extern const weft_cpu_loops weft_cpu_loops_plain_fp32, weft_cpu_loops_plain_bf16;
#if defined(__x86_64__)
extern const weft_cpu_loops weft_cpu_loops_avx2_fp32, weft_cpu_loops_avx2_bf16;
extern const weft_cpu_loops weft_cpu_loops_avx512_fp32, weft_cpu_loops_avx512_bf16;
#endif

const weft_cpu_loops *weft_cpu_loops_select(weft_element element)
{
    bool bf16 = element == WEFT_BF16;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma")) {
        return bf16 ? &weft_cpu_loops_avx512_bf16 : &weft_cpu_loops_avx512_fp32;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return bf16 ? &weft_cpu_loops_avx2_bf16 : &weft_cpu_loops_avx2_fp32;
    }
#endif
    return bf16 ? &weft_cpu_loops_plain_bf16 : &weft_cpu_loops_plain_fp32;
}
