/* The table of operations: each launches kernels. What is not here is in the files of its name. */
#include "device/cuda/products.h"

#define ON weft_device *device, weft_stream *stream
#define CALL weft_cuda_on(device, stream)
#define OPERATION(operation, parameters, launched)                                                                     \
    static void launch_##operation parameters                                                                          \
    {                                                                                                                  \
        if (!weft_cuda_begins(device)) return;                                                                         \
        weft_cuda_ends(device, stream, #operation, launched);                                                          \
    }

/* clang-format off */
OPERATION(embed_forward, (ON, const weft_embed *embed, const int32_t *tokens, const int32_t *positions, const void *wte, const void *wpe, void *out),
          weft_cuda_embed_forward(CALL, embed, tokens, positions, wte, wpe, out))
OPERATION(embed_backward, (ON, const weft_embed *embed, const int32_t *tokens, const int32_t *positions, const void *dout, bool accumulate,
                           float *dwte, float *dwpe),
          weft_cuda_embed_backward(CALL, embed, tokens, positions, dout, accumulate, dwte, dwpe))
OPERATION(norm_forward, (ON, const weft_norm *norm, const void *x, const void *weight, const void *bias, void *out,
                         float *mean, float *rstd),
          weft_cuda_norm_forward(CALL, norm, x, weight, bias, out, mean, rstd))
OPERATION(norm_backward_input, (ON, const weft_norm *norm, const void *dy, const void *x, const void *weight,
                                const float *mean, const float *rstd, const void *residual, void *dx),
          weft_cuda_norm_backward_input(CALL, norm, dy, x, weight, mean, rstd, residual, dx))
OPERATION(norm_backward_weight, (ON, const weft_norm *norm, const void *dy, const void *x, const float *mean,
                                 const float *rstd, bool accumulate, float *dweight, float *dbias),
          weft_cuda_norm_backward_weight(CALL, norm, dy, x, mean, rstd, accumulate, dweight, dbias))
OPERATION(activation_forward, (ON, const weft_activation *activation, const void *x, void *out),
          weft_cuda_activation_forward(CALL, activation, x, out))
OPERATION(activation_backward, (ON, const weft_activation *activation, const void *x, const void *dy, void *dx),
          weft_cuda_activation_backward(CALL, activation, x, dy, dx))
OPERATION(rotary, (ON, const weft_rotary *rotary, const int32_t *positions, const float *cosine, const float *sine, int direction, void *x),
          weft_cuda_rotary(CALL, rotary, positions, cosine, sine, direction, x))
OPERATION(add, (ON, int64_t count, const void *a, const void *b, void *out), weft_cuda_add(CALL, count, a, b, out))
OPERATION(sum, (ON, weft_element element, int64_t count, int32_t parts, const void *const *from, void *out),
          weft_cuda_sum(CALL, element, count, parts, from, out))
OPERATION(round, (ON, int64_t count, const float *from, void *to), weft_cuda_round(CALL, count, from, to))
OPERATION(cross_entropy, (ON, const weft_loss *loss, void *logits, const int32_t *targets, const weft_step_scalars *scalars,
                          bool gradient, float *out),
          weft_cuda_cross_entropy(CALL, loss, logits, targets, scalars, gradient, out))
OPERATION(loss_part, (ON, const weft_loss *loss, const void *logits, const int32_t *targets, float *stats),
          weft_cuda_loss_part(CALL, loss, logits, targets, stats))
OPERATION(loss_finish, (ON, const weft_loss *loss, void *logits, const int32_t *targets, const float *stats,
                        const weft_step_scalars *scalars, bool gradient, float *out),
          weft_cuda_loss_finish(CALL, loss, logits, targets, stats, scalars, gradient, out))
OPERATION(square_sums, (ON, int64_t count, const float *gradient, double *sums),
          weft_cuda_square_sums(CALL, count, gradient, sums))
OPERATION(place_sums, (ON, int64_t blocks, const int32_t *index, const double *from, double *to),
          weft_cuda_place_sums(CALL, blocks, index, from, to))
OPERATION(norm_finish, (ON, int64_t blocks, const double *sums, weft_step_scalars *scalars),
          weft_cuda_norm_finish(CALL, blocks, sums, scalars))
OPERATION(judge, (ON, int64_t count, int64_t stride, const float *losses, weft_step_scalars *scalars),
          weft_cuda_judge(CALL, count, stride, losses, scalars))
OPERATION(adamw, (ON, int64_t count, const weft_step_scalars *scalars, bool decay, const float *gradient, float *weight,
                  float *moment1, float *moment2, void *storage),
          weft_cuda_adamw(CALL, count, scalars, decay, gradient, weight, moment1, moment2, storage))
/* clang-format on */

/* False, and the instance has failed, where heads are wider than attention can be here. */
static bool begins_attention(weft_device *device, const weft_attention *attention)
{
    if (!weft_cuda_begins(device)) return false;
    if (attention->D <= WEFT_CUDA_HEAD_WIDTH) return true;
    (void)weft_fail(&device->error, WEFT_INVALID, "device cuda: heads are %lld wide, %d is the most",
                    (long long)attention->D, WEFT_CUDA_HEAD_WIDTH);
    return false;
}

static void attention_forward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                              const int32_t *documents, const void *qkv, void *out, float *logsumexp, void *workspace)
{
    (void)workspace;
    if (!begins_attention(device, attention)) return;
    const weft_cuda_call *call = weft_cuda_on(device, stream);
    weft_cuda_ends(device, stream, "attention_forward",
                   weft_cuda_blocks_fit(call, attention)
                       ? weft_cuda_blocks_forward(call, attention, documents, qkv, out, logsumexp)
                       : weft_cuda_rows_forward(call, attention, documents, qkv, out, logsumexp));
}

