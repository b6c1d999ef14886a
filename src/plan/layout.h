/*
 * One way to train: widths, schedule, micro-batch, and what is divided or computed again.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_LAYOUT_H
#define WEFT_PLAN_LAYOUT_H

#include "plan/machine.h"

typedef struct weft_plan_layout {
    int32_t data, tensor, pipeline, loops, context; /* D, t, p, v, c */
    int32_t micro_batch;                            /* b: sequences */
    int32_t micro_batches;                          /* m: of one pipeline in one step */
    int32_t rounds;                                 /* R: the micro-batches go through all loops in so many parts */
    uint8_t kind;                                   /* weft_plan_kind */
    uint8_t shard;                                  /* weft_shard */
    uint8_t recompute;                              /* weft_plan_recompute */
    bool sequence_parallel;
    bool edge_layers_less; /* first and last stage have one layer fewer than the others: published runs alone */
} weft_plan_layout;

/* GPUs that a layout uses. */
static inline int64_t weft_plan_layout_gpus(const weft_plan_layout *layout)
{
    return (int64_t)layout->data * layout->tensor * layout->pipeline * layout->context;
}

#endif
