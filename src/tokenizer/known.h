/* Vocabularies in tiktoken files that are known by a hash: what the files do not hold. Threads: any. */
#ifndef WEFT_TOKENIZER_KNOWN_H
#define WEFT_TOKENIZER_KNOWN_H

#include "base/memory.h"

typedef struct weft_known_file {
    const char *name;
    const char *sha256;      /* of the file */
    const char *pattern;     /* a name in weft_patterns */
    const char *normal_form; /* or NULL */
    int32_t begin_of_text, end_of_text;
    const struct weft_names *names; /* of special tokens, ended by a row without one */
} weft_known_file;

/* The row for a file with this text, or NULL. */
const weft_known_file *weft_known_file_find(const void *text, size_t length);

/* Gives each special token to take. */
weft_status weft_known_file_names(const weft_known_file *known,
                                  weft_status (*take)(void *context, int32_t id, const char *name, weft_error *error),
                                  void *context, weft_error *error) WEFT_CHECKED;

/* SHA-256 in small hexadecimal digits. Source: FIPS 180-4. */
void weft_sha256(const void *bytes, size_t length, char out[65]);

#endif
