#include "train/rate.h"

#include <math.h>

/* 1 at the start of the decay, minimum at its end; share runs from 0 to 1. */
static double fall(const weft_config *config, double share)
{
    double minimum = config->optimizer.minimum;
    if (config->optimizer.decay == WEFT_CONFIG_COSINE) share = 0.5 - 0.5 * cos(3.14159265358979323846 * share);
    return 1 - (1 - minimum) * share;
}

double weft_learning_rate(const weft_config *config, int64_t step)
{
    double rate = config->optimizer.learning_rate;
    int64_t steps = config->run.steps, warmup = config->optimizer.warmup;
    if (step <= warmup) return rate * (double)step / (double)warmup;
    if (config->optimizer.decay == WEFT_CONFIG_CONSTANT) return rate;
    int64_t begin = warmup;
    if (config->optimizer.decay == WEFT_CONFIG_WSD) {
        int64_t decay_steps = config->optimizer.decay_steps ? config->optimizer.decay_steps : steps / 5;
        begin = steps - decay_steps > warmup ? steps - decay_steps : warmup;
    }
    if (step <= begin) return rate;
    return rate * fall(config, step >= steps ? 1 : (double)(step - begin) / (double)(steps - begin));
}
