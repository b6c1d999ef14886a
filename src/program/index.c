#include "program/index.h"

#include <stdio.h>
#include <string.h>

/* Up to here a missing action is worth finding by name; beyond, the table would be far larger than the program. */
enum { SPARSE_LIMIT = 1 << 20 };

/* Which place an action takes, on which kind of lane, and how far its stage's peer is; -1 where it has no place. */
typedef struct kind_row {
    int place;
    weft_lane_kind lane;
    int peer; /* message lanes: peer = rank of stage + peer */
    bool forward;
} kind_row;

static const kind_row kind_rows[WEFT_ACTION_KINDS] = {
    [WEFT_F] = {WEFT_PLACE_F, WEFT_PROGRAM_COMPUTE, 0, true},
    [WEFT_B] = {WEFT_PLACE_B, WEFT_PROGRAM_COMPUTE, 0, false},
    [WEFT_I] = {WEFT_PLACE_B, WEFT_PROGRAM_COMPUTE, 0, false},
    [WEFT_W] = {WEFT_PLACE_W, WEFT_PROGRAM_COMPUTE, 0, false},
    [WEFT_SEND_F] = {WEFT_PLACE_SEND_F, WEFT_PROGRAM_SEND_F, 1, true},
    [WEFT_RECV_F] = {WEFT_PLACE_RECV_F, WEFT_PROGRAM_RECV_F, -1, true},
    [WEFT_SEND_B] = {WEFT_PLACE_SEND_B, WEFT_PROGRAM_SEND_B, -1, false},
    [WEFT_RECV_B] = {WEFT_PLACE_RECV_B, WEFT_PROGRAM_RECV_B, 1, false},
    [WEFT_UNSHARD] = {-1, WEFT_PROGRAM_GATHER, 0, true},
    [WEFT_RESHARD] = {-1, WEFT_PROGRAM_GATHER, 0, true},
    [WEFT_REDUCE_GRAD] = {-1, WEFT_PROGRAM_REDUCE, 0, false},
    [WEFT_REDUCE_TENSOR] = {-1, WEFT_PROGRAM_REDUCE, 0, false},
    [WEFT_REDUCE_TIED] = {-1, WEFT_PROGRAM_REDUCE, 0, false},
    [WEFT_NORM] = {-1, WEFT_PROGRAM_REDUCE, 0, false},
    [WEFT_UPDATE] = {-1, WEFT_PROGRAM_COMPUTE, 0, false},
    [WEFT_METRICS] = {-1, WEFT_PROGRAM_REDUCE, 0, true},
};

static weft_status place_check(const weft_program *program, const weft_lane *lane, weft_action action,
                               weft_error *error)
{
    const kind_row *row = &kind_rows[action.kind];
    char name[WEFT_ACTION_TEXT];
    if (row->lane != lane->kind)
        FAIL(error, WEFT_INVALID, "%s does not belong on the %s lane of rank %d", weft_action_text(action, name),
             weft_lane_kind_name(lane->kind), lane->rank);
    if (program->forward_only && !row->forward)
        FAIL(error, WEFT_INVALID, "%s on rank %d does not belong in a forward program", weft_action_text(action, name),
             lane->rank);
    if (weft_action_info_get((weft_action_kind)action.kind)->operands == WEFT_OPERANDS_NONE) return WEFT_OK;
    int32_t stage = (int32_t)action.stage, home = program->stage_rank[stage];
    if (home != lane->rank)
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but stage %d is on rank %d", lane->rank,
             weft_action_text(action, name), stage, home);
    if (!row->peer) return WEFT_OK;
    int32_t other = stage + row->peer;
    if (other < 0 || other >= program->stages)
        FAIL(error, WEFT_INVALID, "%s on rank %d has no neighbouring stage to exchange with",
             weft_action_text(action, name), lane->rank);
    if (program->stage_rank[other] == home)
        FAIL(error, WEFT_INVALID, "%s on rank %d: stages %d and %d share the rank and exchange no message",
             weft_action_text(action, name), lane->rank, stage, other);
    if (program->stage_rank[other] != lane->peer)
        FAIL(error, WEFT_INVALID, "%s on rank %d is on the lane of rank %d, but stage %d is on rank %d",
             weft_action_text(action, name), lane->rank, lane->peer, other, program->stage_rank[other]);
    return WEFT_OK;
}

/* Where the action is recorded; NULL for a kind that may be there several times. */
static uint32_t *home_of(weft_index *index, int32_t rank, weft_action action)
{
    const kind_row *row = &kind_rows[action.kind];
    if (row->place >= 0)
        return &index->at[weft_index_cell(index->program, (weft_place)row->place, (int32_t)action.stage,
                                          (int32_t)action.microbatch)];
    switch (action.kind) {
    case WEFT_UPDATE:
        index->has_update = true;
        return &index->update[action.stage];
    case WEFT_REDUCE_TIED:
        index->has_tied = true;
        return &index->tied[rank];
    case WEFT_NORM:
        index->has_norm = true;
        return &index->norm[rank];
    case WEFT_METRICS:
        index->has_metrics = true;
        return &index->metrics[rank];
    default:
        return NULL;
    }
}

