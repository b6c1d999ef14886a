/*
 * Compiled once for each instruction set and storage type (meson.build): WEFT_LOOPS_NAME is the table's name,
 * WEFT_LOOPS_SET the instruction set's, WEFT_LOOPS_BF16 is 1 when storage is bf16.
 */
#include "device/cpu/loops.h"
#include "device/cpu/loops_activation.h"
#include "device/cpu/loops_loss.h"
#include "device/cpu/loops_math.h"
#include "device/cpu/loops_norm.h"

#include <math.h>

static const float LEAST_SCORE = -3e38f; /* its exponential is 0 */

static void add(int64_t count, const void *a_, const void *b_, void *out_)
{
    const storage *a = a_, *b = b_;
    storage *out = out_;
    if (b == NULL) {
        memcpy(out, a, (size_t)count * sizeof(storage));
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++) out[i] = store(load(a[i]) + load(b[i]));
}

/* Longer sums pass through a block that stays in the nearest cache: out, which may be a part that is still to be read,
 * is written last, and each part comes from memory once. */
#define SUM(name, type, read, write)                                                                                   \
    static void name##_block(int64_t count, int64_t at, int32_t parts, const void *const *from, type *out)             \
    {                                                                                                                  \
        float sums[SUM_BLOCK];                                                                                         \
        const type *a = (const type *)from[0] + at, *b = (const type *)from[1] + at;                                   \
        const type *last = (const type *)from[parts - 1] + at;                                                         \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) sums[i] = read(a[i]) + read(b[i]);                     \
        for (int32_t part = 2; part < parts - 1; part++) {                                                             \
            const type *more = (const type *)from[part] + at;                                                          \
            _Pragma("omp simd") for (int64_t i = 0; i < count; i++) sums[i] += read(more[i]);                          \
        }                                                                                                              \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) out[at + i] = write(sums[i] + read(last[i]));          \
    }                                                                                                                  \
    static void name(int64_t begin, int64_t end, int32_t parts, const void *const *from, void *out_)                   \
    {                                                                                                                  \
        const type *a = from[0];                                                                                       \
        type *out = out_;                                                                                              \
        if (parts == 1 && out != a && begin < end) {                                                                   \
            memcpy(out + begin, a + begin, (size_t)(end - begin) * sizeof(type));                                      \
        } else if (parts == 2) {                                                                                       \
            const type *b = from[1];                                                                                   \
            _Pragma("omp simd") for (int64_t i = begin; i < end; i++) out[i] = write(read(a[i]) + read(b[i]));         \
        }                                                                                                              \
        for (int64_t at = begin; at < end && parts > 2; at += SUM_BLOCK)                                               \
            name##_block(end - at < SUM_BLOCK ? end - at : SUM_BLOCK, at, parts, from, out);                           \
    }
SUM(sum_storage, storage, load, store)
#if WEFT_LOOPS_BF16
SUM(sum_floats, float, (float), (float))
#else
#define sum_floats sum_storage
#endif

static void round_all(int64_t count, const float *from, void *to_)
{
    storage *to = to_;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = store_any(from[i]);
}

static void widen(int64_t count, const void *from_, float *to)
{
    const storage *from = from_;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = load(from[i]);
}

static void add_row(int64_t count, const void *row_, bool accumulate, float *sum)
{
    const storage *row = row_;
    if (!accumulate) {
        widen(count, row, sum);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++) sum[i] += load(row[i]);
}

/* Columns of a score row that are worked on: whole vectors where the row has them, since a scalar rest would cost as
 * much as a short row itself. What lies past the row's own key, and before the first that it sees, is made zero
 * afterwards. */
static int64_t whole_vectors(int64_t seen, int64_t keys)
{
    int64_t padded = (seen + LANES - 1) & ~(int64_t)(LANES - 1);
    return padded < keys ? padded : keys;
}

/* Of count scores the first `blind` and those from `seen` on are of keys that the row does not see. Returns the log of
 * the sum of all exponentials. */
static float softmax_row(int64_t blind, int64_t seen, int64_t count, float scale, float *scores, storage *probability)
{
    for (int64_t i = 0; i < blind; i++) scores[i] = LEAST_SCORE;
    for (int64_t i = seen; i < count; i++) scores[i] = LEAST_SCORE;
    float maximum = scale * row_maximum_fp32(count, scores), sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
        float e = exponential(FMA(scores[i], scale, -maximum));
        scores[i] = e;
        sum += e;
    }
    float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) probability[i] = store(scores[i] * inverse);
    return maximum + logf(sum);
}

static void softmax(int64_t rows, int64_t first, int64_t keys, const int64_t *low, float scale, float *scores_,
                    void *probability_, float *logsumexp)
{
    for (int64_t row = 0; row < rows; row++) {
        float *scores = scores_ + row * keys;
        storage *probability = (storage *)probability_ + row * keys;
        int64_t blind = low == NULL ? 0 : low[row], begin = blind & ~(int64_t)(LANES - 1);
        int64_t seen = first + row + 1, padded = whole_vectors(seen, keys);
        logsumexp[row] =
            softmax_row(blind - begin, seen - begin, padded - begin, scale, scores + begin, probability + begin);
        memset(probability, 0, (size_t)blind * sizeof(storage));
        memset(probability + seen, 0, (size_t)(keys - seen) * sizeof(storage));
    }
}

