/* Gathers of weights and sums of gradients over the data-parallel workers of a rank, one unit of a stage at a time. */
#include "train/collective.h"
#include "transport/reduce.h"

static int32_t last_unit(const weft_collective *collective, const weft_worker *worker)
{
    return worker->job->stage_units[collective->action.stage + 1];
}

/* Where the whole of a unit lies: its parameters are behind one another. */
static void *storage_of(const weft_worker *worker, int32_t unit)
{
    return worker->storage[worker->job->units[unit].first];
}

static weft_status start_gather(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    int32_t unit = collective->unit;
    size_t element = weft_element_bytes(job->options.element);
    for (int32_t d = 0; d < job->data; d++)
        worker->share_bytes[d] = (weft_share_end(job, unit, d) - weft_share_begin(job, unit, d)) * element;
    return worker->transport->operations->gather(
        worker->transport, NULL, weft_world_group(job, WEFT_WORLD_GATHER, worker->at), worker->units[unit].own_storage,
        worker->share_bytes, storage_of(worker, unit), &collective->requests[0], error);
}

static weft_status start_sum(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    int32_t unit = collective->unit;
    float *values = weft_worker_gradient_on(worker, unit, (int32_t)collective->action.microbatch);
    if (collective->tensor) return weft_reducer_all(worker->tensor_sum, values, job->units[unit].floats, error);
    if (job->shard == WEFT_SHARD_NONE) return weft_reducer_all(worker->reducer, values, job->units[unit].floats, error);
    for (int32_t d = 0; d < job->data; d++)
        worker->share_floats[d] = weft_share_end(job, unit, d) - weft_share_begin(job, unit, d);
    float *own = values + weft_share_begin(job, unit, worker->at.data);
    return weft_reducer_scatter(worker->reducer, values, worker->share_floats, own, error);
}

static bool is_idle(const weft_collective *collective, const weft_job *job)
{
    const weft_job_unit *unit = &job->units[collective->unit];
    bool gathers = collective->action.kind == WEFT_UNSHARD;
    bool there = gathers && weft_share_is_there(job, collective->unit);
    bool nobody = !gathers && (unit->frozen || (collective->tensor ? !unit->summed : job->data == 1));
    return unit->floats == 0 || there || nobody;
}

static void skip_idle(weft_collective *collective, const weft_worker *worker)
{
    while (collective->unit < last_unit(collective, worker) && is_idle(collective, worker->job)) collective->unit++;
}

/* Goes to the next unit of the stage that has anything to do: first over tensor-parallel workers, where there are any.
 */
static weft_status start_next(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    int32_t past = last_unit(collective, worker);
    skip_idle(collective, worker);
    if (collective->unit == past && collective->tensor) {
        collective->tensor = false;
        collective->unit = worker->job->stage_units[collective->action.stage];
        skip_idle(collective, worker);
    }
    collective->waiting = collective->unit < past;
    if (!collective->waiting) return WEFT_OK;
    return (collective->action.kind == WEFT_UNSHARD ? start_gather : start_sum)(collective, worker, error);
}

weft_status weft_collective_start_unit(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    int32_t stage = (int32_t)collective->action.stage, page = (int32_t)collective->action.microbatch;
    bool gathers = collective->action.kind == WEFT_UNSHARD;
    if (gathers && worker->job->weight_pages) weft_worker_use_weight_page(worker, stage, page);
    collective->unit = worker->job->stage_units[stage];
    collective->tensor = !gathers && worker->job->tensor > 1;
    return start_next(collective, worker, error);
}

/* What was reduced early is added to what was reduced before. */
static void keep_sum(const weft_collective *collective, weft_worker *worker)
{
    const weft_job *job = worker->job;
    int32_t unit = collective->unit;
    size_t begin = weft_share_begin(job, unit, worker->at.data),
           count = weft_share_end(job, unit, worker->at.data) - begin;
    float *sum = weft_worker_gradient_on(worker, unit, (int32_t)collective->action.microbatch) + begin;
    float *kept = worker->units[unit].reduced;
    if (!job->gradient_pages) return;
    if (count > 0 && collective->overwrites)
        worker->device->operations->copy(worker->device, NULL, kept, sum, count * sizeof(float));
    else if (count > 0)
        worker->device->operations->sum(worker->device, NULL, WEFT_FP32, (int64_t)count, 2, (const void *[]){kept, sum},
                                        kept);
    weft_worker_free_gradient_page(worker, NULL, unit, (int32_t)collective->action.microbatch);
}

static weft_status poll_sum(const weft_collective *collective, weft_worker *worker, bool *out_done, bool *out_moved,
                            weft_error *error)
{
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    TRY(weft_reducer_poll(collective->tensor ? worker->tensor_sum : worker->reducer, &state, error));
    *out_moved = state != WEFT_REDUCER_WAITS;
    *out_done = state == WEFT_REDUCER_DONE;
    if (*out_done && !collective->tensor) keep_sum(collective, worker);
    return WEFT_OK;
}

weft_status weft_collective_poll_unit(weft_collective *collective, weft_worker *worker, bool *out_done, bool *out_moved,
                                      weft_error *error)
{
    bool done = !collective->waiting;
    *out_moved = false;
    if (!done && collective->action.kind == WEFT_UNSHARD)
        TRY(worker->transport->operations->test(worker->transport, collective->requests[0], &done, error));
    else if (!done)
        TRY(poll_sum(collective, worker, &done, out_moved, error));
    *out_moved |= done;
    *out_done = false;
    if (!done) return WEFT_OK;
    int32_t past = last_unit(collective, worker);
    if (collective->unit < past) collective->unit++;
    bool waited = collective->waiting;
    TRY(start_next(collective, worker, error));
    *out_done = !collective->waiting;
    collective->waiting |= waited; /* the whole action did */
    return WEFT_OK;
}
