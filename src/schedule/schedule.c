#include "schedule/kinds.h"

#include <stdio.h>
#include <string.h>

/* The words of actions.def. */
enum {
    FAMILY_COMPUTE = WEFT_LANE_COMPUTE,
    FAMILY_SEND_F = WEFT_LANE_MESSAGE,
    FAMILY_RECV_F = WEFT_LANE_MESSAGE,
    FAMILY_SEND_B = WEFT_LANE_MESSAGE,
    FAMILY_RECV_B = WEFT_LANE_MESSAGE,
    FAMILY_GATHER = WEFT_LANE_GATHER,
    FAMILY_REDUCE = WEFT_LANE_REDUCE,
};
enum {
    NOTHING = WEFT_DATA_NOTHING,
    INPUT = WEFT_DATA_INPUT,
    OUTPUT = WEFT_DATA_OUTPUT,
    STASH = WEFT_DATA_STASH,
    WORK = WEFT_DATA_WORK,
    GRADIENT = WEFT_DATA_GRADIENT,
    GRADIENT_OUT = WEFT_DATA_GRADIENT_OUT,
    WEIGHTS = WEFT_DATA_WEIGHTS,
    SHARES = WEFT_DATA_SHARES,
    GRADIENTS = WEFT_DATA_GRADIENTS,
    REDUCED = WEFT_DATA_REDUCED,
    SCALARS = WEFT_DATA_SCALARS,
    LOSSES = WEFT_DATA_LOSSES,
};

const weft_action_info weft_action_infos[WEFT_ACTION_KINDS] = {
#define ACTION(name, lane, place, operands, peer, programs, members, reads, writes, units, cost, cause, label, dark,   \
               light, effect)                                                                                          \
    {#name, (weft_action_lane)FAMILY_##lane, WEFT_OPERANDS_##operands, WEFT_MEMBERS_##members, reads, writes, effect},
#include "schedule/actions.def"
#undef ACTION
};

enum { DIGITS = 10 }; /* of 32 bits */

static void add_number(weft_text *out, uint32_t number)
{
    char digits[DIGITS];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    weft_text_add_bytes(out, digits + at, sizeof digits - at);
}

/* Without printf: schedules have millions of actions. */
static void print(weft_action action, const char *prefix, weft_text *out)
{
    const weft_action_info *info = &weft_action_infos[action.kind];
    if (info->operands != WEFT_OPERANDS_NONE) add_number(out, action.stage);
    weft_text_add_bytes(out, prefix, strlen(prefix));
    weft_text_add_bytes(out, info->name, strlen(info->name));
    if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH) add_number(out, action.microbatch);
}

void weft_action_print(weft_action action, weft_text *out)
{
    print(action, "", out);
}

void weft_wait_print(weft_action of, weft_text *out)
{
    print(of, "WAIT_", out);
}

bool weft_action_can_pair(weft_action first, weft_action second)
{
    weft_action forward = first.kind == WEFT_F ? first : second, backward = first.kind == WEFT_F ? second : first;
    return forward.kind == WEFT_F && (backward.kind == WEFT_B || backward.kind == WEFT_I) &&
           forward.microbatch != backward.microbatch;
}

static weft_status find_kind(const char *name, const weft_schedule_kind **out, weft_error *error)
{
    if (!name) FAIL(error, WEFT_INVALID, "no schedule kind given");
    *out = weft_schedule_kind_find(name);
    if (*out) return WEFT_OK;
    const char *const *names = weft_schedule_kind_names(), *hint = weft_schedule_kind_hint(name);
    int count = 0;
    while (names[count]) count++;
    int nearest = hint ? -1 : weft_text_nearest(name, names, count);
    if (nearest >= 0) hint = names[nearest];
    if (hint) FAIL(error, WEFT_INVALID, "unknown schedule \"%s\"; did you mean %s?", name, hint);
    weft_text list;
    weft_text_init(&list);
    for (int i = 0; i < count; i++) weft_text_add(&list, "%s%s", i ? ", " : "", names[i]);
    weft_status status =
        weft_fail(error, WEFT_INVALID, "unknown schedule \"%s\"; the kinds are %s", name, weft_text_get(&list));
    weft_text_fini(&list);
    return status;
}

