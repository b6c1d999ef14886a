/*
 * Matrix products. A block of BLOCK rows of the result is made at once, so that each row of the other operand is
 * converted to double once a block; every element is still its own sum in ascending order.
 */
#include "device/reference/reference.h"

enum { BLOCK = 8 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One block of rows and one row, as doubles. */
size_t reference_linear_workspace(const weft_device_options *options, const weft_linear *linear)
{
    (void)options;
    return (size_t)((BLOCK + 1) * linear->in) * sizeof(double);
}

/* sums[k] = sum over i of columns[i][k] row[i]. columns (count, BLOCK). */
static void block_dot(int64_t count, const double *restrict columns, const double *restrict row, double sums[BLOCK])
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
    for (int64_t i = 0; i < count; i++, columns += BLOCK) {
        s0 += columns[0] * row[i];
        s1 += columns[1] * row[i];
        s2 += columns[2] * row[i];
        s3 += columns[3] * row[i];
        s4 += columns[4] * row[i];
        s5 += columns[5] * row[i];
        s6 += columns[6] * row[i];
        s7 += columns[7] * row[i];
    }
    memcpy(sums, (double[BLOCK]){s0, s1, s2, s3, s4, s5, s6, s7}, BLOCK * sizeof *sums);
}

/* sums[i] += factor row[i] */
static void add_scaled(int64_t count, double factor, const double *restrict row, double *restrict sums)
{
    for (int64_t i = 0; i < count; i++) sums[i] += factor * row[i];
}

void reference_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                              const void *w, const void *bias, void *y, void *workspace)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t in = linear->in, out = linear->out;
    double *columns = workspace, *row = columns + BLOCK * in;
    for (int64_t first = 0; first < linear->rows; first += BLOCK) {
        int64_t count = smaller(BLOCK, linear->rows - first);
        for (int64_t i = 0; i < in; i++) {
            for (int64_t k = 0; k < BLOCK; k++) {
                columns[i * BLOCK + k] = k < count ? reference_get(element, x, (first + k) * in + i) : 0.0;
            }
        }
        for (int64_t o = 0; o < out; o++) {
            double sums[BLOCK], offset = bias != NULL ? reference_get(element, bias, o) : 0.0;
            reference_load(element, w, o * in, in, row);
            block_dot(in, columns, row, sums);
            for (int64_t k = 0; k < count; k++) reference_put(element, y, (first + k) * out + o, sums[k] + offset);
        }
    }
    reference_end(device);
}

void reference_linear_backward_input(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                     const void *dy, const void *w, void *dx, void *workspace)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t in = linear->in, out = linear->out;
    double *sums = workspace, *row = sums + BLOCK * in;
    for (int64_t first = 0; first < linear->rows; first += BLOCK) {
        int64_t count = smaller(BLOCK, linear->rows - first);
        memset(sums, 0, (size_t)(count * in) * sizeof *sums);
        for (int64_t o = 0; o < out; o++) {
            reference_load(element, w, o * in, in, row);
            for (int64_t k = 0; k < count; k++) {
                add_scaled(in, reference_get(element, dy, (first + k) * out + o), row, sums + k * in);
            }
        }
        reference_store(element, dx, first * in, count * in, sums);
    }
    reference_end(device);
}

static void bias_gradient(weft_element element, const weft_linear *linear, const void *dy, bool accumulate,
                          float *dbias)
{
    for (int64_t o = 0; o < linear->out; o++) {
        double sum = 0.0;
        for (int64_t r = 0; r < linear->rows; r++) sum += reference_get(element, dy, r * linear->out + o);
        reference_accumulate(accumulate, &dbias[o], sum);
    }
}

static void weight_gradient(weft_element element, const weft_linear *linear, const void *dy, const void *x,
                            bool accumulate, float *dw, void *workspace)
{
    const int64_t in = linear->in, out = linear->out;
    double *sums = workspace, *row = sums + BLOCK * in;
    for (int64_t first = 0; first < out; first += BLOCK) {
        int64_t count = smaller(BLOCK, out - first);
        memset(sums, 0, (size_t)(count * in) * sizeof *sums);
        for (int64_t r = 0; r < linear->rows; r++) {
            reference_load(element, x, r * in, in, row);
            for (int64_t k = 0; k < count; k++) {
                add_scaled(in, reference_get(element, dy, r * out + first + k), row, sums + k * in);
            }
        }
        for (int64_t i = 0; i < count * in; i++) reference_accumulate(accumulate, &dw[first * in + i], sums[i]);
    }
}

void reference_linear_backward_weight(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                      const void *dy, const void *x, bool accumulate, float *dw, float *dbias,
                                      void *workspace)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    if (dw != NULL) weight_gradient(element, linear, dy, x, accumulate, dw, workspace);
    if (dbias != NULL) bias_gradient(element, linear, dy, accumulate, dbias);
    reference_end(device);
}
