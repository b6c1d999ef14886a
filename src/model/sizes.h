/*
 * The widths that a model configuration stands for. Loading a configuration has filled in its zeros ("the preset's").
 *
 * Threads: any.
 */
#ifndef WEFT_MODEL_SIZES_H
#define WEFT_MODEL_SIZES_H

#include "config/config.h"

/* The second dimension of every matrix and buffer of the model is one of these. */
typedef enum weft_width {
    WEFT_WIDTH_NONE,      /* 1: also "no second dimension" */
    WEFT_WIDTH_HIDDEN,    /* C */
    WEFT_WIDTH_ATTENTION, /* H D */
    WEFT_WIDTH_QKV,       /* (H + 2 G) D */
    WEFT_WIDTH_FORWARD,   /* F */
    WEFT_WIDTH_UP,        /* F, or 2 F for SwiGLU: gate, then up */
    WEFT_WIDTH_HEADS,     /* H */
    WEFT_WIDTH_HEAD,      /* D */
    /* Of models that normalise queries and keys, else 0: what is kept of them before, and of each norm. */
    WEFT_WIDTH_NORMED_QKV,     /* (H + 2 G) D */
    WEFT_WIDTH_NORMED_QUERIES, /* H */
    WEFT_WIDTH_NORMED_KEYS,    /* G */
    WEFT_WIDTH_NARROW,         /* of own rows: room for C of them, or for H D of all, of heads that are divided */
    WEFT_WIDTH_VOCABULARY,
    WEFT_WIDTH_CONTEXT,
    WEFT_WIDTHS
} weft_width;

typedef struct weft_model_sizes {
    int64_t L, H, G, D; /* layers, query heads, key/value heads, head width */
    int64_t width[WEFT_WIDTHS];
} weft_model_sizes;

/* model must have passed weft_model_check. */
weft_model_sizes weft_model_sizes_make(const weft_model_config *model);

/* The same of one tensor-parallel worker; of the vocabulary, the largest share. */
weft_model_sizes weft_model_sizes_divide(const weft_model_config *model, int32_t width);

/* WEFT_INVALID when the widths make no model: what the configuration's own checks let nobody write, but code could. */
weft_status weft_model_check(const weft_model_config *model, weft_error *error) WEFT_CHECKED;

#endif
