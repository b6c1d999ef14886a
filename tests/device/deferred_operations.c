/* Each operation: what it is called with, what a queue keeps of that, and how the reference does it later. */
#include "deferred_parts.h"
#include "device/at_once.h"

#define KEEP(...) __VA_ARGS__
/* Of copies to and from the host, pinned is the place of the operand in pinned memory; else -1. */
#define ENQUEUE(operation, pinned, parameters, kept, arguments)                                                        \
    static void run_##operation(weft_device *reference, const deferred_item *item)                                     \
    {                                                                                                                  \
        reference->operations->operation arguments;                                                                    \
    }                                                                                                                  \
    static void defer_##operation parameters                                                                           \
    {                                                                                                                  \
        const deferred_item item = {.run = run_##operation, .name = #operation, KEEP kept};                            \
        deferred_put(device, stream, &item, pinned);                                                                   \
    }
#define OPERATION(operation, parameters, kept, arguments) ENQUEUE(operation, -1, parameters, kept, arguments)
#define ON weft_device *device, weft_stream *stream
#define NUMBER(i) item->numbers[i]
#define AT(i) ((void *)(uintptr_t)item->operands[i])

/* clang-format off */
ENQUEUE(copy_in, 1, (ON, void *to, const void *pinned, size_t bytes),
        (.numbers = {(int64_t)bytes}, .operands = {to, pinned}),
        (reference, NULL, AT(0), AT(1), (size_t)NUMBER(0)))
ENQUEUE(copy_out, 0, (ON, void *pinned, const void *from, size_t bytes),
        (.numbers = {(int64_t)bytes}, .operands = {pinned, from}),
        (reference, NULL, AT(0), AT(1), (size_t)NUMBER(0)))
OPERATION(copy, (ON, void *to, const void *from, size_t bytes),
          (.numbers = {(int64_t)bytes}, .operands = {to, from}),
          (reference, NULL, AT(0), AT(1), (size_t)NUMBER(0)))
OPERATION(zero, (ON, void *memory, size_t bytes),
          (.numbers = {(int64_t)bytes}, .operands = {memory}),
          (reference, NULL, AT(0), (size_t)NUMBER(0)))

OPERATION(embed_forward, (ON, const weft_embed *embed, const int32_t *tokens, const int32_t *positions, const void *wte, const void *wpe, void *out),
          (.shape.embed = *embed, .operands = {tokens, positions, wte, wpe, out}),
          (reference, NULL, &item->shape.embed, AT(0), AT(1), AT(2), AT(3), AT(4)))
OPERATION(embed_backward, (ON, const weft_embed *embed, const int32_t *tokens, const int32_t *positions, const void *dout, bool accumulate,
                           float *dwte, float *dwpe),
          (.shape.embed = *embed, .numbers = {accumulate}, .operands = {tokens, positions, dout, dwte, dwpe}),
          (reference, NULL, &item->shape.embed, AT(0), AT(1), AT(2), NUMBER(0), AT(3), AT(4)))

OPERATION(norm_forward, (ON, const weft_norm *norm, const void *x, const void *weight, const void *bias, void *out,
                         float *mean, float *rstd),
          (.shape.norm = *norm, .operands = {x, weight, bias, out, mean, rstd}),
          (reference, NULL, &item->shape.norm, AT(0), AT(1), AT(2), AT(3), AT(4), AT(5)))
OPERATION(norm_backward_input, (ON, const weft_norm *norm, const void *dy, const void *x, const void *weight,
                                const float *mean, const float *rstd, const void *residual, void *dx),
          (.shape.norm = *norm, .operands = {dy, x, weight, mean, rstd, residual, dx}),
          (reference, NULL, &item->shape.norm, AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6)))
OPERATION(norm_backward_weight, (ON, const weft_norm *norm, const void *dy, const void *x, const float *mean,
                                 const float *rstd, bool accumulate, float *dweight, float *dbias),
          (.shape.norm = *norm, .numbers = {accumulate}, .operands = {dy, x, mean, rstd, dweight, dbias}),
          (reference, NULL, &item->shape.norm, AT(0), AT(1), AT(2), AT(3), NUMBER(0), AT(4), AT(5)))

OPERATION(linear_forward, (ON, const weft_linear *linear, const void *x, const void *w, const void *bias, void *y,
                           void *workspace),
          (.shape.linear = *linear, .operands = {x, w, bias, y, workspace}),
          (reference, NULL, &item->shape.linear, AT(0), AT(1), AT(2), AT(3), AT(4)))
