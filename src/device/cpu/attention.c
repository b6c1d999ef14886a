/*
 * Causal attention in blocks of query rows, after FlashAttention (Dao et al., arXiv 2205.14135 and 2307.08691): the
 * scores of one block against all keys up to its end exist at a time, and backward makes the probabilities again from
 * logsumexp. Keys that no row of the block sees, of other documents or beyond the window, are left out in whole blocks
 * where the products of fewer keys are there anyway. One thread does a whole (sequence, key and value head): its sums
 * over query blocks, and over the query heads that share the keys, are added in ascending order whatever the team.
 *
 * oneDNN's fast kernels want dense operands, so one head's rows are copied out of qkv and results copied back. Backward
 * works on transposed scores (keys, rows): two of the three products that read them need no transposition then, and
 * all rows of a block are equally long.
 */
#include "device/cpu/cpu.h"

#include <math.h>
#include <omp.h>

enum { BLOCK_ROWS = 128 };

/* The products of one block of query rows. */
typedef enum product_kind { SCORES, OUTPUT, TURNED_SCORES, DQUERY, DKEY, PRODUCTS } product_kind;

/* Query rows first .. first + rows - 1 see keys begin .. begin + keys - 1; each of them, not those before low[row]. */
typedef struct block {
    int64_t first, rows, begin, keys;
    const int64_t *low; /* (rows) counted from begin; NULL: 0 */
} block;

/* One thread's part of the workspace, all dense: rows of D elements for one head, of keys (or of query rows) for
 * scores. In fp32 probability is scores and dscores is dprobability. */
typedef struct buffers {
    float *scores, *dprobability, *delta, *dkey, *dvalue;
    void *probability, *dscores, *query, *dout, *result, *key, *value, *scratch;
} buffers;

typedef struct attention_call {
    weft_cpu *cpu;
    const weft_attention *attention;
    int64_t width, out_width; /* elements from row to row in qkv, and in out */
    size_t scratch, bytes;    /* of one thread: oneDNN's part and everything */
    char *workspace;
    const int32_t *documents;
    const void *qkv, *out, *dout;
    void *out_written, *dqkv;
    float *logsumexp_written;
    const float *logsumexp;
} attention_call;

static int64_t block_count(const weft_attention *attention)
{
    return weft_cpu_divide_up(attention->T, BLOCK_ROWS);
}

static block block_get(const weft_attention *attention, int64_t index)
{
    int64_t first = index * BLOCK_ROWS, left = attention->T - first;
    int64_t rows = left < BLOCK_ROWS ? left : BLOCK_ROWS;
    return (block){.first = first, .rows = rows, .keys = first + rows};
}

/* The block of sequence b, without the keys that none of its rows sees. low: room for BLOCK_ROWS. A block of less than
 * BLOCK_ROWS rows keeps them all: its products are made for that many keys only. */
static block block_seen(const weft_attention *attention, const int32_t *documents, int64_t b, int64_t index,
                        int64_t *low)
{
    block part = block_get(attention, index);
    if (documents == NULL && attention->window == 0) return part;
    for (int64_t r = 0; r < part.rows; r++) {
        const int64_t t = part.first + r, begin = documents == NULL ? 0 : documents[b * attention->T + t];
        const int64_t reach = attention->window == 0 ? 0 : t - attention->window + 1;
        low[r] = begin > reach ? begin : reach;
        low[r] = low[r] > 0 ? low[r] : 0;
    }
    if (part.rows == BLOCK_ROWS) part.begin = low[0] / BLOCK_ROWS * BLOCK_ROWS;
    for (int64_t r = 0; r < part.rows; r++) low[r] -= part.begin;
    part.keys -= part.begin;
    part.low = low;
    return part;
}

