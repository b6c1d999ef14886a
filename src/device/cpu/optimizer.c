#include "device/cpu/cpu.h"

#include <math.h>

enum { PIECE = 4096 }; /* elements: what stays in the nearest cache while weights are rounded */

void weft_cpu_square_sums(weft_device *device, weft_stream *stream, int64_t count, const float *gradient, double *sums)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    int64_t blocks = weft_cpu_divide_up(count, WEFT_NORM_BLOCK);
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t block = 0; block < blocks; block++) {
        int64_t begin = block * WEFT_NORM_BLOCK, left = count - begin;
        sums[block] = cpu->loops->square_sum(left < WEFT_NORM_BLOCK ? left : WEFT_NORM_BLOCK, gradient + begin);
    }
    weft_cpu_between(device);
}

void weft_cpu_place_sums(weft_device *device, weft_stream *stream, int64_t blocks, const int32_t *index,
                         const double *from, double *to)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    for (int64_t i = 0; i < blocks; i++) to[index[i]] = from[i];
    weft_cpu_between(device);
}

void weft_cpu_norm_finish(weft_device *device, weft_stream *stream, int64_t blocks, const double *sums,
                          weft_step_scalars *scalars)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    double sum = 0.0;
    for (int64_t i = 0; i < blocks; i++) sum += sums[i];
    scalars->norm = sqrt(sum);
    scalars->nonfinite = isfinite(scalars->norm) ? 0 : 1;
    scalars->clip_factor = 1.0f;
    if (scalars->clip_norm > 0.0f) {
        scalars->clip_factor = (float)fmin(1.0, (double)scalars->clip_norm / (scalars->norm + 1e-6));
    }
    weft_cpu_between(device);
}

void weft_cpu_judge(weft_device *device, weft_stream *stream, int64_t count, int64_t stride, const float *losses,
                    weft_step_scalars *scalars)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) sum += (double)losses[i * stride];
    double loss = sum / scalars->targets;
    bool passes = isfinite(loss) && loss <= scalars->loss_limit && scalars->norm <= scalars->norm_limit;
    scalars->skipped = passes ? 0 : 1;
    weft_cpu_between(device);
}

void weft_cpu_adamw(weft_device *device, weft_stream *stream, int64_t count, const weft_step_scalars *scalars,
                    bool decay, const float *gradient, float *weight, float *moment1, float *moment2, void *storage)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    int64_t pieces = scalars->nonfinite || scalars->skipped ? 0 : weft_cpu_divide_up(count, PIECE);
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t at = piece * PIECE, left = count - at;
        cpu->loops->adamw(left < PIECE ? left : PIECE, scalars, decay, gradient + at, weight + at, moment1 + at,
                          moment2 + at, storage == NULL ? NULL : weft_cpu_at_mutable(cpu, storage, at));
    }
    weft_cpu_between(device);
}
