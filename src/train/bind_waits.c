/* What instructions wait for: the edges of the program, without those that others imply. */
#include "train/bind_parts.h"

/* While lanes are walked in an order in which they could run. What has ended by then, lane by lane: how many
 * instructions of it. */
typedef struct {
    const weft_bound *bound;
    uint32_t *ended;  /* (instructions, lanes) when each has ended */
    uint32_t *before; /* (lanes) when the next one of a lane begins */
    uint32_t *next;   /* (lanes) */
    uint32_t *waits;  /* those of the next one that nothing implies */
    uint32_t used;
} walk;

static int32_t lane_of(const weft_bound *bound, uint32_t instruction)
{
    int32_t l = 0;
    while (instruction - bound->lanes[l].first >= bound->lanes[l].count) l++;
    return l;
}

static uint32_t *ended_with(const walk *it, uint32_t instruction)
{
    return it->ended + (size_t)instruction * (size_t)it->bound->lane_count;
}

static bool is_past(const walk *it, uint32_t instruction)
{
    int32_t l = lane_of(it->bound, instruction);
    return instruction < it->next[l];
}

/* The last instruction of an action. */
static uint32_t last_of(const weft_bound *bound, uint32_t action)
{
    return bound->first_of[action - bound->first_action + 1] - 1;
}

/* The edges of an action belong to the first of its instructions. */
static void edges_of(const weft_bound *bound, uint32_t instruction, uint32_t *out_from, uint32_t *out_past)
{
    uint32_t action = bound->instructions[instruction].action;
    bool first = bound->first_of[action - bound->first_action] == instruction;
    *out_from = bound->program->after_first[action];
    *out_past = first ? bound->program->after_first[action + 1] : *out_from;
}

static bool is_ready(const walk *it, uint32_t instruction)
{
    uint32_t from = 0, past = 0;
    edges_of(it->bound, instruction, &from, &past);
    for (uint32_t i = from; i < past; i++)
        if (!is_past(it, last_of(it->bound, it->bound->program->after[i]))) return false;
    return true;
}

static void add_ended(const walk *it, uint32_t instruction, uint32_t *to)
{
    const uint32_t *ended = ended_with(it, instruction);
    for (int32_t l = 0; l < it->bound->lane_count; l++)
        if (ended[l] > to[l]) to[l] = ended[l];
}

/* Whether what has ended when the instruction begins, but for `wait` itself, shows that it has. */
static bool is_implied(const walk *it, uint32_t wait, uint32_t from, uint32_t past)
{
    int32_t lane = lane_of(it->bound, wait);
    uint32_t place = wait - it->bound->lanes[lane].first;
    if (it->before[lane] > place) return true;
    for (uint32_t i = from; i < past; i++) {
        uint32_t other = last_of(it->bound, it->bound->program->after[i]);
        if (other != wait && ended_with(it, other)[lane] > place) return true;
    }
    return false;
}

static void step(walk *it, int32_t lane, weft_instruction *instruction)
{
    const weft_bound *bound = it->bound;
    uint32_t self = it->next[lane], from = 0, past = 0;
    edges_of(bound, self, &from, &past);
    for (int32_t l = 0; l < bound->lane_count; l++) it->before[l] = 0;
    if (self > bound->lanes[lane].first) add_ended(it, self - 1, it->before);
    instruction->waits = it->used;
    for (uint32_t i = from; i < past; i++) {
        uint32_t wait = last_of(bound, bound->program->after[i]);
        if (!is_implied(it, wait, from, past)) it->waits[it->used++] = wait;
    }
    instruction->wait_count = it->used - instruction->waits;
    for (uint32_t i = from; i < past; i++) add_ended(it, last_of(bound, bound->program->after[i]), it->before);
    it->before[lane] = self - bound->lanes[lane].first + 1;
    uint32_t *ended = ended_with(it, self);
    for (int32_t l = 0; l < bound->lane_count; l++) ended[l] = it->before[l];
    it->next[lane]++;
}

static weft_status walk_lanes(walk *it, weft_instruction *instructions, weft_error *error)
{
    const weft_bound *bound = it->bound;
    uint32_t left = bound->count;
    for (bool moved = true; moved && left > 0;) {
        moved = false;
        for (int32_t l = 0; l < bound->lane_count; l++) {
            uint32_t past = bound->lanes[l].first + bound->lanes[l].count;
            for (; it->next[l] < past && is_ready(it, it->next[l]); left--, moved = true)
                step(it, l, &instructions[it->next[l]]);
        }
    }
    if (left > 0)
        FAIL(error, WEFT_FAILED, "a program that was not verified cannot be bound: its actions wait in a circle");
    return WEFT_OK;
}

static weft_status walk_all(weft_binder *binder, weft_arena *arena, weft_error *error)
{
    weft_bound *bound = binder->bound;
    size_t lanes = (size_t)bound->lane_count;
    const uint32_t *after_first = bound->program->after_first + bound->first_action;
    walk it = {.bound = bound};
    TRY(weft_arena_take(arena, bound->count * lanes, sizeof *it.ended, &it.ended, error));
    TRY(weft_arena_take(arena, lanes, sizeof *it.before, &it.before, error));
    TRY(weft_arena_take(arena, lanes, sizeof *it.next, &it.next, error));
    TRY(weft_arena_take(binder->arena, after_first[bound->actions] - after_first[0], sizeof *bound->waits,
                        &bound->waits, error));
    it.waits = bound->waits;
    for (int32_t l = 0; l < bound->lane_count; l++) it.next[l] = bound->lanes[l].first;
    TRY(walk_lanes(&it, bound->instructions, error));
    for (uint32_t i = 0; i < it.used; i++) bound->instructions[bound->waits[i]].signals = true;
    return WEFT_OK;
}

weft_status weft_bind_waits(weft_binder *binder, weft_error *error)
{
    weft_arena arena;
    weft_arena_init(&arena);
    weft_status status = walk_all(binder, &arena, error);
    weft_arena_fini(&arena);
    return status;
}
