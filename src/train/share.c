#include "train/share.h"

#include "transport/reduce.h"

enum { UNITS = 5 }; /* of a stage at most: both shared weights, what is frozen, what is summed, the rest */

int32_t weft_share_norm_blocks(const weft_parameter *parameter)
{
    return (int32_t)((parameter->own + WEFT_NORM_BLOCK - 1) / WEFT_NORM_BLOCK);
}

static bool is_divided(const weft_job *job)
{
    return job->data > 1 && job->shard != WEFT_SHARD_NONE;
}

static bool is_shared_weight(const weft_job *job, int32_t p)
{
    return job->tied && (p == job->tied_embedding || p == job->tied_head);
}

int32_t weft_share_next(const weft_job *job, int32_t unit, int32_t p)
{
    const weft_job_stage *stage = &job->stages[job->units[unit].stage];
    for (p++; p < stage->parameter_first + stage->parameter_count; p++)
        if (job->unit_of[p] == unit) return p;
    return -1;
}

/* The first place at or behind `wanted` where a tensor or a block of one begins; the end of the unit if there is none.
 * Goes on from parameter *p, which is left where the next place, further on, is looked for; -1 at the end. */
static size_t cut_at(const weft_job *job, const weft_job_unit *unit, size_t wanted, int32_t *p)
{
    for (; *p >= 0; *p = weft_share_next(job, job->unit_of[unit->first], *p)) {
        size_t begin = job->offsets[*p], elements = (size_t)job->parameters[*p].own;
        if (begin >= wanted) return begin;
        size_t blocks = (wanted - begin + WEFT_NORM_BLOCK - 1) / WEFT_NORM_BLOCK;
        if (blocks * WEFT_NORM_BLOCK < elements) return begin + blocks * WEFT_NORM_BLOCK;
    }
    return unit->floats;
}

static weft_status cut(weft_job *job, weft_job_unit *unit, weft_error *error)
{
    TRY(weft_arena_take(&job->arena, (size_t)job->data + 1, sizeof *unit->cut, &unit->cut, error));
    int32_t p = unit->first;
    for (int32_t d = 1; d < job->data; d++)
        unit->cut[d] = cut_at(job, unit, unit->floats * (size_t)d / (size_t)job->data, &p);
    unit->cut[job->data] = unit->floats;
    return WEFT_OK;
}

/* The unit of the stage that p belongs to, a new one if it is the first of its kind. */
static int32_t find_unit(weft_job *job, int32_t s, int32_t p)
{
    bool summed = job->parameters[p].split == WEFT_SPLIT_SUMMED && !job->frozen[p];
    for (int32_t u = job->stage_units[s]; u < job->unit_count && !is_shared_weight(job, p); u++) {
        const weft_job_unit *unit = &job->units[u];
        if (is_shared_weight(job, unit->first)) continue;
        if (unit->frozen == job->frozen[p] && unit->summed == summed) return u;
    }
    int32_t number = job->unit_count++;
    job->units[number] =
        (weft_job_unit){.stage = s, .first = p, .weights = number, .frozen = job->frozen[p], .summed = summed};
    return number;
}

static void add_stage(weft_job *job, int32_t s)
{
    const weft_job_stage *stage = &job->stages[s];
    job->stage_units[s] = job->unit_count;
    for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++) {
        weft_job_unit *unit = &job->units[job->unit_of[p] = find_unit(job, s, p)];
        job->offsets[p] = unit->floats;
        unit->floats += weft_align((size_t)job->parameters[p].own, job->device->alignment / sizeof(float));
    }
}

/* Units are by stage, and stages of a rank need not follow each other. */
static weft_status group_by_rank(weft_job *job, weft_error *error)
{
    size_t ranks = (size_t)job->ranks, units = (size_t)job->unit_count;
    int32_t *next = NULL;
    TRY(weft_arena_take(&job->arena, ranks + 1, sizeof *job->rank_first, &job->rank_first, error));
    TRY(weft_arena_take(&job->arena, units, sizeof *job->rank_units, &job->rank_units, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *next, &next, error));
    for (int32_t u = 0; u < job->unit_count; u++) job->rank_first[job->stages[job->units[u].stage].rank + 1]++;
    for (int32_t r = 0; r < job->ranks; r++) next[r] = job->rank_first[r + 1] += job->rank_first[r];
    for (int32_t u = job->unit_count - 1; u >= 0; u--)
        job->rank_units[--next[job->stages[job->units[u].stage].rank]] = u;
    return WEFT_OK;
}

