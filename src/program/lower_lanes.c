/* A schedule to lanes and actions. */
#include "program/lower.h"

#include <stdlib.h>
#include <string.h>

/* The message lanes of a stage's four kinds, -1 where a neighbour is on the same rank or absent. */
typedef struct stage_lanes {
    int32_t send_f, recv_f, send_b, recv_b;
} stage_lanes;

typedef struct lowering {
    weft_program *program;
    const weft_schedule *schedule;
    const weft_lower_options *options;
    stage_lanes *stages; /* (S) */
    bool update, norm, tied, metrics;
    int32_t *updates;       /* (S) the order of UPDATEs; NULL: there are none */
    weft_shard_plan *plans; /* (P) NULL where workers are alone on their ranks */
    bool count_only;        /* first pass: lanes[].count only; second pass: fill */
} lowering;

static int compare_lanes(const void *left, const void *right)
{
    const weft_lane *a = left, *b = right;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return a->peer < b->peer ? -1 : a->peer > b->peer;
}

static int32_t find_lane(const weft_program *program, weft_lane_kind kind, int32_t rank, int32_t peer)
{
    int32_t low = program->rank_lanes[rank], high = program->rank_lanes[rank + 1] - 1;
    weft_lane key = {.kind = kind, .rank = rank, .peer = peer};
    while (low <= high) {
        int32_t middle = low + (high - low) / 2, order = compare_lanes(&key, &program->lanes[middle]);
        if (order == 0) return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

/* Message lanes of every boundary between two ranks, with repetitions, and the compute and reduce lanes. */
static size_t list_lanes(const lowering *l, weft_lane *out)
{
    const weft_program *program = l->program;
    size_t count = 0;
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        bool member = rank == program->stage_rank[0] || rank == program->stage_rank[program->stages - 1];
        out[count++] = (weft_lane){.kind = WEFT_PROGRAM_COMPUTE, .rank = rank, .peer = -1, .match = -1};
        if (l->norm || l->metrics || (l->tied && member) || (l->plans && !program->forward_only))
            out[count++] = (weft_lane){.kind = WEFT_PROGRAM_REDUCE, .rank = rank, .peer = -1, .match = -1};
        if (l->plans && program->shard != WEFT_SHARD_NONE)
            out[count++] = (weft_lane){.kind = WEFT_PROGRAM_GATHER, .rank = rank, .peer = -1, .match = -1};
    }
    for (int32_t s = 0; s + 1 < program->stages; s++) {
        int32_t a = program->stage_rank[s], b = program->stage_rank[s + 1];
        if (a == b) continue;
        out[count++] = (weft_lane){.kind = WEFT_PROGRAM_SEND_F, .rank = a, .peer = b};
        out[count++] = (weft_lane){.kind = WEFT_PROGRAM_RECV_F, .rank = b, .peer = a};
        if (program->forward_only) continue;
        out[count++] = (weft_lane){.kind = WEFT_PROGRAM_SEND_B, .rank = b, .peer = a, .tag = 1};
        out[count++] = (weft_lane){.kind = WEFT_PROGRAM_RECV_B, .rank = a, .peer = b, .tag = 1};
    }
    return count;
}

/* The tag tells F from B: with sender and receiver it names the lane. */
static weft_status make_lanes(lowering *l, weft_error *error)
{
    weft_program *program = l->program;
    size_t limit = 3 * (size_t)program->ranks + 4 * (size_t)program->stages, kept = 0;
    TRY(weft_allocate(limit, sizeof *program->lanes, &program->lanes, error));
    TRY(weft_allocate((size_t)program->ranks + 1, sizeof(int32_t), &program->rank_lanes, error));
    size_t count = list_lanes(l, program->lanes);
    qsort(program->lanes, count, sizeof *program->lanes, compare_lanes);
    for (size_t i = 0; i < count; i++)
        if (!kept || compare_lanes(&program->lanes[kept - 1], &program->lanes[i]) != 0)
            program->lanes[kept++] = program->lanes[i];
    for (size_t i = 0; i < kept; i++) program->rank_lanes[program->lanes[i].rank + 1]++;
    for (int32_t rank = 0; rank < program->ranks; rank++) program->rank_lanes[rank + 1] += program->rank_lanes[rank];
    static const weft_lane_kind matching[] = {
        [WEFT_PROGRAM_SEND_F] = WEFT_PROGRAM_RECV_F,
        [WEFT_PROGRAM_RECV_F] = WEFT_PROGRAM_SEND_F,
        [WEFT_PROGRAM_SEND_B] = WEFT_PROGRAM_RECV_B,
        [WEFT_PROGRAM_RECV_B] = WEFT_PROGRAM_SEND_B,
    };
    for (size_t i = 0; i < kept; i++) {
        weft_lane *lane = &program->lanes[i];
        if (lane->peer >= 0) lane->match = find_lane(program, matching[lane->kind], lane->peer, lane->rank);
    }
    return WEFT_OK;
}

static weft_status make_stages(lowering *l, weft_error *error)
{
    const weft_program *program = l->program;
    TRY(weft_allocate((size_t)program->stages, sizeof *l->stages, &l->stages, error));
    for (int32_t s = 0; s < program->stages; s++) {
        int32_t own = program->stage_rank[s];
        int32_t before = s > 0 ? program->stage_rank[s - 1] : own;
        int32_t behind = s + 1 < program->stages ? program->stage_rank[s + 1] : own;
        l->stages[s] = (stage_lanes){
            .send_f = behind != own ? find_lane(program, WEFT_PROGRAM_SEND_F, own, behind) : -1,
            .recv_f = before != own ? find_lane(program, WEFT_PROGRAM_RECV_F, own, before) : -1,
            .send_b = before != own ? find_lane(program, WEFT_PROGRAM_SEND_B, own, before) : -1,
            .recv_b = behind != own ? find_lane(program, WEFT_PROGRAM_RECV_B, own, behind) : -1,
        };
    }
    return WEFT_OK;
}

static void put_action(lowering *l, int32_t lane, weft_action action)
{
    weft_lane *row = &l->program->lanes[lane];
    if (!l->count_only) l->program->actions[row->first + row->count] = action;
    row->count++;
}

static void put(lowering *l, int32_t lane, weft_action_kind kind, uint32_t stage, uint32_t microbatch)
{
    put_action(l, lane, (weft_action){.kind = kind, .stage = stage & 0xffffff, .microbatch = microbatch});
}

/* Both ends at once: the receiver's lane has the sender's order. */
static void put_compute(lowering *l, int32_t rank, weft_action action)
{
    uint32_t s = action.stage, m = action.microbatch;
    put_action(l, l->program->rank_lanes[rank], action);
    if (l->schedule->has_messages) return;
    int32_t send = -1;
    if (action.kind == WEFT_F && (send = l->stages[s].send_f) >= 0) {
        put(l, send, WEFT_SEND_F, s, m);
        put(l, l->program->lanes[send].match, WEFT_RECV_F, s + 1, m);
    }
    if ((action.kind == WEFT_B || action.kind == WEFT_I) && (send = l->stages[s].send_b) >= 0) {
        put(l, send, WEFT_SEND_B, s, m);
        put(l, l->program->lanes[send].match, WEFT_RECV_B, s - 1, m);
    }
}

static int32_t message_lane(const lowering *l, weft_action action)
{
    const stage_lanes *lanes = &l->stages[action.stage];
    switch ((weft_action_kind)action.kind) {
    case WEFT_SEND_F:
        return lanes->send_f;
    case WEFT_RECV_F:
        return lanes->recv_f;
    case WEFT_SEND_B:
        return lanes->send_b;
    default:
        return lanes->recv_b;
    }
}

static weft_status check_pair(const weft_schedule *schedule, int32_t rank, size_t i, weft_error *error)
{
    const weft_action *second = &schedule->actions[i];
    char name[WEFT_ACTION_TEXT];
    if (i > schedule->first[rank] && !second[-1].paired && weft_action_can_pair(second[-1], *second)) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "rank %d has %s as half of a pair that cannot overlap", rank,
         weft_action_text(*second, name));
}

