#include "train/executor_parts.h"

#include "base/clock.h"
#include "train/exchange.h"
#include "train/waiting.h"

static weft_status make_lane(weft_executor *executor, int32_t l, weft_error *error)
{
    const weft_device_operations *operations = executor->device->operations;
    weft_executor_lane *lane = &executor->lanes[l];
    lane->bound = &executor->bound->lanes[l];
    lane->past = lane->bound->first + lane->bound->count;
    lane->late = executor->events + 2 * executor->bound->count + l;
    lane->stream = executor->options.streams[lane->bound->kind];
    if (lane->stream) return WEFT_OK;
    TRY(operations->stream_create(executor->device, WEFT_STREAM_TRANSFER, &lane->made, error));
    lane->stream = lane->made;
    return WEFT_OK;
}

static weft_status make(weft_executor *executor, weft_arena *arena, weft_error *error)
{
    const weft_bound *bound = executor->bound;
    executor->event_count = (int32_t)(2 * bound->count) + bound->lane_count;
    TRY(weft_arena_take(arena, (size_t)bound->lane_count, sizeof *executor->lanes, &executor->lanes, error));
    TRY(weft_arena_take(arena, bound->count, sizeof *executor->states, &executor->states, error));
    TRY(weft_arena_take(arena, (size_t)executor->event_count, sizeof *executor->events, &executor->events, error));
    executor->begin = executor->events;
    executor->end = executor->events + bound->count;
    TRY(executor->device->operations->events_create(executor->device, executor->event_count, executor->events, error));
    for (int32_t l = 0; l < bound->lane_count; l++) TRY(make_lane(executor, l, error));
    return WEFT_OK;
}

weft_status weft_executor_create(const weft_executor_options *options, weft_arena *arena, weft_executor **out,
                                 weft_error *error)
{
    TRY(weft_arena_take(arena, 1, sizeof **out, out, error));
    **out =
        (weft_executor){.options = *options, .device = options->device, .bound = options->bound, .last_finished = -1};
    return make(*out, arena, error);
}

/* What a run that failed left on it still reads and writes memory. */
static void drain_lane(const weft_executor *executor, const weft_executor_lane *lane)
{
    weft_error met; /* whoever failed has told it */
    weft_status status = executor->device->operations->stream_wait(executor->device, lane->stream, &met);
    (void)status;
    if (lane->made) executor->device->operations->stream_destroy(executor->device, lane->made);
}

void weft_executor_destroy(weft_executor *executor)
{
    if (!executor) return;
    const weft_device_operations *operations = executor->device->operations;
    for (int32_t l = 0; executor->lanes && l < executor->bound->lane_count; l++)
        drain_lane(executor, &executor->lanes[l]);
    if (executor->events) operations->events_destroy(executor->device, executor->event_count, executor->events);
}

/* Whether what the host does for it needs what it waits for to have ended: device memory has no order of its own. */
static bool is_by_hand(const weft_executor *executor, uint32_t instruction)
{
    return executor->bound->instructions[instruction].driven && executor->options.host_reaches;
}

static bool is_over(const weft_executor *executor, uint32_t wait, bool by_hand)
{
    return by_hand ? weft_executor_has_ended(executor, wait) : executor->states[wait] != WEFT_WAITING;
}

static bool is_ready(const weft_executor *executor, const weft_executor_lane *lane)
{
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    bool by_hand = is_by_hand(executor, lane->next);
    if (lane->next - lane->left >= (by_hand ? 1 : WEFT_EXECUTOR_AHEAD)) return false;
    for (uint32_t i = 0; i < instruction->wait_count; i++)
        if (!is_over(executor, executor->bound->waits[instruction->waits + i], by_hand)) return false;
    return true;
}

static void spend(const weft_executor *executor, const weft_executor_lane *lane, int64_t since, int64_t busy,
                  int64_t latency)
{
    const weft_device_operations *operations = executor->device->operations;
    if (operations->spend) operations->spend(executor->device, lane->stream, since, busy, latency);
}

