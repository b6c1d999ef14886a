#include "data/source.h"

#include "base/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Of the first `blocks` blocks, how many are held out: floor(blocks x share), exactly. */
static uint64_t held_before(const weft_source *source, uint64_t blocks)
{
    uint64_t high = blocks >> 32, low = blocks & UINT32_MAX;
    return high * source->share + (low * source->share >> 32);
}

static uint64_t part_before(const weft_source *source, bool held_out, uint64_t blocks)
{
    uint64_t held = held_before(source, blocks);
    return held_out ? held : blocks - held;
}

/* The block that is the index-th of its part: the first one by whose end index + 1 blocks of the part have passed. */
static uint64_t block_of(const weft_source *source, bool held_out, uint64_t index)
{
    uint64_t low = 0, high = source->blocks - 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (part_before(source, held_out, middle + 1) > index)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static weft_status cut_blocks(weft_source *source, const char *path, double held_out, weft_error *error)
{
    uint64_t tokens = source->corpus.tokens;
    source->share = (uint64_t)ceil(held_out * 0x1p32);
    source->blocks = (tokens - 1) / source->tokens;
    source->held = held_before(source, source->blocks);
    if (source->blocks == 0)
        FAIL(error, WEFT_INVALID, "%s: %" PRIu64 " token%s too few: a block needs %" PRIu64, path, tokens,
             tokens == 1 ? " is" : "s are", source->tokens + 1);
    if (source->blocks == source->held || (held_out > 0 && source->held == 0))
        FAIL(error, WEFT_INVALID,
             "%s: %" PRIu64 " tokens make %" PRIu64 " block%s of %" PRIu64
             ", too few to train and to hold out a share of %g:"
             " use more text, shorter blocks or another data.held_out",
             path, tokens, source->blocks, weft_text_plural((int64_t)source->blocks), source->tokens, held_out);
    return WEFT_OK;
}

weft_status weft_source_init(weft_source *source, const weft_corpus_options *options, int64_t tokens, double held_out,
                             weft_error *error)
{
    *source = (weft_source){.tokens = (uint64_t)tokens};
    TRY(weft_corpus_init(&source->corpus, options, error));
    weft_status status = cut_blocks(source, options->path, held_out, error);
    if (status != WEFT_OK) weft_source_fini(source);
    return status;
}

void weft_source_fini(weft_source *source)
{
    weft_corpus_fini(&source->corpus);
}

uint64_t weft_source_held_out(const weft_source *source, uint64_t index)
{
    return block_of(source, true, index) * source->tokens;
}

uint64_t weft_source_train(const weft_source *source, uint64_t seed, const char *name, uint64_t sequence)
{
    uint64_t blocks = source->blocks - source->held;
    char epoch[80];
    snprintf(epoch, sizeof epoch, "shuffle %sepoch %" PRIu64, name, sequence / blocks);
    weft_random_key key = weft_random_key_make(seed, epoch);
    return block_of(source, false, weft_random_permute(key, sequence % blocks, blocks)) * source->tokens;
}
