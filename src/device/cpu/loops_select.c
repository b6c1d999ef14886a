#include "device/cpu/loops.h"

extern const weft_cpu_loops weft_cpu_loops_plain_fp32, weft_cpu_loops_plain_bf16;
#if defined(__x86_64__)
extern const weft_cpu_loops weft_cpu_loops_avx2_fp32, weft_cpu_loops_avx2_bf16;
extern const weft_cpu_loops weft_cpu_loops_avx512_fp32, weft_cpu_loops_avx512_bf16;
#endif

static const struct {
    const weft_cpu_loops *fp32, *bf16;
} sets[WEFT_VECTOR_SETS] = {
    [WEFT_VECTORS_PLAIN] = {&weft_cpu_loops_plain_fp32, &weft_cpu_loops_plain_bf16},
#if defined(__x86_64__)
    [WEFT_VECTORS_AVX2] = {&weft_cpu_loops_avx2_fp32, &weft_cpu_loops_avx2_bf16},
    [WEFT_VECTORS_AVX512] = {&weft_cpu_loops_avx512_fp32, &weft_cpu_loops_avx512_bf16},
#endif
};

const weft_cpu_loops *weft_cpu_loops_get(weft_vectors set, weft_element element)
{
    if (set > weft_vectors_widest()) return NULL;
    return element == WEFT_BF16 ? sets[set].bf16 : sets[set].fp32;
}

const weft_cpu_loops *weft_cpu_loops_select(weft_element element)
{
    return weft_cpu_loops_get(weft_vectors_widest(), element);
}
