/* When the instructions of the last run began and ended. */
#include "train/executor_parts.h"

void weft_executor_times(const weft_executor *executor, double *begin, double *end)
{
    const weft_bound *bound = executor->bound;
    const weft_device_operations *operations = executor->device->operations;
    for (uint32_t i = 0; i < bound->actions; i++) {
        const weft_event *first = &executor->begin[bound->first_of[i]];
        const weft_event *last = &executor->end[bound->first_of[i + 1] - 1];
        begin[i] = (double)(operations->event_time(executor->device, first) - executor->start) * 1e-9;
        end[i] = (double)(operations->event_time(executor->device, last) - executor->start) * 1e-9;
    }
}

int64_t weft_executor_start(const weft_executor *executor)
{
    return executor->start;
}

uint32_t weft_executor_count(const weft_executor *executor)
{
    return executor->bound->actions;
}

double weft_executor_busy(const weft_executor *executor)
{
    const weft_device_operations *operations = executor->device->operations;
    double busy = 0;
    for (uint32_t i = 0; i < executor->bound->lanes[0].count; i++)
        busy += (double)(operations->event_time(executor->device, &executor->end[i]) -
                         operations->event_time(executor->device, &executor->begin[i])) *
                1e-9;
    return busy;
}

const weft_bound *weft_executor_bound(const weft_executor *executor)
{
    return executor->bound;
}
