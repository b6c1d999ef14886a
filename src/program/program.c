#include "program/index.h"

#include <string.h>

void weft_program_destroy(weft_program *program)
{
    if (!program) return;
    weft_free(program->stage_rank);
    weft_free(program->lanes);
    weft_free(program->rank_lanes);
    weft_free(program->actions);
    weft_free(program->after_first);
    weft_free(program->after);
    weft_free(program->pages);
    weft_free(program->exchanges);
    weft_free(program->buffers);
    weft_free(program->slots);
    weft_free(program->arena_bytes);
    weft_free(program);
}

const char *const *weft_shard_names(void)
{
    static const char *const names[] = {"none", "optimizer", "gradients", "weights", NULL};
    return names;
}

const char *weft_slot_kind_name(weft_slot_kind kind)
{
    static const char *const names[] = {"input", "output", "stash", "gradient", "gradient-out", "work"};
    return names[kind];
}

int32_t weft_program_slot(const weft_program *program, weft_slot_kind kind, int32_t stage, int32_t microbatch)
{
    if (!program->slots) return -1;
    size_t row = (size_t)kind * (size_t)program->stages + (size_t)stage;
    return program->slots[row * (size_t)program->microbatches + (size_t)microbatch];
}

int32_t weft_program_output(const weft_program *program, int32_t stage, int32_t microbatch)
{
    if (stage + 1 == program->stages) return -1;
    if (program->stage_rank[stage] == program->stage_rank[stage + 1])
        return weft_program_slot(program, WEFT_SLOT_INPUT, stage + 1, microbatch);
    return weft_program_slot(program, WEFT_SLOT_OUTPUT, stage, microbatch);
}

int32_t weft_program_gradient_out(const weft_program *program, int32_t stage, int32_t microbatch)
{
    if (stage == 0) return -1;
    if (program->stage_rank[stage] == program->stage_rank[stage - 1])
        return weft_program_slot(program, WEFT_SLOT_GRADIENT, stage - 1, microbatch);
    return weft_program_slot(program, WEFT_SLOT_GRADIENT_OUT, stage, microbatch);
}

void weft_program_memory(const weft_program *program, int32_t rank, size_t bytes[WEFT_SLOT_KINDS])
{
    for (int kind = 0; kind < WEFT_SLOT_KINDS; kind++) bytes[kind] = 0;
    int32_t low = 0, high = program->buffers ? program->buffer_count : 0;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (program->buffers[middle].rank < rank)
            low = middle + 1;
        else
            high = middle;
    }
    for (int32_t i = low; i < program->buffer_count && program->buffers[i].rank == rank; i++)
        bytes[program->buffers[i].kind] += program->buffers[i].bytes;
}

static void print_effects(const weft_program *program, uint32_t a, weft_text *out)
{
    weft_action action = program->actions[a];
    weft_pages pages = weft_program_pages(program, a);
    bool passes = weft_action_is_pass(action), reduces = weft_action_reduces(action);
    bool buffered = weft_action_info_get((weft_action_kind)action.kind)->operands == WEFT_OPERANDS_STAGE_BUFFER;
    if (weft_action_can_overwrite(action) && !action.overwrite) weft_text_add(out, " adds");
    if (!program->pages) return;
    if (passes && program->shard == WEFT_SHARD_WEIGHTS) weft_text_add(out, " weights:%u", pages.weights);
    if (weft_action_makes_gradients(action)) weft_text_add(out, " gradients:%u", pages.gradients);
    if (buffered) weft_text_add(out, " %s:%u", reduces ? "gradients" : "weights", action.microbatch);
}

void weft_program_print(const weft_program *program, weft_text *out)
{
    char name[WEFT_ACTION_TEXT];
    for (int32_t lane = 0; lane < program->rank_lanes[program->ranks]; lane++) {
        const weft_lane *row = &program->lanes[lane];
        for (uint32_t a = row->first; a < row->first + row->count; a++) {
            weft_text_add(out, "%d %s", row->rank, weft_lane_kind_name(row->kind));
            if (row->peer >= 0) weft_text_add(out, ":%d", row->peer);
            weft_text_add(out, " %s", weft_action_text(program->actions[a], name));
            print_effects(program, a, out);
            for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++)
                weft_text_add(out, "%s%s", i == program->after_first[a] ? " after " : ",",
                              weft_action_text(program->actions[program->after[i]], name));
            weft_text_add(out, "\n");
        }
    }
}
