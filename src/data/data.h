/*
 * Corpora as blocks of T tokens (plus the next one as the last target), shuffled by seed, read when they are wanted.
 *
 * Each source's token stream is cut into blocks: block i holds tokens i T .. i T + T (T inputs, T targets shifted by
 * one). Held-out blocks are spread evenly over the whole. Training takes the sequences 0, 1, ...: each from the source
 * that the weights say (data/blend.h), and of a source an endless sequence of epochs, each a keyed permutation of its
 * training blocks. So sequence k is a function of the seed and k alone, and the place in the data is the number of
 * sequences that were read.
 *
 * All tokens are compared with the vocabulary, whether they are read or not: those of small data when they are opened,
 * those of large data while the run goes on, by a thread that weft_data_watch starts and weft_data_poll asks.
 *
 * Owns: its files and that thread.  Lifetime: open to close.  Threads: one opens, watches and closes, any may read and
 * poll.
 */
#ifndef WEFT_DATA_DATA_H
#define WEFT_DATA_DATA_H

#include "config/config.h"

typedef struct weft_data weft_data;

typedef struct weft_data_source {
    const char *path;
    double weight; /* share of the sequences, of the sum of all weights */
} weft_data_source;

typedef struct weft_data_options {
    const char *path;                /* the only source, where there is no list of them */
    const weft_data_source *sources; /* (source_count) */
    int32_t source_count;
    const char *held_out_path; /* NULL or "": a share of each source */
    weft_config_format format; /* AUTO: by header and name; text when nothing else fits */
    /* (own_count) files and folders of the run itself, which are no data: its folder, its configuration, the file that
     * it prints to. They need not exist; NULL and "" stand for nothing. */
    const char *const *own;
    size_t own_count;
    int64_t tokens; /* T */
    double held_out;
    uint64_t seed;
    int64_t vocabulary; /* of the model */
    /* Sequences are told apart into documents, whose ends are those of files, what a Megatron index says, and, where
     * it is not negative, every token end_of_text. A target in another document than its token is none. */
    bool documents;
    int64_t end_of_text;
} weft_data_options;

enum { WEFT_DATA_CHECKED_AT_ONCE = 64 << 20 }; /* bytes of tokens */

/* WEFT_INVALID for missing, empty, truncated or malformed files (named with the offset), too short ones, ones that seem
 * to be something else than the format says, and, where all tokens together have up to WEFT_DATA_CHECKED_AT_ONCE bytes,
 * a token outside the vocabulary. */
weft_status weft_data_open(const weft_data_options *options, weft_data **out, weft_error *error) WEFT_CHECKED;
void weft_data_close(weft_data *data);

/* Starts to check what open did not, if anything. One process of a machine is enough. */
void weft_data_watch(weft_data *data);
/* WEFT_OK until the check has found a token outside the vocabulary, or a file that cannot be read any more: then
 * WEFT_FAILED names file and byte, every time. Costs next to nothing. */
weft_status weft_data_poll(const weft_data *data, weft_error *error) WEFT_CHECKED;
uint64_t weft_data_unchecked(const weft_data *data); /* bytes of tokens that no check has come to yet */

/* Adds lines on what the user should know of: files that were left out of a folder, and such that seem to be something
 * else than data.format says. */
void weft_data_describe(const weft_data *data, weft_text *out);

typedef enum weft_data_part { WEFT_DATA_TRAIN, WEFT_DATA_HELD_OUT } weft_data_part;

int64_t weft_data_blocks(const weft_data *data, weft_data_part part);
int64_t weft_data_bytes_per_token(const weft_data *data); /* 1 for text; 0 when not known */

/* Identifies the data in a checkpoint: XXH3 of format, sizes and first and last pages. */
uint64_t weft_data_fingerprint(const weft_data *data);

/* Where sequences go: (count, T) each. */
typedef struct weft_data_rows {
    int32_t *tokens;
    int32_t *targets; /* -1: none, since it is masked or in another document */
    int32_t *begins;  /* place in its sequence where the document of a token begins; NULL: not asked for */
} weft_data_rows;

/* Fills count sequences starting at sequence `first` of the part's endless order (train: shuffled epochs of the
 * sources; held out: the order of the files, sources in proportion; a held-out sequence beyond the last block gets
 * targets of -1). WEFT_FAILED names file and offset of a token outside the vocabulary, or of what is gone: a file was
 * cut short, replaced or changed at its ends, has grown, or cannot be read. */
weft_status weft_data_read(const weft_data *data, weft_data_part part, int64_t first, int64_t count,
                           weft_data_rows rows, weft_error *error) WEFT_CHECKED;

/* The source that a sequence of a part is taken from. */
int32_t weft_data_source_of(const weft_data *data, weft_data_part part, int64_t sequence);

#endif
