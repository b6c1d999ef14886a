/* Completeness of a program: every action there that must be, and messages that match. */
#include "program/index.h"

static weft_status missing(const weft_index *index, weft_action_kind kind, int32_t stage, int32_t microbatch,
                           weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    weft_action action = {.kind = kind, .stage = (uint32_t)stage & 0xffffff, .microbatch = (uint32_t)microbatch};
    FAIL(error, WEFT_INVALID, "rank %d never runs %s", index->program->stage_rank[stage],
         weft_action_text(action, name));
}

static bool has(const weft_index *index, weft_place place, int32_t stage, int32_t microbatch)
{
    return weft_index_at(index, place, stage, microbatch) != WEFT_NO_ACTION;
}

static weft_status check_messages(const weft_index *index, int32_t s, int32_t m, weft_error *error)
{
    const weft_program *program = index->program;
    if (s + 1 == program->stages || program->stage_rank[s] == program->stage_rank[s + 1]) return WEFT_OK;
    if (!has(index, WEFT_PLACE_SEND_F, s, m)) return missing(index, WEFT_SEND_F, s, m, error);
    if (!has(index, WEFT_PLACE_RECV_F, s + 1, m)) return missing(index, WEFT_RECV_F, s + 1, m, error);
    if (program->forward_only) return WEFT_OK;
    if (!has(index, WEFT_PLACE_SEND_B, s + 1, m)) return missing(index, WEFT_SEND_B, s + 1, m, error);
    if (!has(index, WEFT_PLACE_RECV_B, s, m)) return missing(index, WEFT_RECV_B, s, m, error);
    return WEFT_OK;
}

static weft_status check_compute(const weft_index *index, int32_t s, int32_t m, weft_error *error)
{
    if (!has(index, WEFT_PLACE_F, s, m)) return missing(index, WEFT_F, s, m, error);
    if (index->program->forward_only) return WEFT_OK;
    bool weights = has(index, WEFT_PLACE_W, s, m);
    if (!has(index, WEFT_PLACE_B, s, m)) return missing(index, weights ? WEFT_I : WEFT_B, s, m, error);
    weft_action_kind kind = (weft_action_kind)index->program->actions[weft_index_at(index, WEFT_PLACE_B, s, m)].kind;
    if (kind == WEFT_I && !weights) return missing(index, WEFT_W, s, m, error);
    if (kind == WEFT_B && weights)
        FAIL(error, WEFT_INVALID, "rank %d runs both %dB%d and %dW%d: B has the weight gradients in it already",
             index->program->stage_rank[s], s, m, s, m);
    return WEFT_OK;
}

static bool is_member(const weft_program *program, int32_t rank, weft_action_members members)
{
    int32_t head = program->stage_rank[0], tail = program->stage_rank[program->stages - 1];
    return members == WEFT_MEMBERS_ALL || rank == head || rank == tail;
}

/* A collective is complete when all of its members run it, or none does. */
static weft_status check_collectives(const weft_index *index, weft_error *error)
{
    const weft_program *program = index->program;
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        const weft_action_info *info = weft_action_info_get((weft_action_kind)kind);
        if (info->members < WEFT_MEMBERS_ENDS || !index->has[kind]) continue;
        for (int32_t rank = 0; rank < program->ranks; rank++) {
            bool member = is_member(program, rank, info->members), runs = index->once[kind][rank] != WEFT_NO_ACTION;
            if (member && !runs)
                FAIL(error, WEFT_INVALID, "rank %d never runs %s, which %s", rank, info->name,
                     info->members == WEFT_MEMBERS_ALL ? "other ranks wait in" : "its partner waits in");
            if (!member && runs)
                FAIL(error, WEFT_INVALID, "rank %d runs %s but holds neither the first nor the last stage", rank,
                     info->name);
        }
    }
    return WEFT_OK;
}

weft_status weft_index_check(const weft_index *index, weft_error *error)
{
    const weft_program *program = index->program;
    for (int32_t s = 0; s < program->stages; s++)
        for (int32_t m = 0; m < program->microbatches; m++) TRY(check_compute(index, s, m, error));
    /* Afterwards: a message that is missing because its pass is would hide the cause. */
    for (int32_t s = 0; s < program->stages; s++)
        for (int32_t m = 0; m < program->microbatches; m++) TRY(check_messages(index, s, m, error));
    for (int32_t s = 0; s < program->stages && index->has[WEFT_UPDATE]; s++)
        if (index->once[WEFT_UPDATE][s] == WEFT_NO_ACTION)
            FAIL(error, WEFT_INVALID, "rank %d never runs %dUPDATE", program->stage_rank[s], s);
    if (program->clip && index->has[WEFT_UPDATE] && !index->has[WEFT_NORM])
        FAIL(error, WEFT_INVALID, "gradients are to be clipped, but no rank runs NORM");
    if (program->skip && index->has[WEFT_UPDATE] && !(index->has[WEFT_NORM] && index->has[WEFT_METRICS]))
        FAIL(error, WEFT_INVALID, "steps are to be skipped, but no rank runs %s",
             index->has[WEFT_NORM] ? "METRICS" : "NORM");
    return check_collectives(index, error);
}

/* Each boundary's messages are there, each once, on lanes of their own kind and ranks: there are as many on both. */
static weft_status match_lanes(const weft_program *program, const weft_lane *send, const weft_lane *receive,
                               weft_error *error)
{
    char first[WEFT_ACTION_TEXT], second[WEFT_ACTION_TEXT];
    for (uint32_t k = 0; k < send->count; k++) {
        weft_action sent = program->actions[send->first + k], got = program->actions[receive->first + k];
        int32_t stage = (int32_t)sent.stage + (sent.kind == WEFT_SEND_F ? 1 : -1);
        if ((int32_t)got.stage != stage || got.microbatch != sent.microbatch)
            FAIL(error, WEFT_INVALID, "message %u from rank %d to rank %d: the sender runs %s, the receiver %s", k,
                 send->rank, receive->rank, weft_action_text(sent, first), weft_action_text(got, second));
    }
    return WEFT_OK;
}

weft_status weft_index_match(const weft_index *index, weft_error *error)
{
    const weft_program *program = index->program;
    for (int32_t lane = 0; lane < program->rank_lanes[program->ranks]; lane++) {
        const weft_lane *row = &program->lanes[lane];
        if (row->kind == WEFT_PROGRAM_SEND_F || row->kind == WEFT_PROGRAM_SEND_B)
            TRY(match_lanes(program, row, &program->lanes[row->match], error));
    }
    return WEFT_OK;
}