static weft_status measure_pages(weft_job *job, weft_error *error)
{
    TRY(weft_arena_take(&job->arena, (size_t)job->ranks, sizeof *job->held, &job->held, error));
    TRY(weft_arena_take(&job->arena, (size_t)job->ranks, sizeof *job->page_floats, &job->page_floats, error));
    for (int32_t s = 0; s < job->stage_count; s++) {
        int32_t rank = job->stages[s].rank;
        size_t floats = weft_share_stage_floats(job, s);
        job->held[rank]++;
        if (floats > job->page_floats[rank]) job->page_floats[rank] = floats;
    }
    return WEFT_OK;
}

weft_status weft_share_units(weft_job *job, weft_error *error)
{
    size_t stages = (size_t)job->stage_count, parameters = (size_t)job->parameter_count;
    TRY(weft_arena_take(&job->arena, UNITS * stages, sizeof *job->units, &job->units, error));
    TRY(weft_arena_take(&job->arena, stages + 1, sizeof *job->stage_units, &job->stage_units, error));
    TRY(weft_arena_take(&job->arena, parameters, sizeof *job->unit_of, &job->unit_of, error));
    TRY(weft_arena_take(&job->arena, parameters, sizeof *job->offsets, &job->offsets, error));
    for (int32_t s = 0; s < job->stage_count; s++) add_stage(job, s);
    job->stage_units[stages] = job->unit_count;
    if (job->tied_alias) job->units[job->unit_of[job->tied_head]].weights = job->unit_of[job->tied_embedding];
    for (int32_t u = 0; u < job->unit_count; u++) TRY(cut(job, &job->units[u], error));
    TRY(group_by_rank(job, error));
    return measure_pages(job, error);
}

size_t weft_share_begin(const weft_job *job, int32_t unit, int32_t data)
{
    return is_divided(job) ? job->units[unit].cut[data] : 0;
}

size_t weft_share_end(const weft_job *job, int32_t unit, int32_t data)
{
    return is_divided(job) ? job->units[unit].cut[data + 1] : job->units[unit].floats;
}

int64_t weft_share_clamp(weft_share share, int64_t value)
{
    return value < share.from ? share.from : value > share.to ? share.to : value;
}

weft_share weft_share_of(const weft_job *job, int32_t parameter, int32_t data)
{
    int32_t unit = job->unit_of[parameter];
    int64_t offset = (int64_t)job->offsets[parameter];
    weft_share all = {0, job->parameters[parameter].own};
    return (weft_share){weft_share_clamp(all, (int64_t)weft_share_begin(job, unit, data) - offset),
                        weft_share_clamp(all, (int64_t)weft_share_end(job, unit, data) - offset)};
}

bool weft_share_is_there(const weft_job *job, int32_t u)
{
    const weft_job_unit *unit = &job->units[u];
    if (!job->weight_pages) return unit->weights != u || unit->frozen;
    return unit->weights != u && job->units[unit->weights].stage == unit->stage; /* on the same page */
}

size_t weft_share_stage_floats(const weft_job *job, int32_t stage)
{
    size_t floats = 0;
    for (int32_t u = job->stage_units[stage]; u < job->stage_units[stage + 1]; u++) floats += job->units[u].floats;
    return floats;
}

int32_t weft_share_pages(const weft_job *job, int32_t rank, int32_t most)
{
    return most < job->held[rank] ? most : job->held[rank];
}

size_t weft_share_workspace(const weft_job *job)
{
    return job->data > 1 ? weft_reducer_workspace(job->data, job->device->sum_chunk, WEFT_FP32) : 0;
}

int32_t weft_share_holders(const weft_job *job)
{
    return job->tied && !job->tied_alias ? 2 : 1;
}

size_t weft_share_tied_workspace(const weft_job *job)
{
    return weft_reducer_workspace(weft_share_holders(job), job->device->sum_chunk, WEFT_FP32);
}

size_t weft_share_tensor_workspace(const weft_job *job, weft_element element)
{
    return job->tensor > 1 ? weft_reducer_workspace(job->tensor, job->device->sum_chunk, element) : 0;
}

weft_share weft_share_blocks(const weft_job *job, int32_t parameter, int32_t data, int32_t tensor)
{
    const weft_parameter *of = &job->parameters[parameter];
    weft_share share = weft_share_of(job, parameter, data);
    if (of->tied || job->frozen[parameter] || (!is_divided(job) && data > 0) ||
        (!weft_split_divides(of->split) && tensor > 0) || share.from == share.to)
        return (weft_share){0, 0};
    int64_t before = (int64_t)tensor * weft_share_norm_blocks(of);
    return (weft_share){before + share.from / WEFT_NORM_BLOCK,
                        before + (share.to + WEFT_NORM_BLOCK - 1) / WEFT_NORM_BLOCK};
}
