/*
 * Tokenizers of GGUF files: tokens, their types, merges or scores, and the name of a pre-tokenizer, in the keys below
 * tokenizer.ggml. Source: llama-vocab.cpp and convert_hf_to_gguf.py of github.com/ggml-org/llama.cpp.
 *
 * Owns: nothing.  Threads: any.
 */
#ifndef WEFT_TOKENIZER_GGUF_H
#define WEFT_TOKENIZER_GGUF_H

#include "tensor/gguf_write.h"
#include "tokenizer/tokenizer.h"

/* Appends the tokenizer of a file as a tokenizer.json, and what it says of the ends of a text as a
 * tokenizer_config.json. WEFT_INVALID, with the file and the key, where it has none, one of a kind or with a
 * pre-tokenizer that weft does not know, or a damaged one. */
weft_status weft_gguf_tokenizer_read(const weft_gguf *file, weft_text *json, weft_text *settings,
                                     weft_error *error) WEFT_CHECKED;

/* What a model says of the ends of a text besides its tokenizer; -1: nothing. */
typedef struct weft_gguf_ends {
    int64_t begin, end, padding; /* ids */
} weft_gguf_ends;

/* Puts a tokenizer into a file for a model of so many tokens. WEFT_INVALID, with nothing put, where llama.cpp has no
 * word for it: says what of it. */
weft_status weft_gguf_tokenizer_put(const weft_tokenizer *tokenizer, int64_t vocabulary, weft_gguf_ends ends,
                                    weft_gguf_list *list, weft_error *error) WEFT_CHECKED;

#endif
