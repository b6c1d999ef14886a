/*
 * Rotary positions and causal attention with grouped keys and values. One row of scores exists at a time.
 *
 * Head h of H reads key and value head h G / H. The keys and values of one head are converted to double first.
 */
#include "device/reference/reference.h"

#include <math.h>

/* Su et al., arXiv 2104.09864, with the pairs (i, i + D/2) that Llama's checkpoints use. */
void reference_rotary(weft_device *device, weft_stream *stream, const weft_rotary *rotary, const int32_t *positions,
                      const float *cosine, const float *sine, int direction, void *x)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t half = rotary->D / 2;
    for (int64_t row = 0; row < rotary->B * rotary->T; row++) {
        const int64_t position = positions == NULL ? row % rotary->T : positions[row];
        for (int64_t head = 0; head < rotary->heads; head++) {
            for (int64_t i = 0; i < half; i++) {
                int64_t first = row * rotary->stride + head * rotary->D + i, second = first + half;
                int64_t angle = position * half + i;
                double c = (double)cosine[angle], s = (double)sine[angle] * direction;
                double a = reference_get(element, x, first), b = reference_get(element, x, second);
                reference_put(element, x, first, a * c - b * s);
                reference_put(element, x, second, b * c + a * s);
            }
        }
    }
    reference_end(device);
}

/* Keys, values and their gradients (T, D) of one head; probabilities and their gradients (T); query, its gradient and
 * the output's gradient (D). Forward uses a part of it. */
typedef struct head_buffers {
    double *keys, *values, *dkeys, *dvalues, *scores, *dscores, *query, *dquery, *dout;
} head_buffers;

size_t reference_attention_workspace(const weft_device_options *options, const weft_attention *attention)
{
    (void)options;
    return (size_t)(4 * attention->T * attention->D + 2 * attention->T + 3 * attention->D) * sizeof(double);
}

static head_buffers split_workspace(const weft_attention *attention, void *workspace)
{
    const int64_t T = attention->T, D = attention->D;
    head_buffers head = {.keys = workspace};
    head.values = head.keys + T * D;
    head.dkeys = head.values + T * D;
    head.dvalues = head.dkeys + T * D;
    head.scores = head.dvalues + T * D;
    head.dscores = head.scores + T;
    head.query = head.dscores + T;
    head.dquery = head.query + D;
    head.dout = head.dquery + D;
    return head;
}

static double dot(int64_t count, const double *a, const double *b)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

static void add_scaled(int64_t count, double factor, const double *row, double *sums)
{
    for (int64_t i = 0; i < count; i++) sums[i] += factor * row[i];
}

static int64_t row_width(const weft_attention *attention)
{
    return (attention->H + 2 * attention->G) * attention->D;
}

/* Where in qkv the keys of head g start in the first row of sequence b; the values start G D further. */
static int64_t key_offset(const weft_attention *attention, int64_t b, int64_t g)
{
    return b * attention->T * row_width(attention) + (attention->H + g) * attention->D;
}

static void load_keys(weft_element element, const weft_attention *attention, const void *qkv, int64_t b, int64_t g,
                      const head_buffers *head)
{
    const int64_t D = attention->D;
    for (int64_t t = 0; t < attention->T; t++) {
        int64_t from = key_offset(attention, b, g) + t * row_width(attention);
        reference_load(element, qkv, from, D, head->keys + t * D);
        reference_load(element, qkv, from + attention->G * D, D, head->values + t * D);
    }
}

/* The first key that token t of sequence b sees. */
static int64_t first_seen(const weft_attention *attention, const int32_t *documents, int64_t b, int64_t t)
{
    const int64_t begin = documents == NULL ? 0 : documents[b * attention->T + t];
    const int64_t reach = attention->window == 0 ? 0 : t - attention->window + 1;
    return begin > reach ? begin : reach;
}

