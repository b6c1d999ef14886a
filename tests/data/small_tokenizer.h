/*
 * A tokenizer of all bytes, with four merges and the special tokens that a test needs.
 *
 * Threads: any.
 */
#ifndef WEFT_TESTS_DATA_SMALL_TOKENIZER_H
#define WEFT_TESTS_DATA_SMALL_TOKENIZER_H

#include "tokenizer/tokenizer.h"

enum { SMALL_SPECIALS = 260 }; /* the id of the first special token; the others follow */

/* Appends its tokenizer.json. specials: (count) their names. */
void small_tokenizer_write(const char *const *specials, int count, weft_text *out);

#endif
