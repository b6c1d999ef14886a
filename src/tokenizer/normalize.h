/*
 * What happens to a text before it is split into words: NFC and its like by utf8proc, SentencePiece's marks for blanks
 * and its maps of characters.
 *
 * Owns: a normalizer its texts; scratch its buffers.  Threads: one fills a normalizer, then any may read; scratch
 * belongs to one.
 */
#ifndef WEFT_TOKENIZER_NORMALIZE_H
#define WEFT_TOKENIZER_NORMALIZE_H

#include "base/text.h"

enum { WEFT_MOST_NORMAL_STEPS = 16 };

typedef enum weft_normal_kind {
    WEFT_NORMAL_FORM,     /* NFC, NFD, NFKC, NFKD */
    WEFT_NORMAL_REPLACE,  /* from by to */
    WEFT_NORMAL_PREPEND,  /* to in front of every segment */
    WEFT_NORMAL_LEAD,     /* to in front of a segment that does not begin with it */
    WEFT_NORMAL_BEGIN,    /* the same, of the text's first segment alone */
    WEFT_NORMAL_DUMMY,    /* to in front of the text, also where its first segment is empty */
    WEFT_NORMAL_SQUEEZE,  /* one blank for several, none at the ends of the text */
    WEFT_NORMAL_CHARSMAP, /* SentencePiece's precompiled map */
} weft_normal_kind;

typedef struct weft_normal_step {
    weft_normal_kind kind;
    int options;        /* FORM: utf8proc's */
    weft_text from, to; /* owned; of CHARSMAP the whole map is `from` */
} weft_normal_step;

typedef struct weft_normalizer {
    weft_normal_step steps[WEFT_MOST_NORMAL_STEPS];
    size_t count;
} weft_normalizer;

void weft_normalizer_fini(weft_normalizer *normalizer);

/* A step with copies of both texts (from may be NULL). WEFT_INVALID: too many. */
weft_status weft_normalizer_add(weft_normalizer *normalizer, weft_normal_kind kind, const char *from, const char *to,
                                weft_error *error) WEFT_CHECKED;
/* "NFC" and so on; *out_known is false for other names. */
weft_status weft_normalizer_add_form(weft_normalizer *normalizer, const char *name, bool *out_known,
                                     weft_error *error) WEFT_CHECKED;
/* WEFT_INVALID: it is no such map. */
weft_status weft_normalizer_add_charsmap(weft_normalizer *normalizer, const void *bytes, size_t length,
                                         weft_error *error) WEFT_CHECKED;

/* Whether no step replaces texts, or with `marks` none but blanks by U+2581. */
bool weft_normalizer_keeps_blanks(const weft_normalizer *normalizer, bool marks);
/* Whether a step replaces blanks by U+2581. */
bool weft_normalizer_marks_blanks(const weft_normalizer *normalizer);

/* Whether a map of characters takes in what is before and behind a place, or on one side next to it. */
bool weft_normalizer_touches(const weft_normalizer *normalizer, const unsigned char *text, size_t length, size_t at);

/* Where a segment stands: between added tokens, or between the ends of the text. */
typedef struct weft_segment {
    const unsigned char *text;
    size_t length;
    bool begins; /* not in the middle of one that was cut in two */
    bool first, last;
} weft_segment;

typedef struct weft_normal_scratch {
    weft_text texts[2]; /* a step reads one and writes the other */
    int32_t *points;
    size_t capacity;
} weft_normal_scratch;

void weft_normal_scratch_fini(weft_normal_scratch *scratch);

/* Changes segment->text and length to what comes of it: in scratch, until its next use, or as it was. */
weft_status weft_normalizer_run(const weft_normalizer *normalizer, weft_normal_scratch *scratch, weft_segment *segment,
                                weft_error *error) WEFT_CHECKED;

/* Well-formed UTF-8 of a text: the text itself, or a copy in out where what is not UTF-8 is U+FFFD: one for each byte,
 * or one for each longest beginning of a character. */
weft_status weft_utf8_mend(const unsigned char **text, size_t *length, bool each_byte, weft_text *out,
                           weft_error *error) WEFT_CHECKED;

/* Bytes at c, of which room > 0 may be read, that are the longest beginning of a character that cannot go on, at least
 * 1; *out_complete is false when all room is used up and more bytes could make it whole. */
size_t weft_utf8_broken(const unsigned char *c, size_t room, bool *out_complete);

#endif
