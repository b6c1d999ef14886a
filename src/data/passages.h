/*
 * Inputs of weft tokenize as pieces of text, front to end: a line of JSONL is a piece and a document; a text file is a
 * document, in one piece or, where it is long, in several that are cut where the tokenizer allows it. A file in a
 * folder that seems to be no text, or has zero bytes where it begins, is left out.
 *
 * Owns: its files and buffers.  Lifetime: create to destroy.  Threads: one reads; batches go from thread to thread.
 */
#ifndef WEFT_DATA_PASSAGES_H
#define WEFT_DATA_PASSAGES_H

#include "data/inflate.h"
#include "tokenizer/tokenizer.h"

typedef enum weft_passages_format { WEFT_PASSAGES_AUTO, WEFT_PASSAGES_TEXT, WEFT_PASSAGES_JSONL } weft_passages_format;

typedef struct weft_passage {
    size_t offset, length; /* in the batch's text */
    bool begins, ends;     /* a document */
    bool jsonl;            /* a line of JSON, not the text itself */
    uint64_t line;         /* of JSONL, from 1 */
    const char *path;      /* lives as long as the reader */
} weft_passage;

typedef struct weft_passage_batch {
    weft_text text;
    weft_passage *pieces; /* (count) */
    size_t count, capacity;
} weft_passage_batch;

void weft_passage_batch_fini(weft_passage_batch *batch);

/* A place between two batches. */
typedef struct weft_passages_place {
    uint64_t input;  /* how many inputs are done */
    uint64_t offset; /* bytes of the next one, as unpacked, that are done */
    uint64_t line;   /* lines of it that are done */
} weft_passages_place;

typedef struct weft_passages weft_passages;

typedef struct weft_passages_options {
    const char *const *inputs; /* (input_count) files, folders, whose files are taken in the order of their paths, or
                                * "-" for standard input */
    size_t input_count;
    weft_passages_format format; /* AUTO: JSONL for names that end in .jsonl, .ndjson or .json, before .gz or .zst */
    const weft_tokenizer *tokenizer; /* cuts long texts; borrowed */
    weft_inflate_patience patience;  /* with standard input */
    const char *const *own;          /* (own_count) no inputs, should they lie in a folder */
    size_t own_count;
} weft_passages_options;

/* Whether a file is, by its name, one that must be unpacked or is JSONL. */
bool weft_passages_named(const char *path);

/* WEFT_INVALID when an input is missing, or a folder holds nothing. */
weft_status weft_passages_create(const weft_passages_options *options, weft_passages **out,
                                 weft_error *error) WEFT_CHECKED;
void weft_passages_destroy(weft_passages *pieces); /* accepts NULL */

/* Goes to a place of an earlier reader with the same options. */
weft_status weft_passages_seek(weft_passages *pieces, weft_passages_place place, weft_error *error) WEFT_CHECKED;
weft_passages_place weft_passages_tell(const weft_passages *pieces); /* behind the last batch */

/* Fills batch, which it empties first, with pieces of `bytes` or somewhat more; none: all inputs are done.
 * WEFT_INVALID names file and line of what is no text. WEFT_STOPPED: patience is at its end. */
weft_status weft_passages_next(weft_passages *pieces, size_t bytes, weft_passage_batch *batch,
                               weft_error *error) WEFT_CHECKED;

/* What was left out so far; example and what, of the first of them, live as long as the reader. */
typedef struct weft_passages_left {
    uint64_t files;
    const char *example, *what; /* "a PNG picture" */
} weft_passages_left;
weft_passages_left weft_passages_left_out(const weft_passages *pieces);

/* XXH3 of the inputs' paths, sizes and times. */
uint64_t weft_passages_fingerprint(const weft_passages *pieces);
uint64_t weft_passages_size(const weft_passages *pieces);     /* bytes of all files, packed as they are; 0: not known */
uint64_t weft_passages_consumed(const weft_passages *pieces); /* of these */

#endif
