/*
 * Text as tokens, tokenised once: a folder keeps a Megatron data set for each text and tokenizer, FOLDER/KEY/tokens.bin
 * and tokens.idx. KEY is a hash of all that its bytes depend on, as far as that is cheaply seen: paths, sizes, times,
 * first and last pages of the text's files, the tokenizer's fingerprint. A set is there when its index is; what was
 * ended in the middle is gone on with. Whoever makes one holds a lock, others wait for it.
 *
 * Owns: nothing.  Threads: any; of several that want the same set one makes it.
 */
#ifndef WEFT_DATA_CACHE_H
#define WEFT_DATA_CACHE_H

#include "config/config.h"
#include "data/tokenize.h"

typedef struct weft_cache_options {
    const char *path;          /* file, folder or prefix, as data.path */
    weft_config_format format; /* AUTO: what is neither tokens nor refused is text, or JSONL by its name */
    const char *const *own;    /* (own_count) as weft_data_options says */
    size_t own_count;
    const weft_tokenizer *tokenizer;
    const char *folder; /* NULL or "": the user's own, $XDG_CACHE_HOME/weft or ~/.cache/weft */
    int threads;        /* that encode */
    bool make;          /* what is not there */
    /* Asked and told now and then; may be NULL. */
    bool (*stop)(void *context);
    void (*tell)(void *context, const weft_tokenize_totals *totals); /* while this caller makes it */
    void *context;
} weft_cache_options;

/* *out, in the arena: the prefix of the set that holds the text's tokens; path itself where that is tokens already;
 * NULL where nothing is there and make is false. WEFT_INVALID: there is no such text, it is none, or there is no place
 * for a cache. WEFT_FAILED: a full disk, a file that changed meanwhile. WEFT_STOPPED: stop was true. What was done then
 * is gone on with by the next call. */
weft_status weft_cache_find(const weft_cache_options *options, weft_arena *arena, const char **out,
                            weft_error *error) WEFT_CHECKED;

#endif
