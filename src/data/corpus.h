/*
 * A corpus: one file, or every regular file below a folder in the order of their paths, as one stream of tokens over
 * read-only maps. Nothing is copied; offsets are 64-bit.
 *
 * Owns: its maps and names.  Lifetime: init to fini.  Threads: any may read.
 */
#ifndef WEFT_DATA_CORPUS_H
#define WEFT_DATA_CORPUS_H

#include "base/file.h"
#include "config/config.h"

typedef struct weft_corpus_layout weft_corpus_layout; /* one row of the table of file layouts */

typedef struct weft_corpus_file {
    const char *path;
    weft_map map;
    uint64_t first, tokens; /* place of its first token in the stream, and how many there are */
} weft_corpus_file;

typedef struct weft_corpus {
    const weft_corpus_layout *layout; /* the same for all files */
    weft_corpus_file *files;
    size_t count, capacity;
    uint64_t tokens; /* in the whole stream */
    weft_arena arena;
} weft_corpus;

/* format AUTO: by the header, then by the name (.bin is nanoGPT), else text. WEFT_INVALID names file and byte offset of
 * what is wrong. On error nothing is left to free. */
weft_status weft_corpus_init(weft_corpus *corpus, const char *path, weft_config_format format,
                             weft_error *error) WEFT_CHECKED;
void weft_corpus_fini(weft_corpus *corpus);

bool weft_corpus_is_text(const weft_corpus *corpus);

/* Tokens start .. start + count - 1 of the stream, which must exist. WEFT_FAILED names file, byte offset and value of a
 * token that is not below vocabulary. */
weft_status weft_corpus_read(const weft_corpus *corpus, uint64_t start, uint64_t count, int64_t vocabulary,
                             int32_t *out, weft_error *error) WEFT_CHECKED;

/* XXH3-64, continued from seed, of layout, sizes, and first and last page of every file; not of their names. */
uint64_t weft_corpus_fingerprint(const weft_corpus *corpus, uint64_t seed);

#endif
