#include "device/reference/reference.h"

#include <math.h>

/* GELU by tanh (Hendrycks and Gimpel, arXiv 1606.08415): x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
static const double GELU_SCALE = 0.79788456080286535588;
static const double GELU_CUBE = 0.044715;

static double gelu(double x)
{
    return 0.5 * x * (1.0 + tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x)));
}

static double gelu_slope(double x)
{
    double t = tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x));
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * x * x);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* SwiGLU (Shazeer, arXiv 2002.05202): silu(gate) up, silu(x) = x sigmoid(x). */
void reference_activation_forward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                  const void *x, void *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t width = activation->width;
    for (int64_t row = 0; row < activation->rows; row++) {
        for (int64_t i = 0; i < width; i++) {
            double value;
            if (activation->kind == WEFT_GELU) {
                value = gelu(reference_get(element, x, row * width + i));
            } else {
                double gate = reference_get(element, x, row * 2 * width + i);
                value = gate * sigmoid(gate) * reference_get(element, x, row * 2 * width + width + i);
            }
            reference_put(element, out, row * width + i, value);
        }
    }
    reference_end(device);
}

void reference_activation_backward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                   const void *x, const void *dy, void *dx)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t width = activation->width;
    for (int64_t row = 0; row < activation->rows; row++) {
        for (int64_t i = 0; i < width; i++) {
            double g = reference_get(element, dy, row * width + i);
            if (activation->kind == WEFT_GELU) {
                int64_t at = row * width + i;
                reference_put(element, dx, at, g * gelu_slope(reference_get(element, x, at)));
            } else {
                int64_t at = row * 2 * width + i;
                double gate = reference_get(element, x, at), up = reference_get(element, x, at + width);
                double s = sigmoid(gate);
                reference_put(element, dx, at, g * up * s * (1.0 + gate * (1.0 - s)));
                reference_put(element, dx, at + width, g * gate * s);
            }
        }
    }
    reference_end(device);
}
