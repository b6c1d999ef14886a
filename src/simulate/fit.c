#include "simulate/fit.h"

#include "program/walk.h"

#include <stdlib.h>

/* Kinds of samples besides those of weft_action_kind; messages that an idle receiver got stand under SEND_F. */
enum { MESSAGE = WEFT_SEND_F, ANY_MESSAGE = WEFT_SEND_B, ALL_MESSAGES = WEFT_RECV_F };

typedef struct sample {
    uint32_t kind, stage;
    int32_t step; /* index of its timeline */
    double seconds;
} sample;

typedef struct samples {
    sample *rows;
    size_t count, capacity;
    int32_t step; /* whose timeline is read */
} samples;

static weft_status add(samples *all, uint32_t kind, uint32_t stage, double seconds, weft_error *error)
{
    TRY(weft_grow(&all->rows, &all->capacity, all->count + 1, sizeof *all->rows, error));
    all->rows[all->count++] = (sample){kind, stage, all->step, seconds > 0 ? seconds : 0};
    return WEFT_OK;
}

/* When all that node k of those reached waits for was done. */
static double ready(const weft_timeline *timeline, const weft_walk *walk, uint32_t k)
{
    const weft_program *program = timeline->program;
    double time = 0;
    for (int32_t n = 0; n < walk->member_count; n++) {
        uint32_t action = walk->members[n].first + k;
        if (action > program->lanes[walk->members[n].lane].first && timeline->end[action - 1] > time)
            time = timeline->end[action - 1];
        for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
            if (timeline->end[program->after[i]] > time) time = timeline->end[program->after[i]];
    }
    return time;
}

/* Whether the rank was in the middle of a compute action. */
static bool computes(const weft_timeline *timeline, int32_t rank, double time)
{
    const weft_lane *lane = &timeline->program->lanes[timeline->program->rank_lanes[rank]];
    uint32_t low = lane->first, high = lane->first + lane->count; /* the first that ends after it */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (timeline->end[middle] > time)
            high = middle;
        else
            low = middle + 1;
    }
    return low < lane->first + lane->count && timeline->begin[low] < time;
}

static weft_status add_message(const weft_timeline *timeline, const weft_walk *walk, uint32_t k, samples *all,
                               weft_error *error)
{
    const weft_program *program = timeline->program;
    uint32_t stage = program->actions[walk->members[0].first + k].stage;
    double end = timeline->end[walk->members[1].first + k], seconds = end - ready(timeline, walk, k);
    bool idle = !computes(timeline, program->lanes[walk->members[1].lane].rank, end);
    if (idle) TRY(add(all, MESSAGE, stage, seconds, error));
    TRY(add(all, ANY_MESSAGE, stage, seconds, error));
    return add(all, ALL_MESSAGES, 0, seconds, error);
}

static weft_status add_node(const weft_timeline *timeline, const weft_walk *walk, uint32_t k, samples *all,
                            weft_error *error)
{
    const weft_program *program = timeline->program;
    weft_action action = program->actions[walk->members[0].first + k];
    if (action.kind == WEFT_SEND_F || action.kind == WEFT_SEND_B) return add_message(timeline, walk, k, all, error);
    bool each = weft_action_info_get((weft_action_kind)action.kind)->operands != WEFT_OPERANDS_NONE;
    double begin = ready(timeline, walk, k);
    for (int32_t n = 0; n < walk->member_count; n++) {
        double seconds = timeline->end[walk->members[n].first + k] - begin;
        TRY(add(all, action.kind, each ? action.stage : 0, seconds, error));
    }
    return WEFT_OK;
}

static weft_status collect(const weft_timeline *timelines, int32_t count, samples *all, weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, timelines[0].program, -1, error));
    weft_status status = WEFT_OK;
    while (status == WEFT_OK && weft_walk_next(&walk))
        for (all->step = 0; all->step < count && status == WEFT_OK; all->step++)
            for (uint32_t k = 0; k < walk.nodes && status == WEFT_OK; k++)
                status = add_node(&timelines[all->step], &walk, k, all, error);
    if (status == WEFT_OK && walk.remaining) status = weft_walk_explain(&walk, error);
    weft_walk_fini(&walk);
    return status;
}

static int by_seconds(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static int by_place(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->stage != y->stage) return x->stage < y->stage ? -1 : 1;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return by_seconds(a, b);
}

