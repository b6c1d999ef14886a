/*
 * One decoder layer: x = x + attention(norm1(x)); x = x + mlp(norm2(x)).
 *
 * Backward is in two halves that are the same kernel calls whether they run together or apart. The weight half computes
 * the norm outputs and the activation's output again, from what the forward pass kept, by the forward operations.
 */
#include "model/stage.h"

#define AT(region) weft_run_region(run, WEFT_REGION_##region, layer)
#define WEIGHT(kind) weft_run_weight(run, WEFT_##kind, layer)
#define SUMMED_BIAS(kind) weft_run_summed_bias(run, WEFT_##kind, layer)
#define WEIGHT_GRADIENT(kind) weft_run_weight_gradient(run, WEFT_##kind, layer)

static void norm1(const weft_run *run, int32_t layer)
{
    run->op->norm_forward(run->device, run->stream, &run->stage->operations.norm, weft_run_input(run, layer),
                          WEIGHT(NORM1_WEIGHT), WEIGHT(NORM1_BIAS), AT(NARROW), AT(MEAN1), AT(RSTD1));
}

static void norm2(const weft_run *run, int32_t layer)
{
    run->op->norm_forward(run->device, run->stream, &run->stage->operations.norm, AT(MIDDLE), WEIGHT(NORM2_WEIGHT),
                          WEIGHT(NORM2_BIAS), AT(NARROW), AT(MEAN2), AT(RSTD2));
}

static void rotate(const weft_run *run, int direction, void *qkv)
{
    const weft_stage *stage = run->stage;
    if (stage->cosine == NULL) return;
    run->op->rotary(run->device, run->stream, &stage->operations.rotary, run->buffers->positions, stage->cosine,
                    stage->sine, direction, qkv);
}

/* The layer's part of the cache. */
static void attention_step(const weft_run *run, int32_t layer)
{
    const weft_stage *stage = run->stage;
    size_t bytes = weft_stage_cache_bytes(&stage->shape) / (size_t)stage->shape.layer_count;
    unsigned char *cache = (unsigned char *)run->buffers->cache + (size_t)layer * bytes;
    run->op->attention_step(run->device, run->stream, &stage->operations.attention, run->buffers->past, stage->shape.T,
                            AT(QKV), cache, AT(ATTENTION), run->workspace);
}

/* Queries and keys as the product made them are kept. */
static void norm_heads(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    if (!run->stage->shape.model->query_key_norm) return;
    run->op->copy(run->device, run->stream, AT(RAW_QKV), AT(QKV), weft_run_qkv_bytes(run));
    run->op->norm_forward(run->device, run->stream, &shape->query_norm, AT(RAW_QKV), WEIGHT(QUERY_NORM_WEIGHT), NULL,
                          AT(QKV), NULL, AT(QUERY_RSTD));
    run->op->norm_forward(run->device, run->stream, &shape->key_norm, AT(RAW_QKV), WEIGHT(KEY_NORM_WEIGHT), NULL,
                          AT(QKV), NULL, AT(KEY_RSTD));
}

static void attention_forward(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    norm1(run, layer);
    run->op->linear_forward(run->device, run->stream, &shape->qkv, weft_run_gather(run, AT(NARROW)), WEIGHT(QKV_WEIGHT),
                            WEIGHT(QKV_BIAS), AT(QKV), run->workspace);
    norm_heads(run, layer);
    rotate(run, 1, AT(QKV));
    if (run->stage->shape.cache > 0)
        attention_step(run, layer);
    else
        run->op->attention_forward(run->device, run->stream, &shape->attention, run->buffers->documents, AT(QKV),
                                   AT(ATTENTION), AT(LOGSUMEXP), run->workspace);
    run->op->linear_forward(run->device, run->stream, &shape->output, AT(ATTENTION), WEIGHT(OUTPUT_WEIGHT),
                            SUMMED_BIAS(OUTPUT_BIAS), weft_run_part(run, AT(NARROW)), run->workspace);
    weft_run_sum(run, AT(NARROW));
    run->op->add(run->device, run->stream, shape->norm.rows * shape->norm.width, weft_run_input(run, layer), AT(NARROW),
                 AT(MIDDLE));
}

