#include "program/index.h"
#include "train/bind_parts.h"

/* What becomes of each kind of action. */
static const struct {
    weft_operation operation;
    weft_bind_operands *bind;
} rows[WEFT_ACTION_KINDS] = {
    [WEFT_F] = {WEFT_OPERATION_FORWARD, weft_bind_pass},
    [WEFT_B] = {WEFT_OPERATION_BACKWARD, weft_bind_pass},
    [WEFT_I] = {WEFT_OPERATION_BACKWARD_INPUT, weft_bind_pass},
    [WEFT_W] = {WEFT_OPERATION_BACKWARD_WEIGHT, weft_bind_pass},
    [WEFT_SEND_F] = {WEFT_OPERATION_SEND, weft_bind_message},
    [WEFT_RECV_F] = {WEFT_OPERATION_RECEIVE, weft_bind_message},
    [WEFT_SEND_B] = {WEFT_OPERATION_SEND, weft_bind_message},
    [WEFT_RECV_B] = {WEFT_OPERATION_RECEIVE, weft_bind_message},
    [WEFT_UNSHARD] = {WEFT_OPERATION_GATHER, weft_bind_gather},
    [WEFT_RESHARD] = {WEFT_OPERATION_DROP, weft_bind_drop},
    [WEFT_REDUCE_GRAD] = {WEFT_OPERATION_SUM, weft_bind_sum},
    [WEFT_REDUCE_TENSOR] = {WEFT_OPERATION_SUM, weft_bind_sum},
    [WEFT_REDUCE_TIED] = {WEFT_OPERATION_SUM, weft_bind_tied},
    [WEFT_NORM] = {WEFT_OPERATION_NORM, weft_bind_norm},
    [WEFT_UPDATE] = {WEFT_OPERATION_UPDATE, weft_bind_update},
    [WEFT_METRICS] = {WEFT_OPERATION_METRICS, weft_bind_metrics},
};

static bool is_checked(const weft_binder *binder, weft_action action)
{
    return binder->options.checks && (action.kind == WEFT_B || action.kind == WEFT_W);
}

static weft_status take_tables(weft_binder *binder, weft_error *error)
{
    const weft_program *program = binder->program;
    weft_bound *bound = binder->bound;
    int32_t rank = binder->worker->at.rank, first = program->rank_lanes[rank];
    bound->lane_count = program->rank_lanes[rank + 1] - first;
    bound->first_action = program->lanes[first].first;
    TRY(weft_arena_take(binder->arena, (size_t)bound->lane_count, sizeof *bound->lanes, &bound->lanes, error));
    for (int32_t l = 0; l < bound->lane_count; l++) {
        const weft_lane *lane = &program->lanes[first + l];
        bound->lanes[l] = (weft_bound_lane){.kind = lane->kind, .first = bound->count};
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++)
            bound->lanes[l].count += is_checked(binder, program->actions[a]) ? 2 : 1;
        bound->count += bound->lanes[l].count;
        bound->actions += lane->count;
    }
    TRY(weft_arena_take(binder->arena, bound->actions + 1, sizeof *bound->first_of, &bound->first_of, error));
    return weft_arena_take(binder->arena, bound->count, sizeof *bound->instructions, &bound->instructions, error);
}

static weft_status bind_one(weft_binder *binder, uint32_t action, weft_operation operation, weft_bind_operands *bind,
                            weft_instruction *out, weft_error *error)
{
    const weft_costs *costs = binder->job->costs;
    weft_action of = binder->program->actions[action];
    *out = (weft_instruction){.operation = operation, .action = action, .with = "on this rank"};
    if (costs && operation != WEFT_OPERATION_CHECK) {
        out->busy = (int64_t)(weft_costs_of(costs, of) * 1e9);
        out->latency = (int64_t)(weft_costs_latency(costs, of) * 1e9);
    }
    return bind(binder, action, out, error);
}

static weft_status bind_all(weft_binder *binder, weft_error *error)
{
    weft_bound *bound = binder->bound;
    weft_instruction *next = bound->instructions;
    for (uint32_t i = 0; i < bound->actions; i++) {
        uint32_t a = bound->first_action + i;
        weft_action action = binder->program->actions[a];
        bound->first_of[i] = (uint32_t)(next - bound->instructions);
        TRY(bind_one(binder, a, rows[action.kind].operation, rows[action.kind].bind, next++, error));
        if (is_checked(binder, action)) TRY(bind_one(binder, a, WEFT_OPERATION_CHECK, weft_bind_check, next++, error));
    }
    bound->first_of[bound->actions] = bound->count;
    return WEFT_OK;
}

weft_status weft_bind(const weft_bind_options *options, weft_arena *arena, weft_bound **out, weft_error *error)
{
    weft_binder binder = {.options = *options,
                          .job = options->worker->job,
                          .program = options->program,
                          .worker = options->worker,
                          .arena = arena,
                          .checks = options->checks};
    TRY(weft_arena_take(arena, 1, sizeof *binder.bound, &binder.bound, error));
    binder.bound->program = options->program;
    TRY(take_tables(&binder, error));
    TRY(weft_bind_begin_passes(&binder, error));
    TRY(weft_bind_begin_transfers(&binder, error));
    TRY(bind_all(&binder, error));
    *out = binder.bound;
    return weft_bind_waits(&binder, error);
}

const char *weft_instruction_text(const weft_bound *bound, uint32_t instruction, char out[WEFT_INSTRUCTION_TEXT])
{
    return weft_action_text(bound->program->actions[bound->instructions[instruction].action], out);
}
