/*
 * What a GGUF file that is written says of its model. Internal to convert/.
 *
 * Owns: nothing.  Threads: one.
 */
#ifndef WEFT_CONVERT_GGUF_KEYS_H
#define WEFT_CONVERT_GGUF_KEYS_H

#include "config/config.h"
#include "convert/gguf_kinds.h"
#include "tensor/gguf_write.h"

/* A model that leaves. */
typedef struct weft_gguf_leaving {
    const weft_gguf_architecture *architecture;
    const weft_family *family;
    const weft_model_config *model;
    const weft_config *config;     /* of the run */
    const char *source;            /* RUN/source, or NULL */
    const weft_document *document; /* its config.json, or NULL */
    weft_gguf_list *list;
} weft_gguf_leaving;

/* WEFT_INVALID where llama.cpp has no word for a key of the model. */
weft_status weft_gguf_put_keys(const weft_gguf_leaving *it, weft_gguf_type type, weft_error *error) WEFT_CHECKED;

/* out_missing: why there is none in the file; else it stays empty. */
weft_status weft_gguf_put_tokenizer(const weft_gguf_leaving *it, weft_text *out_missing,
                                    weft_error *error) WEFT_CHECKED;

#endif
