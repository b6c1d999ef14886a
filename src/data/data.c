#include "data/data.h"

#include "data/audit.h"
#include "data/blend.h"
#include "data/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct weft_data {
    weft_source *sources; /* (count) opened so far */
    int32_t count;
    weft_source held_out; /* where it has its own path: all of its blocks */
    bool own_held_out;
    weft_blend *blend, *held_blend;
    const weft_corpus **corpora; /* (count, or one more) all of them */
    weft_audit audit;
    uint64_t seed, tokens; /* tokens: T, of a block */
    int64_t vocabulary, end_of_text;
    bool documents;
    uint64_t parts[2]; /* blocks of each weft_data_part */
};

static weft_status check_options(const weft_data_options *options, weft_error *error)
{
    if (options->tokens < 1)
        FAIL(error, WEFT_INVALID, "a block needs at least one token, not %" PRId64, options->tokens);
    if (options->vocabulary < 1) FAIL(error, WEFT_INVALID, "the vocabulary needs at least one token");
    if (!(options->held_out >= 0 && options->held_out < 1))
        FAIL(error, WEFT_INVALID, "data.held_out is a share from 0 to below 1, not %g", options->held_out);
    return WEFT_OK;
}

static weft_corpus_options corpus_options(const weft_data_options *options, const char *path, uint64_t seed)
{
    return (weft_corpus_options){
        .path = path, .format = options->format, .own = options->own, .own_count = options->own_count, .seed = seed};
}

static bool is_text(const weft_source *source)
{
    return weft_corpus_layout_is_text(source->corpus.layout);
}

static weft_status keep_kind(const weft_data *data, const weft_source *other, const weft_data_options *options,
                             const char *path, weft_error *error)
{
    if (is_text(other) != is_text(&data->sources[0]))
        FAIL(error, WEFT_INVALID, "%s and %s: one is text, the other holds tokens", options->sources[0].path, path);
    return WEFT_OK;
}

/* What it is known by goes on from source to source. */
static weft_status open_sources(weft_data *data, const weft_data_options *options, double held_out, weft_error *error)
{
    uint64_t seed = 0;
    for (int32_t i = 0; i < options->source_count; i++) {
        const char *path = options->sources[i].path;
        weft_source *source = &data->sources[i];
        weft_corpus_options corpus = corpus_options(options, path, seed);
        TRY(weft_source_init(source, &corpus, options->tokens, held_out, error));
        data->count++;
        TRY(keep_kind(data, source, options, path, error));
        seed = source->corpus.fingerprint;
        data->parts[WEFT_DATA_TRAIN] += source->blocks - source->held;
        data->parts[WEFT_DATA_HELD_OUT] += source->held;
    }
    return WEFT_OK;
}

static weft_status open_held_out(weft_data *data, const weft_data_options *options, weft_error *error)
{
    const char *path = options->held_out_path;
    weft_corpus_options corpus = corpus_options(options, path, data->sources[data->count - 1].corpus.fingerprint);
    TRY(weft_source_init(&data->held_out, &corpus, options->tokens, 0, error));
    data->own_held_out = true;
    data->parts[WEFT_DATA_HELD_OUT] = data->held_out.blocks;
    return keep_kind(data, &data->held_out, options, path, error);
}

/* Of training by the weights, of what is held out by how much there is of each source. */
static weft_status blend_sources(weft_data *data, const weft_data_options *options, weft_error *error)
{
    double *weights = NULL;
    bool held = !data->own_held_out && data->parts[WEFT_DATA_HELD_OUT] > 0;
    TRY(weft_allocate((size_t)data->count, sizeof *weights, &weights, error));
    for (int32_t i = 0; i < data->count; i++) weights[i] = options->sources[i].weight;
    weft_status status = weft_blend_create(weights, data->count, &data->blend, error);
    for (int32_t i = 0; i < data->count; i++) weights[i] = (double)data->sources[i].held;
    if (status == WEFT_OK && held) status = weft_blend_create(weights, data->count, &data->held_blend, error);
    weft_free(weights);
    return status;
}

static weft_status list_corpora(weft_data *data, weft_error *error)
{
    TRY(weft_allocate((size_t)data->count + 1, sizeof *data->corpora, &data->corpora, error));
    for (int32_t i = 0; i < data->count; i++) data->corpora[i] = &data->sources[i].corpus;
    data->corpora[data->count] = data->own_held_out ? &data->held_out.corpus : NULL;
    return WEFT_OK;
}

static size_t count_corpora(const weft_data *data)
{
    return (size_t)data->count + data->own_held_out;
}

/* All tokens of small data; those of large data are for weft_data_watch. */
static weft_status check_tokens(weft_data *data, weft_error *error)
{
    weft_audit_init(&data->audit, data->corpora, count_corpora(data), data->vocabulary);
    if (weft_audit_left(&data->audit) > WEFT_DATA_CHECKED_AT_ONCE) return WEFT_OK;
    if (weft_audit_run(&data->audit, error) == WEFT_OK) return WEFT_OK;
    return error->status = error->status == WEFT_FAILED ? WEFT_INVALID : error->status; /* of a file just given */
}

static weft_status open_parts(weft_data *data, const weft_data_options *options, weft_error *error)
{
    bool own = options->held_out_path && *options->held_out_path;
    TRY(weft_allocate((size_t)options->source_count, sizeof *data->sources, &data->sources, error));
    TRY(open_sources(data, options, own ? 0 : options->held_out, error));
    if (own) TRY(open_held_out(data, options, error));
    TRY(blend_sources(data, options, error));
    TRY(list_corpora(data, error));
    return check_tokens(data, error);
}

