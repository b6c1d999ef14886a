#include "train/collective.h"

/* Posts the exchange of the next piece of the shared gradient; what is left after the last piece is zero. */
static weft_status exchange_piece(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    bool holds_embedding = worker->rank == job->stages[0].rank;
    const float *own = worker->gradient[holds_embedding ? job->tied_embedding : job->tied_head] + collective->position;
    size_t left = (size_t)job->parameters[job->tied_embedding].elements - collective->position;
    size_t most = WEFT_JOB_TIED_CHUNK / sizeof(float);
    collective->piece = left < most ? left : most;
    size_t bytes = collective->piece * sizeof(float);
    const weft_transport_operations *transport = worker->transport->operations;
    int32_t peer = weft_worker_tied_peer(worker);
    collective->waiting = true;
    TRY(transport->receive(worker->transport, NULL, peer, WEFT_TAG_TIED, worker->exchange, bytes,
                           &collective->requests[0], error));
    return transport->send(worker->transport, NULL, peer, WEFT_TAG_TIED, own, bytes, &collective->requests[1], error);
}

/* Total = embedding part + head part, on both holders. */
static weft_status add_piece(weft_collective *collective, weft_worker *worker, bool *out_done, weft_error *error)
{
    const weft_job *job = worker->job;
    bool holds_embedding = worker->rank == job->stages[0].rank;
    float *own = worker->gradient[holds_embedding ? job->tied_embedding : job->tied_head] + collective->position;
    const float *other = worker->exchange;
    worker->device->operations->add_fp32(worker->device, NULL, (int64_t)collective->piece,
                                         holds_embedding ? own : other, holds_embedding ? other : own, own);
    collective->position += collective->piece;
    *out_done = collective->position == (size_t)job->parameters[job->tied_embedding].elements;
    return *out_done ? WEFT_OK : exchange_piece(collective, worker, error);
}

static weft_status start_tied(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    collective->position = 0;
    if (!job->tied_alias) return exchange_piece(collective, worker, error);
    float *embedding = worker->gradient[job->tied_embedding];
    worker->device->operations->add_fp32(worker->device, NULL, job->parameters[job->tied_embedding].elements, embedding,
                                         worker->gradient[job->tied_head], embedding);
    return WEFT_OK;
}

/* Own sums in the order stage, parameter, block; the gather puts the ranks' parts behind one another. */
static weft_status start_norm(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    double *next = worker->own_sums;
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        if (stage->rank != worker->rank) continue;
        for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++) {
            if (job->parameters[p].tied) continue;
            worker->device->operations->square_sums(worker->device, NULL, job->parameters[p].elements,
                                                    worker->gradient[p], next);
            next += job->block_first[p + 1] - job->block_first[p];
        }
    }
    if (job->ranks == 1) {
        worker->device->operations->copy(worker->device, NULL, worker->all_sums, worker->own_sums,
                                         worker->sum_bytes[0]);
        return WEFT_OK;
    }
    collective->waiting = true;
    return worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->own_sums,
                                                 worker->sum_bytes, worker->all_sums, &collective->requests[0], error);
}

static void finish_norm(weft_worker *worker)
{
    const weft_job *job = worker->job;
    const double *next = worker->all_sums;
    for (int32_t r = 0; r < job->ranks; r++) {
        for (int32_t s = 0; s < job->stage_count; s++) {
            const weft_job_stage *stage = &job->stages[s];
            if (stage->rank != r || stage->parameter_count == 0) continue;
            int32_t first = job->block_first[stage->parameter_first];
            int32_t count = job->block_first[stage->parameter_first + stage->parameter_count] - first;
            worker->device->operations->copy(worker->device, NULL, worker->ordered_sums + first, next,
                                             (size_t)count * sizeof(double));
            next += count;
        }
    }
    worker->device->operations->norm_finish(worker->device, NULL, job->block_first[job->parameter_count],
                                            worker->ordered_sums, worker->scalars);
}

static weft_status start_metrics(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    if (job->ranks == 1) {
        worker->device->operations->copy(worker->device, NULL, worker->batch_losses, worker->losses,
                                         worker->loss_bytes[0]);
        return WEFT_OK;
    }
    collective->waiting = true;
    return worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->losses,
                                                 worker->loss_bytes, worker->batch_losses, &collective->requests[0],
                                                 error);
}

weft_status weft_collective_start(weft_collective *collective, weft_worker *worker, weft_action_kind kind,
                                  weft_error *error)
{
    *collective = (weft_collective){.kind = kind, .requests = {-1, -1}};
    if (kind == WEFT_REDUCE_TIED) return start_tied(collective, worker, error);
    if (kind == WEFT_NORM) return start_norm(collective, worker, error);
    if (kind == WEFT_METRICS) return start_metrics(collective, worker, error);
    FAIL(error, WEFT_FAILED, "rank %d cannot run %s", worker->rank, weft_action_info_get(kind)->name);
}

weft_status weft_collective_poll(weft_collective *collective, weft_worker *worker, bool *out_done, weft_error *error)
{
    *out_done = false;
    for (int i = 0; i < 2; i++) {
        if (collective->requests[i] < 0) continue;
        bool done = false;
        TRY(worker->transport->operations->test(worker->transport, collective->requests[i], &done, error));
        if (!done) return WEFT_OK;
        collective->requests[i] = -1;
    }
    *out_done = true;
    if (collective->kind == WEFT_REDUCE_TIED && collective->waiting)
        return add_piece(collective, worker, out_done, error);
    if (collective->kind == WEFT_NORM) finish_norm(worker);
    return WEFT_OK;
}
