/*
 * Writes a Megatron data set, and what is known of its tokens: aside as PREFIX.bin.part and so on until it is complete,
 * so that a run that was ended in the middle can be gone on with.
 *
 * Owns: its files.  Lifetime: create to destroy; what is not finished stays aside.  Threads: one.
 */
#ifndef WEFT_DATA_MEGATRON_WRITE_H
#define WEFT_DATA_MEGATRON_WRITE_H

#include "base/text.h"
#include "data/numbers.h"

typedef struct weft_megatron_writer weft_megatron_writer;

/* How much is written and synced. */
typedef struct weft_megatron_state {
    uint64_t tokens, sequences, documents;
    uint64_t open_tokens; /* of a sequence that is not ended */
    uint64_t bits;        /* of the mask, of the last tokens that are no whole byte */
} weft_megatron_state;

typedef struct weft_megatron_writer_options {
    const char *prefix;
    weft_number_type numbers;         /* UINT16 or INT32; others of the table work, too */
    bool masked;                      /* with a PREFIX.mask */
    const weft_megatron_state *state; /* go on behind it: what lies there beyond is cut off; NULL: begin anew */
} weft_megatron_writer_options;

/* WEFT_FAILED: a file cannot be made, or has less than the state says. */
weft_status weft_megatron_writer_create(const weft_megatron_writer_options *options, weft_megatron_writer **out,
                                        weft_error *error) WEFT_CHECKED;
void weft_megatron_writer_destroy(weft_megatron_writer *writer); /* accepts NULL */

/* learnt: (count) whether a token is a target; NULL: all are. Tokens fit the type. */
weft_status weft_megatron_writer_add(weft_megatron_writer *writer, const int32_t *tokens, const bool *learnt,
                                     size_t count, weft_error *error) WEFT_CHECKED;
/* The tokens since the last one are a document, or none where there are none. */
weft_status weft_megatron_writer_end(weft_megatron_writer *writer, weft_error *error) WEFT_CHECKED;

/* All that was added is on disk. */
weft_status weft_megatron_writer_sync(weft_megatron_writer *writer, weft_megatron_state *out,
                                      weft_error *error) WEFT_CHECKED;

/* The index is written, and all files get their names, the index last. */
weft_status weft_megatron_writer_finish(weft_megatron_writer *writer, weft_error *error) WEFT_CHECKED;

#endif
