/*
 * Compiled once for each instruction set and storage type (meson.build): WEFT_LOOPS_NAME is the table's name,
 * WEFT_LOOPS_SET the instruction set's, WEFT_LOOPS_BF16 is 1 when storage is bf16.
 */
#include "device/cpu/loops.h"
#include "device/cpu/loops_math.h"

#include <math.h>

static const float LEAST_SCORE = -3e38f; /* its exponential is 0 */

enum { COLUMNS = 1024, ROWS_AHEAD = 4, SUM_BLOCK = 2048, LANES = 16, MAXIMUM_LANES = 64 };
enum { STREAM_BLOCK = 256, STREAM_AHEAD = 1024, LINE_BYTES = 64 }; /* elements, elements, bytes */

/* Activations come from memory once; a processor's own prefetching stops at every page. */
static inline void fetch_ahead(const storage *x)
{
    uintptr_t line = (uintptr_t)x + STREAM_AHEAD * sizeof(storage); /* may lie past the end: a hint never faults */
    for (size_t i = 0; i < STREAM_BLOCK * sizeof(storage); i += LINE_BYTES)
        __builtin_prefetch((const void *)(line + i));
}

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

/* Where columns are summed a processor fetches a row's lines ahead, but not those of the row so many elements on. */
static inline void fetch_row(const storage *row, int64_t ahead, int64_t width)
{
    uintptr_t line = (uintptr_t)row + (size_t)ahead * sizeof(storage); /* may lie past the end */
    for (size_t i = 0; i < (size_t)width * sizeof(storage); i += LINE_BYTES)
        __builtin_prefetch((const void *)(line + i));
}

static void sums_finish(int64_t count, const float *from, bool accumulate, float *sum)
{
    for (int64_t i = 0; i < count; i++) sum[i] = accumulate ? sum[i] + from[i] : from[i];
}

static void column_sums(int64_t rows, int64_t stride, int64_t begin, int64_t end, const void *x_, bool accumulate,
                        float *sum)
{
    float sums[COLUMNS];
    for (int64_t c = begin; c < end; c += COLUMNS) {
        int64_t width = end - c < COLUMNS ? end - c : COLUMNS;
        memset(sums, 0, sizeof sums);
        for (int64_t row = 0; row < rows; row++) {
            const storage *x = (const storage *)x_ + row * stride + c;
            fetch_row(x, ROWS_AHEAD * stride, width);
#pragma omp simd
            for (int64_t i = 0; i < width; i++) sums[i] += load(x[i]);
        }
        sums_finish(width, sums, accumulate, sum + c);
    }
}

static float row_mean(int64_t width, const storage *x)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; i++) sum += load(x[i]);
    return sum / (float)width;
}

static float row_variance(int64_t width, const storage *x, float mean)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; i++) {
        float centred = load(x[i]) - mean;
        sum += centred * centred;
    }
    return sum / (float)width;
}

static void norm_forward(const weft_norm *norm, int64_t begin, int64_t end, const void *x_, const void *weight_,
                         const void *bias_, void *out_, float *mean, float *rstd)
{
    int64_t width = norm->width;
    const storage *weight = weight_, *bias = bias_;
    for (int64_t row = begin; row < end; row++) {
        const storage *x = (const storage *)x_ + weft_norm_at(norm, row);
        storage *out = (storage *)out_ + weft_norm_at(norm, row);
        float centre = norm->kind == WEFT_LAYERNORM ? row_mean(width, x) : 0.0f;
        float inverse = 1.0f / sqrtf(row_variance(width, x, centre) + norm->epsilon);
        if (bias != NULL) {
#pragma omp simd
            for (int64_t i = 0; i < width; i++) {
                out[i] = store((load(x[i]) - centre) * inverse * load(weight[i]) + load(bias[i]));
            }
        } else {
#pragma omp simd
            for (int64_t i = 0; i < width; i++) out[i] = store((load(x[i]) - centre) * inverse * load(weight[i]));
        }
        if (norm->kind == WEFT_LAYERNORM) mean[row] = centre;
        rstd[row] = inverse;
    }
}

static void norm_backward_row(int64_t width, bool centred, const storage *dy, const storage *x, const storage *weight,
                              float mean, float rstd, const storage *residual, storage *dx)
{
    float sum = 0.0f, product = 0.0f;
#pragma omp simd reduction(+ : sum, product)
    for (int64_t i = 0; i < width; i++) {
        float scaled = load(dy[i]) * load(weight[i]);
        sum += scaled;
        product += scaled * ((load(x[i]) - mean) * rstd);
    }
    float mean1 = centred ? sum / (float)width : 0.0f, mean2 = product / (float)width;
    if (residual != NULL) {
#pragma omp simd
        for (int64_t i = 0; i < width; i++) {
            float part = load(dy[i]) * load(weight[i]) - mean1 - (load(x[i]) - mean) * rstd * mean2;
            dx[i] = store(load(residual[i]) + rstd * part);
        }
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        dx[i] = store(rstd * (load(dy[i]) * load(weight[i]) - mean1 - (load(x[i]) - mean) * rstd * mean2));
    }
}

