#include "train/executor.h"

#include "base/clock.h"
#include "train/collective.h"
#include "train/exchange.h"
#include "train/waiting.h"

#include <stdio.h>

typedef struct {
    const weft_lane *lane;
    uint32_t next;   /* action of the program that runs or comes next */
    bool active;     /* it has been started */
    bool arrived;    /* the transport has done its part of it */
    weft_event free; /* the lane may go on; what waits for the action waits for its end */
    weft_request request;
    weft_collective collective;
} lane_state;

struct weft_executor {
    weft_worker *worker;
    const weft_program *program;
    weft_stage **stages;
    lane_state *lanes; /* lanes[0] is the compute lane */
    int32_t lane_count;
    uint32_t first, count; /* this rank's actions */
    uint32_t left;         /* not yet done in this run */
    bool *done;            /* (count) */
    bool *overwrites; /* (count) a stage's first B or W of a step, or since its REDUCE_GRAD, overwrites the gradients,
                         later ones add; the same for a stage's first REDUCE_GRAD */
    int32_t *pages;   /* (count) where B and W add gradients, if that is on pages */
    weft_event *begin, *end; /* (count) */
    int64_t start;           /* nanoseconds when the run began */
    double last_progress;
    int64_t last_finished;               /* action, or -1 */
    char waiting[64 + WEFT_WORLD_NAMES]; /* for what, in words, since nothing moves */
    bool polling;                        /* the between hook must not enter itself */
    weft_status status;                  /* of what the hook met */
    weft_error error;
};

static void between(void *context);

/* What a REDUCE_GRAD takes: the gradients of its stage from `from` to before `past` on the compute lane. */
static void take_gradients(weft_executor *executor, weft_action reduction, uint32_t from, uint32_t past)
{
    bool first = true;
    for (uint32_t i = from; i < past; i++) {
        weft_action action = executor->program->actions[executor->first + i];
        if (action.stage != reduction.stage || (action.kind != WEFT_B && action.kind != WEFT_W)) continue;
        executor->overwrites[i] = first;
        executor->pages[i] = (int32_t)reduction.microbatch;
        first = false;
    }
}

/* since: (S) zeros; which gradients of a stage are reduced. */
static void find_reductions(weft_executor *executor, uint32_t *since)
{
    const weft_program *program = executor->program;
    uint32_t waited = 0, compute = executor->lanes[0].lane->count;
    for (int32_t l = 1; l < executor->lane_count; l++) {
        const weft_lane *lane = executor->lanes[l].lane;
        for (uint32_t a = lane->first; lane->kind == WEFT_PROGRAM_REDUCE && a < lane->first + lane->count; a++) {
            for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++) {
                uint32_t place = program->after[i] - executor->first;
                if (place < compute && place >= waited) waited = place + 1;
            }
            weft_action action = program->actions[a];
            if (action.kind != WEFT_REDUCE_GRAD) continue;
            executor->overwrites[a - executor->first] = since[action.stage] == 0;
            take_gradients(executor, action, since[action.stage], waited);
            since[action.stage] = waited;
        }
    }
}

static void find_firsts(weft_executor *executor, uint32_t *seen)
{
    for (uint32_t i = 0; i < executor->lanes[0].lane->count; i++) {
        weft_action action = executor->program->actions[executor->first + i];
        if (action.kind == WEFT_B || action.kind == WEFT_W) executor->overwrites[i] = seen[action.stage]++ == 0;
    }
}

static weft_status find_overwrites(weft_executor *executor, weft_error *error)
{
    weft_arena *arena = &executor->worker->arena;
    uint32_t *stages = NULL;
    TRY(weft_arena_take(arena, executor->count, sizeof *executor->overwrites, &executor->overwrites, error));
    TRY(weft_arena_take(arena, executor->count, sizeof *executor->pages, &executor->pages, error));
    TRY(weft_arena_take(arena, (size_t)executor->program->stages, sizeof *stages, &stages, error));
    (executor->program->data > 1 ? find_reductions : find_firsts)(executor, stages);
    return WEFT_OK;
}

