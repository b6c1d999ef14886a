#include "data/corpus.h"

#include "data/numbers.h"
#include "data/recognise.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

enum { READ_BYTES = 32 << 10 }; /* on the stack of whoever reads */

static uint64_t hash_number(uint64_t number, uint64_t seed)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, seed);
}

static uint64_t hash_page(const weft_excerpt *excerpt, int page, uint64_t seed)
{
    return XXH3_64bits_withSeed(excerpt->pages[page].bytes, excerpt->pages[page].count, seed);
}

/* An empty file is as good as none: it may be the log of a run that has just begun. */
static uint64_t hash_file(const weft_excerpt *excerpt, uint64_t seed)
{
    if (excerpt->size == 0) return seed;
    uint64_t hash = hash_number(excerpt->size, seed);
    return hash_page(excerpt, WEFT_EXCERPT_LAST, hash_page(excerpt, WEFT_EXCERPT_FIRST, hash));
}

/* Whether a file of a folder is none of its data, and of which kind: the log of a run; an index among tokens whose
 * format is named, where everything else is tokens. */
static bool is_left_out(const weft_corpus_options *options, const weft_excerpt *excerpt, weft_left_kind *out)
{
    bool tokens = options->format == WEFT_CONFIG_NANOGPT || options->format == WEFT_CONFIG_UINT32;
    if (strcmp(options->path, excerpt->path) == 0) return false;
    *out = WEFT_LEFT_RUN;
    if (weft_recognise_log(excerpt)) return true;
    *out = WEFT_LEFT_INDEX;
    return tokens && weft_corpus_layout_is_index(excerpt);
}

static void note_doubt(weft_corpus *corpus, const weft_excerpt *excerpt, const weft_likeness *doubt)
{
    if (doubt && corpus->doubts++ == 0) {
        corpus->doubt = doubt;
        corpus->doubtful = excerpt->path;
    }
}

static weft_status add_file(weft_corpus *corpus, const weft_corpus_options *options, size_t number,
                            const weft_excerpt *excerpt, weft_error *error)
{
    const weft_corpus_layout *layout = NULL;
    const weft_likeness *doubt = NULL;
    TRY(weft_corpus_layout_find(excerpt, options->format, &layout, &doubt, error));
    if (corpus->layout && layout != corpus->layout)
        FAIL(error, WEFT_INVALID, "%s: is %s, but %s is %s: keep one kind of file in a folder, or set data.format",
             excerpt->path, layout->name, corpus->files[0].path, corpus->layout->name);
    if (!corpus->layout) corpus->fingerprint = hash_number(weft_corpus_layout_number(layout), options->seed);
    corpus->layout = layout;
    corpus->fingerprint = hash_file(excerpt, corpus->fingerprint);
    note_doubt(corpus, excerpt, doubt);
    weft_corpus_file *file = &corpus->files[corpus->count];
    *file = (weft_corpus_file){.path = excerpt->path, .number = number, .first = corpus->tokens};
    TRY(weft_corpus_layout_measure(layout, excerpt, &file->tokens, error));
    corpus->tokens += file->tokens;
    corpus->count++;
    return WEFT_OK;
}

static weft_status add_files(weft_corpus *corpus, const weft_corpus_options *options, weft_error *error)
{
    weft_collection *collection = &corpus->collection;
    TRY(weft_files_create(&corpus->reader, error));
    TRY(weft_allocate(collection->count, sizeof *corpus->files, &corpus->files, error));
    for (size_t i = 0; i < collection->count; i++) {
        weft_excerpt excerpt;
        TRY(weft_files_add(corpus->reader, collection->paths[i], &excerpt, error));
        weft_left_kind kind;
        if (is_left_out(options, &excerpt, &kind))
            weft_collection_leave(collection, kind, false, excerpt.path);
        else
            TRY(add_file(corpus, options, i, &excerpt, error));
    }
    if (corpus->tokens == 0) FAIL(error, WEFT_INVALID, "%s: is empty", options->path);
    return WEFT_OK;
}

weft_status weft_corpus_init(weft_corpus *corpus, const weft_corpus_options *options, weft_error *error)
{
    *corpus = (weft_corpus){0};
    TRY(weft_collection_init(&corpus->collection, options->path, options->own, options->own_count, error));
    weft_status status = add_files(corpus, options, error);
    if (status != WEFT_OK) weft_corpus_fini(corpus);
    return status;
}

void weft_corpus_fini(weft_corpus *corpus)
{
    weft_files_destroy(corpus->reader);
    weft_free(corpus->files);
    weft_collection_fini(&corpus->collection);
    *corpus = (weft_corpus){0};
}

void weft_corpus_describe(const weft_corpus *corpus, weft_text *out)
{
    weft_collection_describe(&corpus->collection, out);
    if (corpus->doubts == 0) return;
    weft_text_add(out, "%s seems to be %s", corpus->doubtful, corpus->doubt->what);
    if (corpus->doubts > 1) weft_text_add(out, " (one of %zu such files)", corpus->doubts);
    weft_text_add(out, ": read as %s all the same, as data.format says\n", corpus->layout->name);
}