static void norm_backward_input(const weft_norm *norm, int64_t begin, int64_t end, const void *dy, const void *x,
                                const void *weight, const float *mean, const float *rstd, const void *residual,
                                void *dx)
{
    bool centred = norm->kind == WEFT_LAYERNORM;
    for (int64_t row = begin; row < end; row++) {
        int64_t at = weft_norm_at(norm, row);
        const storage *add_to = residual == NULL ? NULL : (const storage *)residual + at;
        norm_backward_row(norm->width, centred, (const storage *)dy + at, (const storage *)x + at, weight,
                          centred ? mean[row] : 0.0f, rstd[row], add_to, (storage *)dx + at);
    }
}

static void norm_backward_weight(const weft_norm *norm, int64_t begin, int64_t end, const void *dy_, const void *x_,
                                 const float *mean, const float *rstd, bool accumulate, float *dweight, float *dbias)
{
    float weights[COLUMNS], biases[COLUMNS];
    for (int64_t c = begin; c < end; c += COLUMNS) {
        int64_t width = end - c < COLUMNS ? end - c : COLUMNS;
        memset(weights, 0, sizeof weights);
        memset(biases, 0, sizeof biases);
        for (int64_t row = 0; row < norm->rows; row++) {
            const storage *dy = (const storage *)dy_ + weft_norm_at(norm, row) + c;
            const storage *x = (const storage *)x_ + weft_norm_at(norm, row) + c;
            const int64_t ahead = weft_norm_at(norm, row + ROWS_AHEAD) - weft_norm_at(norm, row);
            fetch_row(dy, ahead, width);
            fetch_row(x, ahead, width);
            float centre = norm->kind == WEFT_LAYERNORM ? mean[row] : 0.0f, inverse = rstd[row];
#pragma omp simd
            for (int64_t i = 0; i < width; i++) {
                float slope = load(dy[i]);
                biases[i] += slope;
                weights[i] += slope * ((load(x[i]) - centre) * inverse);
            }
        }
        if (dweight != NULL) sums_finish(width, weights, accumulate, dweight + c);
        if (dbias != NULL) sums_finish(width, biases, accumulate, dbias + c);
    }
}

/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
static inline void gelu_forward_block(int64_t count, const storage *x, storage *out)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float value = load(x[i]), square = value * value;
        float twice = value * FMA(square, -0.0713548162726f, -1.59576912161f);
        out[i] = store(value / (1.0f + exponential(twice)));
    }
}

static void gelu_forward(int64_t count, const void *x_, void *out_)
{
    const storage *x = x_;
    storage *out = out_;
    for (int64_t at = 0; at < count; at += STREAM_BLOCK) {
        fetch_ahead(x + at);
        gelu_forward_block(count - at < STREAM_BLOCK ? count - at : STREAM_BLOCK, x + at, out + at);
    }
}

static inline void gelu_backward_block(int64_t count, const storage *x, const storage *dy, storage *dx)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float value = load(x[i]), square = value * value;
        float twice = value * FMA(square, -0.0713548162726f, -1.59576912161f);
        float e = exponential(twice), s = 1.0f / (1.0f + e);
        float slope = FMA(square, 0.214064448818f, 1.59576912161f);
        dx[i] = store(load(dy[i]) * s * FMA(value * slope, e * s, 1.0f));
    }
}

static void gelu_backward(int64_t count, const void *x_, const void *dy_, void *dx_)
{
    const storage *x = x_, *dy = dy_;
    storage *dx = dx_;
    for (int64_t at = 0; at < count; at += STREAM_BLOCK) {
        fetch_ahead(x + at);
        fetch_ahead(dy + at);
        gelu_backward_block(count - at < STREAM_BLOCK ? count - at : STREAM_BLOCK, x + at, dy + at, dx + at);
    }
}

static void swiglu_forward(int64_t width, const void *x_, void *out_)
{
    const storage *gate = x_, *up = gate + width;
    storage *out = out_;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        float value = load(gate[i]);
        out[i] = store(value / (1.0f + exponential(-value)) * load(up[i]));
    }
}

static void swiglu_backward(int64_t width, const void *x_, const void *dy_, void *dx_)
{
    const storage *gate = x_, *up = gate + width, *dy = dy_;
    storage *dgate = dx_, *dup = dgate + width;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        float value = load(gate[i]), slope = load(dy[i]), other = load(up[i]);
        float e = exponential(-value), s = 1.0f / (1.0f + e);
        dgate[i] = store(slope * other * s * FMA(value, e * s, 1.0f));
        dup[i] = store(slope * value * s);
    }
}

