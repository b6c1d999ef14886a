/*
 * The end of the last stage: final norm, product with the vocabulary, loss. Without recomputation the forward pass
 * leaves the gradient of the logits in their place; with it, the backward pass computes the logits again.
 */
#include "model/stage.h"

#define AT(region) weft_run_region(run, WEFT_REGION_##region, 0)

static const void *input(const weft_run *run)
{
    return weft_run_input(run, run->stage->shape.layer_count);
}

static void norm(const weft_run *run, int64_t rows, const void *x)
{
    weft_norm shape = run->stage->operations.norm;
    shape.rows = rows;
    run->op->norm_forward(run->device, run->stream, &shape, x, weft_run_weight(run, WEFT_FINAL_NORM_WEIGHT, 0),
                          weft_run_weight(run, WEFT_FINAL_NORM_BIAS, 0), AT(HEAD_NORM), AT(HEAD_MEAN), AT(HEAD_RSTD));
}

static void product(const weft_run *run, int64_t rows, void *logits)
{
    weft_linear shape = run->stage->operations.head;
    shape.rows = rows;
    run->op->linear_forward(run->device, run->stream, &shape, weft_run_gather(run, AT(HEAD_NORM)),
                            weft_run_weight(run, WEFT_HEAD_WEIGHT, 0), NULL, logits, run->workspace);
}

/* Every worker learns what the others know of each row, and so the loss of all of them. */
static void divided_loss(const weft_run *run, bool gradient, float *out)
{
    const weft_loss *shape = &run->stage->operations.loss;
    size_t statistics = (size_t)(weft_loss_statistics(shape) * shape->rows) * sizeof(float);
    run->op->loss_part(run->device, run->stream, shape, AT(LOGITS), run->buffers->targets, AT(HEAD_STATISTICS));
    const weft_stage_exchange *exchange = run->stage->weights.exchange;
    exchange->gather(exchange->context, run->stream, AT(HEAD_STATISTICS), statistics, AT(HEAD_ALL_STATISTICS));
    run->op->loss_finish(run->device, run->stream, shape, AT(LOGITS), run->buffers->targets, AT(HEAD_ALL_STATISTICS),
                         run->buffers->scalars, gradient, out);
}

static void loss(const weft_run *run, bool gradient, float *out)
{
    const weft_loss *shape = &run->stage->operations.loss;
    if (shape->parts > 1)
        divided_loss(run, gradient, out);
    else
        run->op->cross_entropy(run->device, run->stream, shape, AT(LOGITS), run->buffers->targets,
                               run->buffers->scalars, gradient, out);
}

/* Nothing has turned them into their gradient: only forward runs are asked for them. */
static void show_logits(const weft_run *run)
{
    const weft_linear *shape = &run->stage->operations.head;
    size_t element = weft_element_bytes(run->stage->shape.options.element);
    run->op->copy(run->device, run->stream, run->buffers->logits, AT(LOGITS),
                  (size_t)(shape->rows * shape->out) * element);
}

void weft_head_forward(const weft_run *run)
{
    const weft_stage_shape *shape = &run->stage->shape;
    int64_t rows = run->stage->operations.head.rows;
    norm(run, run->stage->operations.norm.rows, input(run));
    product(run, rows, AT(LOGITS));
    loss(run, !shape->recompute && !shape->forward_only, run->buffers->loss);
    if (run->buffers->logits != NULL) show_logits(run);
}

/* Only where layers are not divided: B rows are gathered, not own ones. */
void weft_head_sample(const weft_run *run)
{
    const weft_stage_shape *shape = &run->stage->shape;
    size_t row = (size_t)run->stage->operations.norm.width * weft_element_bytes(shape->options.element);
    unsigned char *gathered = AT(HEAD_ROWS);
    const unsigned char *from = input(run);
    for (int64_t b = 0; b < shape->B; b++) {
        size_t at = (size_t)(b * shape->T + run->buffers->logits_position);
        run->op->copy(run->device, run->stream, gathered + (size_t)b * row, from + at * row, row);
    }
    norm(run, shape->B, gathered);
    product(run, shape->B, run->buffers->logits);
}

void weft_head_backward_input(const weft_run *run)
{
    const weft_stage_operations *shape = &run->stage->operations;
    if (run->stage->shape.recompute) {
        norm(run, shape->norm.rows, input(run));
        product(run, shape->head.rows, AT(LOGITS));
        loss(run, true, AT(HEAD_LOSS));
    }
    run->op->linear_backward_input(run->device, run->stream, &shape->head, AT(LOGITS),
                                   weft_run_weight(run, WEFT_HEAD_WEIGHT, 0), weft_run_part(run, AT(HEAD_DNORM)),
                                   run->workspace);
    weft_run_sum(run, AT(HEAD_DNORM));
    run->op->norm_backward_input(run->device, run->stream, &shape->norm, AT(HEAD_DNORM), input(run),
                                 weft_run_weight(run, WEFT_FINAL_NORM_WEIGHT, 0), AT(HEAD_MEAN), AT(HEAD_RSTD), NULL,
                                 weft_run_gradient_target(run, run->stage->shape.layer_count));
}

void weft_head_backward_weight(const weft_run *run)
{
    const weft_stage_operations *shape = &run->stage->operations;
    float *weight = weft_run_weight_gradient(run, WEFT_HEAD_WEIGHT, 0);
    float *norm_weight = weft_run_weight_gradient(run, WEFT_FINAL_NORM_WEIGHT, 0);
    float *norm_bias = weft_run_weight_gradient(run, WEFT_FINAL_NORM_BIAS, 0);
    if (weight != NULL) {
        norm(run, shape->norm.rows, input(run));
        run->op->linear_backward_weight(run->device, run->stream, &shape->head, AT(LOGITS),
                                        weft_run_gather(run, AT(HEAD_NORM)), run->buffers->accumulate, weight, NULL,
                                        run->workspace);
        weft_run_clear_padding(run, weight);
    }
    if (norm_weight != NULL || norm_bias != NULL)
        run->op->norm_backward_weight(run->device, run->stream, &shape->norm, AT(HEAD_DNORM), input(run), AT(HEAD_MEAN),
                                      AT(HEAD_RSTD), run->buffers->accumulate, norm_weight, norm_bias);
}
