/*
 * A tiny model on a device, cut into stages, that runs whole steps the way a worker would: every slot its own piece of
 * memory of exactly the promised size, filled with NaN before it is used.
 *
 * Owns: everything it points to.  Lifetime: rig_init to rig_fini.  Threads: one.
 */
#ifndef WEFT_TEST_MODEL_RIG_H
#define WEFT_TEST_MODEL_RIG_H

#include "model/model.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct model_rig {
    weft_model_config model;
    weft_slice slice; /* which tensor-parallel worker this is */
    const weft_stage_exchange *exchange;
    int64_t B, T;
    const weft_device_kind *kind;
    weft_device_options options;
    weft_device *device;
    weft_arena arena;
    const weft_parameter *parameters;
    int32_t count;
    /* (count) device memory. A tied head has the embedding's weight and storage, and a gradient of its own. */
    float **weight, **gradient;
    void **storage;
    weft_stage_loss loss;                 /* of a step, set by a test; nothing: the cross entropy */
    const int32_t *documents, *positions; /* of a step: (M, B, T) host memory, set by a test; NULL: none */
} model_rig;

/* How a step is run. */
typedef struct rig_plan {
    const int32_t *layers; /* of each stage */
    int32_t stages;
    bool recompute, split; /* split: I of everything, then W of everything */
} rig_plan;

/* Whether a device of this kind computes, and this machine has one. */
bool rig_runs_on(const weft_device_kind *kind);

weft_model_config rig_gpt2(void);
weft_model_config rig_llama(void);
enum { RIG_MIXED = 32, RIG_MODELS = 39 };
weft_model_config rig_mixed(int flags); /* the 32 models that the flags 0 to 31 make, and behind them kin of Llama */

/* Tokens and targets in the vocabulary, from a seed; two of the targets do not count. */
void rig_tokens(int64_t vocabulary, int64_t count, int32_t *tokens, int32_t *targets);

void rig_init(model_rig *rig, const weft_device_kind *kind, weft_element element, const weft_model_config *model,
              int64_t B, int64_t T);
/* One of several tensor-parallel workers; with the same weights as the whole model has. exchange is borrowed. */
void rig_init_slice(model_rig *rig, const weft_device_kind *kind, weft_element element, const weft_model_config *model,
                    int64_t B, int64_t T, weft_slice slice, const weft_stage_exchange *exchange);
void rig_fini(model_rig *rig);

void *rig_allocate(const model_rig *rig, size_t bytes); /* device memory full of NaN */
void rig_release(const model_rig *rig, void *memory);
/* Between device memory and the host's. */
void rig_read(const model_rig *rig, void *to, const void *from, size_t bytes);
void rig_write(const model_rig *rig, void *to, const void *from, size_t bytes);
void rig_round(model_rig *rig);       /* storage from weight */
void rig_check(const model_rig *rig); /* no sticky error */

int64_t rig_numbers(const model_rig *rig); /* that a micro-batch's loss is told in */

/* Forward and backward of M micro-batches: tokens, targets (M, B, T) host memory; losses (M, numbers). Gradients start
 * as NaN. */
void rig_step(model_rig *rig, const rig_plan *plan, int64_t M, const int32_t *tokens, const int32_t *targets,
              float *losses);
/* A tied model's two accumulators become one, in the embedding's. */
void rig_join_tied(model_rig *rig);

/* Loss of one micro-batch by a forward-only run. */
float rig_loss(model_rig *rig, const rig_plan *plan, const int32_t *tokens, const int32_t *targets);

/* Logits (B, V) of one position by a forward-only run, as fp32. */
void rig_logits(model_rig *rig, const rig_plan *plan, const int32_t *tokens, int64_t position, float *out);

#endif
