/* The meaning of the actions: what each needs, and which slots it is the first to write. */
#include "program/index.h"

static bool local(const weft_program *program, int32_t first, int32_t second)
{
    return program->stage_rank[first] == program->stage_rank[second];
}

/* The action that puts stage s's input in place; none for stage 0, which reads the data. */
static uint32_t input_writer(const weft_index *index, int32_t s, int32_t m)
{
    if (s == 0) return WEFT_NO_ACTION;
    return local(index->program, s - 1, s) ? weft_index_at(index, WEFT_PLACE_F, s - 1, m)
                                           : weft_index_at(index, WEFT_PLACE_RECV_F, s, m);
}

/* The same for the gradient of its output; none for the last stage, which computes the loss. */
static uint32_t gradient_writer(const weft_index *index, int32_t s, int32_t m)
{
    if (s + 1 == index->program->stages) return WEFT_NO_ACTION;
    return local(index->program, s, s + 1) ? weft_index_at(index, WEFT_PLACE_B, s + 1, m)
                                           : weft_index_at(index, WEFT_PLACE_RECV_B, s, m);
}

/* The last action that works on (s, m): F, B or W. */
static uint32_t last_use(const weft_index *index, int32_t s, int32_t m)
{
    if (index->program->forward_only) return weft_index_at(index, WEFT_PLACE_F, s, m);
    uint32_t weights = weft_index_at(index, WEFT_PLACE_W, s, m);
    return weights != WEFT_NO_ACTION ? weights : weft_index_at(index, WEFT_PLACE_B, s, m);
}

static int push(uint32_t action, int count, uint32_t *out)
{
    if (action == WEFT_NO_ACTION) return count;
    out[count] = action;
    return count + 1;
}

/* Once the gradients of a stage are complete: over its micro-batches, and over the workers of its rank. */
static uint32_t gradients_of(const weft_index *index, int32_t s)
{
    return weft_program_reduces(index->program) ? index->reduced[s] : index->last_gradient[s];
}

static int reduce_needs(const weft_index *index, int32_t rank, weft_action_kind kind, uint32_t *out)
{
    const weft_program *program = index->program;
    int32_t last = program->stages - 1;
    int count = 0;
    if (kind == WEFT_REDUCE_TIED) {
        if (program->stage_rank[0] == rank) count = push(gradients_of(index, 0), count, out);
        if (program->stage_rank[last] == rank) count = push(gradients_of(index, last), count, out);
    } else if (kind == WEFT_NORM) {
        count = push((weft_program_reduces(program) ? index->rank_reduced : index->rank_gradient)[rank], count, out);
        count = push(index->tied[rank], count, out);
    } else if (kind == WEFT_METRICS) {
        if (program->stage_rank[last] == rank) count = push(index->last_forward, count, out);
        count = push(index->norm[rank], count, out);
    }
    return count;
}

static int update_needs(const weft_index *index, int32_t rank, int32_t s, uint32_t *out)
{
    int count = push(gradients_of(index, s), 0, out);
    if (index->program->clip) count = push(index->norm[rank], count, out);
    if (s == 0 || s == index->program->stages - 1) count = push(index->tied[rank], count, out);
    return count;
}

int weft_index_needs(const weft_index *index, int32_t rank, uint32_t action, uint32_t out[WEFT_NEEDS_LIMIT])
{
    weft_action row = index->program->actions[action];
    int32_t s = (int32_t)row.stage, m = (int32_t)row.microbatch;
    switch ((weft_action_kind)row.kind) {
    case WEFT_F:
        return push(input_writer(index, s, m), 0, out);
    case WEFT_B:
    case WEFT_I:
        return push(gradient_writer(index, s, m), push(weft_index_at(index, WEFT_PLACE_F, s, m), 0, out), out);
    case WEFT_W:
    case WEFT_SEND_B:
        return push(weft_index_at(index, WEFT_PLACE_B, s, m), 0, out);
    case WEFT_SEND_F:
        return push(weft_index_at(index, WEFT_PLACE_F, s, m), 0, out);
    case WEFT_UPDATE:
        return update_needs(index, rank, s, out);
    default:
        return reduce_needs(index, rank, (weft_action_kind)row.kind, out);
    }
}

static int forward_writes(const weft_index *index, int32_t s, int32_t m, weft_slot *out)
{
    out[0] = (weft_slot){WEFT_SLOT_STASH, s, m, last_use(index, s, m)};
    if (s + 1 == index->program->stages) return 1;
    if (local(index->program, s, s + 1))
        out[1] = (weft_slot){WEFT_SLOT_INPUT, s + 1, m, last_use(index, s + 1, m)};
    else
        out[1] = (weft_slot){WEFT_SLOT_OUTPUT, s, m, weft_index_at(index, WEFT_PLACE_SEND_F, s, m)};
    return 2;
}

static int backward_writes(const weft_index *index, int32_t s, int32_t m, bool split, weft_slot *out)
{
    int count = 0;
    if (split) out[count++] = (weft_slot){WEFT_SLOT_WORK, s, m, last_use(index, s, m)};
    if (s == 0) return count;
    if (local(index->program, s - 1, s))
        out[count++] = (weft_slot){WEFT_SLOT_GRADIENT, s - 1, m, last_use(index, s - 1, m)};
    else
        out[count++] = (weft_slot){WEFT_SLOT_GRADIENT_OUT, s, m, weft_index_at(index, WEFT_PLACE_SEND_B, s, m)};
    return count;
}

int weft_index_writes(const weft_index *index, uint32_t action, weft_slot out[WEFT_WRITES_LIMIT])
{
    weft_action row = index->program->actions[action];
    int32_t s = (int32_t)row.stage, m = (int32_t)row.microbatch;
    switch ((weft_action_kind)row.kind) {
    case WEFT_F:
        return forward_writes(index, s, m, out);
    case WEFT_B:
        return backward_writes(index, s, m, false, out);
    case WEFT_I:
        return backward_writes(index, s, m, true, out);
    case WEFT_RECV_F:
        out[0] = (weft_slot){WEFT_SLOT_INPUT, s, m, last_use(index, s, m)};
        return 1;
    case WEFT_RECV_B:
        out[0] = (weft_slot){WEFT_SLOT_GRADIENT, s, m, last_use(index, s, m)};
        return 1;
    default:
        return 0;
    }
}
