/* Operations that work on rows, or on columns for sums over rows: each member of the team takes a range. */
#include "device/cpu/cpu.h"

/* Elements of a range begin at a multiple of GRAIN, so that two threads do not write one cache line. COLUMN_GRAIN
 * keeps a column range's rows whole lines in bf16. */
enum { GRAIN = 1024, COLUMN_GRAIN = 32 };

/* The token's row of the table, or -1. */
static int64_t find_row(const weft_embed *embed, int32_t token)
{
    int64_t row = (int64_t)token - embed->first;
    return row >= 0 && row < embed->V ? row : -1;
}

void weft_cpu_embed_forward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                            const int32_t *positions, const void *wte, const void *wpe, void *out)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    const int64_t C = embed->C;
#pragma omp parallel for num_threads(weft_cpu_team(device, embed->rows)) schedule(static)
    for (int64_t row = 0; row < embed->rows; row++) {
        int64_t from = find_row(embed, tokens[row]);
        const int64_t at = positions == NULL ? row % embed->T : positions[row];
        const void *position = wpe == NULL ? NULL : weft_cpu_at(cpu, wpe, at * C);
        void *to = weft_cpu_at_mutable(cpu, out, row * C);
        if (from < 0)
            memset(to, 0, (size_t)C * cpu->element_bytes);
        else
            cpu->loops->add(C, weft_cpu_at(cpu, wte, from * C), position, to);
    }
    weft_cpu_between(device);
}

/* Each member adds all rows, in order, for its range of columns. Positions are tokens of a vocabulary of T. */
static void token_gradient(const weft_cpu *cpu, const weft_embed *embed, const int32_t *tokens, const void *dout,
                           bool accumulate, float *dwte)
{
    const int64_t C = embed->C;
#pragma omp parallel num_threads(cpu->base.threads)
    {
        if (!accumulate) {
            weft_cpu_span part = weft_cpu_part(embed->V * C, GRAIN);
            if (part.begin < part.end) memset(dwte + part.begin, 0, (size_t)(part.end - part.begin) * sizeof *dwte);
        }
#pragma omp barrier
        weft_cpu_span columns = weft_cpu_part(C, COLUMN_GRAIN);
        for (int64_t row = 0; row < embed->rows; row++) {
            int64_t to = find_row(embed, tokens[row]);
            if (to < 0) continue;
            cpu->loops->add_row(columns.end - columns.begin, weft_cpu_at(cpu, dout, row * C + columns.begin), true,
                                dwte + to * C + columns.begin);
        }
    }
}

/* The position table: row t gets rows t, t + T, ... of the batch. */
static void position_gradient(const weft_cpu *cpu, const weft_embed *embed, const void *dout, bool accumulate,
                              float *dwpe)
{
    const int64_t C = embed->C, T = embed->T;
#pragma omp parallel for num_threads(cpu->base.threads) schedule(static)
    for (int64_t t = 0; t < T; t++) {
        if (!accumulate && t >= embed->rows) memset(dwpe + t * C, 0, (size_t)C * sizeof *dwpe);
        for (int64_t row = t; row < embed->rows; row += T) {
            cpu->loops->add_row(C, weft_cpu_at(cpu, dout, row * C), accumulate || row > t, dwpe + t * C);
        }
    }
}

void weft_cpu_embed_backward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                             const int32_t *positions, const void *dout, bool accumulate, float *dwte, float *dwpe)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    if (dwte != NULL) token_gradient(cpu, embed, tokens, dout, accumulate, dwte);
    if (dwpe == NULL) return weft_cpu_between(device);
    if (positions == NULL)
        position_gradient(cpu, embed, dout, accumulate, dwpe);
    else
        token_gradient(cpu, &(const weft_embed){embed->rows, embed->T, embed->C, embed->T, 0}, positions, dout,
                       accumulate, dwpe);
    weft_cpu_between(device);
}

void weft_cpu_norm_forward(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *x,
                           const void *weight, const void *bias, void *out, float *mean, float *rstd)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
#pragma omp parallel num_threads(weft_cpu_team(device, norm->rows))
    {
        weft_cpu_span rows = weft_cpu_part(norm->rows, 1);
        cpu->loops->norm_forward(norm, rows.begin, rows.end, x, weight, bias, out, mean, rstd);
    }
    weft_cpu_between(device);
}

void weft_cpu_norm_backward_input(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                  const void *x, const void *weight, const float *mean, const float *rstd,
                                  const void *residual, void *dx)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
#pragma omp parallel num_threads(weft_cpu_team(device, norm->rows))
    {
        weft_cpu_span rows = weft_cpu_part(norm->rows, 1);
        cpu->loops->norm_backward_input(norm, rows.begin, rows.end, dy, x, weight, mean, rstd, residual, dx);
    }
    weft_cpu_between(device);
}