static weft_product_shape product_shape(const weft_attention *attention, const block *part, product_kind which)
{
    const int64_t D = attention->D, rows = part->rows, keys = part->keys;
    const weft_product_shape shapes[PRODUCTS] = {
        /* queries keys^T */
        [SCORES] = {.m = rows,
                    .n = keys,
                    .k = D,
                    .a_stride = D,
                    .b_stride = D,
                    .c_stride = keys,
                    .transpose_b = 1,
                    .c_fp32 = 1},
        /* probability values */
        [OUTPUT] = {.m = rows, .n = D, .k = keys, .a_stride = keys, .b_stride = D, .c_stride = D},
        /* keys queries^T, and values dout^T */
        [TURNED_SCORES] = {.m = keys,
                           .n = rows,
                           .k = D,
                           .a_stride = D,
                           .b_stride = D,
                           .c_stride = rows,
                           .transpose_b = 1,
                           .c_fp32 = 1},
        /* dscores keys */
        [DQUERY] = {.m = rows, .n = D, .k = keys, .a_stride = rows, .b_stride = D, .c_stride = D, .transpose_a = 1},
        /* dscores^T queries, and probability^T dout */
        [DKEY] = {.m = keys,
                  .n = D,
                  .k = rows,
                  .a_stride = rows,
                  .b_stride = D,
                  .c_stride = D,
                  .c_fp32 = 1,
                  .accumulate = 1},
    };
    return shapes[which];
}

static char *take(char **at, int64_t bytes)
{
    char *taken = *at;
    *at += weft_cpu_aligned(bytes);
    return taken;
}

/* Lays the buffers out from base on; returns the bytes of one thread. */
static size_t buffers_place(const weft_attention *attention, weft_element element, size_t scratch, char *base,
                            buffers *out)
{
    char *at = base;
    const int64_t cells = BLOCK_ROWS * attention->T, sums = attention->T * attention->D,
                  rows = BLOCK_ROWS * attention->D;
    const int64_t bytes = (int64_t)weft_element_bytes(element);
    out->scores = (float *)take(&at, cells * 4);
    out->dprobability = (float *)take(&at, cells * 4);
    out->probability = element == WEFT_FP32 ? (char *)out->scores : take(&at, cells * bytes);
    out->dscores = element == WEFT_FP32 ? (char *)out->dprobability : take(&at, cells * bytes);
    out->delta = (float *)take(&at, BLOCK_ROWS * 4);
    out->dkey = (float *)take(&at, sums * 4);
    out->dvalue = (float *)take(&at, sums * 4);
    out->query = take(&at, rows * bytes);
    out->dout = take(&at, rows * bytes);
    out->result = take(&at, rows * bytes);
    out->key = take(&at, sums * bytes);
    out->value = take(&at, sums * bytes);
    out->scratch = take(&at, (int64_t)scratch);
    return (size_t)(at - base);
}

size_t weft_cpu_attention_workspace(const weft_device_options *options, const weft_attention *attention)
{
    size_t largest = 0;
    for (int64_t i = 0; i < block_count(attention); i++) {
        block part = block_get(attention, i);
        for (int which = 0; which < PRODUCTS; which++) {
            weft_product_shape shape = product_shape(attention, &part, (product_kind)which);
            size_t scratch = weft_onednn_scratch(options->element, &shape);
            if (scratch > largest) largest = scratch;
        }
    }
    buffers unused;
    char dummy[1];
    return buffers_place(attention, options->element, largest, dummy, &unused) * (size_t)options->threads;
}

/* Makes the products of all blocks before the team starts. */
static bool prepare(attention_call *call, product_kind begin, product_kind end)
{
    weft_cpu *cpu = call->cpu;
    for (int64_t i = 0; i < block_count(call->attention); i++) {
        block part = block_get(call->attention, i);
        for (product_kind which = begin; which < end; which++) {
            weft_product_shape shape = product_shape(call->attention, &part, which);
            if (weft_onednn_prepare(cpu->onednn, &shape, &cpu->base.error) != WEFT_OK) return false;
            size_t scratch = weft_product_scratch(weft_onednn_find(cpu->onednn, &shape));
            if (scratch > call->scratch) call->scratch = scratch;
        }
    }
    buffers unused;
    call->bytes = buffers_place(call->attention, cpu->base.element, call->scratch, call->workspace, &unused);
    return true;
}

