#include "train/worker.h"

#include "base/clock.h"
#include "train/bind.h"
#include "train/crossing.h"
#include "train/exchange.h"
#include "train/executor.h"
#include "transport/reduce.h"
#include "train/waiting.h"

#include <stdio.h>
#include <string.h>

static bool trains(const weft_worker *worker)
{
    return worker->job->use == WEFT_JOB_TRAINS;
}

static bool holds(const weft_worker *worker, int32_t s)
{
    return worker->job->stages[s].rank == worker->at.rank;
}

static void *row(const weft_worker *worker, weft_row what, int32_t unit)
{
    return weft_memory_plan_resolve(&worker->plan, worker->blocks, what, unit);
}

/* What a worker has of its share of a unit is part of the whole where there is one. */
static void resolve_unit(weft_worker *worker, int32_t u)
{
    const weft_job *job = worker->job;
    weft_unit_memory *own = &worker->units[u];
    size_t begin = weft_share_begin(job, u, worker->at.data), element = weft_element_bytes(job->options.element);
    own->gradient = row(worker, WEFT_ROW_GRADIENT, u);
    own->reduced = own->gradient ? own->gradient + begin : row(worker, WEFT_ROW_REDUCED, u);
    if (job->units[u].weights != u) {
        const weft_unit_memory *source = &worker->units[job->units[u].weights];
        own->master = source->master;
        own->own_storage = source->own_storage;
        own->storage = source->storage;
        return;
    }
    unsigned char *storage = row(worker, WEFT_ROW_STORAGE, u);
    bool whole = job->shard != WEFT_SHARD_WEIGHTS;
    own->storage = whole ? storage : NULL;
    own->own_storage = whole ? storage + begin * element : storage;
    own->master = job->options.element == WEFT_FP32 ? own->own_storage : row(worker, WEFT_ROW_MASTER, u);
    own->moment1 = row(worker, WEFT_ROW_MOMENT1, u);
    own->moment2 = row(worker, WEFT_ROW_MOMENT2, u);
}

/* The host's side of what crosses; where the host reaches the device's memory, that. */
static void resolve_host(weft_worker *worker)
{
    weft_crossing *host = &worker->host;
    host->batches[0] = (weft_batch){row(worker, WEFT_ROW_HOST_TOKENS, -1), row(worker, WEFT_ROW_HOST_TARGETS, -1),
                                    row(worker, WEFT_ROW_HOST_DOCUMENTS, -1), row(worker, WEFT_ROW_HOST_POSITIONS, -1)};
    host->batches[1] =
        (weft_batch){row(worker, WEFT_ROW_HOST_TOKENS_ODD, -1), row(worker, WEFT_ROW_HOST_TARGETS_ODD, -1),
                     row(worker, WEFT_ROW_HOST_DOCUMENTS_ODD, -1), row(worker, WEFT_ROW_HOST_POSITIONS_ODD, -1)};
    host->scalars_in = row(worker, WEFT_ROW_HOST_SCALARS, -1);
    host->scalars_out = row(worker, WEFT_ROW_HOST_SCALARS_OUT, -1);
    host->losses = row(worker, WEFT_ROW_HOST_BATCH_LOSSES, -1);
    host->logits = row(worker, WEFT_ROW_HOST_LOGITS, -1);
    host->staging[0] = row(worker, WEFT_ROW_STAGING, -1);
    host->staging[1] = row(worker, WEFT_ROW_STAGING_ODD, -1);
}

