/* The tokenizer of a GGUF file as a tokenizer.json. */
#include "tokenizer/gguf.h"
#include "tokenizer/gguf_parts.h"
#include "tokenizer/parts.h"

#include "base/json.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* No known token has a fourth of it; how a token may be put together is tried at each of its characters. */
enum { LONGEST_TOKEN = 1024 };

static const char mark[] = "\xe2\x96\x81";

typedef struct reading_file {
    const weft_gguf *file;
    weft_error *error;
    weft_arena arena;
    size_t count;
    const char **tokens; /* (count) */
    int32_t *types;      /* (count) */
    float *scores;       /* (count) of SentencePiece's */
    bool characters;     /* SentencePiece's */
    const weft_gguf_pre *pre;
    bool begin, end;                    /* are put around a text */
    int64_t bos, eos, unknown, padding; /* -1: none */
} reading_file;

static const weft_gguf_value *find(const reading_file *r, const char *name)
{
    char key[64] = "tokenizer.ggml.";
    strcat(key, name);
    return weft_gguf_value_find(r->file, key);
}

static weft_status get(const reading_file *r, const char *name, const weft_gguf_value **out)
{
    *out = find(r, name);
    if (*out) return WEFT_OK;
    FAIL(r->error, WEFT_INVALID, "%s: tokenizer.ggml.%s is missing", weft_gguf_path(r->file), name);
}

/* The row that names a pre-tokenizer, or NULL. */
static const weft_gguf_pre *find_pre(weft_gguf_text name)
{
    for (size_t i = 0; i < weft_gguf_pre_count; i++)
        for (const char *at = weft_gguf_pres[i].names; *at; at += strcspn(at, "|") + 1)
            if (strcspn(at, "|") == name.length && memcmp(at, name.bytes, name.length) == 0) return &weft_gguf_pres[i];
    return NULL;
}

/* Files of before the key was there say nothing, and only for GPT-2's own model is it plain. */
static weft_status read_pre(reading_file *r)
{
    const weft_gguf_value *value = find(r, "pre"), *kind = weft_gguf_value_find(r->file, "general.architecture");
    weft_gguf_text name = {"none", 4}, architecture = {"", 0};
    if (kind) TRY(weft_gguf_string(r->file, kind, &architecture, r->error));
    if (!value && weft_gguf_text_is(architecture, "gpt2")) name = (weft_gguf_text){"gpt-2", 5};
    if (value) TRY(weft_gguf_string(r->file, value, &name, r->error));
    r->pre = find_pre(name);
    if (r->pre) return WEFT_OK;
    FAIL(r->error, WEFT_INVALID, "%s: tokenizer.ggml.pre: weft does not know the pre-tokenizer '%.*s'",
         weft_gguf_path(r->file), (int)(name.length < 40 ? name.length : 40), name.bytes);
}

static weft_status read_kind(reading_file *r)
{
    const weft_gguf_value *value = NULL;
    weft_gguf_text name = {NULL, 0};
    TRY(get(r, "model", &value));
    TRY(weft_gguf_string(r->file, value, &name, r->error));
    r->characters = weft_gguf_text_is(name, "llama");
    if (r->characters) return WEFT_OK;
    if (weft_gguf_text_is(name, "gpt2")) return read_pre(r);
    FAIL(r->error, WEFT_INVALID, "%s: tokenizer.ggml.model: weft knows gpt2 and llama, not '%.*s'",
         weft_gguf_path(r->file), (int)(name.length < 40 ? name.length : 40), name.bytes);
}

