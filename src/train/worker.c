#include "train/worker.h"

#include "base/clock.h"
#include "train/executor.h"
#include "train/waiting.h"

#include <stdio.h>
#include <string.h>

static bool holds(const weft_worker *worker, int32_t s)
{
    return worker->job->stages[s].rank == worker->rank;
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

static void carve_parameter(weft_worker *worker, cursor *at, int32_t p, bool sampling)
{
    const weft_job *job = worker->job;
    size_t padded = weft_job_padded(job->parameters[p].elements);
    bool rounds = job->options.element != WEFT_FP32;
    if (!sampling) worker->gradient[p] = carve(at, padded * sizeof(float));
    if (job->parameters[p].tied && job->tied_alias) {
        worker->weight[p] = worker->weight[job->tied_embedding];
        worker->storage[p] = worker->storage[job->tied_embedding];
        return;
    }
    worker->weight[p] = carve(at, padded * sizeof(float));
    worker->storage[p] = rounds ? carve(at, padded * weft_element_bytes(job->options.element)) : worker->weight[p];
    if (sampling) return;
    worker->moment1[p] = carve(at, padded * sizeof(float));
    worker->moment2[p] = carve(at, padded * sizeof(float));
}

static bool shares_with_another(const weft_worker *worker)
{
    const weft_job *job = worker->job;
    bool is_holder = holds(worker, 0) || holds(worker, job->stage_count - 1);
    return job->tied && !job->tied_alias && is_holder;
}

int32_t weft_worker_tied_peer(const weft_worker *worker)
{
    int32_t first = worker->job->stages[0].rank, last = worker->job->stages[worker->job->stage_count - 1].rank;
    return worker->rank == first ? last : first;
}

static void carve_all(weft_worker *worker, cursor *at, bool sampling)
{
    const weft_job *job = worker->job;
    const weft_config *config = job->config;
    size_t batch = (size_t)(config->batch.microbatches * config->batch.sequences * config->batch.tokens);
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        for (int32_t p = 0; p < stage->parameter_count && holds(worker, s); p++)
            carve_parameter(worker, at, stage->parameter_first + p, sampling);
    }
    size_t blocks = (size_t)job->block_first[job->parameter_count];
    worker->slots = carve(at, job->slots[worker->rank]);
    worker->scratch = carve(at, job->scratch[worker->rank]);
    worker->exchange = carve(at, shares_with_another(worker) ? WEFT_JOB_TIED_CHUNK : 0);
    worker->tokens = carve(at, batch * sizeof(int32_t));
    worker->targets = carve(at, batch * sizeof(int32_t));
    worker->losses = carve(at, (size_t)config->batch.microbatches * sizeof(float));
    worker->scalars = carve(at, sizeof(weft_step_scalars));
    worker->own_sums = carve(at, blocks * sizeof(double));
    worker->all_sums = carve(at, blocks * sizeof(double));
    worker->ordered_sums = carve(at, blocks * sizeof(double));
    if (sampling)
        worker->logits = carve(at, (size_t)(config->batch.sequences * config->model.vocabulary) *
                                       weft_element_bytes(job->options.element));
}

static weft_status take_tables(weft_worker *worker, weft_error *error)
{
    size_t parameters = (size_t)worker->job->parameter_count, stages = (size_t)worker->job->stage_count;
    weft_arena *arena = &worker->arena;
    TRY(weft_arena_take(arena, parameters, sizeof *worker->weight, &worker->weight, error));
    TRY(weft_arena_take(arena, parameters, sizeof *worker->gradient, &worker->gradient, error));
    TRY(weft_arena_take(arena, parameters, sizeof *worker->moment1, &worker->moment1, error));
    TRY(weft_arena_take(arena, parameters, sizeof *worker->moment2, &worker->moment2, error));
    TRY(weft_arena_take(arena, parameters, sizeof *worker->storage, &worker->storage, error));
    TRY(weft_arena_take(arena, stages, sizeof *worker->train_stages, &worker->train_stages, error));
    TRY(weft_arena_take(arena, stages, sizeof *worker->forward_stages, &worker->forward_stages, error));
    TRY(weft_arena_take(arena, (size_t)worker->job->ranks, sizeof *worker->sum_bytes, &worker->sum_bytes, error));
    TRY(weft_arena_take(arena, (size_t)worker->job->ranks, sizeof *worker->loss_bytes, &worker->loss_bytes, error));
    TRY(weft_arena_take(arena, (size_t)worker->job->ranks, sizeof *worker->equal_bytes, &worker->equal_bytes, error));
    TRY(weft_arena_take(arena, (size_t)worker->job->ranks, sizeof *worker->reports, &worker->reports, error));
    return weft_arena_take(arena, (size_t)worker->job->config->batch.microbatches, sizeof *worker->batch_losses,
                           &worker->batch_losses, error);
}

