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
        count = push(index->once[WEFT_REDUCE_TIED][rank], count, out);
    } else if (kind == WEFT_METRICS) {
        if (program->stage_rank[last] == rank) count = push(index->last_forward, count, out);
        count = push(index->once[WEFT_NORM][rank], count, out);
    }
    return count;
}

static int update_needs(const weft_index *index, int32_t rank, int32_t s, uint32_t *out)
{
    int count = push(gradients_of(index, s), 0, out);
    weft_action_kind last = index->program->skip ? WEFT_METRICS : WEFT_NORM; /* METRICS needs NORM */
    if (index->program->clip || index->program->skip) count = push(index->once[last][rank], count, out);
    if (s == 0 || s == index->program->stages - 1) count = push(index->once[WEFT_REDUCE_TIED][rank], count, out);
    return count;
}

/* What makes the slots that the action reads. What I waited for is there for W. */
static int slot_needs(const weft_index *index, uint32_t reads, int32_t s, int32_t m, uint32_t *out)
{
    if (reads & (WEFT_DATA_WORK | WEFT_DATA_GRADIENT_OUT))
        return push(weft_index_at(index, WEFT_PLACE_B, s, m), 0, out);
    if (reads & WEFT_DATA_OUTPUT) return push(weft_index_at(index, WEFT_PLACE_F, s, m), 0, out);
    int count = 0;
    if (reads & WEFT_DATA_GRADIENT) count = push(gradient_writer(index, s, m), count, out);
    if (reads & WEFT_DATA_STASH) return push(weft_index_at(index, WEFT_PLACE_F, s, m), count, out);
    return reads & WEFT_DATA_INPUT ? push(input_writer(index, s, m), count, out) : count;
}

int weft_index_needs(const weft_index *index, int32_t rank, uint32_t action, uint32_t out[WEFT_NEEDS_LIMIT])
{
    weft_action row = index->program->actions[action];
    const weft_action_info *info = weft_action_info_get((weft_action_kind)row.kind);
    if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH)
        return slot_needs(index, info->reads, (int32_t)row.stage, (int32_t)row.microbatch, out);
    if (row.kind == WEFT_UPDATE) return update_needs(index, rank, (int32_t)row.stage, out);
    return reduce_needs(index, rank, (weft_action_kind)row.kind, out);
}

/* The slot of s that is the neighbour's on another rank, until it is sent, or that of the neighbour here. */
static weft_slot passed_on(const weft_index *index, bool forward, int32_t s, int32_t m)
{
    int32_t to = forward ? s + 1 : s - 1;
    if (local(index->program, s, to))
        return (weft_slot){forward ? WEFT_SLOT_INPUT : WEFT_SLOT_GRADIENT, to, m, last_use(index, to, m)};
    return (weft_slot){forward ? WEFT_SLOT_OUTPUT : WEFT_SLOT_GRADIENT_OUT, s, m,
                       weft_index_at(index, forward ? WEFT_PLACE_SEND_F : WEFT_PLACE_SEND_B, s, m)};
}

int weft_index_writes(const weft_index *index, uint32_t action, weft_slot out[WEFT_WRITES_LIMIT])
{
    static const struct {
        uint32_t data;
        weft_slot_kind slot;
    } own[] = {{WEFT_DATA_STASH, WEFT_SLOT_STASH},
               {WEFT_DATA_WORK, WEFT_SLOT_WORK},
               {WEFT_DATA_INPUT, WEFT_SLOT_INPUT},
               {WEFT_DATA_GRADIENT, WEFT_SLOT_GRADIENT}};
    weft_action row = index->program->actions[action];
    uint32_t writes = weft_action_info_get((weft_action_kind)row.kind)->writes;
    int32_t s = (int32_t)row.stage, m = (int32_t)row.microbatch, count = 0;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (writes & own[i].data) out[count++] = (weft_slot){own[i].slot, s, m, last_use(index, s, m)};
    if (writes & WEFT_DATA_OUTPUT && s + 1 < index->program->stages) out[count++] = passed_on(index, true, s, m);
    if (writes & WEFT_DATA_GRADIENT_OUT && s > 0) out[count++] = passed_on(index, false, s, m);
    return count;
}
