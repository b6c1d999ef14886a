#include "train/worker.h"

#include "base/clock.h"
#include "train/crossing.h"
#include "train/exchange.h"
#include "train/executor.h"
#include "transport/reduce.h"
#include "train/waiting.h"

#include <stdio.h>
#include <string.h>

static bool holds(const weft_worker *worker, int32_t s)
{
    return worker->job->stages[s].rank == worker->at.rank;
}

/* Hands out 64-byte aligned pieces of one allocation; the first pass with base NULL only counts. */
typedef struct {
    unsigned char *base;
    size_t used;
} cursor;

static void *carve(cursor *at, size_t bytes)
{
    void *piece = at->base ? at->base + at->used : NULL;
    at->used += (bytes + 63) / 64 * 64;
    return piece;
}

/* count_unit of the job is the same sum. */
static void carve_unit(weft_worker *worker, cursor *at, int32_t u, bool sampling)
{
    const weft_job *job = worker->job;
    const weft_job_unit *unit = &job->units[u];
    weft_unit_memory *own = &worker->units[u];
    size_t begin = weft_share_begin(job, u, worker->at.data), share = weft_share_end(job, u, worker->at.data) - begin;
    size_t element = weft_element_bytes(job->options.element);
    bool rounds = job->options.element != WEFT_FP32, whole = job->shard != WEFT_SHARD_WEIGHTS;
    bool trains = !sampling && !unit->frozen;
    if (trains && job->gradient_pages) {
        own->reduced = carve(at, share * sizeof(float));
    } else if (trains) {
        own->gradient = carve(at, unit->floats * sizeof(float));
        own->reduced = at->base ? own->gradient + begin : NULL;
    }
    if (unit->weights != u) {
        const weft_unit_memory *source = &worker->units[unit->weights];
        own->master = source->master;
        own->own_storage = source->own_storage;
        own->storage = source->storage;
        return;
    }
    unsigned char *storage = carve(at, (whole ? unit->floats : share) * element);
    own->storage = whole ? storage : NULL;
    own->own_storage = whole && storage ? storage + begin * element : storage;
    own->master = rounds ? carve(at, share * sizeof(float)) : own->own_storage;
    if (!trains) return;
    own->moment1 = carve(at, share * sizeof(float));
    own->moment2 = carve(at, share * sizeof(float));
}

static bool shares_with_another(const weft_worker *worker)
{
    const weft_job *job = worker->job;
    bool is_holder = holds(worker, 0) || holds(worker, job->stage_count - 1);
    return job->tied && !job->tied_alias && is_holder;
}

static void carve_all(weft_worker *worker, cursor *at, bool sampling)
{
    const weft_job *job = worker->job;
    const weft_config *config = job->config;
    size_t batch = (size_t)(config->batch.microbatches * config->batch.sequences * config->batch.tokens);
    for (int32_t u = 0; u < job->unit_count; u++)
        if (holds(worker, job->units[u].stage)) carve_unit(worker, at, u, sampling);
    size_t page = job->page_floats[worker->at.rank], element = weft_element_bytes(job->options.element);
    size_t weight_pages = (size_t)weft_share_pages(job, worker->at.rank, job->weight_pages);
    size_t gradient_pages = (size_t)weft_share_pages(job, worker->at.rank, job->gradient_pages);
    worker->weight_pages = carve(at, weight_pages * page * element);
    worker->gradient_pages = sampling ? NULL : carve(at, gradient_pages * page * sizeof(float));
    worker->workspace.reduce = sampling ? NULL : carve(at, weft_share_workspace(job));
    worker->workspace.tensor_sum = sampling ? NULL : carve(at, weft_share_tensor_workspace(job, WEFT_FP32));
    worker->workspace.exchange = carve(at, weft_share_tensor_workspace(job, job->options.element));
    size_t blocks = (size_t)job->block_first[job->parameter_count];
    worker->slots = carve(at, job->slots[worker->at.rank]);
    worker->workspace.kernels = carve(at, job->scratch[worker->at.rank]);
    worker->workspace.tied_piece = carve(at, shares_with_another(worker) ? WEFT_JOB_TIED_CHUNK : 0);
    worker->batch.tokens = carve(at, batch * sizeof(int32_t));
    worker->batch.targets = carve(at, batch * sizeof(int32_t));
    worker->losses.own = carve(at, (size_t)config->batch.microbatches * sizeof(float));
    worker->scalars = carve(at, sizeof(weft_step_scalars));
    worker->sums.own = carve(at, blocks * sizeof(double));
    worker->sums.all = carve(at, blocks * sizeof(double));
    worker->sums.ordered = carve(at, blocks * sizeof(double));
    if (!job->device->host_reaches)
        worker->losses.all = carve(at, (size_t)(job->data * config->batch.microbatches) * sizeof(float));
    if (sampling) worker->logits = carve(at, (size_t)(config->batch.sequences * config->model.vocabulary) * element);
}

