/*
 * A corpus: one file, or all data files below a folder in the order of their paths, as one stream of tokens. What is
 * read is read again each time; offsets are 64-bit.
 *
 * Owns: its files and names.  Lifetime: init to fini.  Threads: any may read and check.
 */
#ifndef WEFT_DATA_CORPUS_H
#define WEFT_DATA_CORPUS_H

#include "data/collect.h"
#include "data/formats.h"
#include "data/megatron.h"

#include <stdatomic.h>

typedef struct weft_corpus_file {
    const char *path;
    size_t number;          /* in reader */
    uint64_t first, tokens; /* place of its first token in the stream, and how many there are */
    bool indexed, masked;
    weft_megatron index; /* its documents; where it is not indexed, it is one */
    size_t mask;         /* in reader: which of its tokens are targets; where it is not masked, all are */
} weft_corpus_file;

typedef struct weft_corpus {
    const weft_corpus_layout *layout; /* the same for all files */
    weft_collection collection;       /* paths */
    weft_files *reader;
    weft_corpus_file *files; /* (count) */
    size_t count;
    uint64_t tokens;      /* in the whole stream */
    uint64_t fingerprint; /* XXH3-64, continued from a seed, of layout, sizes, and first and last page of every file;
                           * not of their names */
    const weft_likeness *doubt; /* what the first file seems to be that is read as something else; NULL: none does */
    const char *doubtful;       /* that file */
    size_t doubts;              /* how many there are */
} weft_corpus;

typedef struct weft_corpus_options {
    const char *path;
    weft_config_format format;
    const char *const *own; /* (own_count) as weft_collection_init takes it */
    size_t own_count;
    uint64_t seed; /* of the fingerprint */
} weft_corpus_options;

/* path: a file, a folder, or the prefix of a Megatron data set. format AUTO: as weft_corpus_layout_find says.
 * WEFT_INVALID names file and byte offset of what is wrong. On error nothing is left to free. */
weft_status weft_corpus_init(weft_corpus *corpus, const weft_corpus_options *options, weft_error *error) WEFT_CHECKED;
void weft_corpus_fini(weft_corpus *corpus);

/* Adds a line for each kind of files that were left out, and one when files seem to be something else. */
void weft_corpus_describe(const weft_corpus *corpus, weft_text *out);

/* Tokens start .. start + count - 1 of the stream into out, and the one after them into *next; all of them exist.
 * WEFT_FAILED names file, byte offset and value of a token that is not below vocabulary, or what happened to the file.
 */
weft_status weft_corpus_read(const weft_corpus *corpus, uint64_t start, uint64_t count, int64_t vocabulary,
                             int32_t *out, int32_t *next, weft_error *error) WEFT_CHECKED;

/* Where the first document that begins behind `token` does, as far as files and indexes say; the number of tokens when
 * none does. */
weft_status weft_corpus_next_document(const weft_corpus *corpus, uint64_t token, uint64_t *out,
                                      weft_error *error) WEFT_CHECKED;
uint64_t weft_corpus_documents(const weft_corpus *corpus); /* how many: files and what indexes say */

/* Makes targets[i] -1 where token start + i + 1, which is that target, is masked. */
weft_status weft_corpus_mask(const weft_corpus *corpus, uint64_t start, size_t count, int32_t *targets,
                             weft_error *error) WEFT_CHECKED;

/* A walk over all tokens. */
typedef struct weft_corpus_check {
    int64_t vocabulary;
    unsigned char *buffer;         /* (WEFT_CORPUS_CHECK_BYTES) the caller's, aligned as weft_allocate does */
    const atomic_bool *stop;       /* set to end it early; may be NULL */
    atomic_uint_fast64_t *checked; /* grows by the bytes of tokens that were looked at; may be NULL */
    uint32_t *largest;             /* the largest token that was met; may be NULL */
} weft_corpus_check;

enum { WEFT_CORPUS_CHECK_BYTES = 256 << 10 };

/* WEFT_FAILED as for weft_corpus_read. */
weft_status weft_corpus_check_tokens(const weft_corpus *corpus, const weft_corpus_check *check,
                                     weft_error *error) WEFT_CHECKED;

/* Bytes that a check has to look at: none when every number that the layout can hold is below vocabulary. */
uint64_t weft_corpus_check_size(const weft_corpus *corpus, int64_t vocabulary);

#endif
