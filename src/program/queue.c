/*
 * One queue of transfers a rank: where a transport keeps the order of all messages that a rank posts, whatever their
 * peers and directions, as NCCL does with one communicator. The program's lanes ask for less.
 *
 * The queue is added as `after` edges from each message to the one before it in its rank's row. That a message is
 * posted behind the passes before it in its row as well makes no difference: those passes need messages that are before
 * it in the queue, and nothing else that is not done.
 */
#include "program/index.h"
#include "program/walk.h"

#include <string.h>

static weft_place message_place(weft_action_kind kind)
{
    switch (kind) {
    case WEFT_SEND_F:
        return WEFT_PLACE_SEND_F;
    case WEFT_RECV_F:
        return WEFT_PLACE_RECV_F;
    case WEFT_SEND_B:
        return WEFT_PLACE_SEND_B;
    default:
        return WEFT_PLACE_RECV_B;
    }
}

/* before (actions): the message in front of each in its rank's queue, or WEFT_NO_ACTION. */
static void chain(const weft_index *index, const weft_schedule *order, uint32_t *before)
{
    memset(before, 0xff, index->program->action_count * sizeof *before);
    for (int32_t rank = 0; rank < order->ranks; rank++) {
        uint32_t last = WEFT_NO_ACTION;
        for (size_t i = order->first[rank]; i < order->first[rank + 1]; i++) {
            weft_action action = order->actions[i];
            if (weft_action_info_get((weft_action_kind)action.kind)->lane != WEFT_LANE_MESSAGE) continue;
            uint32_t own = weft_index_at(index, message_place((weft_action_kind)action.kind), (int32_t)action.stage,
                                         (int32_t)action.microbatch);
            if (own == WEFT_NO_ACTION) continue; /* not of this program */
            before[own] = last;
            last = own;
        }
    }
}

/* The program's `after` lists with the chain's edges: those between two actions of one lane are there without. */
static weft_status add_edges(const weft_program *from, const uint32_t *before, weft_program *to, weft_error *error)
{
    uint64_t most = (uint64_t)from->after_first[from->action_count] + from->action_count;
    if (most > UINT32_MAX) FAIL(error, WEFT_INVALID, "the program has more than %u dependencies", UINT32_MAX);
    TRY(weft_allocate((size_t)from->action_count + 1, sizeof *to->after_first, &to->after_first, error));
    TRY(weft_allocate((size_t)most, sizeof *to->after, &to->after, error));
    uint32_t count = 0;
    for (int32_t number = 0; number < from->rank_lanes[from->ranks]; number++) {
        const weft_lane *lane = &from->lanes[number];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            to->after_first[a] = count;
            for (uint32_t i = from->after_first[a]; i < from->after_first[a + 1]; i++)
                to->after[count++] = from->after[i];
            bool other = before[a] != WEFT_NO_ACTION && before[a] - lane->first >= lane->count;
            if (other) to->after[count++] = before[a];
        }
    }
    to->after_first[from->action_count] = count;
    return WEFT_OK;
}

static weft_status check_sizes(const weft_program *program, const weft_schedule *order, weft_error *error)
{
    bool same = order->has_messages && order->ranks == program->ranks && order->stages == program->stages &&
                order->microbatches == program->microbatches && order->forward_only == program->forward_only;
    if (same) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "schedule %s says no order of the program's messages", order->name);
}

static weft_status verify(const weft_index *index, const weft_schedule *order, uint32_t *before, weft_program *queued,
                          weft_error *error)
{
    weft_walk walk;
    chain(index, order, before);
    TRY(add_edges(index->program, before, queued, error));
    TRY(weft_walk_init(&walk, queued, -1, error));
    while (weft_walk_next(&walk)) continue;
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}

weft_status weft_program_verify_one_queue(const weft_program *program, const weft_schedule *order, weft_error *error)
{
    weft_index index;
    weft_program queued = *program;
    uint32_t *before = NULL;
    queued.after_first = NULL;
    queued.after = NULL;
    TRY(check_sizes(program, order, error));
    TRY(weft_index_init(&index, program, error));
    weft_status status = weft_allocate(program->action_count, sizeof *before, &before, error);
    if (status == WEFT_OK) status = verify(&index, order, before, &queued, error);
    if (status == WEFT_INVALID) status = weft_error_context(error, "with one queue of transfers a rank");
    weft_free(queued.after_first);
    weft_free(queued.after);
    weft_free(before);
    weft_index_fini(&index);
    return status;
}
