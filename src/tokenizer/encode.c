#include "tokenizer/parts.h"

#include "base/utf8.h"

#include <string.h>

/* A word of up to CACHED_BYTES bytes and its ids, in one cache line. */
enum { CACHED_BYTES = 31, CACHED_IDS = 7, CACHE_WORDS = 1 << 16 };

typedef struct cached_word {
    uint64_t key[4]; /* the bytes, zeros, and in the last byte how many there are: an empty row has none */
    int32_t ids[CACHED_IDS];
    int32_t count;
} cached_word;

struct weft_encoder {
    const weft_tokenizer *tokenizer;
    cached_word *cache; /* (CACHE_WORDS) each word has one place */
    weft_split_walk walk;
    weft_merge_scratch merging;
    weft_normal_scratch normal, marking;
    weft_text mended;
    int32_t *symbols; /* of the word at hand */
    size_t symbols_capacity;
    const unsigned char *limit; /* bytes up to here may be read */
    weft_token_list *tokens;
};

static weft_status take_word(void *context, const unsigned char *word, size_t length, weft_error *error);

weft_status weft_encoder_create(const weft_tokenizer *tokenizer, weft_encoder **out, weft_error *error)
{
    weft_encoder *encoder = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *encoder, &encoder, error));
    encoder->tokenizer = tokenizer;
    weft_status status = weft_allocate(CACHE_WORDS, sizeof *encoder->cache, &encoder->cache, error);
    if (status == WEFT_OK) status = weft_split_walk_init(&encoder->walk, &tokenizer->splitter, error);
    encoder->walk.take = take_word;
    encoder->walk.context = encoder;
    if (status == WEFT_OK)
        *out = encoder;
    else
        weft_encoder_destroy(encoder);
    return status;
}

void weft_encoder_destroy(weft_encoder *encoder)
{
    if (!encoder) return;
    weft_free(encoder->cache);
    weft_split_walk_fini(&encoder->walk);
    weft_merge_scratch_fini(&encoder->merging);
    weft_normal_scratch_fini(&encoder->normal);
    weft_normal_scratch_fini(&encoder->marking);
    weft_text_fini(&encoder->mended);
    weft_free(encoder->symbols);
    weft_free(encoder);
}

/* Whether all bytes of a character have tokens, which stand for it where it has none. */
static bool has_bytes(const weft_tokenizer *tokenizer, const unsigned char *c, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (tokenizer->bytes[c[i]] < 0) return false;
    return tokenizer->characters;
}

/* Symbols of bytes, or of characters. One that is no token is -1 - its place in the word, or left out. */
static size_t make_symbols(const weft_tokenizer *tokenizer, const unsigned char *word, size_t length, int32_t *out)
{
    bool drops = tokenizer->drops_unknown && tokenizer->unknown < 0;
    size_t count = 0, bytes = 1;
    for (size_t at = 0; at < length; at += bytes) {
        int32_t id = -1;
        if (tokenizer->characters) {
            bytes = (size_t)weft_utf8_length(word + at, length - at);
            id = weft_vocabulary_find(&tokenizer->vocabulary, word + at, bytes);
        } else {
            id = tokenizer->bytes[word[at]];
        }
        if (id >= 0 || !drops || has_bytes(tokenizer, word + at, bytes)) out[count++] = id < 0 ? -1 - (int32_t)at : id;
    }
    return count;
}

/* Adds what stands for a character or byte without a token. */
static weft_status add_unknown(const weft_tokenizer *tokenizer, const unsigned char *c, size_t room, bool again,
                               weft_token_list *tokens, weft_error *error)
{
    size_t bytes = tokenizer->characters ? (size_t)weft_utf8_length(c, room) : 1;
    bool spelled = has_bytes(tokenizer, c, bytes);
    if (!spelled && tokenizer->unknown < 0)
        FAIL(error, WEFT_INVALID, "the tokenizer has no token for the byte 0x%02x, and none for the unknown", *c);
    for (size_t i = 0; spelled && i < bytes; i++) tokens->ids[tokens->count++] = tokenizer->bytes[c[i]];
    if (!spelled && !(again && tokenizer->fuse_unknown)) tokens->ids[tokens->count++] = tokenizer->unknown;
    return WEFT_OK;
}

static weft_status add_symbols(weft_encoder *encoder, const unsigned char *word, size_t length, size_t count,
                               weft_error *error)
{
    weft_token_list *tokens = encoder->tokens;
    for (size_t i = 0; i < count; i++) {
        int32_t symbol = encoder->symbols[i];
        bool again = i > 0 && encoder->symbols[i - 1] < 0;
        size_t at = symbol < 0 ? (size_t)(-1 - symbol) : 0;
        if (symbol < 0)
            TRY(add_unknown(encoder->tokenizer, word + at, length - at, again, tokens, error));
        else
            tokens->ids[tokens->count++] = symbol;
    }
    return WEFT_OK;
}

/* There is room for as many ids as the word has bytes. */
static weft_status encode_word(weft_encoder *encoder, const unsigned char *word, size_t length, weft_error *error)
{
    const weft_tokenizer *tokenizer = encoder->tokenizer;
    int32_t whole = tokenizer->whole_words ? weft_vocabulary_find(&tokenizer->vocabulary, word, length) : -1;
    if (whole >= 0) {
        encoder->tokens->ids[encoder->tokens->count++] = whole;
        return WEFT_OK;
    }
    if (length >= INT32_MAX) FAIL(error, WEFT_INVALID, "a word of %zu bytes is too long", length);
    TRY(weft_grow(&encoder->symbols, &encoder->symbols_capacity, length, sizeof(int32_t), error));
    size_t count = make_symbols(tokenizer, word, length, encoder->symbols);
    TRY(weft_merges_apply(&tokenizer->merges, &encoder->merging, encoder->symbols, count, &count, error));
    return add_symbols(encoder, word, length, count, error);
}

