#include "train/skip.h"

#include <float.h>
#include <math.h>

weft_status weft_skip_init(weft_skip *skip, const weft_config *config, const weft_checkpoint_state *state,
                           weft_arena *arena, weft_error *error)
{
    *skip = (weft_skip){.z = config->optimizer.skip,
                        .skipped = state ? state->skips.skipped : 0,
                        .in_a_row = state ? state->skips.in_a_row : 0};
    if (!(skip->z > 0)) return WEFT_OK;
    skip->window = config->optimizer.skip_window;
    TRY(weft_arena_take(arena, (size_t)skip->window, sizeof *skip->losses, &skip->losses, error));
    TRY(weft_arena_take(arena, (size_t)skip->window, sizeof *skip->norms, &skip->norms, error));
    if (!state) return WEFT_OK;
    int64_t count = state->skips.count;
    for (int64_t i = count > skip->window ? count - skip->window : 0; i < count; i++, skip->kept++) {
        skip->losses[skip->kept] = state->skips.losses[i];
        skip->norms[skip->kept] = state->skips.norms[i];
    }
    return WEFT_OK;
}

/* Where the i-th of the last (window) steps is, the oldest first: sums have the same bits after a resume. */
static int64_t place(const weft_skip *skip, int64_t i)
{
    int64_t first = skip->kept > skip->window ? skip->kept - skip->window : 0;
    return (first + i) % skip->window;
}

/* Differences to the oldest: what does not change at all has a deviation of exactly 0, and that is no measure. */
static double limit_of(const weft_skip *skip, const double *values)
{
    double sum = 0, squares = 0;
    if (skip->window == 0 || skip->kept < skip->window) return DBL_MAX;
    double oldest = values[place(skip, 0)], count = (double)skip->window;
    for (int64_t i = 0; i < skip->window; i++) sum += values[place(skip, i)] - oldest;
    double mean = sum / count;
    for (int64_t i = 0; i < skip->window; i++) {
        double apart = values[place(skip, i)] - oldest - mean;
        squares += apart * apart;
    }
    double limit = oldest + mean + skip->z * sqrt(squares / (count - 1));
    return squares > 0 && limit < DBL_MAX ? limit : DBL_MAX;
}

void weft_skip_pose(const weft_skip *skip, weft_step_scalars *out)
{
    out->loss_limit = limit_of(skip, skip->losses);
    out->norm_limit = limit_of(skip, skip->norms);
}

void weft_skip_take(weft_skip *skip, double loss, const weft_step_scalars *scalars)
{
    skip->skipped += scalars->skipped;
    skip->in_a_row = scalars->skipped ? skip->in_a_row + 1 : 0;
    if (scalars->skipped || skip->window == 0) return;
    skip->losses[skip->kept % skip->window] = loss;
    skip->norms[skip->kept % skip->window] = scalars->norm;
    skip->kept++;
}

weft_skipped weft_skip_cause(double loss, const weft_step_scalars *scalars, double *out_limit)
{
    if (!scalars->skipped) return WEFT_NOT_SKIPPED;
    bool of_loss = !isfinite(loss) || loss > scalars->loss_limit;
    *out_limit = of_loss ? scalars->loss_limit : scalars->norm_limit;
    if (!isfinite(of_loss ? loss : scalars->norm)) *out_limit = (double)NAN;
    return of_loss ? WEFT_SKIPPED_LOSS : WEFT_SKIPPED_NORM;
}

void weft_skip_save(const weft_skip *skip, double *losses, double *norms, weft_checkpoint_skips *out)
{
    int64_t count = skip->kept < skip->window ? skip->kept : skip->window;
    for (int64_t i = 0; i < count; i++) {
        losses[i] = skip->losses[place(skip, i)];
        norms[i] = skip->norms[place(skip, i)];
    }
    *out = (weft_checkpoint_skips){
        .skipped = skip->skipped, .in_a_row = skip->in_a_row, .count = count, .losses = losses, .norms = norms};
}
