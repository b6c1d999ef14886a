/* The gradients of a weight that the first and the last stage share: total = embedding part + head part, on both. */
#include "train/job.h"
#include "train/task.h"

/* other: of as many elements. */
static void add(const weft_task *task, size_t count, const float *other)
{
    const weft_tied *tied = &task->instruction->tied;
    float *own = tied->own + task->position;
    const void *parts[] = {tied->first ? own : other, tied->first ? other : own};
    task->device->operations->sum(task->device, task->stream, WEFT_FP32, (int64_t)count, 2, parts, own);
}

/* Posts the exchange of the next piece: what is given to the stream before is done with the last one by then. */
static weft_status exchange_piece(weft_task *task, weft_error *error)
{
    const weft_tied *tied = &task->instruction->tied;
    const weft_transport_operations *transport = task->transport->operations;
    size_t left = tied->count - task->position, most = WEFT_JOB_TIED_CHUNK / sizeof(float);
    task->piece = left < most ? left : most;
    size_t bytes = task->piece * sizeof(float);
    if (task->transport->ordered) transport->batch_begin(task->transport);
    TRY(transport->receive(task->transport, task->carrier, tied->peer, tied->tag, tied->piece, bytes,
                           &task->requests[0], error));
    TRY(transport->send(task->transport, task->carrier, tied->peer, tied->tag, tied->own + task->position, bytes,
                        &task->requests[1], error));
    return task->transport->ordered ? transport->batch_end(task->transport, error) : WEFT_OK;
}

weft_status weft_start_tied(weft_task *task, weft_error *error)
{
    const weft_tied *tied = &task->instruction->tied;
    if (tied->count == 0) return WEFT_OK;
    if (!tied->other) return exchange_piece(task, error);
    add(task, tied->count, tied->other);
    return WEFT_OK;
}

weft_status weft_poll_tied(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    const weft_tied *tied = &task->instruction->tied;
    TRY(weft_poll_requests(task, out_moved, out_moved, error));
    if (!*out_moved) return WEFT_OK;
    add(task, task->piece, tied->piece);
    task->position += task->piece;
    *out_done = task->position == tied->count;
    return *out_done ? WEFT_OK : exchange_piece(task, error);
}
