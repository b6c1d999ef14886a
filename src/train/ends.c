/* What all workers do together at the end of a program: the norm of the gradients, the losses, and what follows from
 * both. */
#include "train/task.h"
#include "train/world.h"

static void finish_norm(const weft_task *task)
{
    const weft_norm_all *norm = &task->instruction->norm;
    task->device->operations->norm_finish(task->device, task->stream, norm->blocks, norm->ordered, norm->scalars);
}

weft_status weft_start_norm(weft_task *task, weft_error *error)
{
    const weft_norm_all *norm = &task->instruction->norm;
    for (int32_t i = 0; i < norm->count; i++)
        task->device->operations->square_sums(task->device, task->stream, norm->squares[i].count,
                                              norm->squares[i].gradient, norm->squares[i].sums);
    if (!task->instruction->driven) {
        finish_norm(task);
        return WEFT_OK;
    }
    return task->transport->operations->gather(task->transport, task->carrier, WEFT_GROUP_ALL, norm->own, norm->bytes,
                                               norm->all, &task->requests[0], error);
}

weft_status weft_poll_norm(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    TRY(weft_poll_requests(task, out_done, out_moved, error));
    if (!*out_done) return WEFT_OK;
    const weft_norm_all *norm = &task->instruction->norm;
    task->device->operations->place_sums(task->device, task->stream, norm->blocks, norm->index, norm->all,
                                         norm->ordered);
    finish_norm(task);
    return WEFT_OK;
}

/* Every worker for itself, of the same losses and the same norm. */
static void judge(const weft_task *task)
{
    const weft_metrics *metrics = &task->instruction->metrics;
    if (metrics->judged)
        task->device->operations->judge(task->device, task->stream, metrics->count, metrics->stride, metrics->all,
                                        metrics->judged);
}

weft_status weft_start_metrics(weft_task *task, weft_error *error)
{
    const weft_metrics *metrics = &task->instruction->metrics;
    if (task->instruction->driven)
        return task->transport->operations->gather(task->transport, task->carrier, WEFT_GROUP_ALL, metrics->own,
                                                   metrics->bytes, metrics->all, &task->requests[0], error);
    task->device->operations->copy(task->device, task->stream, metrics->all, metrics->own, metrics->bytes[0]);
    judge(task);
    return WEFT_OK;
}

weft_status weft_poll_metrics(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    TRY(weft_poll_requests(task, out_done, out_moved, error));
    if (*out_done) judge(task);
    return WEFT_OK;
}
