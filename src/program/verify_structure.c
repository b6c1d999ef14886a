/* Bounds: the contents of the arrays are not trusted. The lengths of the arrays are the program's own counts. */
#include "program/verify.h"

static weft_status check_counts(const weft_program *program, weft_error *error)
{
    if (program->ranks < 1 || program->ranks > WEFT_STAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "a program cannot have %d ranks", program->ranks);
    if (program->stages < 1 || program->stages > WEFT_STAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "a program cannot have %d stages", program->stages);
    if (program->microbatches < 1 || program->microbatches > WEFT_MICROBATCHES_LIMIT)
        FAIL(error, WEFT_INVALID, "a program cannot have %d micro-batches", program->microbatches);
    if (program->action_count > UINT32_MAX - 2) FAIL(error, WEFT_INVALID, "a program cannot have so many actions");
    for (int32_t s = 0; s < program->stages; s++)
        if (program->stage_rank[s] < 0 || program->stage_rank[s] >= program->ranks)
            FAIL(error, WEFT_INVALID, "stage %d is on rank %d, but there are %d ranks", s, program->stage_rank[s],
                 program->ranks);
    if (program->rank_lanes[0] != 0) FAIL(error, WEFT_INVALID, "the lanes of rank 0 do not begin at 0");
    for (int32_t rank = 0; rank < program->ranks; rank++)
        if (program->rank_lanes[rank + 1] <= program->rank_lanes[rank])
            FAIL(error, WEFT_INVALID, "rank %d has no lanes", rank);
    return WEFT_OK;
}

static bool is_message(weft_lane_kind kind)
{
    return kind >= WEFT_PROGRAM_SEND_F && kind <= WEFT_PROGRAM_RECV_B;
}

static weft_lane_kind other_end(weft_lane_kind kind)
{
    switch (kind) {
    case WEFT_PROGRAM_SEND_F:
        return WEFT_PROGRAM_RECV_F;
    case WEFT_PROGRAM_RECV_F:
        return WEFT_PROGRAM_SEND_F;
    case WEFT_PROGRAM_SEND_B:
        return WEFT_PROGRAM_RECV_B;
    default:
        return WEFT_PROGRAM_SEND_B;
    }
}

static weft_status check_message_lane(const weft_program *program, int32_t number, weft_error *error)
{
    const weft_lane *lane = &program->lanes[number];
    const char *name = weft_lane_kind_name(lane->kind);
    if (lane->peer < 0 || lane->peer >= program->ranks || lane->peer == lane->rank)
        FAIL(error, WEFT_INVALID, "a %s lane of rank %d has rank %d as its peer", name, lane->rank, lane->peer);
    if (lane->match < program->rank_lanes[lane->peer] || lane->match >= program->rank_lanes[lane->peer + 1])
        FAIL(error, WEFT_INVALID, "the %s lane of rank %d has no match among the lanes of rank %d", name, lane->rank,
             lane->peer);
    const weft_lane *other = &program->lanes[lane->match];
    if (other->kind != other_end(lane->kind) || other->peer != lane->rank || other->match != number ||
        other->tag != lane->tag)
        FAIL(error, WEFT_INVALID, "the %s lane of rank %d and its match on rank %d do not fit", name, lane->rank,
             lane->peer);
    return WEFT_OK;
}

/* Two lanes of one rank that would be confused: the same kind and peer, or the same direction, peer and tag. */
static weft_status check_distinct(const weft_program *program, int32_t rank, weft_error *error)
{
    for (int32_t a = program->rank_lanes[rank]; a < program->rank_lanes[rank + 1]; a++)
        for (int32_t b = a + 1; b < program->rank_lanes[rank + 1]; b++) {
            const weft_lane *x = &program->lanes[a], *y = &program->lanes[b];
            bool sends_x = x->kind == WEFT_PROGRAM_SEND_F || x->kind == WEFT_PROGRAM_SEND_B;
            bool sends_y = y->kind == WEFT_PROGRAM_SEND_F || y->kind == WEFT_PROGRAM_SEND_B;
            bool messages = is_message(x->kind) && x->peer == y->peer; /* no others have a peer */
            if ((x->kind == y->kind && x->peer == y->peer) || (messages && sends_x == sends_y && x->tag == y->tag))
                FAIL(error, WEFT_INVALID, "rank %d has two lanes that cannot be told apart: %s and %s", rank,
                     weft_lane_kind_name(x->kind), weft_lane_kind_name(y->kind));
        }
    return WEFT_OK;
}

static weft_status check_lanes(const weft_program *program, weft_error *error)
{
    uint32_t next = 0;
    for (int32_t rank = 0; rank < program->ranks; rank++)
        for (int32_t number = program->rank_lanes[rank]; number < program->rank_lanes[rank + 1]; number++) {
            const weft_lane *lane = &program->lanes[number];
            bool first = number == program->rank_lanes[rank];
            if ((unsigned)lane->kind >= WEFT_PROGRAM_LANES || lane->rank != rank)
                FAIL(error, WEFT_INVALID, "lane %d is not one of rank %d", number, rank);
            if (first != (lane->kind == WEFT_PROGRAM_COMPUTE))
                FAIL(error, WEFT_INVALID, "rank %d must have one compute lane, its first", rank);
            if (lane->first != next || lane->count > program->action_count - next)
                FAIL(error, WEFT_INVALID, "the actions of lane %d do not follow those of the lane before", number);
            next += lane->count;
            if (!is_message(lane->kind) && (lane->match != -1 || lane->peer != -1))
                FAIL(error, WEFT_INVALID, "the %s lane of rank %d has a peer", weft_lane_kind_name(lane->kind), rank);
        }
    if (next != program->action_count) FAIL(error, WEFT_INVALID, "some actions are on no lane");
    return WEFT_OK;
}