/* A copy that ends with a zero byte. */
static weft_status copy_token(const reading_file *r, size_t id, weft_gguf_text text, char *to)
{
    const char *path = weft_gguf_path(r->file);
    if (text.length > LONGEST_TOKEN)
        FAIL(r->error, WEFT_INVALID, "%s: tokenizer.ggml.tokens: token %zu has more than %d bytes", path, id,
             LONGEST_TOKEN);
    for (size_t at = 0; at < text.length;) {
        int bytes = weft_utf8_length((const unsigned char *)text.bytes + at, text.length - at);
        if (bytes == 0 || text.bytes[at] == '\0')
            FAIL(r->error, WEFT_INVALID, "%s: tokenizer.ggml.tokens: token %zu is no text in UTF-8", path, id);
        at += (size_t)bytes;
    }
    if (text.length) memcpy(to, text.bytes, text.length);
    to[text.length] = '\0';
    return WEFT_OK;
}

static weft_status read_tokens(reading_file *r)
{
    const weft_gguf_value *value = NULL;
    weft_gguf_items items;
    size_t room = 0;
    char *texts = NULL;
    TRY(get(r, "tokens", &value));
    TRY(weft_gguf_strings(r->file, value, &items, r->error));
    r->count = value->count;
    if (r->count < 1 || r->count > WEFT_MOST_TOKENS)
        FAIL(r->error, WEFT_INVALID, "%s: tokenizer.ggml.tokens: 1 to %d are allowed", weft_gguf_path(r->file),
             WEFT_MOST_TOKENS);
    TRY(weft_arena_take(&r->arena, r->count, sizeof *r->tokens, &r->tokens, r->error));
    weft_gguf_items first = items;
    for (size_t id = 0; id < r->count; id++) room += weft_gguf_next_string(&first).length + 1;
    TRY(weft_arena_take(&r->arena, room, 1, &texts, r->error));
    for (size_t id = 0; id < r->count; id++) {
        weft_gguf_text text = weft_gguf_next_string(&items);
        TRY(copy_token(r, id, text, texts));
        r->tokens[id] = texts;
        texts += text.length + 1;
    }
    return WEFT_OK;
}

static weft_status check_count(const reading_file *r, const weft_gguf_value *value)
{
    if (value->count == r->count) return WEFT_OK;
    FAIL(r->error, WEFT_INVALID, "%s: %s: has %zu entries for %zu tokens", weft_gguf_path(r->file), value->key,
         value->count, r->count);
}

static weft_status read_types(reading_file *r)
{
    const weft_gguf_value *value = find(r, "token_type");
    weft_gguf_items items;
    TRY(weft_arena_take(&r->arena, r->count, sizeof *r->types, &r->types, r->error));
    if (value) TRY(weft_gguf_wholes(r->file, value, &items, r->error));
    if (value) TRY(check_count(r, value));
    for (size_t id = 0; id < r->count; id++) {
        int64_t type = value ? weft_gguf_next_whole(&items) : WEFT_GGUF_NORMAL;
        r->types[id] = type >= WEFT_GGUF_NORMAL && type <= WEFT_GGUF_BYTE ? (int32_t)type : WEFT_GGUF_NORMAL;
    }
    return WEFT_OK;
}

static weft_status read_scores(reading_file *r)
{
    const weft_gguf_value *value = NULL;
    weft_gguf_items items;
    TRY(get(r, "scores", &value));
    TRY(weft_gguf_floats(r->file, value, &items, r->error));
    TRY(check_count(r, value));
    TRY(weft_arena_take(&r->arena, r->count, sizeof *r->scores, &r->scores, r->error));
    for (size_t id = 0; id < r->count; id++) {
        r->scores[id] = weft_gguf_next_float(&items);
        if (!isfinite(r->scores[id]))
            FAIL(r->error, WEFT_INVALID, "%s: %s: that of token %zu is not finite", weft_gguf_path(r->file), value->key,
                 id);
    }
    return WEFT_OK;
}

/* The id of a token with a part in texts; -1: none. */
static weft_status read_id(const reading_file *r, const char *name, int64_t absent, int64_t *out)
{
    const weft_gguf_value *value = find(r, name);
    *out = absent;
    if (value) TRY(weft_gguf_whole(r->file, value, out, r->error));
    if (*out >= (int64_t)r->count || *out < 0) *out = -1; /* files say 4294967295 for none */
    return WEFT_OK;
}

