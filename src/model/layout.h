/*
 * Where everything that a stage computes lies in the stash, the work slot and the workspace. Internal to the model.
 *
 * A region is one tensor of one layer (or of the head); regions that live equally long form a group; a place says in
 * which memory a group lies during a pass and how many instances of it there are. All of it follows from the shape, so
 * the layout is computed once, when the stage is made, and a dry run computes the same one.
 *
 * Kept for the backward pass without recomputation, elements of storage for each token of one layer: the layer's input
 * C, qkv (H + 2 G) D, attention C, middle C, up F or 2 F; and in fp32 two statistics for each norm and H logsumexp.
 * That is 10 C storage elements + (4 + H) fp32 for GPT-2 (fp32, C = 768, H = 12: 30784 bytes). Not kept: the norm
 * outputs and the activation's output (6 C more for GPT-2); the weight gradients compute them again by the same
 * operations. Measured on one core for a GPT-2 layer of 1024 tokens on the cpu device, that takes 0.3 % of the layer's
 * step in fp32 and 3 % in bf16. With recomputation: C storage elements.
 *
 * Where layers are divided by t tensor-parallel workers, a region is either of own rows, B T / t of width C, or of all
 * rows and 1 / t of its width: t times smaller both ways but for the exchange.
 *
 * Threads: any.
 */
#ifndef WEFT_MODEL_LAYOUT_H
#define WEFT_MODEL_LAYOUT_H

#include "model/model.h"
#include "model/sizes.h"

typedef enum weft_layout_group {
    WEFT_GROUP_INPUT, /* the input of each layer, and of the head */
    WEFT_GROUP_INPUT_GRADIENT,
    WEFT_GROUP_EXCHANGE, /* where layers are divided: what tensor-parallel workers pass to each other */
    WEFT_GROUP_KEPT,     /* of a layer: what forward leaves for backward */
    WEFT_GROUP_GRADIENT, /* of a layer: what the input gradient leaves for the weight gradient */
    WEFT_GROUP_SCRATCH,  /* of a layer: dead when it is done */
    WEFT_GROUP_HEAD_KEPT,
    WEFT_GROUP_HEAD_GRADIENT,
    WEFT_GROUP_HEAD_SCRATCH,
    WEFT_GROUPS
} weft_layout_group;

typedef enum weft_region {
    WEFT_REGION_INPUT,
    WEFT_REGION_INPUT_GRADIENT,
    WEFT_REGION_EXCHANGE, /* (B T, C): the rows of all workers, or a product's part of their sum */
    WEFT_REGION_MEAN1,
    WEFT_REGION_RSTD1,
    WEFT_REGION_QKV,     /* after the rotation */
    WEFT_REGION_RAW_QKV, /* before the norms of queries and keys, where there are such */
    WEFT_REGION_QUERY_RSTD,
    WEFT_REGION_KEY_RSTD,
    WEFT_REGION_ATTENTION,
    WEFT_REGION_LOGSUMEXP,
    WEFT_REGION_MIDDLE, /* input + attention product: the second norm's input */
    WEFT_REGION_MEAN2,
    WEFT_REGION_RSTD2,
    WEFT_REGION_UP, /* before the activation */
    WEFT_REGION_DUP,
    WEFT_REGION_DNORM2,
    WEFT_REGION_DMIDDLE,
    WEFT_REGION_DNORMED, /* gradients of queries and keys behind their norms */
    WEFT_REGION_DQKV,
    WEFT_REGION_DNORM1,
    WEFT_REGION_NARROW, /* in turn: norm outputs, products of width C, their gradients */
    WEFT_REGION_WIDE,   /* the activation's output or its gradient */
    WEFT_REGION_HEAD_MEAN,
    WEFT_REGION_HEAD_RSTD,
    WEFT_REGION_LOGITS, /* then, in place, their gradient */
    WEFT_REGION_HEAD_DNORM,
    WEFT_REGION_HEAD_NORM,
    WEFT_REGION_HEAD_ROWS,           /* sampling: the wanted row of each sequence */
    WEFT_REGION_HEAD_STATISTICS,     /* of the loss, where the vocabulary is divided: own, */
    WEFT_REGION_HEAD_ALL_STATISTICS, /* and of all workers */
    WEFT_REGION_HEAD_LOSS,           /* where recomputation writes what is known already of the loss */
    WEFT_REGIONS
} weft_region;

typedef enum weft_pass {
    WEFT_PASS_FORWARD,
    WEFT_PASS_BACKWARD,
    WEFT_PASS_SPLIT, /* input gradients and, later, weight gradients: they share the work slot */
    WEFT_PASSES
} weft_pass;

typedef enum weft_memory {
    WEFT_MEMORY_NONE,
    WEFT_MEMORY_STASH,
    WEFT_MEMORY_WORK,
    WEFT_MEMORY_SPACE,
    WEFT_MEMORIES
} weft_memory;

typedef struct weft_layout_place {
    weft_memory memory;
    int32_t instances; /* instance i stands at base + (i % instances) group bytes */
    size_t base;
} weft_layout_place;

typedef struct weft_layout {
    size_t offset[WEFT_REGIONS]; /* inside an instance of its group */
    size_t group_bytes[WEFT_GROUPS];
    weft_layout_place places[WEFT_PASSES][WEFT_GROUPS];
    weft_stage_bytes bytes; /* the device's workspace is the first part of workspace */
} weft_layout;

weft_layout weft_layout_make(const weft_stage_shape *shape);
weft_layout_group weft_region_group(weft_region region);

/* Shapes of the operations of a stage; shared by the layout (workspace) and the stage. */
typedef struct weft_stage_operations {
    weft_norm norm, query_norm, key_norm;
    weft_embed embed;
    weft_linear qkv, output, up, down, head;
    weft_attention attention;
    weft_rotary rotary;
    weft_activation activation;
    weft_loss loss;
} weft_stage_operations;

weft_stage_operations weft_stage_operations_make(const weft_stage_shape *shape);

/* Tokens of the longest sequence. */
static inline int64_t weft_stage_length(const weft_stage_shape *shape)
{
    return shape->cache > 0 ? shape->cache : shape->T;
}

#endif
