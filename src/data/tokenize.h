/*
 * weft tokenize: inputs to a Megatron data set, by several threads, in memory that does not grow with the inputs. What
 * was ended in the middle goes on from where it was last safe, and gives the same bytes.
 *
 * Threads: the caller's, and those it starts.
 */
#ifndef WEFT_DATA_TOKENIZE_H
#define WEFT_DATA_TOKENIZE_H

#include "data/encode.h"

typedef struct weft_tokenize_totals {
    uint64_t consumed, size; /* bytes of the inputs, packed as they are; size 0: not known */
    uint64_t text;           /* bytes of text, unpacked */
    uint64_t documents, tokens;
    uint64_t filled, cut; /* packing: fillers, documents longer than a block */
    uint64_t resumed;     /* documents that an earlier run had done */
    uint64_t left_out;    /* files in folders that are no text, and the first of them */
    char left_example[256];
    const char *left_what; /* "a PNG picture" */
    bool stopped;          /* before its end: what is told here is kept */
    const char *numbers;   /* "uint16" or "int32" */
} weft_tokenize_totals;

typedef struct weft_tokenize_options {
    weft_passages_options pieces; /* own: besides what is written; patience is stop */
    weft_encode_options encode;
    const char *prefix;
    int64_t pack; /* tokens of a block into which documents are packed; 0: they follow each other */
    int threads;  /* that encode */
    bool anew;    /* do not go on with what is there */
    /* Asked and told now and then; may be NULL. */
    bool (*stop)(void *context);
    void (*tell)(void *context, const weft_tokenize_totals *totals);
    void *context;
} weft_tokenize_options;

/* WEFT_INVALID: an input is missing, or is not what it should be (file and line), or PREFIX.progress is of other inputs
 * or options. WEFT_FAILED: a full disk. What was done then is kept aside and gone on with. */
weft_status weft_tokenize(const weft_tokenize_options *options, weft_tokenize_totals *out,
                          weft_error *error) WEFT_CHECKED;

#endif
