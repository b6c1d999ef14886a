#include "data/corpus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { HEADER_BYTES = 1024, PAGE_BYTES = 4096, DEEPEST_FOLDER = 64 };

struct weft_corpus_layout {
    const char *name;
    weft_config_format format;
    uint32_t magic, version; /* 0: no header */
    uint32_t width;          /* bytes a token; 0: a known file that holds no token stream */
};

enum { LAYOUT_TEXT, LAYOUT_NANOGPT };

/* Magic numbers of llm.c: dev/data/data_common.py, llmc/dataloader.h, train_gpt2.py, train_llama3.py. */
static const weft_corpus_layout layouts[] = {
    [LAYOUT_TEXT] = {"text", WEFT_CONFIG_TEXT, 0, 0, 1},
    [LAYOUT_NANOGPT] = {"nanoGPT tokens (uint16)", WEFT_CONFIG_NANOGPT, 0, 0, 2},
    {"llm.c tokens (uint16)", WEFT_CONFIG_LLMC, 20240520, 1, 2},
    {"llm.c tokens (uint32)", WEFT_CONFIG_LLMC, 20240801, 7, 4},
    {"llm.c evaluation set", WEFT_CONFIG_LLMC, 20240522, 0, 0},
    {"llm.c model", WEFT_CONFIG_LLMC, 20240326, 0, 0},
    {"llm.c test vector", WEFT_CONFIG_LLMC, 20240327, 0, 0},
    {"llm.c tokenizer", WEFT_CONFIG_LLMC, 20240328, 0, 0},
    {"llm.c optimizer state", WEFT_CONFIG_LLMC, 20240527, 0, 0},
    {"llm.c llama model", WEFT_CONFIG_LLMC, 20240803, 0, 0},
};

static uint32_t little16(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t little32(const unsigned char *bytes)
{
    return little16(bytes) | little16(bytes + 2) << 16;
}

static const weft_corpus_layout *layout_by_magic(const weft_map *map)
{
    if (map->size < 4) return NULL;
    uint32_t magic = little32(map->bytes);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].magic && layouts[i].magic == magic) return &layouts[i];
    return NULL;
}

static bool ends_with(const char *string, const char *end)
{
    size_t length = strlen(string), tail = strlen(end);
    return length >= tail && strcmp(string + length - tail, end) == 0;
}

static weft_status find_layout(const weft_corpus_file *file, weft_config_format format, const weft_corpus_layout **out,
                               weft_error *error)
{
    const weft_corpus_layout *by_magic = layout_by_magic(&file->map);
    if (format == WEFT_CONFIG_TEXT)
        *out = &layouts[LAYOUT_TEXT];
    else if (format == WEFT_CONFIG_NANOGPT)
        *out = &layouts[LAYOUT_NANOGPT];
    else if (by_magic)
        *out = by_magic;
    else if (format == WEFT_CONFIG_AUTO)
        *out = &layouts[ends_with(file->path, ".bin") ? LAYOUT_NANOGPT : LAYOUT_TEXT];
    else if (file->map.size < 4)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: an llm.c token file starts with a header of %d bytes",
             file->path, file->map.size, HEADER_BYTES);
    else
        FAIL(error, WEFT_INVALID,
             "%s: not an llm.c token file: magic number %" PRIu32 " at byte 0 (20240520 or 20240801 expected)",
             file->path, little32(file->map.bytes));
    if ((*out)->width == 0) FAIL(error, WEFT_INVALID, "%s: is an %s, not a stream of tokens", file->path, (*out)->name);
    return WEFT_OK;
}

