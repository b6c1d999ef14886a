/* What the tests of tokenising share: a small tokenizer, options, texts, and what was written. */
#ifndef WEFT_TEST_DATA_TOKENIZING_H
#define WEFT_TEST_DATA_TOKENIZING_H

#include "fixture.h"
#include "small_tokenizer.h"

#include "base/file.h"
#include "data/mask.h"
#include "data/tokenize.h"

enum { END = SMALL_SPECIALS, USER, FIM_PREFIX = SMALL_SPECIALS + 3, FIM_SUFFIX, FIM_MIDDLE, BEGIN_MARK, END_MARK };

extern weft_tokenizer *tokenizing_tokenizer;

/* Group set-up and tear-down of cmocka: the folder of the fixture, with the tokenizer. */
int tokenizing_set_up(void **state);
int tokenizing_tear_down(void **state);

weft_tokenize_options tokenizing_options(const char *const *inputs, size_t count, const char *prefix);
weft_tokenize_totals tokenizing_run(weft_tokenize_options options);
void tokenizing_refuse(weft_tokenize_options options, const char *words);
weft_text tokenizing_read(const char *prefix, const char *ending);
void tokenizing_expect_same(const char *a, const char *b, const char *ending);
/* The uint16 tokens of a data set. */
size_t tokenizing_read_tokens(const char *prefix, int32_t *out, size_t most);
/* A text without end, of words, blanks and lines, and characters of several bytes. */
void tokenizing_make_text(weft_text *out, size_t length, uint32_t state);
const char *tokenizing_put_long_text(const char *name, size_t length, uint32_t state);
void tokenizing_add_record(weft_text *out, const weft_text *text);

#endif
