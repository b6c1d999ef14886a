#include "train/draw.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>

static int by_logit(const void *a, const void *b)
{
    const weft_candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

static int32_t most_probable(const weft_candidate *candidates, int64_t count)
{
    const weft_candidate *best = candidates;
    for (int64_t i = 1; i < count; i++)
        if (by_logit(&candidates[i], best) < 0) best = &candidates[i];
    return best->token;
}

/* Of the first candidate it is 1. */
static double weight(const weft_candidate *candidates, int64_t i, double temperature)
{
    return exp(((double)candidates[i].logit - (double)candidates[0].logit) / temperature);
}

int32_t weft_draw(weft_candidate *candidates, int64_t count, const weft_sample_options *options, int64_t draw)
{
    int64_t kept = options->top_k > 0 && options->top_k < count ? options->top_k : count, i = 0;
    double total = 0, share = options->top_p > 0 && options->top_p < 1 ? options->top_p : 1;
    if (options->temperature <= 0) return most_probable(candidates, count);
    qsort(candidates, (size_t)count, sizeof *candidates, by_logit);
    for (i = 0; i < kept; i++) total += weight(candidates, i, options->temperature);
    if (share < 1) {
        double wanted = share * total;
        total = 0;
        for (i = 0; i < kept && total < wanted; i++) total += weight(candidates, i, options->temperature);
        kept = i;
    }
    double left = total * weft_random_uniform(weft_random_key_make(options->seed, "sample"), (uint64_t)draw);
    int32_t token = candidates[0].token;
    for (i = 0; i < kept && left >= 0; i++) {
        left -= weight(candidates, i, options->temperature);
        token = candidates[i].token;
    }
    return token;
}
