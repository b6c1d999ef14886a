/*
 * Added tokens: names that are looked for in a text before anything else, the leftmost first and of those that begin at
 * one place the longest. Source of the rules: added_vocabulary.rs of Hugging Face tokenizers.
 *
 * Owns: its names and rows.  Threads: one fills it, then any may read.
 */
#ifndef WEFT_TOKENIZER_ADDED_H
#define WEFT_TOKENIZER_ADDED_H

#include "base/memory.h"

typedef struct weft_added_token {
    const unsigned char *name; /* owned by the arena */
    size_t length;
    int32_t id;
    bool special;
    bool lstrip, rstrip; /* takes the blanks before it, behind it */
    bool single_word;    /* not inside a word */
} weft_added_token;

typedef struct weft_added {
    weft_arena arena;
    weft_added_token *rows; /* (count) sorted by name once weft_added_sort has run */
    size_t count, capacity, longest;
    bool begins[256]; /* a name begins with this byte */
} weft_added;

void weft_added_init(weft_added *added);
void weft_added_fini(weft_added *added);

/* Copies the name. An empty one is left out. */
weft_status weft_added_add(weft_added *added, weft_added_token token, weft_error *error) WEFT_CHECKED;
/* Puts the rows in order; of several with one name the first is kept. */
void weft_added_sort(weft_added *added);

typedef struct weft_added_match {
    const weft_added_token *token; /* NULL: none up to the end */
    size_t begin, end;             /* with the blanks that it takes */
} weft_added_match;

/* The first token at or behind `at` (where the last one ended; 0 at first) of a text. plain: special ones are none. */
weft_added_match weft_added_next(const weft_added *added, const unsigned char *text, size_t length, size_t at,
                                 bool plain);

/* Whether a name lies over the place, or ends or begins there. */
bool weft_added_touches(const weft_added *added, const unsigned char *text, size_t length, size_t at);

/* The token with this name, or NULL. */
const weft_added_token *weft_added_find(const weft_added *added, const void *name, size_t length);

#endif
