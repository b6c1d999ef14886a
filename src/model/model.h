/*
 * A decoder-only transformer: GPT-2 and Llama by configuration. Parameters in one global order, and stages (runs of
 * consecutive layers) that run forward and backward on a device.
 *
 * Layer l: x = x + attention(norm1(x)); x = x + mlp(norm2(x)). Embedding in the first stage; final norm, head and loss
 * in the last. Letters as in device/device.h; L layers, F feed-forward width.
 *
 * Threads: a stage belongs to the thread of its device.
 */
#ifndef WEFT_MODEL_MODEL_H
#define WEFT_MODEL_MODEL_H

#include "config/config.h"
#include "device/device.h"

typedef enum weft_init_kind { WEFT_INIT_NORMAL, WEFT_INIT_ZEROS, WEFT_INIT_ONES } weft_init_kind;

typedef struct weft_parameter {
    char name[64];   /* "embedding.token", "layer.3.attention.qkv.weight", "final_norm.weight", "head.weight" */
    int32_t layer;   /* -1 embedding, 0 .. L-1, L: final norm and head */
    int32_t dimensions;
    int64_t shape[2];
    int64_t elements;
    bool decay;      /* false for norms and biases */
    bool tied;       /* head.weight of a tied model: the same numbers as embedding.token, a gradient of its own */
    weft_init_kind init;
    double deviation;
} weft_parameter;

/* All parameters in global order, taken from the arena; a tied model lists head.weight last with tied = true. */
weft_status weft_model_parameters(const weft_model_config *model, weft_arena *arena, const weft_parameter **out,
                                  int32_t *out_count, weft_error *error) WEFT_CHECKED;

/* Element i of the parameter at the start of training, keyed by seed and name (a tied head: by embedding.token). */
void weft_parameter_init(const weft_parameter *parameter, uint64_t seed, float *out);

/* Matrix-product flops of one token's forward and backward: 6 per weight without the embedding look-up, plus causal
 * attention (6 L T H D: half of the full score and value products, forward and twice backward). */
double weft_model_flops_per_token(const weft_model_config *model, int64_t tokens);

/* Flops of one micro-batch of N = B T rows: forward, input gradient and weight gradient, for the splitter and dry run. */
typedef struct weft_flops {
    double forward, backward_input, backward_weight;
} weft_flops;
weft_flops weft_layer_flops(const weft_model_config *model, int64_t B, int64_t T);
weft_flops weft_head_flops(const weft_model_config *model, int64_t B, int64_t T);

/* What a stage computes. */
typedef struct weft_stage_shape {
    const weft_model_config *model; /* borrowed */
    int32_t first_layer, layer_count;
    bool embedding, head; /* this is the first, the last stage */
    int64_t B, T;
    bool recompute;       /* keep only each layer's input (and the head's); compute the rest again in the backward pass */
    bool forward_only;    /* nothing is kept */
    const weft_device_kind *device;
    weft_device_options options;
} weft_stage_shape;

/* Bytes, multiples of 64. stash and work are slots; workspace is shared by all stages of a worker. input: 0 for the
 * first stage. */
typedef struct weft_stage_bytes {
    size_t input, stash, work, workspace;
} weft_stage_bytes;
weft_stage_bytes weft_stage_memory(const weft_stage_shape *shape);

typedef struct weft_stage weft_stage;

/* Weights and gradients of a stage's parameters, in global order: (stage parameters). storage is what the kernels read: equal to
 * the fp32 master where the element is fp32. Borrowed; the arrays must outlive the stage. */
typedef struct weft_stage_weights {
    const void *const *storage;
    float *const *gradient; /* NULL in forward-only runs */
} weft_stage_weights;

/* Index range of a stage's parameters in the global order: embedding, its layers, final norm and head. */
void weft_stage_parameters(const weft_stage_shape *shape, const weft_parameter *parameters, int32_t count, int32_t *out_first,
                           int32_t *out_count);

weft_status weft_stage_create(const weft_stage_shape *shape, weft_device *device, const weft_stage_weights *weights,
                              weft_stage **out, weft_error *error) WEFT_CHECKED;
void weft_stage_destroy(weft_stage *stage);

/* Buffers of one action; only those that it uses are read. All device memory. */
typedef struct weft_stage_buffers {
    const int32_t *tokens;  /* (B, T) first stage */
    const int32_t *targets; /* (B, T) last stage; < 0 is not counted */
    const void *input;      /* (B T, C) */
    void *output;           /* (B T, C); not the last stage */
    void *stash;
    const void *gradient;   /* (B T, C) of the output; not the last stage */
    void *gradient_out;     /* (B T, C) of the input; not the first stage */
    void *work;             /* I and W */
    void *workspace;
    float *loss;            /* [0]: sum of this micro-batch's losses, nats; last stage */
    float scale;            /* of the loss gradient: 1 / target tokens of the whole batch */
    bool accumulate;        /* false for the first micro-batch of a step */
    void *logits;           /* sampling: NULL, or (B, V) storage elements for the logits of position logits_position, no loss */
    int64_t logits_position;
} weft_stage_buffers;

void weft_stage_forward(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);
void weft_stage_backward(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers); /* I then W, layer by layer */
void weft_stage_backward_input(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);
void weft_stage_backward_weight(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);

#endif
