#include "train/collective.h"
#include "transport/reduce.h"

#include <stdio.h>

static int32_t tied_parameter(const weft_worker *worker)
{
    const weft_job *job = worker->job;
    return worker->at.rank == job->stages[0].rank ? job->tied_embedding : job->tied_head;
}

/* Elements of the shared weight that this worker sums; its partner in the other stage has the same share. */
static size_t tied_elements(const weft_worker *worker)
{
    weft_share share = weft_share_of(worker->job, worker->job->tied_embedding, worker->at.data);
    return (size_t)(share.to - share.from);
}

/* Posts the exchange of the next piece of the shared gradient; what is left after the last piece is zero. */
static weft_status exchange_piece(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const float *own = weft_worker_own(worker, tied_parameter(worker)).gradient + collective->position;
    size_t left = tied_elements(worker) - collective->position, most = WEFT_JOB_TIED_CHUNK / sizeof(float);
    collective->piece = left < most ? left : most;
    size_t bytes = collective->piece * sizeof(float);
    const weft_transport_operations *transport = worker->transport->operations;
    int32_t peer = weft_worker_tied_peer(worker);
    collective->waiting = true;
    TRY(transport->receive(worker->transport, NULL, peer, WEFT_TAG_TIED, worker->workspace.tied_piece, bytes,
                           &collective->requests[0], error));
    return transport->send(worker->transport, NULL, peer, WEFT_TAG_TIED, own, bytes, &collective->requests[1], error);
}

/* Total = embedding part + head part, on both holders. */
static weft_status add_piece(weft_collective *collective, weft_worker *worker, bool *out_done, weft_error *error)
{
    bool holds_embedding = worker->at.rank == worker->job->stages[0].rank;
    float *own = weft_worker_own(worker, tied_parameter(worker)).gradient + collective->position;
    const float *other = worker->workspace.tied_piece;
    const void *parts[] = {holds_embedding ? own : other, holds_embedding ? other : own};
    worker->device->operations->sum(worker->device, NULL, WEFT_FP32, (int64_t)collective->piece, 2, parts, own);
    collective->position += collective->piece;
    *out_done = collective->position == tied_elements(worker);
    return *out_done ? WEFT_OK : exchange_piece(collective, worker, error);
}

static weft_status start_tied(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    collective->position = 0;
    if (tied_elements(worker) == 0) return WEFT_OK;
    if (!job->tied_alias) return exchange_piece(collective, worker, error);
    float *embedding = weft_worker_own(worker, job->tied_embedding).gradient;
    const void *parts[] = {embedding, weft_worker_own(worker, job->tied_head).gradient};
    worker->device->operations->sum(worker->device, NULL, WEFT_FP32, (int64_t)tied_elements(worker), 2, parts,
                                    embedding);
    return WEFT_OK;
}

/* Own sums in the order stage, parameter, block; the gather puts the workers' parts behind one another. */
static weft_status start_norm(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    double *next = worker->sums.own;
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        if (stage->rank != worker->at.rank) continue;
        for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++) {
            weft_share blocks = weft_share_blocks(job, p, worker->at.data, worker->at.tensor);
            weft_share share = weft_share_of(job, p, worker->at.data);
            if (blocks.from == blocks.to) continue;
            worker->device->operations->square_sums(worker->device, NULL, share.to - share.from,
                                                    weft_worker_own(worker, p).gradient, next);
            next += blocks.to - blocks.from;
        }
    }
    if (job->workers == 1) {
        worker->device->operations->copy(worker->device, NULL, worker->sums.all, worker->sums.own,
                                         worker->sums.bytes[0]);
        return WEFT_OK;
    }
    collective->waiting = true;
    return worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->sums.own,
                                                 worker->sums.bytes, worker->sums.all, &collective->requests[0], error);
}

/* One worker's sums to their places in the order of all parameters. */
static const double *place_sums(weft_worker *worker, weft_coordinates at, const double *next)
{
    const weft_job *job = worker->job;
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        if (stage->rank != at.rank) continue;
        for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++) {
            weft_share blocks = weft_share_blocks(job, p, at.data, at.tensor);
            if (blocks.from == blocks.to) continue;
            worker->device->operations->copy(worker->device, NULL,
                                             worker->sums.ordered + job->block_first[p] + blocks.from, next,
                                             (size_t)(blocks.to - blocks.from) * sizeof(double));
            next += blocks.to - blocks.from;
        }
    }
    return next;
}