/* One sample for all of one kind, stage and step: their mean. The rows are sorted by place. */
static void take_means(samples *all)
{
    size_t kept = 0;
    for (size_t first = 0, past; first < all->count; first = past) {
        sample mean = all->rows[first];
        for (past = first + 1; past < all->count; past++) {
            const sample *row = &all->rows[past];
            if (row->kind != mean.kind || row->stage != mean.stage || row->step != mean.step) break;
            mean.seconds += row->seconds;
        }
        mean.seconds /= (double)(past - first);
        all->rows[kept++] = mean;
    }
    all->count = kept;
}

/* table: (WEFT_ACTION_KINDS, S), -1 where there is no sample. */
static void take_medians(samples *all, int32_t stages, double *table)
{
    for (int64_t i = 0; i < (int64_t)WEFT_ACTION_KINDS * stages; i++) table[i] = -1;
    if (all->count) qsort(all->rows, all->count, sizeof *all->rows, by_place);
    take_means(all);
    for (size_t first = 0, past; first < all->count; first = past) {
        sample *rows = all->rows + first;
        for (past = first; past < all->count; past++)
            if (all->rows[past].kind != rows->kind || all->rows[past].stage != rows->stage) break;
        size_t count = past - first;
        qsort(rows, count, sizeof *rows, by_seconds);
        table[(size_t)rows->kind * (size_t)stages + rows->stage] =
            (rows[(count - 1) / 2].seconds + rows[count / 2].seconds) / 2;
    }
}

static double first_known(double a, double b, double c)
{
    if (a >= 0) return a;
    return b >= 0 ? b : c >= 0 ? c : 0;
}

static void fill(weft_fit *fit, int32_t stages, const double *table, const double *input_share)
{
    size_t S = (size_t)stages;
    double *forward = fit->values, *input = forward + S, *weight = forward + 2 * S, *update = forward + 3 * S,
           *messages = forward + 4 * S, *gathers = forward + 5 * S, *reductions = forward + 6 * S,
           *collectives = forward + 7 * S;
    for (size_t s = 0; s < S; s++) {
        double whole = table[WEFT_B * S + s], share = input_share ? input_share[s] : 0.5;
        bool split = table[WEFT_I * S + s] >= 0;
        forward[s] = first_known(table[WEFT_F * S + s], 0, 0);
        input[s] = first_known(table[WEFT_I * S + s], whole < 0 ? 0 : share * whole, 0);
        weight[s] = first_known(table[WEFT_W * S + s], split || whole < 0 ? 0 : whole - input[s], 0);
        update[s] = first_known(table[WEFT_UPDATE * S + s], 0, 0);
        gathers[s] = first_known(table[WEFT_UNSHARD * S + s], 0, 0);
        reductions[s] = first_known(table[WEFT_REDUCE_GRAD * S + s], 0, 0);
        messages[s] = first_known(table[MESSAGE * S + s], table[ANY_MESSAGE * S + s], table[ALL_MESSAGES * S]);
    }
    for (size_t kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        weft_action_lane lane = weft_action_info_get((weft_action_kind)kind)->lane;
        if (lane == WEFT_LANE_GATHER || lane == WEFT_LANE_REDUCE)
            collectives[kind] = first_known(table[kind * S], 0, 0);
    }
    fit->costs = (weft_costs){.forward = forward,
                              .backward_input = input,
                              .backward_weight = weight,
                              .update = update,
                              .message = first_known(table[ALL_MESSAGES * S], 0, 0),
                              .messages = messages,
                              .gathers = gathers,
                              .reductions = reductions,
                              .reduce = collectives[WEFT_NORM],
                              .collectives = collectives};
}

weft_status weft_fit_init(weft_fit *fit, const weft_timeline *timelines, int32_t count, const double *input_share,
                          weft_error *error)
{
    *fit = (weft_fit){0};
    int32_t stages = timelines[0].program->stages;
    samples all = {0};
    double *table = NULL;
    weft_status status =
        weft_allocate(7 * (size_t)stages + WEFT_ACTION_KINDS, sizeof *fit->values, &fit->values, error);
    if (status == WEFT_OK)
        status = weft_allocate((size_t)WEFT_ACTION_KINDS * (size_t)stages, sizeof *table, &table, error);
    if (status == WEFT_OK) status = collect(timelines, count, &all, error);
    if (status == WEFT_OK) {
        take_medians(&all, stages, table);
        fill(fit, stages, table, input_share);
    }
    weft_free(table);
    weft_free(all.rows);
    if (status != WEFT_OK) weft_fit_fini(fit);
    return status;
}

void weft_fit_fini(weft_fit *fit)
{
    weft_free(fit->values);
    *fit = (weft_fit){0};
}
