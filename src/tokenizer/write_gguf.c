/* A tokenizer in the words of GGUF files. What llama.cpp would do in another way is refused. */
#include "tokenizer/gguf.h"
#include "tokenizer/gguf_parts.h"
#include "tokenizer/parts.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct writing_file {
    const weft_tokenizer *tokenizer;
    size_t tokens; /* of the model */
    weft_gguf_ends ends;
    const weft_gguf_pre *pre; /* of byte-level ones */
    bool prefix;              /* a blank is put in front of a text, as SentencePiece does */
    weft_merge *merges;       /* (count) by rank */
    size_t count;
    float *scores; /* (tokens) of SentencePiece's */
    uint32_t letters[256];
    weft_arena arena;
    weft_gguf_list *list;
    weft_error *error;
} writing_file;

/* Whether a pre-tokenizer makes the same words. llama.cpp changes nothing in a text: that models of some have NFC is
 * known by its name alone. */
static bool is_same(const weft_gguf_pre *pre, const weft_tokenizer *tokenizer)
{
    const weft_splitter *splitter = &tokenizer->splitter;
    const weft_normalizer *normalizer = &tokenizer->normalizer;
    bool digits = splitter->count == 2 && splitter->steps[0].scan == weft_scan_digits;
    if (splitter->count != (digits ? 2 : 1) || normalizer->count != (pre->normal_form ? 1 : 0)) return false;
    const char *name = splitter->steps[splitter->count - 1].name;
    return pre->digits == digits && name && strcmp(name, pre->pattern) == 0 &&
           pre->whole_words == tokenizer->whole_words &&
           (!pre->normal_form || normalizer->steps[0].kind == WEFT_NORMAL_FORM);
}

static weft_status find_pre(writing_file *w)
{
    for (size_t i = 0; i < weft_gguf_pre_count && !w->pre; i++)
        if (is_same(&weft_gguf_pres[i], w->tokenizer)) w->pre = &weft_gguf_pres[i];
    if (w->pre && w->tokenizer->marker.count == 0) return WEFT_OK;
    FAIL(w->error, WEFT_INVALID, "llama.cpp has no pre-tokenizer that makes the same words (%s)",
         weft_tokenizer_describe(w->tokenizer));
}

/* Marks for blanks, maybe one in front; nothing else happens to a text. */
static weft_status check_steps(writing_file *w, const weft_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        const weft_normal_step *step = &normalizer->steps[i];
        bool marks = step->kind == WEFT_NORMAL_REPLACE && strcmp(weft_text_get(&step->from), " ") == 0 &&
                     strcmp(weft_text_get(&step->to), "\xe2\x96\x81") == 0;
        bool leads = step->kind == WEFT_NORMAL_PREPEND || step->kind == WEFT_NORMAL_LEAD ||
                     step->kind == WEFT_NORMAL_BEGIN || step->kind == WEFT_NORMAL_DUMMY;
        if (!marks && !leads) FAIL(w->error, WEFT_INVALID, "llama.cpp does not normalise a text as its tokenizer does");
        w->prefix |= leads;
    }
    return WEFT_OK;
}

static weft_status check_characters(writing_file *w)
{
    const weft_tokenizer *tokenizer = w->tokenizer;
    TRY(check_steps(w, &tokenizer->normalizer));
    TRY(check_steps(w, &tokenizer->marker));
    bool marked =
        weft_normalizer_marks_blanks(&tokenizer->normalizer) || weft_normalizer_marks_blanks(&tokenizer->marker);
    for (size_t i = 0; i < tokenizer->splitter.count; i++)
        marked &= tokenizer->splitter.steps[i].scan == weft_scan_marked;
    for (int byte = 0; byte < 256; byte++) marked &= tokenizer->bytes[byte] >= 0;
    if (marked && !tokenizer->whole_words) return WEFT_OK;
    FAIL(w->error, WEFT_INVALID,
         "llama.cpp merges characters as SentencePiece does with tokens for all bytes, which its "
         "tokenizer does not");
}

static int by_rank(const void *left, const void *right)
{
    const weft_merge *a = left, *b = right;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return (a->left > b->left) - (a->left < b->left);
}

