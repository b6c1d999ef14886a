/* What the fuzz targets of tokenizers check of one that a file has become. Threads: one. */
#ifndef WEFT_TESTS_FUZZ_TRY_TOKENIZER_H
#define WEFT_TESTS_FUZZ_TRY_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

/* The bytes are a tokenizer's file: refused in one line, or its ids lie in its vocabulary, are the same again, by parts
 * too, and become text. */
void try_tokenizer(const char *name, const uint8_t *bytes, size_t size, const char *pattern);

#endif
