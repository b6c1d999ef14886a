/* What runs on the compute lane: passes through stages, updates, and checks of gradients. */
#include "train/task.h"

weft_status weft_start_pass(weft_task *task, weft_error *error)
{
    static void (*const passes[])(weft_stage *, weft_stream *, const weft_stage_buffers *) = {
        [WEFT_OPERATION_FORWARD] = weft_stage_forward,
        [WEFT_OPERATION_BACKWARD] = weft_stage_backward,
        [WEFT_OPERATION_BACKWARD_INPUT] = weft_stage_backward_input,
        [WEFT_OPERATION_BACKWARD_WEIGHT] = weft_stage_backward_weight,
    };
    const weft_pass_operands *pass = &task->instruction->pass;
    weft_stage_buffers buffers = pass->buffers;
    buffers.logits_position = *pass->logits_position;
    passes[task->instruction->operation](pass->stage, task->stream, &buffers);
    (void)error; /* the device has it */
    return WEFT_OK;
}

weft_status weft_start_update(weft_task *task, weft_error *error)
{
    const weft_update *update = &task->instruction->update;
    (void)error;
    for (int32_t i = 0; i < update->count; i++) {
        const weft_update_part *part = &update->parts[i];
        task->device->operations->adamw(task->device, task->stream, part->count, update->scalars, part->decay,
                                        part->gradient, part->weight, part->moment1, part->moment2, part->storage);
    }
    return WEFT_OK;
}

weft_status weft_start_check(weft_task *task, weft_error *error)
{
    const weft_check *check = &task->instruction->check;
    const weft_device_operations *operations = task->device->operations;
    (void)error;
    for (int32_t i = 0; i < check->count; i++)
        operations->square_sums(task->device, task->stream, check->squares[i].count, check->squares[i].gradient,
                                check->squares[i].sums);
    operations->copy_out(task->device, task->stream, check->out, check->sums, check->bytes);
    return WEFT_OK;
}