static weft_status read_ends(reading_file *r)
{
    const weft_gguf_value *begin = find(r, "add_bos_token"), *end = find(r, "add_eos_token");
    TRY(read_id(r, "bos_token_id", r->characters ? 1 : -1, &r->bos));
    TRY(read_id(r, "eos_token_id", r->characters ? 2 : -1, &r->eos));
    TRY(read_id(r, "unknown_token_id", r->characters ? 0 : -1, &r->unknown));
    TRY(read_id(r, "padding_token_id", -1, &r->padding));
    r->begin = r->characters || r->pre->begin;
    if (begin) TRY(weft_gguf_truth(r->file, begin, &r->begin, r->error));
    if (end) TRY(weft_gguf_truth(r->file, end, &r->end, r->error));
    r->begin = r->begin && r->bos >= 0;
    r->end = r->end && r->eos >= 0;
    return WEFT_OK;
}

static void write_vocabulary(const reading_file *r, weft_json *json)
{
    weft_json_object(json, "vocab", WEFT_JSON_ROW);
    for (size_t id = 0; id < r->count; id++)
        if (r->types[id] != WEFT_GGUF_UNUSED) weft_json_int(json, r->tokens[id], (int64_t)id);
    weft_json_object_end(json);
}

static weft_status write_merges(const reading_file *r, weft_json *json)
{
    const weft_gguf_value *value = NULL;
    weft_gguf_items items;
    weft_text merge;
    weft_text_init(&merge);
    TRY(get(r, "merges", &value));
    TRY(weft_gguf_strings(r->file, value, &items, r->error));
    weft_json_list(json, "merges", WEFT_JSON_ROW);
    for (size_t i = 0; i < value->count; i++) {
        weft_gguf_text text = weft_gguf_next_string(&items);
        merge.length = 0;
        weft_text_add_bytes(&merge, text.bytes, text.length);
        weft_json_text(json, NULL, weft_text_get(&merge));
    }
    weft_json_list_end(json);
    weft_status status = weft_text_check(&merge, r->error);
    weft_text_fini(&merge);
    return status;
}

/* Two tokens that make a third. */
typedef struct scored_merge {
    float score;
    int32_t id, left, right;
} scored_merge;

/* The best score first; the pairs of one token follow one another. */
static int compare_merges(const void *left, const void *right)
{
    const scored_merge *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return (a->left > b->left) - (a->left < b->left);
}

typedef struct pairing {
    weft_vocabulary vocabulary; /* of tokens that merging leads to */
    scored_merge *merges;
    size_t count, capacity;
} pairing;

static weft_status enter_tokens(const reading_file *r, pairing *it)
{
    for (size_t id = 0; id < r->count; id++) {
        bool fresh = false;
        size_t length = strlen(r->tokens[id]);
        TRY(weft_vocabulary_add(&it->vocabulary, (int64_t)id, r->tokens[id], length, WEFT_TOKEN_PLAIN, r->error));
        if (r->types[id] == WEFT_GGUF_NORMAL && length > 0)
            TRY(weft_vocabulary_enter(&it->vocabulary, (int32_t)id, &fresh, r->error));
    }
    return WEFT_OK;
}

/* Every way to put a token together from two others. */
static weft_status pair_token(const reading_file *r, size_t id, pairing *it)
{
    const char *text = r->tokens[id];
    size_t length = strlen(text);
    for (size_t cut = 1; cut < length; cut++) {
        if (((unsigned char)text[cut] & 0xc0) == 0x80) continue; /* inside a character */
        int32_t left = weft_vocabulary_find(&it->vocabulary, text, cut);
        int32_t right = left < 0 ? -1 : weft_vocabulary_find(&it->vocabulary, text + cut, length - cut);
        if (right < 0) continue;
        TRY(weft_grow(&it->merges, &it->capacity, it->count + 1, sizeof *it->merges, r->error));
        it->merges[it->count++] = (scored_merge){r->scores[id], (int32_t)id, left, right};
    }
    return WEFT_OK;
}

