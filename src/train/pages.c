/* Where the weights and gradients of a worker lie, in memory of their own or on pages that stages use in turn. */
#include "train/worker.h"

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

int32_t weft_worker_tied_peer(const weft_worker *worker)
{
    int32_t first = worker->job->stages[0].rank, last = worker->job->stages[worker->job->stage_count - 1].rank;
    return weft_worker_at(worker, worker->at.rank == first ? last : first);
}

/* Pages hold no numbers before they are filled. */
static weft_status poison_pages(const weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    size_t page = job->page_floats[worker->at.rank], element = weft_element_bytes(job->options.element);
    int32_t weights = weft_share_pages(job, worker->at.rank, job->weight_pages);
    int32_t gradients = worker->gradient_pages ? weft_share_pages(job, worker->at.rank, job->gradient_pages) : 0;
    for (int32_t i = 0; i < weights; i++)
        worker->device->operations->copy(worker->device, NULL, weight_page(worker, i), worker->poison, page * element);
    for (int32_t i = 0; i < gradients; i++)
        worker->device->operations->copy(worker->device, NULL, gradient_page(worker, i), worker->poison,
                                         page * sizeof(float));
    return weft_device_check(worker->device, error);
}

weft_status weft_worker_make_poison(weft_worker *worker, weft_error *error)
{
    if (!worker->job->poisons) return WEFT_OK;
    const weft_device_operations *operations = worker->device->operations;
    size_t bytes = worker->job->page_floats[worker->at.rank] * sizeof(float);
    unsigned char *none = NULL;
    TRY(operations->allocate(worker->device, WEFT_MEMORY_DEVICE, bytes, &worker->poison, error));
    TRY(weft_arena_take(&worker->arena, bytes, 1, &none, error));
    for (size_t i = 0; i < bytes; i++) none[i] = 0xff; /* not a number in any element type */
    TRY(operations->write(worker->device, worker->poison, none, bytes, error));
    return poison_pages(worker, error);
}
