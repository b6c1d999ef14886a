#include "bound_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where one worker has both gradients of a shared weight, ADD_TIED. */
static const weft_operation operations[WEFT_ACTION_KINDS] = {
    [WEFT_F] = WEFT_OPERATION_FORWARD,        [WEFT_B] = WEFT_OPERATION_BACKWARD,
    [WEFT_I] = WEFT_OPERATION_BACKWARD_INPUT, [WEFT_W] = WEFT_OPERATION_BACKWARD_WEIGHT,
    [WEFT_SEND_F] = WEFT_OPERATION_SEND,      [WEFT_RECV_F] = WEFT_OPERATION_RECEIVE,
    [WEFT_SEND_B] = WEFT_OPERATION_SEND,      [WEFT_RECV_B] = WEFT_OPERATION_RECEIVE,
    [WEFT_UNSHARD] = WEFT_OPERATION_GATHER,   [WEFT_RESHARD] = WEFT_OPERATION_DROP,
    [WEFT_REDUCE_GRAD] = WEFT_OPERATION_SUM,  [WEFT_REDUCE_TENSOR] = WEFT_OPERATION_SUM,
    [WEFT_REDUCE_TIED] = WEFT_OPERATION_SUM,  [WEFT_NORM] = WEFT_OPERATION_NORM,
    [WEFT_UPDATE] = WEFT_OPERATION_UPDATE,    [WEFT_METRICS] = WEFT_OPERATION_METRICS,
};

static bool is_lane_whole(const weft_bound *bound, const weft_lane *lane, const weft_bound_lane *own, char *why,
                          size_t size)
{
    const weft_program *program = bound->program;
    uint32_t next = own->first;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++, next++) {
        const weft_instruction *instruction = &bound->instructions[next];
        uint32_t kind = program->actions[a].kind;
        bool alone = kind == WEFT_REDUCE_TIED && instruction->operation == WEFT_OPERATION_ADD_TIED;
        bool found = instruction->action == a && (alone || instruction->operation == operations[kind]) &&
                     bound->first_of[a - bound->first_action] == next;
        bool overwrites =
            instruction->operation <= WEFT_OPERATION_BACKWARD_WEIGHT && !instruction->pass.buffers.accumulate;
        bool writes = program->actions[a].kind == WEFT_B || program->actions[a].kind == WEFT_W;
        if (writes) found = found && overwrites == program->actions[a].overwrite;
        if (found) continue;
        snprintf(why, size, "action %u of the program is not instruction %u", a, next);
        return false;
    }
    if (next == own->first + own->count && lane->kind == own->kind) return true;
    snprintf(why, size, "a lane has %u instructions for %u actions", own->count, lane->count);
    return false;
}

bool bound_is_whole(const weft_bound *bound, int32_t rank, char *why, size_t size)
{
    const weft_program *program = bound->program;
    int32_t first = program->rank_lanes[rank], count = program->rank_lanes[rank + 1] - first;
    uint32_t instructions = 0;
    snprintf(why, size, "other lanes or instructions than the program has");
    if (bound->lane_count != count) return false;
    for (int32_t l = 0; l < count; l++) {
        if (bound->lanes[l].first != instructions) return false;
        instructions += bound->lanes[l].count;
        if (!is_lane_whole(bound, &program->lanes[first + l], &bound->lanes[l], why, size)) return false;
    }
    return instructions == bound->count && bound->actions == bound->count;
}

/* Marks what has ended when the instruction begins. */
static void mark(const weft_bound *bound, const bool *begins_lane, uint32_t without, uint32_t instruction, bool *ended)
{
    const weft_instruction *of = &bound->instructions[instruction];
    if (!begins_lane[instruction] && !ended[instruction - 1]) {
        ended[instruction - 1] = true;
        mark(bound, begins_lane, without, instruction - 1, ended);
    }
    for (uint32_t i = of->waits; i < of->waits + of->wait_count; i++) {
        uint32_t wait = bound->waits[i];
        if (i == without || ended[wait]) continue;
        ended[wait] = true;
        mark(bound, begins_lane, without, wait, ended);
    }
}

static bool is_ordered(const weft_bound *bound, uint32_t action, const bool *ended, char *why, size_t size)
{
    const weft_program *program = bound->program;
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++) {
        if (ended[bound->first_of[program->after[i] - bound->first_action]]) continue;
        snprintf(why, size, "action %u may begin before action %u has ended", action, program->after[i]);
        return false;
    }
    return true;
}

bool bound_waits_enough(const weft_bound *bound, uint32_t without, char *why, size_t size)
{
    bool *ended = calloc(bound->count, 1), *begins_lane = calloc(bound->count + 1, 1), enough = true;
    for (int32_t l = 0; l < bound->lane_count; l++) begins_lane[bound->lanes[l].first] = true;
    for (uint32_t i = 0; i < bound->count && enough; i++) {
        memset(ended, 0, bound->count);
        mark(bound, begins_lane, without, i, ended);
        enough = is_ordered(bound, bound->instructions[i].action, ended, why, size);
    }
    free(begins_lane);
    free(ended);
    return enough;
}
