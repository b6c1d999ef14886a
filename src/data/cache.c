#include "data/cache.h"

#include "base/clock.h"
#include "base/file.h"
#include "data/collect.h"
#include "data/corpus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { PATH = 4096, LAYOUT = 2 }; /* LAYOUT: another one when the same text gives other bytes */

static const double pause_seconds = 0.05; /* between two looks whether another process is done */

/* Times too, so that a page in the middle does not change unseen. */
static weft_status hash_file(weft_files *files, const char *path, uint64_t *hash, weft_error *error)
{
    struct stat info = {0};
    weft_excerpt excerpt;
    size_t number = 0;
    TRY(weft_files_add(files, path, &number, &excerpt, error));
    if (stat(path, &info) != 0) FAIL(error, WEFT_INVALID, "%s: no such file", path);
    int64_t stamp[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                       info.st_ctim.tv_nsec};
    *hash = XXH3_64bits_withSeed(path, strlen(path), *hash);
    *hash = XXH3_64bits_withSeed(stamp, sizeof stamp, *hash);
    for (int page = 0; page < WEFT_EXCERPT_PAGES; page++)
        *hash = XXH3_64bits_withSeed(excerpt.pages[page].bytes, excerpt.pages[page].count, *hash);
    return WEFT_OK;
}

static weft_status hash_text(const weft_cache_options *options, uint64_t *out, weft_error *error)
{
    weft_collection collection;
    weft_files *files = NULL;
    uint64_t begin[] = {LAYOUT, weft_tokenizer_fingerprint(options->tokenizer), options->format == WEFT_CONFIG_TEXT};
    *out = XXH3_64bits(begin, sizeof begin);
    TRY(weft_collection_init(&collection, options->path, options->own, options->own_count, error));
    weft_status status = weft_files_create(&files, error);
    for (size_t i = 0; i < collection.count && status == WEFT_OK; i++)
        status = hash_file(files, collection.paths[i], out, error);
    weft_files_destroy(files);
    weft_collection_fini(&collection);
    return status;
}

/* Whether a corpus that is neither text nor tokens is so because it must be unpacked, or is JSONL. */
static bool is_named(const weft_cache_options *options)
{
    weft_collection collection;
    weft_error ignored;
    bool found = false;
    if (weft_collection_init(&collection, options->path, options->own, options->own_count, &ignored) != WEFT_OK)
        return false;
    for (size_t i = 0; i < collection.count && !found; i++) found = weft_passages_named(collection.paths[i]);
    weft_collection_fini(&collection);
    return found;
}

static weft_status is_text(const weft_cache_options *options, bool *out, weft_error *error)
{
    weft_corpus corpus;
    weft_corpus_options as_it_is = {
        .path = options->path, .format = options->format, .own = options->own, .own_count = options->own_count};
    *out = options->format == WEFT_CONFIG_TEXT;
    if (options->format != WEFT_CONFIG_AUTO) return WEFT_OK;
    if (weft_corpus_init(&corpus, &as_it_is, error) == WEFT_OK) {
        *out = weft_corpus_layout_is_text(corpus.layout);
        weft_corpus_fini(&corpus);
        return WEFT_OK;
    }
    *out = error->status == WEFT_INVALID && is_named(options);
    return *out ? WEFT_OK : error->status;
}

static weft_status find_folder(const weft_cache_options *options, char out[PATH], weft_error *error)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = PATH;
    if (options->folder && *options->folder)
        length = snprintf(out, PATH, "%s", options->folder);
    else if (cache && *cache == '/')
        length = snprintf(out, PATH, "%s/weft", cache);
    else if (home && *home)
        length = snprintf(out, PATH, "%s/.cache/weft", home);
    else
        FAIL(error, WEFT_INVALID,
             "no folder to keep tokens in: neither XDG_CACHE_HOME nor HOME is set, set data.cache");
    if (length > PATH - 64) FAIL(error, WEFT_INVALID, "%.80s...: the name is too long", out);
    return WEFT_OK;
}

