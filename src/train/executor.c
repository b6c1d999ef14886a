#include "train/executor.h"

#include "base/clock.h"
#include "train/exchange.h"
#include "train/look.h"
#include "train/task.h"
#include "train/waiting.h"

#include <stdio.h>

typedef struct {
    const weft_bound_lane *bound;
    weft_stream *stream, *made; /* made: its own, to be destroyed */
    uint32_t next, past;        /* instruction that is issued next or under way; past the last */
    uint32_t left;              /* the first one that the lane has not left behind */
    bool active;                /* next is under way with others */
    weft_task task;
    weft_event *late; /* behind an instruction whose end comes later than the lane may go on */
    weft_event *free; /* the lane may go on when it is reached; what waits for an instruction waits for its end */
} lane_state;

typedef enum { WAITING, ISSUED, ENDED } state;

struct weft_executor {
    weft_executor_options options;
    weft_device *device;
    const weft_bound *bound;
    lane_state *lanes;  /* lanes[0] is the compute lane */
    uint32_t left;      /* instructions that no lane has left behind in this run */
    uint8_t *states;    /* (instructions) */
    weft_event *events; /* (2 instructions + lanes) begins, ends, then late of each lane */
    int32_t event_count;
    weft_event *begin, *end; /* (instructions) */
    int64_t start;           /* nanoseconds when the run began */
    double last_progress;
    weft_look look;
    int64_t last_finished;               /* instruction, or -1 */
    char waiting[64 + WEFT_WORLD_NAMES]; /* for what, in words, since nothing moves */
    bool polling;                        /* the between hook must not enter itself */
    weft_status status;                  /* of what the hook met */
    weft_error error;
};

static weft_status make_lane(weft_executor *executor, int32_t l, weft_error *error)
{
    const weft_device_operations *operations = executor->device->operations;
    lane_state *lane = &executor->lanes[l];
    lane->bound = &executor->bound->lanes[l];
    lane->past = lane->bound->first + lane->bound->count;
    lane->late = executor->events + 2 * executor->bound->count + l;
    lane->stream = executor->options.streams[lane->bound->kind];
    bool carries = lane->bound->kind != WEFT_PROGRAM_COMPUTE && lane->bound->kind != WEFT_PROGRAM_REDUCE &&
                   lane->bound->kind != WEFT_PROGRAM_GATHER;
    if (!carries) return WEFT_OK;
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

void weft_executor_destroy(weft_executor *executor)
{
    if (!executor) return;
    const weft_device_operations *operations = executor->device->operations;
    for (int32_t l = 0; executor->lanes && l < executor->bound->lane_count; l++)
        if (executor->lanes[l].made) operations->stream_destroy(executor->device, executor->lanes[l].made);
    if (executor->events) operations->events_destroy(executor->device, executor->event_count, executor->events);
}

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

static void publish_compute(const weft_executor *executor, uint32_t instruction)
{
    char what[WEFT_INSTRUCTION_TEXT];
    publish(executor, weft_waiting_runs, text_of(executor, instruction, what));
}

static bool has_ended(const weft_executor *executor, uint32_t instruction)
{
    uint8_t *at = &executor->states[instruction];
    if (*at == ISSUED && executor->device->operations->event_done(executor->device, &executor->end[instruction]))
        *at = ENDED;
    return *at == ENDED;
}

/* Whether what the host does for it needs what it waits for to have ended: device memory has no order of its own. */
static bool is_by_hand(const weft_executor *executor, uint32_t instruction)
{
    return executor->bound->instructions[instruction].driven && executor->options.host_reaches;
}

static bool is_over(const weft_executor *executor, uint32_t wait, bool by_hand)
{
    return by_hand ? has_ended(executor, wait) : executor->states[wait] != WAITING;
}

static bool is_ready(const weft_executor *executor, const lane_state *lane)
{
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    bool by_hand = is_by_hand(executor, lane->next);
    if (lane->next - lane->left >= (by_hand ? 1 : WEFT_EXECUTOR_AHEAD)) return false;
    for (uint32_t i = 0; i < instruction->wait_count; i++)
        if (!is_over(executor, executor->bound->waits[instruction->waits + i], by_hand)) return false;
    return true;
}

static void spend(const weft_executor *executor, const lane_state *lane, int64_t since, int64_t busy, int64_t latency)
{
    const weft_device_operations *operations = executor->device->operations;
    if (operations->spend) operations->spend(executor->device, lane->stream, since, busy, latency);
}

/* Orders the lane's next instruction behind all that it waits for. */
static void order(const weft_executor *executor, const lane_state *lane)
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
static void issue(weft_executor *executor, lane_state *lane, int64_t since)
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
    executor->states[lane->next] = ISSUED;
    lane->active = false;
    lane->next++;
}

static weft_status start(weft_executor *executor, lane_state *lane, weft_error *error)
{
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    order(executor, lane);
    lane->active = true;
    lane->task = (weft_task){.instruction = instruction,
                             .device = executor->device,
                             .transport = executor->options.transport,
                             .stream = lane->stream,
                             .carrier = executor->options.host_reaches ? NULL : lane->stream};
    if (lane == executor->lanes) publish_compute(executor, lane->next);
    TRY(weft_task_start(&lane->task, error));
    if (instruction->driven) return WEFT_OK;
    issue(executor, lane, 0);
    return weft_device_check(executor->device, error);
}

static weft_status poll(weft_executor *executor, lane_state *lane, bool *moved, weft_error *error)
{
    bool done = false, stirred = false;
    TRY(weft_task_poll(&lane->task, &done, &stirred, error));
    if (stirred) executor->last_progress = weft_clock_seconds();
    *moved |= stirred || done;
    if (done) issue(executor, lane, executor->options.transport->finished);
    return WEFT_OK;
}

