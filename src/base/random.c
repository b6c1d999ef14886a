#include "base/random.h"

#include <math.h>

typedef struct {
    uint32_t word[4];
} philox_block;

static philox_block philox(weft_random_key key, uint64_t counter)
{
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = UINT64_C(0xD2511F53) * c[0], p1 = UINT64_C(0xCD9E8D57) * c[2];
        uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1,
                            (uint32_t)p0};
        for (int i = 0; i < 4; i++) c[i] = next[i];
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    return (philox_block){{c[0], c[1], c[2], c[3]}};
}

weft_random_key weft_random_key_make(uint64_t seed, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a over the name, then mixed with the seed */
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) hash = (hash ^ *c) * UINT64_C(0x100000001b3);
    philox_block mixed = philox((weft_random_key){{(uint32_t)seed, (uint32_t)(seed >> 32)}}, hash);
    return (weft_random_key){{mixed.word[0], mixed.word[1]}};
}

uint64_t weft_random_bits(weft_random_key key, uint64_t counter)
{
    philox_block block = philox(key, counter);
    return (uint64_t)block.word[1] << 32 | block.word[0];
}

double weft_random_uniform(weft_random_key key, uint64_t counter)
{
    return (double)(weft_random_bits(key, counter) >> 11) * 0x1p-53;
}

double weft_random_normal(weft_random_key key, uint64_t counter)
{
    philox_block block = philox(key, counter);
    double u = ((double)block.word[0] + 0.5) * 0x1p-32, v = (double)block.word[1] * 0x1p-32;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

uint64_t weft_random_permute(weft_random_key key, uint64_t index, uint64_t count)
{
    int half = 1; /* a four-round Feistel network on 2 * half bits, walked until it lands below count */
    while (half < 32 && UINT64_C(1) << (2 * half) < count) half++;
    uint64_t mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t swap = left ^ (weft_random_bits(key, right << 8 | round) & mask);
            left = right;
            right = swap;
        }
        index = left << half | right;
    } while (index >= count);
    return index;
}
