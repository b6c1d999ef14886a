/*
 * Layouts of files: which one a file has, and where its tokens lie. Internal to data/.
 *
 * Owns: nothing; layouts are constant.  Threads: any.
 */
#ifndef WEFT_DATA_FORMATS_H
#define WEFT_DATA_FORMATS_H

#include "data/numbers.h"
#include "data/recognise.h"

typedef struct weft_corpus_layout {
    const char *name;
    weft_config_format format;
    uint32_t magic, version;  /* 0: no header */
    weft_number_type numbers; /* NONE: a known file that holds no token stream */
} weft_corpus_layout;

/* Of a file of the format; AUTO: by a Megatron index beside it, its header, then by its name (.bin holds uint16), else
 * text, unless it seems to be something else: WEFT_INVALID says what, and what to do. A format that is named is taken,
 * and *out_doubt, else NULL, is what the file seems to be instead. */
weft_status weft_corpus_layout_find(const weft_excerpt *excerpt, weft_config_format format,
                                    const weft_corpus_layout **out, const weft_likeness **out_doubt,
                                    weft_error *error) WEFT_CHECKED;

/* How many tokens the file holds. WEFT_INVALID names the byte where header and size disagree. */
weft_status weft_corpus_layout_measure(const weft_corpus_layout *layout, const weft_excerpt *excerpt,
                                       uint64_t *out_tokens, weft_error *error) WEFT_CHECKED;

uint64_t weft_corpus_layout_offset(const weft_corpus_layout *layout, uint64_t token); /* of a token, in bytes */

/* Its number, which fingerprints hold: it never changes. */
uint64_t weft_corpus_layout_number(const weft_corpus_layout *layout);

bool weft_corpus_layout_is_text(const weft_corpus_layout *layout);

/* Whether a file that a folder holds beside tokens is the index of a Megatron data set. */
bool weft_corpus_layout_is_index(const weft_excerpt *excerpt);

#endif
