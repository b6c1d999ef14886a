#include "data/corpus.h"

#include "base/file.h"
#include "data/mask.h"
#include "data/recognise.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
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

static bool exists(const char *path, const char *ending)
{
    char beside[4096];
    return weft_megatron_beside(path, ending, beside, sizeof beside) && access(beside, F_OK) == 0;
}

/* Whether a file of a folder is read with the tokens that lie beside it. */
static bool is_companion(const weft_corpus_options *options, const weft_excerpt *excerpt)
{
    bool megatron = options->format == WEFT_CONFIG_AUTO || options->format == WEFT_CONFIG_MEGATRON;
    const unsigned char *head = excerpt->pages[WEFT_EXCERPT_FIRST].bytes;
    bool kind = weft_corpus_layout_is_index(excerpt) || weft_mask_is(head, excerpt->pages[WEFT_EXCERPT_FIRST].count);
    return megatron && kind && exists(excerpt->path, ".bin");
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

/* What lies beside the tokens of a Megatron data set. */
static weft_status add_companions(weft_corpus *corpus, weft_corpus_file *file, uint64_t size, weft_error *error)
{
    char beside[4096];
    const char *path = NULL;
    if (!weft_megatron_beside(file->path, ".idx", beside, sizeof beside))
        FAIL(error, WEFT_INVALID, "%s: the name is too long", file->path);
    TRY(weft_arena_text(&corpus->collection.arena, beside, &path, error));
    TRY(weft_megatron_open(&file->index, corpus->reader, path, size, error));
    file->indexed = true;
    corpus->fingerprint = hash_number(weft_files_pages(corpus->reader, file->index.file), corpus->fingerprint);
    file->masked = exists(file->path, ".mask");
    if (!file->masked) return WEFT_OK;
    weft_megatron_beside(file->path, ".mask", beside, sizeof beside);
    TRY(weft_arena_text(&corpus->collection.arena, beside, &path, error));
    TRY(weft_mask_open(corpus->reader, path, file->tokens, &file->mask, error));
    corpus->fingerprint = hash_number(weft_files_pages(corpus->reader, file->mask), corpus->fingerprint);
    return WEFT_OK;
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
    if (layout->format == WEFT_CONFIG_MEGATRON) TRY(add_companions(corpus, file, excerpt->size, error));
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
        size_t number = 0;
        TRY(weft_files_add(corpus->reader, collection->paths[i], &number, &excerpt, error));
        weft_left_kind kind;
        if (is_left_out(options, &excerpt, &kind))
            weft_collection_leave(collection, kind, false, excerpt.path);
        else if (!is_companion(options, &excerpt))
            TRY(add_file(corpus, options, number, &excerpt, error));
    }
    if (corpus->tokens == 0) FAIL(error, WEFT_INVALID, "%s: is empty", options->path);
    return WEFT_OK;
}

/* The prefix of a Megatron data set, or its index, stands for its tokens. */
static const char *find_tokens(const weft_corpus_options *options, char *bin, size_t size)
{
    const char *path = options->path;
    bool prefix = access(path, F_OK) != 0 && exists(path, ".bin") && exists(path, ".idx");
    size_t length = strlen(path);
    bool index = length > 4 && strcmp(path + length - 4, ".idx") == 0 && exists(path, ".bin");
    const char *found = prefix || index ? weft_megatron_beside(path, ".bin", bin, size) : NULL;
    return found ? found : path;
}

