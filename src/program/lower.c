/* Lowering: the steps in their order. */
#include "program/lower.h"
#include "program/walk.h"

#include <math.h>

weft_status weft_lower_units(const weft_program *program, const double *stage_cost, uint64_t *stage_units,
                             weft_error *error)
{
    double sum = 0;
    for (int32_t s = 0; stage_cost && s < program->stages; s++) {
        if (!(stage_cost[s] >= 0) || !isfinite(stage_cost[s]))
            FAIL(error, WEFT_INVALID, "the cost of stage %d is not a number from 0 up", s);
        sum += stage_cost[s];
    }
    for (int32_t s = 0; s < program->stages; s++) {
        double units = sum > 0 ? WEFT_UNITS * stage_cost[s] / sum * program->stages : WEFT_UNITS;
        stage_units[s] = units < 1 ? 1 : (uint64_t)units;
    }
    return WEFT_OK;
}

/* How often F of the stage, and units besides. */
typedef struct duration {
    uint8_t stages, fixed;
} duration;

static const duration durations[WEFT_ACTION_KINDS] = {
#define STAGES(times) .stages = times
#define FIXED(units) .fixed = units
#define ACTION(name, lane, place, operands, peer, programs, members, reads, writes, units, ...) {units},
#include "schedule/actions.def"
#undef ACTION
#undef FIXED
#undef STAGES
};

uint64_t weft_lower_duration(weft_action action, const uint64_t *stage_units)
{
    duration of = durations[action.kind];
    return of.stages ? of.stages * stage_units[action.stage] : of.fixed;
}

/* When everything that the action waits for is done. */
static uint64_t ready(const weft_program *program, int32_t lane, uint32_t action, const uint64_t *units,
                      const uint64_t *begin)
{
    uint64_t time = 0;
    if (action > program->lanes[lane].first)
        time = begin[action - 1] + weft_lower_duration(program->actions[action - 1], units);
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++) {
        uint32_t other = program->after[i];
        uint64_t end = begin[other] + weft_lower_duration(program->actions[other], units);
        if (end > time) time = end;
    }
    return time;
}

static void time_nodes(const weft_walk *walk, const uint64_t *units, uint64_t *begin)
{
    for (uint32_t k = 0; k < walk->nodes; k++) {
        uint64_t time = 0;
        for (int32_t i = 0; i < walk->member_count; i++) {
            const weft_walk_member *member = &walk->members[i];
            uint64_t own = ready(walk->program, member->lane, member->first + k, units, begin);
            if (own > time) time = own;
        }
        for (int32_t i = 0; i < walk->member_count; i++) begin[walk->members[i].first + k] = time;
    }
}

weft_status weft_lower_times(const weft_program *program, const double *stage_cost, uint64_t *begin, weft_error *error)
{
    weft_walk walk = {0};
    uint64_t *units = NULL;
    TRY(weft_allocate((size_t)program->stages, sizeof *units, &units, error));
    weft_status status = weft_lower_units(program, stage_cost, units, error);
    if (status == WEFT_OK) status = weft_walk_init(&walk, program, -1, error);
    if (status == WEFT_OK) {
        while (weft_walk_next(&walk))
            if (begin) time_nodes(&walk, units, begin);
        if (walk.remaining) status = weft_walk_explain(&walk, error);
    }
    weft_walk_fini(&walk);
    weft_free(units);
    return status;
}

static weft_status lower_index(weft_program *program, const weft_index *index, const weft_lower_options *options,
                               weft_edges *edges, weft_error *error)
{
    TRY(weft_lower_after(program, index, edges, error));
    if (!options->sizes) return weft_lower_times(program, NULL, NULL, error);
    TRY(weft_lower_slots(program, index, options, edges, error));
    return weft_lower_after(program, index, edges, error);
}

static weft_status lower(weft_program *program, const weft_schedule *schedule, const weft_lower_options *options,
                         weft_error *error)
{
    weft_index index = {0};
    weft_edges edges = {0};
    weft_status status = weft_lower_lanes(program, schedule, options, &edges, error);
    if (status == WEFT_OK) status = weft_index_init(&index, program, error);
    if (status == WEFT_OK) status = weft_index_check(&index, error);
    if (status == WEFT_OK) status = weft_index_match(&index, error);
    if (status == WEFT_OK) status = lower_index(program, &index, options, &edges, error);
    weft_free(edges.rows);
    weft_index_fini(&index);
    return status;
}

weft_status weft_program_create(const weft_schedule *schedule, const weft_lower_options *options, weft_program **out,
                                weft_error *error)
{
    weft_program *program = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *program, &program, error));
    weft_status status = lower(program, schedule, options, error);
    if (status != WEFT_OK) {
        weft_program_destroy(program);
        if (status == WEFT_INVALID) return weft_error_context(error, "schedule %s", schedule->name);
        return status;
    }
    *out = program;
    return WEFT_OK;
}
