/*
 * A dense decoder-only transformer as a planner sees it: sizes alone.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_MODEL_H
#define WEFT_PLAN_MODEL_H

#include "base/status.h"

#include <stdint.h>

typedef enum weft_plan_attention {
    WEFT_PLAN_ATTENTION_FLASH,   /* scores stay on the chip */
    WEFT_PLAN_ATTENTION_UNFUSED, /* scores are written to memory */
} weft_plan_attention;

typedef struct weft_plan_model {
    char name[64];
    int32_t layers;               /* L */
    int64_t hidden, ffn;          /* h, f */
    int64_t heads, kv_heads;      /* a, k */
    int64_t head_size;            /* d; a d is h in most models */
    int64_t vocabulary, sequence; /* V, s */
    bool gated;                   /* three matrices in the feed-forward net, not two */
    bool tied;                    /* the head shares the embedding */
    bool dropout;                 /* masks are kept */
    weft_plan_attention attention;
    double critical_batch; /* sequences at which a step brings half of what its samples could; 0: not known */
} weft_plan_model;

/* Fills what is left 0: kv_heads = heads, head_size = hidden / heads, ffn = 4 hidden. WEFT_INVALID with the key for
 * what is out of range or does not divide. */
weft_status weft_plan_model_complete(weft_plan_model *model, weft_error *error) WEFT_CHECKED;

double weft_plan_layer_parameters(const weft_plan_model *model);     /* of one layer */
double weft_plan_embedding_parameters(const weft_plan_model *model); /* V h, once */
double weft_plan_parameters(const weft_plan_model *model);           /* of the whole model; tied weights count once */

/* Model flops of one sample (a sequence), forward and backward, without recomputation: 6 a weight and token without the
 * embedding look-up, and causal attention. */
double weft_plan_sample_flops(const weft_plan_model *model);

#endif
