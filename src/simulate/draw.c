#include "simulate/draw.h"

#include "base/random.h"
#include "simulate/measured.h"

static void read_node(weft_draw *draw, const weft_timeline *timelines, const weft_walk *walk, uint32_t k)
{
    size_t actions = draw->program->action_count;
    for (int32_t t = 0; t < draw->count; t++) {
        double seconds = weft_measured_seconds(&timelines[t], walk, k);
        for (int32_t n = 0; n < walk->member_count; n++)
            draw->seconds[(size_t)t * actions + walk->members[n].first + k] = seconds;
    }
}

static weft_status read_all(weft_draw *draw, const weft_timeline *timelines, weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, draw->program, -1, error));
    while (weft_walk_next(&walk))
        for (uint32_t k = 0; k < walk.nodes; k++) read_node(draw, timelines, &walk, k);
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}

static size_t place_of(const weft_program *program, uint32_t action)
{
    return program->actions[action].kind * (size_t)program->stages + program->actions[action].stage;
}

/* Counting sort: the ends of places move from where they begin to where they end. */
static void sort_members(weft_draw *draw)
{
    const weft_program *program = draw->program;
    size_t places = WEFT_ACTION_KINDS * (size_t)program->stages;
    for (uint32_t a = 0; a < program->action_count; a++) draw->begins[place_of(program, a) + 2]++;
    for (size_t place = 0; place < places; place++) draw->begins[place + 2] += draw->begins[place + 1];
    for (uint32_t a = 0; a < program->action_count; a++) draw->members[draw->begins[place_of(program, a) + 1]++] = a;
}

weft_status weft_draw_init(weft_draw *draw, const weft_timeline *timelines, int32_t count, weft_error *error)
{
    const weft_program *program = timelines[0].program;
    size_t actions = program->action_count, places = WEFT_ACTION_KINDS * (size_t)program->stages;
    *draw = (weft_draw){.program = program, .count = count};
    weft_status status = weft_allocate((size_t)count * actions, sizeof *draw->seconds, &draw->seconds, error);
    if (status == WEFT_OK) status = weft_allocate(actions, sizeof *draw->members, &draw->members, error);
    if (status == WEFT_OK) status = weft_allocate(actions, sizeof *draw->drawn, &draw->drawn, error);
    if (status == WEFT_OK) status = weft_allocate(places + 2, sizeof *draw->begins, &draw->begins, error);
    if (status == WEFT_OK) status = read_all(draw, timelines, error);
    if (status == WEFT_OK)
        sort_members(draw);
    else
        weft_draw_fini(draw);
    return status;
}

void weft_draw_fini(weft_draw *draw)
{
    weft_free(draw->seconds);
    weft_free(draw->members);
    weft_free(draw->begins);
    weft_free(draw->drawn);
    *draw = (weft_draw){0};
}

/* Messages and collectives keep their places: the first message of a step may find a receiver fast asleep. */
static uint32_t draw_member(const weft_draw *draw, weft_random_key key, uint32_t action)
{
    if (weft_action_info_get((weft_action_kind)draw->program->actions[action].kind)->lane != WEFT_LANE_COMPUTE)
        return action;
    size_t place = place_of(draw->program, action);
    uint32_t first = draw->begins[place], size = draw->begins[place + 1] - first;
    return draw->members[first + (uint32_t)(weft_random_bits(key, action + (uint64_t)1) % size)];
}

weft_status weft_draw_step(weft_draw *draw, uint64_t number, weft_timeline *timeline, weft_error *error)
{
    const weft_program *program = draw->program;
    weft_random_key key = weft_random_key_make(number, "drawn step");
    size_t step = (size_t)(weft_random_bits(key, 0) % (uint64_t)draw->count);
    const double *seconds = draw->seconds + step * program->action_count;
    for (uint32_t a = 0; a < program->action_count; a++) draw->drawn[a] = seconds[draw_member(draw, key, a)];
    return weft_simulate(program, &(weft_costs){.actions = draw->drawn}, timeline, error);
}