/* The host's side of what crosses. */
static void carve_host(weft_worker *worker, cursor *at, bool sampling)
{
    const weft_job *job = worker->job;
    const weft_config *config = job->config;
    weft_crossing *host = &worker->host;
    size_t batch = (size_t)(config->batch.microbatches * config->batch.sequences * config->batch.tokens);
    for (int i = 0; i < WEFT_BATCHES; i++)
        host->batches[i] = (weft_batch){carve(at, batch * sizeof(int32_t)), carve(at, batch * sizeof(int32_t))};
    host->scalars_in = carve(at, sizeof(weft_step_scalars));
    host->scalars_out = carve(at, sizeof(weft_step_scalars));
    host->losses = carve(at, (size_t)(job->data * config->batch.microbatches) * sizeof(float));
    for (int i = 0; i < WEFT_STAGING; i++) host->staging[i] = sampling ? NULL : carve(at, WEFT_STAGING_BYTES);
}

/* Where the host reaches the device's memory. */
static void meet_host(weft_worker *worker)
{
    weft_crossing *host = &worker->host;
    for (int i = 0; i < WEFT_BATCHES; i++) host->batches[i] = worker->batch;
    host->scalars_in = host->scalars_out = worker->scalars;
    host->losses = worker->losses.all;
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
    TRY(weft_arena_take(arena, 2 * workers, sizeof *worker->patience.reports, &worker->patience.reports, error));
    TRY(weft_arena_take(arena, (size_t)job->data, sizeof *worker->share_bytes, &worker->share_bytes, error));
    TRY(weft_arena_take(arena, (size_t)job->data, sizeof *worker->share_floats, &worker->share_floats, error));
    return weft_arena_take(arena, (size_t)(job->data * job->config->batch.microbatches), sizeof *worker->losses.all,
                           &worker->losses.all, error);
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
            worker->losses.bytes[w] = (size_t)job->config->batch.microbatches * sizeof(float);
    }
}

static weft_status create_reducer(weft_worker *worker, weft_world_purpose purpose, weft_element element,
                                  void *workspace, weft_reducer **out, weft_error *error)
{
    weft_reducer_options options = {.transport = worker->transport,
                                    .device = worker->device,
                                    .element = element,
                                    .group = weft_world_group(worker->job, purpose, worker->at),
                                    .chunk = WEFT_SHARE_CHUNK,
                                    .workspace = workspace};
    TRY(weft_world_members(worker->job, purpose, worker->at, &worker->arena, &options.members, error));
    return weft_reducer_create(&options, out, error);
}

