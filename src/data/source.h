/*
 * A corpus cut into blocks, some of them held out, in the order in which training takes them. Internal to data/.
 *
 * Owns: its corpus.  Lifetime: init to fini.  Threads: any may read.
 */
#ifndef WEFT_DATA_SOURCE_H
#define WEFT_DATA_SOURCE_H

#include "data/corpus.h"

typedef struct weft_source {
    weft_corpus corpus;
    uint64_t tokens; /* T, of a block */
    uint64_t blocks; /* in the corpus */
    uint64_t share;  /* of blocks held out, in 1/2^32 */
    uint64_t held;   /* blocks held out; the others are trained on */
} weft_source;

/* tokens: of a block. held_out: the share. WEFT_INVALID as for weft_corpus_init, and when there are too few tokens. On
 * error nothing is left to free. */
weft_status weft_source_init(weft_source *source, const weft_corpus_options *options, int64_t tokens, double held_out,
                             weft_error *error) WEFT_CHECKED;
void weft_source_fini(weft_source *source);

/* The place in the stream of the first token of a held-out block, in the order of the stream; of a block of an epoch,
 * which is a permutation keyed by seed and name. */
uint64_t weft_source_held_out(const weft_source *source, uint64_t index);
uint64_t weft_source_train(const weft_source *source, uint64_t seed, const char *name, uint64_t sequence);

#endif
