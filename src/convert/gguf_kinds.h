/*
 * Models in GGUF files: what llama.cpp calls the keys of weft's model, and which tensors make each of its parameters.
 * Internal to convert/.
 *
 * A file is read by way of the config.json that Hugging Face would have for its model, so that the families are those
 * of family.h. Source: convert_hf_to_gguf.py and llama-arch.cpp of github.com/ggml-org/llama.cpp.
 *
 * Threads: any; the tables are constant.
 */
#ifndef WEFT_CONVERT_GGUF_KINDS_H
#define WEFT_CONVERT_GGUF_KINDS_H

#include "base/json.h"
#include "convert/family.h"
#include "tensor/gguf.h"

typedef struct weft_gguf_architecture {
    const char *name;         /* general.architecture */
    const char *family;       /* of Hugging Face */
    const char *windowed;     /* the family of models with a window; NULL: the same */
    const char *norm_epsilon; /* its key, behind the architecture's name as all of them */
    bool interleaved;         /* rows of queries and keys lie in pairs, as the rotation takes them */
    weft_family names;        /* of tensors: layers and tensors alone */
} weft_gguf_architecture;

/* NULL-terminated. */
const weft_gguf_architecture *const *weft_gguf_architectures(void);

/* What a key of the model is called behind "ARCHITECTURE."; NULL: it has none. */
const char *weft_gguf_key_name(const weft_gguf_architecture *architecture, const char *key);

/* Whether a key of the file, without "ARCHITECTURE.", is one that weft_gguf_config reads or that changes nothing. */
bool weft_gguf_key_is_known(const weft_gguf_architecture *architecture, const char *name);

/* The model of a file, as a config.json. WEFT_INVALID names the key: missing, of another type, not known. */
weft_status weft_gguf_config(const weft_gguf *file, const weft_gguf_architecture **out, weft_text *json,
                             weft_error *error) WEFT_CHECKED;

/* The key's value behind the name of the architecture, or NULL. */
const weft_gguf_value *weft_gguf_key(const weft_gguf *file, const weft_gguf_architecture *architecture,
                                     const char *name);

/* rope_theta and rope_scaling, appended. pairs: half of a head's width. */
weft_status weft_gguf_rotary(const weft_gguf *file, const weft_gguf_architecture *architecture, int64_t pairs,
                             weft_json *json, weft_error *error) WEFT_CHECKED;

/* How much longer the waves of each pair become in models like Llama 3.1: rope_freqs.weight, (pairs). */
void weft_gguf_wave_factors(const weft_model_config *model, int64_t pairs, float *out);

/* Appends "key": value, with the digits that a single has. WEFT_INVALID for one that is no number or not finite. */
weft_status weft_gguf_copy_number(const weft_gguf *file, const weft_gguf_value *value, const char *key, weft_json *json,
                                  weft_error *error) WEFT_CHECKED;

/* The width of a head whose rows lie in pairs in a part of a parameter, counted from 0; 0: they do not. */
int64_t weft_gguf_paired(const weft_gguf_architecture *architecture, const weft_model_config *model,
                         const weft_parameter *parameter, int part);

/* The row of the tensor that holds row r of the parameter's part, where rows lie in pairs; width: of a head. */
static inline int64_t weft_gguf_row(int64_t row, int64_t width)
{
    int64_t head = row / width, place = row % width, half = width / 2;
    return head * width + 2 * (place % half) + place / half;
}

#endif
