#include "train/worker.h"

#include "base/clock.h"
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

/* Where the parameters of a unit lie, each behind the one before. */
static void point_storage(weft_worker *worker, int32_t u, void *storage)
{
    size_t element = weft_element_bytes(worker->job->options.element);
    for (int32_t p = worker->job->units[u].first; storage && p >= 0; p = weft_share_next(worker->job, u, p))
        worker->storage[p] = (unsigned char *)storage + worker->job->offsets[p] * element;
}

static void point_gradient(weft_worker *worker, int32_t u, float *gradient)
{
    const weft_job_unit *unit = &worker->job->units[u];
    for (int32_t p = unit->first; gradient && !unit->frozen && p >= 0; p = weft_share_next(worker->job, u, p))
        worker->gradient[p] = gradient + worker->job->offsets[p];
}

static unsigned char *weight_page(const weft_worker *worker, int32_t page)
{
    size_t element = weft_element_bytes(worker->job->options.element);
    return worker->weight_pages + (size_t)page * worker->job->page_floats[worker->at.rank] * element;
}

void weft_worker_use_weight_page(weft_worker *worker, int32_t stage, int32_t page)
{
    const weft_job *job = worker->job;
    unsigned char *at = weight_page(worker, page);
    for (int32_t u = job->stage_units[stage]; u < job->stage_units[stage + 1]; u++) {
        if (weft_share_is_there(job, u)) {
            point_storage(worker, u, worker->storage[job->units[job->units[u].weights].first]);
            continue;
        }
        point_storage(worker, u, at);
        at += job->units[u].floats * weft_element_bytes(job->options.element);
    }
}

/* Bits that are not a number in any element type. */
static void poison(const weft_worker *worker, void *bytes, size_t count)
{
    if (worker->job->poisons && count > 0) memset(bytes, 0xff, count);
}

void weft_worker_free_weight_page(const weft_worker *worker, int32_t stage, int32_t page)
{
    size_t element = weft_element_bytes(worker->job->options.element);
    poison(worker, weight_page(worker, page), weft_share_stage_floats(worker->job, stage) * element);
}

static void poison_pages(const weft_worker *worker)
{
    const weft_job *job = worker->job;
    size_t page = job->page_floats[worker->at.rank], element = weft_element_bytes(job->options.element);
    poison(worker, worker->weight_pages,
           (size_t)weft_share_pages(job, worker->at.rank, job->weight_pages) * page * element);
    poison(worker, worker->gradient_pages,
           (size_t)weft_share_pages(job, worker->at.rank, job->gradient_pages) * page * sizeof(float));
}

float *weft_worker_gradient_on(const weft_worker *worker, int32_t unit, int32_t page)
{
    const weft_job *job = worker->job;
    if (!job->gradient_pages) return worker->units[unit].gradient;
    float *at = worker->gradient_pages + (size_t)page * job->page_floats[worker->at.rank];
    for (int32_t u = job->stage_units[job->units[unit].stage]; u < unit; u++) at += job->units[u].floats;
    return at;
}

void weft_worker_free_gradient_page(const weft_worker *worker, int32_t unit, int32_t page)
{
    poison(worker, weft_worker_gradient_on(worker, unit, page), worker->job->units[unit].floats * sizeof(float));
}

void weft_worker_use_gradient_page(weft_worker *worker, int32_t stage, int32_t page)
{
    const weft_job *job = worker->job;
    for (int32_t u = job->stage_units[stage]; u < job->stage_units[stage + 1]; u++)
        point_gradient(worker, u, weft_worker_gradient_on(worker, u, page));
}

weft_own weft_worker_own(const weft_worker *worker, int32_t p)
{
    const weft_job *job = worker->job;
    int32_t u = job->unit_of[p];
    const weft_unit_memory *unit = &worker->units[u];
    weft_share share = weft_share_of(job, p, worker->at.data);
    if (share.from == share.to || !unit->master) return (weft_own){0};
    size_t at = job->offsets[p] + (size_t)share.from - weft_share_begin(job, u, worker->at.data);
    size_t element = weft_element_bytes(job->options.element);
    return (weft_own){.weight = unit->master + at,
                      .moment1 = unit->moment1 ? unit->moment1 + at : NULL,
                      .moment2 = unit->moment2 ? unit->moment2 + at : NULL,
                      .gradient = unit->reduced ? unit->reduced + at : NULL,
                      .storage = (unsigned char *)unit->own_storage + at * element};
}

