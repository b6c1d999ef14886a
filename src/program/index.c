#include "program/index.h"

#include <stdio.h>
#include <string.h>

/* Up to here a missing action is worth finding by name; beyond, the table would be far larger than the program. */
enum { SPARSE_LIMIT = 1 << 20 };

/* Which place an action takes, on which kind of lane, and how far its stage's peer is. */
typedef struct kind_row {
    weft_place place;
    weft_lane_kind lane;
    int peer; /* message lanes: peer = rank of stage + peer */
    bool forward;
} kind_row;

enum { TRAIN = false, BOTH = true };

static const kind_row kind_rows[WEFT_ACTION_KINDS] = {
#define ACTION(name, lane, place, operands, peer, programs, ...)                                                       \
    {WEFT_PLACE_##place, WEFT_PROGRAM_##lane, peer, programs},
#include "schedule/actions.def"
#undef ACTION
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
    weft_place place = kind_rows[action.kind].place;
    if (place < WEFT_PLACES)
        return &index->at[weft_index_cell(index->program, place, (int32_t)action.stage, (int32_t)action.microbatch)];
    if (place == WEFT_PLACE_OFTEN) return NULL;
    index->has[action.kind] = true;
    return &index->once[action.kind][place == WEFT_PLACE_ONCE_A_STAGE ? (int32_t)action.stage : rank];
}

/* Workers divide nothing among themselves where there is one. */
static weft_status width_check(const weft_program *program, const weft_lane *lane, weft_action action,
                               weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    bool tensor = weft_action_info_get((weft_action_kind)action.kind)->members == WEFT_MEMBERS_TENSOR;
    if (kind_rows[action.kind].place != WEFT_PLACE_OFTEN || (tensor ? program->tensor : program->data) > 1)
        return WEFT_OK;
    FAIL(error, WEFT_INVALID, "%s on rank %d: %s parallelism is not part of a program of width one",
         weft_action_text(action, name), lane->rank, tensor ? "tensor" : "sharded data");
}

static weft_status add(weft_index *index, const weft_lane *lane, uint32_t position, weft_error *error)
{
    const weft_program *program = index->program;
    weft_action action = program->actions[position];
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    TRY(place_check(program, lane, action, error));
    uint32_t *home = home_of(index, lane->rank, action);
    TRY(width_check(program, lane, action, error));
    if (weft_action_reduces(action)) index->reduced[action.stage] = index->rank_reduced[lane->rank] = position;
    if (!home) return WEFT_OK;
    if (*home != WEFT_NO_ACTION) {
        weft_action old = program->actions[*home];
        if (old.kind == action.kind)
            FAIL(error, WEFT_INVALID, "rank %d runs %s twice", lane->rank, weft_action_text(action, name));
        FAIL(error, WEFT_INVALID, "rank %d runs both %s and %s: the backward pass is either whole or split in I and W",
             lane->rank, weft_action_text(old, other), weft_action_text(action, name));
    }
    *home = position;
    if (weft_action_makes_gradients(action))
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
    TRY(take(&index->last_gradient, stages, 2, error));
    TRY(take(&index->rank_gradient, ranks, 2, error));
    index->reduced = index->last_gradient + stages;
    index->rank_reduced = index->rank_gradient + ranks;
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        if (kind_rows[kind].place == WEFT_PLACE_ONCE_A_STAGE) TRY(take(&index->once[kind], stages, 1, error));
        if (kind_rows[kind].place == WEFT_PLACE_ONCE_A_RANK) TRY(take(&index->once[kind], ranks, 1, error));
    }
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
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) weft_free(index->once[kind]);
    *index = (weft_index){0};
}

const char *weft_action_text(weft_action action, char buffer[WEFT_ACTION_TEXT])
{
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    if (info->operands == WEFT_OPERANDS_NONE)
        snprintf(buffer, WEFT_ACTION_TEXT, "%s", info->name);
    else if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH)
        snprintf(buffer, WEFT_ACTION_TEXT, "%u%s%u", (unsigned)action.stage, info->name, action.microbatch);
    else
        snprintf(buffer, WEFT_ACTION_TEXT, "%u%s", (unsigned)action.stage, info->name);
    return buffer;
}

const char *weft_lane_kind_name(weft_lane_kind kind)
{
    static const char *const names[] = {"compute", "send-F", "recv-F", "send-B", "recv-B", "reduce", "gather"};
    return names[kind];
}
