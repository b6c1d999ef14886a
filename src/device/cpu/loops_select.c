#include "device/cpu/loops.h"

extern const weft_cpu_loops weft_cpu_loops_plain_fp32, weft_cpu_loops_plain_bf16;
#if defined(__x86_64__)
extern const weft_cpu_loops weft_cpu_loops_avx2_fp32, weft_cpu_loops_avx2_bf16;
extern const weft_cpu_loops weft_cpu_loops_avx512_fp32, weft_cpu_loops_avx512_bf16;
#endif

static bool runs_anywhere(void)
{
    return true;
}

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
#endif

static const struct {
    bool (*runs)(void);
    const weft_cpu_loops *fp32, *bf16;
} sets[WEFT_CPU_LOOP_SETS] = {
    {runs_anywhere, &weft_cpu_loops_plain_fp32, &weft_cpu_loops_plain_bf16},
#if defined(__x86_64__)
    {runs_avx2, &weft_cpu_loops_avx2_fp32, &weft_cpu_loops_avx2_bf16},
    {runs_avx512, &weft_cpu_loops_avx512_fp32, &weft_cpu_loops_avx512_bf16},
#endif
};

const weft_cpu_loops *weft_cpu_loops_get(int set, weft_element element)
{
    if (sets[set].runs == NULL || !sets[set].runs()) return NULL;
    return element == WEFT_BF16 ? sets[set].bf16 : sets[set].fp32;
}

const weft_cpu_loops *weft_cpu_loops_select(weft_element element)
{
    int set = WEFT_CPU_LOOP_SETS - 1;
    while (weft_cpu_loops_get(set, element) == NULL) set--;
    return weft_cpu_loops_get(set, element);
}