OPERATION(linear_backward_input, (ON, const weft_linear *linear, const void *dy, const void *w, void *dx,
                                  void *workspace),
          (.shape.linear = *linear, .operands = {dy, w, dx, workspace}),
          (reference, NULL, &item->shape.linear, AT(0), AT(1), AT(2), AT(3)))
OPERATION(linear_backward_weight, (ON, const weft_linear *linear, const void *dy, const void *x, bool accumulate,
                                   float *dw, float *dbias, void *workspace),
          (.shape.linear = *linear, .numbers = {accumulate}, .operands = {dy, x, dw, dbias, workspace}),
          (reference, NULL, &item->shape.linear, AT(0), AT(1), NUMBER(0), AT(2), AT(3), AT(4)))

OPERATION(activation_forward, (ON, const weft_activation *activation, const void *x, void *out),
          (.shape.activation = *activation, .operands = {x, out}),
          (reference, NULL, &item->shape.activation, AT(0), AT(1)))
OPERATION(activation_backward, (ON, const weft_activation *activation, const void *x, const void *dy, void *dx),
          (.shape.activation = *activation, .operands = {x, dy, dx}),
          (reference, NULL, &item->shape.activation, AT(0), AT(1), AT(2)))

OPERATION(rotary, (ON, const weft_rotary *rotary, const int32_t *positions, const float *cosine, const float *sine, int direction, void *x),
          (.shape.rotary = *rotary, .numbers = {direction}, .operands = {positions, cosine, sine, x}),
          (reference, NULL, &item->shape.rotary, AT(0), AT(1), AT(2), (int)NUMBER(0), AT(3)))
OPERATION(attention_forward, (ON, const weft_attention *attention, const int32_t *documents, const void *qkv, void *out, float *logsumexp,
                              void *workspace),
          (.shape.attention = *attention, .operands = {documents, qkv, out, logsumexp, workspace}),
          (reference, NULL, &item->shape.attention, AT(0), AT(1), AT(2), AT(3), AT(4)))
OPERATION(attention_step, (ON, const weft_attention *attention, int64_t past, int64_t rows, const void *qkv, void *cache, void *out,
                           void *workspace),
          (.shape.attention = *attention, .numbers = {past, rows}, .operands = {qkv, cache, out, workspace}),
          (reference, NULL, &item->shape.attention, NUMBER(0), NUMBER(1), AT(0), AT(1), AT(2), AT(3)))
OPERATION(attention_backward, (ON, const weft_attention *attention, const int32_t *documents, const void *qkv, const void *out,
                               const float *logsumexp, const void *dout, void *dqkv, void *workspace),
          (.shape.attention = *attention, .operands = {documents, qkv, out, logsumexp, dout, dqkv, workspace}),
          (reference, NULL, &item->shape.attention, AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6)))

OPERATION(add, (ON, int64_t count, const void *a, const void *b, void *out),
          (.numbers = {count}, .operands = {a, b, out}),
          (reference, NULL, NUMBER(0), AT(0), AT(1), AT(2)))
OPERATION(round, (ON, int64_t count, const float *from, void *to),
          (.numbers = {count}, .operands = {from, to}),
          (reference, NULL, NUMBER(0), AT(0), AT(1)))

OPERATION(cross_entropy, (ON, const weft_loss *loss, void *logits, const int32_t *targets, const weft_step_scalars *scalars, bool gradient,
                          float *out),
          (.shape.loss = *loss, .numbers = {gradient}, .operands = {logits, targets, scalars, out}),
          (reference, NULL, &item->shape.loss, AT(0), AT(1), AT(2), NUMBER(0), AT(3)))
OPERATION(loss_part, (ON, const weft_loss *loss, const void *logits, const int32_t *targets, float *stats),
          (.shape.loss = *loss, .operands = {logits, targets, stats}),
          (reference, NULL, &item->shape.loss, AT(0), AT(1), AT(2)))
OPERATION(loss_finish, (ON, const weft_loss *loss, void *logits, const int32_t *targets, const float *stats,
                        const weft_step_scalars *scalars, bool gradient, float *out),
          (.shape.loss = *loss, .numbers = {gradient}, .operands = {logits, targets, stats, scalars, out}),
          (reference, NULL, &item->shape.loss, AT(0), AT(1), AT(2), AT(3), NUMBER(0), AT(4)))