static weft_status list_merges(writing_file *w)
{
    const weft_merges *merges = &w->tokenizer->merges;
    TRY(weft_arena_take(&w->arena, merges->filled, sizeof *w->merges, &w->merges, w->error));
    for (size_t i = 0; i < merges->slot_count; i++)
        if (merges->slots[i].left >= 0) w->merges[w->count++] = merges->slots[i];
    if (w->count) qsort(w->merges, w->count, sizeof *w->merges, by_rank);
    return WEFT_OK;
}

/* The earlier a token is merged the higher is its score: as long as all pairs that make a token come together. */
static weft_status make_scores(writing_file *w)
{
    float least = -(float)w->count - 1;
    TRY(weft_arena_take(&w->arena, w->tokens, sizeof *w->scores, &w->scores, w->error));
    for (size_t id = 0; id < w->tokens; id++) w->scores[id] = least;
    for (size_t i = 0, place = 0; i < w->count; i++) {
        const weft_merge *merge = &w->merges[i], *before = i > 0 ? merge - 1 : NULL;
        if (before && before->id == merge->id) continue;
        if (w->scores[merge->id] != least)
            FAIL(w->error, WEFT_INVALID, "its merges cannot be said by scores of tokens, as llama.cpp wants them");
        if (!before || before->rank != merge->rank) place = i;
        w->scores[merge->id] = -(float)place;
    }
    return WEFT_OK;
}

/* Which tokens llama.cpp puts around a text; one on each side at most. */
static weft_status find_ends(writing_file *w)
{
    const weft_token_list *prefix = &w->tokenizer->prefix, *suffix = &w->tokenizer->suffix;
    if (prefix->count > 1 || suffix->count > 1)
        FAIL(w->error, WEFT_INVALID, "llama.cpp puts one token in front of a text and behind it at most");
    if (prefix->count) w->ends.begin = prefix->ids[0];
    if (suffix->count) w->ends.end = suffix->ids[0];
    if (w->ends.begin < 0) w->ends.begin = w->tokenizer->begin_of_text;
    if (w->ends.end < 0) w->ends.end = w->tokenizer->end_of_text;
    return WEFT_OK;
}

static bool is_added(const weft_tokenizer *tokenizer, const unsigned char *bytes, size_t length)
{
    return weft_added_find(&tokenizer->raw, bytes, length) || weft_added_find(&tokenizer->normalized, bytes, length);
}

static int32_t type_of(const writing_file *w, size_t id)
{
    static const int32_t types[] = {[WEFT_TOKEN_ABSENT] = WEFT_GGUF_UNUSED, [WEFT_TOKEN_PLAIN] = WEFT_GGUF_NORMAL,
                                    [WEFT_TOKEN_BYTE] = WEFT_GGUF_BYTE,     [WEFT_TOKEN_UNKNOWN] = WEFT_GGUF_UNKNOWN,
                                    [WEFT_TOKEN_NAME] = WEFT_GGUF_USER,     [WEFT_TOKEN_SPECIAL] = WEFT_GGUF_CONTROL};
    const weft_vocabulary *vocabulary = &w->tokenizer->vocabulary;
    if (!weft_vocabulary_has(vocabulary, (int64_t)id)) return WEFT_GGUF_UNUSED;
    const weft_token *token = &vocabulary->tokens[id];
    bool named = is_added(w->tokenizer, vocabulary->bytes + token->start, token->length);
    if (token->kind == WEFT_TOKEN_PLAIN && named) return WEFT_GGUF_USER; /* of SentencePiece */
    if (token->kind == WEFT_TOKEN_NAME && !named) return WEFT_GGUF_UNUSED;
    return types[token->kind];
}

/* What a token is called in the file. */
static void add_token(const writing_file *w, size_t id, weft_text *out)
{
    const weft_vocabulary *vocabulary = &w->tokenizer->vocabulary;
    if (!weft_vocabulary_has(vocabulary, (int64_t)id)) {
        weft_text_add(out, "[PAD%zu]", id);
        return;
    }
    const weft_token *token = &vocabulary->tokens[id];
    const unsigned char *bytes = vocabulary->bytes + token->start;
    if (token->kind == WEFT_TOKEN_BYTE) {
        weft_text_add(out, "<0x%02X>", bytes[0]);
    } else if (token->kind == WEFT_TOKEN_PLAIN && !w->tokenizer->characters) {
        for (uint32_t i = 0; i < token->length; i++) {
            char letter[4];
            weft_text_add_bytes(out, letter, (size_t)weft_utf8_encode(w->letters[bytes[i]], letter));
        }
    } else {
        weft_text_add_bytes(out, bytes, token->length);
    }
}

