/*
 * What the files of binding share. Internal to bind*.c.
 */
#ifndef WEFT_TRAIN_BIND_PARTS_H
#define WEFT_TRAIN_BIND_PARTS_H

#include "train/bind.h"

typedef struct weft_binder {
    weft_bind_options options;
    const weft_job *job;
    const weft_program *program;
    const weft_worker *worker;
    weft_arena *arena;
    weft_bound *bound;
    const weft_stage_weights **weights; /* (S, weight pages, gradient pages) those that were wanted; NULL: no pages */
    double *checks;                     /* room for the next check */
    const char *with[WEFT_WORLD_PURPOSES]; /* the members of this worker's groups, for messages */
} weft_binder;

/* Fills in operands and whether it is driven; the rest is set. */
typedef weft_status weft_bind_operands(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error);

/* bind_passes.c: what runs on the compute lane. */
weft_status weft_bind_begin_passes(weft_binder *binder, weft_error *error) WEFT_CHECKED;
weft_bind_operands weft_bind_pass WEFT_CHECKED, weft_bind_update WEFT_CHECKED, weft_bind_check WEFT_CHECKED;
/* bind_transfers.c: messages, gathers, sums, and what all workers do together. */
weft_status weft_bind_begin_transfers(weft_binder *binder, weft_error *error) WEFT_CHECKED;
weft_bind_operands weft_bind_message WEFT_CHECKED, weft_bind_gather WEFT_CHECKED, weft_bind_drop WEFT_CHECKED,
    weft_bind_sum WEFT_CHECKED, weft_bind_tied WEFT_CHECKED, weft_bind_norm WEFT_CHECKED,
    weft_bind_metrics WEFT_CHECKED;
/* bind_waits.c: waits, wait_count and signals of all instructions. */
weft_status weft_bind_waits(weft_binder *binder, weft_error *error) WEFT_CHECKED;

/* NULL for -1. */
static inline void *weft_bind_slot(const weft_binder *binder, int32_t buffer)
{
    return buffer < 0 ? NULL : binder->worker->slots + binder->program->buffers[buffer].offset;
}

#endif
