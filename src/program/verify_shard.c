/* Weights and gradients of one rank, gathered, added up, reduced: what is proved uses the order of the lanes and the
 * `after` edges between them. */
#include "program/verify.h"

enum { NEVER = -1 };

/* The weights of a stage while the gather lane is walked. */
typedef struct stay {
    int64_t unshard; /* position on the gather lane; NEVER: they are not there */
    uint32_t buffer; /* where they lie */
    int64_t last;    /* the last compute action that reads them */
} stay;

/* Where the gradients of a stage go while the compute lane is walked. */
typedef struct collection {
    int64_t reduction;     /* position on the reduce lane; NEVER: none yet */
    int64_t first, latest; /* reductions of the stage while they are chained; NEVER: none */
    int64_t summed;        /* REDUCE_TENSOR that waits for its REDUCE_GRAD; NEVER: none */
} collection;

/* What empties a buffer among others of the lane: REDUCE_GRAD, or REDUCE_TENSOR where it is alone. NEVER: none. */
typedef struct chain {
    int64_t next;     /* of the same stage */
    int64_t previous; /* that empties the buffer before */
    int64_t summed;   /* the REDUCE_TENSOR of the same gradients, where a REDUCE_GRAD follows it */
} chain;

typedef struct shard_check {
    const weft_program *program;
    int32_t rank;
    const weft_lane *compute, *gather, *reduce; /* NULL: there is none */
    uint32_t *gathered, *reduced; /* (compute) actions of that lane that are done before a compute action begins */
    uint32_t *before_gather, *before_reduce; /* (gather), (reduce) compute actions done before it begins */
    stay *stays;                             /* (S) */
    int64_t *tenants;                        /* (S) by buffer: the stage that is there, or NEVER */
    collection *collections;                 /* (S) */
    int64_t *emptied;                        /* (S) by buffer: the reduction before, or NEVER */
    chain *chains;                           /* (reduce) */
} shard_check;

static const weft_lane *find(const weft_program *program, int32_t rank, weft_lane_kind kind)
{
    for (int32_t lane = program->rank_lanes[rank]; lane < program->rank_lanes[rank + 1]; lane++)
        if (program->lanes[lane].kind == kind) return &program->lanes[lane];
    return NULL;
}

/* For each action of a lane, how many of the other's are done before it begins. */
static weft_status list_before(const weft_program *program, const weft_lane *lane, const weft_lane *other,
                               uint32_t **out, weft_error *error)
{
    if (!lane || !other) return WEFT_OK;
    TRY(weft_allocate(lane->count, sizeof **out, out, error));
    uint32_t most = 0;
    for (uint32_t k = 0; k < lane->count; k++) {
        uint32_t action = lane->first + k;
        for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++) {
            uint32_t place = program->after[i] - other->first;
            if (place < other->count && place >= most) most = place + 1;
        }
        (*out)[k] = most;
    }
    return WEFT_OK;
}

static weft_action action_at(const shard_check *c, const weft_lane *lane, int64_t k)
{
    return c->program->actions[lane->first + (uint32_t)k];
}

static void forget(shard_check *c, uint32_t stage)
{
    c->stays[stage] = (stay){NEVER, 0, NEVER};
    c->collections[stage] = (collection){NEVER, NEVER, NEVER, NEVER};
}

/* What the walk of a rank meets, and no more: all ranks together take time in proportion to their actions. */
static void forget_lane(shard_check *c, const weft_lane *lane)
{
    for (uint32_t k = 0; lane && k < lane->count; k++) {
        weft_action action = action_at(c, lane, k);
        forget(c, action.stage);
        if (lane == c->compute || action.microbatch >= (uint32_t)c->program->stages) continue;
        c->tenants[action.microbatch] = NEVER;
        c->emptied[action.microbatch] = NEVER;
    }
}

