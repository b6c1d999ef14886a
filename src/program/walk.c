#include "program/walk.h"

#include "program/index.h"

static bool is_collective(weft_action_kind kind)
{
    return kind == WEFT_REDUCE_TIED || kind == WEFT_NORM || kind == WEFT_METRICS;
}

static void queue(weft_walk *walk, int32_t lane)
{
    walk->lanes[lane].state = WEFT_WALK_QUEUED;
    walk->stack[walk->depth++] = lane;
}

static void count_members(weft_walk *walk)
{
    const weft_program *program = walk->program;
    for (int32_t lane = 0; lane < walk->lane_count; lane++) {
        const weft_lane *row = &program->lanes[walk->lane_first + lane];
        if (row->kind != WEFT_PROGRAM_REDUCE) continue;
        for (uint32_t i = 0; i < row->count; i++) walk->members[program->actions[row->first + i].kind]++;
    }
}

weft_status weft_walk_init(weft_walk *walk, const weft_program *program, int32_t rank, weft_error *error)
{
    bool local = rank >= 0;
    int32_t first = local ? program->rank_lanes[rank] : 0;
    int32_t end = program->rank_lanes[local ? rank + 1 : program->ranks];
    *walk = (weft_walk){.program = program, .local = local, .lane_first = first, .lane_count = end - first};
    weft_status status = weft_allocate((size_t)walk->lane_count, sizeof *walk->lanes, &walk->lanes, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)walk->lane_count, sizeof(int32_t), &walk->stack, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)walk->lane_count, sizeof(int32_t), &walk->node_lanes, error);
    if (status != WEFT_OK) {
        weft_walk_fini(walk);
        return status;
    }
    for (int32_t lane = walk->lane_count - 1; lane >= 0; lane--) {
        const weft_lane *row = &program->lanes[first + lane];
        walk->lanes[lane] = (weft_walk_lane){.cursor = row->first, .waiters = -1, .next = -1};
        walk->remaining += row->count;
        queue(walk, lane);
    }
    count_members(walk);
    return WEFT_OK;
}

void weft_walk_fini(weft_walk *walk)
{
    weft_free(walk->lanes);
    weft_free(walk->stack);
    weft_free(walk->node_lanes);
    *walk = (weft_walk){0};
}

uint32_t weft_walk_action(const weft_walk *walk, int32_t i)
{
    return walk->lanes[walk->node_lanes[i] - walk->lane_first].cursor - 1;
}

/* Puts the lane on the waiting list of the first `after` action that is not done. */
static bool must_wait(weft_walk *walk, int32_t lane)
{
    const weft_program *program = walk->program;
    weft_walk_lane *self = &walk->lanes[lane];
    int32_t rank = program->lanes[walk->lane_first + lane].rank;
    for (uint32_t i = program->after_first[self->cursor]; i < program->after_first[self->cursor + 1]; i++) {
        uint32_t need = program->after[i];
        weft_walk_lane *other = &walk->lanes[weft_program_lane(program, rank, need) - walk->lane_first];
        if (need < other->cursor) continue;
        self->state = WEFT_WALK_WAITING;
        self->need = need;
        self->next = other->waiters;
        other->waiters = lane;
        return true;
    }
    return false;
}

/* Moves the lane past its action and queues those that waited for it. */
static void advance(weft_walk *walk, int32_t lane)
{
    weft_walk_lane *self = &walk->lanes[lane];
    self->cursor++;
    walk->remaining--;
    walk->node_lanes[walk->node_count++] = walk->lane_first + lane;
    int32_t waiter = self->waiters;
    self->waiters = -1;
    while (waiter >= 0) {
        weft_walk_lane *other = &walk->lanes[waiter];
        int32_t next = other->next;
        if (other->need < self->cursor) {
            queue(walk, waiter);
        } else {
            other->next = self->waiters;
            self->waiters = waiter;
        }
        waiter = next;
    }
    queue(walk, lane);
}

/* True when the partner of the message has arrived too. */
static bool meet_message(weft_walk *walk, int32_t lane)
{
    const weft_lane *row = &walk->program->lanes[lane], *other = &walk->program->lanes[row->match];
    weft_walk_lane *self = &walk->lanes[lane], *peer = &walk->lanes[row->match];
    self->state = WEFT_WALK_ARRIVED;
    if (peer->state != WEFT_WALK_ARRIVED || peer->cursor - other->first != self->cursor - row->first) return false;
    bool sends = row->kind == WEFT_PROGRAM_SEND_F || row->kind == WEFT_PROGRAM_SEND_B;
    advance(walk, sends ? lane : row->match);
    advance(walk, sends ? row->match : lane);
    return true;
}

static bool meet_collective(weft_walk *walk, int32_t lane, weft_action_kind kind)
{
    const weft_program *program = walk->program;
    walk->lanes[lane].state = WEFT_WALK_ARRIVED;
    if (++walk->arrived[kind] < walk->members[kind]) return false;
    for (int32_t i = 0; i < walk->lane_count; i++)
        if (walk->lanes[i].state == WEFT_WALK_ARRIVED && program->lanes[i].kind == WEFT_PROGRAM_REDUCE &&
            program->actions[walk->lanes[i].cursor].kind == kind)
            advance(walk, i);
    return true;
}

bool weft_walk_next(weft_walk *walk)
{
    const weft_program *program = walk->program;
    walk->node_count = 0;
    while (walk->depth > 0) {
        int32_t lane = walk->stack[--walk->depth];
        weft_walk_lane *self = &walk->lanes[lane];
        const weft_lane *row = &program->lanes[walk->lane_first + lane];
        if (self->cursor == row->first + row->count) {
            self->state = WEFT_WALK_DONE;
            continue;
        }
        if (must_wait(walk, lane)) continue;
        weft_action_kind kind = (weft_action_kind)program->actions[self->cursor].kind;
        if (!walk->local && row->match >= 0) {
            if (!meet_message(walk, lane)) continue;
        } else if (!walk->local && is_collective(kind)) {
            if (!meet_collective(walk, lane, kind)) continue;
        } else {
            advance(walk, lane);
        }
        return true;
    }
    return false;
}
