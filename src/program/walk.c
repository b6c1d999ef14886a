#include "program/walk.h"

#include "program/index.h"

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
        for (uint32_t i = 0; i < row->count; i++) walk->expected[program->actions[row->first + i].kind]++;
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
    if (status == WEFT_OK)
        status = weft_allocate((size_t)walk->lane_count, sizeof *walk->members, &walk->members, error);
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
    weft_free(walk->members);
    *walk = (weft_walk){0};
}

/* The lane of the first `after` action that is not done, and that action; -1 when there is none. */
static inline int32_t blocker(const weft_walk *walk, const weft_lane *row, uint32_t action, uint32_t *out_need)
{
    const weft_program *program = walk->program;
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++) {
        uint32_t need = program->after[i];
        int32_t lane = weft_program_lane(program, row->rank, need) - walk->lane_first;
        if (need < walk->lanes[lane].cursor) continue;
        *out_need = need;
        return lane;
    }
    return -1;
}

/* How many actions begin together with this one of a compute lane. */
static inline uint32_t width(const weft_walk *walk, const weft_lane *row, uint32_t action)
{
    bool pair = walk->pairs && action + 1 - row->first < row->count && walk->program->actions[action + 1].paired;
    return pair ? 2 : 1;
}

uint32_t weft_walk_width(const weft_walk *walk, int32_t lane)
{
    return width(walk, &walk->program->lanes[lane], walk->lanes[lane - walk->lane_first].cursor);
}

/* Puts the lane on the waiting list of what its next actions wait for; false when they can begin. */
static bool must_wait(weft_walk *walk, int32_t lane)
{
    const weft_lane *row = &walk->program->lanes[walk->lane_first + lane];
    weft_walk_lane *self = &walk->lanes[lane];
    int32_t other = -1;
    for (uint32_t i = 0, count = width(walk, row, self->cursor); i < count && other < 0; i++)
        other = blocker(walk, row, self->cursor + i, &self->need);
    if (other < 0) return false;
    self->state = WEFT_WALK_WAITING;
    self->next = walk->lanes[other].waiters;
    walk->lanes[other].waiters = lane;
    return true;
}

/* Moves the lane on and queues those that waited for it. */
static void advance(weft_walk *walk, int32_t lane, uint32_t count)
{
    weft_walk_lane *self = &walk->lanes[lane];
    walk->members[walk->member_count++] = (weft_walk_member){walk->lane_first + lane, self->cursor};
    walk->nodes = count;
    self->cursor += count;
    walk->remaining -= count;
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

/* The lane's next action can begin, and so can those behind it that wait for nothing more. */
static void run_alone(weft_walk *walk, int32_t lane)
{
    const weft_lane *row = &walk->program->lanes[walk->lane_first + lane];
    uint32_t cursor = walk->lanes[lane].cursor, end = row->first + row->count, need;
    uint32_t at = cursor + width(walk, row, cursor);
    bool meets = !walk->local && row->kind == WEFT_PROGRAM_REDUCE;
    while (at < end && !(meets && weft_action_is_collective(walk->program->actions[at]))) {
        uint32_t more = width(walk, row, at), can = 0;
        while (can < more && blocker(walk, row, at + can, &need) < 0) can++;
        if (can < more) break;
        at += more;
    }
    advance(walk, lane, at - cursor);
}

/* False when the partner of the message has not arrived yet. */
static bool run_messages(weft_walk *walk, int32_t lane)
{
    const weft_lane *row = &walk->program->lanes[lane], *other = &walk->program->lanes[row->match];
    weft_walk_lane *self = &walk->lanes[lane], *peer = &walk->lanes[row->match];
    self->state = WEFT_WALK_ARRIVED;
    if (peer->state != WEFT_WALK_ARRIVED) return false;
    uint32_t left = row->first + row->count - self->cursor, others = other->first + other->count - peer->cursor;
    uint32_t count = 1, need, most = left < others ? left : others;
    while (count < most && blocker(walk, row, self->cursor + count, &need) < 0 &&
           blocker(walk, other, peer->cursor + count, &need) < 0)
        count++;
    bool sends = row->kind == WEFT_PROGRAM_SEND_F || row->kind == WEFT_PROGRAM_SEND_B;
    advance(walk, sends ? lane : row->match, count);
    advance(walk, sends ? row->match : lane, count);
    return true;
}

static bool run_collective(weft_walk *walk, int32_t lane, weft_action_kind kind)
{
    const weft_program *program = walk->program;
    walk->lanes[lane].state = WEFT_WALK_ARRIVED;
    if (++walk->arrived[kind] < walk->expected[kind]) return false;
    for (int32_t i = 0; i < walk->lane_count; i++)
        if (walk->lanes[i].state == WEFT_WALK_ARRIVED && program->lanes[i].kind == WEFT_PROGRAM_REDUCE &&
            program->actions[walk->lanes[i].cursor].kind == kind)
            advance(walk, i, 1);
    return true;
}

/* Runs what the lane can run now; false when it has to wait. */
static bool run_lane(weft_walk *walk, int32_t lane)
{
    const weft_program *program = walk->program;
    const weft_lane *row = &program->lanes[walk->lane_first + lane];
    weft_walk_lane *self = &walk->lanes[lane];
    walk->looks++;
    if (self->cursor == row->first + row->count) {
        self->state = WEFT_WALK_DONE;
        return false;
    }
    if (must_wait(walk, lane)) return false;
    if (!walk->local && row->match >= 0) return run_messages(walk, lane);
    weft_action_kind kind = (weft_action_kind)program->actions[self->cursor].kind;
    if (!walk->local && weft_action_is_collective(program->actions[self->cursor]))
        return run_collective(walk, lane, kind);
    run_alone(walk, lane);
    return true;
}

bool weft_walk_next(weft_walk *walk)
{
    walk->member_count = 0;
    while (walk->depth > 0)
        if (run_lane(walk, walk->stack[--walk->depth])) return true;
    return false;
}
