/* Learning-rate schedules with warm-up. Threads: any. */
#ifndef WEFT_TRAIN_RATE_H
#define WEFT_TRAIN_RATE_H

#include "config/config.h"

/* Learning rate of a step (from 1) of a run of config->run.steps. Warm-up is linear from 0 to the full rate at step
 * `warmup`; then constant, linear or cosine (Loshchilov and Hutter, arXiv 1608.03983, one half period) down to minimum
 * x rate at the last step, or constant with a linear decay over the last decay_steps (warm-up, stable, decay: Hu et
 * al., arXiv 2404.06395). */
double weft_learning_rate(const weft_config *config, int64_t step);

#endif
