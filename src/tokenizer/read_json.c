#include "tokenizer/json_parts.h"

#include "tokenizer/classes.h"

#include <stdio.h>
#include <string.h>

/* The largest that is known has 33 MB; a tree of it takes several times as much. */
enum { MOST_BYTES = 128 << 20 };

void weft_byte_letters(uint32_t out[256])
{
    uint32_t others = 256;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        out[byte] = printable ? byte : others++;
    }
}

enum { LETTERS = 324 };

typedef struct byte_letters {
    int16_t bytes[LETTERS]; /* by code point; -1: stands for none */
} byte_letters;

static void fill_letters(byte_letters *letters)
{
    uint32_t points[256];
    weft_byte_letters(points);
    memset(letters->bytes, 0xff, sizeof letters->bytes);
    for (int byte = 0; byte < 256; byte++) letters->bytes[points[byte]] = (int16_t)byte;
}

/* Appends the bytes that a string of letters stands for; false when it has others. */
static bool add_letters(const byte_letters *letters, const char *text, size_t length, weft_text *out)
{
    for (size_t at = 0; at < length;) {
        unsigned used;
        uint32_t point = weft_utf8_point((const unsigned char *)text + at, &used);
        int byte = point < LETTERS ? letters->bytes[point] : -1;
        if (byte < 0) return false;
        unsigned char c = (unsigned char)byte;
        weft_text_add_bytes(out, &c, 1);
        at += used;
    }
    return true;
}

typedef struct reading {
    weft_tokenizer *tokenizer;
    byte_letters letters;
    json_t *vocabulary;
    const char *unknown; /* its text, or NULL */
    bool byte_fallback;
    weft_text token;
    weft_error *error;
} reading;

/* "<0x0A>", as SentencePiece calls a byte; -1 for others. */
static int byte_named(const char *text, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || !text[3] || !text[4]) return -1;
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    return high && low ? (int)((high - digits) << 4 | (low - digits)) : -1;
}

static weft_status enter(reading *r, int32_t id, const char *text, weft_error *error)
{
    bool fresh = false;
    TRY(weft_vocabulary_enter(&r->tokenizer->vocabulary, id, &fresh, error));
    if (!fresh) FAIL(error, WEFT_INVALID, "model.vocab: two tokens are %.80s", text);
    return WEFT_OK;
}

static weft_status add_byte_level(reading *r, const char *text, size_t length, int64_t id)
{
    weft_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    r->token.length = 0;
    bool letters = add_letters(&r->letters, text, length, &r->token);
    TRY(weft_text_check(&r->token, r->error));
    if (!letters) return weft_vocabulary_add(vocabulary, id, text, length, WEFT_TOKEN_NAME, r->error);
    TRY(weft_vocabulary_add(vocabulary, id, r->token.bytes, r->token.length, WEFT_TOKEN_PLAIN, r->error));
    if (r->token.length == 1) r->tokenizer->bytes[(unsigned char)r->token.bytes[0]] = (int32_t)id;
    return enter(r, (int32_t)id, text, r->error);
}

static weft_status add_characters(reading *r, const char *text, size_t length, int64_t id)
{
    weft_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    int byte = r->byte_fallback ? byte_named(text, length) : -1;
    unsigned char c = (unsigned char)byte;
    bool unknown = r->unknown && strcmp(r->unknown, text) == 0;
    if (unknown) r->tokenizer->unknown = (int32_t)id;
    if (unknown) return weft_vocabulary_add(vocabulary, id, text, length, WEFT_TOKEN_UNKNOWN, r->error);
    if (byte >= 0) {
        TRY(weft_vocabulary_add(vocabulary, id, &c, 1, WEFT_TOKEN_BYTE, r->error));
        r->tokenizer->bytes[byte] = (int32_t)id;
        return WEFT_OK;
    }
    TRY(weft_vocabulary_add(vocabulary, id, text, length, WEFT_TOKEN_PLAIN, r->error));
    return enter(r, (int32_t)id, text, r->error);
}

static weft_status read_vocabulary(reading *r)
{
    const char *text;
    json_t *id;
    json_object_foreach(r->vocabulary, text, id)
    {
        if (!json_is_integer(id)) FAIL(r->error, WEFT_INVALID, "model.vocab: the id of %.80s is no integer", text);
        weft_status status = r->tokenizer->characters ? add_characters(r, text, strlen(text), json_integer_value(id))
                                                      : add_byte_level(r, text, strlen(text), json_integer_value(id));
        if (status != WEFT_OK) return weft_error_context(r->error, "model.vocab");
    }
    if (r->unknown && r->tokenizer->unknown < 0) {
        const json_t *found = json_object_get(r->vocabulary, r->unknown);
        if (!found) FAIL(r->error, WEFT_INVALID, "model.unk_token: %.80s is not in the vocabulary", r->unknown);
        r->tokenizer->unknown = (int32_t)json_integer_value(found);
    }
    return WEFT_OK;
}