static bool run(const attention_call *call, const block *part, product_kind which, const buffers *own, const void *a,
                const void *b, void *c)
{
    weft_product_shape shape = product_shape(call->attention, part, which);
    const weft_product *product = weft_onednn_find(call->cpu->onednn, &shape);
    return weft_product_run(call->cpu->onednn, product, omp_get_thread_num(), a, b, NULL, c, own->scratch);
}

/* Element offset in qkv of column `column` in the first row of sequence b. */
static int64_t qkv_offset(const attention_call *call, int64_t b, int64_t column)
{
    return b * call->attention->T * call->width + column;
}

static int64_t key_column(const weft_attention *attention, int64_t g)
{
    return (attention->H + g) * attention->D;
}

static int64_t value_column(const weft_attention *attention, int64_t g)
{
    return (attention->H + attention->G + g) * attention->D;
}

static bool forward_block(const attention_call *call, const buffers *own, int64_t b, int64_t h, const block *part)
{
    const weft_attention *attention = call->attention;
    const weft_cpu *cpu = call->cpu;
    const int64_t D = attention->D, row = b * attention->T + part->first;
    const void *key = weft_cpu_at(cpu, own->key, part->begin * D);
    const void *value = weft_cpu_at(cpu, own->value, part->begin * D);
    float *logsumexp = call->logsumexp_written + (b * attention->H + h) * attention->T + part->first;
    cpu->loops->gather(part->rows, D, call->width, weft_cpu_at(cpu, call->qkv, row * call->width + h * D), D,
                       own->query);
    if (!run(call, part, SCORES, own, own->query, key, own->scores)) return false;
    cpu->loops->softmax(part->rows, part->first - part->begin, part->keys, part->low, 1.0f / sqrtf((float)D),
                        own->scores, own->probability, logsumexp);
    if (!run(call, part, OUTPUT, own, own->probability, value, own->result)) return false;
    void *out = weft_cpu_at_mutable(cpu, call->out_written, row * call->out_width + h * D);
    cpu->loops->gather(part->rows, D, D, own->result, call->out_width, out);
    return true;
}

/* delta = dout . out in each row, which is the sum of probability dprobability. */
static void deltas(const attention_call *call, const buffers *own, const block *part, const void *out)
{
    const int64_t D = call->attention->D;
    for (int64_t r = 0; r < part->rows; r++) {
        own->delta[r] = call->cpu->loops->dot(D, weft_cpu_at(call->cpu, own->dout, r * D),
                                              weft_cpu_at(call->cpu, out, r * call->out_width));
    }
}

static bool backward_block(const attention_call *call, const buffers *own, int64_t b, int64_t h, const block *part)
{
    const weft_attention *attention = call->attention;
    const weft_cpu *cpu = call->cpu;
    const int64_t D = attention->D, row = b * attention->T + part->first;
    const int64_t query = row * call->width + h * D, out = row * call->out_width + h * D, from = part->begin * D;
    const void *key = weft_cpu_at(cpu, own->key, from), *value = weft_cpu_at(cpu, own->value, from);
    const float *logsumexp = call->logsumexp + (b * attention->H + h) * attention->T + part->first;
    cpu->loops->gather(part->rows, D, call->width, weft_cpu_at(cpu, call->qkv, query), D, own->query);
    cpu->loops->gather(part->rows, D, call->out_width, weft_cpu_at(cpu, call->dout, out), D, own->dout);
    deltas(call, own, part, weft_cpu_at(cpu, call->out, out));
    if (!run(call, part, TURNED_SCORES, own, key, own->query, own->scores)) return false;
    if (!run(call, part, TURNED_SCORES, own, value, own->dout, own->dprobability)) return false;
    cpu->loops->softmax_backward(part->rows, part->first - part->begin, part->keys, part->low, 1.0f / sqrtf((float)D),
                                 own->scores, own->dprobability, logsumexp, own->delta, own->probability, own->dscores);
    if (!run(call, part, DQUERY, own, own->dscores, key, own->result)) return false;
    cpu->loops->gather(part->rows, D, D, own->result, call->width, weft_cpu_at_mutable(cpu, call->dqkv, query));
    return run(call, part, DKEY, own, own->dscores, own->query, own->dkey + from) &&
           run(call, part, DKEY, own, own->probability, own->dout, own->dvalue + from);
}