/* What makes one set, and where. */
typedef struct {
    const weft_cache_options *options;
    uint64_t key;
    char folder[PATH], prefix[PATH + 16], index[PATH + 32];
} set;

static bool wants_stop(const set *self)
{
    return self->options->stop && self->options->stop(self->options->context);
}

static weft_status say_stopped(const set *self, weft_error *error)
{
    FAIL(error, WEFT_STOPPED, "%s: stopped before all of it was tokenised: the next start goes on from there",
         self->options->path);
}

/* The lock of a set is its folder's. */
static weft_status wait_for_lock(const set *self, int *out_lock, weft_error *error)
{
    for (;;) {
        weft_status status = weft_folder_lock(self->folder, out_lock, error);
        if (status == WEFT_OK && *out_lock < 0)
            FAIL(error, WEFT_INVALID, "%s: its file system has no locks: name another folder as data.cache",
                 self->folder);
        if (status != WEFT_INVALID) return status;
        if (wants_stop(self)) return say_stopped(self, error);
        weft_clock_sleep(pause_seconds);
    }
}

static weft_status tokenize(const set *self, weft_error *error)
{
    const weft_cache_options *options = self->options;
    weft_tokenize_totals totals;
    bool text = options->format == WEFT_CONFIG_TEXT;
    weft_tokenize_options all = {.pieces = {.inputs = &options->path,
                                            .input_count = 1,
                                            .format = text ? WEFT_PASSAGES_TEXT : WEFT_PASSAGES_AUTO,
                                            .tokenizer = options->tokenizer,
                                            .own = options->own,
                                            .own_count = options->own_count},
                                 .encode = {.tokenizer = options->tokenizer,
                                            .field = "text",
                                            .end_of_text = weft_tokenizer_end_of_text(options->tokenizer)},
                                 .prefix = self->prefix,
                                 .threads = options->threads,
                                 .stop = options->stop,
                                 .tell = options->tell,
                                 .context = options->context};
    TRY(weft_tokenize(&all, &totals, error));
    return totals.stopped ? say_stopped(self, error) : WEFT_OK;
}

/* Text that changed while it was read must not stay under the name of what it was. */
static weft_status make_locked(const set *self, weft_error *error)
{
    uint64_t now = 0;
    if (weft_path_exists(self->index)) return WEFT_OK; /* another one has made it meanwhile */
    TRY(tokenize(self, error));
    TRY(hash_text(self->options, &now, error));
    if (now == self->key) return WEFT_OK;
    unlink(self->index);
    FAIL(error, WEFT_FAILED, "%s: changed while it was tokenised: start again", self->options->path);
}

static weft_status make(const set *self, weft_error *error)
{
    int lock = -1;
    TRY(weft_folder_create(self->folder, error));
    TRY(wait_for_lock(self, &lock, error));
    weft_status status = make_locked(self, error);
    close(lock);
    return status;
}

weft_status weft_cache_find(const weft_cache_options *options, weft_arena *arena, const char **out, weft_error *error)
{
    set self = {.options = options};
    bool text = false;
    *out = NULL;
    TRY(is_text(options, &text, error));
    if (!text) return weft_arena_text(arena, options->path, out, error);
    TRY(find_folder(options, self.folder, error));
    TRY(hash_text(options, &self.key, error));
    size_t used = strlen(self.folder);
    snprintf(self.folder + used, sizeof self.folder - used, "/%016" PRIx64, self.key);
    snprintf(self.prefix, sizeof self.prefix, "%s/tokens", self.folder);
    snprintf(self.index, sizeof self.index, "%s.idx", self.prefix);
    if (!weft_path_exists(self.index)) {
        if (!options->make) return WEFT_OK;
        TRY(make(&self, error));
    }
    return weft_arena_text(arena, self.prefix, out, error);
}
