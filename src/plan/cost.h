/*
 * What one step of a layout costs by closed forms, in parts that add up, and what its stages cost one by one, for the
 * exact simulation. Formulas and where they come from: docs/plan.md.
 *
 * A cell is what does not depend on pipeline, loops, data, schedule or shard; a search computes each once and prices
 * thousands of layouts from it without a division more than needed, an allocation or a string.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_COST_H
#define WEFT_PLAN_COST_H

#include "plan/layout.h"
#include "plan/model.h"

enum { WEFT_PLAN_BUFFERS = 2 }; /* stages whose weights a rank holds whole where they are sharded */

/* Seconds of one micro-batch on one worker of a tensor group of t, unless said otherwise. */
typedef struct weft_plan_pass {
    double device;    /* products, attention, memory traffic */
    double recompute; /* what of the backward pass is forward again */
    double tensor;    /* collectives of the tensor group */
    double host;      /* what host time adds to the device's */
} weft_plan_pass;

static inline double weft_plan_pass_time(const weft_plan_pass *pass)
{
    return pass->device + pass->recompute + pass->tensor + pass->host;
}

typedef struct weft_plan_cell {
    weft_plan_pass forward, backward_input, backward_weight; /* of one layer */
    weft_plan_pass head_forward, head_backward;              /* head and loss */
    weft_plan_pass embedding_forward, embedding_backward;
    double message_bytes;  /* of a stage boundary, from one worker */
    double layer_sum;      /* once a step: what a tensor group adds up of a layer */
    double message_gather; /* to put the parts of a divided message together */
    double layer_parameters, embedding_parameters, head_parameters; /* of one worker */
    double saved_bytes;                                             /* of one layer, kept from F to B */
    double input_bytes;                                             /* of one layer's input */
    double again_bytes;                                             /* one layer that is computed again */
    double logits_bytes;                                            /* scratch of the head */
    double sample_flops;                                            /* of the model */
    bool measured;                                                  /* layer times were measured, not computed */
} weft_plan_cell;

void weft_plan_cell_make(const weft_plan_model *model, const weft_plan_cluster *cluster, int32_t tensor,
                         int32_t context, int32_t micro_batch, weft_plan_recompute recompute, bool sequence_parallel,
                         weft_plan_cell *out);

typedef enum weft_plan_part {
    WEFT_PLAN_COMPUTE,
    WEFT_PLAN_RECOMPUTATION,
    WEFT_PLAN_TENSOR,
    WEFT_PLAN_EDGES, /* head and embedding */
    WEFT_PLAN_HOST,
    WEFT_PLAN_BUBBLE,
    WEFT_PLAN_MESSAGES,
    WEFT_PLAN_GRADIENTS,
    WEFT_PLAN_WEIGHTS,
    WEFT_PLAN_OPTIMIZER,
    WEFT_PLAN_REST,
    WEFT_PLAN_PARTS
} weft_plan_part;

const char *weft_plan_part_name(weft_plan_part part);

typedef struct weft_plan_time {
    double step;                  /* seconds */
    double part[WEFT_PLAN_PARTS]; /* add up to step */
} weft_plan_time;

/* The closed form of one step. The cell is that of the layout's tensor, context, micro_batch, recompute and
 * sequence_parallel. */
void weft_plan_step(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                    const weft_plan_layout *layout, weft_plan_time *out);

/* Memory of the worst rank, by line. */
typedef enum weft_plan_line {
    WEFT_PLAN_LINE_WEIGHTS,
    WEFT_PLAN_LINE_GRADIENTS,
    WEFT_PLAN_LINE_OPTIMIZER,
    WEFT_PLAN_LINE_ACTIVATIONS,
    WEFT_PLAN_LINE_WORK,
    WEFT_PLAN_LINE_BUFFERS, /* gathered weights, the largest weight gradient, messages */
    WEFT_PLAN_LINE_RESERVED,
    WEFT_PLAN_LINES
} weft_plan_line;

const char *weft_plan_line_name(weft_plan_line line);

typedef struct weft_plan_memory {
    double bytes; /* of the worst rank, with what is reserved */
    double line[WEFT_PLAN_LINES];
    int32_t rank; /* the worst */
} weft_plan_memory;

/* held: micro-batch stages (of one stage's layers) that each rank holds at most, (p), from a replay; NULL: by the
 * closed form of the schedule. layers: (S), or NULL for as even as can be. */
void weft_plan_memory_of(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_cell *cell,
                         const weft_plan_layout *layout, const double *held, const int32_t *layers,
                         weft_plan_memory *out);

/* Bytes that no schedule, recomputation or micro-batch avoids: weights, gradients, optimizer, what is reserved. */
double weft_plan_least_memory(const weft_plan_model *model, const weft_plan_cluster *cluster,
                              const weft_plan_layout *layout);

#endif
