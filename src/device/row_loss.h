/*
 * What a row of logits comes to, and how rows are added up: the same on all devices that compute on the host. Internal
 * to src/device.
 *
 * Threads: any.
 */
#ifndef WEFT_DEVICE_ROW_LOSS_H
#define WEFT_DEVICE_ROW_LOSS_H

#include "device/device.h"

#include <math.h>

/* Nats: what is trained, and the cross entropy. */
typedef struct weft_row_loss {
    double trained, plain;
} weft_row_loss;

/* From log(sum e^logit), the target's logit and, with smoothing, the sum of all logits of the row. */
static inline weft_row_loss weft_row_loss_make(const weft_loss *loss, double logsumexp, double target, double logits)
{
    double plain = logsumexp - target, trained = plain;
    if (loss->smoothing > 0) trained += loss->smoothing * (target - logits / (double)loss->vocabulary);
    if (loss->z > 0) trained += loss->z * logsumexp * logsumexp;
    return (weft_row_loss){trained, plain};
}

/* A row of the whole vocabulary: its largest logit, the sum of e^(logit - largest), the target's logit, all of them
 * added where smoothing needs that. */
typedef struct weft_row_total {
    double largest, sum, target, logits;
} weft_row_total;

/* Of the statistics of all slices (loss_finish). A part that is not finite makes the sum so: its largest then counts
 * for nothing or is infinite itself. */
static inline weft_row_total weft_row_total_make(const weft_loss *loss, int64_t row, const float *stats)
{
    const int64_t K = weft_loss_statistics(loss);
    weft_row_total total = {-INFINITY, 0.0, -INFINITY, 0.0};
    for (int32_t part = 0; part < loss->parts; part++) {
        const float *of = stats + K * (part * loss->rows + row);
        total.largest = fmax(total.largest, (double)of[0]);
        total.target = fmax(total.target, (double)of[2]);
    }
    for (int32_t part = 0; part < loss->parts; part++) {
        const float *of = stats + K * (part * loss->rows + row);
        total.sum += (double)of[1] * exp((double)of[0] - total.largest);
        if (loss->smoothing > 0) total.logits += (double)of[3];
    }
    return total;
}

/* Of a row's gradient in fp32: e^(logit - largest) times factor, less even, and less hit at the target. */
typedef struct weft_loss_slope {
    float factor, even, hit;
} weft_loss_slope;

/* sum: of e^(logit - largest). */
static inline weft_loss_slope weft_loss_slope_make(const weft_loss *loss, double logsumexp, double sum, float scale)
{
    double steep = loss->z > 0 ? 1.0 + 2.0 * loss->z * logsumexp : 1.0, size = (double)scale;
    return (weft_loss_slope){.factor = (float)(size * steep / sum),
                             .even = (float)(size * loss->smoothing / (double)loss->vocabulary),
                             .hit = (float)(size * (1.0 - loss->smoothing))};
}

/* The rows so far; begins with zeros. own, targets: of the sequence that the next row is in. */
typedef struct weft_loss_sums {
    double trained, plain, own;
    int64_t targets;
} weft_loss_sums;

/* The next row; of: NULL where it has no target. out: as of the operations. */
static inline void weft_loss_sums_add(weft_loss_sums *sums, const weft_loss *loss, int64_t row, const weft_row_loss *of,
                                      float *out)
{
    if (of) {
        sums->trained += of->trained;
        sums->plain += of->plain;
        sums->own += of->trained;
        sums->targets++;
    }
    if (loss->sequence == 0 || (row + 1) % loss->sequence != 0) return;
    float *place = out + 1 + loss->plain + 2 * (row / loss->sequence);
    place[0] = (float)sums->own;
    place[1] = (float)sums->targets;
    sums->own = 0.0;
    sums->targets = 0;
}

static inline void weft_loss_sums_end(const weft_loss_sums *sums, const weft_loss *loss, float *out)
{
    out[0] = (float)sums->trained;
    if (loss->plain) out[1] = (float)sums->plain;
}

#endif
