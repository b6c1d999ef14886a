/* What an executor waits for: in words for the other ranks, and how long it sleeps. */
#include "train/executor_parts.h"
#include "train/waiting.h"

#include <stdio.h>

static const char *text_of(const weft_executor *executor, uint32_t instruction, char out[WEFT_INSTRUCTION_TEXT])
{
    return weft_instruction_text(executor->bound, instruction, out);
}

static void publish(const weft_executor *executor, const char *verb, const char *what)
{
    char last[WEFT_INSTRUCTION_TEXT] = "nothing";
    if (executor->last_finished >= 0) text_of(executor, (uint32_t)executor->last_finished, last);
    weft_waiting_publish(executor->options.worker, last, verb, what);
}

void weft_executor_tell(const weft_executor *executor, uint32_t instruction)
{
    char what[WEFT_INSTRUCTION_TEXT];
    publish(executor, weft_waiting_runs, text_of(executor, instruction, what));
}

/* From the first lane with anything left, along what has not ended, to the lane whose instruction waits for another
 * rank. */
static const weft_executor_lane *waiting_lane(const weft_executor *executor)
{
    const weft_executor_lane *lane = executor->lanes;
    while (lane->next == lane->past) lane++;
    while (!lane->active) {
        const weft_instruction *instruction = &executor->bound->instructions[lane->next];
        const uint32_t *waits = executor->bound->waits + instruction->waits;
        uint32_t i = 0;
        while (i < instruction->wait_count && weft_executor_has_ended(executor, waits[i])) i++;
        if (i == instruction->wait_count) break;
        lane = weft_executor_lane_of(executor, waits[i]);
    }
    return lane;
}

/* What the lane's instruction is and whom it waits for. */
static void describe_waiting(weft_executor *executor, const weft_executor_lane *lane)
{
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    char what[WEFT_INSTRUCTION_TEXT], who[32];
    int32_t peer = lane->active ? weft_task_awaited(&lane->task) : -1;
    if (peer >= 0) snprintf(who, sizeof who, "with rank %d", peer);
    snprintf(executor->waiting, sizeof executor->waiting, "%s %s", text_of(executor, lane->next, what),
             peer >= 0 ? who : instruction->with);
}

void weft_executor_tell_waiting(weft_executor *executor, const weft_executor_lane *lane)
{
    describe_waiting(executor, lane);
    publish(executor, weft_waiting_waits, executor->waiting);
}

/* Whether the device has anything under way for the lane, and when that ends, or when the last of all that its next
 * instruction waits for does. */
static bool next_end(const weft_executor *executor, const weft_executor_lane *lane, int64_t *out)
{
    const weft_device_operations *operations = executor->device->operations;
    *out = 0;
    if (lane->left < lane->next) {
        const weft_event *event = lane->left + 1 < lane->next ? &executor->end[lane->left] : lane->free;
        *out = operations->event_due(executor->device, event);
        return true;
    }
    if (lane->next == lane->past) return false;
    if (lane->active) {
        const weft_event *pending = weft_task_pending(&lane->task);
        if (pending) *out = operations->event_due(executor->device, pending);
        return pending != NULL;
    }
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    for (uint32_t i = 0; i < instruction->wait_count; i++) {
        uint32_t wait = executor->bound->waits[instruction->waits + i];
        if (executor->states[wait] == WEFT_WAITING) return false;
        int64_t due = operations->event_due(executor->device, &executor->end[wait]);
        if (due > *out) *out = due;
    }
    return true;
}

/* Whether the device has anything under way, and when the first of it ends; INT64_MAX: it does not know. */
static bool is_under_way(const weft_executor *executor, int64_t *out_next)
{
    bool any = false;
    *out_next = INT64_MAX;
    for (int32_t i = 0; i < executor->bound->lane_count; i++) {
        int64_t end = 0;
        if (!next_end(executor, &executor->lanes[i], &end)) continue;
        any = true;
        if (end < *out_next) *out_next = end;
    }
    return any;
}

weft_status weft_executor_pause(weft_executor *executor, bool *told, weft_error *error)
{
    weft_transport *transport = executor->options.transport;
    int64_t next = INT64_MAX;
    if (is_under_way(executor, &next)) {
        *told = false;
        return transport->operations->wait(transport, weft_look_next(&executor->look, next), error);
    }
    if (!*told) weft_executor_tell_waiting(executor, waiting_lane(executor));
    *told = true;
    return weft_waiting_pause(executor->options.worker, executor->waiting, &executor->last_progress, error);
}

const char *weft_executor_tell_exchange(void *context, const char *exchange)
{
    weft_executor *executor = context;
    char what[WEFT_INSTRUCTION_TEXT];
    snprintf(executor->waiting, sizeof executor->waiting, "%s, %s", text_of(executor, executor->lanes[0].next, what),
             exchange);
    publish(executor, weft_waiting_waits, executor->waiting);
    return executor->waiting;
}

void weft_executor_tell_compute(void *context)
{
    const weft_executor *executor = context;
    weft_executor_tell(executor, executor->lanes[0].next);
}
