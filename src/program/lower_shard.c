/* Gathers and reductions of sharded data parallelism: which stage is in which buffer, and what waits for what. */
#include "program/lower.h"
#include "program/paging.h"

#include <stdlib.h>
#include <string.h>

/* The stages of each rank. */
typedef struct holding {
    int32_t *place;   /* (S) of a stage among those of its rank */
    int32_t *first;   /* (P + 1) stages of the ranks before */
    int32_t *updates; /* (S) rank after rank, each in the order of its UPDATEs */
} holding;

/* The compute lane of one rank while its rows are made. */
typedef struct order {
    const weft_action *actions; /* (count) F, B, I, W */
    uint32_t count;
    const int32_t *place;   /* (S) */
    const int32_t *updates; /* (stages) */
    int32_t stages;         /* of this rank */
    int32_t *use;           /* (count) place of the stage of each use */
    bool *together;         /* (count) begins as one with the use before it */
    uint32_t *position;     /* (count) where on the compute lane */
} order;

/* Stays in positions of the compute lane. */
static weft_status plan_stays(order *o, bool (*counts)(weft_action), int32_t buffers, weft_paging_stay **out,
                              uint32_t *out_count, weft_error *error)
{
    uint32_t uses = 0;
    for (uint32_t i = 0; i < o->count; i++) {
        if (!counts(o->actions[i])) continue;
        o->use[uses] = o->place[o->actions[i].stage];
        o->together[uses] = o->actions[i].paired && uses > 0 && o->position[uses - 1] + 1 == i;
        o->position[uses++] = i;
    }
    TRY(weft_paging_plan(o->use, o->together, uses, o->stages, buffers > 0 ? buffers : o->stages, out, out_count,
                         error));
    for (uint32_t i = 0; i < *out_count; i++) {
        weft_paging_stay *stay = &(*out)[i];
        stay->first = o->position[stay->first];
        stay->stage = (int32_t)o->actions[stay->first].stage;
        stay->last = o->position[stay->last];
        if (stay->before >= 0) stay->before = o->position[stay->before];
        if (stay->then >= 0) stay->then = o->position[stay->then];
    }
    return WEFT_OK;
}

static weft_action stage_action(weft_action_kind kind, int32_t stage, int32_t buffer)
{
    return (weft_action){.kind = kind, .stage = (uint32_t)stage & 0xffffff, .microbatch = (uint32_t)buffer};
}

static int by_last(const void *left, const void *right)
{
    const weft_paging_stay *a = left, *b = right;
    return a->last < b->last ? -1 : a->last > b->last;
}

static void push(weft_shard_rows *rows, weft_action action, int64_t after, int64_t then, int64_t first)
{
    rows->rows[rows->count++] = (weft_shard_row){action, after, then, first};
}

/* Gathers begin as soon as a buffer is free, which is when the last use of what was there is done. */
static weft_status make_gathers(order *o, int32_t buffers, weft_shard_rows *out, weft_error *error)
{
    weft_paging_stay *stays = NULL;
    uint32_t count = 0;
    TRY(plan_stays(o, weft_action_is_pass, buffers, &stays, &count, error));
    weft_status status = weft_allocate(2 * (size_t)count, sizeof *out->rows, &out->rows, error);
    if (status == WEFT_OK) {
        for (uint32_t i = 0; i < count; i++) {
            if (stays[i].before >= 0)
                push(out, stage_action(WEFT_RESHARD, (int32_t)o->actions[stays[i].before].stage, stays[i].buffer),
                     stays[i].before, -1, -1);
            push(out, stage_action(WEFT_UNSHARD, stays[i].stage, stays[i].buffer), -1, stays[i].first, stays[i].first);
        }
        if (count) qsort(stays, count, sizeof *stays, by_last);
        for (uint32_t i = 0; i < count; i++)
            if (stays[i].then < 0)
                push(out, stage_action(WEFT_RESHARD, stays[i].stage, stays[i].buffer), stays[i].last, -1, -1);
    }
    weft_free(stays);
    return status;
}

/* Reductions follow right after the last backward pass that writes their buffer: over tensor-parallel workers, then
 * over data-parallel ones. */
static weft_status make_reductions(order *o, const weft_program *program, weft_shard_rows *out, weft_error *error)
{
    weft_paging_stay *stays = NULL;
    uint32_t count = 0;
    TRY(plan_stays(o, weft_action_makes_gradients, program->gradient_buffers, &stays, &count, error));
    weft_status status = weft_allocate(2 * (size_t)count, sizeof *out->rows, &out->rows, error);
    if (status == WEFT_OK && count) {
        qsort(stays, count, sizeof *stays, by_last);
        for (uint32_t i = 0; i < count; i++) {
            const weft_paging_stay *own = &stays[i];
            bool last = program->data <= 1;
            if (program->tensor > 1)
                push(out, stage_action(WEFT_REDUCE_TENSOR, own->stage, own->buffer), own->last, last ? own->then : -1,
                     own->first);
            if (!last)
                push(out, stage_action(WEFT_REDUCE_GRAD, own->stage, own->buffer), own->last, own->then, own->first);
        }
    }
    weft_free(stays);
    return status;
}

