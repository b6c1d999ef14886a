/* Operands of messages, gathers, sums, and of what all workers do together. */
#include "train/bind_parts.h"

#include <stdio.h>

weft_status weft_bind_begin_transfers(weft_binder *binder, weft_error *error)
{
    char text[WEFT_WORLD_NAMES];
    for (int purpose = 0; purpose < WEFT_WORLD_PURPOSES; purpose++) {
        weft_world_describe(binder->job, (weft_world_purpose)purpose, binder->worker->at, text, sizeof text);
        TRY(weft_arena_text(binder->arena, text, &binder->with[purpose], error));
    }
    return WEFT_OK;
}

static weft_status name_peer(weft_binder *binder, int32_t peer, const char **out, weft_error *error)
{
    char text[32];
    snprintf(text, sizeof text, "with rank %d", peer);
    return weft_arena_text(binder->arena, text, out, error);
}

static const weft_lane *lane_of(const weft_program *program, int32_t rank, uint32_t action)
{
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    while (action - lane->first >= lane->count) lane++;
    return lane;
}

static int32_t message_buffer(const weft_program *program, weft_action action)
{
    int32_t s = (int32_t)action.stage, m = (int32_t)action.microbatch;
    switch ((weft_action_kind)action.kind) {
    case WEFT_SEND_F:
        return weft_program_output(program, s, m);
    case WEFT_RECV_F:
        return weft_program_slot(program, WEFT_SLOT_INPUT, s, m);
    case WEFT_SEND_B:
        return weft_program_gradient_out(program, s, m);
    default:
        return weft_program_slot(program, WEFT_SLOT_GRADIENT, s, m);
    }
}

/* The slot may be larger than the message: both ends send the boundary's exact bytes. */
weft_status weft_bind_message(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_program *program = binder->program;
    const weft_lane *lane = lane_of(program, binder->worker->at.rank, action);
    bool known = action > lane->first; /* to the message before it */
    out->driven = true;
    out->message = (weft_message){.memory = weft_bind_slot(binder, message_buffer(program, program->actions[action])),
                                  .bytes = weft_job_boundary(binder->job),
                                  .peer = weft_worker_at(binder->worker, lane->peer),
                                  .tag = lane->tag};
    if (known) out->with = (out - 1)->with;
    return known ? WEFT_OK : name_peer(binder, out->message.peer, &out->with, error);
}

/* What each data-parallel worker has of the unit, in floats or, at so many bytes an element, in bytes. */
static weft_status list_shares(weft_binder *binder, int32_t unit, size_t element, const size_t **out, weft_error *error)
{
    const weft_job *job = binder->job;
    size_t *shares = NULL;
    TRY(weft_arena_take(binder->arena, (size_t)job->data, sizeof *shares, &shares, error));
    for (int32_t d = 0; d < job->data; d++)
        shares[d] = (weft_share_end(job, unit, d) - weft_share_begin(job, unit, d)) * element;
    *out = shares;
    return WEFT_OK;
}

weft_status weft_bind_gather(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_job *job = binder->job;
    const weft_worker *worker = binder->worker;
    weft_action of = binder->program->actions[action];
    int32_t first = job->stage_units[of.stage], past = job->stage_units[of.stage + 1];
    weft_gather_part *parts = NULL;
    TRY(weft_arena_take(binder->arena, (size_t)(past - first), sizeof *parts, &parts, error));
    out->gather = (weft_gather){.group = weft_world_group(job, WEFT_WORLD_GATHER, worker->at), .parts = parts};
    out->with = binder->with[WEFT_WORLD_GATHER];
    for (int32_t u = first; u < past; u++) {
        if (job->units[u].floats == 0 || weft_share_is_there(job, u)) continue;
        weft_gather_part *part = &parts[out->gather.count++];
        part->own = worker->units[u].own_storage;
        part->whole = weft_worker_storage_on(worker, u, (int32_t)of.microbatch);
        TRY(list_shares(binder, u, weft_element_bytes(job->options.element), &part->bytes, error));
    }
    out->driven = out->gather.count > 0;
    return WEFT_OK;
}

weft_status weft_bind_drop(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    weft_action of = binder->program->actions[action];
    (void)error;
    out->page = weft_worker_weight_page(binder->worker, (int32_t)of.stage, (int32_t)of.microbatch);
    return WEFT_OK;
}

/* Of data-parallel workers: what was reduced early is added to what was reduced before. */
static weft_status bind_data_part(weft_binder *binder, weft_action of, int32_t u, weft_sum_part *part,
                                  weft_error *error)
{
    const weft_job *job = binder->job;
    const weft_worker *worker = binder->worker;
    size_t begin = weft_share_begin(job, u, worker->at.data), end = weft_share_end(job, u, worker->at.data);
    part->own = part->values + begin;
    part->overwrite = of.overwrite;
    if (job->gradient_pages) {
        part->kept = worker->units[u].reduced;
        part->kept_count = end - begin;
        part->page = weft_worker_gradient_page(worker, u, (int32_t)of.microbatch);
    }
    return job->shard == WEFT_SHARD_NONE ? WEFT_OK : list_shares(binder, u, 1, &part->shares, error);
}

