/*
 * The tokens of a tokenizer: id to bytes, and bytes to id for those that merging can lead to.
 *
 * Owns: copies of all bytes.  Threads: one fills it, then any may read.
 */
#ifndef WEFT_TOKENIZER_VOCABULARY_H
#define WEFT_TOKENIZER_VOCABULARY_H

#include "base/memory.h"

enum { WEFT_MOST_TOKENS = 1 << 24 }; /* as model.vocabulary */

typedef enum weft_token_kind {
    WEFT_TOKEN_ABSENT, /* an id that stands for nothing */
    WEFT_TOKEN_PLAIN,
    WEFT_TOKEN_BYTE,    /* <0x0A> of SentencePiece: a byte where nothing else fits */
    WEFT_TOKEN_UNKNOWN, /* stands for what has no token */
    WEFT_TOKEN_NAME,    /* an added token, or one that no text leads to: its bytes are what it is called */
    WEFT_TOKEN_SPECIAL, /* the same, and left out of decoded text where that is wished */
} weft_token_kind;

typedef struct weft_token {
    size_t start; /* in bytes of the vocabulary */
    uint32_t length;
    unsigned char kind; /* weft_token_kind */
} weft_token;

typedef struct weft_vocabulary {
    weft_token *tokens; /* (count) by id */
    size_t count, tokens_capacity;
    unsigned char *bytes;
    size_t used, bytes_capacity;
    uint32_t *slots; /* open addressing: id + 1, or 0 */
    size_t slot_count, filled;
} weft_vocabulary;

void weft_vocabulary_fini(weft_vocabulary *vocabulary);

/* A token that is no id yet. WEFT_INVALID without a place: the id is negative, too large, or taken. */
weft_status weft_vocabulary_add(weft_vocabulary *vocabulary, int64_t id, const void *bytes, size_t length,
                                weft_token_kind kind, weft_error *error) WEFT_CHECKED;

/* Lets weft_vocabulary_find find an id by its bytes; false when these bytes already have one. */
weft_status weft_vocabulary_enter(weft_vocabulary *vocabulary, int32_t id, bool *out_new,
                                  weft_error *error) WEFT_CHECKED;

/* The id that was entered with these bytes, or -1. */
int32_t weft_vocabulary_find(const weft_vocabulary *vocabulary, const void *bytes, size_t length);

static inline const unsigned char *weft_vocabulary_bytes(const weft_vocabulary *vocabulary, int32_t id)
{
    return vocabulary->bytes + vocabulary->tokens[id].start;
}

/* Whether an id stands for something. */
static inline bool weft_vocabulary_has(const weft_vocabulary *vocabulary, int64_t id)
{
    return id >= 0 && (size_t)id < vocabulary->count && vocabulary->tokens[id].kind != WEFT_TOKEN_ABSENT;
}

#endif
