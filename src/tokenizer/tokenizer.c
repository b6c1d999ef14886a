#include "tokenizer/parts.h"

#include "base/file.h"
#include "tokenizer/gguf.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

void weft_tokenizer_destroy(weft_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    weft_vocabulary_fini(&tokenizer->vocabulary);
    weft_merges_fini(&tokenizer->merges);
    weft_added_fini(&tokenizer->raw);
    weft_added_fini(&tokenizer->normalized);
    weft_normalizer_fini(&tokenizer->normalizer);
    weft_normalizer_fini(&tokenizer->marker);
    weft_splitter_fini(&tokenizer->splitter);
    weft_token_list_fini(&tokenizer->prefix);
    weft_token_list_fini(&tokenizer->suffix);
    weft_text_fini(&tokenizer->description);
    weft_free(tokenizer);
}

const char *weft_tokenizer_patterns(void)
{
    return WEFT_PATTERN_NAMES;
}

int64_t weft_tokenizer_vocabulary(const weft_tokenizer *tokenizer)
{
    return (int64_t)tokenizer->vocabulary.count;
}

const char *weft_tokenizer_describe(const weft_tokenizer *tokenizer)
{
    return weft_text_get(&tokenizer->description);
}

uint64_t weft_tokenizer_fingerprint(const weft_tokenizer *tokenizer)
{
    return tokenizer->fingerprint;
}

int32_t weft_tokenizer_begin_of_text(const weft_tokenizer *tokenizer)
{
    return tokenizer->begin_of_text;
}

int32_t weft_tokenizer_end_of_text(const weft_tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

bool weft_tokenizer_is_special(const weft_tokenizer *tokenizer, int32_t id)
{
    return weft_vocabulary_has(&tokenizer->vocabulary, id) &&
           tokenizer->vocabulary.tokens[id].kind == WEFT_TOKEN_SPECIAL;
}

int32_t weft_tokenizer_find(const weft_tokenizer *tokenizer, const char *text, size_t length)
{
    const weft_added_token *added = weft_added_find(&tokenizer->raw, text, length);
    if (!added) added = weft_added_find(&tokenizer->normalized, text, length);
    if (added) return added->id;
    int32_t id = weft_vocabulary_find(&tokenizer->vocabulary, text, length);
    /* Tokens that no text leads to are in neither. */
    for (size_t i = 0; id < 0 && i < tokenizer->vocabulary.count; i++) {
        const weft_token *token = &tokenizer->vocabulary.tokens[i];
        bool named =
            token->kind == WEFT_TOKEN_SPECIAL || token->kind == WEFT_TOKEN_NAME || token->kind == WEFT_TOKEN_UNKNOWN;
        const unsigned char *bytes = tokenizer->vocabulary.bytes + token->start;
        if (named && token->length == length && memcmp(bytes, text, length) == 0) id = (int32_t)i;
    }
    return id;
}

/* Where the files name none, by the names that known models give them. */
static int32_t find_first(const weft_tokenizer *tokenizer, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int32_t id = weft_tokenizer_find(tokenizer, names[i], strlen(names[i]));
        if (id >= 0) return id;
    }
    return -1;
}

/* "bos_token": "NAME", or {"content": "NAME"}. */
static int32_t find_configured(const weft_tokenizer *tokenizer, const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key), *content = json_object_get(value, "content");
    const char *name = json_string_value(content ? content : value);
    return name ? weft_tokenizer_find(tokenizer, name, strlen(name)) : -1;
}

/* Documents are parted by what pretraining puts between them; the configuration of a chat model names the end of a
 * turn, so that known names come first. */
static void choose_ends(weft_tokenizer *tokenizer, const json_t *settings)
{
    static const char *const begins[] = {"<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<bos>", "<s>"};
    static const char *const ends[] = {"<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<eos>", "</s>"};
    if (tokenizer->begin_of_text < 0) tokenizer->begin_of_text = find_configured(tokenizer, settings, "bos_token");
    if (tokenizer->begin_of_text < 0 && tokenizer->prefix.count) tokenizer->begin_of_text = tokenizer->prefix.ids[0];
    if (tokenizer->begin_of_text < 0)
        tokenizer->begin_of_text = find_first(tokenizer, begins, sizeof begins / sizeof *begins);
    if (tokenizer->end_of_text < 0) tokenizer->end_of_text = find_first(tokenizer, ends, sizeof ends / sizeof *ends);
    if (tokenizer->end_of_text < 0) tokenizer->end_of_text = find_configured(tokenizer, settings, "eos_token");
}

