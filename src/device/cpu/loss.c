/* The loss of whole rows of logits, and of slices of them: each member of the team takes a range of rows. */
#include "device/cpu/cpu.h"

#include "base/memory.h"

#include <math.h>
#include <omp.h>

/* Room for the loss of each row and, where V > 0, for one row of exponentials a thread; in fp32 these take the place
 * of their logits. */
static bool reserve(weft_cpu *cpu, int64_t N, int64_t V)
{
    weft_error *error = &cpu->base.error;
    size_t rows = cpu->base.element == WEFT_FP32 ? 0 : (size_t)(V * cpu->base.threads);
    return weft_grow(&cpu->losses, &cpu->losses_capacity, (size_t)N, sizeof *cpu->losses, error) == WEFT_OK &&
           weft_grow(&cpu->rows, &cpu->rows_capacity, rows, sizeof *cpu->rows, error) == WEFT_OK;
}

/* In row order, whichever thread made them. */
static void add_losses(const weft_cpu *cpu, const weft_loss *loss, const int32_t *targets, float *out)
{
    weft_loss_sums sums = {.targets = 0};
    for (int64_t row = 0; row < loss->rows; row++)
        weft_loss_sums_add(&sums, loss, row, targets[row] < 0 ? NULL : &cpu->losses[row], out);
    weft_loss_sums_end(&sums, loss, out);
}

void weft_cpu_cross_entropy(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                            const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *out)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_cpu *cpu = weft_cpu_of(device);
    const int64_t V = loss->width;
    if (!reserve(cpu, loss->rows, V)) return;
    const float scale = gradient ? scalars->loss_gradient_scale : 0.0f;
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t row = 0; row < loss->rows; row++) {
        void *line = weft_cpu_at_mutable(cpu, logits, row * V);
        float *own = cpu->rows == NULL ? NULL : cpu->rows + V * omp_get_thread_num();
        if (targets[row] >= 0)
            cpu->losses[row] = cpu->loops->cross_entropy(loss, line, targets[row], scale, gradient, own);
        else if (gradient)
            memset(line, 0, (size_t)V * cpu->element_bytes);
    }
    add_losses(cpu, loss, targets, out);
    weft_cpu_between(device);
}

void weft_cpu_loss_part(weft_device *device, weft_stream *stream, const weft_loss *loss, const void *logits,
                        const int32_t *targets, float *stats)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    const int64_t V = loss->width, K = weft_loss_statistics(loss);
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t row = 0; row < loss->rows; row++) {
        if (targets[row] < 0)
            memset(stats + K * row, 0, (size_t)K * sizeof *stats);
        else
            cpu->loops->loss_part(loss, weft_cpu_at(cpu, logits, row * V), (int64_t)targets[row] - loss->first,
                                  stats + K * row);
    }
    weft_cpu_between(device);
}

void weft_cpu_loss_finish(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                          const int32_t *targets, const float *stats, const weft_step_scalars *scalars, bool gradient,
                          float *out)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_cpu *cpu = weft_cpu_of(device);
    if (!reserve(cpu, loss->rows, 0)) return;
    const float scale = gradient ? scalars->loss_gradient_scale : 0.0f;
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t row = 0; row < loss->rows; row++) {
        void *line = weft_cpu_at_mutable(cpu, logits, row * loss->width);
        if (targets[row] < 0) {
            if (gradient) memset(line, 0, (size_t)loss->width * cpu->element_bytes);
            continue;
        }
        weft_row_total total = weft_row_total_make(loss, row, stats);
        cpu->losses[row] = weft_row_loss_make(loss, log(total.sum) + total.largest, total.target, total.logits);
        if (gradient)
            cpu->loops->loss_gradient(loss, line, (int64_t)targets[row] - loss->first, (float)total.largest, total.sum,
                                      scale);
    }
    add_losses(cpu, loss, targets, out);
    weft_cpu_between(device);
}