weft_status weft_executor_create(weft_worker *worker, const weft_program *program, weft_stage **stages,
                                 weft_executor **out, weft_error *error)
{
    weft_executor *executor = NULL;
    TRY(weft_arena_take(&worker->arena, 1, sizeof *executor, &executor, error));
    *executor = (weft_executor){.worker = worker, .program = program, .stages = stages, .last_finished = -1};
    int32_t lane = program->rank_lanes[worker->at.rank];
    executor->lane_count = program->rank_lanes[worker->at.rank + 1] - lane;
    TRY(weft_arena_take(&worker->arena, (size_t)executor->lane_count, sizeof *executor->lanes, &executor->lanes,
                        error));
    executor->first = program->lanes[lane].first;
    for (int32_t i = 0; i < executor->lane_count; i++) {
        executor->lanes[i].lane = &program->lanes[lane + i];
        executor->count += program->lanes[lane + i].count;
    }
    TRY(weft_arena_take(&worker->arena, executor->count, sizeof *executor->done, &executor->done, error));
    TRY(weft_arena_take(&worker->arena, executor->count, sizeof *executor->begin, &executor->begin, error));
    TRY(weft_arena_take(&worker->arena, executor->count, sizeof *executor->end, &executor->end, error));
    *out = executor;
    return find_overwrites(executor, error);
}

static void describe(const weft_executor *executor, uint32_t action, char *out, size_t size)
{
    const weft_action *a = &executor->program->actions[action];
    const weft_action_info *info = weft_action_info_get((weft_action_kind)a->kind);
    if (info->operands == WEFT_OPERANDS_NONE)
        snprintf(out, size, "%s", info->name);
    else if (info->operands == WEFT_OPERANDS_STAGE)
        snprintf(out, size, "%u%s", a->stage, info->name);
    else
        snprintf(out, size, "%u%s%u", a->stage, info->name, a->microbatch);
}

static void publish(const weft_executor *executor, const char *verb, const char *what)
{
    char last[32] = "nothing";
    if (executor->last_finished >= 0) describe(executor, (uint32_t)executor->last_finished, last, sizeof last);
    weft_waiting_publish(executor->worker, last, verb, what);
}

static void publish_compute(const weft_executor *executor, uint32_t action)
{
    char what[32];
    describe(executor, action, what, sizeof what);
    publish(executor, weft_waiting_runs, what);
}

static bool has_ended(const weft_executor *executor, uint32_t action)
{
    weft_device *device = executor->worker->device;
    uint32_t place = action - executor->first;
    return executor->done[place] && device->operations->event_done(device, &executor->end[place]);
}

static bool is_ready(const weft_executor *executor, uint32_t action)
{
    const weft_program *program = executor->program;
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
        if (!has_ended(executor, program->after[i])) return false;
    return true;
}

static void finish_action(weft_executor *executor, lane_state *lane)
{
    executor->done[lane->next - executor->first] = true;
    executor->last_finished = lane->next;
    executor->left--;
    lane->next++;
    lane->active = false;
    executor->last_progress = weft_clock_seconds();
}

static void *slot_memory(const weft_executor *executor, int32_t buffer)
{
    return buffer < 0 ? NULL : executor->worker->slots + executor->program->buffers[buffer].offset;
}

static weft_stage_buffers buffers_of(const weft_executor *executor, int32_t s, int32_t m)
{
    const weft_program *program = executor->program;
    const weft_worker *worker = executor->worker;
    const weft_config *config = worker->job->config;
    int64_t batch = m * config->batch.sequences * config->batch.tokens;
    return (weft_stage_buffers){
        .tokens = worker->tokens + batch,
        .targets = worker->targets + batch,
        .input = slot_memory(executor, weft_program_slot(program, WEFT_SLOT_INPUT, s, m)),
        .output = slot_memory(executor, weft_program_output(program, s, m)),
        .stash = slot_memory(executor, weft_program_slot(program, WEFT_SLOT_STASH, s, m)),
        .gradient = slot_memory(executor, weft_program_slot(program, WEFT_SLOT_GRADIENT, s, m)),
        .gradient_out = slot_memory(executor, weft_program_gradient_out(program, s, m)),
        .work = slot_memory(executor, weft_program_slot(program, WEFT_SLOT_WORK, s, m)),
        .workspace = worker->scratch,
        .loss = worker->losses + m,
        .scalars = worker->scalars,
        .logits = worker->logits,
        .logits_position = worker->logits_position,
    };
}

