/* Why a walk cannot go on: the shortest circle of lanes that wait for each other, in words. */
#include "program/index.h"
#include "program/walk.h"

enum { CIRCLE_SHOWN = 12 };

typedef struct wait {
    int32_t lane;    /* that must move first */
    uint32_t action; /* that it must run */
} wait;

static uint32_t find_kind(const weft_program *program, int32_t rank, uint32_t kind, int32_t *out_lane)
{
    for (int32_t lane = program->rank_lanes[rank]; lane < program->rank_lanes[rank + 1]; lane++) {
        const weft_lane *row = &program->lanes[lane];
        for (uint32_t i = 0; row->kind == WEFT_PROGRAM_REDUCE && i < row->count; i++)
            if (program->actions[row->first + i].kind == kind) {
                *out_lane = lane;
                return row->first + i;
            }
    }
    return WEFT_NO_ACTION;
}

/* The next thing that a stuck lane waits for, from *step on; false when there is no more. */
static bool next_wait(const weft_walk *walk, int32_t lane, uint32_t *step, wait *out)
{
    const weft_program *program = walk->program;
    const weft_walk_lane *self = &walk->lanes[lane - walk->lane_first];
    const weft_lane *row = &program->lanes[lane];
    if (self->state == WEFT_WALK_WAITING) {
        uint32_t first = program->after_first[self->cursor];
        uint32_t count = program->after_first[self->cursor + weft_walk_width(walk, lane)] - first;
        while (*step < count) {
            out->action = program->after[first + (*step)++];
            out->lane = weft_program_lane(program, row->rank, out->action);
            if (out->action >= walk->lanes[out->lane - walk->lane_first].cursor) return true;
        }
        return false;
    }
    if (self->state != WEFT_WALK_ARRIVED) return false;
    if (row->match >= 0) {
        const weft_lane *other = &program->lanes[row->match];
        *out = (wait){row->match, other->first + (self->cursor - row->first)};
        return (*step)++ == 0;
    }
    while (*step < (uint32_t)program->ranks) {
        out->action = find_kind(program, (int32_t)(*step)++, program->actions[self->cursor].kind, &out->lane);
        if (out->action == WEFT_NO_ACTION) continue;
        const weft_walk_lane *other = &walk->lanes[out->lane];
        if (other->cursor < out->action || (other->cursor == out->action && other->state != WEFT_WALK_ARRIVED))
            return true;
    }
    return false;
}

typedef struct search {
    const weft_walk *walk;
    int32_t *parent, *queue, *depth, *best; /* (lanes) each */
    int32_t best_length;
} search;

/* Breadth first from one lane back to itself; keeps the circle when it is shorter than the best so far. */
static void circle_from(search *s, int32_t start)
{
    int32_t count = s->walk->lane_count, first = s->walk->lane_first, head = 0, tail = 0;
    for (int32_t i = 0; i < count; i++) s->depth[i] = -1;
    s->queue[tail++] = start;
    s->depth[start] = 0;
    while (head < tail) {
        int32_t lane = s->queue[head++];
        if (s->best_length && s->depth[lane] + 1 >= s->best_length) return;
        uint32_t step = 0;
        wait next;
        while (next_wait(s->walk, lane + first, &step, &next)) {
            int32_t to = next.lane - first;
            if (to == start) {
                s->best_length = s->depth[lane] + 1;
                for (int32_t at = lane, i = s->best_length - 1; i >= 0; at = s->parent[at], i--) s->best[i] = at;
                return;
            }
            if (s->depth[to] >= 0) continue;
            s->depth[to] = s->depth[lane] + 1;
            s->parent[to] = lane;
            s->queue[tail++] = to;
        }
    }
}

/* "rank 1 waits to run 2F0 because 2RECV_F0 is not done" */
static void describe(const weft_walk *walk, int32_t lane, int32_t to, weft_text *out)
{
    const weft_program *program = walk->program;
    char own[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT], between[WEFT_ACTION_TEXT];
    const weft_lane *row = &program->lanes[lane], *target = &program->lanes[to];
    uint32_t step = 0, cursor = walk->lanes[lane - walk->lane_first].cursor;
    uint32_t ahead = walk->lanes[to - walk->lane_first].cursor;
    wait next = {-1, 0};
    while (next_wait(walk, lane, &step, &next) && next.lane != to) continue;
    weft_text_add(out, "rank %d waits to run %s because ", row->rank, weft_action_text(program->actions[cursor], own));
    weft_action_text(program->actions[next.action], other);
    if (target->rank == row->rank)
        weft_text_add(out, "%s is not done", other);
    else
        weft_text_add(out, "rank %d has not come to %s", target->rank, other);
    if (ahead != next.action)
        weft_text_add(out, ", which is behind %s on its lane", weft_action_text(program->actions[ahead], between));
}

static weft_status say_circle(const search *s, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    int32_t first = s->walk->lane_first;
    for (int32_t i = 0; i < s->best_length && i < CIRCLE_SHOWN; i++) {
        if (i) weft_text_add(&text, "; ");
        describe(s->walk, s->best[i] + first, s->best[(i + 1) % s->best_length] + first, &text);
    }
    if (s->best_length > CIRCLE_SHOWN) weft_text_add(&text, "; and so on, %d waits in all", s->best_length);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK)
        status =
            weft_fail(error, WEFT_INVALID, "the program cannot end, it waits in a circle: %s", weft_text_get(&text));
    weft_text_fini(&text);
    return status;
}

static weft_status say_stuck(const weft_walk *walk, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    for (int32_t lane = 0; lane < walk->lane_count; lane++) {
        if (walk->lanes[lane].state == WEFT_WALK_DONE) continue;
        const weft_lane *row = &walk->program->lanes[walk->lane_first + lane];
        FAIL(error, WEFT_INVALID, "the program cannot end: rank %d waits in %s for ever", row->rank,
             weft_action_text(walk->program->actions[walk->lanes[lane].cursor], name));
    }
    FAIL(error, WEFT_INVALID, "the program cannot end");
}

weft_status weft_walk_explain(const weft_walk *walk, weft_error *error)
{
    size_t count = (size_t)walk->lane_count;
    search s = {.walk = walk};
    TRY(weft_allocate(4 * count, sizeof *s.parent, &s.parent, error));
    s.queue = s.parent + count;
    s.depth = s.queue + count;
    s.best = s.depth + count;
    for (int32_t lane = 0; lane < walk->lane_count; lane++)
        if (walk->lanes[lane].state != WEFT_WALK_DONE) circle_from(&s, lane);
    weft_status status = s.best_length ? say_circle(&s, error) : say_stuck(walk, error);
    weft_free(s.parent);
    return status;
}