static weft_status pair_tokens(const reading_file *r, pairing *it)
{
    TRY(enter_tokens(r, it));
    for (size_t id = 0; id < r->count; id++)
        if (r->types[id] == WEFT_GGUF_NORMAL) TRY(pair_token(r, id, it));
    if (it->count) qsort(it->merges, it->count, sizeof *it->merges, compare_merges);
    return WEFT_OK;
}

static weft_status write_scored(const reading_file *r, weft_json *json)
{
    pairing it = {0};
    weft_status status = pair_tokens(r, &it);
    weft_json_list(json, "merges", WEFT_JSON_ROW);
    for (size_t i = 0; i < it.count && status == WEFT_OK; i++) {
        weft_json_list(json, NULL, WEFT_JSON_ROW);
        weft_json_text(json, NULL, r->tokens[it.merges[i].left]);
        weft_json_text(json, NULL, r->tokens[it.merges[i].right]);
        weft_json_list_end(json);
    }
    weft_json_list_end(json);
    weft_vocabulary_fini(&it.vocabulary);
    weft_free(it.merges);
    return status;
}

static weft_status write_model(const reading_file *r, weft_json *json)
{
    weft_json_object(json, "model", WEFT_JSON_ROW);
    weft_json_text(json, "type", "BPE");
    weft_json_text(json, "unk_token", r->unknown >= 0 ? r->tokens[r->unknown] : NULL);
    weft_json_truth(json, "fuse_unk", r->characters);
    weft_json_truth(json, "byte_fallback", r->characters);
    weft_json_truth(json, "ignore_merges", !r->characters && r->pre->whole_words);
    write_vocabulary(r, json);
    TRY(r->characters ? write_scored(r, json) : write_merges(r, json));
    weft_json_object_end(json);
    return WEFT_OK;
}

static void write_added(const reading_file *r, weft_json *json)
{
    weft_json_list(json, "added_tokens", WEFT_JSON_ROW);
    for (size_t id = 0; id < r->count; id++) {
        int32_t type = r->types[id];
        bool end = (int64_t)id == r->bos || (int64_t)id == r->eos;
        bool named = type == WEFT_GGUF_CONTROL || type == WEFT_GGUF_USER || type == WEFT_GGUF_UNKNOWN;
        if (!named && (!end || type == WEFT_GGUF_UNUSED)) continue;
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_int(json, "id", (int64_t)id);
        weft_json_text(json, "content", r->tokens[id]);
        static const char *const habits[] = {"single_word", "lstrip", "rstrip", "normalized"};
        for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) weft_json_truth(json, habits[i], false);
        weft_json_truth(json, "special", type != WEFT_GGUF_USER);
        weft_json_object_end(json);
    }
    weft_json_list_end(json);
}

static void write_replace(weft_json *json, const char *from, const char *to)
{
    weft_json_object(json, NULL, WEFT_JSON_ROW);
    weft_json_text(json, "type", "Replace");
    weft_json_object(json, "pattern", WEFT_JSON_ROW);
    weft_json_text(json, "String", from);
    weft_json_object_end(json);
    weft_json_text(json, "content", to);
    weft_json_object_end(json);
}

static void write_type(weft_json *json, const char *key, const char *type)
{
    weft_json_object(json, key, WEFT_JSON_ROW);
    weft_json_text(json, "type", type);
    weft_json_object_end(json);
}