static weft_status gather_one(shard_check *c, uint32_t k, weft_error *error)
{
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    weft_action action = action_at(c, c->gather, k);
    stay *own = &c->stays[action.stage];
    bool gathers = action.kind == WEFT_UNSHARD;
    weft_action_text(action, name);
    if (gathers == (own->unshard != NEVER))
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but the weights of stage %u are %s", c->rank, name,
             (unsigned)action.stage, gathers ? "there already" : "not there");
    if (!gathers && action.microbatch != own->buffer)
        FAIL(error, WEFT_INVALID, "rank %d runs %s of buffer %u, but the weights of stage %u are in buffer %u", c->rank,
             name, action.microbatch, (unsigned)action.stage, own->buffer);
    if (!gathers && own->last >= (int64_t)c->before_gather[k])
        FAIL(error, WEFT_INVALID, "rank %d: nothing makes %s wait for %s, which reads the weights", c->rank, name,
             weft_action_text(action_at(c, c->compute, own->last), other));
    if (gathers && c->tenants[action.microbatch] != NEVER)
        FAIL(error, WEFT_INVALID, "rank %d runs %s into buffer %u, which stage %lld is in", c->rank, name,
             action.microbatch, (long long)c->tenants[action.microbatch]);
    c->tenants[action.microbatch] = gathers ? (int64_t)action.stage : NEVER;
    *own = gathers ? (stay){k, action.microbatch, NEVER} : (stay){NEVER, 0, NEVER};
    return WEFT_OK;
}

static weft_pages pages_at(const shard_check *c, uint32_t k)
{
    return weft_program_pages(c->program, c->compute->first + k);
}

static weft_status check_page(const shard_check *c, uint32_t k, uint32_t wanted, uint32_t named, const char *what,
                              weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    if (!c->program->pages || named == wanted) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "rank %d runs %s with %s in buffer %u, but those of its stage are in buffer %u", c->rank,
         weft_action_text(action_at(c, c->compute, k), name), what, named, wanted);
}

/* Readers find the weights there; each RESHARD, met later on the gather lane, comes after them. */
static weft_status check_weights(shard_check *c, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    uint32_t walked = 0, gathers = c->gather ? c->gather->count : 0;
    for (uint32_t k = 0; k < c->compute->count; k++) {
        weft_action action = action_at(c, c->compute, k);
        if (!weft_action_is_pass(action)) continue;
        while (walked < gathers && walked < c->gathered[k]) TRY(gather_one(c, walked++, error));
        if (c->stays[action.stage].unshard == NEVER)
            FAIL(error, WEFT_INVALID, "rank %d: nothing makes %s wait for the weights of stage %u", c->rank,
                 weft_action_text(action, name), (unsigned)action.stage);
        TRY(check_page(c, k, c->stays[action.stage].buffer, pages_at(c, k).weights, "weights", error));
        c->stays[action.stage].last = k;
    }
    while (walked < gathers) TRY(gather_one(c, walked++, error));
    for (uint32_t k = 0; k < gathers; k++)
        if (c->stays[action_at(c, c->gather, k).stage].unshard != NEVER)
            FAIL(error, WEFT_INVALID, "rank %d never drops the weights of stage %u", c->rank,
                 (unsigned)action_at(c, c->gather, k).stage);
    return WEFT_OK;
}

/* Where whole weights stay: gathered once, from shards that are new. */
static weft_status check_refreshes(shard_check *c, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    for (uint32_t k = 0; c->gather && k < c->gather->count; k++) {
        weft_action action = action_at(c, c->gather, k);
        stay *own = &c->stays[action.stage];
        if (action.kind != WEFT_UNSHARD || own->unshard != NEVER)
            FAIL(error, WEFT_INVALID, "rank %d runs %s, but whole weights are gathered once, after UPDATE", c->rank,
                 weft_action_text(action, name));
        own->unshard = k;
    }
    for (uint32_t k = 0; k < c->compute->count; k++) {
        weft_action action = action_at(c, c->compute, k);
        if (action.kind != WEFT_UPDATE) continue;
        int64_t unshard = c->stays[action.stage].unshard;
        if (unshard == NEVER || c->before_gather[unshard] <= k)
            FAIL(error, WEFT_INVALID, "rank %d: the weights of stage %u are not gathered after its UPDATE", c->rank,
                 (unsigned)action.stage);
    }
    return WEFT_OK;
}

/* What is of the step before, or has been reduced, is overwritten; what is still to be reduced is added to. */
static weft_status check_overwrite(const shard_check *c, weft_action action, bool stale, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    if (action.overwrite == stale) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "rank %d: %s %s", c->rank, weft_action_text(action, name),
         stale
             ? "adds to gradients that are not of this step, or were reduced: it is the first and has to overwrite them"
             : "overwrites gradients of its stage that it has to add to");
}

static bool empties(const shard_check *c, weft_action action)
{
    return (weft_action_kind)action.kind == (c->program->data > 1 ? WEFT_REDUCE_GRAD : WEFT_REDUCE_TENSOR);
}