static void update_stage(weft_worker *worker, const weft_job_stage *stage)
{
    const weft_job *job = worker->job;
    for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++) {
        const weft_parameter *parameter = &job->parameters[p];
        weft_share share = weft_share_of(job, p, worker->at.data);
        if ((parameter->tied && job->tied_alias) || job->frozen[p] || share.from == share.to) continue;
        weft_own own = weft_worker_own(worker, p);
        bool rounds = job->options.element != WEFT_FP32;
        worker->device->operations->adamw(worker->device, NULL, share.to - share.from, worker->scalars,
                                          parameter->decay, own.gradient, own.weight, own.moment1, own.moment2,
                                          rounds ? own.storage : NULL);
    }
}

/* Looks for the first gradient of the stage that is not finite now; only in the repeated step of a diagnosis. */
static void diagnose_stage(weft_worker *worker, int32_t s, int32_t m)
{
    const weft_job *job = worker->job;
    const weft_job_stage *stage = &job->stages[s];
    if (worker->bad_stage >= 0) return;
    for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++) {
        double *sums = worker->ordered_sums, total = 0;
        if (job->frozen[p]) continue;
        worker->device->operations->square_sums(worker->device, NULL, job->parameters[p].own, worker->gradient[p],
                                                sums);
        for (int32_t i = 0; i < weft_job_blocks(&job->parameters[p]); i++) total += sums[i];
        if (total - total == 0) continue;
        worker->bad_stage = s;
        worker->bad_microbatch = m;
        snprintf(worker->bad_parameter, sizeof worker->bad_parameter, "%s", job->parameters[p].name);
        return;
    }
}

static void run_compute(weft_executor *executor, uint32_t index)
{
    weft_worker *worker = executor->worker;
    weft_action action = executor->program->actions[index];
    int32_t s = (int32_t)action.stage, m = (int32_t)action.microbatch;
    if (action.kind == WEFT_UPDATE) {
        if (!worker->diagnose) update_stage(worker, &worker->job->stages[s]);
        return;
    }
    if (worker->job->gradient_pages && (action.kind == WEFT_B || action.kind == WEFT_W))
        weft_worker_use_gradient_page(worker, s, executor->pages[index - executor->first]);
    weft_stage_buffers buffers = buffers_of(executor, s, m);
    weft_stage *stage = executor->stages[s];
    if (action.kind == WEFT_F) {
        weft_stage_forward(stage, NULL, &buffers);
        return;
    }
    buffers.accumulate = !executor->overwrites[index - executor->first];
    if (action.kind == WEFT_I)
        weft_stage_backward_input(stage, NULL, &buffers);
    else if (action.kind == WEFT_W)
        weft_stage_backward_weight(stage, NULL, &buffers);
    else
        weft_stage_backward(stage, NULL, &buffers);
    if (worker->diagnose && action.kind != WEFT_I) diagnose_stage(worker, s, m);
}

static weft_status start_message(weft_executor *executor, lane_state *lane, weft_error *error)
{
    const weft_program *program = executor->program;
    weft_action action = program->actions[lane->next];
    weft_transport *transport = executor->worker->transport;
    int32_t s = (int32_t)action.stage, m = (int32_t)action.microbatch, slot = -1;
    switch (lane->lane->kind) {
    case WEFT_PROGRAM_SEND_F:
        slot = weft_program_output(program, s, m);
        break;
    case WEFT_PROGRAM_RECV_F:
        slot = weft_program_slot(program, WEFT_SLOT_INPUT, s, m);
        break;
    case WEFT_PROGRAM_SEND_B:
        slot = weft_program_gradient_out(program, s, m);
        break;
    default:
        slot = weft_program_slot(program, WEFT_SLOT_GRADIENT, s, m);
        break;
    }
    /* The slot may be larger than the message: both ends send the boundary's exact bytes. */
    size_t bytes = weft_job_boundary(executor->worker->job);
    bool sends = lane->lane->kind == WEFT_PROGRAM_SEND_F || lane->lane->kind == WEFT_PROGRAM_SEND_B;
    void *memory = slot_memory(executor, slot);
    int32_t peer = weft_worker_at(executor->worker, lane->lane->peer);
    if (sends)
        return transport->operations->send(transport, NULL, peer, lane->lane->tag, memory, bytes, &lane->request,
                                           error);
    return transport->operations->receive(transport, NULL, peer, lane->lane->tag, memory, bytes, &lane->request, error);
}