weft_status weft_data_open(const weft_data_options *given, weft_data **out, weft_error *error)
{
    weft_data_source only = {given->path, 1};
    weft_data_options all = *given, *options = &all;
    *out = NULL;
    TRY(check_options(options, error));
    if (options->source_count == 0) {
        options->sources = &only;
        options->source_count = 1;
    }
    weft_data *data = NULL;
    TRY(weft_allocate(1, sizeof *data, &data, error));
    data->seed = options->seed;
    data->tokens = (uint64_t)options->tokens;
    data->vocabulary = options->vocabulary;
    data->documents = options->documents;
    data->end_of_text = options->end_of_text;
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
    weft_blend_destroy(data->blend);
    weft_blend_destroy(data->held_blend);
    for (int32_t i = 0; i < data->count; i++) weft_source_fini(&data->sources[i]);
    weft_source_fini(&data->held_out);
    weft_free(data->sources);
    weft_free(data->corpora);
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
    for (size_t i = 0; i < count_corpora(data); i++) weft_corpus_describe(data->corpora[i], out);
}

int64_t weft_data_blocks(const weft_data *data, weft_data_part part)
{
    return (int64_t)data->parts[part];
}

int64_t weft_data_bytes_per_token(const weft_data *data)
{
    return is_text(&data->sources[0]) ? 1 : 0;
}

uint64_t weft_data_fingerprint(const weft_data *data)
{
    return data->corpora[count_corpora(data) - 1]->fingerprint;
}

/* Where a sequence lies. */
typedef struct {
    const weft_source *source; /* NULL: it is none */
    int32_t number;
    uint64_t start; /* its first token in the stream */
} place;

static place find_train(const weft_data *data, uint64_t sequence)
{
    place at = {0};
    uint64_t index = 0;
    char name[32] = "";
    weft_blend_find(data->blend, sequence, &at.number, &index);
    at.source = &data->sources[at.number];
    if (data->count > 1) snprintf(name, sizeof name, "source %d ", at.number);
    at.start = weft_source_train(at.source, data->seed, name, index);
    return at;
}

static place find_held_out(const weft_data *data, uint64_t sequence)
{
    place at = {0};
    uint64_t index = sequence;
    if (sequence >= data->parts[WEFT_DATA_HELD_OUT]) return at;
    if (data->own_held_out) return (place){.source = &data->held_out, .start = sequence * data->tokens};
    weft_blend_find(data->held_blend, sequence, &at.number, &index);
    at.source = &data->sources[at.number];
    at.start = weft_source_held_out(at.source, index);
    return at;
}

static place find(const weft_data *data, weft_data_part part, uint64_t sequence)
{
    return part == WEFT_DATA_TRAIN ? find_train(data, sequence) : find_held_out(data, sequence);
}

static void read_nothing(const weft_data *data, weft_data_rows row)
{
    for (uint64_t i = 0; i < data->tokens; i++) {
        row.tokens[i] = 0;
        row.targets[i] = -1;
        if (row.begins) row.begins[i] = 0;
    }
}

/* Where documents begin, and that nothing is learnt from one of the next. */
static weft_status tell_documents(const weft_data *data, const weft_corpus *corpus, uint64_t start, weft_data_rows row,
                                  weft_error *error)
{
    uint64_t next = start;
    int32_t begin = 0;
    for (uint64_t i = 0; i < data->tokens; i++) {
        uint64_t token = start + i + 1; /* the target */
        while (next < token) TRY(weft_corpus_next_document(corpus, next, &next, error));
        if (row.begins) row.begins[i] = begin;
        if (next != token && row.tokens[i] != data->end_of_text) continue;
        row.targets[i] = -1;
        begin = (int32_t)(i + 1);
    }
    return WEFT_OK;
}

static weft_status read_row(const weft_data *data, place at, weft_data_rows row, weft_error *error)
{
    const weft_corpus *corpus = &at.source->corpus;
    uint64_t length = data->tokens;
    TRY(weft_corpus_read(corpus, at.start, length, data->vocabulary, row.tokens, row.targets + length - 1, error));
    memcpy(row.targets, row.tokens + 1, (length - 1) * sizeof *row.targets);
    TRY(weft_corpus_mask(corpus, at.start, length, row.targets, error));
    if (data->documents) return tell_documents(data, corpus, at.start, row, error);
    for (uint64_t i = 0; row.begins && i < length; i++) row.begins[i] = 0;
    return WEFT_OK;
}

weft_status weft_data_read(const weft_data *data, weft_data_part part, int64_t first, int64_t count,
                           weft_data_rows rows, weft_error *error)
{
    if (first < 0 || count < 0) FAIL(error, WEFT_INVALID, "sequences are counted from 0, not from %" PRId64, first);
    for (int64_t i = 0; i < count; i++) {
        size_t skip = (size_t)i * data->tokens;
        place at = find(data, part, (uint64_t)first + (uint64_t)i);
        weft_data_rows row = {rows.tokens + skip, rows.targets + skip, rows.begins ? rows.begins + skip : NULL};
        if (at.source)
            TRY(read_row(data, at, row, error));
        else
            read_nothing(data, row);
    }
    return WEFT_OK;
}

int32_t weft_data_source_of(const weft_data *data, weft_data_part part, int64_t sequence)
{
    return find(data, part, (uint64_t)sequence).number;
}
