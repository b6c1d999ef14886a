#include "simulate/fit.h"

#include "base/median.h"
#include "simulate/measured.h"

#include <stdlib.h>

/* Messages of a stage stand under SEND_F, also those back; those of all stages under this kind. */
enum { ALL_MESSAGES = WEFT_RECV_F };

typedef struct sample {
    uint32_t kind, stage;
    int32_t step; /* index of its timeline */
    double seconds;
} sample;

typedef struct samples {
    sample *rows;
    size_t count, capacity;
    int32_t step;    /* whose timeline is read */
    double *seconds; /* (count) those of one kind and stage */
} samples;

static weft_status add(samples *all, uint32_t kind, uint32_t stage, double seconds, weft_error *error)
{
    TRY(weft_grow(&all->rows, &all->capacity, all->count + 1, sizeof *all->rows, error));
    all->rows[all->count++] = (sample){kind, stage, all->step, seconds};
    return WEFT_OK;
}

static weft_status add_node(const weft_timeline *timeline, const weft_walk *walk, uint32_t k, samples *all,
                            weft_error *error)
{
    weft_action action = timeline->program->actions[walk->members[0].first + k];
    double seconds = weft_measured_seconds(timeline, walk, k);
    bool each = weft_action_info_get((weft_action_kind)action.kind)->operands != WEFT_OPERANDS_NONE;
    if (action.kind != WEFT_SEND_F && action.kind != WEFT_SEND_B)
        return add(all, action.kind, each ? action.stage : 0, seconds, error);
    TRY(add(all, WEFT_SEND_F, action.stage, seconds, error));
    return add(all, ALL_MESSAGES, 0, seconds, error);
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
        for (size_t i = first; i < past; i++) all->seconds[i - first] = all->rows[i].seconds;
        table[(size_t)rows->kind * (size_t)stages + rows->stage] = weft_median(all->seconds, past - first);
    }
}

static double known(double a, double otherwise)
{
    return a >= 0 ? a : otherwise;
}

static void fill(weft_fit *fit, int32_t stages, const double *table, const double *input_share)
{
    size_t S = (size_t)stages;
    double *forward = fit->values, *input = forward + S, *weight = forward + 2 * S, *update = forward + 3 * S,
           *messages = forward + 4 * S, *gathers = forward + 5 * S, *reductions = forward + 6 * S,
           *backward = forward + 7 * S, *sums = forward + 8 * S, *collectives = forward + 9 * S;
    double message = known(table[ALL_MESSAGES * S], 0);
    for (size_t s = 0; s < S; s++) {
        double whole = table[WEFT_B * S + s], share = input_share ? input_share[s] : 0.5;
        bool split = table[WEFT_I * S + s] >= 0;
        forward[s] = known(table[WEFT_F * S + s], 0);
        input[s] = known(table[WEFT_I * S + s], whole < 0 ? 0 : share * whole);
        weight[s] = known(table[WEFT_W * S + s], split || whole < 0 ? 0 : whole - input[s]);
        backward[s] = known(whole, input[s] + weight[s]);
        update[s] = known(table[WEFT_UPDATE * S + s], 0);
        gathers[s] = known(table[WEFT_UNSHARD * S + s], 0);
        sums[s] = known(table[WEFT_REDUCE_TENSOR * S + s], 0);
        reductions[s] = known(table[WEFT_REDUCE_GRAD * S + s], 0);
        messages[s] = known(table[WEFT_SEND_F * S + s], message);
    }
    for (size_t kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        weft_action_lane lane = weft_action_info_get((weft_action_kind)kind)->lane;
        if (lane == WEFT_LANE_GATHER || lane == WEFT_LANE_REDUCE) collectives[kind] = known(table[kind * S], 0);
    }
    fit->costs = (weft_costs){.forward = forward,
                              .backward_input = input,
                              .backward_weight = weight,
                              .backward = backward,
                              .update = update,
                              .message = message,
                              .messages = messages,
                              .gathers = gathers,
                              .reductions = reductions,
                              .sums = sums,
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
        weft_allocate(9 * (size_t)stages + WEFT_ACTION_KINDS, sizeof *fit->values, &fit->values, error);
    if (status == WEFT_OK)
        status = weft_allocate((size_t)WEFT_ACTION_KINDS * (size_t)stages, sizeof *table, &table, error);
    if (status == WEFT_OK) status = collect(timelines, count, &all, error);
    if (status == WEFT_OK) status = weft_allocate(all.count, sizeof *all.seconds, &all.seconds, error);
    if (status == WEFT_OK) {
        take_medians(&all, stages, table);
        fill(fit, stages, table, input_share);
    }
    weft_free(table);
    weft_free(all.rows);
    weft_free(all.seconds);
    if (status != WEFT_OK) weft_fit_fini(fit);
    return status;
}

void weft_fit_fini(weft_fit *fit)
{
    weft_free(fit->values);
    *fit = (weft_fit){0};
}