static weft_status check_header(const weft_corpus_layout *layout, weft_corpus_file *file, weft_error *error)
{
    const unsigned char *bytes = file->map.bytes;
    if (file->map.size < HEADER_BYTES)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: the header of %s has %d bytes", file->path,
             file->map.size, layout->name, HEADER_BYTES);
    uint32_t version = little32(bytes + 4);
    if (version != layout->version)
        FAIL(error, WEFT_INVALID, "%s: version %" PRIu32 " of %s at byte 4 is not known (%" PRIu32 " expected)",
             file->path, version, layout->name, layout->version);
    file->tokens = little32(bytes + 8);
    uint64_t wanted = HEADER_BYTES + file->tokens * layout->width;
    if (file->map.size < wanted)
        FAIL(error, WEFT_INVALID,
             "%s: truncated at byte %zu: %" PRIu64 " bytes expected for the %" PRIu64 " tokens that byte 8 states",
             file->path, file->map.size, wanted, file->tokens);
    if (file->map.size > wanted)
        FAIL(error, WEFT_INVALID, "%s: unexpected bytes from byte %" PRIu64 " to %zu: byte 8 states %" PRIu64 " tokens",
             file->path, wanted, file->map.size, file->tokens);
    return WEFT_OK;
}

static weft_status measure(const weft_corpus_layout *layout, weft_corpus_file *file, weft_error *error)
{
    if (layout->magic) return check_header(layout, file, error);
    if (layout->width > 1 && file->map.size == 0) FAIL(error, WEFT_INVALID, "%s: is empty", file->path);
    if (file->map.size % layout->width)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: %s have %" PRIu32 " bytes each", file->path,
             file->map.size, layout->name, layout->width);
    file->tokens = file->map.size / layout->width;
    return WEFT_OK;
}

static weft_status add_name(weft_corpus *corpus, const char *path, weft_error *error)
{
    TRY(weft_grow(&corpus->files, &corpus->capacity, corpus->count + 1, sizeof *corpus->files, error));
    weft_corpus_file *file = &corpus->files[corpus->count];
    *file = (weft_corpus_file){0};
    TRY(weft_arena_text(&corpus->arena, path, &file->path, error));
    corpus->count++;
    return WEFT_OK;
}

static weft_status add_folder(weft_corpus *corpus, const char *folder, int depth, weft_error *error);

/* Links to files are followed; links to folders are not, so that no walk is endless. */
static weft_status add_child(weft_corpus *corpus, const char *child, int depth, weft_error *error)
{
    struct stat info;
    if (weft_path_is_folder(child)) return add_folder(corpus, child, depth + 1, error);
    if (stat(child, &info) != 0) FAIL(error, WEFT_INVALID, "%s: cannot open: broken link or no permission", child);
    return S_ISREG(info.st_mode) ? add_name(corpus, child, error) : WEFT_OK;
}

static weft_status add_folder(weft_corpus *corpus, const char *folder, int depth, weft_error *error)
{
    if (depth > DEEPEST_FOLDER) FAIL(error, WEFT_INVALID, "%s: folders nest deeper than %d", folder, DEEPEST_FOLDER);
    const char **names = NULL;
    size_t count = 0;
    TRY(weft_folder_list(folder, &corpus->arena, &names, &count, error));
    const char *slash = ends_with(folder, "/") ? "" : "/";
    weft_text child;
    weft_text_init(&child);
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        child.length = 0;
        weft_text_add(&child, "%s%s%s", folder, slash, names[i]);
        status = weft_text_check(&child, error);
        if (status == WEFT_OK) status = add_child(corpus, weft_text_get(&child), depth, error);
    }
    weft_text_fini(&child);
    return status;
}

static int by_path(const void *a, const void *b)
{
    const weft_corpus_file *left = a, *right = b;
    return strcmp(left->path, right->path);
}

static weft_status collect(weft_corpus *corpus, const char *path, weft_error *error)
{
    struct stat info;
    if (!path || !*path) FAIL(error, WEFT_INVALID, "no data: give a file or folder as data.path");
    if (stat(path, &info) != 0) FAIL(error, WEFT_INVALID, "%s: no such file or folder", path);
    if (S_ISREG(info.st_mode)) return add_name(corpus, path, error);
    if (!S_ISDIR(info.st_mode)) FAIL(error, WEFT_INVALID, "%s: neither a regular file nor a folder", path);
    TRY(add_folder(corpus, path, 0, error));
    if (corpus->count == 0) FAIL(error, WEFT_INVALID, "%s: no files in this folder", path);
    qsort(corpus->files, corpus->count, sizeof *corpus->files, by_path);
    return WEFT_OK;
}