static weft_status put_scheduled(lowering *l, int32_t rank, weft_action action, weft_error *error)
{
    const weft_program *program = l->program;
    if (action.kind >= WEFT_ACTION_KINDS) FAIL(error, WEFT_INVALID, "rank %d has an action of unknown kind", rank);
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    char name[WEFT_ACTION_TEXT];
    if (info->operands != WEFT_OPERANDS_NONE && (int32_t)action.stage >= program->stages)
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but there are %d stages", rank, weft_action_text(action, name),
             program->stages);
    if (info->operands == WEFT_OPERANDS_STAGE_BUFFER)
        return WEFT_OK; /* weft's own come from the order of the passes; at a data-parallel width of one there are none
                         */
    bool message = info->lane == WEFT_LANE_MESSAGE;
    if (info->operands != WEFT_OPERANDS_STAGE_MICROBATCH || (message && !l->schedule->has_messages))
        FAIL(error, WEFT_INVALID, "rank %d has %s, which is not an action of a schedule", rank,
             weft_action_text(action, name));
    if (action.microbatch >= (uint32_t)program->microbatches)
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but there are %d micro-batches", rank,
             weft_action_text(action, name), program->microbatches);
    if (program->stage_rank[action.stage] != rank)
        FAIL(error, WEFT_INVALID, "rank %d runs %s, but stage %u is on rank %d", rank, weft_action_text(action, name),
             (unsigned)action.stage, program->stage_rank[action.stage]);
    if (!message) {
        put_compute(l, rank, action);
        return WEFT_OK;
    }
    int32_t lane = message_lane(l, action);
    if (lane < 0)
        FAIL(error, WEFT_INVALID, "rank %d has %s, but no other rank is there to exchange with", rank,
             weft_action_text(action, name));
    put(l, lane, (weft_action_kind)action.kind, action.stage, action.microbatch);
    return WEFT_OK;
}

