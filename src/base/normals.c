/* Compiled once for each set of vector instructions (base/meson.build): see normals.h. */
#include "base/normals.h"

#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* Products of the low halves of 64 bits. Compilers make six instructions of what the processor does in one. */
#if defined(__AVX512F__)
enum { WIDTH = 8 };
#define MULTIPLY(a, b) (lanes) _mm512_mul_epu32((__m512i)(a), (__m512i)(b))
#elif defined(__AVX2__)
enum { WIDTH = 4 };
#define MULTIPLY(a, b) (lanes) _mm256_mul_epu32((__m256i)(a), (__m256i)(b))
#elif defined(__SSE2__)
enum { WIDTH = 2 };
#define MULTIPLY(a, b) (lanes) _mm_mul_epu32((__m128i)(a), (__m128i)(b))
#else
enum { WIDTH = 2 };
#define MULTIPLY(a, b) ((a) * (b))
#endif
/* Rounded once or twice: what is allowed to differ from weft_random_normal. */
#if defined(__FMA__)
#define FMA(a, b, c) __builtin_fma(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
enum { BLOCK = WEFT_NORMALS_BLOCK };

typedef uint64_t lanes __attribute__((vector_size(8 * WIDTH)));
typedef double reals __attribute__((vector_size(8 * WIDTH)));

static const uint64_t bits_of_2_52 = UINT64_C(0x4330000000000000);

/* Words 0 and 1 of the blocks of Philox (random.c) of WIDTH counters. */
static inline void philox(weft_random_key key, lanes counter, lanes *out0, lanes *out1)
{
    const lanes zero = {0}, m0 = zero + 0xD2511F53, m1 = zero + 0xCD9E8D57;
    lanes c0 = counter & 0xffffffff, c1 = counter >> 32, c2 = zero, c3 = zero;
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < 10; round++) {
        const lanes p0 = MULTIPLY(m0, c0), p1 = MULTIPLY(m1, c2);
        c0 = (p1 >> 32) ^ c1 ^ k0;
        c2 = (p0 >> 32) ^ c3 ^ k1;
        c1 = p1 & 0xffffffff;
        c3 = p0 & 0xffffffff;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    *out0 = c0;
    *out1 = c1;
}

/* What weft_random_normal makes of the two words, exactly. */
static void uniforms(weft_random_key key, uint64_t counter, double *u, double *v)
{
    lanes at;
    for (int i = 0; i < WIDTH; i++) at[i] = counter + (uint64_t)i;
    for (int i = 0; i < BLOCK; i += WIDTH, at += WIDTH) {
        lanes w0, w1;
        philox(key, at, &w0, &w1);
        const reals x = ((reals)(w0 | bits_of_2_52) - 0x1p52 + 0.5) * 0x1p-32;
        const reals y = ((reals)(w1 | bits_of_2_52) - 0x1p52) * 0x1p-32;
        memcpy(u + i, &x, sizeof x);
        memcpy(v + i, &y, sizeof y);
    }
}

/* u = 2^e m with m from sqrt(1/2) to sqrt(2); log m = 2 artanh s = 2 (s + s^3 / 3 + ...) with s = (m - 1) / (m + 1),
 * which is at most 0.172: the terms from s^23 on are below 2^-60 of the sum. */
static inline double logarithm(double u)
{
    const uint64_t root = UINT64_C(0x3fe6a09e667f3bcd), fraction = UINT64_C(0x000fffffffffffff);
    uint64_t bits, above;
    double m, e;
    memcpy(&bits, &u, sizeof bits);
    above = bits - root;
    bits = (above & fraction) + root;
    memcpy(&m, &bits, sizeof m);
    bits = (above >> 52 ^ 0x800) | bits_of_2_52; /* e + 2048, twelve bits of two's complement made positive */
    memcpy(&e, &bits, sizeof e);
    e -= 0x1p52 + 2048;
    const double s = (m - 1) / (m + 1), z = s * s;
    double sum = 1.0 / 21;
    for (int n = 19; n > 1; n -= 2) sum = FMA(sum, z, 1.0 / n);
    return FMA(e, 0x1.62e42fefa39efp-1, 2 * FMA(sum * z, s, s));
}

/* cos x = -sin(x - pi / 2) = sin(x - 3 pi / 2), whichever is of less than a quarter turn: Taylor's series, whose terms
 * from y^23 on are below 2^-59 of the sum. pi is the sum of three doubles, the first two of which have few enough bits
 * for exact products: a difference as small as 2^-54 is exact to all its bits. */
static inline double cosine(double v)
{
    static const double terms[] = {-1 / 121645100408832000.0,
                                   1 / 355687428096000.0,
                                   -1 / 1307674368000.0,
                                   1 / 6227020800.0,
                                   -1 / 39916800.0,
                                   1 / 362880.0,
                                   -1 / 5040.0,
                                   1 / 120.0,
                                   -1 / 6.0};
    const double x = 6.283185307179586476925 * v, turn = v + 0x1p52 - 0x1p52, half = turn + 0.5; /* turn: 0 or 1 */
    const double rest = x - half * 0x1.921fb544p+1 - half * 0x1.0b4611a6p-33;
    const double y = FMA(half, -0x1.3198a2e037073p-68, rest), z = y * y;
    double sum = 1 / 51090942171709440000.0; /* 1 / 21! */
    for (int i = 0; i < 9; i++) sum = FMA(sum, z, terms[i]);
    return (2 * turn - 1) * FMA(sum * z, y, y);
}

static void logarithms(double *u)
{
    for (int i = 0; i < BLOCK; i++) u[i] = logarithm(u[i]);
}

static void cosines(double *v)
{
    for (int i = 0; i < BLOCK; i++) v[i] = cosine(v[i]);
}

static void block(weft_random_key key, uint64_t counter, double deviation, float *out)
{
    double u[BLOCK], v[BLOCK];
    float other[BLOCK];
    uniforms(key, counter, u, v);
    logarithms(u);
    cosines(v);
    for (int i = 0; i < BLOCK; i++) {
        const double normal = deviation * (sqrt(-2.0 * u[i]) * v[i]);
        out[i] = (float)(normal * (1 - 0x1p-47));
        other[i] = (float)(normal * (1 + 0x1p-47));
    }
    int doubts = 0;
    for (int i = 0; i < BLOCK; i++) doubts += out[i] != other[i];
    for (int i = 0; doubts > 0 && i < BLOCK; i++)
        if (out[i] != other[i]) out[i] = (float)(deviation * weft_random_normal(key, counter + (uint64_t)i));
}

extern const weft_normals WEFT_NORMALS_NAME;
const weft_normals WEFT_NORMALS_NAME = {WEFT_NORMALS_SET, logarithms, cosines, block};