weft_status weft_corpus_init(weft_corpus *corpus, const weft_corpus_options *options, weft_error *error)
{
    char bin[4096];
    weft_corpus_options found = *options;
    *corpus = (weft_corpus){0};
    found.path = find_tokens(options, bin, sizeof bin);
    TRY(weft_collection_init(&corpus->collection, found.path, options->own, options->own_count, error));
    weft_status status = add_files(corpus, &found, error);
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

static weft_status refuse_number(const weft_corpus_file *file, double number, uint64_t byte, int64_t vocabulary,
                                 weft_error *error)
{
    if (!(number >= 0) || floor(number) != number)
        FAIL(error, WEFT_FAILED, "%s: %g at byte %" PRIu64 " is no token", file->path, number, byte);
    FAIL(error, WEFT_FAILED, "%s: token %.0f at byte %" PRIu64 " is outside the model's vocabulary of %" PRId64,
         file->path, number, byte, vocabulary);
}

/* count numbers, which lie from offset on in the file, are tokens below vocabulary. */
static weft_status check_numbers(const weft_corpus *corpus, const weft_corpus_file *file, uint64_t offset,
                                 const unsigned char *bytes, size_t count, int64_t vocabulary, weft_error *error)
{
    weft_number_type type = corpus->layout->numbers;
    uint32_t last = vocabulary <= INT32_MAX ? (uint32_t)(vocabulary - 1) : INT32_MAX;
    if (weft_numbers_fit(bytes, count, type, last)) return WEFT_OK;
    size_t i = 0;
    while (i + 1 < count && weft_numbers_fit(bytes + i * weft_number_width(type), 1, type, last)) i++;
    return refuse_number(file, weft_number_at(bytes, i, type), offset + i * weft_number_width(type), vocabulary, error);
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
    weft_number_type type = corpus->layout->numbers;
    uint32_t width = weft_number_width(type);
    uint64_t offset = weft_corpus_layout_offset(corpus->layout, at->start - file->first);
    size_t most = at->left < count ? (size_t)at->left : count;
    TRY(weft_files_read(corpus->reader, file->number, offset, count * width, 0, bytes, error));
    TRY(check_numbers(corpus, file, offset, bytes, count, vocabulary, error));
    weft_numbers_widen(bytes, most, type, at->out);
    weft_numbers_widen(bytes + most * width, count - most, type, at->next);
    at->start += count;
    at->left -= most;
    at->out += most;
    return WEFT_OK;
}

weft_status weft_corpus_read(const weft_corpus *corpus, uint64_t start, uint64_t count, int64_t vocabulary,
                             int32_t *out, int32_t *next, weft_error *error)
{
    progress at = {start, count, out, next};
    uint64_t most = READ_BYTES / weft_number_width(corpus->layout->numbers), end = start + count + 1;
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

weft_status weft_corpus_next_document(const weft_corpus *corpus, uint64_t token, uint64_t *out, weft_error *error)
{
    const weft_corpus_file *file = &corpus->files[file_of(corpus, token)];
    *out = file->first + file->tokens;
    if (!file->indexed) return WEFT_OK;
    TRY(weft_megatron_next(&file->index, corpus->reader, token - file->first, out, error));
    *out += file->first;
    return WEFT_OK;
}

uint64_t weft_corpus_documents(const weft_corpus *corpus)
{
    uint64_t documents = 0;
    for (size_t i = 0; i < corpus->count; i++)
        documents += corpus->files[i].indexed ? corpus->files[i].index.documents : corpus->files[i].tokens > 0;
    return documents;
}

weft_status weft_corpus_mask(const weft_corpus *corpus, uint64_t start, size_t count, int32_t *targets,
                             weft_error *error)
{
    for (uint64_t token = start + 1, end = start + 1 + count; token < end;) {
        const weft_corpus_file *file = &corpus->files[file_of(corpus, token)];
        uint64_t file_end = file->first + file->tokens, stop = file_end < end ? file_end : end;
        if (file->masked)
            TRY(weft_mask_apply(corpus->reader, file->mask, token - file->first, (size_t)(stop - token),
                                targets + (token - start - 1), error));
        token = stop;
    }
    return WEFT_OK;
}

static void note_largest(const weft_corpus *corpus, const weft_corpus_check *check, size_t count)
{
    if (!check->largest) return;
    uint32_t largest = weft_numbers_largest(check->buffer, count, corpus->layout->numbers);
    if (largest > *check->largest) *check->largest = largest;
}

static weft_status check_file(const weft_corpus *corpus, const weft_corpus_file *file, const weft_corpus_check *check,
                              weft_error *error)
{
    uint32_t width = weft_number_width(corpus->layout->numbers);
    uint64_t offset = weft_corpus_layout_offset(corpus->layout, 0), end = offset + file->tokens * width;
    while (offset < end && !(check->stop && atomic_load(check->stop))) {
        uint64_t left = end - offset;
        size_t bytes = left < WEFT_CORPUS_CHECK_BYTES ? (size_t)left : WEFT_CORPUS_CHECK_BYTES;
        uint64_t ahead = left - bytes < WEFT_CORPUS_CHECK_BYTES ? left - bytes : WEFT_CORPUS_CHECK_BYTES;
        TRY(weft_files_read(corpus->reader, file->number, offset, bytes, ahead, check->buffer, error));
        TRY(check_numbers(corpus, file, offset, check->buffer, bytes / width, check->vocabulary, error));
        note_largest(corpus, check, bytes / width);
        offset += bytes;
        if (check->checked) atomic_fetch_add(check->checked, bytes);
    }
    return WEFT_OK;
}

uint64_t weft_corpus_check_size(const weft_corpus *corpus, int64_t vocabulary)
{
    weft_number_type type = corpus->layout->numbers;
    bool any = type == WEFT_NUMBER_UINT8 || type == WEFT_NUMBER_UINT16; /* all that they hold are tokens, if few */
    bool all_fit = any && vocabulary > (int64_t)weft_number_largest(type);
    return all_fit ? 0 : corpus->tokens * weft_number_width(type);
}

weft_status weft_corpus_check_tokens(const weft_corpus *corpus, const weft_corpus_check *check, weft_error *error)
{
    if (weft_corpus_check_size(corpus, check->vocabulary) == 0 && !check->largest) return WEFT_OK;
    for (size_t i = 0; i < corpus->count; i++) TRY(check_file(corpus, &corpus->files[i], check, error));
    return WEFT_OK;
}
