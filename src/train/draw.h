/* Drawing a token from logits. Internal to train/.  Threads: any. */
#ifndef WEFT_TRAIN_DRAW_H
#define WEFT_TRAIN_DRAW_H

#include "train/train.h"

typedef struct weft_candidate {
    float logit;
    int32_t token;
} weft_candidate;

/* One of count candidates, which it may sort. At temperature 0 the most probable, else a draw from their softmax at the
 * temperature, cut to the first top_k, and of these to the fewest that have top_p of their probability (Holtzman et
 * al., arXiv 1904.09751). draw: which of the seed's random numbers. */
int32_t weft_draw(weft_candidate *candidates, int64_t count, const weft_sample_options *options, int64_t draw);

#endif
