/* What the micro-batches' losses of a step come to, all together and by source. */
#include "train/loop_parts.h"

#include <math.h>
#include <string.h>

/* A path that data.sources has twice is one source. */
weft_status weft_loop_prepare_losses(weft_loop *loop, weft_error *error)
{
    const weft_config *config = loop->job->config;
    const weft_config_sources *given = &config->data.sources;
    loop->adds = config->loss.z > 0 || config->loss.label_smoothing > 0;
    if (given->count < 2 || !loop->worker->train || loop->worker->number != 0) return WEFT_OK;
    TRY(weft_arena_take(&loop->arena, (size_t)given->count, sizeof *loop->sources, &loop->sources, error));
    TRY(weft_arena_take(&loop->arena, (size_t)given->count, sizeof *loop->source_of, &loop->source_of, error));
    for (int64_t i = 0; i < given->count; i++) {
        int32_t s = 0;
        while (s < loop->source_count && strcmp(loop->sources[s].path, given->items[i].path) != 0) s++;
        if (s == loop->source_count) loop->sources[loop->source_count++].path = given->items[i].path;
        loop->source_of[i] = s;
    }
    return WEFT_OK;
}

const float *weft_loop_losses(const weft_loop *loop, int64_t microbatch)
{
    return loop->worker->host.losses + microbatch * loop->job->losses;
}

/* In micro-batch order, whoever ran them. */
static double mean_of(const weft_loop *loop, int number)
{
    double sum = 0;
    for (int64_t m = 0; m < weft_loop_microbatches(loop); m++) sum += (double)weft_loop_losses(loop, m)[number];
    return sum / (double)loop->posed_targets;
}

/* In the order of the step's sequences, of which the micro-batches are runs. */
static void sum_sources(weft_loop *loop, int64_t step)
{
    int64_t B = loop->job->config->batch.sequences, first = weft_loop_sequences(loop, step - 1);
    for (int32_t s = 0; s < loop->source_count; s++) {
        loop->sources[s].loss = 0;
        loop->sources[s].targets = 0;
    }
    for (int64_t i = 0; i < weft_loop_batch_sequences(loop); i++) {
        int32_t given = weft_data_source_of(loop->data, WEFT_DATA_TRAIN, first + i);
        weft_source_loss *source = &loop->sources[loop->source_of[given]];
        const float *own = weft_loop_losses(loop, i / B) + loop->job->losses - 2 * (B - i % B);
        source->loss += (double)own[0];
        source->targets += (int64_t)own[1];
    }
    for (int32_t s = 0; s < loop->source_count; s++) {
        weft_source_loss *source = &loop->sources[s];
        source->loss = source->targets > 0 ? source->loss / (double)source->targets : NAN;
    }
}

void weft_loop_sum_losses(weft_loop *loop, int64_t step)
{
    loop->loss = mean_of(loop, 0);
    if (loop->adds) loop->cross_entropy = mean_of(loop, 1);
    if (loop->source_count > 0) sum_sources(loop, step);
}