weft_status weft_bind_sum(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_job *job = binder->job;
    const weft_worker *worker = binder->worker;
    weft_action of = binder->program->actions[action];
    bool tensor = of.kind == WEFT_REDUCE_TENSOR;
    int32_t first = job->stage_units[of.stage], past = job->stage_units[of.stage + 1];
    weft_sum_part *parts = NULL;
    TRY(weft_arena_take(binder->arena, (size_t)(past - first), sizeof *parts, &parts, error));
    out->sum = (weft_sum){.reducer = tensor ? worker->tensor_sum : worker->reducer, .parts = parts};
    out->with = binder->with[tensor ? WEFT_WORLD_TENSOR_SUM : WEFT_WORLD_REDUCE];
    for (int32_t u = first; out->sum.reducer && u < past; u++) {
        const weft_job_unit *unit = &job->units[u];
        if (unit->floats == 0 || unit->frozen || (tensor && !unit->summed)) continue;
        weft_sum_part *part = &parts[out->sum.count++];
        *part = (weft_sum_part){.values = weft_worker_gradient_on(worker, u, (int32_t)of.microbatch),
                                .count = unit->floats};
        if (!tensor) TRY(bind_data_part(binder, of, u, part, error));
    }
    out->driven = out->sum.count > 0;
    return WEFT_OK;
}

/* The weight that the first and the last stage share; both holders have the same share of it. */
weft_status weft_bind_tied(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_job *job = binder->job;
    const weft_worker *worker = binder->worker;
    bool embeds = worker->at.rank == job->stages[0].rank;
    weft_share share = weft_share_of(job, job->tied_embedding, worker->at.data);
    size_t count = (size_t)(share.to - share.from);
    float *own = weft_worker_own(worker, embeds ? job->tied_embedding : job->tied_head).gradient;
    weft_sum_part *part = NULL;
    (void)action;
    if (job->tied_alias) {
        out->operation = WEFT_OPERATION_ADD_TIED;
        out->tied = (weft_tied){own, weft_worker_own(worker, job->tied_head).gradient, count};
        return WEFT_OK;
    }
    TRY(weft_arena_take(binder->arena, 1, sizeof *part, &part, error));
    *part = (weft_sum_part){.values = own, .count = count};
    out->sum = (weft_sum){.reducer = worker->tied_sum, .count = count > 0, .parts = part};
    out->driven = count > 0;
    out->with = binder->with[WEFT_WORLD_TIED];
    return WEFT_OK;
}

static bool is_squared(const weft_binder *binder, weft_coordinates at, int32_t p, weft_share *out_blocks)
{
    const weft_job *job = binder->job;
    *out_blocks = weft_share_blocks(job, p, at.data, at.tensor);
    return job->stages[job->units[job->unit_of[p]].stage].rank == at.rank && out_blocks->from < out_blocks->to;
}

/* In the order stage, parameter, block. */
static void list_squares(const weft_binder *binder, double *next, weft_squares *squares, int32_t *out_count)
{
    const weft_worker *worker = binder->worker;
    for (int32_t p = 0; p < binder->job->parameter_count; p++) {
        weft_share blocks, share = weft_share_of(binder->job, p, worker->at.data);
        if (!is_squared(binder, worker->at, p, &blocks)) continue;
        squares[(*out_count)++] = (weft_squares){p, share.to - share.from, weft_worker_own(worker, p).gradient, next};
        next += blocks.to - blocks.from;
    }
}

/* Where the sums of all workers, one worker behind the other, belong in the order of all parameters. */
static void list_index(const weft_binder *binder, int32_t *next)
{
    const weft_job *job = binder->job;
    for (int32_t w = 0; w < job->workers; w++) {
        weft_coordinates at = weft_world_coordinates(job, w);
        for (int32_t p = 0; p < job->parameter_count; p++) {
            weft_share blocks;
            if (!is_squared(binder, at, p, &blocks)) continue;
            for (int64_t i = blocks.from; i < blocks.to; i++) *next++ = job->block_first[p] + (int32_t)i;
        }
    }
}

static weft_status write_index(const weft_binder *binder, int64_t blocks, weft_error *error)
{
    weft_device *device = binder->worker->device;
    int32_t *index = NULL;
    TRY(weft_allocate((size_t)blocks, sizeof *index, &index, error));
    list_index(binder, index);
    weft_status status =
        device->operations->write(device, binder->worker->sums.index, index, (size_t)blocks * sizeof *index, error);
    weft_free(index);
    return status;
}

/* One worker has all sums in their order from the beginning. */
weft_status weft_bind_norm(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_job *job = binder->job;
    const weft_norm_sums *sums = &binder->worker->sums;
    weft_squares *squares = NULL;
    (void)action;
    TRY(weft_arena_take(binder->arena, (size_t)job->parameter_count, sizeof *squares, &squares, error));
    out->driven = job->workers > 1;
    out->with = "of all ranks";
    out->norm = (weft_norm_all){.squares = squares,
                                .own = out->driven ? sums->own : sums->ordered,
                                .all = sums->all,
                                .bytes = sums->bytes,
                                .index = sums->index,
                                .ordered = sums->ordered,
                                .blocks = job->block_first[job->parameter_count],
                                .scalars = binder->worker->scalars};
    list_squares(binder, out->norm.own, squares, &out->norm.count);
    return out->driven ? write_index(binder, out->norm.blocks, error) : WEFT_OK;
}

weft_status weft_bind_metrics(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_worker *worker = binder->worker;
    (void)action;
    (void)error;
    out->driven = binder->job->workers > 1;
    out->with = "of all ranks";
    out->metrics = (weft_metrics){.own = worker->losses.own,
                                  .all = worker->losses.all,
                                  .bytes = worker->losses.bytes,
                                  .count = binder->job->data * binder->job->config->batch.microbatches,
                                  .stride = binder->job->losses,
                                  .judged = binder->program->skip ? worker->scalars : NULL};
    return WEFT_OK;
}