/* Units that others take weights from come first: they are by stage, and a tied head is in the last. */
static void resolve_all(weft_worker *worker)
{
    const weft_job *job = worker->job;
    for (int32_t i = job->rank_first[worker->at.rank]; i < job->rank_first[worker->at.rank + 1]; i++)
        resolve_unit(worker, job->rank_units[i]);
    worker->weight_pages = row(worker, WEFT_ROW_WEIGHT_PAGES, -1);
    worker->gradient_pages = row(worker, WEFT_ROW_GRADIENT_PAGES, -1);
    worker->workspace = (weft_workspace){.kernels = row(worker, WEFT_ROW_SCRATCH, -1),
                                         .reduce = row(worker, WEFT_ROW_REDUCE_SPACE, -1),
                                         .tensor_sum = row(worker, WEFT_ROW_TENSOR_SUM_SPACE, -1),
                                         .exchange = row(worker, WEFT_ROW_EXCHANGE_SPACE, -1),
                                         .tied = row(worker, WEFT_ROW_TIED_SPACE, -1)};
    worker->slots = row(worker, WEFT_ROW_SLOTS, -1);
    worker->angles = row(worker, WEFT_ROW_ANGLES, -1);
    worker->batch = (weft_batch){row(worker, WEFT_ROW_TOKENS, -1), row(worker, WEFT_ROW_TARGETS, -1),
                                 row(worker, WEFT_ROW_DOCUMENTS, -1), row(worker, WEFT_ROW_POSITIONS, -1)};
    worker->losses.own = row(worker, WEFT_ROW_LOSSES, -1);
    worker->losses.all = row(worker, WEFT_ROW_BATCH_LOSSES, -1);
    if (!worker->losses.all) worker->losses.all = row(worker, WEFT_ROW_HOST_BATCH_LOSSES, -1);
    worker->scalars = row(worker, WEFT_ROW_SCALARS, -1);
    worker->sums.own = row(worker, WEFT_ROW_OWN_SUMS, -1);
    worker->sums.all = row(worker, WEFT_ROW_ALL_SUMS, -1);
    worker->sums.ordered = row(worker, WEFT_ROW_ORDERED_SUMS, -1);
    worker->sums.index = row(worker, WEFT_ROW_SUM_INDEX, -1);
    worker->logits = row(worker, WEFT_ROW_LOGITS, -1);
    worker->logits_position = -1;
    worker->steps = (weft_step_memory){.cache = row(worker, WEFT_ROW_CACHE, -1),
                                       .space = row(worker, WEFT_ROW_STEP_SPACE, -1),
                                       .positions = row(worker, WEFT_ROW_STEP_POSITIONS, -1)};
}

static weft_status take_tables(weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    size_t parameters = (size_t)job->parameter_count, stages = (size_t)job->stage_count, workers = (size_t)job->workers;
    weft_arena *arena = &worker->arena;
    TRY(weft_arena_take(arena, (size_t)job->unit_count, sizeof *worker->units, &worker->units, error));
    TRY(weft_arena_take(arena, parameters, sizeof *worker->gradient, &worker->gradient, error));
    TRY(weft_arena_take(arena, parameters, sizeof *worker->storage, &worker->storage, error));
    TRY(weft_arena_take(arena, stages, sizeof *worker->train_stages, &worker->train_stages, error));
    TRY(weft_arena_take(arena, stages, sizeof *worker->forward_stages, &worker->forward_stages, error));
    TRY(weft_arena_take(arena, workers, sizeof *worker->sums.bytes, &worker->sums.bytes, error));
    TRY(weft_arena_take(arena, workers, sizeof *worker->losses.bytes, &worker->losses.bytes, error));
    TRY(weft_arena_take(arena, workers, sizeof *worker->gathers.bytes, &worker->gathers.bytes, error));
    return weft_arena_take(arena, 2 * workers, sizeof *worker->patience.reports, &worker->patience.reports, error);
}

static void count_collectives(weft_worker *worker)
{
    const weft_job *job = worker->job;
    for (int32_t w = 0; w < job->workers; w++) {
        weft_coordinates at = weft_world_coordinates(job, w);
        for (int32_t p = 0; p < job->parameter_count; p++) {
            weft_share blocks = weft_share_blocks(job, p, at.data, at.tensor);
            if (job->stages[job->units[job->unit_of[p]].stage].rank == at.rank)
                worker->sums.bytes[w] += (size_t)(blocks.to - blocks.from) * sizeof(double);
        }
        if (at.rank == job->stages[job->stage_count - 1].rank && at.tensor == 0)
            worker->losses.bytes[w] = (size_t)(job->config->batch.microbatches * job->losses) * sizeof(float);
    }
}

/* What transfers and sums of device memory are ordered on. */
static weft_stream *stream_for(const weft_worker *worker, weft_lane_kind lane)
{
    return worker->job->device->host_reaches ? NULL : worker->streams[lane];
}

