#include "device/reference/reference.h"

#include <math.h>

/* log(sum(exp(row))), with the largest taken out first. A NaN anywhere in the row makes it NaN. */
static double row_logsumexp(weft_element element, const void *logits, int64_t begin, int64_t V)
{
    double largest = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < V; i++) largest = fmax(largest, reference_get(element, logits, begin + i));
    for (int64_t i = 0; i < V; i++) sum += exp(reference_get(element, logits, begin + i) - largest);
    return largest + log(sum);
}

static void row_gradient(weft_element element, void *logits, int64_t begin, int64_t V, int32_t target, double total,
                         double scale)
{
    for (int64_t i = 0; i < V; i++) {
        double value = 0.0;
        if (target >= 0) {
            double probability = exp(reference_get(element, logits, begin + i) - total);
            value = scale * (probability - (i == target ? 1.0 : 0.0));
        }
        reference_put(element, logits, begin + i, value);
    }
}

void reference_cross_entropy(weft_device *device, weft_stream *stream, int64_t N, int64_t V, void *logits,
                             const int32_t *targets, float scale, bool gradient, float *loss)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    double sum = 0.0;
    for (int64_t row = 0; row < N; row++) {
        double total = 0.0;
        if (targets[row] >= 0) {
            total = row_logsumexp(element, logits, row * V, V);
            sum += total - reference_get(element, logits, row * V + targets[row]);
        }
        if (gradient) row_gradient(element, logits, row * V, V, targets[row], total, (double)scale);
    }
    *loss = (float)sum;
    reference_end(device);
}
