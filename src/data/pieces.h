/*
 * Inputs of weft tokenize as pieces of text, front to end: a line of JSONL is a piece and a document; a text file is a
 * document, in one piece or, where it is long, in several that are cut where the tokenizer allows it.
 *
 * Owns: its files and buffers.  Lifetime: create to destroy.  Threads: one reads; batches go from thread to thread.
 */
#ifndef WEFT_DATA_PIECES_H
#define WEFT_DATA_PIECES_H

#include "tokenizer/tokenizer.h"

typedef enum weft_pieces_format { WEFT_PIECES_AUTO, WEFT_PIECES_TEXT, WEFT_PIECES_JSONL } weft_pieces_format;

typedef struct weft_piece {
    size_t offset, length; /* in the batch's text */
    bool begins, ends;     /* a document */
    bool jsonl;            /* a line of JSON, not the text itself */
    uint64_t line;         /* of JSONL, from 1 */
    const char *path;      /* lives as long as the reader */
} weft_piece;

typedef struct weft_piece_batch {
    weft_text text;
    weft_piece *pieces; /* (count) */
    size_t count, capacity;
} weft_piece_batch;

void weft_piece_batch_fini(weft_piece_batch *batch);

/* A place between two batches. */
typedef struct weft_pieces_place {
    uint64_t input;  /* how many inputs are done */
    uint64_t offset; /* bytes of the next one, as unpacked, that are done */
    uint64_t line;   /* lines of it that are done */
} weft_pieces_place;

typedef struct weft_pieces weft_pieces;

typedef struct weft_pieces_options {
    const char *const *inputs; /* (input_count) files, folders, whose files are taken in the order of their paths, or
                                * "-" for standard input */
    size_t input_count;
    weft_pieces_format format; /* AUTO: JSONL for names that end in .jsonl, .ndjson or .json, before .gz or .zst */
    const weft_tokenizer *tokenizer; /* cuts long texts; borrowed */
    const char *const *own;          /* (own_count) no inputs, should they lie in a folder */
    size_t own_count;
} weft_pieces_options;

/* WEFT_INVALID when an input is missing, or a folder holds nothing. */
weft_status weft_pieces_create(const weft_pieces_options *options, weft_pieces **out, weft_error *error) WEFT_CHECKED;
void weft_pieces_destroy(weft_pieces *pieces); /* accepts NULL */

/* Goes to a place of an earlier reader with the same options. */
weft_status weft_pieces_seek(weft_pieces *pieces, weft_pieces_place place, weft_error *error) WEFT_CHECKED;
weft_pieces_place weft_pieces_tell(const weft_pieces *pieces); /* behind the last batch */

/* Fills batch, which it empties first, with pieces of `bytes` or somewhat more; none: all inputs are done.
 * WEFT_INVALID names file and line of what is no text. */
weft_status weft_pieces_next(weft_pieces *pieces, size_t bytes, weft_piece_batch *batch,
                             weft_error *error) WEFT_CHECKED;

/* XXH3 of the inputs' paths, sizes and times. */
uint64_t weft_pieces_fingerprint(const weft_pieces *pieces);
uint64_t weft_pieces_size(const weft_pieces *pieces);     /* bytes of all files, packed as they are; 0: not known */
uint64_t weft_pieces_consumed(const weft_pieces *pieces); /* of these */

#endif