static void put_rows(lowering *l, int32_t rank, weft_lane_kind kind, const weft_shard_rows *rows)
{
    if (!rows->count) return;
    int32_t lane = find_lane(l->program, kind, rank, -1);
    for (uint32_t i = 0; i < rows->count; i++)
        put(l, lane, (weft_action_kind)rows->rows[i].action.kind, rows->rows[i].action.stage,
            rows->rows[i].action.microbatch);
}

/* Rows come first on their lanes. */
static weft_status add_edges(const lowering *l, int32_t rank, weft_lane_kind kind, const weft_shard_rows *rows,
                             weft_edges *edges, weft_error *error)
{
    if (!rows->count) return WEFT_OK;
    const weft_program *program = l->program;
    uint32_t own = program->lanes[find_lane(program, kind, rank, -1)].first;
    uint32_t compute = program->lanes[program->rank_lanes[rank]].first;
    for (uint32_t i = 0; i < rows->count; i++) {
        const weft_shard_row *row = &rows->rows[i];
        if (row->after >= 0) TRY(weft_edges_add(edges, compute + (uint32_t)row->after, own + i, error));
        if (row->then >= 0) TRY(weft_edges_add(edges, own + i, compute + (uint32_t)row->then, error));
    }
    return WEFT_OK;
}

/* The end of the step, after the schedule's own actions. */
static void put_end(lowering *l)
{
    const weft_program *program = l->program;
    for (int32_t i = 0; i < program->stages && l->update; i++)
        put(l, program->rank_lanes[program->stage_rank[l->updates[i]]], WEFT_UPDATE, (uint32_t)l->updates[i], 0);
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        if (l->plans) put_rows(l, rank, WEFT_PROGRAM_REDUCE, &l->plans[rank].reduce);
        if (l->plans) put_rows(l, rank, WEFT_PROGRAM_GATHER, &l->plans[rank].gather);
        int32_t lane = find_lane(program, WEFT_PROGRAM_REDUCE, rank, -1);
        bool member = rank == program->stage_rank[0] || rank == program->stage_rank[program->stages - 1];
        if (l->tied && member) put(l, lane, WEFT_REDUCE_TIED, 0, 0);
        if (l->norm) put(l, lane, WEFT_NORM, 0, 0);
        if (l->metrics) put(l, lane, WEFT_METRICS, 0, 0);
    }
}