/* The last file whose first token is at or before start. Empty files share that place with their successor, which
 * comes later and therefore wins. */
static size_t file_of(const weft_corpus *corpus, uint64_t start)
{
    size_t low = 0, high = corpus->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (corpus->files[middle].first <= start)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* count numbers, which lie from offset on in the file, are tokens below vocabulary. */
static weft_status check_numbers(const weft_corpus *corpus, const weft_corpus_file *file, uint64_t offset,
                                 const unsigned char *bytes, size_t count, int64_t vocabulary, weft_error *error)
{
    uint32_t width = corpus->layout->width, last = INT32_MAX;
    if (vocabulary <= INT32_MAX) last = (uint32_t)(vocabulary - 1);
    if (weft_numbers_largest(bytes, count, width) <= last) return WEFT_OK;
    for (size_t i = 0; i < count; i++) {
        uint32_t token = weft_number_at(bytes, i, width);
        if (token > last)
            FAIL(error, WEFT_FAILED,
                 "%s: token %" PRIu32 " at byte %" PRIu64 " is outside the model's vocabulary of %" PRId64, file->path,
                 token, offset + i * width, vocabulary);
    }
    return WEFT_OK;
}

/* Where a read has come to. */
typedef struct {
    uint64_t start, left; /* next token of the stream; how many of them go to out, before one to next */
    int32_t *out, *next;
} progress;

/* count tokens of one file, which READ_BYTES hold. */
static weft_status read_piece(const weft_corpus *corpus, const weft_corpus_file *file, size_t count, int64_t vocabulary,
                              progress *at, weft_error *error)
{
    unsigned char bytes[READ_BYTES];
    uint32_t width = corpus->layout->width;
    uint64_t offset = weft_corpus_layout_offset(corpus->layout, at->start - file->first);
    size_t most = at->left < count ? (size_t)at->left : count;
    TRY(weft_files_read(corpus->reader, file->number, offset, count * width, 0, bytes, error));
    TRY(check_numbers(corpus, file, offset, bytes, count, vocabulary, error));
    weft_numbers_widen(bytes, most, width, at->out);
    weft_numbers_widen(bytes + most * width, count - most, width, at->next);
    at->start += count;
    at->left -= most;
    at->out += most;
    return WEFT_OK;
}

weft_status weft_corpus_read(const weft_corpus *corpus, uint64_t start, uint64_t count, int64_t vocabulary,
                             int32_t *out, int32_t *next, weft_error *error)
{
    progress at = {start, count, out, next};
    uint64_t most = READ_BYTES / corpus->layout->width, end = start + count + 1;
    for (size_t i = file_of(corpus, start); at.start < end; i++) {
        const weft_corpus_file *file = &corpus->files[i];
        uint64_t file_end = file->first + file->tokens, stop = file_end < end ? file_end : end;
        while (at.start < stop) {
            uint64_t left = stop - at.start;
            TRY(read_piece(corpus, file, (size_t)(left < most ? left : most), vocabulary, &at, error));
        }
    }
    return WEFT_OK;
}

static weft_status check_file(const weft_corpus *corpus, const weft_corpus_file *file, const weft_corpus_check *check,
                              weft_error *error)
{
    uint32_t width = corpus->layout->width;
    uint64_t offset = weft_corpus_layout_offset(corpus->layout, 0), end = offset + file->tokens * width;
    while (offset < end && !(check->stop && atomic_load(check->stop))) {
        uint64_t left = end - offset;
        size_t bytes = left < WEFT_CORPUS_CHECK_BYTES ? (size_t)left : WEFT_CORPUS_CHECK_BYTES;
        uint64_t ahead = left - bytes < WEFT_CORPUS_CHECK_BYTES ? left - bytes : WEFT_CORPUS_CHECK_BYTES;
        TRY(weft_files_read(corpus->reader, file->number, offset, bytes, ahead, check->buffer, error));
        TRY(check_numbers(corpus, file, offset, check->buffer, bytes / width, check->vocabulary, error));
        offset += bytes;
        if (check->checked) atomic_fetch_add(check->checked, bytes);
    }
    return WEFT_OK;
}

uint64_t weft_corpus_check_size(const weft_corpus *corpus, int64_t vocabulary)
{
    uint32_t width = corpus->layout->width;
    return width < 4 && vocabulary >= INT64_C(1) << 8 * width ? 0 : corpus->tokens * width;
}

weft_status weft_corpus_check_tokens(const weft_corpus *corpus, const weft_corpus_check *check, weft_error *error)
{
    if (weft_corpus_check_size(corpus, check->vocabulary) == 0) return WEFT_OK;
    for (size_t i = 0; i < corpus->count; i++) TRY(check_file(corpus, &corpus->files[i], check, error));
    return WEFT_OK;
}
