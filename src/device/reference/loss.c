#include "device/reference/reference.h"

#include "device/row_loss.h"

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

static double row_sum(weft_element element, const void *logits, int64_t begin, int64_t V)
{
    double sum = 0.0;
    for (int64_t i = 0; i < V; i++) sum += reference_get(element, logits, begin + i);
    return sum;
}

/* target: the row's within these V, below 0 or beyond them where another slice has it. */
static void row_gradient(weft_element element, const weft_loss *loss, void *logits, int64_t begin, int64_t target,
                         double total, double scale)
{
    double even = loss->smoothing / (double)loss->vocabulary, own = 1.0 - loss->smoothing;
    double steep = loss->z > 0 ? 1.0 + 2.0 * loss->z * total : 1.0;
    for (int64_t i = 0; i < loss->width; i++) {
        double probability = exp(reference_get(element, logits, begin + i) - total);
        reference_put(element, logits, begin + i, scale * (steep * probability - even - (i == target ? own : 0.0)));
    }
}

static void zero_row(weft_element element, void *logits, int64_t begin, int64_t V)
{
    for (int64_t i = 0; i < V; i++) reference_put(element, logits, begin + i, 0.0);
}

void reference_cross_entropy(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                             const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const double scale = gradient ? (double)scalars->loss_gradient_scale : 0.0;
    const int64_t V = loss->width;
    weft_loss_sums sums = {.targets = 0};
    for (int64_t row = 0; row < loss->rows; row++) {
        weft_row_loss of = {0.0, 0.0};
        bool counts = targets[row] >= 0;
        if (counts) {
            double total = row_logsumexp(element, logits, row * V, V);
            double all = loss->smoothing > 0 ? row_sum(element, logits, row * V, V) : 0.0;
            of = weft_row_loss_make(loss, total, reference_get(element, logits, row * V + targets[row]), all);
            if (gradient) row_gradient(element, loss, logits, row * V, targets[row], total, scale);
        } else if (gradient) {
            zero_row(element, logits, row * V, V);
        }
        weft_loss_sums_add(&sums, loss, row, counts ? &of : NULL, out);
    }
    weft_loss_sums_end(&sums, loss, out);
    reference_end(device);
}

/* A row of a slice. Where all of it is -INFINITY its exponentials are 0, not NaN: other slices may have more. */
static void row_stats(weft_element element, const weft_loss *loss, const void *logits, int64_t begin, int64_t target,
                      float *stats)
{
    const int64_t V = loss->width;
    double largest = row_largest(element, logits, begin, V), sum = 0.0;
    double taken = largest == (double)-INFINITY ? 0.0 : largest;
    for (int64_t i = 0; i < V; i++) sum += exp(reference_get(element, logits, begin + i) - taken);
    stats[0] = (float)largest;
    stats[1] = (float)sum;
    stats[2] = target < 0 || target >= V ? -INFINITY : (float)reference_get(element, logits, begin + target);
    if (loss->smoothing > 0) stats[3] = (float)row_sum(element, logits, begin, V);
}

void reference_loss_part(weft_device *device, weft_stream *stream, const weft_loss *loss, const void *logits,
                         const int32_t *targets, float *stats)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const int64_t K = weft_loss_statistics(loss);
    for (int64_t row = 0; row < loss->rows; row++) {
        if (targets[row] < 0)
            memset(stats + K * row, 0, (size_t)K * sizeof *stats);
        else
            row_stats(device->element, loss, logits, row * loss->width, (int64_t)targets[row] - loss->first,
                      stats + K * row);
    }
    reference_end(device);
}

void reference_loss_finish(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                           const int32_t *targets, const float *stats, const weft_step_scalars *scalars, bool gradient,
                           float *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const double scale = gradient ? (double)scalars->loss_gradient_scale : 0.0;
    const int64_t V = loss->width;
    weft_loss_sums sums = {.targets = 0};
    for (int64_t row = 0; row < loss->rows; row++) {
        weft_row_loss of = {0.0, 0.0};
        bool counts = targets[row] >= 0;
        if (counts) {
            weft_row_total all = weft_row_total_make(loss, row, stats);
            double total = all.largest + log(all.sum);
            of = weft_row_loss_make(loss, total, all.target, all.logits);
            if (gradient)
                row_gradient(element, loss, logits, row * V, (int64_t)targets[row] - loss->first, total, scale);
        } else if (gradient) {
            zero_row(element, logits, row * V, V);
        }
        weft_loss_sums_add(&sums, loss, row, counts ? &of : NULL, out);
    }
    weft_loss_sums_end(&sums, loss, out);
    reference_end(device);
}
