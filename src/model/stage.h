/*
 * The insides of a stage, shared by stage.c, layer.c and head.c. Internal to the model.
 *
 * A run is one call of forward or backward: it knows the pass, and so where each region lies.
 */
#ifndef WEFT_MODEL_STAGE_H
#define WEFT_MODEL_STAGE_H

#include "model/layout.h"
#include "model/parameters.h"

struct weft_stage {
    weft_stage_shape shape;
    weft_layout layout;
    weft_parameter_order order;
    weft_stage_operations operations;
    weft_device *device;
    weft_stage_weights weights;
    const float *cosine, *sine; /* (T, D/2) device memory, or NULL */
    float *own_angles;          /* where they are the stage's own */
};

typedef struct weft_run {
    const weft_stage *stage;
    const weft_device_operations *op;
    weft_device *device;
    weft_stream *stream;
    const weft_stage_buffers *buffers;
    const weft_stage_weights *weights;
    const weft_layout_place *places; /* of the pass */
    unsigned char *memory[WEFT_MEMORIES];
    void *workspace; /* the device's */
} weft_run;

/* A region of layer index (from 0 in the stage); 0 for the head's. */
void *weft_run_region(const weft_run *run, weft_region region, int32_t index);

/* The stream between layers: input of layer index; of the head when index is the layer count. At a boundary of the
 * stage, what is read comes from the neighbour's slot and what is written goes there. */
const void *weft_run_input(const weft_run *run, int32_t index);
void *weft_run_input_target(const weft_run *run, int32_t index);
const void *weft_run_gradient(const weft_run *run, int32_t index);
void *weft_run_gradient_target(const weft_run *run, int32_t index);

size_t weft_run_qkv_bytes(const weft_run *run); /* of queries, keys and values of all rows */

/* What tensor-parallel workers pass to each other; without them values stay where they are. The rows of all workers
 * from everybody's own; where a product writes whose sum over the workers is wanted; that sum, own rows of it. Gathered
 * rows and parts of a sum lie in one place: each is gone when the next comes. */
const void *weft_run_gather(const weft_run *run, const void *own);
void *weft_run_part(const weft_run *run, void *own);
void weft_run_sum(const weft_run *run, void *own);

/* The bias of a product that is summed: one worker adds it. */
const void *weft_run_summed_bias(const weft_run *run, weft_parameter_kind kind, int32_t layer);

/* The rows of a vocabulary's gradient that no worker has. */
void weft_run_clear_padding(const weft_run *run, float *gradient);

/* Index in the stage's arrays, or -1. */
int32_t weft_stage_parameter(const weft_stage_shape *shape, const weft_parameter_order *order, weft_parameter_kind kind,
                             int32_t layer);

/* What the kernels read, and the accumulator; layer is ignored outside layers. NULL: the model has no such parameter,
 * or no gradient is wanted. */
const void *weft_run_weight(const weft_run *run, weft_parameter_kind kind, int32_t layer);
float *weft_run_weight_gradient(const weft_run *run, weft_parameter_kind kind, int32_t layer);

void weft_layer_forward(const weft_run *run, int32_t layer, bool output); /* output false: only what backward reads */
void weft_layer_backward_input(const weft_run *run, int32_t layer);
void weft_layer_backward_weight(const weft_run *run, int32_t layer);

void weft_head_forward(const weft_run *run);
void weft_head_sample(const weft_run *run);
void weft_head_backward_input(const weft_run *run);
void weft_head_backward_weight(const weft_run *run);

#endif
