/* LayerNorm (Ba, Kiros and Hinton, arXiv 1607.06450) and RMSNorm (Zhang and Sennrich, arXiv 1910.07467). */
#include "device/reference/reference.h"

#include <math.h>

static double row_mean(weft_element element, const weft_norm *norm, const void *x, int64_t row)
{
    if (norm->kind == WEFT_RMSNORM) return 0.0;
    double sum = 0.0;
    for (int64_t i = 0; i < norm->width; i++) sum += reference_get(element, x, weft_norm_at(norm, row) + i);
    return sum / (double)norm->width;
}

static double row_rstd(weft_element element, const weft_norm *norm, const void *x, int64_t row, double mean)
{
    double squares = 0.0;
    for (int64_t i = 0; i < norm->width; i++) {
        double centred = reference_get(element, x, weft_norm_at(norm, row) + i) - mean;
        squares += centred * centred;
    }
    return 1.0 / sqrt(squares / (double)norm->width + (double)norm->epsilon);
}

void reference_norm_forward(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *x,
                            const void *weight, const void *bias, void *out, float *mean, float *rstd)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    for (int64_t row = 0; row < norm->rows; row++) {
        double centre = row_mean(element, norm, x, row);
        double scale = row_rstd(element, norm, x, row, centre);
        for (int64_t i = 0; i < norm->width; i++) {
            int64_t at = weft_norm_at(norm, row) + i;
            double value = (reference_get(element, x, at) - centre) * scale * reference_get(element, weight, i);
            if (bias != NULL) value += reference_get(element, bias, i);
            reference_put(element, out, at, value);
        }
        if (norm->kind == WEFT_LAYERNORM) mean[row] = (float)centre;
        rstd[row] = (float)scale;
    }
    reference_end(device);
}

/* With h = (x - mean) rstd and g = dy weight:  dx = rstd (g - mean(g) - h mean(g h)); RMSNorm has no mean(g). */
void reference_norm_backward_input(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                   const void *x, const void *weight, const float *mean, const float *rstd,
                                   const void *residual, void *dx)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t width = norm->width;
    for (int64_t row = 0; row < norm->rows; row++) {
        double centre = norm->kind == WEFT_LAYERNORM ? (double)mean[row] : 0.0;
        double scale = (double)rstd[row];
        double sum_g = 0.0, sum_gh = 0.0;
        for (int64_t i = 0; i < width; i++) {
            int64_t at = weft_norm_at(norm, row) + i;
            double g = reference_get(element, dy, at) * reference_get(element, weight, i);
            sum_g += g;
            sum_gh += g * (reference_get(element, x, at) - centre) * scale;
        }
        double mean_g = norm->kind == WEFT_LAYERNORM ? sum_g / (double)width : 0.0;
        double mean_gh = sum_gh / (double)width;
        for (int64_t i = 0; i < width; i++) {
            int64_t at = weft_norm_at(norm, row) + i;
            double g = reference_get(element, dy, at) * reference_get(element, weight, i);
            double h = (reference_get(element, x, at) - centre) * scale;
            double value = scale * (g - mean_g - h * mean_gh);
            if (residual != NULL) value += reference_get(element, residual, at);
            reference_put(element, dx, at, value);
        }
    }
    reference_end(device);
}

void reference_norm_backward_weight(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                    const void *x, const float *mean, const float *rstd, bool accumulate,
                                    float *dweight, float *dbias)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    for (int64_t i = 0; i < norm->width; i++) {
        double sum_weight = 0.0, sum_bias = 0.0;
        for (int64_t row = 0; row < norm->rows; row++) {
            int64_t at = weft_norm_at(norm, row) + i;
            double centre = norm->kind == WEFT_LAYERNORM ? (double)mean[row] : 0.0;
            double g = reference_get(element, dy, at);
            sum_weight += g * (reference_get(element, x, at) - centre) * (double)rstd[row];
            sum_bias += g;
        }
        if (dweight != NULL) reference_accumulate(accumulate, &dweight[i], sum_weight);
        if (dbias != NULL) reference_accumulate(accumulate, &dbias[i], sum_bias);
    }
    reference_end(device);
}