int32_t weft_worker_at(const weft_worker *worker, int32_t rank)
{
    return weft_world_number(worker->job, (weft_coordinates){rank, worker->at.data, worker->at.tensor});
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
    return weft_worker_at(worker, worker->at.rank == first ? last : first);
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
    worker->reduce_workspace = sampling ? NULL : carve(at, weft_share_workspace(job));
    worker->tensor_sum_workspace = sampling ? NULL : carve(at, weft_share_tensor_workspace(job, WEFT_FP32));
    worker->exchange_workspace = carve(at, weft_share_tensor_workspace(job, job->options.element));
    size_t blocks = (size_t)job->block_first[job->parameter_count];
    worker->slots = carve(at, job->slots[worker->at.rank]);
    worker->scratch = carve(at, job->scratch[worker->at.rank]);
    worker->tied_piece = carve(at, shares_with_another(worker) ? WEFT_JOB_TIED_CHUNK : 0);
    worker->tokens = carve(at, batch * sizeof(int32_t));
    worker->targets = carve(at, batch * sizeof(int32_t));
    worker->losses = carve(at, (size_t)config->batch.microbatches * sizeof(float));
    worker->scalars = carve(at, sizeof(weft_step_scalars));
    worker->own_sums = carve(at, blocks * sizeof(double));
    worker->all_sums = carve(at, blocks * sizeof(double));
    worker->ordered_sums = carve(at, blocks * sizeof(double));
    if (sampling) worker->logits = carve(at, (size_t)(config->batch.sequences * config->model.vocabulary) * element);
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
    TRY(weft_arena_take(arena, workers, sizeof *worker->sum_bytes, &worker->sum_bytes, error));
    TRY(weft_arena_take(arena, workers, sizeof *worker->loss_bytes, &worker->loss_bytes, error));
    TRY(weft_arena_take(arena, workers, sizeof *worker->equal_bytes, &worker->equal_bytes, error));
    TRY(weft_arena_take(arena, 2 * workers, sizeof *worker->reports, &worker->reports, error));
    TRY(weft_arena_take(arena, (size_t)job->data, sizeof *worker->share_bytes, &worker->share_bytes, error));
    TRY(weft_arena_take(arena, (size_t)job->data, sizeof *worker->share_floats, &worker->share_floats, error));
    return weft_arena_take(arena, (size_t)(job->data * job->config->batch.microbatches), sizeof *worker->batch_losses,
                           &worker->batch_losses, error);
}

static void count_collectives(weft_worker *worker)
{
    const weft_job *job = worker->job;
    for (int32_t w = 0; w < job->workers; w++) {
        weft_coordinates at = weft_world_coordinates(job, w);
        for (int32_t p = 0; p < job->parameter_count; p++) {
            weft_share blocks = weft_share_blocks(job, p, at.data, at.tensor);
            if (job->stages[job->units[job->unit_of[p]].stage].rank == at.rank)
                worker->sum_bytes[w] += (size_t)(blocks.to - blocks.from) * sizeof(double);
        }
        if (at.rank == job->stages[job->stage_count - 1].rank && at.tensor == 0)
            worker->loss_bytes[w] = (size_t)job->config->batch.microbatches * sizeof(float);
    }
}

static void point_all(weft_worker *worker)
{
    for (int32_t u = 0; u < worker->job->unit_count; u++) {
        point_storage(worker, u, worker->units[u].storage);
        point_gradient(worker, u, worker->units[u].gradient);
    }
}