/* When all that the lane's next action waits for was done, whenever this thread came round to it. */
static int64_t due_since(const weft_executor *executor, const lane_state *lane)
{
    const weft_program *program = executor->program;
    int64_t since = executor->start;
    if (lane->next > lane->lane->first) since = executor->end[lane->next - 1 - executor->first].nanoseconds;
    for (uint32_t i = program->after_first[lane->next]; i < program->after_first[lane->next + 1]; i++) {
        int64_t end = executor->end[program->after[i] - executor->first].nanoseconds;
        if (end > since) since = end;
    }
    return since;
}

/* The end of what was handed to the device, or of what the transport has done. since: when it got under way there. */
static void record_end(weft_executor *executor, lane_state *lane, int64_t since)
{
    weft_device *device = executor->worker->device;
    weft_event *end = &executor->end[lane->next - executor->first];
    if (device->operations->event_charge) {
        device->operations->event_charge(device, executor->program->actions[lane->next], since, &lane->free, end);
        return;
    }
    device->operations->event_record(device, NULL, end);
    lane->free = *end;
}

/* Both ends of an action that needs no other rank: a stream goes from one to the next by itself. */
static void record_own(weft_executor *executor, lane_state *lane)
{
    int64_t since = due_since(executor, lane);
    if (executor->worker->device->operations->event_charge)
        executor->begin[lane->next - executor->first].nanoseconds = since;
    record_end(executor, lane, since);
}

static bool is_collective(const lane_state *lane)
{
    return lane->lane->kind == WEFT_PROGRAM_REDUCE || lane->lane->kind == WEFT_PROGRAM_GATHER;
}

static weft_status start_action(weft_executor *executor, lane_state *lane, weft_error *error)
{
    weft_device *device = executor->worker->device;
    device->operations->event_record(device, NULL, &executor->begin[lane->next - executor->first]);
    lane->active = true;
    lane->arrived = false;
    if (is_collective(lane))
        return weft_collective_start(&lane->collective, executor->worker, executor->program->actions[lane->next],
                                     executor->overwrites[lane->next - executor->first], error);
    if (lane->lane->kind != WEFT_PROGRAM_COMPUTE) return start_message(executor, lane, error);
    publish_compute(executor, lane->next);
    run_compute(executor, lane->next);
    record_own(executor, lane);
    lane->arrived = true;
    return weft_device_check(device, error);
}

static weft_status poll_transport(weft_executor *executor, lane_state *lane, bool *moved, weft_error *error)
{
    weft_transport *transport = executor->worker->transport;
    bool reduces = is_collective(lane), stirred = false;
    if (reduces) {
        TRY(weft_collective_poll(&lane->collective, executor->worker, &lane->arrived, &stirred, error));
        if (stirred) executor->last_progress = weft_clock_seconds();
        *moved |= stirred;
    } else {
        TRY(transport->operations->test(transport, lane->request, &lane->arrived, error));
    }
    if (!lane->arrived) return WEFT_OK;
    if (reduces && !lane->collective.waiting)
        record_own(executor, lane);
    else
        record_end(executor, lane, transport->finished);
    return WEFT_OK;
}

static weft_status poll_action(weft_executor *executor, lane_state *lane, bool *out_done, bool *moved,
                               weft_error *error)
{
    weft_device *device = executor->worker->device;
    if (!lane->arrived) TRY(poll_transport(executor, lane, moved, error));
    *out_done = lane->arrived && device->operations->event_done(device, &lane->free);
    return WEFT_OK;
}

/* Moves one lane as far as it goes now. */
static weft_status advance(weft_executor *executor, lane_state *lane, bool *moved, weft_error *error)
{
    uint32_t past = lane->lane->first + lane->lane->count;
    while (lane->next < past && executor->status == WEFT_OK) { /* not on with the rest after the hook met an error */
        if (!lane->active) {
            if (!is_ready(executor, lane->next)) return WEFT_OK;
            TRY(start_action(executor, lane, error));
            *moved = true;
        }
        bool done = false;
        TRY(poll_action(executor, lane, &done, moved, error));
        if (!done) return WEFT_OK;
        finish_action(executor, lane);
        *moved = true;
    }
    return WEFT_OK;
}