static weft_status put_tokens(const writing_file *w)
{
    weft_text text;
    weft_text_init(&text);
    weft_gguf_put_array(w->list, "tokenizer.ggml.tokens", WEFT_GGUF_STRING, w->tokens);
    for (size_t id = 0; id < w->tokens; id++) {
        text.length = 0;
        add_token(w, id, &text);
        weft_gguf_add_string(w->list, text.bytes, text.length);
    }
    weft_status status = weft_text_check(&text, w->error);
    weft_text_fini(&text);
    if (w->scores) {
        weft_gguf_put_array(w->list, "tokenizer.ggml.scores", WEFT_GGUF_FLOAT32, w->tokens);
        for (size_t id = 0; id < w->tokens; id++) weft_gguf_add_number(w->list, w->scores[id]);
    }
    weft_gguf_put_array(w->list, "tokenizer.ggml.token_type", WEFT_GGUF_INT32, w->tokens);
    for (size_t id = 0; id < w->tokens; id++) weft_gguf_add_whole(w->list, type_of(w, id));
    return status;
}

static weft_status put_merges(const writing_file *w)
{
    weft_text text;
    weft_text_init(&text);
    weft_gguf_put_array(w->list, "tokenizer.ggml.merges", WEFT_GGUF_STRING, w->count);
    for (size_t i = 0; i < w->count; i++) {
        text.length = 0;
        add_token(w, (size_t)w->merges[i].left, &text);
        weft_text_add(&text, " ");
        add_token(w, (size_t)w->merges[i].right, &text);
        weft_gguf_add_string(w->list, text.bytes, text.length);
    }
    weft_status status = weft_text_check(&text, w->error);
    weft_text_fini(&text);
    return status;
}

static void put_id(const writing_file *w, const char *key, int64_t id)
{
    if (id >= 0 && (size_t)id < w->tokens) weft_gguf_put_whole(w->list, key, (uint32_t)id);
}

static weft_status put_all(const writing_file *w)
{
    weft_gguf_put_string(w->list, "tokenizer.ggml.model", w->tokenizer->characters ? "llama" : "gpt2");
    char pre[32] = "default";
    if (w->pre) {
        size_t length = strcspn(w->pre->names, "|");
        memcpy(pre, w->pre->names, length);
        pre[length] = '\0';
    }
    weft_gguf_put_string(w->list, "tokenizer.ggml.pre", pre);
    TRY(put_tokens(w));
    if (!w->scores) TRY(put_merges(w));
    put_id(w, "tokenizer.ggml.bos_token_id", w->ends.begin);
    put_id(w, "tokenizer.ggml.eos_token_id", w->ends.end);
    put_id(w, "tokenizer.ggml.unknown_token_id", w->tokenizer->unknown);
    put_id(w, "tokenizer.ggml.padding_token_id", w->ends.padding);
    weft_gguf_put_truth(w->list, "tokenizer.ggml.add_bos_token", w->tokenizer->prefix.count > 0);
    weft_gguf_put_truth(w->list, "tokenizer.ggml.add_eos_token", w->tokenizer->suffix.count > 0);
    if (w->scores) weft_gguf_put_truth(w->list, "tokenizer.ggml.add_space_prefix", w->prefix);
    return WEFT_OK;
}

static weft_status write_tokenizer(writing_file *w)
{
    if (w->tokenizer->vocabulary.count > w->tokens)
        FAIL(w->error, WEFT_INVALID, "it has %zu tokens, the model %zu", w->tokenizer->vocabulary.count, w->tokens);
    TRY(w->tokenizer->characters ? check_characters(w) : find_pre(w));
    TRY(find_ends(w));
    TRY(list_merges(w));
    if (w->tokenizer->characters) TRY(make_scores(w));
    weft_byte_letters(w->letters);
    return put_all(w);
}

weft_status weft_gguf_tokenizer_put(const weft_tokenizer *tokenizer, int64_t vocabulary, weft_gguf_ends ends,
                                    weft_gguf_list *list, weft_error *error)
{
    writing_file w = {.tokenizer = tokenizer, .tokens = (size_t)vocabulary, .ends = ends, .list = list, .error = error};
    weft_arena_init(&w.arena);
    weft_status status = write_tokenizer(&w);
    weft_arena_fini(&w.arena);
    return status;
}