OPERATION(square_sums, (ON, int64_t count, const float *gradient, double *sums),
          (.numbers = {count}, .operands = {gradient, sums}),
          (reference, NULL, NUMBER(0), AT(0), AT(1)))
OPERATION(place_sums, (ON, int64_t blocks, const int32_t *index, const double *from, double *to),
          (.numbers = {blocks}, .operands = {index, from, to}),
          (reference, NULL, NUMBER(0), AT(0), AT(1), AT(2)))
OPERATION(norm_finish, (ON, int64_t blocks, const double *sums, weft_step_scalars *scalars),
          (.numbers = {blocks}, .operands = {sums, scalars}),
          (reference, NULL, NUMBER(0), AT(0), AT(1)))
OPERATION(judge, (ON, int64_t count, int64_t stride, const float *losses, weft_step_scalars *scalars),
          (.numbers = {count, stride}, .operands = {losses, scalars}),
          (reference, NULL, NUMBER(0), NUMBER(1), AT(0), AT(1)))
OPERATION(adamw, (ON, int64_t count, const weft_step_scalars *scalars, bool decay, const float *gradient, float *weight,
                  float *moment1, float *moment2, void *storage),
          (.numbers = {count, decay}, .operands = {scalars, gradient, weight, moment1, moment2, storage}),
          (reference, NULL, NUMBER(0), AT(0), NUMBER(1), AT(1), AT(2), AT(3), AT(4), AT(5)))
/* clang-format on */

/* The list of parts is the host's. */
static void run_sum(weft_device *reference, const deferred_item *item)
{
    reference->operations->sum(reference, NULL, (weft_element)NUMBER(0), NUMBER(1), (int32_t)NUMBER(2),
                               item->operands + 1, AT(0));
}

static void defer_sum(weft_device *device, weft_stream *stream, weft_element element, int64_t count, int32_t parts,
                      const void *const *from, void *out)
{
    deferred_item item = {.run = run_sum, .name = "sum", .numbers = {element, count, parts}, .operands = {out}};
    if (parts >= DEFERRED_OPERANDS) {
        (void)weft_fail(&device->error, WEFT_FAILED, "device deferred: sum: more than %d parts", DEFERRED_OPERANDS - 1);
        return;
    }
    for (int32_t part = 0; part < parts; part++) item.operands[part + 1] = from[part];
    deferred_put(device, stream, &item, -1);
}

const weft_device_operations deferred_operations = {
    .destroy = deferred_destroy,
    .allocate = deferred_allocate,
    .release = deferred_release,
    .memory = weft_at_once_memory,
    .stream_create = deferred_stream_create,
    .stream_destroy = deferred_stream_destroy,
    .stream_wait = deferred_stream_wait,
    .events_create = deferred_events_create,
    .events_destroy = deferred_events_destroy,
    .event_record = deferred_event_record,
    .event_wait = deferred_event_wait,
    .event_done = deferred_event_done,
    .event_time = deferred_event_time,
    .event_due = deferred_event_due,
    .write = deferred_write,
    .read = deferred_read,
    .copy_in = defer_copy_in,
    .copy_out = defer_copy_out,
    .copy = defer_copy,
    .zero = defer_zero,
    .embed_forward = defer_embed_forward,
    .embed_backward = defer_embed_backward,
    .norm_forward = defer_norm_forward,
    .norm_backward_input = defer_norm_backward_input,
    .norm_backward_weight = defer_norm_backward_weight,
    .linear_forward = defer_linear_forward,
    .linear_backward_input = defer_linear_backward_input,
    .linear_backward_weight = defer_linear_backward_weight,
    .activation_forward = defer_activation_forward,
    .activation_backward = defer_activation_backward,
    .rotary = defer_rotary,
    .attention_forward = defer_attention_forward,
    .attention_step = defer_attention_step,
    .attention_backward = defer_attention_backward,
    .add = defer_add,
    .sum = defer_sum,
    .round = defer_round,
    .cross_entropy = defer_cross_entropy,
    .loss_part = defer_loss_part,
    .loss_finish = defer_loss_finish,
    .square_sums = defer_square_sums,
    .place_sums = defer_place_sums,
    .norm_finish = defer_norm_finish,
    .judge = defer_judge,
    .adamw = defer_adamw,
};