typedef enum file_kind { FILE_JSON, FILE_TIKTOKEN, FILE_SENTENCEPIECE, FILE_UNKNOWN } file_kind;

/* By the first bytes: a brace; a line of base 64, a blank and a number; a piece of SentencePiece. */
static file_kind kind_of(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && text[at] && strchr(" \t\r\n", text[at])) at++;
    if (at < length && text[at] == '{') return FILE_JSON;
    if (length > 0 && text[0] == '\n') return FILE_SENTENCEPIECE;
    size_t letters = 0;
    while (letters < length && text[letters] &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", text[letters]))
        letters++;
    bool line = letters > 0 && letters + 1 < length && text[letters] == ' ' && text[letters + 1] >= '0' &&
                text[letters + 1] <= '9';
    return line ? FILE_TIKTOKEN : FILE_UNKNOWN;
}

static weft_status read_text(weft_tokenizer *tokenizer, const char *text, size_t length, const char *pattern,
                             weft_error *error)
{
    file_kind kind = kind_of(text, length);
    if (kind == FILE_UNKNOWN)
        FAIL(error, WEFT_INVALID,
             "is no tokenizer that weft knows: a tokenizer.json, a tokenizer.model of SentencePiece, a tiktoken file "
             "or a GGUF file");
    if (pattern && kind != FILE_TIKTOKEN)
        FAIL(error, WEFT_INVALID, "holds its own pattern; leave out the one that is given");
    if (kind == FILE_JSON) return weft_tokenizer_read_json(tokenizer, text, length, error);
    if (kind == FILE_TIKTOKEN) return weft_tokenizer_read_tiktoken(tokenizer, text, length, pattern, error);
    return weft_tokenizer_read_sentencepiece(tokenizer, text, length, error);
}

static weft_status describe(weft_tokenizer *tokenizer, const char *text, size_t length, const char *pattern,
                            weft_error *error)
{
    weft_text *out = &tokenizer->description;
    weft_text_add(out, "%s", tokenizer->kind);
    const weft_splitter *splitter = &tokenizer->splitter;
    for (size_t i = 0; i < splitter->count; i++)
        if (splitter->steps[i].name) weft_text_add(out, ", pattern %s", splitter->steps[i].name);
    weft_text_add(out, ", vocabulary %zu", tokenizer->vocabulary.count);
    tokenizer->fingerprint = XXH3_64bits(text, length);
    if (pattern) tokenizer->fingerprint = XXH3_64bits_withSeed(pattern, strlen(pattern), tokenizer->fingerprint);
    return weft_text_check(out, error);
}

static weft_status fill_from(weft_tokenizer *tokenizer, const char *path, const char *text, size_t length,
                             const char *pattern, weft_error *error)
{
    weft_status status = read_text(tokenizer, text, length, pattern, error);
    if (status == WEFT_OK) status = describe(tokenizer, text, length, pattern, error);
    return status == WEFT_INVALID ? weft_error_context(error, "%s", path) : status;
}

/* A model's file holds its tokenizer, which is read as the tokenizer.json that it could have been. */
static weft_status fill_from_gguf(weft_tokenizer *tokenizer, const char *path, const char *pattern, json_t **settings,
                                  weft_error *error)
{
    weft_gguf *file = NULL;
    weft_text json, other;
    TRY(weft_gguf_open(path, &file, error));
    weft_text_init(&json);
    weft_text_init(&other);
    weft_status status = weft_gguf_tokenizer_read(file, &json, &other, error);
    if (status == WEFT_OK) status = fill_from(tokenizer, path, weft_text_get(&json), json.length, pattern, error);
    if (status == WEFT_OK) *settings = json_loadb(weft_text_get(&other), other.length, 0, NULL);
    weft_text_fini(&other);
    weft_text_fini(&json);
    weft_gguf_close(file);
    return status;
}

/* settings: what a file says of the ends of texts that says it itself; else NULL. */
static weft_status fill(weft_tokenizer *tokenizer, const char *path, const char *pattern, json_t **settings,
                        weft_error *error)
{
    weft_map map;
    TRY(weft_map_init(&map, path, error));
    const char *text = (const char *)map.bytes;
    size_t length = map.size;
    weft_status status = WEFT_OK;
    if (length > 4 && memcmp(text, "GGUF", 4) == 0) {
        status = fill_from_gguf(tokenizer, path, pattern, settings, error);
    } else {
        if (length) status = weft_text_begin(&text, &length, path, error);
        if (status == WEFT_OK) status = fill_from(tokenizer, path, text, length, pattern, error);
    }
    weft_map_fini(&map);
    return status;
}