/* The id of a part of a merge; -1 when it is no token. */
static int32_t find_part(reading *r, const char *text, size_t length)
{
    r->token.length = 0;
    if (r->tokenizer->characters) return weft_vocabulary_find(&r->tokenizer->vocabulary, text, length);
    if (!add_letters(&r->letters, text, length, &r->token)) return -1;
    return weft_vocabulary_find(&r->tokenizer->vocabulary, r->token.bytes, r->token.length);
}

typedef struct merge_texts {
    const char *left, *right;
    size_t left_length, right_length;
} merge_texts;

/* "left right", or ["left", "right"]. */
static bool take_merge(const json_t *merge, merge_texts *out)
{
    if (json_is_array(merge)) {
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right)) return false;
        *out = (merge_texts){json_string_value(left), json_string_value(right), json_string_length(left),
                             json_string_length(right)};
        return true;
    }
    const char *text = json_string_value(merge), *blank = text ? strchr(text, ' ') : NULL;
    if (!blank || strchr(blank + 1, ' ')) return false;
    *out = (merge_texts){text, blank + 1, (size_t)(blank - text), strlen(blank + 1)};
    return true;
}

static weft_status refuse_part(const reading *r, size_t number, const char *text, size_t length)
{
    FAIL(r->error, WEFT_INVALID, "model.merges[%zu]: %.*s is not in the vocabulary", number,
         (int)(length < 80 ? length : 80), text);
}

static weft_status read_merge(reading *r, const json_t *json, size_t number, weft_text *whole)
{
    merge_texts texts;
    if (!take_merge(json, &texts))
        FAIL(r->error, WEFT_INVALID, "model.merges[%zu]: two tokens are expected here", number);
    weft_merge merge = {.rank = (int32_t)number};
    merge.left = find_part(r, texts.left, texts.left_length);
    if (merge.left < 0) return refuse_part(r, number, texts.left, texts.left_length);
    merge.right = find_part(r, texts.right, texts.right_length);
    if (merge.right < 0) return refuse_part(r, number, texts.right, texts.right_length);
    whole->length = 0;
    weft_text_add_bytes(whole, texts.left, texts.left_length);
    weft_text_add_bytes(whole, texts.right, texts.right_length);
    merge.id = find_part(r, whole->bytes, whole->length);
    TRY(weft_text_check(whole, r->error));
    TRY(weft_text_check(&r->token, r->error));
    if (merge.id < 0) return refuse_part(r, number, whole->bytes, whole->length);
    return weft_merges_add(&r->tokenizer->merges, merge, r->error);
}

static weft_status read_merges(reading *r, const json_t *merges)
{
    if (!json_is_array(merges)) FAIL(r->error, WEFT_INVALID, "model.merges: a list is expected here");
    if (json_array_size(merges) >= INT32_MAX) FAIL(r->error, WEFT_INVALID, "model.merges: has too many entries");
    weft_text whole;
    weft_text_init(&whole);
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < json_array_size(merges) && status == WEFT_OK; i++)
        status = read_merge(r, json_array_get(merges, i), i, &whole);
    weft_text_fini(&whole);
    return status;
}

/* What changes ids in a way that weft does not know is refused by name. */
static weft_status refuse_habits(const json_t *model, weft_error *error)
{
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *text = json_object_get(model, texts[i]);
        if (text && !json_is_null(text) && json_string_length(text) > 0)
            FAIL(error, WEFT_INVALID, "model.%s: weft does not know it", texts[i]);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0)
        FAIL(error, WEFT_INVALID, "model.dropout: ids would be random");
    return WEFT_OK;
}

static weft_status check_type(const json_t *model, weft_error *error)
{
    if (!json_is_object(model)) FAIL(error, WEFT_INVALID, "has no model: is no tokenizer.json");
    const char *type = json_string_value(json_object_get(model, "type"));
    bool bpe = type ? strcmp(type, "BPE") == 0 : json_object_get(model, "merges") != NULL;
    if (!bpe)
        FAIL(error, WEFT_INVALID, "the model is %.40s; weft reads BPE alone", type ? type : "of no type that is named");
    return WEFT_OK;
}

static weft_status read_model(reading *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    TRY(refuse_habits(model, r->error));
    r->vocabulary = json_object_get(model, "vocab");
    if (!json_is_object(r->vocabulary)) FAIL(r->error, WEFT_INVALID, "model.vocab: a map of ids is expected here");
    TRY(weft_parts_truth(model, "byte_fallback", &r->byte_fallback, r->error));
    TRY(weft_parts_truth(model, "fuse_unk", &r->tokenizer->fuse_unknown, r->error));
    TRY(weft_parts_truth(model, "ignore_merges", &r->tokenizer->whole_words, r->error));
    r->unknown = json_string_value(json_object_get(model, "unk_token"));
    TRY(read_vocabulary(r));
    return read_merges(r, json_object_get(model, "merges"));
}