static weft_status add(weft_index *index, const weft_lane *lane, uint32_t position, weft_error *error)
{
    const weft_program *program = index->program;
    weft_action action = program->actions[position];
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    TRY(place_check(program, lane, action, error));
    uint32_t *home = home_of(index, lane->rank, action);
    if (action.kind == WEFT_REDUCE_TENSOR && program->tensor <= 1)
        FAIL(error, WEFT_INVALID, "%s on rank %d: tensor parallelism is not part of a program of width one",
             weft_action_text(action, name), lane->rank);
    if (!home && action.kind != WEFT_REDUCE_TENSOR && program->data <= 1)
        FAIL(error, WEFT_INVALID, "%s on rank %d: sharded data parallelism is not part of a program of width one",
             weft_action_text(action, name), lane->rank);
    if (action.kind == WEFT_REDUCE_GRAD || action.kind == WEFT_REDUCE_TENSOR)
        index->reduced[action.stage] = index->rank_reduced[lane->rank] = position;
    if (!home) return WEFT_OK;
    if (*home != WEFT_NO_ACTION) {
        weft_action old = program->actions[*home];
        if (old.kind == action.kind)
            FAIL(error, WEFT_INVALID, "rank %d runs %s twice", lane->rank, weft_action_text(action, name));
        FAIL(error, WEFT_INVALID, "rank %d runs both %s and %s: the backward pass is either whole or split in I and W",
             lane->rank, weft_action_text(old, other), weft_action_text(action, name));
    }
    *home = position;
    if (action.kind == WEFT_B || action.kind == WEFT_W)
        index->last_gradient[action.stage] = index->rank_gradient[lane->rank] = position;
    if (action.kind == WEFT_F && (int32_t)action.stage == program->stages - 1) index->last_forward = position;
    return WEFT_OK;
}

static weft_status take(uint32_t **out, size_t count, size_t times, weft_error *error)
{
    TRY(weft_allocate(count, times * sizeof **out, out, error));
    memset(*out, 0xff, count * times * sizeof **out);
    return WEFT_OK;
}

static weft_status fill(weft_index *index, weft_error *error)
{
    const weft_program *program = index->program;
    size_t places = program->forward_only ? WEFT_FORWARD_PLACES : WEFT_PLACES;
    size_t stages = (size_t)program->stages, ranks = (size_t)program->ranks;
    if ((uint64_t)stages * (uint64_t)program->microbatches > 4 * (uint64_t)program->action_count + SPARSE_LIMIT)
        FAIL(error, WEFT_INVALID, "%u actions cannot be %d micro-batches through %d stages", program->action_count,
             program->microbatches, program->stages);
    TRY(take(&index->at, stages * (size_t)program->microbatches, places, error));
    TRY(take(&index->last_gradient, stages, 3, error));
    TRY(take(&index->rank_gradient, ranks, 5, error));
    index->update = index->last_gradient + stages;
    index->reduced = index->update + stages;
    index->tied = index->rank_gradient + ranks;
    index->norm = index->tied + ranks;
    index->metrics = index->norm + ranks;
    index->rank_reduced = index->metrics + ranks;
    for (int32_t lane = 0; lane < program->rank_lanes[program->ranks]; lane++) {
        const weft_lane *row = &program->lanes[lane];
        for (uint32_t i = 0; i < row->count; i++) TRY(add(index, row, row->first + i, error));
    }
    return WEFT_OK;
}

weft_status weft_index_init(weft_index *index, const weft_program *program, weft_error *error)
{
    *index = (weft_index){.program = program, .last_forward = WEFT_NO_ACTION};
    weft_status status = fill(index, error);
    if (status != WEFT_OK) weft_index_fini(index);
    return status;
}

void weft_index_fini(weft_index *index)
{
    weft_free(index->at);
    weft_free(index->last_gradient);
    weft_free(index->rank_gradient);
    *index = (weft_index){0};
}

const char *weft_action_text(weft_action action, char buffer[WEFT_ACTION_TEXT])
{
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    if (info->operands == WEFT_OPERANDS_NONE)
        snprintf(buffer, WEFT_ACTION_TEXT, "%s", info->name);
    else if (info->operands == WEFT_OPERANDS_STAGE)
        snprintf(buffer, WEFT_ACTION_TEXT, "%u%s", (unsigned)action.stage, info->name);
    else
        snprintf(buffer, WEFT_ACTION_TEXT, "%u%s%u", (unsigned)action.stage, info->name, action.microbatch);
    return buffer;
}

const char *weft_lane_kind_name(weft_lane_kind kind)
{
    static const char *const names[] = {"compute", "send-F", "recv-F", "send-B", "recv-B", "reduce", "gather"};
    return names[kind];
}
