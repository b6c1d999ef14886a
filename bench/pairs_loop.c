#include "pairs_loop.h"

#include "base/clock.h"

#include <math.h>
#include <stdint.h>

#ifdef __AVX512BF16__
#include <immintrin.h>

/* As many sums as hide the instruction's latency and fit into the registers; the assembly keeps them apart. */
enum { SUMS = 24, ROUNDS = 20000, FLOPS = 64 };

#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 24")
#endif

static float loop(void)
{
    __m512 sum[SUMS];
    __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f803f80), y = x;
    UNROLLED
    for (int i = 0; i < SUMS; i++) {
        sum[i] = _mm512_setzero_ps();
        __asm__("" : "+v"(sum[i]));
    }
    for (int64_t r = 0; r < ROUNDS; r++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
        UNROLLED
        for (int i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], x, y);
    }
    float all = 0.0f;
    UNROLLED
    for (int i = 0; i < SUMS; i++) all += _mm512_reduce_add_ps(sum[i]);
    return all;
}

double bench_pairs_rate(int threads, double seconds)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bf16")) return 0.0;
    double best = INFINITY;
    volatile float unused = 0.0f;
    for (double end = weft_clock_seconds() + seconds; best == INFINITY || weft_clock_seconds() < end;) {
        const double begin = weft_clock_seconds();
        float all = 0.0f;
#pragma omp parallel num_threads(threads) reduction(+ : all)
        all += loop();
        best = fmin(best, weft_clock_seconds() - begin);
        unused = all;
    }
    (void)unused;
    return (double)threads * ROUNDS * SUMS * FLOPS / best;
}
#else
double bench_pairs_rate(int threads, double seconds)
{
    (void)threads;
    (void)seconds;
    return 0.0;
}
#endif