void weft_layer_forward(const weft_run *run, int32_t layer, bool output)
{
    const weft_stage_operations *shape = &run->stage->operations;
    attention_forward(run, layer);
    norm2(run, layer);
    run->op->linear_forward(run->device, run->stream, &shape->up, weft_run_gather(run, AT(NARROW)), WEIGHT(UP_WEIGHT),
                            WEIGHT(UP_BIAS), AT(UP), run->workspace);
    if (!output) return;
    run->op->activation_forward(run->device, run->stream, &shape->activation, AT(UP), AT(WIDE));
    run->op->linear_forward(run->device, run->stream, &shape->down, AT(WIDE), WEIGHT(DOWN_WEIGHT),
                            SUMMED_BIAS(DOWN_BIAS), weft_run_part(run, AT(NARROW)), run->workspace);
    weft_run_sum(run, AT(NARROW));
    run->op->add(run->device, run->stream, shape->norm.rows * shape->norm.width, AT(MIDDLE), AT(NARROW),
                 weft_run_input_target(run, layer + 1));
}

/* The gradients behind the norms stay for the weights'. */
static void norm_heads_backward(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    if (!run->stage->shape.model->query_key_norm) return;
    run->op->copy(run->device, run->stream, AT(DNORMED), AT(DQKV), weft_run_qkv_bytes(run));
    run->op->norm_backward_input(run->device, run->stream, &shape->query_norm, AT(DNORMED), AT(RAW_QKV),
                                 WEIGHT(QUERY_NORM_WEIGHT), NULL, AT(QUERY_RSTD), NULL, AT(DQKV));
    run->op->norm_backward_input(run->device, run->stream, &shape->key_norm, AT(DNORMED), AT(RAW_QKV),
                                 WEIGHT(KEY_NORM_WEIGHT), NULL, AT(KEY_RSTD), NULL, AT(DQKV));
}

static void attention_backward(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    run->op->linear_backward_input(run->device, run->stream, &shape->output, weft_run_gather(run, AT(DMIDDLE)),
                                   WEIGHT(OUTPUT_WEIGHT), AT(NARROW), run->workspace);
    run->op->attention_backward(run->device, run->stream, &shape->attention, run->buffers->documents, AT(QKV),
                                AT(ATTENTION), AT(LOGSUMEXP), AT(NARROW), AT(DQKV), run->workspace);
    rotate(run, -1, AT(DQKV));
    norm_heads_backward(run, layer);
    run->op->linear_backward_input(run->device, run->stream, &shape->qkv, AT(DQKV), WEIGHT(QKV_WEIGHT),
                                   weft_run_part(run, AT(DNORM1)), run->workspace);
    weft_run_sum(run, AT(DNORM1));
}

void weft_layer_backward_input(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    const void *gradient = weft_run_gradient(run, layer + 1);
    if (run->stage->shape.recompute) weft_layer_forward(run, layer, false);
    run->op->linear_backward_input(run->device, run->stream, &shape->down, weft_run_gather(run, gradient),
                                   WEIGHT(DOWN_WEIGHT), AT(WIDE), run->workspace);
    run->op->activation_backward(run->device, run->stream, &shape->activation, AT(UP), AT(WIDE), AT(DUP));
    run->op->linear_backward_input(run->device, run->stream, &shape->up, AT(DUP), WEIGHT(UP_WEIGHT),
                                   weft_run_part(run, AT(DNORM2)), run->workspace);
    weft_run_sum(run, AT(DNORM2));
    run->op->norm_backward_input(run->device, run->stream, &shape->norm, AT(DNORM2), AT(MIDDLE), WEIGHT(NORM2_WEIGHT),
                                 AT(MEAN2), AT(RSTD2), gradient, AT(DMIDDLE));
    attention_backward(run, layer);
    run->op->norm_backward_input(run->device, run->stream, &shape->norm, AT(DNORM1), weft_run_input(run, layer),
                                 WEIGHT(NORM1_WEIGHT), AT(MEAN1), AT(RSTD1), AT(DMIDDLE),
                                 weft_run_gradient_target(run, layer));
}

