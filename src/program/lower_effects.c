/* What passes and reductions overwrite, and in which of their rank's buffers passes work. */
#include "program/lower.h"

enum { AS_BEFORE = UINT16_MAX }; /* while pages are spread: that of the stage's last pass */

/* seen: (S) stages that have overwritten. */
static void mark_lane(weft_program *program, const weft_lane *lane, bool *seen)
{
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action *action = &program->actions[a];
        if (!weft_action_can_overwrite(*action) || seen[action->stage]) continue;
        seen[action->stage] = true;
        action->overwrite = 1;
    }
}

/* The first of each stage overwrites what is of the step before: of its reductions, and where there are none, of its
 * passes. */
static weft_status mark_firsts(weft_program *program, weft_error *error)
{
    weft_lane_kind wanted = weft_program_reduces(program) ? WEFT_PROGRAM_REDUCE : WEFT_PROGRAM_COMPUTE;
    bool *seen = NULL;
    TRY(weft_allocate((size_t)program->stages, sizeof *seen, &seen, error));
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++)
        if (program->lanes[l].kind == wanted) mark_lane(program, &program->lanes[l], seen);
    weft_free(seen);
    return WEFT_OK;
}

/* Of what a buffer holds for a reduction, the first overwrites what was reduced before. */
static void mark_fillers(weft_program *program, int32_t rank, const weft_shard_rows *reduce)
{
    const weft_lane *compute = &program->lanes[program->rank_lanes[rank]];
    for (uint32_t i = 0; i < reduce->count; i++)
        program->actions[compute->first + (uint32_t)reduce->rows[i].first].overwrite = 1;
}

/* Rows say where a stage comes to a buffer; its later passes find it there. latest: (S) */
static void spread(weft_program *program, int32_t rank, const weft_shard_plan *plan, weft_pages *latest)
{
    const weft_lane *compute = &program->lanes[program->rank_lanes[rank]];
    const weft_action *actions = program->actions + compute->first;
    weft_pages *pages = program->pages + compute->first;
    for (uint32_t k = 0; k < compute->count; k++) pages[k] = (weft_pages){AS_BEFORE, AS_BEFORE};
    for (uint32_t i = 0; i < plan->gather.count; i++) {
        const weft_shard_row *row = &plan->gather.rows[i];
        if (row->first >= 0) pages[row->first].weights = (uint16_t)row->action.microbatch;
    }
    for (uint32_t i = 0; i < plan->reduce.count; i++) {
        const weft_shard_row *row = &plan->reduce.rows[i];
        pages[row->first].gradients = (uint16_t)row->action.microbatch;
    }
    for (uint32_t k = 0; k < compute->count; k++) {
        weft_pages *last = &latest[actions[k].stage], now = pages[k];
        if (now.weights != AS_BEFORE) last->weights = now.weights;
        if (now.gradients != AS_BEFORE) last->gradients = now.gradients;
        pages[k] = (weft_pages){weft_action_is_pass(actions[k]) ? last->weights : 0,
                                weft_action_makes_gradients(actions[k]) ? last->gradients : 0};
    }
}

static weft_status spread_all(weft_program *program, const weft_shard_plan *plans, weft_error *error)
{
    weft_pages *latest = NULL;
    TRY(weft_allocate(program->action_count, sizeof *program->pages, &program->pages, error));
    TRY(weft_allocate((size_t)program->stages, sizeof *latest, &latest, error));
    for (int32_t rank = 0; rank < program->ranks; rank++) spread(program, rank, &plans[rank], latest);
    weft_free(latest);
    return WEFT_OK;
}

bool weft_program_has_pages(const weft_program *program)
{
    return program->data > 1 && (program->shard == WEFT_SHARD_WEIGHTS || program->gradient_buffers > 0);
}

weft_status weft_lower_effects(weft_program *program, const weft_shard_plan *plans, weft_error *error)
{
    TRY(mark_firsts(program, error));
    for (int32_t rank = 0; plans && rank < program->ranks; rank++) mark_fillers(program, rank, &plans[rank].reduce);
    return weft_program_has_pages(program) ? spread_all(program, plans, error) : WEFT_OK;
}
