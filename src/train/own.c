/* What is this worker's own: its share of each parameter, and who its like are. */
#include "train/worker.h"

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