static weft_status create_reducer(weft_worker *worker, weft_world_purpose purpose, weft_element element,
                                  void *workspace, weft_reducer **out, weft_error *error)
{
    bool passes = purpose == WEFT_WORLD_TENSOR_REDUCE;
    weft_reducer_options options = {.transport = worker->transport,
                                    .device = worker->device,
                                    .stream = stream_for(worker, passes ? WEFT_PROGRAM_COMPUTE : WEFT_PROGRAM_REDUCE),
                                    .element = element,
                                    .group = weft_world_group(worker->job, purpose, worker->at),
                                    .chunk = worker->job->device->sum_chunk,
                                    .workspace = workspace};
    TRY(weft_world_members(worker->job, purpose, worker->at, &worker->arena, &options.members, error));
    return weft_reducer_create(&options, out, error);
}

static weft_status create_reducers(weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    if (job->data > 1 && trains(worker))
        TRY(create_reducer(worker, WEFT_WORLD_REDUCE, WEFT_FP32, worker->workspace.reduce, &worker->reducer, error));
    if (worker->workspace.tied)
        TRY(create_reducer(worker, WEFT_WORLD_TIED, WEFT_FP32, worker->workspace.tied, &worker->tied_sum, error));
    if (job->tensor == 1) return WEFT_OK;
    if (trains(worker))
        TRY(create_reducer(worker, WEFT_WORLD_TENSOR_SUM, WEFT_FP32, worker->workspace.tensor_sum, &worker->tensor_sum,
                           error));
    TRY(create_reducer(worker, WEFT_WORLD_TENSOR_REDUCE, job->options.element, worker->workspace.exchange,
                       &worker->rows_sum, error));
    return weft_exchange_create(worker, worker->rows_sum, &worker->exchange, error);
}

static weft_status create_stage(weft_worker *worker, weft_stage_shape shape, const weft_stage_weights *weights,
                                weft_stage **out, weft_error *error)
{
    shape.slice.index = worker->at.tensor;
    return weft_stage_create(&shape, worker->device, weights, out, error);
}

static weft_status create_stages(weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    if (worker->angles) TRY(weft_stage_angles_write(&job->stages[0].train, worker->device, worker->angles, error));
    for (int32_t s = 0; s < job->stage_count; s++) {
        if (!holds(worker, s)) continue;
        const weft_job_stage *stage = &job->stages[s];
        const void *const *storage = (const void *const *)(worker->storage + stage->parameter_first);
        weft_stage_weights weights = {.storage = storage,
                                      .gradient = trains(worker) ? worker->gradient + stage->parameter_first : NULL,
                                      .exchange = weft_exchange_functions(worker->exchange),
                                      .angles = worker->angles};
        TRY(create_stage(worker, stage->forward, &weights, &worker->forward_stages[s], error));
        if (trains(worker)) TRY(create_stage(worker, stage->train, &weights, &worker->train_stages[s], error));
    }
    return WEFT_OK;
}

static weft_status take_memory(weft_worker *worker, weft_error *error)
{
    TRY(weft_memory_plan_make(worker->job, worker->at, &worker->arena, &worker->plan, error));
    for (int space = 0; space < WEFT_SPACES; space++) {
        size_t bytes = worker->plan.blocks[space];
        void *block = NULL;
        if (worker->device->operations->allocate(worker->device, (weft_memory_kind)space, bytes, &block, error) !=
            WEFT_OK)
            return weft_error_context(error, "rank %d cannot have its %.1f MiB", worker->number,
                                      (double)bytes / 1048576);
        worker->blocks[space] = block;
    }
    resolve_all(worker);
    resolve_host(worker);
    return WEFT_OK;
}

/* One stream for each kind of lane that there is once. */
static weft_status create_streams(weft_worker *worker, weft_error *error)
{
    static const weft_lane_kind kinds[] = {WEFT_PROGRAM_COMPUTE, WEFT_PROGRAM_REDUCE, WEFT_PROGRAM_GATHER};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        TRY(worker->device->operations->stream_create(
            worker->device, kinds[i] == WEFT_PROGRAM_COMPUTE ? WEFT_STREAM_COMPUTE : WEFT_STREAM_TRANSFER,
            &worker->streams[kinds[i]], error));
    return WEFT_OK;
}