static void count_collectives(weft_worker *worker)
{
    const weft_job *job = worker->job;
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        int32_t blocks = job->block_first[stage->parameter_first + stage->parameter_count] -
                         job->block_first[stage->parameter_first];
        worker->sum_bytes[stage->rank] += (size_t)blocks * sizeof(double);
    }
    worker->loss_bytes[job->stages[job->stage_count - 1].rank] =
        (size_t)job->config->batch.microbatches * sizeof(float);
}

static weft_status create_stages(weft_worker *worker, bool sampling, weft_error *error)
{
    const weft_job *job = worker->job;
    for (int32_t s = 0; s < job->stage_count; s++) {
        if (!holds(worker, s)) continue;
        const weft_job_stage *stage = &job->stages[s];
        const void *const *storage = (const void *const *)(worker->storage + stage->parameter_first);
        weft_stage_weights weights = {.storage = storage,
                                      .gradient = sampling ? NULL : worker->gradient + stage->parameter_first};
        TRY(weft_stage_create(&stage->forward, worker->device, &weights, &worker->forward_stages[s], error));
        if (!sampling) TRY(weft_stage_create(&stage->train, worker->device, &weights, &worker->train_stages[s], error));
    }
    return WEFT_OK;
}

static weft_status build(weft_worker *worker, bool sampling, weft_error *error)
{
    const weft_job *job = worker->job;
    worker->bad_stage = worker->bad_microbatch = -1;
    TRY(take_tables(worker, error));
    count_collectives(worker);
    TRY(job->device->create(&job->options, &worker->device, error));
    cursor count = {0};
    carve_all(worker, &count, sampling);
    void *memory = NULL;
    if (worker->device->operations->allocate(worker->device, WEFT_MEMORY_DEVICE, count.used, &memory, error) != WEFT_OK)
        return weft_error_context(error, "rank %d cannot have its %.1f MiB", worker->rank,
                                  (double)count.used / 1048576);
    worker->memory = memory;
    cursor at = {.base = memory};
    carve_all(worker, &at, sampling);
    TRY(create_stages(worker, sampling, error));
    TRY(weft_executor_create(worker, job->forward, worker->forward_stages, &worker->forward, error));
    return sampling ? WEFT_OK : weft_executor_create(worker, job->train, worker->train_stages, &worker->train, error);
}

weft_status weft_worker_create(const weft_job *job, int32_t rank, weft_transport *transport, bool sampling,
                               weft_worker **out, weft_error *error)
{
    weft_worker *worker = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *worker, &worker, error));
    worker->job = job;
    worker->rank = rank;
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
    for (int32_t s = 0; worker->forward_stages && worker->train_stages && s < worker->job->stage_count; s++) {
        weft_stage_destroy(worker->forward_stages[s]);
        weft_stage_destroy(worker->train_stages[s]);
    }
    if (worker->memory) worker->device->operations->release(worker->device, worker->memory);
    if (worker->device) worker->device->operations->destroy(worker->device);
    weft_arena_fini(&worker->arena);
    weft_free(worker);
}

bool weft_worker_saves(const weft_worker *worker, int32_t parameter)
{
    return worker->weight[parameter] && !worker->job->parameters[parameter].tied;
}