/* What a kind has not is 0: else two actions of one meaning would differ. */
static bool has_more_operands(weft_action action, weft_action_operands operands)
{
    if (action.overwrite && !weft_action_can_overwrite(action)) return true;
    if (operands == WEFT_OPERANDS_NONE) return action.stage || action.microbatch;
    return operands == WEFT_OPERANDS_STAGE && action.microbatch;
}

static weft_status check_action(const weft_program *program, const weft_lane *lane, uint32_t a, weft_error *error)
{
    weft_action action = program->actions[a];
    int32_t rank = lane->rank;
    char name[WEFT_ACTION_TEXT];
    if (action.kind >= WEFT_ACTION_KINDS)
        FAIL(error, WEFT_INVALID, "action %u of rank %d is of no known kind", a, rank);
    weft_action_operands operands = weft_action_info_get((weft_action_kind)action.kind)->operands;
    if (operands != WEFT_OPERANDS_NONE && (int32_t)action.stage >= program->stages)
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but there are %d stages", rank, weft_action_text(action, name),
             program->stages);
    if (has_more_operands(action, operands))
        FAIL(error, WEFT_INVALID, "rank %d runs %s of stage %u, micro-batch %u, which the kind has not", rank,
             weft_action_text(action, name), (unsigned)action.stage, action.microbatch);
    if (action.paired &&
        (a == lane->first || program->actions[a - 1].paired || !weft_action_can_pair(program->actions[a - 1], action)))
        FAIL(error, WEFT_INVALID, "rank %d has %s as half of a pair that cannot overlap", rank,
             weft_action_text(action, name));
    if (operands == WEFT_OPERANDS_STAGE_MICROBATCH && action.microbatch >= (uint32_t)program->microbatches)
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but there are %d micro-batches", rank,
             weft_action_text(action, name), program->microbatches);
    return WEFT_OK;
}

static weft_status check_after(const weft_program *program, const weft_lane *lane, uint32_t a, weft_error *error)
{
    const weft_lane *first = &program->lanes[program->rank_lanes[lane->rank]];
    const weft_lane *last = &program->lanes[program->rank_lanes[lane->rank + 1] - 1];
    char name[WEFT_ACTION_TEXT];
    for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++) {
        uint32_t other = program->after[i];
        if (other < first->first || other >= last->first + last->count)
            FAIL(error, WEFT_INVALID, "%s waits for an action that is not on its rank %d",
                 weft_action_text(program->actions[a], name), lane->rank);
        if (other >= lane->first && other - lane->first < lane->count)
            FAIL(error, WEFT_INVALID, "%s of rank %d waits for an action of its own lane",
                 weft_action_text(program->actions[a], name), lane->rank);
    }
    return WEFT_OK;
}

static weft_status check_pages(const weft_program *program, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    if ((program->pages != NULL) != weft_program_has_pages(program))
        FAIL(error, WEFT_INVALID, "the program %s",
             program->pages ? "has pages, but stages have buffers of their own" : "does not say where passes work");
    for (uint32_t a = 0; program->pages && a < program->action_count; a++) {
        weft_action action = program->actions[a];
        weft_pages pages = program->pages[a];
        if ((pages.weights && !weft_action_is_pass(action)) ||
            (pages.gradients && !weft_action_makes_gradients(action)))
            FAIL(error, WEFT_INVALID, "%s works in buffer %u of weights and %u of gradients, which the kind has not",
                 weft_action_text(action, name), pages.weights, pages.gradients);
    }
    return WEFT_OK;
}

static weft_status check_exchanges(const weft_program *program, weft_error *error)
{
    size_t count = WEFT_PASS_KINDS * (size_t)program->stages;
    if (program->exchanges && program->tensor <= 1)
        FAIL(error, WEFT_INVALID, "passes of the program exchange something, but workers divide none");
    for (size_t i = 0; program->exchanges && i < count; i++)
        if (program->exchanges[i].count < 0 || (program->exchanges[i].count == 0 && program->exchanges[i].bytes > 0))
            FAIL(error, WEFT_INVALID, "a pass cannot exchange %zu bytes in %d exchanges", program->exchanges[i].bytes,
                 program->exchanges[i].count);
    return WEFT_OK;
}

weft_status weft_verify_structure(const weft_program *program, weft_error *error)
{
    TRY(check_counts(program, error));
    TRY(check_lanes(program, error));
    if (program->after_first[0] != 0) FAIL(error, WEFT_INVALID, "the dependencies do not begin at 0");
    for (uint32_t a = 0; a < program->action_count; a++)
        if (program->after_first[a] > program->after_first[a + 1])
            FAIL(error, WEFT_INVALID, "the dependencies of action %u are not in order", a);
    for (int32_t rank = 0; rank < program->ranks; rank++) TRY(check_distinct(program, rank, error));
    for (int32_t number = 0; number < program->rank_lanes[program->ranks]; number++) {
        const weft_lane *lane = &program->lanes[number];
        if (is_message(lane->kind)) TRY(check_message_lane(program, number, error));
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) TRY(check_action(program, lane, a, error));
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) TRY(check_after(program, lane, a, error));
    }
    TRY(check_exchanges(program, error));
    return check_pages(program, error);
}
