#include "train/world.h"

#include "train/share.h"

#include <stdio.h>

/* Axes of the world. */
enum { TENSOR, DATA, PIPELINE, AXES };

/* Fastest first. */
static const int orders[][AXES] = {
    [WEFT_CONFIG_TENSOR_DATA_PIPELINE] = {TENSOR, DATA, PIPELINE},
    [WEFT_CONFIG_TENSOR_PIPELINE_DATA] = {TENSOR, PIPELINE, DATA},
    [WEFT_CONFIG_DATA_TENSOR_PIPELINE] = {DATA, TENSOR, PIPELINE},
    [WEFT_CONFIG_DATA_PIPELINE_TENSOR] = {DATA, PIPELINE, TENSOR},
    [WEFT_CONFIG_PIPELINE_TENSOR_DATA] = {PIPELINE, TENSOR, DATA},
    [WEFT_CONFIG_PIPELINE_DATA_TENSOR] = {PIPELINE, DATA, TENSOR},
};

static int32_t axis_size(const weft_job *job, int axis)
{
    return axis == TENSOR ? job->tensor : axis == DATA ? job->data : job->ranks;
}

static int32_t *axis_of(weft_coordinates *at, int axis)
{
    return axis == TENSOR ? &at->tensor : axis == DATA ? &at->data : &at->rank;
}

int32_t weft_world_number(const weft_job *job, weft_coordinates at)
{
    const int *order = orders[job->config->parallel.order];
    int32_t number = 0;
    for (int i = AXES - 1; i >= 0; i--) number = number * axis_size(job, order[i]) + *axis_of(&at, order[i]);
    return number;
}

weft_coordinates weft_world_coordinates(const weft_job *job, int32_t number)
{
    const int *order = orders[job->config->parallel.order];
    weft_coordinates at = {0};
    for (int i = 0; i < AXES; i++) {
        *axis_of(&at, order[i]) = number % axis_size(job, order[i]);
        number /= axis_size(job, order[i]);
    }
    return at;
}

static const int axes[WEFT_WORLD_PURPOSES] = {
    [WEFT_WORLD_GATHER] = DATA,          [WEFT_WORLD_REDUCE] = DATA,       [WEFT_WORLD_TENSOR_GATHER] = TENSOR,
    [WEFT_WORLD_TENSOR_REDUCE] = TENSOR, [WEFT_WORLD_TENSOR_SUM] = TENSOR, [WEFT_WORLD_TIED] = PIPELINE};

/* How many each group of a purpose has. */
static int32_t count_members(const weft_job *job, int purpose)
{
    return purpose == WEFT_WORLD_TIED ? weft_share_holders(job) : axis_size(job, axes[purpose]);
}

/* Groups of a purpose: of one member none is needed. */
static int32_t count_groups(const weft_job *job, int purpose)
{
    return count_members(job, purpose) > 1 ? job->workers / axis_size(job, axes[purpose]) : 0;
}

int32_t weft_world_group(const weft_job *job, weft_world_purpose purpose, weft_coordinates at)
{
    int32_t first = WEFT_GROUP_ALL + 1, place = 0;
    for (int before = 0; before < (int)purpose; before++) first += count_groups(job, before);
    for (int axis = AXES - 1; axis >= 0; axis--)
        if (axis != axes[purpose]) place = place * axis_size(job, axis) + *axis_of(&at, axis);
    return first + place;
}

/* The coordinate of a member: of ranks that share a weight the lower one first. */
static int32_t place_on_axis(const weft_job *job, int purpose, int32_t member)
{
    if (purpose != WEFT_WORLD_TIED) return member;
    int32_t first = job->stages[0].rank, last = job->stages[job->stage_count - 1].rank;
    return (member == 0) == (first < last) ? first : last;
}

weft_status weft_world_members(const weft_job *job, weft_world_purpose purpose, weft_coordinates at, weft_arena *arena,
                               weft_group *out, weft_error *error)
{
    int32_t *members = NULL, count = count_members(job, purpose);
    TRY(weft_arena_take(arena, (size_t)count, sizeof *members, &members, error));
    for (int32_t i = 0; i < count; i++) {
        *axis_of(&at, axes[purpose]) = place_on_axis(job, purpose, i);
        members[i] = weft_world_number(job, at);
    }
    *out = (weft_group){.members = members, .count = count};
    return WEFT_OK;
}

/* The next of so many numbers of a list in words. */
static size_t list_next(char *out, size_t size, size_t used, int32_t place, int32_t count, int32_t number)
{
    const char *before = place == 0 ? "" : place + 1 == count ? " and " : ", ";
    return used < size ? used + (size_t)snprintf(out + used, size - used, "%s%d", before, number) : used;
}

void weft_world_describe(const weft_job *job, weft_world_purpose purpose, weft_coordinates at, char *out, size_t size)
{
    int32_t count = count_members(job, purpose), *own = axis_of(&at, axes[purpose]);
    bool pair = count == 2;
    size_t used = (size_t)snprintf(out, size, pair ? "with rank " : "of ranks ");
    if (pair) {
        *own = place_on_axis(job, purpose, *own == place_on_axis(job, purpose, 0));
        list_next(out, size, used, 0, 1, weft_world_number(job, at));
        return;
    }
    for (*own = 0; *own < count; ++*own) used = list_next(out, size, used, *own, count, weft_world_number(job, at));
}

void weft_world_describe_rank(const weft_job *job, int32_t rank, char *out, size_t size)
{
    int32_t count = job->data * job->tensor;
    size_t used = (size_t)snprintf(out, size, count == 1 ? "rank " : "one of the ranks ");
    for (int32_t i = 0; i < count; i++) {
        weft_coordinates at = {rank, i / job->tensor, i % job->tensor};
        used = list_next(out, size, used, i, count, weft_world_number(job, at));
    }
}

static weft_status form_all(const weft_job *job, weft_arena *arena, weft_group *out, weft_error *error)
{
    int32_t *members = NULL;
    TRY(weft_arena_take(arena, (size_t)job->workers, sizeof *members, &members, error));
    for (int32_t w = 0; w < job->workers; w++) members[w] = w;
    *out = (weft_group){.members = members, .count = job->workers};
    return WEFT_OK;
}

/* The first member of each group forms it. */
static weft_status form_purpose(const weft_job *job, weft_world_purpose purpose, weft_arena *arena, weft_group *groups,
                                weft_error *error)
{
    for (int32_t w = 0; w < job->workers && count_groups(job, purpose) > 0; w++) {
        weft_coordinates at = weft_world_coordinates(job, w);
        if (*axis_of(&at, axes[purpose]) == 0)
            TRY(weft_world_members(job, purpose, at, arena, &groups[weft_world_group(job, purpose, at)], error));
    }
    return WEFT_OK;
}

weft_status weft_world_groups(const weft_job *job, weft_arena *arena, const weft_group **out, int32_t *out_count,
                              weft_error *error)
{
    weft_group *groups = NULL;
    int32_t count = WEFT_GROUP_ALL + 1;
    for (int purpose = 0; purpose < WEFT_WORLD_PURPOSES; purpose++) count += count_groups(job, purpose);
    TRY(weft_arena_take(arena, (size_t)count, sizeof *groups, &groups, error));
    TRY(form_all(job, arena, &groups[WEFT_GROUP_ALL], error));
    for (int purpose = 0; purpose < WEFT_WORLD_PURPOSES; purpose++)
        TRY(form_purpose(job, (weft_world_purpose)purpose, arena, groups, error));
    *out = groups;
    *out_count = count;
    return WEFT_OK;
}