static weft_status add_stream(weft_corpus *corpus, weft_corpus_file *file, weft_config_format format, weft_error *error)
{
    TRY(weft_map_init(&file->map, file->path, error));
    const weft_corpus_layout *layout = NULL;
    TRY(find_layout(file, format, &layout, error));
    if (corpus->layout && layout != corpus->layout)
        FAIL(error, WEFT_INVALID, "%s: is %s, but %s is %s: keep one kind of file in a folder, or set data.format",
             file->path, layout->name, corpus->files[0].path, corpus->layout->name);
    corpus->layout = layout;
    TRY(measure(layout, file, error));
    file->first = corpus->tokens;
    corpus->tokens += file->tokens;
    /* Only advice: blocks are read in shuffled order, and reading ahead would fetch what is not used soon. */
    if (file->map.size) posix_madvise((void *)(uintptr_t)file->map.bytes, file->map.size, POSIX_MADV_RANDOM);
    return WEFT_OK;
}

weft_status weft_corpus_init(weft_corpus *corpus, const char *path, weft_config_format format, weft_error *error)
{
    *corpus = (weft_corpus){0};
    weft_arena_init(&corpus->arena);
    weft_status status = collect(corpus, path, error);
    for (size_t i = 0; i < corpus->count && status == WEFT_OK; i++)
        status = add_stream(corpus, &corpus->files[i], format, error);
    if (status == WEFT_OK && corpus->tokens == 0) status = weft_fail(error, WEFT_INVALID, "%s: is empty", path);
    if (status != WEFT_OK) weft_corpus_fini(corpus);
    return status;
}

void weft_corpus_fini(weft_corpus *corpus)
{
    for (size_t i = 0; i < corpus->count; i++) weft_map_fini(&corpus->files[i].map);
    weft_free(corpus->files);
    weft_arena_fini(&corpus->arena);
    *corpus = (weft_corpus){0};
}

bool weft_corpus_is_text(const weft_corpus *corpus)
{
    return corpus->layout == &layouts[LAYOUT_TEXT];
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

static uint32_t decode(const unsigned char *at, uint32_t width)
{
    if (width == 1) return *at;
    return width == 2 ? little16(at) : little32(at);
}

static weft_status read_run(const weft_corpus *corpus, const weft_corpus_file *file, uint64_t start, uint64_t count,
                            int64_t vocabulary, int32_t *out, weft_error *error)
{
    uint32_t width = corpus->layout->width;
    uint64_t offset = (corpus->layout->magic ? HEADER_BYTES : 0) + start * width;
    for (uint64_t i = 0; i < count; i++, offset += width) {
        uint32_t token = decode(file->map.bytes + offset, width);
        if ((int64_t)token >= vocabulary || token > INT32_MAX)
            FAIL(error, WEFT_FAILED,
                 "%s: token %" PRIu32 " at byte %" PRIu64 " is outside the model's vocabulary of %" PRId64, file->path,
                 token, offset, vocabulary);
        out[i] = (int32_t)token;
    }
    return WEFT_OK;
}

weft_status weft_corpus_read(const weft_corpus *corpus, uint64_t start, uint64_t count, int64_t vocabulary,
                             int32_t *out, weft_error *error)
{
    for (size_t i = file_of(corpus, start); count > 0; i++) {
        const weft_corpus_file *file = &corpus->files[i];
        uint64_t skip = start - file->first, run = file->tokens - skip;
        if (run > count) run = count;
        TRY(read_run(corpus, file, skip, run, vocabulary, out, error));
        start += run;
        out += run;
        count -= run;
    }
    return WEFT_OK;
}

static uint64_t hash_number(uint64_t number, uint64_t seed)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, seed);
}

uint64_t weft_corpus_fingerprint(const weft_corpus *corpus, uint64_t seed)
{
    uint64_t hash = hash_number((uint64_t)(corpus->layout - layouts), seed);
    for (size_t i = 0; i < corpus->count; i++) {
        const weft_map *map = &corpus->files[i].map;
        size_t page = map->size < PAGE_BYTES ? map->size : PAGE_BYTES;
        hash = hash_number(map->size, hash);
        if (page == 0) continue;
        hash = XXH3_64bits_withSeed(map->bytes, page, hash);
        hash = XXH3_64bits_withSeed(map->bytes + map->size - page, page, hash);
    }
    return hash;
}