/* Where gradients are reduced over both groups, each REDUCE_GRAD has a REDUCE_TENSOR before it, of the same buffer. */
static weft_status pair_sums(shard_check *c, int64_t r, int64_t *out, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    weft_action action = action_at(c, c->reduce, r);
    int64_t *summed = &c->collections[action.stage].summed;
    bool ends = action.kind == WEFT_REDUCE_GRAD;
    weft_action_text(action, name);
    if (!ends && *summed != NEVER)
        FAIL(error, WEFT_INVALID, "rank %d runs %s twice for the same gradients", c->rank, name);
    if (ends && (*summed == NEVER || action_at(c, c->reduce, *summed).microbatch != action.microbatch))
        FAIL(error, WEFT_INVALID, "rank %d runs %s without REDUCE_TENSOR of the same gradients before it", c->rank,
             name);
    *out = *summed;
    *summed = ends ? NEVER : r;
    return WEFT_OK;
}

static weft_status chain_reductions(shard_check *c, weft_error *error)
{
    if (!c->reduce) return WEFT_OK;
    bool both = c->program->data > 1 && c->program->tensor > 1;
    TRY(weft_allocate(c->reduce->count, sizeof *c->chains, &c->chains, error));
    for (int64_t r = 0; r < (int64_t)c->reduce->count; r++) {
        weft_action action = action_at(c, c->reduce, r);
        if (!weft_action_reduces(action)) continue;
        collection *own = &c->collections[action.stage];
        int64_t *emptied = &c->emptied[action.microbatch], summed = NEVER;
        if (both) TRY(pair_sums(c, r, &summed, error));
        if (!empties(c, action)) continue;
        c->chains[r] = (chain){.next = NEVER, .previous = *emptied, .summed = summed};
        if (own->latest == NEVER)
            own->first = r;
        else
            c->chains[own->latest].next = r;
        own->latest = *emptied = r;
    }
    return WEFT_OK;
}

/* The gradient is there when the reduction takes it. */
static weft_status check_taken(const shard_check *c, uint32_t k, int64_t reduction, weft_error *error)
{
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    if (c->before_reduce[reduction] > k) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "rank %d: nothing makes %s wait for %s", c->rank,
         weft_action_text(action_at(c, c->reduce, reduction), name),
         weft_action_text(action_at(c, c->compute, k), other));
}

static weft_status check_gradient(shard_check *c, uint32_t k, weft_error *error)
{
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    weft_action action = action_at(c, c->compute, k);
    collection *own = &c->collections[action.stage];
    bool fills = own->reduction == NEVER || c->before_reduce[own->reduction] <= k;
    weft_action_text(action, name);
    if (fills) {
        own->reduction = own->reduction == NEVER ? own->first : c->chains[own->reduction].next;
        if (own->reduction == NEVER)
            FAIL(error, WEFT_INVALID, "rank %d never reduces the gradients of %s", c->rank, name);
        TRY(check_taken(c, k, own->reduction, error));
    }
    int64_t previous = c->chains[own->reduction].previous, summed = c->chains[own->reduction].summed;
    if (summed != NEVER) TRY(check_taken(c, k, summed, error));
    if (previous != NEVER && (int64_t)c->reduced[k] <= previous)
        FAIL(error, WEFT_INVALID, "rank %d: nothing makes %s wait for %s, which empties its buffer", c->rank, name,
             weft_action_text(action_at(c, c->reduce, previous), other));
    TRY(check_page(c, k, action_at(c, c->reduce, own->reduction).microbatch, pages_at(c, k).gradients, "gradients",
                   error));
    return check_overwrite(c, action, fills, error);
}

/* Every gradient goes into one reduction, the next of its stage, once the buffer is free; none goes without. */
static weft_status check_gradients(shard_check *c, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    for (uint32_t k = 0; k < c->compute->count; k++) {
        weft_action action = action_at(c, c->compute, k);
        if (weft_action_makes_gradients(action)) TRY(check_gradient(c, k, error));
    }
    for (int64_t r = 0; c->reduce && r < (int64_t)c->reduce->count; r++) {
        weft_action action = action_at(c, c->reduce, r);
        const collection *own = &c->collections[action.stage];
        if (!weft_action_reduces(action)) continue;
        if (r > own->reduction)
            FAIL(error, WEFT_INVALID, "rank %d runs %s with no new gradients", c->rank, weft_action_text(action, name));
        if (empties(c, action) && r != own->first && !c->program->gradient_buffers)
            FAIL(error, WEFT_INVALID, "rank %d runs %s twice, but gradients that stay are reduced once", c->rank,
                 weft_action_text(action, name));
        if (action.kind == WEFT_REDUCE_GRAD) TRY(check_overwrite(c, action, r == own->first, error));
    }
    return WEFT_OK;
}

