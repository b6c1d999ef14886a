/* KEY=VALUE words of a configuration, written one by one.  Owns: their text.  Threads: one owner. */
#ifndef WEFT_TESTS_CONFIG_WORDS_H
#define WEFT_TESTS_CONFIG_WORDS_H

#include "config/config.h"

enum { WORDS = 16, WORD = 80 };

/* Starts as {.count = 0}. */
typedef struct words {
    char text[WORDS][WORD];
    int count;
} words;

/* Fails the test where there are too many, or one is too long. */
void words_add(words *w, const char *format, ...) WEFT_PRINTF(2, 3);

/* The configuration of a text and these words; fails the test where it is none. */
void words_load(const words *w, const char *text, weft_config *out);

#endif