/* SentencePiece's marks for blanks, and back. */
static void write_marks(weft_json *json, bool prefix)
{
    weft_json_object(json, "normalizer", WEFT_JSON_ROW);
    weft_json_text(json, "type", "Sequence");
    weft_json_list(json, "normalizers", WEFT_JSON_ROW);
    if (prefix) {
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_text(json, "type", "Prepend");
        weft_json_text(json, "prepend", mark);
        weft_json_object_end(json);
    }
    write_replace(json, " ", mark);
    weft_json_list_end(json);
    weft_json_object_end(json);
    weft_json_null(json, "pre_tokenizer");
    weft_json_object(json, "decoder", WEFT_JSON_ROW);
    weft_json_text(json, "type", "Sequence");
    weft_json_list(json, "decoders", WEFT_JSON_ROW);
    write_replace(json, mark, " ");
    write_type(json, NULL, "ByteFallback");
    write_type(json, NULL, "Fuse");
    if (prefix) {
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_text(json, "type", "Strip");
        weft_json_text(json, "content", " ");
        weft_json_int(json, "start", 1);
        weft_json_int(json, "stop", 0);
        weft_json_object_end(json);
    }
    weft_json_list_end(json);
    weft_json_object_end(json);
}

static void write_split(weft_json *json, const char *expression)
{
    weft_json_object(json, NULL, WEFT_JSON_ROW);
    weft_json_text(json, "type", "Split");
    weft_json_object(json, "pattern", WEFT_JSON_ROW);
    weft_json_text(json, "Regex", expression);
    weft_json_object_end(json);
    weft_json_text(json, "behavior", "Isolated");
    weft_json_truth(json, "invert", false);
    weft_json_object_end(json);
}

static void write_byte_level(weft_json *json, const char *key, bool expression)
{
    weft_json_object(json, key, WEFT_JSON_ROW);
    weft_json_text(json, "type", "ByteLevel");
    weft_json_truth(json, "add_prefix_space", false);
    weft_json_truth(json, "trim_offsets", true);
    weft_json_truth(json, "use_regex", expression);
    weft_json_object_end(json);
}

/* Words by an expression, and bytes as letters. */
static void write_words(const weft_gguf_pre *pre, weft_json *json)
{
    bool own = strcmp(pre->pattern, "gpt2") == 0; /* ByteLevel has this one */
    if (pre->normal_form)
        write_type(json, "normalizer", pre->normal_form);
    else
        weft_json_null(json, "normalizer");
    weft_json_object(json, "pre_tokenizer", WEFT_JSON_ROW);
    weft_json_text(json, "type", "Sequence");
    weft_json_list(json, "pretokenizers", WEFT_JSON_ROW);
    if (pre->digits) {
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_text(json, "type", "Digits");
        weft_json_truth(json, "individual_digits", true);
        weft_json_object_end(json);
    }
    if (!own) write_split(json, weft_pattern_by_name(pre->pattern)->text);
    write_byte_level(json, NULL, own);
    weft_json_list_end(json);
    weft_json_object_end(json);
    write_byte_level(json, "decoder", true);
}

static void write_special(const reading_file *r, weft_json *json, int64_t id)
{
    weft_json_object(json, NULL, WEFT_JSON_ROW);
    weft_json_object(json, "SpecialToken", WEFT_JSON_ROW);
    weft_json_text(json, "id", r->tokens[id]);
    weft_json_int(json, "type_id", 0);
    weft_json_object_end(json);
    weft_json_object_end(json);
}

static void write_sequence(weft_json *json, const char *name, int type)
{
    weft_json_object(json, NULL, WEFT_JSON_ROW);
    weft_json_object(json, "Sequence", WEFT_JSON_ROW);
    weft_json_text(json, "id", name);
    weft_json_int(json, "type_id", type);
    weft_json_object_end(json);
    weft_json_object_end(json);
}

static void write_special_ids(const reading_file *r, weft_json *json, int64_t id)
{
    weft_json_object(json, r->tokens[id], WEFT_JSON_ROW);
    weft_json_text(json, "id", r->tokens[id]);
    weft_json_list(json, "ids", WEFT_JSON_ROW);
    weft_json_int(json, NULL, id);
    weft_json_list_end(json);
    weft_json_list(json, "tokens", WEFT_JSON_ROW);
    weft_json_text(json, NULL, r->tokens[id]);
    weft_json_list_end(json);
    weft_json_object_end(json);
}

