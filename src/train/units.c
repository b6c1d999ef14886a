/* Gathers of weights and sums of gradients over the workers of a rank, one unit of a stage at a time. */
#include "train/task.h"

static void drop(const weft_task *task, const weft_page *page)
{
    if (page->poison && page->memory)
        task->device->operations->copy(task->device, task->stream, page->memory, page->poison, page->bytes);
}

weft_status weft_start_drop(weft_task *task, weft_error *error)
{
    (void)error;
    drop(task, &task->instruction->page);
    return WEFT_OK;
}

weft_status weft_start_gather(weft_task *task, weft_error *error)
{
    const weft_gather *gather = &task->instruction->gather;
    if (task->part == gather->count) return WEFT_OK;
    const weft_gather_part *part = &gather->parts[task->part];
    return task->transport->operations->gather(task->transport, task->carrier, gather->group, part->own, part->bytes,
                                               part->whole, &task->requests[0], error);
}

weft_status weft_poll_gather(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    TRY(weft_poll_requests(task, out_moved, out_moved, error));
    if (!*out_moved) return WEFT_OK;
    task->part++;
    *out_done = task->part == task->instruction->gather.count;
    return weft_start_gather(task, error);
}

weft_status weft_start_sum(weft_task *task, weft_error *error)
{
    const weft_sum *sum = &task->instruction->sum;
    if (task->part == sum->count) return WEFT_OK;
    const weft_sum_part *part = &sum->parts[task->part];
    if (!part->shares) return weft_reducer_all(sum->reducer, part->values, part->count, error);
    return weft_reducer_scatter(sum->reducer, part->values, part->shares, part->own, error);
}

/* The sum is taken off the page. */
static void keep(const weft_task *task, const weft_sum_part *part)
{
    const weft_device_operations *operations = task->device->operations;
    if (!part->kept) return;
    if (part->kept_count > 0 && part->overwrite)
        operations->copy(task->device, task->stream, part->kept, part->own, part->kept_count * sizeof(float));
    else if (part->kept_count > 0)
        operations->sum(task->device, task->stream, WEFT_FP32, (int64_t)part->kept_count, 2,
                        (const void *[]){part->kept, part->own}, part->kept);
    drop(task, &part->page);
}

weft_status weft_poll_sum(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    const weft_sum *sum = &task->instruction->sum;
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    TRY(weft_reducer_poll(sum->reducer, &state, error));
    *out_moved = state != WEFT_REDUCER_WAITS;
    if (state != WEFT_REDUCER_DONE) return WEFT_OK;
    keep(task, &sum->parts[task->part++]);
    *out_done = task->part == sum->count;
    return weft_start_sum(task, error);
}

/* total = embedding part + head part. */
weft_status weft_start_tied(weft_task *task, weft_error *error)
{
    const weft_tied *tied = &task->instruction->tied;
    const void *parts[] = {tied->own, tied->other};
    (void)error;
    if (tied->count > 0)
        task->device->operations->sum(task->device, task->stream, WEFT_FP32, (int64_t)tied->count, 2, parts, tied->own);
    return WEFT_OK;
}

int32_t weft_sum_awaited(const weft_task *task)
{
    return weft_reducer_awaited(task->instruction->sum.reducer);
}