static void round_storage(weft_worker *worker, int32_t p)
{
    if (worker->job->options.element == WEFT_FP32) return;
    worker->device->operations->round(worker->device, NULL, worker->job->parameters[p].elements, worker->weight[p],
                                      worker->storage[p]);
}

static bool needs_own_copy(const weft_worker *worker, int32_t p)
{
    return worker->weight[p] && !(worker->job->parameters[p].tied && worker->job->tied_alias);
}

weft_status weft_worker_init_weights(weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    for (int32_t p = 0; p < job->parameter_count; p++) {
        if (!needs_own_copy(worker, p)) continue;
        weft_parameter_init(&job->parameters[p], (uint64_t)job->config->run.seed, worker->weight[p]);
        round_storage(worker, p);
    }
    return weft_device_check(worker->device, error);
}

static weft_status load_parameter(weft_worker *worker, const weft_checkpoint *checkpoint, int32_t p, weft_error *error)
{
    const weft_job *job = worker->job;
    const weft_parameter *source = &job->parameters[job->parameters[p].tied ? job->tied_embedding : p];
    float *const kinds[WEFT_CHECKPOINT_KINDS] = {worker->weight[p], worker->moment1[p], worker->moment2[p]};
    for (int k = 0; k < WEFT_CHECKPOINT_KINDS; k++) {
        if (!kinds[k]) continue;
        TRY(weft_checkpoint_read(checkpoint, (weft_checkpoint_kind)k, source->name, source->dimensions, source->shape,
                                 0, source->elements, kinds[k], error));
    }
    round_storage(worker, p);
    return WEFT_OK;
}

weft_status weft_worker_load(weft_worker *worker, const weft_checkpoint *checkpoint, weft_error *error)
{
    for (int32_t p = 0; p < worker->job->parameter_count; p++)
        if (needs_own_copy(worker, p)) TRY(load_parameter(worker, checkpoint, p, error));
    return weft_device_check(worker->device, error);
}

weft_status weft_worker_run(weft_worker *worker, bool forward, weft_error *error)
{
    return weft_executor_run(forward ? worker->forward : worker->train, error);
}

weft_status weft_worker_await(weft_worker *worker, weft_request request, const char *what, weft_error *error)
{
    char waiting[96];
    snprintf(waiting, sizeof waiting, "the %s of all ranks", what);
    weft_waiting_publish(worker, "a program", weft_waiting_waits, waiting);
    double since = weft_clock_seconds();
    for (;;) {
        bool done = false;
        TRY(worker->transport->operations->test(worker->transport, request, &done, error));
        if (done) break;
        TRY(weft_waiting_pause(worker, waiting, &since, error));
    }
    weft_waiting_publish(worker, waiting, weft_waiting_runs, "what comes next");
    return WEFT_OK;
}

static weft_status reserve_parts(weft_worker *worker, size_t bytes, weft_error *error)
{
    if (bytes <= worker->part_capacity) return WEFT_OK;
    TRY(weft_arena_take(&worker->arena, bytes, 1, &worker->part, error));
    TRY(weft_arena_take(&worker->arena, bytes, (size_t)worker->job->ranks, &worker->parts, error));
    worker->part_capacity = bytes;
    return WEFT_OK;
}

weft_status weft_worker_gather(weft_worker *worker, const void *part, size_t bytes, void *all, const char *what,
                               weft_error *error)
{
    int32_t ranks = worker->job->ranks;
    if (ranks == 1) {
        memcpy(all, part, bytes);
        return WEFT_OK;
    }
    TRY(reserve_parts(worker, bytes, error));
    memcpy(worker->part, part, bytes);
    for (int32_t r = 0; r < ranks; r++) worker->equal_bytes[r] = bytes;
    weft_request request = -1;
    TRY(worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->part,
                                              worker->equal_bytes, worker->parts, &request, error));
    TRY(weft_worker_await(worker, request, what, error));
    memcpy(all, worker->parts, bytes * (size_t)ranks);
    return WEFT_OK;
}
