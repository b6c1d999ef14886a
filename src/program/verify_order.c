/*
 * Order within a rank, by vector clocks: clock[a][l] is how many actions of the rank's lane l are done, for certain,
 * before action a begins. It follows from the order on the lane and from `after` alone.
 */
#include "program/verify.h"
#include "program/walk.h"

typedef struct rank_order {
    const weft_index *index;
    int32_t rank, lane_first, lane_count;
    uint32_t action_first, action_count;
    uint32_t *clock;         /* (actions of the rank, lanes of the rank) */
    weft_slot *tenants;      /* (buffers) the last tenant so far */
    bool *used;              /* (buffers) there was one */
    uint64_t *slots_written; /* of all ranks */
} rank_order;

static uint32_t *clock_of(const rank_order *o, uint32_t action)
{
    return o->clock + (size_t)(action - o->action_first) * (size_t)o->lane_count;
}

static bool done_before(const rank_order *o, uint32_t first, uint32_t second)
{
    int32_t lane = weft_program_lane(o->index->program, o->rank, first);
    return clock_of(o, second)[lane - o->lane_first] > first - o->index->program->lanes[lane].first;
}

static void join(const rank_order *o, uint32_t *clock, uint32_t other)
{
    const uint32_t *from = clock_of(o, other);
    for (int32_t i = 0; i < o->lane_count; i++)
        if (from[i] > clock[i]) clock[i] = from[i];
    int32_t lane = weft_program_lane(o->index->program, o->rank, other);
    uint32_t count = other - o->index->program->lanes[lane].first + 1;
    if (count > clock[lane - o->lane_first]) clock[lane - o->lane_first] = count;
}

static void set_clock(const rank_order *o, int32_t lane, uint32_t action)
{
    const weft_program *program = o->index->program;
    uint32_t *clock = clock_of(o, action);
    if (action > program->lanes[lane].first) join(o, clock, action - 1);
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
        join(o, clock, program->after[i]);
}

static weft_status check_needs(const rank_order *o, uint32_t action, weft_error *error)
{
    const weft_program *program = o->index->program;
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    uint32_t needs[WEFT_NEEDS_LIMIT];
    int count = weft_index_needs(o->index, o->rank, action, needs);
    for (int i = 0; i < count; i++)
        if (!done_before(o, needs[i], action))
            FAIL(error, WEFT_INVALID, "on rank %d nothing makes %s wait for %s, which it needs", o->rank,
                 weft_action_text(program->actions[action], name), weft_action_text(program->actions[needs[i]], other));
    return WEFT_OK;
}

/* Actions come in an order that can run: a tenant that was there before in any execution has been seen already. */
static weft_status check_tenants(const rank_order *o, uint32_t action, weft_error *error)
{
    const weft_program *program = o->index->program;
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    weft_slot slots[WEFT_WRITES_LIMIT];
    int count = program->slots ? weft_index_writes(o->index, action, slots) : 0;
    for (int i = 0; i < count; i++) {
        int32_t buffer = weft_program_slot(program, slots[i].kind, slots[i].stage, slots[i].microbatch);
        if (buffer < 0) continue;
        ++*o->slots_written;
        weft_slot old = o->tenants[buffer];
        if (o->used[buffer] && !done_before(o, old.reader, action))
            FAIL(error, WEFT_INVALID,
                 "buffer %d of rank %d has two tenants at once: %s writes %s of stage %d, micro-batch %d, but nothing "
                 "makes it wait for %s, the last reader of %s of stage %d, micro-batch %d",
                 buffer, o->rank, weft_action_text(program->actions[action], name), weft_slot_kind_name(slots[i].kind),
                 slots[i].stage, slots[i].microbatch, weft_action_text(program->actions[old.reader], other),
                 weft_slot_kind_name(old.kind), old.stage, old.microbatch);
        o->tenants[buffer] = slots[i];
        o->used[buffer] = true;
    }
    return WEFT_OK;
}

static weft_status check_rank(const rank_order *o, weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, o->index->program, o->rank, error));
    weft_status status = WEFT_OK;
    while (status == WEFT_OK && weft_walk_next(&walk))
        for (uint32_t k = 0; k < walk.nodes && status == WEFT_OK; k++) {
            uint32_t action = walk.members[0].first + k;
            set_clock(o, walk.members[0].lane, action);
            status = check_needs(o, action, error);
            if (status == WEFT_OK) status = check_tenants(o, action, error);
        }
    if (status == WEFT_OK && walk.remaining) status = weft_walk_explain(&walk, error);
    weft_walk_fini(&walk);
    return status;
}

static weft_status check_one(rank_order *o, weft_error *error)
{
    const weft_program *program = o->index->program;
    o->lane_first = program->rank_lanes[o->rank];
    o->lane_count = program->rank_lanes[o->rank + 1] - o->lane_first;
    const weft_lane *last = &program->lanes[o->lane_first + o->lane_count - 1];
    o->action_first = program->lanes[o->lane_first].first;
    o->action_count = last->first + last->count - o->action_first;
    TRY(weft_allocate(o->action_count, (size_t)o->lane_count * sizeof *o->clock, &o->clock, error));
    weft_status status = check_rank(o, error);
    weft_free(o->clock);
    return status;
}

/* A slot with a buffer that no action writes is one that the program should not have. */
static weft_status check_written(const weft_program *program, uint64_t written, weft_error *error)
{
    size_t count = (size_t)WEFT_SLOT_KINDS * (size_t)program->stages * (size_t)program->microbatches;
    uint64_t given = 0;
    for (size_t i = 0; i < count; i++) given += program->slots[i] >= 0;
    if (given != written)
        FAIL(error, WEFT_INVALID, "the program has %llu slots, but its actions write %llu", (unsigned long long)given,
             (unsigned long long)written);
    return WEFT_OK;
}

weft_status weft_verify_order(const weft_index *index, weft_error *error)
{
    const weft_program *program = index->program;
    uint64_t written = 0;
    rank_order o = {.index = index, .slots_written = &written};
    size_t buffers = program->slots ? (size_t)program->buffer_count : 0;
    weft_status status = weft_allocate(buffers, sizeof *o.tenants, &o.tenants, error);
    if (status == WEFT_OK) status = weft_allocate(buffers, sizeof *o.used, &o.used, error);
    for (o.rank = 0; o.rank < program->ranks && status == WEFT_OK; o.rank++) status = check_one(&o, error);
    if (status == WEFT_OK && program->slots) status = check_written(program, written, error);
    weft_free(o.tenants);
    weft_free(o.used);
    return status;
}
