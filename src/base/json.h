/*
 * Writing JSON (RFC 8259) as it comes: commas, quotes, escapes and line ends are the writer's business, what is written
 * and in which order is the caller's.
 *
 * A value goes by its key into an object, and with NULL for a key into a list. An object or a list stands on one line,
 * or has each of its items on a line of its own. Appends never fail on the spot: weft_text_check tells it of the whole.
 *
 * Owns: nothing; the text is the caller's.  Lifetime: the text's.  Threads: one owner.
 */
#ifndef WEFT_BASE_JSON_H
#define WEFT_BASE_JSON_H

#include "base/text.h"

typedef enum weft_json_style {
    WEFT_JSON_TIGHT,  /* no blanks: for programs */
    WEFT_JSON_SCRIPT, /* the same for the inside of a <script>, which "</script>" in a text would end */
    WEFT_JSON_WIDE,   /* a blank behind commas and colons, and two for each level in front of a line */
} weft_json_style;

typedef enum weft_json_layout { WEFT_JSON_ROW, WEFT_JSON_LINES } weft_json_layout;

typedef struct weft_json {
    weft_text *out;
    weft_json_style style;
    bool later;     /* an item stands before in what is open */
    int depth;      /* objects and lists that are open */
    uint64_t lines; /* whether their items are on lines: bit 0 the innermost; deeper than 64 they are on one */
} weft_json;

weft_json weft_json_begin(weft_text *out, weft_json_style style);

/* Opens an object or a list, as an item of what is open. */
void weft_json_object(weft_json *json, const char *key, weft_json_layout layout);
void weft_json_list(weft_json *json, const char *key, weft_json_layout layout);
void weft_json_object_end(weft_json *json);
void weft_json_list_end(weft_json *json);

void weft_json_text(weft_json *json, const char *key, const char *value); /* NULL: null */
/* Writes what the text holds, and frees it; where it ran out of memory, so has the whole. */
void weft_json_take_text(weft_json *json, const char *key, weft_text *value);
void weft_json_int(weft_json *json, const char *key, int64_t value);
/* With the fewest digits, 6 or more, that read back to the same bits; null where it is not finite. */
void weft_json_number(weft_json *json, const char *key, double value);
/* With so many significant digits. */
void weft_json_rounded(weft_json *json, const char *key, int digits, double value);
void weft_json_truth(weft_json *json, const char *key, bool value);
void weft_json_null(weft_json *json, const char *key);

/* All that stands before the value of an item; the caller appends the value itself, as JSON, to what is returned. */
weft_text *weft_json_item(weft_json *json, const char *key);

#endif
