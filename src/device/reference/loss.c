#include "device/reference/reference.h"

#include <math.h>

static double row_largest(weft_element element, const void *logits, int64_t begin, int64_t V)
{
    double largest = -INFINITY;
    for (int64_t i = 0; i < V; i++) largest = fmax(largest, reference_get(element, logits, begin + i));
    return largest;
}

/* log(sum(exp(row))), with the largest taken out first. A NaN anywhere in the row makes it NaN. */
static double row_logsumexp(weft_element element, const void *logits, int64_t begin, int64_t V)
{
    double largest = row_largest(element, logits, begin, V), sum = 0.0;
    for (int64_t i = 0; i < V; i++) sum += exp(reference_get(element, logits, begin + i) - largest);
    return largest + log(sum);
}

/* target: the row's within these V, below 0 or beyond them where another slice has it. */
static void row_gradient(weft_element element, void *logits, int64_t begin, int64_t V, int64_t target, double total,
                         double scale)
{
    for (int64_t i = 0; i < V; i++) {
        double probability = exp(reference_get(element, logits, begin + i) - total);
        reference_put(element, logits, begin + i, scale * (probability - (i == target ? 1.0 : 0.0)));
    }
}

static void zero_row(weft_element element, void *logits, int64_t begin, int64_t V)
{
    for (int64_t i = 0; i < V; i++) reference_put(element, logits, begin + i, 0.0);
}

void reference_cross_entropy(weft_device *device, weft_stream *stream, int64_t N, int64_t V, void *logits,
                             const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *loss)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const double scale = gradient ? (double)scalars->loss_gradient_scale : 0.0;
    double sum = 0.0;
    for (int64_t row = 0; row < N; row++) {
        if (targets[row] < 0) {
            if (gradient) zero_row(element, logits, row * V, V);
            continue;
        }
        double total = row_logsumexp(element, logits, row * V, V);
        sum += total - reference_get(element, logits, row * V + targets[row]);
        if (gradient) row_gradient(element, logits, row * V, V, targets[row], total, scale);
    }
    *loss = (float)sum;
    reference_end(device);
}

/* A row of a slice. Where all of it is -INFINITY its exponentials are 0, not NaN: other slices may have more. */
static void row_stats(weft_element element, const void *logits, int64_t begin, int64_t V, int64_t target, float *stats)
{
    double largest = row_largest(element, logits, begin, V), sum = 0.0;
    double taken = largest == (double)-INFINITY ? 0.0 : largest;
    for (int64_t i = 0; i < V; i++) sum += exp(reference_get(element, logits, begin + i) - taken);
    stats[0] = (float)largest;
    stats[1] = (float)sum;
    stats[2] = target < 0 || target >= V ? -INFINITY : (float)reference_get(element, logits, begin + target);
}

void reference_loss_part(weft_device *device, weft_stream *stream, int64_t N, int64_t V, int32_t first,
                         const void *logits, const int32_t *targets, float *stats)
{
    (void)stream;
    if (!reference_begin(device)) return;
    for (int64_t row = 0; row < N; row++) {
        if (targets[row] < 0)
            memset(stats + 3 * row, 0, 3 * sizeof *stats);
        else
            row_stats(device->element, logits, row * V, V, (int64_t)targets[row] - first, stats + 3 * row);
    }
    reference_end(device);
}

/* log(sum(exp(row))) of the whole vocabulary, and the target's logit. */
static double combine(int64_t N, int32_t parts, int64_t row, const float *stats, double *out_target)
{
    double largest = -INFINITY, target = -INFINITY, sum = 0.0;
    for (int32_t part = 0; part < parts; part++) {
        const float *of = stats + 3 * (part * N + row);
        largest = fmax(largest, (double)of[0]);
        target = fmax(target, (double)of[2]);
    }
    for (int32_t part = 0; part < parts; part++) {
        const float *of = stats + 3 * (part * N + row);
        sum += (double)of[1] * exp((double)of[0] - largest);
    }
    *out_target = target;
    return largest + log(sum);
}

void reference_loss_finish(weft_device *device, weft_stream *stream, int64_t N, int64_t V, int32_t first, int32_t parts,
                           void *logits, const int32_t *targets, const float *stats, const weft_step_scalars *scalars,
                           bool gradient, float *loss)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const double scale = gradient ? (double)scalars->loss_gradient_scale : 0.0;
    double sum = 0.0;
    for (int64_t row = 0; row < N; row++) {
        if (targets[row] < 0) {
            if (gradient) zero_row(element, logits, row * V, V);
            continue;
        }
        double target = 0.0, total = combine(N, parts, row, stats, &target);
        sum += total - target;
        if (gradient) row_gradient(element, logits, row * V, V, (int64_t)targets[row] - first, total, scale);
    }
    *loss = (float)sum;
    reference_end(device);
}