/* Orders the lane's next instruction behind all that it waits for. */
static void order(const weft_executor *executor, const weft_executor_lane *lane)
{
    const weft_device_operations *operations = executor->device->operations;
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    for (uint32_t i = 0; i < instruction->wait_count; i++)
        operations->event_wait(executor->device, lane->stream,
                               &executor->end[executor->bound->waits[instruction->waits + i]]);
    if (instruction->driven) spend(executor, lane, weft_clock_nanoseconds(), 0, 0);
    operations->event_record(executor->device, lane->stream, &executor->begin[lane->next]);
}

/* The device has all of it. since: when it got under way there. */
static void issue(weft_executor *executor, weft_executor_lane *lane, int64_t since)
{
    const weft_device_operations *operations = executor->device->operations;
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    spend(executor, lane, since, instruction->busy, instruction->latency);
    lane->free = &executor->end[lane->next];
    operations->event_record(executor->device, lane->stream, lane->free);
    if (instruction->latency > 0) {
        lane->free = lane->late;
        operations->event_record(executor->device, lane->stream, lane->free);
    }
    executor->states[lane->next] = WEFT_ISSUED;
    lane->active = false;
    lane->next++;
}

static weft_status start(weft_executor *executor, weft_executor_lane *lane, weft_error *error)
{
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    order(executor, lane);
    lane->active = true;
    lane->task = (weft_task){.instruction = instruction,
                             .device = executor->device,
                             .transport = executor->options.transport,
                             .stream = lane->stream,
                             .carrier = executor->options.host_reaches ? NULL : lane->stream};
    if (lane == executor->lanes) weft_executor_tell(executor, lane->next);
    TRY(weft_task_start(&lane->task, error));
    if (instruction->driven) return WEFT_OK;
    issue(executor, lane, 0);
    return weft_device_check(executor->device, error);
}

static weft_status poll(weft_executor *executor, weft_executor_lane *lane, bool *moved, weft_error *error)
{
    bool done = false, stirred = false;
    TRY(weft_task_poll(&lane->task, &done, &stirred, error));
    if (stirred) executor->last_progress = weft_clock_seconds();
    *moved |= stirred || done;
    if (done) issue(executor, lane, executor->options.transport->finished);
    return WEFT_OK;
}

/* Whether the lane has left behind what it was given last: of all before it only the ends count. */
static bool is_free(const weft_executor *executor, const weft_executor_lane *lane)
{
    if (lane->left + 1 < lane->next) return weft_executor_has_ended(executor, lane->left);
    return executor->device->operations->event_done(executor->device, lane->free);
}

static void leave_behind(weft_executor *executor, weft_executor_lane *lane, bool *moved)
{
    while (lane->left < lane->next && is_free(executor, lane)) {
        executor->last_finished = lane->left++;
        executor->left--;
        executor->last_progress = weft_clock_seconds();
        *moved = true;
    }
}

/* Moves one lane as far as it goes now. */
static weft_status advance(weft_executor *executor, weft_executor_lane *lane, bool *moved, weft_error *error)
{
    while (executor->status == WEFT_OK) { /* not on with the rest after the hook met an error */
        leave_behind(executor, lane, moved);
        if (lane->next == lane->past) return WEFT_OK;
        if (!lane->active) {
            if (!is_ready(executor, lane)) return WEFT_OK;
            TRY(start(executor, lane, error));
            *moved = true;
        }
        if (lane->active) TRY(poll(executor, lane, moved, error));
        if (lane->active) return WEFT_OK;
        /* What waits for a pass goes on before the next one, whose first operation may be a long one. */
        if (lane == executor->lanes) return WEFT_OK;
    }
    return WEFT_OK;
}

static weft_status advance_transfers(weft_executor *executor, bool *moved, weft_error *error)
{
    weft_status status = WEFT_OK;
    executor->polling = true;
    for (int32_t i = 1; i < executor->bound->lane_count && status == WEFT_OK; i++)
        status = advance(executor, &executor->lanes[i], moved, error);
    executor->polling = false;
    return status;
}

/* Called by the device after each operation: one thread computes and drives the transport. */
static void between(void *context)
{
    weft_executor *executor = context;
    if (executor->polling || executor->status != WEFT_OK) return;
    bool moved = false;
    weft_waiting_attend(executor->options.worker); /* also where no lane has anything under way */
    executor->status = advance_transfers(executor, &moved, &executor->error);
}