/* The token's id, held against the vocabulary's. */
static weft_status check_added(const reading *r, const char *content, int64_t id)
{
    const weft_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    const json_t *known = json_object_get(r->vocabulary, content);
    if (known && json_integer_value(known) != id)
        FAIL(r->error, WEFT_INVALID, "added_tokens: %.80s has the id %lld here and %lld in model.vocab", content,
             (long long)id, (long long)json_integer_value(known));
    if (!known && weft_vocabulary_has(vocabulary, id))
        FAIL(r->error, WEFT_INVALID, "added_tokens: %.80s has the id %lld of another token", content, (long long)id);
    return WEFT_OK;
}

/* Added tokens that are looked for in normalised text are normalised themselves. */
static weft_status add_normalized(reading *r, weft_added_token token)
{
    weft_normal_scratch scratch = {0};
    weft_segment segment = {.text = token.name, .length = token.length, .begins = true, .first = true, .last = true};
    weft_status status = weft_normalizer_run(&r->tokenizer->normalizer, &scratch, &segment, r->error);
    token.name = segment.text;
    token.length = segment.length;
    if (status == WEFT_OK) status = weft_added_add(&r->tokenizer->normalized, token, r->error);
    weft_normal_scratch_fini(&scratch);
    return status;
}

static weft_status read_added(reading *r, const json_t *json)
{
    weft_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    const json_t *content = json_object_get(json, "content"), *number = json_object_get(json, "id");
    weft_added_token token = {.id = -1};
    bool normalized = false;
    if (!json_is_string(content) || !json_is_integer(number))
        FAIL(r->error, WEFT_INVALID, "added_tokens: an id and a content are expected in each");
    TRY(weft_parts_truth(json, "special", &token.special, r->error));
    TRY(weft_parts_truth(json, "lstrip", &token.lstrip, r->error));
    TRY(weft_parts_truth(json, "rstrip", &token.rstrip, r->error));
    TRY(weft_parts_truth(json, "single_word", &token.single_word, r->error));
    TRY(weft_parts_truth(json, "normalized", &normalized, r->error));
    token.name = (const unsigned char *)json_string_value(content);
    token.length = json_string_length(content);
    TRY(check_added(r, json_string_value(content), json_integer_value(number)));
    weft_token_kind kind = token.special ? WEFT_TOKEN_SPECIAL : WEFT_TOKEN_NAME;
    if (!weft_vocabulary_has(vocabulary, json_integer_value(number)))
        TRY(weft_vocabulary_add(vocabulary, json_integer_value(number), token.name, token.length, kind, r->error));
    token.id = (int32_t)json_integer_value(number);
    if (vocabulary->tokens[token.id].kind != WEFT_TOKEN_UNKNOWN)
        vocabulary->tokens[token.id].kind = (unsigned char)kind;
    return normalized ? add_normalized(r, token) : weft_added_add(&r->tokenizer->raw, token, r->error);
}

static weft_status read_all_added(reading *r, const json_t *list)
{
    if (!list || json_is_null(list)) return WEFT_OK;
    if (!json_is_array(list)) FAIL(r->error, WEFT_INVALID, "added_tokens: a list is expected here");
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_added(r, json_array_get(list, i)));
    return WEFT_OK;
}

static weft_status read_parts(reading *r, const json_t *root)
{
    weft_tokenizer *tokenizer = r->tokenizer;
    TRY(check_type(json_object_get(root, "model"), r->error));
    TRY(weft_json_read_normalizer(tokenizer, json_object_get(root, "normalizer"), r->error));
    bool byte_level = false;
    TRY(weft_json_read_pre_tokenizer(tokenizer, json_object_get(root, "pre_tokenizer"), &byte_level, r->error));
    tokenizer->characters = !byte_level;
    tokenizer->drops_unknown = true; /* as Hugging Face tokenizers do */
    tokenizer->kind = byte_level ? "byte-level BPE" : "BPE of characters, as SentencePiece's";
    TRY(read_model(r, root));
    TRY(read_all_added(r, json_object_get(root, "added_tokens")));
    TRY(weft_json_read_decoder(tokenizer, json_object_get(root, "decoder"), r->error));
    TRY(weft_json_read_post_processor(tokenizer, json_object_get(root, "post_processor"), r->error));
    return tokenizer->characters ? weft_tokenizer_mark_words(tokenizer, r->error) : WEFT_OK;
}

weft_status weft_tokenizer_read_json(weft_tokenizer *tokenizer, const char *text, size_t length, weft_error *error)
{
    json_error_t problem;
    if (length > MOST_BYTES) FAIL(error, WEFT_INVALID, "has more than %d MiB", MOST_BYTES >> 20);
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!root && json_error_code(&problem) == json_error_out_of_memory)
        FAIL(error, WEFT_NO_MEMORY, "out of memory while JSON is read");
    if (!root)
        FAIL(error, WEFT_INVALID, "line %d, column %d: not valid JSON: %s", problem.line, problem.column, problem.text);
    reading r = {.tokenizer = tokenizer, .error = error};
    fill_letters(&r.letters);
    weft_text_init(&r.token);
    weft_status status = read_parts(&r, root);
    weft_text_fini(&r.token);
    json_decref(root);
    return status;
}