/* Whether the lane has left behind what it was given last: of all before it only the ends count. */
static bool is_free(const weft_executor *executor, const lane_state *lane)
{
    if (lane->left + 1 < lane->next) return has_ended(executor, lane->left);
    return executor->device->operations->event_done(executor->device, lane->free);
}

static void leave_behind(weft_executor *executor, lane_state *lane, bool *moved)
{
    while (lane->left < lane->next && is_free(executor, lane)) {
        executor->last_finished = lane->left++;
        executor->left--;
        executor->last_progress = weft_clock_seconds();
        *moved = true;
    }
}

/* Moves one lane as far as it goes now. */
static weft_status advance(weft_executor *executor, lane_state *lane, bool *moved, weft_error *error)
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

static const char *tell_exchange(void *context, const char *exchange)
{
    weft_executor *executor = context;
    char what[WEFT_INSTRUCTION_TEXT];
    snprintf(executor->waiting, sizeof executor->waiting, "%s, %s", text_of(executor, executor->lanes[0].next, what),
             exchange);
    publish(executor, weft_waiting_waits, executor->waiting);
    return executor->waiting;
}

static void tell_compute(void *context)
{
    const weft_executor *executor = context;
    publish_compute(executor, executor->lanes[0].next);
}

/* with: drive, or NULL where an instruction runs alone. */
static void attach_exchange(weft_executor *executor, weft_status (*with)(void *, bool *, weft_error *))
{
    weft_exchange_attach(executor->options.exchange, (weft_exchange_host){executor, with, tell_exchange, tell_compute});
}

static lane_state *lane_of(const weft_executor *executor, uint32_t instruction)
{
    int32_t i = 0;
    while (instruction >= executor->lanes[i].past) i++;
    return &executor->lanes[i];
}

/* From the first lane with anything left, along what has not ended, to the lane whose instruction waits for another
 * rank. */
static const lane_state *waiting_lane(const weft_executor *executor)
{
    const lane_state *lane = executor->lanes;
    while (lane->next == lane->past) lane++;
    while (!lane->active) {
        const weft_instruction *instruction = &executor->bound->instructions[lane->next];
        const uint32_t *waits = executor->bound->waits + instruction->waits;
        uint32_t i = 0;
        while (i < instruction->wait_count && has_ended(executor, waits[i])) i++;
        if (i == instruction->wait_count) break;
        lane = lane_of(executor, waits[i]);
    }
    return lane;
}

/* What the lane's instruction is and whom it waits for. */
static void describe_waiting(weft_executor *executor, const lane_state *lane)
{
    const weft_instruction *instruction = &executor->bound->instructions[lane->next];
    char what[WEFT_INSTRUCTION_TEXT], who[32];
    int32_t peer = lane->active ? weft_task_awaited(&lane->task) : -1;
    if (peer >= 0) snprintf(who, sizeof who, "with rank %d", peer);
    snprintf(executor->waiting, sizeof executor->waiting, "%s %s", text_of(executor, lane->next, what),
             peer >= 0 ? who : instruction->with);
}

static void publish_waiting(weft_executor *executor)
{
    describe_waiting(executor, waiting_lane(executor));
    publish(executor, weft_waiting_waits, executor->waiting);
}

static void begin_run(weft_executor *executor, const weft_event *after)
{
    executor->left = executor->bound->count;
    executor->last_finished = -1;
    executor->status = WEFT_OK;
    executor->start = weft_clock_nanoseconds();
    executor->last_progress = weft_clock_seconds();
    executor->look = (weft_look){0};
    for (uint32_t i = 0; i < executor->bound->count; i++) executor->states[i] = WAITING;
    for (int32_t i = 0; i < executor->bound->lane_count; i++) {
        lane_state *lane = &executor->lanes[i];
        lane->next = lane->left = lane->bound->first;
        lane->active = false;
        executor->device->operations->event_wait(executor->device, lane->stream, after);
        spend(executor, lane, executor->start, 0, 0);
    }
}

/* Whether the device has anything under way for the lane, and when that ends, or when the last of all that its next
 * instruction waits for does. */
static bool next_end(const weft_executor *executor, const lane_state *lane, int64_t *out)
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
        if (executor->states[wait] == WAITING) return false;
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

/* Sleeps until the device or another rank may have finished something. *told: the others know what it waits for. */
static weft_status pause_run(weft_executor *executor, bool *told, weft_error *error)
{
    weft_transport *transport = executor->options.transport;
    int64_t next = INT64_MAX;
    if (is_under_way(executor, &next)) {
        *told = false;
        return transport->operations->wait(transport, weft_look_next(&executor->look, next), error);
    }
    if (!*told) publish_waiting(executor);
    *told = true;
    return weft_waiting_pause(executor->options.worker, executor->waiting, &executor->last_progress, error);
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
            TRY(pause_run(executor, &told, error));
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

static weft_status drive_alone(weft_executor *executor, lane_state *lane, weft_error *error)
{
    double since = weft_clock_seconds();
    for (bool told = false; lane->active;) {
        bool moved = false;
        TRY(poll(executor, lane, &moved, error));
        if (moved) {
            since = weft_clock_seconds();
            continue;
        }
        if (!told) {
            describe_waiting(executor, lane);
            publish(executor, weft_waiting_waits, executor->waiting);
        }
        told = true;
        TRY(weft_waiting_pause(executor->options.worker, executor->waiting, &since, error));
    }
    return WEFT_OK;
}

weft_status weft_executor_run_alone(weft_executor *executor, uint32_t instruction, double *out_seconds,
                                    weft_error *error)
{
    lane_state *lane = lane_of(executor, instruction);
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