static void rotary(int64_t heads, int64_t D, const float *cosine, const float *sine, float direction, void *x_)
{
    int64_t half = D / 2;
    for (int64_t head = 0; head < heads; head++) {
        storage *low = (storage *)x_ + head * D, *high = low + half;
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float a = load(low[i]), b = load(high[i]), c = cosine[i], s = direction * sine[i];
            low[i] = store(a * c - b * s);
            high[i] = store(b * c + a * s);
        }
    }
}

static inline float larger(float value, float maximum)
{
    return value > maximum ? value : maximum;
}

static float lanes_maximum(float *lanes)
{
    for (int half = MAXIMUM_LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) lanes[lane] = larger(lanes[lane + half], lanes[lane]);
    }
    return lanes[0];
}

/* Lanes are compared one by one, since a compiler may not reorder a maximum that could meet a NaN. A NaN is passed
 * over: it comes out in the sum of exponentials. */
#define ROW_MAXIMUM(name, type, read)                                                                                  \
    static float name(int64_t count, const type *x)                                                                    \
    {                                                                                                                  \
        float lanes[MAXIMUM_LANES];                                                                                    \
        int64_t i = 0;                                                                                                 \
        for (int lane = 0; lane < MAXIMUM_LANES; lane++) lanes[lane] = -INFINITY;                                      \
        for (; i + MAXIMUM_LANES <= count; i += MAXIMUM_LANES) {                                                       \
            for (int lane = 0; lane < MAXIMUM_LANES; lane++) lanes[lane] = larger(read(x[i + lane]), lanes[lane]);     \
        }                                                                                                              \
        for (; i + LANES <= count; i += LANES) {                                                                       \
            for (int lane = 0; lane < LANES; lane++) lanes[lane] = larger(read(x[i + lane]), lanes[lane]);             \
        }                                                                                                              \
        for (; i < count; i++) lanes[0] = larger(read(x[i]), lanes[0]);                                                \
        return lanes_maximum(lanes);                                                                                   \
    }
ROW_MAXIMUM(row_maximum, storage, load)
#if WEFT_LOOPS_BF16
ROW_MAXIMUM(row_maximum_fp32, float, (float))
#else
#define row_maximum_fp32 row_maximum
#endif

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

/* e^(x - maximum), kept for the gradient. Blocks are summed in fp32 and added in double, so that a long row loses
 * nothing.
 */
static double exponential_sum(int64_t count, const storage *x, float maximum, float *kept)
{
    double total = 0.0;
    for (int64_t begin = 0; begin < count; begin += SUM_BLOCK) {
        int64_t end = count - begin < SUM_BLOCK ? count : begin + SUM_BLOCK;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = begin; i < end; i++) {
            kept[i] = exponential(load(x[i]) - maximum);
            sum += kept[i];
        }
        total += (double)sum;
    }
    return total;
}

static double logit_sum(int64_t count, const storage *x)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += (double)load(x[i]);
    return sum;
}

static weft_row_loss cross_entropy(const weft_loss *loss, void *logits_, int32_t target, float scale, bool gradient,
                                   float *row)
{
    const int64_t V = loss->width;
    storage *logits = logits_;
    float maximum = row_maximum(V, logits);
    double sum = exponential_sum(V, logits, maximum, row), logsumexp = log(sum) + (double)maximum;
    double all = loss->smoothing > 0 ? logit_sum(V, logits) : 0.0;
    weft_row_loss of = weft_row_loss_make(loss, logsumexp, (double)load(logits[target]), all);
    if (!gradient) return of;
    weft_loss_slope slope = weft_loss_slope_make(loss, logsumexp, sum, scale);
#pragma omp simd
    for (int64_t i = 0; i < V; i++) logits[i] = store(row[i] * slope.factor - slope.even);
    logits[target] = store(FMA(row[target], slope.factor, -(slope.hit + slope.even)));
    return of;
}

/* A slice that is -INFINITY all over has exponentials of 0, not NaN: other slices may have more. */
static void loss_part(const weft_loss *loss, const void *logits_, int64_t target, float *row, float *stats)
{
    const int64_t V = loss->width;
    const storage *logits = logits_;
    float largest = row_maximum(V, logits);
    stats[0] = largest;
    stats[1] = (float)exponential_sum(V, logits, largest == -INFINITY ? 0.0f : largest, row);
    stats[2] = target < 0 || target >= V ? -INFINITY : load(logits[target]);
    if (loss->smoothing > 0) stats[3] = (float)logit_sum(V, logits);
}

static void loss_gradient(const weft_loss *loss, void *logits_, int64_t target, float largest, double sum, float scale)
{
    const int64_t V = loss->width;
    storage *logits = logits_;
    weft_loss_slope slope = weft_loss_slope_make(loss, log(sum) + (double)largest, sum, scale);
    bool here = target >= 0 && target < V;
    float own = here ? exponential(load(logits[target]) - largest) : 0.0f;
#pragma omp simd
    for (int64_t i = 0; i < V; i++)
        logits[i] = store(exponential(load(logits[i]) - largest) * slope.factor - slope.even);
    if (here) logits[target] = store(FMA(own, slope.factor, -(slope.hit + slope.even)));
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