/* Where nothing is reduced, gradients of a stage are added up in the order of the compute lane. */
static weft_status check_additions(shard_check *c, weft_error *error)
{
    for (uint32_t k = 0; k < c->compute->count; k++) {
        weft_action action = action_at(c, c->compute, k);
        collection *own = &c->collections[action.stage];
        if (!weft_action_makes_gradients(action)) continue;
        TRY(check_overwrite(c, action, own->latest == NEVER, error));
        own->latest = k;
    }
    return WEFT_OK;
}

/* limit 0: one buffer a stage. */
static weft_status check_buffers(const shard_check *c, const weft_lane *lane, int32_t limit, weft_error *error)
{
    char name[WEFT_ACTION_TEXT];
    uint32_t buffers = (uint32_t)(limit > 0 && limit < c->program->stages ? limit : c->program->stages);
    for (uint32_t k = 0; lane && k < lane->count; k++) {
        weft_action action = action_at(c, lane, k);
        bool buffered = weft_action_info_get((weft_action_kind)action.kind)->operands == WEFT_OPERANDS_STAGE_BUFFER;
        if (buffered && action.microbatch >= buffers)
            FAIL(error, WEFT_INVALID, "rank %d: %s is about buffer %u, but there are %u", c->rank,
                 weft_action_text(action, name), action.microbatch, buffers);
    }
    return WEFT_OK;
}

static weft_status check_rank(shard_check *c, weft_error *error)
{
    const weft_program *program = c->program;
    forget_lane(c, c->compute);
    if (!weft_program_reduces(program)) return check_additions(c, error);
    forget_lane(c, c->gather);
    forget_lane(c, c->reduce);
    TRY(list_before(program, c->compute, c->gather, &c->gathered, error));
    TRY(list_before(program, c->compute, c->reduce, &c->reduced, error));
    TRY(list_before(program, c->gather, c->compute, &c->before_gather, error));
    TRY(list_before(program, c->reduce, c->compute, &c->before_reduce, error));
    TRY(check_buffers(c, c->gather, program->weight_buffers, error));
    TRY(check_buffers(c, c->reduce, program->gradient_buffers, error));
    if (program->shard == WEFT_SHARD_WEIGHTS) TRY(check_weights(c, error));
    if (program->shard == WEFT_SHARD_OPTIMIZER || program->shard == WEFT_SHARD_GRADIENTS)
        TRY(check_refreshes(c, error));
    if (program->forward_only) return WEFT_OK;
    TRY(chain_reductions(c, error));
    return check_gradients(c, error);
}

static weft_status check_ranks(const weft_program *program, shard_check *c, weft_error *error)
{
    weft_status status = WEFT_OK;
    TRY(weft_allocate((size_t)program->stages, sizeof *c->stays, &c->stays, error));
    TRY(weft_allocate((size_t)program->stages, sizeof *c->tenants, &c->tenants, error));
    TRY(weft_allocate((size_t)program->stages, sizeof *c->collections, &c->collections, error));
    TRY(weft_allocate((size_t)program->stages, sizeof *c->emptied, &c->emptied, error));
    for (int32_t rank = 0; rank < program->ranks && status == WEFT_OK; rank++) {
        c->rank = rank;
        c->compute = find(program, rank, WEFT_PROGRAM_COMPUTE);
        c->gather = find(program, rank, WEFT_PROGRAM_GATHER);
        c->reduce = find(program, rank, WEFT_PROGRAM_REDUCE);
        c->gathered = c->reduced = c->before_gather = c->before_reduce = NULL;
        c->chains = NULL;
        status = check_rank(c, error);
        weft_free(c->gathered);
        weft_free(c->reduced);
        weft_free(c->before_gather);
        weft_free(c->before_reduce);
        weft_free(c->chains);
    }
    return status;
}

weft_status weft_verify_shard(const weft_program *program, weft_error *error)
{
    shard_check check = {.program = program};
    weft_status status = check_ranks(program, &check, error);
    weft_free(check.stays);
    weft_free(check.tenants);
    weft_free(check.collections);
    weft_free(check.emptied);
    return status;
}