void weft_cpu_norm_backward_weight(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                   const void *x, const float *mean, const float *rstd, bool accumulate, float *dweight,
                                   float *dbias)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    const int64_t wanted = dweight == NULL && dbias == NULL ? 0 : norm->width;
#pragma omp parallel num_threads(device->threads)
    {
        weft_cpu_span columns = weft_cpu_part(wanted, COLUMN_GRAIN);
        cpu->loops->norm_backward_weight(norm, columns.begin, columns.end, dy, x, mean, rstd, accumulate, dweight,
                                         dbias);
    }
    weft_cpu_between(device);
}

void weft_cpu_activation_forward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                 const void *x, void *out)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    const int64_t width = activation->width;
#pragma omp parallel for num_threads(weft_cpu_team(device, activation->rows)) schedule(static)
    for (int64_t row = 0; row < activation->rows; row++) {
        if (activation->kind == WEFT_GELU) {
            cpu->loops->gelu_forward(width, weft_cpu_at(cpu, x, row * width),
                                     weft_cpu_at_mutable(cpu, out, row * width));
        } else {
            cpu->loops->swiglu_forward(width, weft_cpu_at(cpu, x, 2 * row * width),
                                       weft_cpu_at_mutable(cpu, out, row * width));
        }
    }
    weft_cpu_between(device);
}

void weft_cpu_activation_backward(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                  const void *x, const void *dy, void *dx)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    const int64_t width = activation->width;
#pragma omp parallel for num_threads(weft_cpu_team(device, activation->rows)) schedule(static)
    for (int64_t row = 0; row < activation->rows; row++) {
        const void *slope = weft_cpu_at(cpu, dy, row * width);
        if (activation->kind == WEFT_GELU) {
            cpu->loops->gelu_backward(width, weft_cpu_at(cpu, x, row * width), slope,
                                      weft_cpu_at_mutable(cpu, dx, row * width));
        } else {
            cpu->loops->swiglu_backward(width, weft_cpu_at(cpu, x, 2 * row * width), slope,
                                        weft_cpu_at_mutable(cpu, dx, 2 * row * width));
        }
    }
    weft_cpu_between(device);
}

void weft_cpu_rotary(weft_device *device, weft_stream *stream, const weft_rotary *rotary, const int32_t *positions,
                     const float *cosine, const float *sine, int direction, void *x)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
    const int64_t half = rotary->D / 2;
#pragma omp parallel for num_threads(weft_cpu_team(device, rotary->B * rotary->T)) schedule(static)
    for (int64_t row = 0; row < rotary->B * rotary->T; row++) {
        int64_t angle = (positions == NULL ? row % rotary->T : positions[row]) * half;
        cpu->loops->rotary(rotary->heads, rotary->D, cosine + angle, sine + angle, (float)direction, rotary->stride,
                           weft_cpu_at_mutable(cpu, x, row * rotary->stride));
    }
    weft_cpu_between(device);
}

void weft_cpu_add(weft_device *device, weft_stream *stream, int64_t count, const void *a, const void *b, void *out)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
#pragma omp parallel num_threads(weft_cpu_team(device, weft_cpu_divide_up(count, GRAIN)))
    {
        weft_cpu_span part = weft_cpu_part(count, GRAIN);
        cpu->loops->add(part.end - part.begin, weft_cpu_at(cpu, a, part.begin), weft_cpu_at(cpu, b, part.begin),
                        weft_cpu_at_mutable(cpu, out, part.begin));
    }
    weft_cpu_between(device);
}

void weft_cpu_sum(weft_device *device, weft_stream *stream, weft_element element, int64_t count, int32_t parts,
                  const void *const *from, void *out)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
#pragma omp parallel num_threads(weft_cpu_team(device, weft_cpu_divide_up(count, GRAIN)))
    {
        weft_cpu_span part = weft_cpu_part(count, GRAIN);
        if (element == WEFT_FP32)
            cpu->loops->sum_fp32(part.begin, part.end, parts, from, out);
        else
            cpu->loops->sum(part.begin, part.end, parts, from, out);
    }
    weft_cpu_between(device);
}

void weft_cpu_round(weft_device *device, weft_stream *stream, int64_t count, const float *from, void *to)
{
    (void)stream;
    if (!weft_cpu_begins(device)) return;
    const weft_cpu *cpu = weft_cpu_of(device);
#pragma omp parallel num_threads(weft_cpu_team(device, weft_cpu_divide_up(count, GRAIN)))
    {
        weft_cpu_span part = weft_cpu_part(count, GRAIN);
        cpu->loops->round(part.end - part.begin, from + part.begin, weft_cpu_at_mutable(cpu, to, part.begin));
    }
    weft_cpu_between(device);
}