static weft_status pass(lowering *l, bool count_only, weft_error *error)
{
    const weft_schedule *schedule = l->schedule;
    l->count_only = count_only;
    for (int32_t lane = 0; lane < l->program->rank_lanes[l->program->ranks]; lane++) l->program->lanes[lane].count = 0;
    for (int32_t rank = 0; rank < schedule->ranks; rank++)
        for (size_t i = schedule->first[rank]; i < schedule->first[rank + 1]; i++) {
            if (schedule->actions[i].paired) TRY(check_pair(schedule, rank, i, error));
            TRY(put_scheduled(l, rank, schedule->actions[i], error));
        }
    put_end(l);
    return WEFT_OK;
}

static weft_status check_shard(const weft_lower_options *options, weft_error *error)
{
    if ((unsigned)options->shard >= WEFT_SHARDS || options->data < 0 || options->tensor < 0 ||
        options->weight_buffers < 0 || options->gradient_buffers < 0)
        FAIL(error, WEFT_INVALID,
             "the widths of data and tensor parallelism and the numbers of buffers must be 0 or more");
    if (options->gradient_buffers > 0 && options->shard < WEFT_SHARD_GRADIENTS)
        FAIL(error, WEFT_INVALID, "few gradient buffers need gradients that are sharded");
    return WEFT_OK;
}

/* Of pages that an action can name. */
static weft_status check_pages(const weft_program *program, weft_error *error)
{
    int32_t most =
        program->weight_buffers > program->gradient_buffers ? program->weight_buffers : program->gradient_buffers;
    bool whole = !program->weight_buffers || !program->gradient_buffers; /* one a stage */
    if (whole || most > program->stages) most = program->stages;
    if (weft_program_has_pages(program) && most > WEFT_PAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "a rank has more than %d buffers of weights or gradients", WEFT_PAGES_LIMIT);
    return WEFT_OK;
}

static weft_status check_shape(const weft_schedule *schedule, const weft_lower_options *options, weft_error *error)
{
    if (schedule->ranks < 1 || schedule->stages < 1 || schedule->microbatches < 1)
        FAIL(error, WEFT_INVALID, "ranks, stages and micro-batches must be 1 or more");
    if (schedule->stages > WEFT_STAGES_LIMIT || schedule->microbatches > WEFT_MICROBATCHES_LIMIT ||
        schedule->ranks > WEFT_STAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "more than %d ranks or stages, or %d micro-batches", WEFT_STAGES_LIMIT,
             WEFT_MICROBATCHES_LIMIT);
    /* Each scheduled action makes at most two messages, with sharding two gathers, and two reductions; the rest is at
     * most two a stage and three a rank. */
    uint64_t most = (options->data > 1 || options->tensor > 1 ? 7 : 3) * (uint64_t)schedule->first[schedule->ranks] +
                    2 * (uint64_t)schedule->stages + 3 * (uint64_t)schedule->ranks;
    if (schedule->first[schedule->ranks] > UINT32_MAX || most > UINT32_MAX - 2)
        FAIL(error, WEFT_INVALID, "the program has more than %u actions", UINT32_MAX - 2);
    for (int32_t s = 0; s < schedule->stages; s++)
        if (schedule->stage_rank[s] < 0 || schedule->stage_rank[s] >= schedule->ranks)
            FAIL(error, WEFT_INVALID, "stage %d is on rank %d, but there are %d ranks", s, schedule->stage_rank[s],
                 schedule->ranks);
    return WEFT_OK;
}

/* A stage and when its gradients are complete. */
typedef struct completion {
    int32_t stage;
    bool tied;   /* after REDUCE_TIED */
    size_t last; /* action of the schedule that writes them */
} completion;

static int by_completion(const void *left, const void *right)
{
    const completion *a = left, *b = right;
    if (a->tied != b->tied) return a->tied ? 1 : -1;
    if (a->last != b->last) return a->last < b->last ? -1 : 1;
    return a->stage < b->stage ? -1 : a->stage > b->stage;
}

/* On each rank the UPDATE whose gradients are complete first is first: without clipping none waits behind one that
 * cannot begin yet. */
