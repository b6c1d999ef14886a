/* The tokenizers of files/, the texts and the ids that their originals give (tools/make_tokenizers.py). Threads: one.
 */
#ifndef WEFT_TESTS_TOKENIZER_FIXTURE_H
#define WEFT_TESTS_TOKENIZER_FIXTURE_H

#include "tokenizer/tokenizer.h"

typedef struct fixture {
    const char *name; /* of the ids */
    const char *file;
    const char *pattern;
    bool changes; /* a normalizer, blanks that added tokens take, or the like: the text of the ids may be another one */
    bool cuts;    /* its texts can be cut */
} fixture;

extern const fixture fixtures[];
extern const size_t fixture_count;

/* A path in files/, in a buffer that the next call uses again. */
const char *fixture_path(const char *file);

/* The tokenizer; the test fails when it cannot be read. */
weft_tokenizer *fixture_open(const fixture *row);

typedef struct fixture_text {
    const char *bytes;
    size_t length;
} fixture_text;

/* All texts; borrowed until the end. */
const fixture_text *fixture_texts(size_t *out_count);

/* The ids of each text; borrowed until the next call. */
const weft_token_list *fixture_ids(const fixture *row);

/* Whether all of a text is UTF-8. */
bool fixture_is_utf8(const fixture_text *text);

void fixture_fini(void);

#endif