/* Whole weights that outlive the step are gathered again once they are new: after UPDATE, in its order of stages. */
static weft_status make_refreshes(const order *o, weft_shard_rows *out, weft_error *error)
{
    int64_t update = o->count; /* they follow the passes */
    TRY(weft_allocate((size_t)o->stages, sizeof *out->rows, &out->rows, error));
    for (int32_t i = 0; i < o->stages; i++) push(out, stage_action(WEFT_UNSHARD, o->updates[i], 0), update++, -1, -1);
    return WEFT_OK;
}

static weft_status make_rows(order *o, const weft_schedule *schedule, const weft_program *program, weft_shard_plan *out,
                             weft_error *error)
{
    bool train = !schedule->forward_only;
    if (program->shard == WEFT_SHARD_WEIGHTS)
        TRY(make_gathers(o, program->weight_buffers, &out->gather, error));
    else if (program->shard != WEFT_SHARD_NONE && o->updates)
        TRY(make_refreshes(o, &out->gather, error));
    return train ? make_reductions(o, program, &out->reduce, error) : WEFT_OK;
}

static bool is_own_pass(const weft_schedule *schedule, int32_t rank, weft_action action)
{
    return weft_action_is_pass(action) && (int32_t)action.stage < schedule->stages &&
           schedule->stage_rank[action.stage] == rank;
}

static weft_status plan_rank(const weft_schedule *schedule, const weft_program *program, const holding *held,
                             int32_t rank, weft_shard_plan *out, weft_error *error)
{
    size_t first = schedule->first[rank], count = schedule->first[rank + 1] - first, kept = 0;
    order o = {.place = held->place,
               .updates = held->updates ? held->updates + held->first[rank] : NULL,
               .stages = held->first[rank + 1] - held->first[rank]};
    weft_action *actions = NULL;
    weft_status status = weft_allocate(count, sizeof *actions, &actions, error);
    if (status == WEFT_OK) status = weft_allocate(count, sizeof *o.use, &o.use, error);
    if (status == WEFT_OK) status = weft_allocate(count, sizeof *o.together, &o.together, error);
    if (status == WEFT_OK) status = weft_allocate(count, sizeof *o.position, &o.position, error);
    if (status == WEFT_OK) {
        for (size_t i = 0; i < count; i++) {
            weft_action action = schedule->actions[first + i];
            if (is_own_pass(schedule, rank, action)) actions[kept++] = action;
        }
        o.actions = actions;
        o.count = (uint32_t)kept;
        status = make_rows(&o, schedule, program, out, error);
    }
    weft_free(actions);
    weft_free(o.use);
    weft_free(o.together);
    weft_free(o.position);
    return status;
}

static weft_status hold(const weft_schedule *schedule, const int32_t *updates, holding *out, weft_error *error)
{
    size_t stages = (size_t)schedule->stages, ranks = (size_t)schedule->ranks;
    TRY(weft_allocate(stages, sizeof *out->place, &out->place, error));
    TRY(weft_allocate(ranks + 1, sizeof *out->first, &out->first, error));
    for (size_t s = 0; s < stages; s++) out->place[s] = out->first[schedule->stage_rank[s] + 1]++;
    for (size_t r = 0; r < ranks; r++) out->first[r + 1] += out->first[r];
    if (!updates) return WEFT_OK;
    int32_t *next = NULL;
    TRY(weft_allocate(stages, sizeof *out->updates, &out->updates, error));
    TRY(weft_allocate(ranks, sizeof *next, &next, error));
    memcpy(next, out->first, ranks * sizeof *next);
    for (size_t i = 0; i < stages; i++) out->updates[next[schedule->stage_rank[updates[i]]]++] = updates[i];
    weft_free(next);
    return WEFT_OK;
}

weft_status weft_lower_shard_plans(const weft_schedule *schedule, const weft_program *program, const int32_t *updates,
                                   weft_shard_plan *out, weft_error *error)
{
    holding held = {0};
    for (int32_t rank = 0; rank < schedule->ranks; rank++) out[rank] = (weft_shard_plan){0};
    weft_status status = hold(schedule, updates, &held, error);
    for (int32_t rank = 0; rank < schedule->ranks && status == WEFT_OK; rank++)
        status = plan_rank(schedule, program, &held, rank, &out[rank], error);
    weft_free(held.place);
    weft_free(held.first);
    weft_free(held.updates);
    return status;
}

void weft_lower_shard_plan_fini(weft_shard_plan *plan)
{
    weft_free(plan->gather.rows);
    weft_free(plan->reduce.rows);
    *plan = (weft_shard_plan){0};
}