/* scores[s] = query . keys[s] / sqrt(D) for first <= s <= t. Returns the largest. */
static double score_row(const weft_attention *attention, int64_t first, int64_t t, const head_buffers *head)
{
    double scale = 1.0 / sqrt((double)attention->D), largest = -INFINITY;
    for (int64_t s = first; s <= t; s++) {
        head->scores[s] = scale * dot(attention->D, head->query, head->keys + s * attention->D);
        if (head->scores[s] > largest) largest = head->scores[s];
    }
    return largest;
}

/* The D elements of out from `at` on: what the query sees of keys first .. t. Returns their logsumexp. */
static double attend(weft_element element, const weft_attention *attention, int64_t first, int64_t t,
                     const head_buffers *head, void *out, int64_t at)
{
    const int64_t D = attention->D;
    double *sums = head->dout, total = 0.0, largest = score_row(attention, first, t, head);
    memset(sums, 0, (size_t)D * sizeof *sums);
    for (int64_t s = first; s <= t; s++) {
        double weight = exp(head->scores[s] - largest);
        total += weight;
        add_scaled(D, weight, head->values + s * D, sums);
    }
    for (int64_t d = 0; d < D; d++) reference_put(element, out, at + d, sums[d] / total);
    return largest + log(total);
}

static void forward_row(weft_element element, const weft_attention *attention, const int32_t *documents, int64_t b,
                        int64_t h, int64_t t, const void *qkv, const head_buffers *head, void *out, float *logsumexp)
{
    const int64_t T = attention->T, H = attention->H, D = attention->D;
    const int64_t first = first_seen(attention, documents, b, t);
    reference_load(element, qkv, (b * T + t) * row_width(attention) + h * D, D, head->query);
    logsumexp[(b * H + h) * T + t] = (float)attend(element, attention, first, t, head, out, ((b * T + t) * H + h) * D);
}

void reference_attention_forward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                 const int32_t *documents, const void *qkv, void *out, float *logsumexp,
                                 void *workspace)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const head_buffers head = split_workspace(attention, workspace);
    const int64_t group = attention->H / attention->G;
    for (int64_t b = 0; b < attention->B; b++) {
        for (int64_t h = 0; h < attention->H; h++) {
            if (h % group == 0) load_keys(device->element, attention, qkv, b, h / group, &head);
            for (int64_t t = 0; t < attention->T; t++) {
                forward_row(device->element, attention, documents, b, h, t, qkv, &head, out, logsumexp);
            }
        }
    }
    reference_end(device);
}

/* Rows of a cache have the keys of all heads, then their values. */
static void keep_keys(weft_element element, const weft_attention *attention, int64_t b, int64_t past, int64_t rows,
                      const void *qkv, void *cache)
{
    const int64_t width = 2 * attention->G * attention->D, size = (int64_t)weft_element_bytes(element);
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = (b * rows + r) * row_width(attention) + attention->H * attention->D;
        int64_t to = (b * attention->T + past + r) * width;
        memcpy((char *)cache + to * size, (const char *)qkv + from * size, (size_t)(width * size));
    }
}

static void load_cache(weft_element element, const weft_attention *attention, int64_t b, int64_t g, int64_t count,
                       const void *cache, const head_buffers *head)
{
    const int64_t D = attention->D, width = 2 * attention->G * D;
    for (int64_t t = 0; t < count; t++) {
        int64_t from = (b * attention->T + t) * width + g * D;
        reference_load(element, cache, from, D, head->keys + t * D);
        reference_load(element, cache, from + attention->G * D, D, head->values + t * D);
    }
}