static weft_status order_updates(lowering *l, weft_error *error)
{
    const weft_schedule *schedule = l->schedule;
    size_t stages = (size_t)schedule->stages;
    completion *rows = NULL;
    if (!l->update) return WEFT_OK;
    TRY(weft_allocate(stages, sizeof *l->updates, &l->updates, error));
    TRY(weft_allocate(stages, sizeof *rows, &rows, error));
    for (size_t s = 0; s < stages; s++)
        rows[s] = (completion){.stage = (int32_t)s, .tied = l->tied && (s == 0 || s == stages - 1)};
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++) {
        weft_action action = schedule->actions[i];
        if (weft_action_makes_gradients(action) && action.stage < stages) rows[action.stage].last = i;
    }
    qsort(rows, stages, sizeof *rows, by_completion);
    for (size_t i = 0; i < stages; i++) l->updates[i] = rows[i].stage;
    weft_free(rows);
    return WEFT_OK;
}

static weft_status make_plans(lowering *l, weft_error *error)
{
    if (!weft_program_reduces(l->program)) return WEFT_OK;
    TRY(weft_allocate((size_t)l->program->ranks, sizeof *l->plans, &l->plans, error));
    return weft_lower_shard_plans(l->schedule, l->program, l->updates, l->plans, error);
}

static weft_status build(lowering *l, weft_edges *edges, weft_error *error)
{
    weft_program *program = l->program;
    TRY(order_updates(l, error));
    TRY(make_plans(l, error));
    TRY(make_lanes(l, error));
    TRY(make_stages(l, error));
    TRY(pass(l, true, error));
    for (int32_t lane = 0; lane < program->rank_lanes[program->ranks]; lane++) {
        program->lanes[lane].first = program->action_count;
        program->action_count += program->lanes[lane].count;
    }
    TRY(weft_allocate(program->action_count, sizeof *program->actions, &program->actions, error));
    TRY(pass(l, false, error));
    TRY(weft_lower_effects(program, l->plans, error));
    for (int32_t rank = 0; l->plans && rank < program->ranks; rank++) {
        TRY(add_edges(l, rank, WEFT_PROGRAM_REDUCE, &l->plans[rank].reduce, edges, error));
        TRY(add_edges(l, rank, WEFT_PROGRAM_GATHER, &l->plans[rank].gather, edges, error));
    }
    return WEFT_OK;
}

static weft_status take_exchanges(weft_program *program, const weft_exchanges *exchanges, weft_error *error)
{
    size_t count = WEFT_PASS_KINDS * (size_t)program->stages;
    if (!exchanges || program->tensor <= 1) return WEFT_OK;
    TRY(weft_allocate(count, sizeof *program->exchanges, &program->exchanges, error));
    memcpy(program->exchanges, exchanges, count * sizeof *exchanges);
    return WEFT_OK;
}

weft_status weft_lower_lanes(weft_program *program, const weft_schedule *schedule, const weft_lower_options *options,
                             weft_edges *edges, weft_error *error)
{
    TRY(check_shape(schedule, options, error));
    TRY(check_shard(options, error));
    bool train = !schedule->forward_only;
    lowering l = {.program = program,
                  .schedule = schedule,
                  .options = options,
                  .update = train && options->update,
                  .norm = train && (options->norm || options->clip || options->skip),
                  .tied = train && options->tied,
                  .metrics = options->metrics || (train && options->skip)};
    program->ranks = schedule->ranks;
    program->stages = schedule->stages;
    program->microbatches = schedule->microbatches;
    program->forward_only = schedule->forward_only;
    program->clip = train && options->clip;
    program->skip = train && options->skip;
    program->data = options->data > 1 ? options->data : 1;
    program->tensor = options->tensor > 1 ? options->tensor : 1;
    program->shard = options->data > 1 ? options->shard : WEFT_SHARD_NONE;
    program->weight_buffers = options->data > 1 ? options->weight_buffers : 0;
    program->gradient_buffers = options->data > 1 ? options->gradient_buffers : 0;
    TRY(check_pages(program, error));
    TRY(weft_allocate((size_t)program->stages, sizeof(int32_t), &program->stage_rank, error));
    for (int32_t s = 0; s < program->stages; s++) program->stage_rank[s] = schedule->stage_rank[s];
    TRY(take_exchanges(program, options->exchanges, error));
    weft_status status = build(&l, edges, error);
    for (int32_t rank = 0; l.plans && rank < program->ranks; rank++) weft_lower_shard_plan_fini(&l.plans[rank]);
    weft_free(l.plans);
    weft_free(l.updates);
    weft_free(l.stages);
    return status;
}