static weft_status create_reducer(weft_worker *worker, weft_world_purpose purpose, weft_element element,
                                  void *workspace, weft_reducer **out, weft_error *error)
{
    weft_reducer_options options = {.transport = worker->transport,
                                    .device = worker->device,
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
    if (job->data > 1)
        TRY(create_reducer(worker, WEFT_WORLD_REDUCE, WEFT_FP32, worker->reduce_workspace, &worker->reducer, error));
    if (job->tensor == 1) return WEFT_OK;
    TRY(create_reducer(worker, WEFT_WORLD_TENSOR_SUM, WEFT_FP32, worker->tensor_sum_workspace, &worker->tensor_sum,
                       error));
    TRY(create_reducer(worker, WEFT_WORLD_TENSOR_REDUCE, job->options.element, worker->exchange_workspace,
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

static void attend(void *context)
{
    weft_waiting_attend(context);
}

void weft_worker_attend(weft_worker *worker)
{
    worker->device->between = attend;
    worker->device->between_context = worker;
}

static weft_status build(weft_worker *worker, bool sampling, weft_error *error)
{
    const weft_job *job = worker->job;
    worker->bad_stage = worker->bad_microbatch = -1;
    TRY(take_tables(worker, error));
    count_collectives(worker);
    TRY(job->device->create(&job->options, &worker->device, error));
    if (worker->transport->driven && !sampling) TRY(weft_clerk_create(&worker->clerk, error));
    weft_worker_attend(worker);
    cursor count = {0};
    carve_all(worker, &count, sampling);
    void *memory = NULL;
    if (worker->device->operations->allocate(worker->device, WEFT_MEMORY_DEVICE, count.used, &memory, error) != WEFT_OK)
        return weft_error_context(error, "rank %d cannot have its %.1f MiB", worker->number,
                                  (double)count.used / 1048576);
    worker->memory = memory;
    cursor at = {.base = memory};
    carve_all(worker, &at, sampling);
    point_all(worker);
    poison_pages(worker);
    if (!sampling) TRY(create_reducers(worker, error));
    TRY(create_stages(worker, sampling, error));
    TRY(weft_executor_create(worker, job->forward, worker->forward_stages, &worker->forward, error));
    TRY(sampling ? WEFT_OK : weft_executor_create(worker, job->train, worker->train_stages, &worker->train, error));
    /* Last: from here on the transport has to end before the device does. */
    const weft_transport_operations *transport = worker->transport->operations;
    return !sampling && transport->attach ? transport->attach(worker->transport, worker->device, error) : WEFT_OK;
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
    if (worker->memory) worker->device->operations->release(worker->device, worker->memory);
    if (worker->device) worker->device->operations->destroy(worker->device);
    weft_arena_fini(&worker->arena);
    weft_free(worker);
}

weft_share weft_worker_saves(const weft_worker *worker, int32_t parameter)
{
    const weft_job *job = worker->job;
    bool once = (job->shard != WEFT_SHARD_NONE || worker->at.data == 0) &&
                (weft_split_divides(job->parameters[parameter].split) || worker->at.tensor == 0);
    if (!once || job->parameters[parameter].tied || !worker->units[job->unit_of[parameter]].master)
        return (weft_share){0, 0};
    return weft_share_of(job, parameter, worker->at.data);
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
    TRY(weft_arena_take(&worker->arena, bytes, (size_t)worker->job->workers, &worker->parts, error));
    worker->part_capacity = bytes;
    return WEFT_OK;
}

weft_status weft_worker_gather(weft_worker *worker, const void *part, size_t bytes, void *all, const char *what,
                               weft_error *error)
{
    int32_t workers = worker->job->workers;
    if (workers == 1) {
        memcpy(all, part, bytes);
        return WEFT_OK;
    }
    TRY(reserve_parts(worker, bytes, error));
    memcpy(worker->part, part, bytes);
    for (int32_t w = 0; w < workers; w++) worker->equal_bytes[w] = bytes;
    weft_request request = -1;
    TRY(worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->part,
                                              worker->equal_bytes, worker->parts, &request, error));
    TRY(weft_worker_await(worker, request, what, error));
    memcpy(all, worker->parts, bytes * (size_t)workers);
    return WEFT_OK;
}
