/* What a tokenizer holds; for the files of this folder. Filled by one of the readers, then never changed. */
#ifndef WEFT_TOKENIZER_PARTS_H
#define WEFT_TOKENIZER_PARTS_H

#include "tokenizer/added.h"
#include "tokenizer/merges.h"
#include "tokenizer/normalize.h"
#include "tokenizer/split.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

struct weft_tokenizer {
    weft_vocabulary vocabulary;
    weft_merges merges;
    weft_added raw;             /* added tokens that are looked for in the text as it is */
    weft_added normalized;      /* those that are looked for in what the normalizer makes of it */
    weft_normalizer normalizer; /* of the text */
    weft_normalizer marker;     /* of the segments between added tokens */
    weft_splitter splitter;

    bool characters;           /* words are merged from characters, as SentencePiece does, not from bytes */
    bool whole_words;          /* a word that is a token is this token, whatever merging would make of it */
    bool fuse_unknown;         /* one unknown token for several characters in a row */
    bool drops_unknown;        /* what has no token leaves none, where there is none for the unknown either */
    bool mend_each_byte;       /* U+FFFD for each byte that is not UTF-8 */
    bool marks_blanks;         /* U+2581 in a token is a blank */
    bool drops_first_mark;     /* the blank that the text begins with when it is decoded was put there */
    bool words_begin_at_marks; /* no token has a blank behind something else: words are independent */
    bool cuts;                 /* weft_tokenizer_cut knows places */
    int32_t unknown;           /* -1: none */
    int32_t bytes[256];        /* the token of each byte; -1: none */

    int32_t begin_of_text, end_of_text;
    weft_token_list prefix, suffix; /* what WEFT_ENCODE_BEGIN adds */

    const char *kind; /* "byte-level BPE": for people */
    weft_text description;
    uint64_t fingerprint;
};

/* The readers; text is the whole file. They fill an empty tokenizer; WEFT_INVALID says what is wrong, without the
 * file's name. What was filled is the caller's to free, on error too. */
weft_status weft_tokenizer_read_json(weft_tokenizer *tokenizer, const char *text, size_t length,
                                     weft_error *error) WEFT_CHECKED;
weft_status weft_tokenizer_read_tiktoken(weft_tokenizer *tokenizer, const char *text, size_t length,
                                         const char *pattern, weft_error *error) WEFT_CHECKED;
weft_status weft_tokenizer_read_sentencepiece(weft_tokenizer *tokenizer, const char *text, size_t length,
                                              weft_error *error) WEFT_CHECKED;

/* Pairs for every way to put a token together from two others that were entered, with the token's rank (by id). */
weft_status weft_tokenizer_pair_up(weft_tokenizer *tokenizer, const int32_t *ranks, weft_error *error) WEFT_CHECKED;

/* Words that begin at U+2581, where no token has one behind something else. */
weft_status weft_tokenizer_mark_words(weft_tokenizer *tokenizer, weft_error *error) WEFT_CHECKED;

/* The characters by which byte-level tokenizers write bytes: itself for what can be printed, else one from U+0100 on in
 * the order of the bytes. Source: bytes_to_unicode in GPT-2's encoder.py. */
void weft_byte_letters(uint32_t out[256]);

/* Appends ids for which there is room. */
void weft_token_list_join(weft_token_list *tokens, const weft_token_list *more);
/* Whether nothing in the tokenizer joins a letter and a blank behind it, or looks back over them. */
bool weft_tokenizer_may_cut(const weft_tokenizer *tokenizer);

weft_status weft_token_list_add(weft_token_list *tokens, int32_t id, weft_error *error) WEFT_CHECKED;

#endif