/* Actions of a stage and micro-batch. */
static int64_t passes(const weft_schedule_kind *kind)
{
    return kind->split ? 3 : 2;
}

static weft_status check_sizes(const weft_schedule_options *options, const weft_schedule_kind *kind,
                               int32_t *out_stages, weft_error *error)
{
    const struct {
        const char *name;
        int32_t value, least;
    } sizes[] = {{"pipeline length", options->ranks, 1},
                 {"number of loops", options->loops, 0},
                 {"number of micro-batches", options->microbatches, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < sizes[i].least)
            FAIL(error, WEFT_INVALID, "the %s is %d; it must be at least 1", sizes[i].name, (int)sizes[i].value);
    TRY(weft_placement_stages(options, out_stages, error));
    if (*out_stages * passes(kind) > WEFT_PASSES_LIMIT / options->microbatches)
        FAIL(error, WEFT_INVALID, "%lld stages x %d micro-batches need more than %lld actions; take fewer of either",
             (long long)*out_stages, (int)options->microbatches, (long long)WEFT_PASSES_LIMIT);
    if (kind->loops && *out_stages != options->ranks * kind->loops)
        FAIL(error, WEFT_INVALID, "%s has %d stage%s on each rank; %d rank%s %lld, not %d", kind->name,
             (int)kind->loops, weft_text_plural(kind->loops), (int)options->ranks,
             options->ranks == 1 ? " has" : "s have", (long long)kind->loops * options->ranks, (int)*out_stages);
    if (kind->least && options->microbatches / kind->least < options->ranks)
        FAIL(error, WEFT_INVALID, "%s needs %d micro-batches for each of %d rank%s, not %d in all; take more, or zb-v",
             kind->name, (int)kind->least, (int)options->ranks, weft_text_plural(options->ranks),
             (int)options->microbatches);
    return WEFT_OK;
}

/* Groups smaller than P leave ranks idle in every group; larger than M they are all the same. */
static weft_status choose_group(const weft_schedule_options *options, const weft_schedule_kind *kind, int32_t *out,
                                weft_error *error)
{
    int32_t half = options->microbatches / 2, group = options->group;
    *out = group ? group : half > options->ranks ? half : options->ranks;
    if (!group) return WEFT_OK;
    if (!kind->grouped)
        FAIL(error, WEFT_INVALID, "%s has no groups to choose; leave the group size out, or take hybrid", kind->name);
    if (group == options->ranks || (group > options->ranks && group <= options->microbatches)) return WEFT_OK;
    if (options->microbatches <= options->ranks)
        FAIL(error, WEFT_INVALID,
             "groups of %d micro-batch%s make no sense: %d micro-batch%s over %d rank%s are one group; leave the size "
             "out",
             (int)group, group == 1 ? "" : "es", (int)options->microbatches, options->microbatches == 1 ? "" : "es",
             (int)options->ranks, weft_text_plural(options->ranks));
    FAIL(error, WEFT_INVALID,
         "groups of %d micro-batch%s make no sense: from %d (the pipeline length, depth-first) to %d (all "
         "micro-batches, breadth-first)",
         (int)group, group == 1 ? "" : "es", (int)options->ranks, (int)options->microbatches);
}

static weft_status allocate_arrays(weft_schedule *schedule, size_t actions, weft_error *error)
{
    TRY(weft_allocate((size_t)schedule->stages, sizeof *schedule->stage_rank, &schedule->stage_rank, error));
    TRY(weft_allocate((size_t)schedule->ranks + 1, sizeof *schedule->first, &schedule->first, error));
    return weft_allocate(actions, sizeof *schedule->actions, &schedule->actions, error);
}

/* Rows in the order of the numbers that ranks have in an order -> rows by rank. */
static weft_status sort_rows(weft_schedule *schedule, const int32_t *number, weft_error *error)
{
    size_t P = (size_t)schedule->ranks, *first = NULL, count = 0;
    weft_action *actions = NULL;
    weft_status status = weft_allocate(P + 1, sizeof *first, &first, error);
    if (status == WEFT_OK) status = weft_allocate(schedule->first[P], sizeof *actions, &actions, error);
    if (status != WEFT_OK) {
        weft_free(first);
        return status;
    }
    for (size_t r = 0; r < P; r++) {
        const size_t *row = &schedule->first[number[r]];
        first[r] = count;
        memcpy(actions + count, schedule->actions + row[0], (row[1] - row[0]) * sizeof *actions);
        count += row[1] - row[0];
    }
    first[P] = count;
    weft_free(schedule->first);
    weft_free(schedule->actions);
    schedule->first = first;
    schedule->actions = actions;
    return WEFT_OK;
}

static weft_status fill(weft_schedule *schedule, const weft_schedule_kind *kind, int32_t group,
                        const weft_places *places, weft_error *error)
{
    weft_order order = {.ranks = schedule->ranks,
                        .microbatches = schedule->microbatches,
                        .group = group,
                        .local = places->local,
                        .first = places->first,
                        .actions = schedule->actions};
    bool sorted = true;
    for (order.rank = 0; order.rank < schedule->ranks; order.rank++) {
        order.loops = places->first[order.rank + 1] - places->first[order.rank];
        schedule->first[order.rank] = order.count;
        if (kind->order) kind->order(&order);
        sorted = sorted && places->number[order.rank] == order.rank;
    }
    if (kind->whole) TRY(kind->whole(&order, schedule->first, error));
    schedule->first[schedule->ranks] = order.count;
    if (!sorted) TRY(sort_rows(schedule, places->number, error));
    return weft_schedule_note_order(schedule, error);
}

static weft_status create(const weft_schedule_options *options, const weft_schedule_kind *kind, weft_schedule *schedule,
                          weft_error *error)
{
    int32_t group = 0;
    TRY(check_sizes(options, kind, &schedule->stages, error));
    TRY(choose_group(options, kind, &group, error));
    schedule->ranks = options->ranks;
    schedule->loops = schedule->stages % options->ranks ? 0 : schedule->stages / options->ranks;
    schedule->microbatches = options->microbatches;
    snprintf(schedule->name, sizeof schedule->name, "%s", kind->name);
    size_t actions = (size_t)passes(kind) * (size_t)schedule->stages * (size_t)schedule->microbatches;
    TRY(allocate_arrays(schedule, actions, error));
    weft_places places;
    weft_status status = weft_places_init(&places, options, kind, schedule->stages, schedule->stage_rank, error);
    if (status == WEFT_OK) status = fill(schedule, kind, group, &places, error);
    weft_places_fini(&places);
    return status;
}

weft_status weft_schedule_create(const weft_schedule_options *options, weft_schedule **out, weft_error *error)
{
    const weft_schedule_kind *kind = NULL;
    weft_schedule_options complete = *options;
    weft_schedule *schedule = NULL;
    *out = NULL;
    TRY(find_kind(options->kind, &kind, error));
    if (!complete.loops && !weft_placement_is_list(options->placement)) complete.loops = kind->loops ? kind->loops : 1;
    TRY(weft_allocate(1, sizeof *schedule, &schedule, error));
    weft_status status = create(&complete, kind, schedule, error);
    if (status == WEFT_OK)
        *out = schedule;
    else
        weft_schedule_destroy(schedule);
    return status;
}

void weft_schedule_destroy(weft_schedule *schedule)
{
    if (!schedule) return;
    weft_free(schedule->stage_rank);
    weft_free(schedule->first);
    weft_free(schedule->actions);
    weft_free(schedule->waits);
    weft_free(schedule);
}

weft_status weft_schedule_note_order(weft_schedule *schedule, weft_error *error)
{
    uint32_t *next = NULL; /* (S) the lowest micro-batch that keeps the stage's order */
    TRY(weft_allocate((size_t)schedule->stages, sizeof *next, &next, error));
    schedule->ascending = true;
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++) {
        weft_action action = schedule->actions[i];
        if (action.kind != WEFT_B && action.kind != WEFT_W) continue;
        if (action.microbatch < next[action.stage]) schedule->ascending = false;
        next[action.stage] = action.microbatch + 1;
    }
    weft_free(next);
    return WEFT_OK;
}