/* What is put in front of a text and behind it; of two texts nobody asks. */
static void write_template(const reading_file *r, weft_json *json)
{
    static const char *const lists[] = {"single", "pair"};
    weft_json_object(json, "post_processor", WEFT_JSON_ROW);
    weft_json_text(json, "type", "TemplateProcessing");
    for (int i = 0; i < 2; i++) {
        weft_json_list(json, lists[i], WEFT_JSON_ROW);
        if (r->begin) write_special(r, json, r->bos);
        write_sequence(json, "A", 0);
        if (i == 1) write_sequence(json, "B", 1);
        if (r->end) write_special(r, json, r->eos);
        weft_json_list_end(json);
    }
    weft_json_object(json, "special_tokens", WEFT_JSON_ROW);
    if (r->begin) write_special_ids(r, json, r->bos);
    if (r->end && !(r->begin && r->eos == r->bos)) write_special_ids(r, json, r->eos);
    weft_json_object_end(json);
    weft_json_object_end(json);
}

static weft_status write_json(const reading_file *r, weft_text *out)
{
    bool prefix = true;
    const weft_gguf_value *value = find(r, "add_space_prefix");
    if (value) TRY(weft_gguf_truth(r->file, value, &prefix, r->error));
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "version", "1.0");
    weft_json_null(&json, "truncation");
    weft_json_null(&json, "padding");
    write_added(r, &json);
    if (r->characters)
        write_marks(&json, prefix);
    else
        write_words(r->pre, &json);
    if (r->begin || r->end)
        write_template(r, &json);
    else
        weft_json_null(&json, "post_processor");
    TRY(write_model(r, &json));
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
    return weft_text_check(out, r->error);
}

static weft_status write_settings(const reading_file *r, weft_text *out)
{
    const struct {
        const char *name;
        int64_t id;
    } rows[] = {{"bos_token", r->bos}, {"eos_token", r->eos}, {"unk_token", r->unknown}, {"pad_token", r->padding}};
    const weft_gguf_value *chat = weft_gguf_value_find(r->file, "tokenizer.chat_template");
    weft_gguf_text text = {NULL, 0};
    if (chat) TRY(weft_gguf_string(r->file, chat, &text, r->error));
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "tokenizer_class", "PreTrainedTokenizerFast");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id >= 0) weft_json_text(&json, rows[i].name, r->tokens[rows[i].id]);
    weft_json_truth(&json, "add_bos_token", r->begin);
    weft_json_truth(&json, "clean_up_tokenization_spaces", false);
    if (text.length) {
        weft_text chat_template;
        weft_text_init(&chat_template);
        weft_text_add_bytes(&chat_template, text.bytes, text.length);
        weft_json_take_text(&json, "chat_template", &chat_template);
    }
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
    return weft_text_check(out, r->error);
}

static weft_status read_file(reading_file *r, weft_text *json, weft_text *settings)
{
    TRY(read_kind(r));
    TRY(read_tokens(r));
    TRY(read_types(r));
    if (r->characters) TRY(read_scores(r));
    TRY(read_ends(r));
    TRY(write_json(r, json));
    return write_settings(r, settings);
}

weft_status weft_gguf_tokenizer_read(const weft_gguf *file, weft_text *json, weft_text *settings, weft_error *error)
{
    reading_file r = {.file = file, .error = error};
    weft_arena_init(&r.arena);
    weft_status status = read_file(&r, json, settings);
    weft_arena_fini(&r.arena);
    return status;
}

bool weft_gguf_tokenizer_is(const weft_gguf *file)
{
    weft_error ignored;
    reading_file r = {.file = file, .error = &ignored};
    return read_kind(&r) == WEFT_OK;
}