/* Whether anything is frozen is the same on all workers, so they leave out the same exchanges. */
#define WANTED(kind) (WEIGHT_GRADIENT(kind##_WEIGHT) != NULL || WEIGHT_GRADIENT(kind##_BIAS) != NULL)

static void product_weight(const weft_run *run, const weft_linear *shape, const void *dy, const void *x, float *weight,
                           float *bias)
{
    run->op->linear_backward_weight(run->device, run->stream, shape, dy, x, run->buffers->accumulate, weight, bias,
                                    run->workspace);
}

static void mlp_backward_weight(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    if (WANTED(DOWN)) {
        run->op->activation_forward(run->device, run->stream, &shape->activation, AT(UP), AT(WIDE));
        product_weight(run, &shape->down, weft_run_gather(run, weft_run_gradient(run, layer + 1)), AT(WIDE),
                       WEIGHT_GRADIENT(DOWN_WEIGHT), WEIGHT_GRADIENT(DOWN_BIAS));
    }
    if (WANTED(UP)) {
        norm2(run, layer);
        product_weight(run, &shape->up, AT(DUP), weft_run_gather(run, AT(NARROW)), WEIGHT_GRADIENT(UP_WEIGHT),
                       WEIGHT_GRADIENT(UP_BIAS));
    }
    if (WANTED(NORM2))
        run->op->norm_backward_weight(run->device, run->stream, &shape->norm, AT(DNORM2), AT(MIDDLE), AT(MEAN2),
                                      AT(RSTD2), run->buffers->accumulate, WEIGHT_GRADIENT(NORM2_WEIGHT),
                                      WEIGHT_GRADIENT(NORM2_BIAS));
}

static void norm_heads_backward_weight(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    float *query = WEIGHT_GRADIENT(QUERY_NORM_WEIGHT), *key = WEIGHT_GRADIENT(KEY_NORM_WEIGHT);
    if (query != NULL)
        run->op->norm_backward_weight(run->device, run->stream, &shape->query_norm, AT(DNORMED), AT(RAW_QKV), NULL,
                                      AT(QUERY_RSTD), run->buffers->accumulate, query, NULL);
    if (key != NULL)
        run->op->norm_backward_weight(run->device, run->stream, &shape->key_norm, AT(DNORMED), AT(RAW_QKV), NULL,
                                      AT(KEY_RSTD), run->buffers->accumulate, key, NULL);
}

static void attention_backward_weight(const weft_run *run, int32_t layer)
{
    const weft_stage_operations *shape = &run->stage->operations;
    if (WANTED(OUTPUT))
        product_weight(run, &shape->output, weft_run_gather(run, AT(DMIDDLE)), AT(ATTENTION),
                       WEIGHT_GRADIENT(OUTPUT_WEIGHT), WEIGHT_GRADIENT(OUTPUT_BIAS));
    norm_heads_backward_weight(run, layer);
    if (WANTED(QKV)) {
        norm1(run, layer);
        product_weight(run, &shape->qkv, AT(DQKV), weft_run_gather(run, AT(NARROW)), WEIGHT_GRADIENT(QKV_WEIGHT),
                       WEIGHT_GRADIENT(QKV_BIAS));
    }
    if (WANTED(NORM1))
        run->op->norm_backward_weight(run->device, run->stream, &shape->norm, AT(DNORM1), weft_run_input(run, layer),
                                      AT(MEAN1), AT(RSTD1), run->buffers->accumulate, WEIGHT_GRADIENT(NORM1_WEIGHT),
                                      WEIGHT_GRADIENT(NORM1_BIAS));
}

void weft_layer_backward_weight(const weft_run *run, int32_t layer)
{
    mlp_backward_weight(run, layer);
    attention_backward_weight(run, layer);
}