static void attention_backward(weft_device *device, weft_stream *stream, const weft_attention *attention,
                               const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                               const void *dout, void *dqkv, void *workspace)
{
    if (!begins_attention(device, attention)) return;
    const weft_cuda_call *call = weft_cuda_on(device, stream);
    weft_cuda_ends(
        device, stream, "attention_backward",
        weft_cuda_blocks_fit(call, attention)
            ? weft_cuda_blocks_backward(call, attention, documents, qkv, out, logsumexp, dout, dqkv, workspace)
            : weft_cuda_rows_backward(call, attention, documents, qkv, out, logsumexp, dout, dqkv, workspace));
}

static void attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention, int64_t past,
                           int64_t rows, const void *qkv, void *cache, void *out, void *workspace)
{
    (void)workspace;
    if (!begins_attention(device, attention)) return;
    weft_cuda_ends(device, stream, "attention_step",
                   weft_cuda_attention_step(weft_cuda_on(device, stream), attention, past, rows, qkv, cache, out));
}

/* The sum of dout out of every row, which backward keeps between its kernels. */
size_t weft_cuda_attention_workspace(const weft_device_options *options, const weft_attention *attention)
{
    (void)options;
    return (size_t)(attention->B * attention->H * attention->T) * sizeof(float);
}

static void destroy(weft_device *device)
{
    if (device == NULL) return;
    weft_cuda *cuda = weft_cuda_of(device);
    (void)cudaSetDevice(cuda->index);
    while (cuda->streams != NULL) weft_cuda_stream_destroy(device, cuda->streams);
    if (cuda->origin != NULL) (void)cudaEventDestroy(cuda->origin);
    weft_cuda_products_destroy(cuda->products);
    weft_free(cuda->pinned);
    weft_free(cuda->peers);
    weft_free(cuda);
}

const weft_device_operations weft_cuda_operations = {
    .destroy = destroy,
    .allocate = weft_cuda_allocate,
    .release = weft_cuda_release,
    .memory = weft_cuda_memory,
    .stream_create = weft_cuda_stream_create,
    .stream_destroy = weft_cuda_stream_destroy,
    .stream_wait = weft_cuda_stream_wait,
    .events_create = weft_cuda_events_create,
    .events_destroy = weft_cuda_events_destroy,
    .event_record = weft_cuda_event_record,
    .event_wait = weft_cuda_event_wait,
    .event_done = weft_cuda_event_done,
    .event_time = weft_cuda_event_time,
    .event_due = weft_cuda_event_due,
    .copy_in = weft_cuda_copy_in,
    .copy_out = weft_cuda_copy_out,
    .copy = weft_cuda_copy,
    .copy_peer = weft_cuda_copy_peer,
    .zero = weft_cuda_zero,
    .write = weft_cuda_write,
    .read = weft_cuda_read,
    .embed_forward = launch_embed_forward,
    .embed_backward = launch_embed_backward,
    .norm_forward = launch_norm_forward,
    .norm_backward_input = launch_norm_backward_input,
    .norm_backward_weight = launch_norm_backward_weight,
    .linear_forward = weft_cuda_linear_forward,
    .linear_backward_input = weft_cuda_linear_backward_input,
    .linear_backward_weight = weft_cuda_linear_backward_weight,
    .activation_forward = launch_activation_forward,
    .activation_backward = launch_activation_backward,
    .rotary = launch_rotary,
    .attention_forward = attention_forward,
    .attention_step = attention_step,
    .attention_backward = attention_backward,
    .add = launch_add,
    .sum = launch_sum,
    .round = launch_round,
    .cross_entropy = launch_cross_entropy,
    .loss_part = launch_loss_part,
    .loss_finish = launch_loss_finish,
    .square_sums = launch_square_sums,
    .place_sums = launch_place_sums,
    .norm_finish = launch_norm_finish,
    .judge = launch_judge,
    .adamw = launch_adamw,
};
