#include "train/task.h"

static const struct {
    weft_task_starter *start;
    weft_task_poller *poll;
    int32_t (*awaited)(const weft_task *task);
} rows[WEFT_OPERATIONS] = {
    [WEFT_OPERATION_FORWARD] = {weft_start_pass, NULL, NULL},
    [WEFT_OPERATION_BACKWARD] = {weft_start_pass, NULL, NULL},
    [WEFT_OPERATION_BACKWARD_INPUT] = {weft_start_pass, NULL, NULL},
    [WEFT_OPERATION_BACKWARD_WEIGHT] = {weft_start_pass, NULL, NULL},
    [WEFT_OPERATION_UPDATE] = {weft_start_update, NULL, NULL},
    [WEFT_OPERATION_CHECK] = {weft_start_check, NULL, NULL},
    [WEFT_OPERATION_SEND] = {weft_start_send, weft_poll_requests, NULL},
    [WEFT_OPERATION_RECEIVE] = {weft_start_receive, weft_poll_requests, NULL},
    [WEFT_OPERATION_GATHER] = {weft_start_gather, weft_poll_gather, NULL},
    [WEFT_OPERATION_DROP] = {weft_start_drop, NULL, NULL},
    [WEFT_OPERATION_SUM] = {weft_start_sum, weft_poll_sum, weft_sum_awaited},
    [WEFT_OPERATION_ADD_TIED] = {weft_start_tied, NULL, NULL},
    [WEFT_OPERATION_NORM] = {weft_start_norm, weft_poll_norm, NULL},
    [WEFT_OPERATION_METRICS] = {weft_start_metrics, weft_poll_metrics, NULL},
};

weft_status weft_task_start(weft_task *task, weft_error *error)
{
    task->requests[0] = task->requests[1] = -1;
    task->part = 0;
    return rows[task->instruction->operation].start(task, error);
}

weft_status weft_task_poll(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    *out_done = *out_moved = false;
    return rows[task->instruction->operation].poll(task, out_done, out_moved, error);
}

int32_t weft_task_awaited(const weft_task *task)
{
    int32_t (*awaited)(const weft_task *) = rows[task->instruction->operation].awaited;
    return awaited ? awaited(task) : -1;
}

const weft_event *weft_task_pending(const weft_task *task)
{
    bool sums = task->instruction->operation == WEFT_OPERATION_SUM;
    return sums ? weft_reducer_adding(task->instruction->sum.reducer) : NULL;
}