static weft_status advance_messages(weft_executor *executor, bool *moved, weft_error *error)
{
    weft_status status = WEFT_OK;
    executor->polling = true;
    for (int32_t i = 1; i < executor->lane_count && status == WEFT_OK; i++)
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
    weft_waiting_attend(executor->worker); /* also where no lane has anything under way */
    executor->status = advance_messages(executor, &moved, &executor->error);
}

/* A pass waits for other tensor-parallel workers: what it may wait for in turn must move on. */
static weft_status drive(void *context, bool *moved, weft_error *error)
{
    weft_executor *executor = context;
    if (executor->status == WEFT_OK) return advance_messages(executor, moved, error);
    *error = executor->error;
    return executor->status;
}

static const char *tell_exchange(void *context, const char *exchange)
{
    weft_executor *executor = context;
    char action[32];
    describe(executor, executor->lanes[0].next, action, sizeof action);
    snprintf(executor->waiting, sizeof executor->waiting, "%s, %s", action, exchange);
    publish(executor, weft_waiting_waits, executor->waiting);
    return executor->waiting;
}

static void tell_compute(void *context)
{
    const weft_executor *executor = context;
    publish_compute(executor, executor->lanes[0].next);
}

/* with: drive, or NULL where an action runs alone. */
static void attach_exchange(weft_executor *executor, weft_status (*with)(void *, bool *, weft_error *))
{
    weft_exchange_attach(executor->worker->exchange, (weft_exchange_host){executor, with, tell_exchange, tell_compute});
}

static lane_state *lane_of(const weft_executor *executor, uint32_t action)
{
    int32_t i = 0;
    while (action - executor->lanes[i].lane->first >= executor->lanes[i].lane->count) i++;
    return &executor->lanes[i];
}

/* From the first lane with anything left, along what is not done, to the lane whose action waits for another rank. */
static const lane_state *waiting_lane(const weft_executor *executor)
{
    const weft_program *program = executor->program;
    const lane_state *lane = executor->lanes;
    while (lane->next == lane->lane->first + lane->lane->count) lane++;
    while (!lane->active) {
        uint32_t i = program->after_first[lane->next], past = program->after_first[lane->next + 1];
        while (i < past && has_ended(executor, program->after[i])) i++;
        if (i == past) break;
        lane = lane_of(executor, program->after[i]);
    }
    return lane;
}

/* What the lane's action is and whom it waits for. */
static void describe_waiting(weft_executor *executor, const lane_state *lane)
{
    char what[32], who[40] = "on this rank";
    describe(executor, lane->next, what, sizeof what);
    if (is_collective(lane))
        weft_collective_awaited(&lane->collective, executor->worker, who, sizeof who);
    else if (lane->lane->peer >= 0)
        snprintf(who, sizeof who, "with rank %d", weft_worker_at(executor->worker, lane->lane->peer));
    snprintf(executor->waiting, sizeof executor->waiting, "%s %s", what, who);
}

static void publish_waiting(weft_executor *executor)
{
    describe_waiting(executor, waiting_lane(executor));
    publish(executor, weft_waiting_waits, executor->waiting);
}

static void begin_run(weft_executor *executor)
{
    executor->left = executor->count;
    executor->last_finished = -1;
    executor->status = WEFT_OK;
    executor->start = weft_clock_nanoseconds();
    executor->last_progress = weft_clock_seconds();
    for (uint32_t i = 0; i < executor->count; i++) executor->done[i] = false;
    for (int32_t i = 0; i < executor->lane_count; i++) {
        executor->lanes[i].next = executor->lanes[i].lane->first;
        executor->lanes[i].active = false;
    }
}