weft_status weft_worker_bind(weft_worker *worker, const weft_program *program, double *checks, weft_executor **out,
                             weft_error *error)
{
    weft_bound *bound = NULL;
    weft_stage **stages = program->forward_only ? worker->forward_stages : worker->train_stages;
    weft_bind_options binding = {.program = program, .worker = worker, .stages = stages, .checks = checks};
    TRY(weft_bind(&binding, &worker->arena, &bound, error));
    weft_executor_options options = {.worker = worker,
                                     .device = worker->device,
                                     .transport = worker->transport,
                                     .exchange = worker->exchange,
                                     .bound = bound,
                                     .streams = worker->streams,
                                     .host_reaches = worker->job->device->host_reaches};
    return weft_executor_create(&options, &worker->arena, out, error);
}

static weft_status build(weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    TRY(take_tables(worker, error));
    count_collectives(worker);
    weft_device_options options = job->options;
    options.index = weft_device_index(job->device, options.index, worker->number);
    TRY(job->device->create(&options, &worker->device, error));
    if (worker->transport->driven) TRY(weft_clerk_create(&worker->clerk, error));
    weft_waiting_attach(worker);
    TRY(take_memory(worker, error));
    TRY(weft_crossing_create(worker, error));
    weft_worker_point_units(worker);
    TRY(weft_worker_poison_pages(worker, error));
    TRY(create_streams(worker, error));
    TRY(create_reducers(worker, error));
    TRY(create_stages(worker, error));
    TRY(weft_worker_bind(worker, job->forward, NULL, &worker->forward, error));
    if (trains(worker)) TRY(weft_worker_bind(worker, job->train, NULL, &worker->train, error));
    /* Last: from here on the transport has to end before the device does. */
    const weft_transport_operations *transport = worker->transport->operations;
    return transport->attach ? transport->attach(worker->transport, worker->device, error) : WEFT_OK;
}

weft_status weft_worker_create(const weft_job *job, int32_t number, weft_transport *transport, weft_worker **out,
                               weft_error *error)
{
    weft_worker *worker = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *worker, &worker, error));
    worker->job = job;
    worker->number = number;
    worker->at = weft_world_coordinates(job, number);
    worker->transport = transport;
    weft_arena_init(&worker->arena);
    weft_status status = build(worker, error);
    if (status == WEFT_OK)
        *out = worker;
    else
        weft_worker_destroy(worker);
    return status;
}

void weft_worker_destroy(weft_worker *worker)
{
    if (!worker) return;
    weft_clerk_destroy(worker->clerk);
    weft_executor_destroy(worker->diagnosis);
    weft_executor_destroy(worker->train);
    weft_executor_destroy(worker->forward);
    for (int32_t s = 0; worker->forward_stages && worker->train_stages && s < worker->job->stage_count; s++) {
        weft_stage_destroy(worker->forward_stages[s]);
        weft_stage_destroy(worker->train_stages[s]);
    }
    weft_reducer_destroy(worker->rows_sum);
    weft_reducer_destroy(worker->tied_sum);
    weft_reducer_destroy(worker->tensor_sum);
    weft_reducer_destroy(worker->reducer);
    weft_crossing_destroy(worker);
    for (int i = 0; i < WEFT_PROGRAM_LANES; i++)
        if (worker->streams[i]) worker->device->operations->stream_destroy(worker->device, worker->streams[i]);
    if (worker->checks) worker->device->operations->release(worker->device, worker->checks);
    if (worker->poison) worker->device->operations->release(worker->device, worker->poison);
    for (int space = 0; space < WEFT_SPACES; space++)
        if (worker->blocks[space]) worker->device->operations->release(worker->device, worker->blocks[space]);
    if (worker->device) worker->device->operations->destroy(worker->device);
    weft_arena_fini(&worker->arena);
    weft_free(worker);
}

weft_status weft_worker_run(weft_worker *worker, bool forward, weft_error *error)
{
    TRY(weft_crossing_enter(worker, error));
    TRY(weft_executor_run(forward ? worker->forward : worker->train, weft_crossing_entered(worker), error));
    return weft_crossing_leave(worker, error);
}