/* The word's bytes followed by zeros, and its length. */
static void make_key(const unsigned char *word, size_t length, const unsigned char *limit, uint64_t key[4])
{
    static const unsigned char masks[64] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    };
    uint64_t mask[4];
    if (limit - word >= 32) {
        memcpy(key, word, 32);
        memcpy(mask, masks + 32 - length, sizeof mask);
        for (int i = 0; i < 4; i++) key[i] &= mask[i];
    } else {
        memset(key, 0, 32);
        memcpy(key, word, length);
    }
    ((unsigned char *)key)[CACHED_BYTES] = (unsigned char)length;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static cached_word *find_place(const weft_encoder *encoder, const uint64_t key[4])
{
    uint64_t hash = mix(key[0] ^ 0xa0761d6478bd642fu, key[1] ^ 0xe7037ed1a0b428dbu) ^
                    mix(key[2] ^ 0x8ebc6af09c88c6e3u, key[3] ^ 0x589965cc75374cc3u);
    return &encoder->cache[hash & (CACHE_WORDS - 1)];
}

static weft_status take_word(void *context, const unsigned char *word, size_t length, weft_error *error)
{
    weft_encoder *encoder = context;
    weft_token_list *tokens = encoder->tokens;
    if (tokens->capacity - tokens->count < length + CACHED_IDS + 1)
        TRY(weft_grow(&tokens->ids, &tokens->capacity, tokens->count + length + CACHED_IDS + 1, sizeof(int32_t),
                      error));
    if (length > CACHED_BYTES) return encode_word(encoder, word, length, error);
    uint64_t key[4];
    make_key(word, length, encoder->limit, key);
    cached_word *place = find_place(encoder, key);
    if (memcmp(place->key, key, sizeof key) == 0) {
        memcpy(tokens->ids + tokens->count, place->ids, sizeof place->ids);
        tokens->count += (size_t)place->count;
        return WEFT_OK;
    }
    size_t before = tokens->count;
    TRY(encode_word(encoder, word, length, error));
    size_t count = tokens->count - before;
    if (count > CACHED_IDS) return WEFT_OK;
    memcpy(place->key, key, sizeof key);
    memcpy(place->ids, tokens->ids + before, count * sizeof(int32_t));
    place->count = (int32_t)count;
    return WEFT_OK;
}

static weft_status add_list(weft_token_list *tokens, const weft_token_list *more, weft_error *error)
{
    TRY(weft_grow(&tokens->ids, &tokens->capacity, tokens->count + more->count, sizeof *tokens->ids, error));
    weft_token_list_join(tokens, more);
    return WEFT_OK;
}

typedef weft_status segment_taker(weft_encoder *encoder, weft_segment segment, unsigned flags, weft_error *error);

static weft_status split_segment(weft_encoder *encoder, weft_segment segment, unsigned flags, weft_error *error)
{
    (void)flags;
    TRY(weft_normalizer_run(&encoder->tokenizer->marker, &encoder->marking, &segment, error));
    encoder->limit = segment.text + segment.length;
    return weft_split_walk_go(&encoder->walk, segment.text, segment.length, error);
}

/* Gives what lies between added tokens to `take`, and writes their ids. */
static weft_status take_segments(weft_encoder *encoder, const weft_added *added, weft_segment whole, unsigned flags,
                                 segment_taker *take, weft_error *error)
{
    for (size_t at = 0;;) {
        weft_added_match match = weft_added_next(added, whole.text, whole.length, at, (flags & WEFT_ENCODE_PLAIN) != 0);
        weft_segment part = {.text = whole.text + at,
                             .length = match.begin > at ? match.begin - at : 0,
                             .begins = whole.begins || at > 0,
                             .first = whole.first && at == 0,
                             .last = whole.last && !match.token};
        TRY(take(encoder, part, flags, error));
        if (!match.token) return WEFT_OK;
        TRY(weft_token_list_add(encoder->tokens, match.token->id, error));
        at = match.end;
    }
}

static weft_status normalize_segment(weft_encoder *encoder, weft_segment segment, unsigned flags, weft_error *error)
{
    TRY(weft_normalizer_run(&encoder->tokenizer->normalizer, &encoder->normal, &segment, error));
    return take_segments(encoder, &encoder->tokenizer->normalized, segment, flags, split_segment, error);
}

static weft_status encode(weft_encoder *encoder, const unsigned char *text, size_t length, unsigned flags,
                          weft_error *error)
{
    const weft_tokenizer *tokenizer = encoder->tokenizer;
    TRY(weft_utf8_mend(&text, &length, tokenizer->mend_each_byte, &encoder->mended, error));
    bool begins = !(flags & WEFT_ENCODE_CONTINUES);
    weft_segment whole = {.text = text, .length = length, .begins = begins, .first = begins, .last = true};
    bool round = flags & WEFT_ENCODE_BEGIN;
    if (round && begins) TRY(add_list(encoder->tokens, &tokenizer->prefix, error));
    TRY(take_segments(encoder, &tokenizer->raw, whole, flags, normalize_segment, error));
    return round && !(flags & WEFT_ENCODE_UNENDED) ? add_list(encoder->tokens, &tokenizer->suffix, error) : WEFT_OK;
}

weft_status weft_encoder_encode(weft_encoder *encoder, const char *text, size_t length, unsigned flags,
                                weft_token_list *tokens, weft_error *error)
{
    size_t before = tokens->count;
    encoder->tokens = tokens;
    weft_status status = encode(encoder, (const unsigned char *)text, length, flags, error);
    encoder->tokens = NULL;
    if (status != WEFT_OK) tokens->count = before;
    return status;
}
