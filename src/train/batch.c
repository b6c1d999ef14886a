/* The batches of the steps: which sequences, read into the worker, and what else a step is given. */
#include "train/crossing.h"
#include "train/loop_parts.h"

#include <math.h>

int64_t weft_loop_microbatches(const weft_loop *loop)
{
    return loop->job->data * loop->job->config->batch.microbatches;
}

int64_t weft_loop_batch_sequences(const weft_loop *loop)
{
    return weft_loop_microbatches(loop) * loop->job->config->batch.sequences;
}

int64_t weft_loop_sequences(const weft_loop *loop, int64_t step)
{
    return loop->sequences + (step - loop->start) * weft_loop_batch_sequences(loop);
}

typedef struct {
    weft_loop *loop;
    weft_batch batch;
    weft_data_part part;
    int64_t first, step;
} reading;

/* Of some targets of this worker's share. */
static void count_targets(weft_loop *loop, const int32_t *targets, int64_t count)
{
    const int32_t *lengths = loop->input->lengths;
    int64_t every = weft_data_bytes_per_token(loop->data);
    for (int64_t i = 0; i < count; i++) {
        if (targets[i] < 0) continue;
        loop->own_targets++;
        loop->own_bytes += lengths ? lengths[targets[i]] : every;
    }
}

/* Micro-batch by micro-batch, so that a bad token can be placed. */
static weft_status read_share(void *context, weft_error *error)
{
    const reading *it = context;
    weft_loop *loop = it->loop;
    weft_worker *worker = loop->worker;
    const weft_config *config = loop->job->config;
    int64_t B = config->batch.sequences, size = B * config->batch.tokens, M = config->batch.microbatches;
    int64_t first = it->first + worker->at.data * M * B;
    loop->own_targets = loop->own_bytes = 0;
    for (int64_t m = 0; m < M; m++) {
        int32_t *targets = it->batch.targets + m * size;
        int32_t *documents = it->batch.documents ? it->batch.documents + m * size : NULL;
        weft_data_rows rows = {it->batch.tokens + m * size, targets, documents};
        if (weft_data_read(loop->data, it->part, first + m * B, B, rows, error) != WEFT_OK)
            return weft_error_context(error, "rank %d, step %lld, stage 0, micro-batch %lld", worker->number,
                                      (long long)it->step, (long long)m);
        count_targets(loop, targets, size);
        for (int64_t i = 0; it->batch.positions && i < size; i++)
            it->batch.positions[m * size + i] = (int32_t)(i % config->batch.tokens) - documents[i];
    }
    return WEFT_OK;
}

weft_status weft_loop_read(weft_loop *loop, weft_data_part part, int64_t first, int64_t step, weft_error *error)
{
    reading it = {.loop = loop, .part = part, .first = first, .step = step};
    TRY(weft_crossing_fill(loop->worker, &it.batch, error));
    return weft_loop_try(loop, "the reading of a batch", read_share, &it, error);
}

weft_status weft_loop_feed(weft_loop *loop, int64_t step, double busy, const char *what, weft_error *error)
{
    int64_t first = weft_loop_sequences(loop, step - 1);
    if (step <= loop->steps) TRY(weft_loop_read(loop, WEFT_DATA_TRAIN, first, step, error));
    return weft_loop_exchange(loop, busy, what, error);
}

void weft_loop_pose(weft_loop *loop, int64_t step, double learning_rate)
{
    loop->worker->step = step;
    loop->posed_targets = loop->targets > 0 ? loop->targets : 1; /* masked, a batch may have nothing to learn */
    const weft_config *config = loop->job->config;
    int64_t updates = step - loop->skip.skipped; /* the moments have seen no others */
    /* The device's betas: with 1 - 0.999 of one precision and 1 - 0.999^step of another the first steps are off. */
    float beta1 = (float)config->optimizer.beta1, beta2 = (float)config->optimizer.beta2;
    loop->worker->host.posed = (weft_step_scalars){.learning_rate = (float)learning_rate,
                                                   .beta1 = beta1,
                                                   .beta2 = beta2,
                                                   .epsilon = (float)config->optimizer.epsilon,
                                                   .weight_decay = (float)config->optimizer.weight_decay,
                                                   .correction1 = (float)(1 - pow((double)beta1, (double)updates)),
                                                   .correction2 = (float)(1 - pow((double)beta2, (double)updates)),
                                                   .clip_norm = (float)config->optimizer.clip,
                                                   .clip_factor = 1,
                                                   .loss_gradient_scale = 1.0f / (float)loop->posed_targets,
                                                   .targets = (double)loop->posed_targets};
    weft_skip_pose(&loop->skip, &loop->worker->host.posed);
}
