/*
 * The inside of a model in a GGUF file. Internal to convert/.
 *
 * Threads: one owner; many may read.
 */
#ifndef WEFT_CONVERT_GGUF_MODEL_H
#define WEFT_CONVERT_GGUF_MODEL_H

#include "convert/convert.h"
#include "convert/gguf_kinds.h"

struct weft_gguf_model {
    weft_gguf *file;
    const weft_gguf_architecture *architecture;
    const weft_family *family;
    weft_text json;     /* a config.json of Hugging Face for it */
    weft_text keys;     /* of the model, YAML */
    weft_config config; /* of that */
    weft_model_config model;
    int64_t positions; /* the longest sequence by the file */
};

/* As weft_gguf_import puts it into RUN/source; folder must exist. */
weft_status weft_gguf_keep(const weft_gguf_model *model, const char *folder, weft_text *out_missing,
                           weft_error *error) WEFT_CHECKED;

#endif