static weft_status create_reducers(weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    if (job->data > 1)
        TRY(create_reducer(worker, WEFT_WORLD_REDUCE, WEFT_FP32, worker->workspace.reduce, &worker->reducer, error));
    if (job->tensor == 1) return WEFT_OK;
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

static weft_status create_stages(weft_worker *worker, bool sampling, weft_error *error)
{
    const weft_job *job = worker->job;
    for (int32_t s = 0; s < job->stage_count; s++) {
        if (!holds(worker, s)) continue;
        const weft_job_stage *stage = &job->stages[s];
        const void *const *storage = (const void *const *)(worker->storage + stage->parameter_first);
        weft_stage_weights weights = {.storage = storage,
                                      .gradient = sampling ? NULL : worker->gradient + stage->parameter_first,
                                      .exchange = weft_exchange_functions(worker->exchange)};
        TRY(create_stage(worker, stage->forward, &weights, &worker->forward_stages[s], error));
        if (!sampling) TRY(create_stage(worker, stage->train, &weights, &worker->train_stages[s], error));
    }
    return WEFT_OK;
}

static weft_status take_block(weft_worker *worker, weft_memory_kind kind, size_t bytes, unsigned char **out,
                              weft_error *error)
{
    void *memory = NULL;
    if (worker->device->operations->allocate(worker->device, kind, bytes, &memory, error) != WEFT_OK)
        return weft_error_context(error, "rank %d cannot have its %.1f MiB", worker->number, (double)bytes / 1048576);
    *out = memory;
    return WEFT_OK;
}

static weft_status take_memory(weft_worker *worker, bool sampling, weft_error *error)
{
    cursor count = {0}, at = {0};
    carve_all(worker, &count, sampling);
    TRY(take_block(worker, WEFT_MEMORY_DEVICE, count.used, &worker->memory, error));
    at.base = worker->memory;
    carve_all(worker, &at, sampling);
    if (worker->job->device->host_reaches) {
        meet_host(worker);
        return WEFT_OK;
    }
    count = at = (cursor){0};
    carve_host(worker, &count, sampling);
    TRY(take_block(worker, WEFT_MEMORY_PINNED, count.used, &worker->pinned, error));
    at.base = worker->pinned;
    carve_host(worker, &at, sampling);
    return WEFT_OK;
}

static weft_status build(weft_worker *worker, bool sampling, weft_error *error)
{
    const weft_job *job = worker->job;
    worker->diagnosis.stage = worker->diagnosis.microbatch = -1;
    TRY(take_tables(worker, error));
    count_collectives(worker);
    TRY(job->device->create(&job->options, &worker->device, error));
    if (worker->transport->driven && !sampling) TRY(weft_clerk_create(&worker->clerk, error));
    weft_waiting_attach(worker);
    TRY(take_memory(worker, sampling, error));
    TRY(weft_crossing_create(worker, error));
    weft_worker_point_units(worker);
    TRY(weft_worker_poison_pages(worker, error));
    if (!sampling) TRY(create_reducers(worker, error));
    TRY(create_stages(worker, sampling, error));
    TRY(weft_executor_create(worker, job->forward, worker->forward_stages, &worker->forward, error));
    return sampling ? WEFT_OK : weft_executor_create(worker, job->train, worker->train_stages, &worker->train, error);
}

weft_status weft_worker_create(const weft_job *job, int32_t number, weft_transport *transport, bool sampling,
                               weft_worker **out, weft_error *error)
{
    weft_worker *worker = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *worker, &worker, error));
    worker->job = job;
    worker->number = number;
    worker->at = weft_world_coordinates(job, number);
    worker->transport = transport;
    weft_arena_init(&worker->arena);
    weft_status status = build(worker, sampling, error);
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
    for (int32_t s = 0; worker->forward_stages && worker->train_stages && s < worker->job->stage_count; s++) {
        weft_stage_destroy(worker->forward_stages[s]);
        weft_stage_destroy(worker->train_stages[s]);
    }
    weft_reducer_destroy(worker->rows_sum);
    weft_reducer_destroy(worker->tensor_sum);
    weft_reducer_destroy(worker->reducer);
    weft_crossing_destroy(worker);
    if (worker->poison) worker->device->operations->release(worker->device, worker->poison);
    if (worker->pinned) worker->device->operations->release(worker->device, worker->pinned);
    if (worker->memory) worker->device->operations->release(worker->device, worker->memory);
    if (worker->device) worker->device->operations->destroy(worker->device);
    weft_arena_fini(&worker->arena);
    weft_free(worker);
}

weft_status weft_worker_run(weft_worker *worker, bool forward, weft_error *error)
{
    TRY(weft_crossing_enter(worker, error));
    worker->device->operations->event_wait(worker->device, NULL, weft_crossing_entered(worker));
    TRY(weft_executor_run(forward ? worker->forward : worker->train, error));
    return weft_crossing_leave(worker, error);
}
