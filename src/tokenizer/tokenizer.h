/*
 * Tokenizers: text to ids and back, with the same ids as the libraries that made the files.
 *
 * Read are tokenizer.json (byte-level BPE, and the BPE of SentencePiece with its normalizer or Metaspace), tiktoken
 * files (a base64 token and its rank a line) and tokenizer.model (SentencePiece, BPE). Unigram, WordPiece and WordLevel
 * are refused by name. Which kind a file is follows from what it holds, not from its name.
 *
 * A tokenizer never changes once it is made. An encoder is one caller's scratch (a cache of words, the normalised
 * text); a decoder is a place in one stream of ids.
 *
 * Owns: a tokenizer its tables, an encoder its scratch; an encoder and a decoder borrow the tokenizer.
 * Threads: any number may use one tokenizer; an encoder and a decoder belong to one at a time.
 */
#ifndef WEFT_TOKENIZER_TOKENIZER_H
#define WEFT_TOKENIZER_TOKENIZER_H

#include "base/text.h"

typedef struct weft_tokenizer weft_tokenizer;
typedef struct weft_encoder weft_encoder;

/* A growing list of ids. Starts as {0}. */
typedef struct weft_token_list {
    int32_t *ids;
    size_t count, capacity;
} weft_token_list;

void weft_token_list_fini(weft_token_list *tokens);

/* path: a file, or a folder with a tokenizer.json, a tokenizer.model or a *.tiktoken in it (looked for in this order;
 * tokenizer_config.json beside it names the tokens of begin and end). pattern: for tiktoken files, which hold none:
 * the name of a known one (weft_tokenizer_patterns), or a regular expression; NULL or "" where the vocabulary is one
 * that is known by its hash; WEFT_INVALID where a pattern is needed and absent, or given for another kind of file.
 * WEFT_INVALID names file and what is wrong in it. */
weft_status weft_tokenizer_create(const char *path, const char *pattern, weft_tokenizer **out,
                                  weft_error *error) WEFT_CHECKED;
void weft_tokenizer_destroy(weft_tokenizer *tokenizer); /* accepts NULL */

/* The names that `pattern` may have: "gpt2, llama3, ...". */
const char *weft_tokenizer_patterns(void);

/* One more than the largest id: the least model.vocabulary that holds them all. Some ids below may stand for nothing.
 */
int64_t weft_tokenizer_vocabulary(const weft_tokenizer *tokenizer);

/* "byte-level BPE, pattern llama3, vocabulary 128256": one line for people. Borrowed. */
const char *weft_tokenizer_describe(const weft_tokenizer *tokenizer);

/* XXH3-64 of all that ids depend on: the bytes of the file and the pattern. The same on every machine. */
uint64_t weft_tokenizer_fingerprint(const weft_tokenizer *tokenizer);

/* The id of a token by its text, as decode writes it (a special token by its name); -1 when there is none. */
int32_t weft_tokenizer_find(const weft_tokenizer *tokenizer, const char *text, size_t length);

/* Ids that begin a text, end one, or part documents (the last: <|endoftext|>, </s> or what plays its part); -1 when
 * the files name none. */
int32_t weft_tokenizer_begin_of_text(const weft_tokenizer *tokenizer);
int32_t weft_tokenizer_end_of_text(const weft_tokenizer *tokenizer);

bool weft_tokenizer_is_special(const weft_tokenizer *tokenizer, int32_t id);

typedef enum weft_encode_flags {
    WEFT_ENCODE_BARE = 0,  /* the text alone; names of special tokens in it become these tokens */
    WEFT_ENCODE_BEGIN = 1, /* with what the tokenizer puts in front of a text (mostly begin_of_text) and behind it */
    WEFT_ENCODE_PLAIN = 2, /* names of special tokens in the text are text like any other: for text of strangers */
    WEFT_ENCODE_CONTINUES = 4, /* the text was cut in front of this part by weft_tokenizer_cut */
    WEFT_ENCODE_UNENDED = 8,   /* it was cut behind this part: nothing is put behind it */
} weft_encode_flags;

weft_status weft_encoder_create(const weft_tokenizer *tokenizer, weft_encoder **out, weft_error *error) WEFT_CHECKED;
void weft_encoder_destroy(weft_encoder *encoder); /* accepts NULL */

/* Appends the ids of a text of length bytes. What is not UTF-8 is read as U+FFFD: as Python's errors="replace" does
 * (one for each longest beginning of a character), or for tokenizer.model as SentencePiece does (one a byte).
 * WEFT_INVALID when a tiktoken file has no token for a byte of the text (of a tokenizer.json such a byte leaves no id,
 * as its library does it); WEFT_FAILED when a pattern that PCRE2 runs gives up on the text. On error tokens is as it
 * was. */
weft_status weft_encoder_encode(weft_encoder *encoder, const char *text, size_t length, unsigned flags,
                                weft_token_list *tokens, weft_error *error) WEFT_CHECKED;

/* The last place, `most` or before, where a text may be cut so that the ids of its parts, one after the other (the
 * later ones encoded with WEFT_ENCODE_CONTINUES), are those of the whole, whatever follows; 0 when there is none that
 * is known. Whoever reads a long text piece by piece keeps what is behind the cut for the next one. */
size_t weft_tokenizer_cut(const weft_tokenizer *tokenizer, const char *text, size_t length, size_t most);

/* The same ids as one encoder's, by so many threads, which divide the text at such places. Makes its own encoders. */
weft_status weft_tokenizer_encode(const weft_tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                                  int threads, weft_token_list *tokens, weft_error *error) WEFT_CHECKED;

typedef enum weft_decode_flags {
    WEFT_DECODE_ALL = 0,          /* special tokens by their names */
    WEFT_DECODE_SKIP_SPECIAL = 1, /* special tokens leave nothing */
    WEFT_DECODE_BYTES = 2,        /* bytes as they come, even if they are not UTF-8; else these become U+FFFD */
} weft_decode_flags;

/* A stream of ids that becomes text: what is written is whole characters, an incomplete one waits for its next id. */
typedef struct weft_decoder {
    const weft_tokenizer *tokenizer;
    unsigned flags;
    bool begun; /* something was written: a blank that SentencePiece put in front of the text has gone */
    unsigned char held[4];
    size_t held_count;
} weft_decoder;

void weft_decoder_init(weft_decoder *decoder, const weft_tokenizer *tokenizer, unsigned flags);
/* Appends to out. WEFT_INVALID for an id that stands for nothing. */
weft_status weft_decoder_add(weft_decoder *decoder, int32_t id, weft_text *out, weft_error *error) WEFT_CHECKED;
/* What was held back is incomplete for good. The decoder is as at its beginning. */
weft_status weft_decoder_finish(weft_decoder *decoder, weft_text *out, weft_error *error) WEFT_CHECKED;

/* All at once: appends the text of count ids. */
weft_status weft_tokenizer_decode(const weft_tokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags,
                                  weft_text *out, weft_error *error) WEFT_CHECKED;

#endif