/* Rounds the sums of one key and value head into dqkv. */
static void store_keys(const attention_call *call, const buffers *own, int64_t b, int64_t g)
{
    const weft_attention *attention = call->attention;
    const weft_cpu *cpu = call->cpu;
    const int64_t D = attention->D;
    int64_t key = qkv_offset(call, b, key_column(attention, g));
    int64_t value = qkv_offset(call, b, value_column(attention, g));
    for (int64_t t = 0; t < attention->T; t++) {
        cpu->loops->round(D, own->dkey + t * D, weft_cpu_at_mutable(cpu, call->dqkv, key + t * call->width));
        cpu->loops->round(D, own->dvalue + t * D, weft_cpu_at_mutable(cpu, call->dqkv, value + t * call->width));
    }
}

/* All of one key and value head of one sequence. */
static bool head_run(const attention_call *call, const buffers *own, bool backward, int64_t b, int64_t g)
{
    const weft_attention *attention = call->attention;
    const int64_t group = attention->H / attention->G;
    const size_t sums = (size_t)(attention->T * attention->D) * sizeof(float);
    const weft_cpu *cpu = call->cpu;
    const void *key = weft_cpu_at(cpu, call->qkv, qkv_offset(call, b, key_column(attention, g)));
    const void *value = weft_cpu_at(cpu, call->qkv, qkv_offset(call, b, value_column(attention, g)));
    cpu->loops->gather(attention->T, attention->D, call->width, key, attention->D, own->key);
    cpu->loops->gather(attention->T, attention->D, call->width, value, attention->D, own->value);
    if (backward) {
        memset(own->dkey, 0, sums);
        memset(own->dvalue, 0, sums);
    }
    for (int64_t h = g * group; h < (g + 1) * group; h++) {
        for (int64_t i = 0; i < block_count(attention); i++) {
            int64_t low[BLOCK_ROWS];
            block part = block_seen(attention, call->documents, b, i, low);
            bool good = (backward ? backward_block : forward_block)(call, own, b, h, &part);
            if (!good) return false;
            if (omp_get_thread_num() == 0) weft_cpu_between(&call->cpu->base);
        }
    }
    if (backward) store_keys(call, own, b, g);
    return true;
}

static void attention_run(attention_call *call, bool backward)
{
    const weft_attention *attention = call->attention;
    weft_device *device = &call->cpu->base;
    call->width = (attention->H + 2 * attention->G) * attention->D;
    call->out_width = attention->H * attention->D;
    if (!prepare(call, backward ? TURNED_SCORES : SCORES, backward ? PRODUCTS : TURNED_SCORES)) return;
    int failed = 0;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, 1) reduction(| : failed)
    for (int64_t i = 0; i < attention->B * attention->G; i++) {
        buffers own;
        char *base = call->workspace + call->bytes * (size_t)omp_get_thread_num();
        (void)buffers_place(attention, device->element, call->scratch, base, &own);
        failed |= !head_run(call, &own, backward, i / attention->G, i % attention->G);
    }
    if (failed) weft_fail(&device->error, WEFT_FAILED, "device cpu: oneDNN failed in a matrix product of attention");
    weft_cpu_between(device);
}

void weft_cpu_attention_forward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                const int32_t *documents, const void *qkv, void *out, float *logsumexp, void *workspace)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    attention_call call = {.cpu = weft_cpu_of(device),
                           .attention = attention,
                           .workspace = workspace,
                           .documents = documents,
                           .qkv = qkv,
                           .out_written = out,
                           .logsumexp_written = logsumexp};
    attention_run(&call, false);
}

void weft_cpu_attention_backward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                 const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                                 const void *dout, void *dqkv, void *workspace)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    attention_call call = {.cpu = weft_cpu_of(device),
                           .attention = attention,
                           .workspace = workspace,
                           .documents = documents,
                           .qkv = qkv,
                           .out = out,
                           .logsumexp = logsumexp,
                           .dout = dout,
                           .dqkv = dqkv};
    attention_run(&call, true);
}
