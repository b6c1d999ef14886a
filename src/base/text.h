/*
 * A growing string, numbers to and from text, encodings and spelling help.
 *
 * Owns: its bytes.  Lifetime: init to fini.  Threads: one owner.
 */
#ifndef WEFT_BASE_TEXT_H
#define WEFT_BASE_TEXT_H

#include "base/memory.h"

typedef struct weft_text {
    char *bytes; /* always ends with a zero byte once anything was appended; NULL before */
    size_t length, capacity;
    bool failed; /* an append ran out of memory: later appends do nothing, weft_text_check reports it */
} weft_text;

void weft_text_init(weft_text *text);
void weft_text_fini(weft_text *text);

/* Appends never fail on the spot: a writer appends everything and checks once. */
void weft_text_add(weft_text *text, const char *format, ...) WEFT_PRINTF(2, 3);
void weft_text_add_bytes(weft_text *text, const void *bytes, size_t count);
/* A finite number of so many significant digits, as JSON, YAML 1.1 and YAML 1.2 all take one: 1.0e-05, since 1e-05 is a
 * text to YAML 1.1. */
void weft_text_add_number(weft_text *text, int digits, double value);
/* The same with the fewest digits, 6 or more, that read back to the same bits. */
void weft_text_add_double(weft_text *text, double value);
void weft_text_add_float(weft_text *text, float value);
void weft_text_add_int(weft_text *text, int64_t value);
void weft_text_add_count(weft_text *text, int64_t count, const char *noun); /* "1 rank", "2 batches" */
const char *weft_text_plural(int64_t count); /* what most nouns of so many end in: "" or "s" */
/* A difference with so many decimals, at least so wide: "+1.25", "-1.25", and where nothing of it is left "0.00". */
void weft_text_add_change(weft_text *text, int width, int decimals, double value);
/* What is to be printed with so many decimals: the value, or 0 where they show nothing of it, so that none is "-0.00".
 */
double weft_text_figure(double value, int decimals);
/* With quotes and escapes, as JSON and YAML take a text between double quotes; bytes that are not UTF-8 become U+FFFD.
 */
void weft_text_add_json(weft_text *text, const char *string);
void weft_text_add_script(weft_text *text, const char *string); /* the same, and < escaped besides */
void weft_text_add_xml(weft_text *text, const char *string);    /* escapes & < > " */
weft_status weft_text_check(const weft_text *text, weft_error *error) WEFT_CHECKED;
const char *weft_text_get(const weft_text *text); /* "" when empty; borrowed */

/* The whole string must be a number in range; no leading blanks, no trailing junk. */
bool weft_parse_int(const char *string, int64_t *out);
bool weft_parse_double(const char *string, double *out);

/* For the text of a file, before it is parsed: goes behind a byte order mark of UTF-8. WEFT_INVALID for UTF-16 and
 * UTF-32. */
weft_status weft_text_begin(const char **text, size_t *length, const char *name, weft_error *error) WEFT_CHECKED;

/* Characters to insert, drop, replace or swap in word to make it name; -1 when they are more than a third of the longer
 * one, so that word is hardly a misspelling of it. */
int weft_text_distance(const char *word, const char *name);

/* Index of the known name nearest to word by that distance, or -1 when none is near enough to suggest. */
int weft_text_nearest(const char *word, const char *const *names, int count);

#endif