/* The file in a folder: one of the usual names, or the only one that ends in .tiktoken. */
static weft_status find_in_folder(const char *folder, weft_arena *arena, weft_text *out, weft_error *error)
{
    static const char *const usual[] = {"tokenizer.json", "tokenizer.model"};
    const char **names = NULL, *found = NULL;
    size_t count = 0, others = 0;
    TRY(weft_folder_list(folder, arena, &names, &count, error));
    for (size_t u = 0; u < sizeof usual / sizeof *usual && !found; u++)
        for (size_t i = 0; i < count; i++)
            if (strcmp(names[i], usual[u]) == 0) found = names[i];
    for (size_t i = 0; i < count && !found; i++) {
        size_t length = strlen(names[i]);
        others += length > 9 && strcmp(names[i] + length - 9, ".tiktoken") == 0;
    }
    if (others > 1) FAIL(error, WEFT_INVALID, "%s: has several .tiktoken files; name one", folder);
    for (size_t i = 0; i < count && !found; i++) {
        size_t length = strlen(names[i]);
        if (length > 9 && strcmp(names[i] + length - 9, ".tiktoken") == 0) found = names[i];
    }
    if (!found) FAIL(error, WEFT_INVALID, "%s: has no tokenizer.json, tokenizer.model or *.tiktoken", folder);
    weft_text_add(out, "%s/%s", folder, found);
    return WEFT_OK;
}

/* Reads PATH's neighbour tokenizer_config.json, where there is one. */
static weft_status read_settings(const char *path, json_t **out, weft_error *error)
{
    const char *slash = strrchr(path, '/');
    weft_text name;
    weft_text_init(&name);
    if (slash) weft_text_add_bytes(&name, path, (size_t)(slash + 1 - path));
    weft_text_add(&name, "tokenizer_config.json");
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_text_check(&name, error);
    bool exists = status == WEFT_OK && weft_path_exists(weft_text_get(&name));
    if (exists) status = weft_file_read(weft_text_get(&name), &text, error);
    if (exists && status == WEFT_OK) {
        json_error_t problem;
        *out = json_loadb(weft_text_get(&text), text.length, JSON_REJECT_DUPLICATES, &problem);
        if (!*out)
            status = weft_fail(error, WEFT_INVALID, "%s:%d:%d: not valid JSON: %s", weft_text_get(&name), problem.line,
                               problem.column, problem.text);
    }
    weft_text_fini(&text);
    weft_text_fini(&name);
    return status;
}

static weft_status build(weft_tokenizer *tokenizer, const char *path, const char *pattern, weft_error *error)
{
    json_t *settings = NULL;
    weft_status status = fill(tokenizer, path, pattern, &settings, error);
    weft_added_sort(&tokenizer->raw);
    weft_added_sort(&tokenizer->normalized);
    if (status == WEFT_OK && !settings) status = read_settings(path, &settings, error);
    if (status == WEFT_OK) {
        tokenizer->cuts = weft_tokenizer_may_cut(tokenizer);
        choose_ends(tokenizer, settings);
    }
    json_decref(settings);
    return status;
}

static void init(weft_tokenizer *tokenizer)
{
    weft_added_init(&tokenizer->raw);
    weft_added_init(&tokenizer->normalized);
    tokenizer->unknown = tokenizer->begin_of_text = tokenizer->end_of_text = -1;
    for (int byte = 0; byte < 256; byte++) tokenizer->bytes[byte] = -1;
}

weft_status weft_tokenizer_create(const char *path, const char *pattern, weft_tokenizer **out, weft_error *error)
{
    weft_tokenizer *tokenizer = NULL;
    weft_arena arena;
    weft_text place;
    *out = NULL;
    if (pattern && !*pattern) pattern = NULL;
    TRY(weft_allocate(1, sizeof *tokenizer, &tokenizer, error));
    init(tokenizer);
    weft_arena_init(&arena);
    weft_text_init(&place);
    weft_status status = WEFT_OK;
    if (weft_path_is_folder(path))
        status = find_in_folder(path, &arena, &place, error);
    else
        weft_text_add(&place, "%s", path);
    if (status == WEFT_OK) status = weft_text_check(&place, error);
    if (status == WEFT_OK) status = build(tokenizer, weft_text_get(&place), pattern, error);
    weft_text_fini(&place);
    weft_arena_fini(&arena);
    if (status == WEFT_OK)
        *out = tokenizer;
    else
        weft_tokenizer_destroy(tokenizer);
    return status;
}
