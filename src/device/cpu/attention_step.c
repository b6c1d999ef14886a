/*
 * Attention of a few new tokens against a cache of keys and values. There is too little of it for matrix products: each
 * head of each new token is a loop over the rows of the cache, and one thread does the whole of it.
 */
#include "device/cpu/cpu.h"

#include <math.h>
#include <omp.h>

enum { SHARED = 1 << 14 }; /* elements of keys that are worth a thread */

typedef struct step_call {
    const weft_cpu *cpu;
    const weft_attention *attention;
    int64_t past, rows, width; /* elements of a row of the cache */
    const void *qkv;
    void *cache, *out;
} step_call;

static int64_t qkv_width(const weft_attention *attention)
{
    return (attention->H + 2 * attention->G) * attention->D;
}

/* Keys and values of the new tokens, which lie behind their queries as they do in the cache. */
static void keep_keys(const step_call *call)
{
    const weft_attention *attention = call->attention;
    const int64_t from = attention->H * attention->D;
    for (int64_t b = 0; b < attention->B; b++)
        call->cpu->loops->gather(
            call->rows, call->width, qkv_width(attention),
            weft_cpu_at(call->cpu, call->qkv, b * call->rows * qkv_width(attention) + from), call->width,
            weft_cpu_at_mutable(call->cpu, call->cache, (b * attention->T + call->past) * call->width));
}

/* Head h of a row of all sequences' new ones. scores: (T + D) */
static void attend(const step_call *call, int64_t row, int64_t h, float *scores)
{
    const weft_attention *attention = call->attention;
    const int64_t D = attention->D, b = row / call->rows, t = call->past + row % call->rows;
    const int64_t reach = attention->window == 0 ? 0 : t - attention->window + 1, first = reach > 0 ? reach : 0;
    const int64_t g = h * attention->G / attention->H;
    const int64_t key = (b * attention->T + first) * call->width + g * D, value = key + attention->G * D;
    call->cpu->loops->attend(t - first + 1, D, call->width, 1.0f / sqrtf((float)D),
                             weft_cpu_at(call->cpu, call->qkv, row * qkv_width(attention) + h * D),
                             weft_cpu_at(call->cpu, call->cache, key), weft_cpu_at(call->cpu, call->cache, value),
                             scores, weft_cpu_at_mutable(call->cpu, call->out, (row * attention->H + h) * D));
}

void weft_cpu_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention, int64_t past,
                             int64_t rows, const void *qkv, void *cache, void *out, void *workspace)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const step_call call = {.cpu = weft_cpu_of(device),
                            .attention = attention,
                            .past = past,
                            .rows = rows,
                            .width = 2 * attention->G * attention->D,
                            .qkv = qkv,
                            .cache = cache,
                            .out = out};
    const int64_t H = attention->H, scratch = weft_cpu_whole(attention->T + attention->D, WEFT_ALIGNMENT / 4);
    keep_keys(&call);
    const int64_t heads = attention->B * rows * H;
    const int team = weft_cpu_team(device, heads * (past + rows) * attention->D / SHARED);
#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t i = 0; i < heads; i++)
        attend(&call, i / H, i % H, (float *)workspace + scratch * omp_get_thread_num());
    weft_cpu_between(device);
}
