#include "tokenizer/known.h"
#include "tokenizer/parts.h"

#include <string.h>

/* The value of a digit of base 64, or -1. */
static int digit_of(unsigned char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Appends the bytes that `length` characters of base 64 stand for. */
static bool add_base64(const char *text, size_t length, weft_text *out)
{
    if (length == 0 || length % 4 != 0) return false;
    for (size_t at = 0; at < length; at += 4) {
        unsigned char bytes[3];
        uint32_t bits = 0;
        size_t padding = 0;
        for (size_t i = 0; i < 4; i++) {
            int digit = digit_of((unsigned char)text[at + i]);
            bool pads = text[at + i] == '=' && at + 4 == length && i >= 2;
            if ((digit < 0 && !pads) || (digit >= 0 && padding)) return false;
            padding += pads;
            bits = bits << 6 | (uint32_t)(pads ? 0 : digit);
        }
        for (size_t i = 0; i < 3; i++) bytes[i] = (unsigned char)(bits >> (16 - 8 * i));
        weft_text_add_bytes(out, bytes, 3 - padding);
    }
    return true;
}

/* "TOKEN RANK", without the line end. */
static bool read_line(const char *line, size_t length, weft_text *out_token, int64_t *out_rank)
{
    const char *blank = memchr(line, ' ', length);
    if (!blank) return false;
    char rank[16];
    size_t digits = length - (size_t)(blank - line) - 1;
    if (digits == 0 || digits >= sizeof rank) return false;
    memcpy(rank, blank + 1, digits);
    rank[digits] = '\0';
    out_token->length = 0;
    return add_base64(line, (size_t)(blank - line), out_token) && weft_parse_int(rank, out_rank) && *out_rank >= 0;
}

static weft_status add_line(weft_tokenizer *tokenizer, const char *line, size_t length, size_t number, weft_text *token,
                            weft_error *error)
{
    int64_t rank = 0;
    bool fresh = false;
    bool well = read_line(line, length, token, &rank);
    TRY(weft_text_check(token, error));
    if (!well) FAIL(error, WEFT_INVALID, "line %zu is no token in base 64 and its rank", number);
    TRY(weft_vocabulary_add(&tokenizer->vocabulary, rank, token->bytes, token->length, WEFT_TOKEN_PLAIN, error));
    TRY(weft_vocabulary_enter(&tokenizer->vocabulary, (int32_t)rank, &fresh, error));
    if (!fresh) FAIL(error, WEFT_INVALID, "line %zu: this token stands in an earlier line", number);
    if (token->length == 1) tokenizer->bytes[(unsigned char)token->bytes[0]] = (int32_t)rank;
    return WEFT_OK;
}

static weft_status add_lines(weft_tokenizer *tokenizer, const char *text, size_t length, weft_error *error)
{
    weft_text token;
    weft_text_init(&token);
    weft_status status = WEFT_OK;
    size_t number = 1;
    for (const char *end = text + length; text < end && status == WEFT_OK; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t count = (size_t)((stop ? stop : end) - text);
        size_t bare = count > 0 && text[count - 1] == '\r' ? count - 1 : count;
        if (bare) status = add_line(tokenizer, text, bare, number, &token, error);
        text += count + (stop != NULL);
    }
    weft_text_fini(&token);
    return status;
}

static weft_status pair_up(weft_tokenizer *tokenizer, weft_error *error)
{
    int32_t *ranks = NULL;
    TRY(weft_allocate(tokenizer->vocabulary.count, sizeof *ranks, &ranks, error));
    for (size_t id = 0; id < tokenizer->vocabulary.count; id++) ranks[id] = (int32_t)id;
    weft_status status = weft_tokenizer_pair_up(tokenizer, ranks, error);
    weft_free(ranks);
    return status;
}

static weft_status add_name(void *context, int32_t id, const char *name, weft_error *error)
{
    weft_tokenizer *tokenizer = context;
    weft_added_token token = {.name = (const unsigned char *)name, .length = strlen(name), .id = id, .special = true};
    TRY(weft_vocabulary_add(&tokenizer->vocabulary, id, name, token.length, WEFT_TOKEN_SPECIAL, error));
    return weft_added_add(&tokenizer->raw, token, error);
}

static weft_status add_known(weft_tokenizer *tokenizer, const weft_known_file *known, weft_error *error)
{
    bool form = false;
    if (known->normal_form) TRY(weft_normalizer_add_form(&tokenizer->normalizer, known->normal_form, &form, error));
    tokenizer->begin_of_text = known->begin_of_text;
    tokenizer->end_of_text = known->end_of_text;
    return weft_known_file_names(known, add_name, tokenizer, error);
}

static weft_status add_pattern(weft_tokenizer *tokenizer, const char *pattern, weft_error *error)
{
    const weft_pattern *named = weft_pattern_by_name(pattern);
    if (named) return weft_splitter_add_known(&tokenizer->splitter, named, error);
    bool is_name = strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == strlen(pattern);
    if (is_name)
        FAIL(error, WEFT_INVALID, "no pattern is called %s; known are %s, or give the regular expression", pattern,
             WEFT_PATTERN_NAMES);
    return weft_splitter_add_pattern(&tokenizer->splitter, pattern, WEFT_DIALECT_TIKTOKEN, WEFT_SPLIT_REMOVED, error);
}

weft_status weft_tokenizer_read_tiktoken(weft_tokenizer *tokenizer, const char *text, size_t length,
                                         const char *pattern, weft_error *error)
{
    const weft_known_file *known = weft_known_file_find(text, length);
    tokenizer->kind = "byte-level BPE of tiktoken";
    tokenizer->whole_words = true;
    TRY(add_lines(tokenizer, text, length, error));
    if (!pattern && !known)
        FAIL(
            error, WEFT_INVALID,
            "a tiktoken file that is not known, and such files hold no pattern: name the pattern of its tokenizer (%s) "
            "or give the regular expression",
            WEFT_PATTERN_NAMES);
    TRY(add_pattern(tokenizer, pattern ? pattern : known->pattern, error));
    TRY(pair_up(tokenizer, error));
    return known ? add_known(tokenizer, known, error) : WEFT_OK;
}
