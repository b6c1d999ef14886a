/* Messages between neighbours in the pipeline. */
#include "train/task.h"

weft_status weft_start_send(weft_task *task, weft_error *error)
{
    const weft_message *message = &task->instruction->message;
    return task->transport->operations->send(task->transport, task->carrier, message->peer, message->tag,
                                             message->memory, message->bytes, &task->requests[0], error);
}

weft_status weft_start_receive(weft_task *task, weft_error *error)
{
    const weft_message *message = &task->instruction->message;
    return task->transport->operations->receive(task->transport, task->carrier, message->peer, message->tag,
                                                message->memory, message->bytes, &task->requests[0], error);
}

weft_status weft_poll_requests(weft_task *task, bool *out_done, bool *out_moved, weft_error *error)
{
    (void)out_moved;
    for (int i = 0; i < 2; i++) {
        if (task->requests[i] < 0) continue;
        bool done = false;
        TRY(task->transport->operations->test(task->transport, task->requests[i], &done, error));
        if (!done) return WEFT_OK;
        task->requests[i] = -1;
    }
    *out_done = true;
    return WEFT_OK;
}
