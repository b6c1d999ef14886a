/* The words of GGUF files for tokenizers. Internal to tokenizer/.  Threads: any. */
#ifndef WEFT_TOKENIZER_GGUF_PARTS_H
#define WEFT_TOKENIZER_GGUF_PARTS_H

#include <stdbool.h>
#include <stddef.h>

/* tokenizer.ggml.token_type. */
enum {
    WEFT_GGUF_NORMAL = 1,
    WEFT_GGUF_UNKNOWN,
    WEFT_GGUF_CONTROL,
    WEFT_GGUF_USER,
    WEFT_GGUF_UNUSED,
    WEFT_GGUF_BYTE,
};

/* tokenizer.ggml.pre: how a text becomes words. */
typedef struct weft_gguf_pre {
    const char *names;       /* "a|b|": the first is written */
    const char *pattern;     /* a name in weft_patterns */
    bool digits;             /* numbers are taken apart first */
    bool whole_words, begin; /* as of the tokenizer, and that it puts a token in front where no key says otherwise */
    const char *normal_form; /* that its models have; files do not tell; NULL: none */
} weft_gguf_pre;

extern const weft_gguf_pre weft_gguf_pres[];
extern const size_t weft_gguf_pre_count;

#endif
