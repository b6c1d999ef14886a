#include "train/crossing.h"

weft_status weft_crossing_create(weft_worker *worker, weft_error *error)
{
    weft_device *device = worker->device;
    weft_crossing *host = &worker->host;
    TRY(device->operations->stream_create(device, WEFT_STREAM_TRANSFER, &host->stream, error));
    host->made = true;
    return device->operations->events_create(device, WEFT_BATCHES, host->entered, error);
}

void weft_crossing_destroy(weft_worker *worker)
{
    weft_device *device = worker->device;
    if (!worker->host.made) return;
    device->operations->stream_destroy(device, worker->host.stream);
    device->operations->events_destroy(device, WEFT_BATCHES, worker->host.entered);
}

const weft_event *weft_crossing_entered(const weft_worker *worker)
{
    return &worker->host.entered[worker->host.filled];
}

/* Until the host may write again what went in with that batch. */
static weft_status wait_entered(weft_worker *worker, int batch, weft_error *error)
{
    weft_device *device = worker->device;
    if (device->operations->event_done(device, &worker->host.entered[batch])) return WEFT_OK;
    return device->operations->stream_wait(device, worker->host.stream, error);
}

weft_status weft_crossing_fill(weft_worker *worker, weft_batch *out, weft_error *error)
{
    weft_crossing *host = &worker->host;
    host->filled = (host->filled + 1) % WEFT_BATCHES;
    *out = host->batches[host->filled];
    return wait_entered(worker, host->filled, error);
}

static void copy_in(weft_worker *worker, void *to, const void *from, size_t bytes)
{
    if (to != from) worker->device->operations->copy_in(worker->device, worker->host.stream, to, from, bytes);
}

/* What data.documents does not ask for has no memory. */
static void copy_batch(weft_worker *worker, const weft_batch *from, size_t bytes)
{
    copy_in(worker, worker->batch.tokens, from->tokens, bytes);
    copy_in(worker, worker->batch.targets, from->targets, bytes);
    copy_in(worker, worker->batch.documents, from->documents, bytes);
    copy_in(worker, worker->batch.positions, from->positions, bytes);
}

static void copy_out(weft_worker *worker, void *to, const void *from, size_t bytes)
{
    if (to != from) worker->device->operations->copy_out(worker->device, worker->host.stream, to, from, bytes);
}

weft_status weft_crossing_enter(weft_worker *worker, weft_error *error)
{
    weft_crossing *host = &worker->host;
    const weft_config *config = worker->job->config;
    const weft_batch *batch = &host->batches[host->filled];
    size_t count = (size_t)(config->batch.microbatches * config->batch.sequences * config->batch.tokens);
    for (int i = 0; i < WEFT_BATCHES; i++) TRY(wait_entered(worker, i, error)); /* the scalars of either */
    *host->scalars_in = host->posed;
    copy_batch(worker, batch, count * sizeof *batch->tokens);
    copy_in(worker, worker->scalars, host->scalars_in, sizeof *host->scalars_in);
    worker->device->operations->event_record(worker->device, host->stream, &host->entered[host->filled]);
    return WEFT_OK;
}

weft_status weft_crossing_leave(weft_worker *worker, weft_error *error)
{
    const weft_crossing *host = &worker->host;
    const weft_memory_row *logits = weft_memory_plan_find(&worker->plan, WEFT_ROW_LOGITS, -1);
    const weft_job *job = worker->job;
    size_t losses = (size_t)(job->data * job->config->batch.microbatches * job->losses);
    copy_out(worker, host->scalars_out, worker->scalars, sizeof *host->scalars_out);
    copy_out(worker, host->losses, worker->losses.all, losses * sizeof *host->losses);
    if (logits) copy_out(worker, host->logits, worker->logits, logits->bytes);
    return worker->device->operations->stream_wait(worker->device, host->stream, error);
}

static size_t enqueue(weft_unloading *it, int place, const char *data, size_t count)
{
    const weft_worker *worker = it->worker;
    size_t piece = count < WEFT_STAGING_BYTES ? count : WEFT_STAGING_BYTES;
    if (it->data[place] != data && count > 0)
        worker->device->operations->copy_out(worker->device, worker->host.stream, worker->host.staging[place], data,
                                             piece);
    it->data[place] = count > 0 ? data : NULL; /* another tensor may begin where this one ends */
    return piece;
}

weft_status weft_crossing_unload(void *unloading, const void *data, size_t count, const void **out, size_t *out_count,
                                 weft_error *error)
{
    weft_unloading *it = unloading;
    const weft_worker *worker = it->worker;
    int place = it->next;
    it->next = (place + 1) % WEFT_STAGING;
    *out_count = enqueue(it, place, data, count);
    TRY(worker->device->operations->stream_wait(worker->device, worker->host.stream, error));
    (void)enqueue(it, it->next, (const char *)data + *out_count, count - *out_count);
    *out = worker->host.staging[place];
    return WEFT_OK;
}