/* When the last of all that the lane's next action waits for comes in; INT64_MAX: not all of it has left. */
static int64_t next_arrival(const weft_executor *executor, const lane_state *lane)
{
    const weft_program *program = executor->program;
    int64_t last = 0;
    if (lane->active || lane->next == lane->lane->first + lane->lane->count) return INT64_MAX;
    for (uint32_t i = program->after_first[lane->next]; i < program->after_first[lane->next + 1]; i++) {
        uint32_t place = program->after[i] - executor->first;
        if (!executor->done[place]) return INT64_MAX;
        if (executor->end[place].nanoseconds > last) last = executor->end[place].nanoseconds;
    }
    return last;
}

/* When the next action that the device has under way ends, or a message comes in; INT64_MAX: it has none. */
static int64_t next_end(const weft_executor *executor)
{
    int64_t next = INT64_MAX;
    for (int32_t i = 0; i < executor->lane_count; i++) {
        const lane_state *lane = &executor->lanes[i];
        int64_t end = lane->active && lane->arrived ? lane->free.nanoseconds : next_arrival(executor, lane);
        if (end < next) next = end;
    }
    return next;
}

/* Sleeps until the device or another rank may have finished something. *told: the others know what it waits for. */
static weft_status pause_run(weft_executor *executor, bool *told, weft_error *error)
{
    weft_worker *worker = executor->worker;
    int64_t next = next_end(executor);
    if (next < INT64_MAX) {
        int64_t left = next - weft_clock_nanoseconds();
        *told = false;
        return worker->transport->operations->wait(worker->transport, left > 0 ? (double)left * 1e-9 : 0, error);
    }
    if (!*told) publish_waiting(executor);
    *told = true;
    return weft_waiting_pause(worker, executor->waiting, &executor->last_progress, error);
}

weft_status weft_executor_run(weft_executor *executor, weft_error *error)
{
    weft_device *device = executor->worker->device;
    begin_run(executor);
    device->between = between;
    device->between_context = executor;
    attach_exchange(executor, drive);
    weft_status status = WEFT_OK;
    bool told = false;
    while (executor->left > 0 && status == WEFT_OK) {
        bool moved = false;
        status = advance_messages(executor, &moved, error);
        if (status == WEFT_OK) status = advance(executor, &executor->lanes[0], &moved, error);
        if (status == WEFT_OK && executor->status != WEFT_OK) {
            *error = executor->error;
            status = executor->status;
        }
        if (moved)
            told = false;
        else if (status == WEFT_OK && executor->left > 0)
            status = pause_run(executor, &told, error);
    }
    weft_worker_attend(executor->worker);
    return status;
}

weft_status weft_executor_run_alone(weft_executor *executor, uint32_t action, double *out_seconds, weft_error *error)
{
    lane_state *lane = lane_of(executor, action);
    lane->next = action;
    attach_exchange(executor, NULL);
    double since = weft_clock_seconds();
    TRY(start_action(executor, lane, error));
    for (bool told = false;;) {
        bool done = false, moved = false;
        TRY(poll_action(executor, lane, &done, &moved, error));
        if (done) break;
        if (moved) {
            since = weft_clock_seconds();
            continue;
        }
        if (!told) {
            describe_waiting(executor, lane);
            publish(executor, weft_waiting_waits, executor->waiting);
        }
        told = true;
        TRY(weft_waiting_pause(executor->worker, executor->waiting, &since, error));
    }
    const weft_event *begin = &executor->begin[action - executor->first],
                     *end = &executor->end[action - executor->first];
    *out_seconds = (double)(end->nanoseconds - begin->nanoseconds) * 1e-9;
    return WEFT_OK;
}

void weft_executor_times(const weft_executor *executor, double *begin, double *end)
{
    for (uint32_t i = 0; i < executor->count; i++) {
        begin[i] = (double)(executor->begin[i].nanoseconds - executor->start) * 1e-9;
        end[i] = (double)(executor->end[i].nanoseconds - executor->start) * 1e-9;
    }
}

int64_t weft_executor_start(const weft_executor *executor)
{
    return executor->start;
}

uint32_t weft_executor_count(const weft_executor *executor)
{
    return executor->count;
}

double weft_executor_busy(const weft_executor *executor)
{
    double busy = 0;
    for (uint32_t i = 0; i < executor->lanes[0].lane->count; i++)
        busy += (double)(executor->end[i].nanoseconds - executor->begin[i].nanoseconds) * 1e-9;
    return busy;
}
