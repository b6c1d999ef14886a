/*
 * Splitting a text into words: steps, each of which divides the pieces that the one before it left.
 *
 * A step is a scanner or, where the expression is none that is known, PCRE2 with its just-in-time compiler.
 *
 * Owns: compiled expressions; a walk its match data.  Threads: one makes a splitter, then any may read; a walk belongs
 * to one.
 */
#ifndef WEFT_TOKENIZER_SPLIT_H
#define WEFT_TOKENIZER_SPLIT_H

#include "base/text.h"
#include "tokenizer/scan.h"

enum { WEFT_MOST_STEPS = 16 };

/* What becomes of the text that an expression matches, as Hugging Face tokenizers name it. */
typedef enum weft_split_habit {
    WEFT_SPLIT_ISOLATED,
    WEFT_SPLIT_REMOVED, /* what lies between the matches goes; what matches stays */
    WEFT_SPLIT_WITH_PREVIOUS,
    WEFT_SPLIT_WITH_NEXT,
} weft_split_habit;

/* Whose regular expressions: what tokenizer.json means by one (Oniguruma's, of Ruby), or tiktoken (Rust's). */
typedef enum weft_dialect { WEFT_DIALECT_JSON, WEFT_DIALECT_TIKTOKEN } weft_dialect;

typedef struct weft_step {
    weft_scanner *scan;       /* or NULL: */
    struct weft_regex *regex; /* owned */
    weft_split_habit habit;
    bool parts_blanks; /* as of weft_pattern */
    const char *name;  /* of the pattern, borrowed from a const table; NULL: none */
} weft_step;

typedef struct weft_splitter {
    weft_step steps[WEFT_MOST_STEPS];
    size_t count;
} weft_splitter;

void weft_splitter_fini(weft_splitter *splitter);

/* WEFT_INVALID: too many steps. */
weft_status weft_splitter_add_scanner(weft_splitter *splitter, weft_scanner *scan, const char *name,
                                      weft_error *error) WEFT_CHECKED;
weft_status weft_splitter_add_known(weft_splitter *splitter, const weft_pattern *pattern,
                                    weft_error *error) WEFT_CHECKED;
/* WEFT_INVALID when it is none, or is written in a way that PCRE2 takes for something else. */
weft_status weft_splitter_add_pattern(weft_splitter *splitter, const char *text, weft_dialect dialect,
                                      weft_split_habit habit, weft_error *error) WEFT_CHECKED;
/* These very characters. */
weft_status weft_splitter_add_literal(weft_splitter *splitter, const char *text, weft_split_habit habit,
                                      weft_error *error) WEFT_CHECKED;

/* Whether all steps are scanners, which do not look back. */
bool weft_splitter_is_known(const weft_splitter *splitter);
/* Whether one of the steps ends words between a letter and a blank. */
bool weft_splitter_parts_blanks(const weft_splitter *splitter);

typedef weft_status weft_word_taker(void *context, const unsigned char *word, size_t length, weft_error *error);

typedef struct weft_split_walk {
    const weft_splitter *splitter;
    void *matches[WEFT_MOST_STEPS]; /* pcre2_match_data */
    weft_word_taker *take;
    void *context;
} weft_split_walk;

weft_status weft_split_walk_init(weft_split_walk *walk, const weft_splitter *splitter, weft_error *error) WEFT_CHECKED;
void weft_split_walk_fini(weft_split_walk *walk);

/* Gives the words of a text in order to walk->take. */
weft_status weft_split_walk_go(weft_split_walk *walk, const unsigned char *text, size_t length,
                               weft_error *error) WEFT_CHECKED;

#endif
