#include "device/reference/reference.h"

#include <math.h>

void reference_square_sums(weft_device *device, weft_stream *stream, int64_t count, const float *gradient, double *sums)
{
    (void)stream;
    if (!reference_begin(device)) return;
    for (int64_t first = 0; first < count; first += WEFT_NORM_BLOCK) {
        double sum = 0.0;
        for (int64_t i = first; i < count && i < first + WEFT_NORM_BLOCK; i++) {
            sum += (double)gradient[i] * (double)gradient[i];
        }
        sums[first / WEFT_NORM_BLOCK] = sum;
    }
    reference_end(device);
}

void reference_place_sums(weft_device *device, weft_stream *stream, int64_t blocks, const int32_t *index,
                          const double *from, double *to)
{
    (void)stream;
    if (!reference_begin(device)) return;
    for (int64_t i = 0; i < blocks; i++) to[index[i]] = from[i];
    reference_end(device);
}

void reference_norm_finish(weft_device *device, weft_stream *stream, int64_t blocks, const double *sums,
                           weft_step_scalars *scalars)
{
    (void)stream;
    if (!reference_begin(device)) return;
    double sum = 0.0;
    for (int64_t i = 0; i < blocks; i++) sum += sums[i];
    scalars->norm = sqrt(sum);
    scalars->nonfinite = isfinite(scalars->norm) ? 0 : 1;
    scalars->clip_factor = 1.0f;
    if (scalars->clip_norm > 0.0f) {
        scalars->clip_factor = (float)fmin(1.0, (double)scalars->clip_norm / (scalars->norm + 1e-6));
    }
    reference_end(device);
}

void reference_judge(weft_device *device, weft_stream *stream, int64_t count, int64_t stride, const float *losses,
                     weft_step_scalars *scalars)
{
    (void)stream;
    if (!reference_begin(device)) return;
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) sum += (double)losses[i * stride];
    double loss = sum / scalars->targets;
    bool passes = isfinite(loss) && loss <= scalars->loss_limit && scalars->norm <= scalars->norm_limit;
    scalars->skipped = passes ? 0 : 1;
    reference_end(device);
}

/* The weight is computed from the moments as stored, so that a step repeated from a checkpoint gives the same bits. */
void reference_adamw(weft_device *device, weft_stream *stream, int64_t count, const weft_step_scalars *scalars,
                     bool decay, const float *gradient, float *weight, float *moment1, float *moment2, void *storage)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const double rate = (double)scalars->learning_rate, beta1 = (double)scalars->beta1, beta2 = (double)scalars->beta2;
    const double shrink = decay ? 1.0 - rate * (double)scalars->weight_decay : 1.0;
    const double step = rate / (double)scalars->correction1, root = sqrt((double)scalars->correction2);
    for (int64_t i = 0; !scalars->nonfinite && !scalars->skipped && i < count; i++) {
        double g = (double)gradient[i] * (double)scalars->clip_factor;
        moment1[i] = (float)((double)moment1[i] + (1.0 - beta1) * (g - (double)moment1[i]));
        moment2[i] = (float)(beta2 * (double)moment2[i] + (1.0 - beta2) * g * g);
        double spread = sqrt((double)moment2[i]) / root + (double)scalars->epsilon;
        weight[i] = (float)((double)weight[i] * shrink - step * (double)moment1[i] / spread);
        if (storage != NULL) reference_put(device->element, storage, i, (double)weight[i]);
    }
    reference_end(device);
}
