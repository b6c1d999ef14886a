#include "base/normals.h"

#include <stddef.h>
#include <string.h>

extern const weft_normals weft_normals_plain;
#if defined(__x86_64__)
extern const weft_normals weft_normals_avx2, weft_normals_avx512;
#endif

static const weft_normals *const sets[WEFT_VECTOR_SETS] = {
    [WEFT_VECTORS_PLAIN] = &weft_normals_plain,
#if defined(__x86_64__)
    [WEFT_VECTORS_AVX2] = &weft_normals_avx2,
    [WEFT_VECTORS_AVX512] = &weft_normals_avx512,
#endif
};

const weft_normals *weft_normals_get(weft_vectors set)
{
    return set <= weft_vectors_widest() ? sets[set] : NULL;
}

void weft_random_normals(weft_random_key key, uint64_t counter, double deviation, int64_t count, float *out)
{
    enum { BLOCK = WEFT_NORMALS_BLOCK };
    const weft_normals *normals = sets[weft_vectors_widest()];
    for (; count >= BLOCK; count -= BLOCK, counter += BLOCK, out += BLOCK) normals->block(key, counter, deviation, out);
    if (count <= 0) return;
    float last[BLOCK];
    normals->block(key, counter, deviation, last);
    memcpy(out, last, (size_t)count * sizeof *out);
}
