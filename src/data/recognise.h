/*
 * What a file seems to be, by its beginning, middle and end: so that neither an archive nor tokens of another width are
 * trained on by mistake.
 *
 * Owns: nothing; what is returned is constant.  Threads: any.
 */
#ifndef WEFT_DATA_RECOGNISE_H
#define WEFT_DATA_RECOGNISE_H

#include "config/config.h"
#include "data/files.h"

typedef struct weft_likeness {
    const char *what;        /* "a gzip archive" */
    const char *advice;      /* what would read it, or what to do: one clause */
    weft_config_format fits; /* the format that reads it as it should be; AUTO: none */
} weft_likeness;

/* NULL: text, as far as can be seen. */
const weft_likeness *weft_recognise_for_text(const weft_excerpt *excerpt);

/* NULL: uint16 tokens, as far as can be seen. */
const weft_likeness *weft_recognise_for_tokens(const weft_excerpt *excerpt);

/* Whether weft train has written it to standard output, which went to this file. */
bool weft_recognise_log(const weft_excerpt *excerpt);

#endif
