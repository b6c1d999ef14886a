#include "data/data.h"

#include "base/random.h"
#include "data/audit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct weft_data {
    weft_corpus corpora[2]; /* of each weft_data_part; that of the held-out one only when it has its own path */
    bool own_held_out;
    weft_audit audit;
    uint64_t seed, tokens; /* tokens: T, of a block */
    int64_t vocabulary;
    uint64_t blocks;   /* in the training corpus, both parts */
    uint64_t share;    /* of blocks held out, in 1/2^32 */
    uint64_t parts[2]; /* blocks of each weft_data_part */
};

static uint64_t blocks_of(const weft_corpus *corpus, uint64_t tokens)
{
    return (corpus->tokens - 1) / tokens;
}

/* Of the first `blocks` blocks, how many are held out: floor(blocks x share), exactly. */
static uint64_t held_before(const weft_data *data, uint64_t blocks)
{
    uint64_t high = blocks >> 32, low = blocks & UINT32_MAX;
    return high * data->share + (low * data->share >> 32);
}

static uint64_t part_before(const weft_data *data, weft_data_part part, uint64_t blocks)
{
    uint64_t held = held_before(data, blocks);
    return part == WEFT_DATA_HELD_OUT ? held : blocks - held;
}

/* The block that is the index-th of its part: the first one by whose end index + 1 blocks of the part have passed. */
static uint64_t block_of(const weft_data *data, weft_data_part part, uint64_t index)
{
    uint64_t low = 0, high = data->blocks - 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (part_before(data, part, middle + 1) > index)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static weft_status check_options(const weft_data_options *options, weft_error *error)
{
    if (options->tokens < 1)
        FAIL(error, WEFT_INVALID, "a block needs at least one token, not %" PRId64, options->tokens);
    if (options->vocabulary < 1) FAIL(error, WEFT_INVALID, "the vocabulary needs at least one token");
    if (!(options->held_out >= 0 && options->held_out < 1))
        FAIL(error, WEFT_INVALID, "data.held_out is a share from 0 to below 1, not %g", options->held_out);
    return WEFT_OK;
}

static weft_status open_corpus(weft_data *data, const weft_data_options *options, weft_data_part part,
                               weft_error *error)
{
    bool train = part == WEFT_DATA_TRAIN;
    weft_corpus_options corpus = {.path = train ? options->path : options->held_out_path,
                                  .format = options->format,
                                  .own = options->own,
                                  .own_count = options->own_count,
                                  .seed = train ? 0 : data->corpora[WEFT_DATA_TRAIN].fingerprint};
    return weft_corpus_init(&data->corpora[part], &corpus, error);
}

static weft_status open_held_out(weft_data *data, const weft_data_options *options, weft_error *error)
{
    weft_corpus *held_out = &data->corpora[WEFT_DATA_HELD_OUT];
    TRY(open_corpus(data, options, WEFT_DATA_HELD_OUT, error));
    data->own_held_out = true;
    if (weft_corpus_layout_is_text(held_out->layout) !=
        weft_corpus_layout_is_text(data->corpora[WEFT_DATA_TRAIN].layout))
        FAIL(error, WEFT_INVALID, "%s and %s: one is text, the other holds tokens", options->path,
             options->held_out_path);
    data->parts[WEFT_DATA_HELD_OUT] = blocks_of(held_out, data->tokens);
    if (data->parts[WEFT_DATA_HELD_OUT] == 0)
        FAIL(error, WEFT_INVALID, "%s: %" PRIu64 " tokens are too few: a block needs %" PRIu64, options->held_out_path,
             held_out->tokens, data->tokens + 1);
    return WEFT_OK;
}

static weft_status cut_blocks(weft_data *data, const weft_data_options *options, weft_error *error)
{
    const weft_corpus *corpus = &data->corpora[WEFT_DATA_TRAIN];
    bool split = !data->own_held_out && options->held_out > 0;
    data->share = split ? (uint64_t)ceil(options->held_out * 0x1p32) : 0;
    data->blocks = blocks_of(corpus, data->tokens);
    uint64_t held = held_before(data, data->blocks);
    data->parts[WEFT_DATA_TRAIN] = data->blocks - held;
    if (!data->own_held_out) data->parts[WEFT_DATA_HELD_OUT] = held;
    if (data->blocks == 0)
        FAIL(error, WEFT_INVALID, "%s: %" PRIu64 " tokens are too few: a block needs %" PRIu64, options->path,
             corpus->tokens, data->tokens + 1);
    if (data->parts[WEFT_DATA_TRAIN] == 0 || (split && held == 0))
        FAIL(error, WEFT_INVALID,
             "%s: %" PRIu64 " tokens make %" PRIu64 " blocks of %" PRIu64
             ", too few to train and to hold out a share of %g:"
             " use more text, shorter blocks or another data.held_out",
             options->path, corpus->tokens, data->blocks, data->tokens, options->held_out);
    return WEFT_OK;
}

/* All tokens of small data; those of large data are for weft_data_watch. */
static weft_status check_tokens(weft_data *data, weft_error *error)
{
    weft_audit_init(&data->audit, data->corpora, data->own_held_out ? 2 : 1, data->vocabulary);
    if (weft_audit_left(&data->audit) > WEFT_DATA_CHECKED_AT_ONCE) return WEFT_OK;
    if (weft_audit_run(&data->audit, error) == WEFT_OK) return WEFT_OK;
    return error->status = error->status == WEFT_FAILED ? WEFT_INVALID : error->status; /* of a file just given */
}

static weft_status open_parts(weft_data *data, const weft_data_options *options, weft_error *error)
{
    TRY(open_corpus(data, options, WEFT_DATA_TRAIN, error));
    if (options->held_out_path && *options->held_out_path) TRY(open_held_out(data, options, error));
    TRY(cut_blocks(data, options, error));
    return check_tokens(data, error);
}

weft_status weft_data_open(const weft_data_options *options, weft_data **out, weft_error *error)
{
    *out = NULL;
    TRY(check_options(options, error));
    weft_data *data = NULL;
    TRY(weft_allocate(1, sizeof *data, &data, error));
    data->seed = options->seed;
    data->tokens = (uint64_t)options->tokens;
    data->vocabulary = options->vocabulary;
    weft_status status = open_parts(data, options, error);
    if (status == WEFT_OK)
        *out = data;
    else
        weft_data_close(data);
    return status;
}

void weft_data_close(weft_data *data)
{
    if (!data) return;
    weft_audit_fini(&data->audit);
    for (int part = 0; part < 2; part++) weft_corpus_fini(&data->corpora[part]);
    weft_free(data);
}

void weft_data_watch(weft_data *data)
{
    weft_audit_start(&data->audit);
}

weft_status weft_data_poll(const weft_data *data, weft_error *error)
{
    return weft_audit_poll(&data->audit, error);
}

uint64_t weft_data_unchecked(const weft_data *data)
{
    return weft_audit_left(&data->audit);
}

void weft_data_describe(const weft_data *data, weft_text *out)
{
    weft_corpus_describe(&data->corpora[WEFT_DATA_TRAIN], out);
    if (data->own_held_out) weft_corpus_describe(&data->corpora[WEFT_DATA_HELD_OUT], out);
}

int64_t weft_data_blocks(const weft_data *data, weft_data_part part)
{
    return (int64_t)data->parts[part];
}

int64_t weft_data_bytes_per_token(const weft_data *data)
{
    return weft_corpus_layout_is_text(data->corpora[WEFT_DATA_TRAIN].layout) ? 1 : 0;
}

uint64_t weft_data_fingerprint(const weft_data *data)
{
    return data->corpora[data->own_held_out ? WEFT_DATA_HELD_OUT : WEFT_DATA_TRAIN].fingerprint;
}

static weft_status read_block(const weft_data *data, weft_data_part part, uint64_t block, int32_t *tokens,
                              int32_t *targets, weft_error *error)
{
    uint64_t length = data->tokens;
    TRY(weft_corpus_read(&data->corpora[part], block * length, length, data->vocabulary, tokens, targets + length - 1,
                         error));
    memcpy(targets, tokens + 1, (length - 1) * sizeof *targets);
    return WEFT_OK;
}

static weft_status read_train(const weft_data *data, uint64_t sequence, int32_t *tokens, int32_t *targets,
                              weft_error *error)
{
    uint64_t blocks = data->parts[WEFT_DATA_TRAIN];
    char name[48];
    snprintf(name, sizeof name, "shuffle epoch %" PRIu64, sequence / blocks);
    weft_random_key key = weft_random_key_make(data->seed, name);
    uint64_t index = weft_random_permute(key, sequence % blocks, blocks);
    return read_block(data, WEFT_DATA_TRAIN, block_of(data, WEFT_DATA_TRAIN, index), tokens, targets, error);
}

static weft_status read_held_out(const weft_data *data, uint64_t sequence, int32_t *tokens, int32_t *targets,
                                 weft_error *error)
{
    if (sequence >= data->parts[WEFT_DATA_HELD_OUT]) {
        memset(tokens, 0, data->tokens * sizeof *tokens);
        for (uint64_t i = 0; i < data->tokens; i++) targets[i] = -1;
        return WEFT_OK;
    }
    if (data->own_held_out) return read_block(data, WEFT_DATA_HELD_OUT, sequence, tokens, targets, error);
    return read_block(data, WEFT_DATA_TRAIN, block_of(data, WEFT_DATA_HELD_OUT, sequence), tokens, targets, error);
}

weft_status weft_data_read(const weft_data *data, weft_data_part part, int64_t first, int64_t count, int32_t *tokens,
                           int32_t *targets, weft_error *error)
{
    if (first < 0 || count < 0) FAIL(error, WEFT_INVALID, "sequences are counted from 0, not from %" PRId64, first);
    for (int64_t i = 0; i < count; i++) {
        size_t at = (size_t)i * data->tokens;
        uint64_t sequence = (uint64_t)first + (uint64_t)i;
        if (part == WEFT_DATA_TRAIN)
            TRY(read_train(data, sequence, tokens + at, targets + at, error));
        else
            TRY(read_held_out(data, sequence, tokens + at, targets + at, error));
    }
    return WEFT_OK;
}