static void finish_norm(weft_worker *worker)
{
    const weft_job *job = worker->job;
    const double *next = worker->sums.all;
    for (int32_t w = 0; w < job->workers; w++) next = place_sums(worker, weft_world_coordinates(job, w), next);
    worker->device->operations->norm_finish(worker->device, NULL, job->block_first[job->parameter_count],
                                            worker->sums.ordered, worker->scalars);
}

static weft_status start_metrics(weft_collective *collective, weft_worker *worker, weft_error *error)
{
    const weft_job *job = worker->job;
    if (job->workers == 1) {
        worker->device->operations->copy(worker->device, NULL, worker->losses.all, worker->losses.own,
                                         worker->losses.bytes[0]);
        return WEFT_OK;
    }
    collective->waiting = true;
    return worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->losses.own,
                                                 worker->losses.bytes, worker->losses.all, &collective->requests[0],
                                                 error);
}

weft_status weft_collective_start(weft_collective *collective, weft_worker *worker, weft_action action, bool overwrites,
                                  weft_error *error)
{
    *collective = (weft_collective){.action = action, .requests = {-1, -1}, .overwrites = overwrites};
    switch ((weft_action_kind)action.kind) {
    case WEFT_UNSHARD:
    case WEFT_REDUCE_GRAD:
        return weft_collective_start_unit(collective, worker, error);
    case WEFT_RESHARD:
        weft_worker_free_weight_page(worker, NULL, (int32_t)action.stage, (int32_t)action.microbatch);
        return WEFT_OK;
    case WEFT_REDUCE_TIED:
        return start_tied(collective, worker, error);
    case WEFT_NORM:
        return start_norm(collective, worker, error);
    case WEFT_METRICS:
        return start_metrics(collective, worker, error);
    default:
        FAIL(error, WEFT_FAILED, "rank %d cannot run %s", worker->number,
             weft_action_info_get((weft_action_kind)action.kind)->name);
    }
}

weft_status weft_collective_poll(weft_collective *collective, weft_worker *worker, bool *out_done, bool *out_moved,
                                 weft_error *error)
{
    weft_action_kind kind = (weft_action_kind)collective->action.kind;
    *out_done = *out_moved = false;
    if (kind == WEFT_UNSHARD || kind == WEFT_REDUCE_GRAD)
        return weft_collective_poll_unit(collective, worker, out_done, out_moved, error);
    for (int i = 0; i < 2; i++) {
        if (collective->requests[i] < 0) continue;
        bool done = false;
        TRY(worker->transport->operations->test(worker->transport, collective->requests[i], &done, error));
        if (!done) return WEFT_OK;
        collective->requests[i] = -1;
    }
    *out_done = *out_moved = true;
    if (kind == WEFT_REDUCE_TIED && collective->waiting) return add_piece(collective, worker, out_done, error);
    if (kind == WEFT_NORM) finish_norm(worker);
    return WEFT_OK;
}

void weft_collective_awaited(const weft_collective *collective, const weft_worker *worker, char *out, size_t size)
{
    weft_action_kind kind = (weft_action_kind)collective->action.kind;
    const weft_reducer *reducer = collective->tensor ? worker->tensor_sum : worker->reducer;
    int32_t peer = kind == WEFT_REDUCE_GRAD && reducer ? weft_reducer_awaited(reducer) : -1;
    if (kind == WEFT_REDUCE_TIED) peer = weft_worker_tied_peer(worker);
    if (kind == WEFT_NORM || kind == WEFT_METRICS)
        snprintf(out, size, "of all ranks");
    else if (peer >= 0)
        snprintf(out, size, "with rank %d", peer);
    else
        weft_world_describe(worker->job, collective->tensor ? WEFT_WORLD_TENSOR_SUM : WEFT_WORLD_GATHER, worker->at,
                            out, size);
}
