/* Where the weights and gradients of a worker lie, in memory of their own or on pages that stages use in turn. */
#include "train/worker.h"

#include <string.h>

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

void weft_worker_point_units(weft_worker *worker)
{
    for (int32_t u = 0; u < worker->job->unit_count; u++) {
        point_storage(worker, u, worker->units[u].storage);
        point_gradient(worker, u, worker->units[u].gradient);
    }
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

/* Of a rank's weights and of its gradients, which are wider. */
static size_t page_bytes(const weft_worker *worker)
{
    return worker->job->page_floats[worker->at.rank] * sizeof(float);
}

static void poison(const weft_worker *worker, weft_stream *stream, void *memory, size_t bytes)
{
    if (worker->poison && bytes > 0)
        worker->device->operations->copy(worker->device, stream, memory, worker->poison, bytes);
}

void weft_worker_free_weight_page(const weft_worker *worker, weft_stream *stream, int32_t stage, int32_t page)
{
    size_t element = weft_element_bytes(worker->job->options.element);
    poison(worker, stream, weight_page(worker, page), weft_share_stage_floats(worker->job, stage) * element);
}

static void poison_pages(const weft_worker *worker)
{
    const weft_job *job = worker->job;
    size_t page = job->page_floats[worker->at.rank], element = weft_element_bytes(job->options.element);
    int32_t weights = weft_share_pages(job, worker->at.rank, job->weight_pages);
    int32_t gradients = weft_share_pages(job, worker->at.rank, job->gradient_pages);
    for (int32_t i = 0; i < weights; i++) poison(worker, NULL, weight_page(worker, i), page * element);
    for (int32_t i = 0; worker->gradient_pages && i < gradients; i++)
        poison(worker, NULL, worker->gradient_pages + (size_t)i * page, page_bytes(worker));
}

weft_status weft_worker_poison_pages(weft_worker *worker, weft_error *error)
{
    weft_device *device = worker->device;
    unsigned char *bits = NULL;
    if (!worker->job->poisons) return WEFT_OK;
    TRY(device->operations->allocate(device, WEFT_MEMORY_DEVICE, page_bytes(worker), &worker->poison, error));
    TRY(weft_allocate(page_bytes(worker), 1, &bits, error));
    memset(bits, 0xff, page_bytes(worker)); /* no number in any element type */
    weft_status status = device->operations->write(device, worker->poison, bits, page_bytes(worker), error);
    weft_free(bits);
    poison_pages(worker);
    return status;
}

float *weft_worker_gradient_on(const weft_worker *worker, int32_t unit, int32_t page)
{
    const weft_job *job = worker->job;
    if (!job->gradient_pages) return worker->units[unit].gradient;
    float *at = worker->gradient_pages + (size_t)page * job->page_floats[worker->at.rank];
    for (int32_t u = job->stage_units[job->units[unit].stage]; u < unit; u++) at += job->units[u].floats;
    return at;
}

void weft_worker_free_gradient_page(const weft_worker *worker, weft_stream *stream, int32_t unit, int32_t page)
{
    poison(worker, stream, weft_worker_gradient_on(worker, unit, page),
           worker->job->units[unit].floats * sizeof(float));
}

void weft_worker_use_gradient_page(weft_worker *worker, int32_t stage, int32_t page)
{
    const weft_job *job = worker->job;
    for (int32_t u = job->stage_units[stage]; u < job->stage_units[stage + 1]; u++)
        point_gradient(worker, u, weft_worker_gradient_on(worker, u, page));
}
