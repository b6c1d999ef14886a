/*
 * The kinds of parameter, and where each stands in the global order. Internal to the model.
 *
 * Threads: any.
 */
#ifndef WEFT_MODEL_PARAMETERS_H
#define WEFT_MODEL_PARAMETERS_H

#include "model/model.h"
#include "model/sizes.h"

/* In global order inside a section; the embedding comes first, then each layer, then the tail. */
typedef enum weft_parameter_kind {
    WEFT_EMBEDDING_TOKEN,
    WEFT_EMBEDDING_POSITION,
    WEFT_NORM1_WEIGHT,
    WEFT_NORM1_BIAS,
    WEFT_QKV_WEIGHT,
    WEFT_QKV_BIAS,
    WEFT_QUERY_NORM_WEIGHT,
    WEFT_KEY_NORM_WEIGHT,
    WEFT_OUTPUT_WEIGHT,
    WEFT_OUTPUT_BIAS,
    WEFT_NORM2_WEIGHT,
    WEFT_NORM2_BIAS,
    WEFT_UP_WEIGHT,
    WEFT_UP_BIAS,
    WEFT_DOWN_WEIGHT,
    WEFT_DOWN_BIAS,
    WEFT_FINAL_NORM_WEIGHT,
    WEFT_FINAL_NORM_BIAS,
    WEFT_HEAD_WEIGHT,
    WEFT_PARAMETER_KINDS
} weft_parameter_kind;

typedef enum weft_section { WEFT_SECTION_EMBEDDING, WEFT_SECTION_LAYER, WEFT_SECTION_TAIL, WEFT_SECTIONS } weft_section;

/* Where the parameters of one configuration stand. */
typedef struct weft_parameter_order {
    int32_t place[WEFT_PARAMETER_KINDS]; /* index in its section, or -1 where the model has none */
    int32_t count[WEFT_SECTIONS];        /* parameters in one instance of the section */
} weft_parameter_order;

weft_parameter_order weft_parameter_order_make(const weft_model_config *model);
const char *weft_parameter_kind_name(weft_parameter_kind kind); /* without "layer.N." */

/* Rows of a band that a slice has at most; where they do not divide evenly some have one fewer in the tensor. */
int64_t weft_band_share(const weft_parameter *parameter, int band);
weft_section weft_parameter_section(weft_parameter_kind kind);

/* Weights that take part in matrix products: one layer's. */
int64_t weft_layer_matrix_elements(const weft_model_config *model);

#endif
