#include "schedule/kinds.h"

#include <stdio.h>
#include <string.h>

static const weft_action_info action_table[WEFT_ACTION_KINDS] = {
#define ACTION(name, lane, operands, effect) {#name, WEFT_LANE_##lane, WEFT_OPERANDS_##operands, effect},
#include "schedule/actions.def"
#undef ACTION
};

/* Actions are numbered with 32 bits in a program, and lowering adds messages: three for each compute action at most. */
#define ACTIONS_LIMIT ((int64_t)1 << 30)

const weft_action_info *weft_action_info_get(weft_action_kind kind)
{
    return &action_table[kind];
}

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
void weft_action_print(weft_action action, weft_text *out)
{
    const weft_action_info *info = &action_table[action.kind];
    if (info->operands != WEFT_OPERANDS_NONE) add_number(out, action.stage);
    weft_text_add_bytes(out, info->name, strlen(info->name));
    if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH) add_number(out, action.microbatch);
}

static weft_status find_kind(const char *name, const weft_schedule_kind **out, weft_error *error)
{
    if (!name) FAIL(error, WEFT_INVALID, "no schedule kind given");
    *out = weft_schedule_kind_find(name);
    if (*out) return WEFT_OK;
    const char *const *names = weft_schedule_kind_names();
    int count = 0;
    while (names[count]) count++;
    int nearest = weft_text_nearest(name, names, count);
    if (nearest >= 0) FAIL(error, WEFT_INVALID, "unknown schedule \"%s\"; did you mean %s?", name, names[nearest]);
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

static weft_status check_sizes(const weft_schedule_options *options, const weft_schedule_kind *kind, weft_error *error)
{
    const struct {
        const char *name;
        int32_t value;
    } sizes[] = {{"pipeline length", options->ranks},
                 {"number of loops", options->loops},
                 {"number of micro-batches", options->microbatches}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1)
            FAIL(error, WEFT_INVALID, "the %s is %d; it must be at least 1", sizes[i].name, (int)sizes[i].value);
    int64_t stages = (int64_t)options->ranks * options->loops;
    if (stages > WEFT_STAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "%d ranks x %d loops are more than %d stages", (int)options->ranks,
             (int)options->loops, WEFT_STAGES_LIMIT);
    if (stages * passes(kind) > ACTIONS_LIMIT / options->microbatches)
        FAIL(error, WEFT_INVALID, "%lld stages x %d micro-batches need more than %lld actions; take fewer of either",
             (long long)stages, (int)options->microbatches, (long long)ACTIONS_LIMIT);
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
    if (group < options->ranks || (group > options->microbatches && group > options->ranks))
        FAIL(error, WEFT_INVALID,
             "groups of %d micro-batches make no sense: from %d (the pipeline length, depth-first) to %d (all "
             "micro-batches, breadth-first)",
             (int)group, (int)options->ranks,
             (int)(options->microbatches > options->ranks ? options->microbatches : options->ranks));
    return WEFT_OK;
}

/* Where a rank holds one stage, or one rank holds all, all placements are the same. */
static weft_status choose_placement(const weft_schedule_options *options, const weft_schedule_kind *kind,
                                    weft_placement *out, weft_error *error)
{
    static const char *const names[WEFT_PLACEMENTS] = {"linear", "loop", "v"};
    int placement = (int)kind->placement;
    if (options->placement)
        for (placement = 0; placement < WEFT_PLACEMENTS; placement++)
            if (strcmp(options->placement, names[placement]) == 0) break;
    if (placement == WEFT_PLACEMENTS)
        FAIL(error, WEFT_INVALID, "unknown placement \"%s\"; the placements are linear, loop and v",
             options->placement);
    *out = options->ranks == 1 ? kind->placement : (weft_placement)placement;
    if (options->loops == 1 || options->ranks == 1) return WEFT_OK;
    if (kind->refuse[placement][0])
        FAIL(error, WEFT_INVALID, "%s with %d stages a rank does not go with placement %s: %s", kind->name,
             (int)options->loops, names[placement], kind->refuse[placement]);
    return WEFT_OK;
}

static weft_status allocate_arrays(weft_schedule *schedule, size_t actions, weft_error *error)
{
    TRY(weft_allocate((size_t)schedule->stages, sizeof *schedule->stage_rank, &schedule->stage_rank, error));
    TRY(weft_allocate((size_t)schedule->ranks + 1, sizeof *schedule->first, &schedule->first, error));
    return weft_allocate(actions, sizeof *schedule->actions, &schedule->actions, error);
}

/* order: sizes and placement. */
static weft_status fill(weft_schedule *schedule, const weft_schedule_kind *kind, weft_order *order, weft_error *error)
{
    order->actions = schedule->actions;
    for (order->rank = 0; order->rank < schedule->ranks; order->rank++) {
        for (int32_t local = 0; local < schedule->loops; local++)
            schedule->stage_rank[weft_order_stage(order, local)] = order->rank;
        schedule->first[order->rank] = order->count;
        if (kind->order) kind->order(order);
    }
    if (kind->whole) TRY(kind->whole(order, schedule->first, error));
    schedule->first[schedule->ranks] = order->count;
    return weft_schedule_note_order(schedule, error);
}

static weft_status create(const weft_schedule_options *options, const weft_schedule_kind *kind, weft_schedule **out,
                          weft_error *error)
{
    weft_order order = {.ranks = options->ranks, .loops = options->loops, .microbatches = options->microbatches};
    TRY(check_sizes(options, kind, error));
    if (kind->least && options->microbatches / kind->least < options->ranks)
        FAIL(error, WEFT_INVALID, "%s needs %d micro-batches for each of %d ranks, not %d in all; take more, or zb-v",
             kind->name, (int)kind->least, (int)options->ranks, (int)options->microbatches);
    TRY(choose_group(options, kind, &order.group, error));
    TRY(choose_placement(options, kind, &order.placement, error));
    weft_schedule *schedule = NULL;
    TRY(weft_allocate(1, sizeof *schedule, &schedule, error));
    schedule->ranks = options->ranks;
    schedule->loops = options->loops;
    schedule->stages = options->ranks * options->loops;
    schedule->microbatches = options->microbatches;
    snprintf(schedule->name, sizeof schedule->name, "%s", kind->name);
    size_t actions = (size_t)passes(kind) * (size_t)schedule->stages * (size_t)schedule->microbatches;
    weft_status status = allocate_arrays(schedule, actions, error);
    if (status == WEFT_OK) status = fill(schedule, kind, &order, error);
    if (status != WEFT_OK) {
        weft_schedule_destroy(schedule);
        return status;
    }
    *out = schedule;
    return WEFT_OK;
}

weft_status weft_schedule_create(const weft_schedule_options *options, weft_schedule **out, weft_error *error)
{
    const weft_schedule_kind *kind = NULL;
    weft_schedule_options complete = *options;
    *out = NULL;
    TRY(find_kind(options->kind, &kind, error));
    if (!complete.loops) complete.loops = kind->loops ? kind->loops : 1;
    if (kind->loops && complete.loops != kind->loops)
        FAIL(error, WEFT_INVALID, "%s has %d stages on each rank, not %d; take %d loops", kind->name, (int)kind->loops,
             (int)complete.loops, (int)kind->loops);
    return create(&complete, kind, out, error);
}

void weft_schedule_destroy(weft_schedule *schedule)
{
    if (!schedule) return;
    weft_free(schedule->stage_rank);
    weft_free(schedule->first);
    weft_free(schedule->actions);
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
