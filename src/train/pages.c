/* Where the weights and gradients of a worker lie, in memory of their own or on pages that stages use in turn. */
#include "train/worker.h"

#include <string.h>

static unsigned char *weight_page(const weft_worker *worker, int32_t page)
{
    size_t element = weft_element_bytes(worker->job->options.element);
    return worker->weight_pages + (size_t)page * worker->job->page_floats[worker->at.rank] * element;
}

static float *gradient_page(const weft_worker *worker, int32_t page)
{
    return worker->gradient_pages + (size_t)page * worker->job->page_floats[worker->at.rank];
}

/* Floats of the units of its stage that come before it on a page. */
static size_t before(const weft_job *job, int32_t unit, bool weights)
{
    size_t floats = 0;
    for (int32_t u = job->stage_units[job->units[unit].stage]; u < unit; u++)
        if (!weights || !weft_share_is_there(job, u)) floats += job->units[u].floats;
    return floats;
}

void *weft_worker_storage_on(const weft_worker *worker, int32_t unit, int32_t page)
{
    const weft_job *job = worker->job;
    if (!job->weight_pages) return worker->units[unit].storage;
    if (weft_share_is_there(job, unit)) unit = job->units[unit].weights;
    return weight_page(worker, page) + before(job, unit, true) * weft_element_bytes(job->options.element);
}

float *weft_worker_gradient_on(const weft_worker *worker, int32_t unit, int32_t page)
{
    if (!worker->job->gradient_pages) return worker->units[unit].gradient;
    return gradient_page(worker, page) + before(worker->job, unit, false);
}

void weft_worker_point(const weft_worker *worker, int32_t unit, void *storage, float *gradient, void **storages,
                       float **gradients)
{
    const weft_job *job = worker->job;
    int32_t first = job->stages[job->units[unit].stage].parameter_first;
    size_t element = weft_element_bytes(job->options.element);
    for (int32_t p = job->units[unit].first; p >= 0; p = weft_share_next(job, unit, p)) {
        if (storage) storages[p - first] = (unsigned char *)storage + job->offsets[p] * element;
        if (gradient && !job->units[unit].frozen) gradients[p - first] = gradient + job->offsets[p];
    }
}

weft_page weft_worker_weight_page(const weft_worker *worker, int32_t stage, int32_t page)
{
    size_t bytes = weft_share_stage_floats(worker->job, stage) * weft_element_bytes(worker->job->options.element);
    return (weft_page){worker->job->weight_pages ? weight_page(worker, page) : NULL, worker->poison, bytes};
}

weft_page weft_worker_gradient_page(const weft_worker *worker, int32_t unit, int32_t page)
{
    size_t bytes = worker->job->units[unit].floats * sizeof(float);
    return (weft_page){weft_worker_gradient_on(worker, unit, page), worker->poison, bytes};
}

void weft_worker_point_units(weft_worker *worker)
{
    const weft_job *job = worker->job;
    for (int32_t u = 0; u < job->unit_count; u++) {
        int32_t first = job->stages[job->units[u].stage].parameter_first;
        weft_worker_point(worker, u, worker->units[u].storage, worker->units[u].gradient, worker->storage + first,
                          worker->gradient + first);
    }
}

/* Of a rank's weights and of its gradients, which are wider. */
static size_t page_bytes(const weft_worker *worker)
{
    return worker->job->page_floats[worker->at.rank] * sizeof(float);
}

static void poison_pages(const weft_worker *worker)
{
    const weft_job *job = worker->job;
    const weft_device_operations *operations = worker->device->operations;
    size_t page = job->page_floats[worker->at.rank], element = weft_element_bytes(job->options.element);
    int32_t weights = weft_share_pages(job, worker->at.rank, job->weight_pages);
    int32_t gradients = worker->gradient_pages ? weft_share_pages(job, worker->at.rank, job->gradient_pages) : 0;
    for (int32_t i = 0; i < weights; i++)
        operations->copy(worker->device, NULL, weight_page(worker, i), worker->poison, page * element);
    for (int32_t i = 0; i < gradients; i++)
        operations->copy(worker->device, NULL, gradient_page(worker, i), worker->poison, page_bytes(worker));
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