/* A pass waits for other tensor-parallel workers: what it may wait for in turn must move on. */
static weft_status drive(void *context, bool *moved, weft_error *error)
{
    weft_executor *executor = context;
    if (executor->status == WEFT_OK) return advance_transfers(executor, moved, error);
    *error = executor->error;
    return executor->status;
}

/* with: drive, or NULL where an instruction runs alone. */
static void attach_exchange(weft_executor *executor, weft_status (*with)(void *, bool *, weft_error *))
{
    weft_exchange_attach(executor->options.exchange,
                         (weft_exchange_host){executor, with, weft_executor_tell_exchange, weft_executor_tell_compute});
}

static void begin_run(weft_executor *executor, const weft_event *after)
{
    executor->left = executor->bound->count;
    executor->last_finished = -1;
    executor->status = WEFT_OK;
    executor->start = weft_clock_nanoseconds();
    executor->last_progress = weft_clock_seconds();
    executor->look = (weft_look){0};
    for (uint32_t i = 0; i < executor->bound->count; i++) executor->states[i] = WEFT_WAITING;
    for (int32_t i = 0; i < executor->bound->lane_count; i++) {
        weft_executor_lane *lane = &executor->lanes[i];
        lane->next = lane->left = lane->bound->first;
        lane->active = false;
        executor->device->operations->event_wait(executor->device, lane->stream, after);
        spend(executor, lane, executor->start, 0, 0);
    }
}

/* One round over all lanes. */
static weft_status advance_all(weft_executor *executor, bool *moved, weft_error *error)
{
    TRY(advance_transfers(executor, moved, error));
    TRY(advance(executor, &executor->lanes[0], moved, error));
    if (executor->status != WEFT_OK) *error = executor->error;
    return executor->status;
}

static weft_status run_lanes(weft_executor *executor, weft_error *error)
{
    bool told = false;
    while (executor->left > 0) {
        bool moved = false;
        TRY(advance_all(executor, &moved, error));
        if (moved) {
            told = false;
            executor->look = (weft_look){0};
        } else if (executor->left > 0) {
            TRY(weft_executor_pause(executor, &told, error));
        }
    }
    for (int32_t l = 0; l < executor->bound->lane_count; l++)
        TRY(executor->device->operations->stream_wait(executor->device, executor->lanes[l].stream, error));
    return WEFT_OK;
}

weft_status weft_executor_run(weft_executor *executor, const weft_event *after, weft_error *error)
{
    weft_device *device = executor->device;
    void (*hook)(void *) = device->between;
    void *context = device->between_context;
    begin_run(executor, after);
    device->between = between;
    device->between_context = executor;
    attach_exchange(executor, drive);
    weft_status status = run_lanes(executor, error);
    device->between = hook;
    device->between_context = context;
    return status;
}

static weft_status drive_alone(weft_executor *executor, weft_executor_lane *lane, weft_error *error)
{
    double since = weft_clock_seconds();
    for (bool told = false; lane->active;) {
        bool moved = false;
        TRY(poll(executor, lane, &moved, error));
        if (moved) {
            since = weft_clock_seconds();
            continue;
        }
        if (!told) weft_executor_tell_waiting(executor, lane);
        told = true;
        TRY(weft_waiting_pause(executor->options.worker, executor->waiting, &since, error));
    }
    return WEFT_OK;
}

weft_status weft_executor_run_alone(weft_executor *executor, uint32_t instruction, double *out_seconds,
                                    weft_error *error)
{
    weft_executor_lane *lane = weft_executor_lane_of(executor, instruction);
    lane->next = lane->left = instruction;
    attach_exchange(executor, NULL);
    TRY(start(executor, lane, error));
    TRY(drive_alone(executor, lane, error));
    TRY(executor->device->operations->stream_wait(executor->device, lane->stream, error));
    const weft_device_operations *operations = executor->device->operations;
    *out_seconds = (double)(operations->event_time(executor->device, &executor->end[instruction]) -
                            operations->event_time(executor->device, &executor->begin[instruction])) *
                   1e-9;
    return WEFT_OK;
}