static void softmax_backward(int64_t rows, int64_t first, int64_t keys, const int64_t *low, float scale,
                             const float *scores_, const float *dprobability_, const float *logsumexp,
                             const float *delta, void *probability_, void *dscores_)
{
    int64_t last = low == NULL ? rows : 0; /* the rows before it see the key, those after it begin behind it */
    for (int64_t key = 0; key < keys; key++) {
        const float *scores = scores_ + key * rows, *dprobability = dprobability_ + key * rows;
        storage *probability = (storage *)probability_ + key * rows, *dscores = (storage *)dscores_ + key * rows;
        int64_t blind = key > first ? key - first : 0;
        while (last < rows && low[last] <= key) last++;
#pragma omp simd
        for (int64_t i = blind & ~(int64_t)(LANES - 1); i < last; i++) {
            float p = exponential(FMA(scores[i], scale, -logsumexp[i]));
            float d = scale * p * (dprobability[i] - delta[i]);
            probability[i] = store(p);
            dscores[i] = store(d);
        }
        memset(probability, 0, (size_t)blind * sizeof(storage));
        memset(dscores, 0, (size_t)blind * sizeof(storage));
        memset(probability + last, 0, (size_t)(rows - last) * sizeof(storage));
        memset(dscores + last, 0, (size_t)(rows - last) * sizeof(storage));
    }
}

static void gather(int64_t rows, int64_t columns, int64_t from_stride, const void *from_, int64_t to_stride, void *to_)
{
    for (int64_t row = 0; row < rows; row++) {
        memcpy((storage *)to_ + row * to_stride, (const storage *)from_ + row * from_stride,
               (size_t)columns * sizeof(storage));
    }
}

static float dot(int64_t count, const void *a_, const void *b_)
{
    const storage *a = a_, *b = b_;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += load(a[i]) * load(b[i]);
    return sum;
}

static void attend(int64_t keys, int64_t D, int64_t stride, float scale, const void *query, const void *key_,
                   const void *value_, float *scores, void *out_)
{
    const storage *key = key_, *value = value_;
    storage *out = out_;
    float *sums = scores + keys, total = 0.0f;
    for (int64_t s = 0; s < keys; s++) scores[s] = scale * dot(D, query, key + s * stride);
    float maximum = row_maximum_fp32(keys, scores);
    for (int64_t d = 0; d < D; d++) sums[d] = 0.0f;
    for (int64_t s = 0; s < keys; s++) {
        float weight = exponential(scores[s] - maximum);
        total += weight;
#pragma omp simd
        for (int64_t d = 0; d < D; d++) sums[d] += weight * load(value[s * stride + d]);
    }
    for (int64_t d = 0; d < D; d++) out[d] = store(sums[d] / total);
}

enum { FETCHED = 1024 }; /* elements ahead: gradients that no cache holds come a third faster */

static double square_sum(int64_t count, const float *x)
{
    double lanes[LANES] = {0.0}, total = 0.0;
    int64_t whole = count - count % LANES;
    for (int64_t i = 0; i < whole; i += LANES) {
        __builtin_prefetch(&x[i + FETCHED < whole ? i + FETCHED : i]);
#pragma omp simd
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
    }
    for (int64_t i = whole; i < count; i++) lanes[i - whole] += (double)x[i] * (double)x[i];
    for (int lane = 0; lane < LANES; lane++) total += lanes[lane];
    return total;
}

static void adamw(int64_t count, const weft_step_scalars *scalars, bool decay, const float *gradient, float *weight,
                  float *moment1, float *moment2, void *storage_)
{
    storage *rounded = storage_;
    const float keep = decay ? 1.0f - scalars->learning_rate * scalars->weight_decay : 1.0f;
    const float rate1 = 1.0f - scalars->beta1, rate2 = 1.0f - scalars->beta2, beta2 = scalars->beta2;
    const float size = scalars->learning_rate / scalars->correction1, root = sqrtf(scalars->correction2);
    const float epsilon = scalars->epsilon, clip = scalars->clip_factor;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float g = gradient[i] * clip;
        float m = moment1[i] + rate1 * (g - moment1[i]);
        float v = moment2[i] * beta2 + rate2 * g * g;
        moment1[i] = m;
        moment2[i] = v;
        weight[i] = weight[i] * keep - size * (m / (sqrtf(v) / root + epsilon));
    }
    if (rounded != NULL) round_all(count, weight, rounded);
}

extern const weft_cpu_loops WEFT_LOOPS_NAME;
const weft_cpu_loops WEFT_LOOPS_NAME = {
    .name = WEFT_LOOPS_SET,
    .add = add,
    .sum = sum_storage,
    .sum_fp32 = sum_floats,
    .round = round_all,
    .widen = widen,
    .add_row = add_row,
    .column_sums = column_sums,
    .norm_forward = norm_forward,
    .norm_backward_input = norm_backward_input,
    .norm_backward_weight = norm_backward_weight,
    .gelu_forward = gelu_forward,
    .gelu_backward = gelu_backward,
    .swiglu_forward = swiglu_forward,
    .swiglu_backward = swiglu_backward,
    .rotary = rotary,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .gather = gather,
    .dot = dot,
    .attend = attend,
    .cross_entropy = cross_entropy,
    .loss_part = loss_part,
    .loss_gradient = loss_gradient,
    .square_sum = square_sum,
    .adamw = adamw,
};
