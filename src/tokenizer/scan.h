/*
 * Scanners: hand-written code for the regular expressions by which known tokenizers cut a text into words.
 *
 * A scanner takes well-formed UTF-8 and gives the end of the word that begins at `at`, at < end. It never looks at what
 * is before `at`, and stops where the first match of its expression stops; where the expression matches only further
 * on, the word ends there. tests/tokenizer holds each scanner against PCRE2 with its expression.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_TOKENIZER_SCAN_H
#define WEFT_TOKENIZER_SCAN_H

#include <stdbool.h>
#include <stddef.h>

typedef const unsigned char *weft_scanner(const unsigned char *at, const unsigned char *end);

typedef struct weft_pattern {
    const char *name; /* that a user may give; NULL: another way to write the one before, or a part of a sequence */
    const char *text; /* the regular expression */
    weft_scanner *scan;
    bool parts_blanks; /* a word ends between a letter and a blank */
    bool of_tiktoken;  /* in a tokenizer.json the same text would mean something else */
} weft_pattern;

extern const weft_pattern weft_patterns[];
extern const size_t weft_pattern_count;

#define WEFT_PATTERN_NAMES "gpt2, llama3, qwen, qwen3.5, cl100k, o200k, tekken"

/* The row with this name or this very text, or NULL. */
const weft_pattern *weft_pattern_by_name(const char *name);
const weft_pattern *weft_pattern_by_text(const char *text);

/* Numbers one by one, or in runs; all else lies between (the pre-tokenizer Digits). */
weft_scanner weft_scan_digits, weft_scan_numbers;

/* SentencePiece's: a word begins at the first of a run of U+2581. */
weft_scanner weft_scan_marked;

/* Metaspace's: a word begins at each U+2581. */
weft_scanner weft_scan_each_marked;

#endif