void reference_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention, int64_t past,
                              int64_t rows, const void *qkv, void *cache, void *out, void *workspace)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const head_buffers head = split_workspace(attention, workspace);
    const int64_t H = attention->H, D = attention->D, group = H / attention->G;
    for (int64_t b = 0; b < attention->B; b++) {
        keep_keys(device->element, attention, b, past, rows, qkv, cache);
        for (int64_t h = 0; h < H; h++) {
            if (h % group == 0) load_cache(device->element, attention, b, h / group, past + rows, cache, &head);
            for (int64_t r = 0; r < rows; r++) {
                const int64_t row = b * rows + r, t = past + r;
                reference_load(device->element, qkv, row * row_width(attention) + h * D, D, head.query);
                (void)attend(device->element, attention, first_seen(attention, NULL, b, t), t, &head, out,
                             (row * H + h) * D);
            }
        }
    }
    reference_end(device);
}

/* With p the probabilities of row t and dp[s] = dout . v[s]:  dv[s] += p[s] dout,  ds = p (dp - sum(p dp)) / sqrt(D),
 * dq = sum ds[s] k[s],  dk[s] += ds[s] q. sum(p dp) is dout . out; summed here it does not suffer from out's rounding.
 */
static void backward_row(weft_element element, const weft_attention *attention, const int32_t *documents, int64_t b,
                         int64_t h, int64_t t, const void *qkv, double logsumexp, const void *dout,
                         const head_buffers *head, void *dqkv)
{
    const int64_t T = attention->T, D = attention->D;
    const int64_t at = (b * T + t) * row_width(attention) + h * D, first = first_seen(attention, documents, b, t);
    double scale = 1.0 / sqrt((double)D), mean = 0.0;
    reference_load(element, qkv, at, D, head->query);
    reference_load(element, dout, ((b * T + t) * attention->H + h) * D, D, head->dout);
    score_row(attention, first, t, head);
    for (int64_t s = first; s <= t; s++) {
        head->scores[s] = exp(head->scores[s] - logsumexp);
        head->dscores[s] = dot(D, head->dout, head->values + s * D);
        mean += head->scores[s] * head->dscores[s];
    }
    memset(head->dquery, 0, (size_t)D * sizeof *head->dquery);
    for (int64_t s = first; s <= t; s++) {
        double slope = head->scores[s] * (head->dscores[s] - mean) * scale;
        add_scaled(D, head->scores[s], head->dout, head->dvalues + s * D);
        add_scaled(D, slope, head->keys + s * D, head->dquery);
        add_scaled(D, slope, head->query, head->dkeys + s * D);
    }
    reference_store(element, dqkv, at, D, head->dquery);
}

static void store_keys(weft_element element, const weft_attention *attention, int64_t b, int64_t g,
                       const head_buffers *head, void *dqkv)
{
    const int64_t D = attention->D;
    for (int64_t t = 0; t < attention->T; t++) {
        int64_t to = key_offset(attention, b, g) + t * row_width(attention);
        reference_store(element, dqkv, to, D, head->dkeys + t * D);
        reference_store(element, dqkv, to + attention->G * D, D, head->dvalues + t * D);
    }
}

void reference_attention_backward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                  const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                                  const void *dout, void *dqkv, void *workspace)
{
    (void)stream;
    (void)out;
    if (!reference_begin(device)) return;
    const head_buffers head = split_workspace(attention, workspace);
    const int64_t T = attention->T, H = attention->H, group = H / attention->G;
    const size_t bytes = (size_t)(T * attention->D) * sizeof(double);
    for (int64_t b = 0; b < attention->B; b++) {
        for (int64_t g = 0; g < attention->G; g++) {
            load_keys(device->element, attention, qkv, b, g, &head);
            memset(head.dkeys, 0, bytes);
            memset(head.dvalues, 0, bytes);
            for (int64_t row = 0; row < group * T; row++) {
                int64_t h = g * group + row / T, t = row % T;
                double kept = (double)logsumexp[(b * H + h) * T + t];
                backward_row(device->element, attention, documents, b, h, t, qkv, kept, dout, &head, dqkv);
            }
            store_keys(device->element, attention, b, g, &head, dqkv);
        }
    }
    reference_end(device);
}
