/* The loss of whole rows of logits, and of slices of them: each member of the team takes a range of rows. */
#include "device/cpu/cpu.h"

#include "base/memory.h"

#include <math.h>
#include <omp.h>

/* Room for the loss of each row and, where V > 0, for one row of exponentials a thread. */
static bool reserve(weft_cpu *cpu, int64_t N, int64_t V)
{
    weft_error *error = &cpu->base.error;
    size_t rows = (size_t)(V * cpu->base.threads);
    return weft_grow(&cpu->losses, &cpu->losses_capacity, (size_t)N, sizeof *cpu->losses, error) == WEFT_OK &&
           weft_grow(&cpu->rows, &cpu->rows_capacity, rows, sizeof *cpu->rows, error) == WEFT_OK;
}

/* In row order, whichever thread made them. */
static float add_losses(const weft_cpu *cpu, int64_t N)
{
    double sum = 0.0;
    for (int64_t row = 0; row < N; row++) sum += cpu->losses[row];
    return (float)sum;
}

void weft_cpu_cross_entropy(weft_device *device, weft_stream *stream, int64_t N, int64_t V, void *logits,
                            const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *loss)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_cpu *cpu = weft_cpu_of(device);
    if (!reserve(cpu, N, V)) return;
    const float scale = gradient ? scalars->loss_gradient_scale : 0.0f;
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        void *line = weft_cpu_at_mutable(cpu, logits, row * V);
        float *own = cpu->rows + V * omp_get_thread_num();
        cpu->losses[row] =
            targets[row] < 0 ? 0.0 : cpu->loops->cross_entropy(V, line, targets[row], scale, gradient, own);
        if (gradient && targets[row] < 0) memset(line, 0, (size_t)V * cpu->element_bytes);
    }
    *loss = add_losses(cpu, N);
    weft_cpu_between(device);
}

void weft_cpu_loss_part(weft_device *device, weft_stream *stream, int64_t N, int64_t V, int32_t first,
                        const void *logits, const int32_t *targets, float *stats)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_cpu *cpu = weft_cpu_of(device);
    if (!reserve(cpu, N, V)) return;
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float *own = cpu->rows + V * omp_get_thread_num();
        if (targets[row] < 0)
            memset(stats + 3 * row, 0, 3 * sizeof *stats);
        else
            cpu->loops->loss_part(V, weft_cpu_at(cpu, logits, row * V), (int64_t)targets[row] - first, own,
                                  stats + 3 * row);
    }
    weft_cpu_between(device);
}

/* A row of the whole vocabulary: its largest logit, the sum of e^(logit - largest), the target's logit. */
typedef struct row_total {
    double largest, sum, target;
} row_total;

/* A part that is not finite makes the sum so: its largest then counts for nothing or is infinite itself. */
static row_total combine(int64_t N, int32_t parts, int64_t row, const float *stats)
{
    row_total total = {-INFINITY, 0.0, -INFINITY};
    for (int32_t part = 0; part < parts; part++) {
        const float *of = stats + 3 * (part * N + row);
        total.largest = fmax(total.largest, (double)of[0]);
        total.target = fmax(total.target, (double)of[2]);
    }
    for (int32_t part = 0; part < parts; part++) {
        const float *of = stats + 3 * (part * N + row);
        total.sum += (double)of[1] * exp((double)of[0] - total.largest);
    }
    return total;
}

void weft_cpu_loss_finish(weft_device *device, weft_stream *stream, int64_t N, int64_t V, int32_t first, int32_t parts,
                          void *logits, const int32_t *targets, const float *stats, const weft_step_scalars *scalars,
                          bool gradient, float *loss)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    weft_cpu *cpu = weft_cpu_of(device);
    if (!reserve(cpu, N, 0)) return;
    const float scale = gradient ? scalars->loss_gradient_scale : 0.0f;
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        void *line = weft_cpu_at_mutable(cpu, logits, row * V);
        cpu->losses[row] = 0.0;
        if (targets[row] < 0) {
            if (gradient) memset(line, 0, (size_t)V * cpu->element_bytes);
            continue;
        }
        row_total total = combine(N, parts, row, stats);
        cpu->losses[row] = log(total.sum) + total.largest - total.target;
        if (gradient)
            cpu->loops->loss_gradient(V, line, (int64_t)targets[row] - first, (float)total.largest, total.sum, scale);
    }
    *loss = add_losses(cpu, N);
    weft_cpu_between(device);
}
