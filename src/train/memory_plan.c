#include "train/memory_plan.h"

#include "train/staging.h"

/* Whose memory is counted. */
typedef struct owner {
    const weft_job *job;
    weft_coordinates at;
    bool trains;
    size_t element; /* bytes */
} owner;

#define ABSENT SIZE_MAX /* the worker has no such row */

static size_t share_floats(const owner *it, int32_t u)
{
    return weft_share_end(it->job, u, it->at.data) - weft_share_begin(it->job, u, it->at.data);
}

static bool trains(const owner *it, int32_t u)
{
    return it->trains && !it->job->units[u].frozen;
}

static bool has_weights(const owner *it, int32_t u)
{
    return it->job->units[u].weights == u;
}

static size_t gradient(const owner *it, int32_t u)
{
    return trains(it, u) && !it->job->gradient_pages ? it->job->units[u].floats * sizeof(float) : ABSENT;
}

static size_t reduced(const owner *it, int32_t u)
{
    return trains(it, u) && it->job->gradient_pages ? share_floats(it, u) * sizeof(float) : ABSENT;
}

static size_t storage(const owner *it, int32_t u)
{
    bool whole = it->job->shard != WEFT_SHARD_WEIGHTS;
    return has_weights(it, u) ? (whole ? it->job->units[u].floats : share_floats(it, u)) * it->element : ABSENT;
}

static size_t master(const owner *it, int32_t u)
{
    bool rounds = it->job->options.element != WEFT_FP32;
    return has_weights(it, u) && rounds ? share_floats(it, u) * sizeof(float) : ABSENT;
}

static size_t moment(const owner *it, int32_t u)
{
    return has_weights(it, u) && trains(it, u) ? share_floats(it, u) * sizeof(float) : ABSENT;
}

static size_t pages(const owner *it, int32_t most, size_t element)
{
    size_t count = (size_t)weft_share_pages(it->job, it->at.rank, most);
    return count ? count * it->job->page_floats[it->at.rank] * element : ABSENT;
}

static size_t weight_pages(const owner *it, int32_t u)
{
    (void)u;
    return pages(it, it->job->weight_pages, it->element);
}

static size_t gradient_pages(const owner *it, int32_t u)
{
    (void)u;
    return !it->trains ? ABSENT : pages(it, it->job->gradient_pages, sizeof(float));
}

static size_t reduce_space(const owner *it, int32_t u)
{
    (void)u;
    return !it->trains || it->job->data == 1 ? ABSENT : weft_share_workspace(it->job);
}

static size_t tensor_sum_space(const owner *it, int32_t u)
{
    (void)u;
    return !it->trains || it->job->tensor == 1 ? ABSENT : weft_share_tensor_workspace(it->job, WEFT_FP32);
}

static size_t exchange_space(const owner *it, int32_t u)
{
    (void)u;
    return it->job->tensor == 1 ? ABSENT : weft_share_tensor_workspace(it->job, it->job->options.element);
}

static size_t slot_messages(const owner *it, int32_t u)
{
    (void)u;
    return it->job->slot_messages[it->at.rank];
}

static size_t slots(const owner *it, int32_t u)
{
    return it->job->slots[it->at.rank] - slot_messages(it, u);
}

static size_t scratch(const owner *it, int32_t u)
{
    (void)u;
    return it->job->scratch[it->at.rank];
}

static size_t angles(const owner *it, int32_t u)
{
    (void)u;
    size_t bytes = weft_stage_angle_bytes(&it->job->stages[0].train);
    return bytes ? bytes : ABSENT;
}

static size_t tied_space(const owner *it, int32_t u)
{
    (void)u;
    const weft_job *job = it->job;
    bool holds = it->at.rank == job->stages[0].rank || it->at.rank == job->stages[job->stage_count - 1].rank;
    return it->trains && weft_share_holders(job) > 1 && holds ? weft_share_tied_workspace(job) : ABSENT;
}

static size_t batch(const owner *it, int32_t u)
{
    (void)u;
    const weft_config *config = it->job->config;
    return (size_t)(config->batch.microbatches * config->batch.sequences * config->batch.tokens) * sizeof(int32_t);
}

static size_t documents(const owner *it, int32_t u)
{
    return it->job->config->data.documents == WEFT_CONFIG_DOCUMENTS_NONE ? ABSENT : batch(it, u);
}

static size_t positions(const owner *it, int32_t u)
{
    return it->job->config->data.documents == WEFT_CONFIG_DOCUMENTS_RESET ? batch(it, u) : ABSENT;
}

static size_t losses(const owner *it, int32_t u)
{
    (void)u;
    return (size_t)(it->job->config->batch.microbatches * it->job->losses) * sizeof(float);
}

static size_t batch_losses(const owner *it, int32_t u)
{
    return (size_t)it->job->data * losses(it, u);
}

static size_t gathered_losses(const owner *it, int32_t u)
{
    return it->job->device->host_reaches ? ABSENT : batch_losses(it, u);
}

static size_t scalars(const owner *it, int32_t u)
{
    (void)it;
    (void)u;
    return sizeof(weft_step_scalars);
}

static size_t norm_sums(const owner *it, int32_t u)
{
    (void)u;
    return (size_t)it->job->block_first[it->job->parameter_count] * sizeof(double);
}

static size_t norm_index(const owner *it, int32_t u)
{
    (void)u;
    if (it->job->workers == 1) return ABSENT;
    return (size_t)it->job->block_first[it->job->parameter_count] * sizeof(int32_t);
}

static size_t logits(const owner *it, int32_t u)
{
    (void)u;
    const weft_config *config = it->job->config;
    int64_t rows = config->batch.sequences, vocabulary = 0;
    bool last = it->at.rank == it->job->stages[it->job->stage_count - 1].rank;
    (void)weft_slice_vocabulary(&config->model, (weft_slice){it->at.tensor, it->job->tensor}, &vocabulary);
    if (it->job->use == WEFT_JOB_SHOWS && last) rows *= config->batch.microbatches * config->batch.tokens;
    bool there = it->job->use == WEFT_JOB_SAMPLES || (it->job->use == WEFT_JOB_SHOWS && last);
    return there ? (size_t)(rows * vocabulary) * it->element : ABSENT;
}

static size_t cache(const owner *it, int32_t u)
{
    (void)u;
    weft_stage_shape shape = weft_job_step_shape(it->job, WEFT_JOB_STEP_ROWS);
    return it->job->use == WEFT_JOB_SAMPLES ? weft_stage_cache_bytes(&shape) : ABSENT;
}

static size_t step_space(const owner *it, int32_t u)
{
    (void)u;
    size_t most = 0;
    for (int64_t rows = 1; rows <= WEFT_JOB_STEP_ROWS; rows += WEFT_JOB_STEP_ROWS - 1) {
        weft_stage_shape shape = weft_job_step_shape(it->job, rows);
        weft_stage_bytes need = weft_stage_memory(&shape);
        size_t bytes = weft_align(need.stash, it->job->device->alignment) + need.workspace;
        if (bytes > most) most = bytes;
    }
    return it->job->use == WEFT_JOB_SAMPLES ? most : ABSENT;
}

static size_t step_positions(const owner *it, int32_t u)
{
    (void)u;
    size_t tokens = (size_t)it->job->config->batch.tokens;
    return it->job->use == WEFT_JOB_SAMPLES ? tokens * sizeof(int32_t) : ABSENT;
}

static size_t staging(const owner *it, int32_t u)
{
    (void)u;
    return it->job->device->host_reaches ? ABSENT : WEFT_STAGING_BYTES;
}

#define ON_DEVICE(category, bytes) WEFT_CATEGORY_##category, WEFT_MEMORY_DEVICE, WEFT_ROWS, bytes
#define ON_HOST(twin, bytes) WEFT_CATEGORY_WORKSPACE, WEFT_MEMORY_PINNED, twin, bytes

/* In this order they lie in their blocks; a twin comes before the pinned rows that may be the same. */
static const struct row_kind {
    const char *name;
    weft_memory_category category;
    weft_memory_kind space;
    weft_row twin; /* of a pinned row: what it is where the host reaches device memory; WEFT_ROWS: nothing else */
    size_t (*bytes)(const owner *it, int32_t unit);
} kinds[WEFT_ROWS] = {
    [WEFT_ROW_GRADIENT] = {"gradient", ON_DEVICE(GRADIENTS, gradient)},
    [WEFT_ROW_REDUCED] = {"reduced gradient", ON_DEVICE(GRADIENTS, reduced)},
    [WEFT_ROW_STORAGE] = {"storage", ON_DEVICE(WEIGHTS, storage)},
    [WEFT_ROW_MASTER] = {"master", ON_DEVICE(WEIGHTS, master)},
    [WEFT_ROW_MOMENT1] = {"first moment", ON_DEVICE(OPTIMIZER, moment)},
    [WEFT_ROW_MOMENT2] = {"second moment", ON_DEVICE(OPTIMIZER, moment)},
    [WEFT_ROW_WEIGHT_PAGES] = {"weight pages", ON_DEVICE(WEIGHTS, weight_pages)},
    [WEFT_ROW_GRADIENT_PAGES] = {"gradient pages", ON_DEVICE(GRADIENTS, gradient_pages)},
    [WEFT_ROW_REDUCE_SPACE] = {"sums over data", ON_DEVICE(WORKSPACE, reduce_space)},
    [WEFT_ROW_TENSOR_SUM_SPACE] = {"sums over tensor", ON_DEVICE(WORKSPACE, tensor_sum_space)},
    [WEFT_ROW_EXCHANGE_SPACE] = {"exchanges", ON_DEVICE(WORKSPACE, exchange_space)},
    [WEFT_ROW_SLOTS] = {"slots", ON_DEVICE(ACTIVATIONS, slots)},
    [WEFT_ROW_SLOTS_MORE] = {"slots of messages", ON_DEVICE(MESSAGES, slot_messages)},
    [WEFT_ROW_SCRATCH] = {"scratch", ON_DEVICE(WORKSPACE, scratch)},
    [WEFT_ROW_ANGLES] = {"angles", ON_DEVICE(WORKSPACE, angles)},
    [WEFT_ROW_TIED_SPACE] = {"sums of the shared weight", ON_DEVICE(WORKSPACE, tied_space)},
    [WEFT_ROW_TOKENS] = {"tokens", ON_DEVICE(WORKSPACE, batch)},
    [WEFT_ROW_TARGETS] = {"targets", ON_DEVICE(WORKSPACE, batch)},
    [WEFT_ROW_DOCUMENTS] = {"documents", ON_DEVICE(WORKSPACE, documents)},
    [WEFT_ROW_POSITIONS] = {"positions", ON_DEVICE(WORKSPACE, positions)},
    [WEFT_ROW_LOSSES] = {"losses", ON_DEVICE(WORKSPACE, losses)},
    [WEFT_ROW_BATCH_LOSSES] = {"losses of the batch", ON_DEVICE(WORKSPACE, gathered_losses)},
    [WEFT_ROW_SCALARS] = {"scalars", ON_DEVICE(WORKSPACE, scalars)},
    [WEFT_ROW_OWN_SUMS] = {"own sums of the norm", ON_DEVICE(WORKSPACE, norm_sums)},
    [WEFT_ROW_ALL_SUMS] = {"all sums of the norm", ON_DEVICE(WORKSPACE, norm_sums)},
    [WEFT_ROW_ORDERED_SUMS] = {"ordered sums of the norm", ON_DEVICE(WORKSPACE, norm_sums)},
    [WEFT_ROW_SUM_INDEX] = {"order of the sums of the norm", ON_DEVICE(WORKSPACE, norm_index)},
    [WEFT_ROW_LOGITS] = {"logits", ON_DEVICE(WORKSPACE, logits)},
    [WEFT_ROW_CACHE] = {"keys and values", ON_DEVICE(ACTIVATIONS, cache)},
    [WEFT_ROW_STEP_SPACE] = {"space of a token", ON_DEVICE(WORKSPACE, step_space)},
    [WEFT_ROW_STEP_POSITIONS] = {"positions", ON_DEVICE(WORKSPACE, step_positions)},
    [WEFT_ROW_HOST_TOKENS] = {"tokens of even steps", ON_HOST(WEFT_ROW_TOKENS, batch)},
    [WEFT_ROW_HOST_TARGETS] = {"targets of even steps", ON_HOST(WEFT_ROW_TARGETS, batch)},
    [WEFT_ROW_HOST_DOCUMENTS] = {"documents of even steps", ON_HOST(WEFT_ROW_DOCUMENTS, documents)},
    [WEFT_ROW_HOST_POSITIONS] = {"positions of even steps", ON_HOST(WEFT_ROW_POSITIONS, positions)},
    [WEFT_ROW_HOST_TOKENS_ODD] = {"tokens of odd steps", ON_HOST(WEFT_ROW_TOKENS, batch)},
    [WEFT_ROW_HOST_TARGETS_ODD] = {"targets of odd steps", ON_HOST(WEFT_ROW_TARGETS, batch)},
    [WEFT_ROW_HOST_DOCUMENTS_ODD] = {"documents of odd steps", ON_HOST(WEFT_ROW_DOCUMENTS, documents)},
    [WEFT_ROW_HOST_POSITIONS_ODD] = {"positions of odd steps", ON_HOST(WEFT_ROW_POSITIONS, positions)},
    [WEFT_ROW_HOST_SCALARS] = {"scalars in", ON_HOST(WEFT_ROW_SCALARS, scalars)},
    [WEFT_ROW_HOST_SCALARS_OUT] = {"scalars out", ON_HOST(WEFT_ROW_SCALARS, scalars)},
    [WEFT_ROW_HOST_BATCH_LOSSES] = {"losses out", ON_HOST(WEFT_ROWS, batch_losses)},
    [WEFT_ROW_HOST_LOGITS] = {"logits out", ON_HOST(WEFT_ROW_LOGITS, logits)},
    [WEFT_ROW_STAGING] = {"staging", ON_HOST(WEFT_ROWS, staging)},
    [WEFT_ROW_STAGING_ODD] = {"staging", ON_HOST(WEFT_ROWS, staging)},
};

#undef ON_DEVICE
#undef ON_HOST

const char *weft_row_name(weft_row row)
{
    return kinds[row].name;
}

/* Index of a row that is of no unit. */
static int32_t place_of(const weft_memory_plan *plan, weft_row row)
{
    return plan->first_once + row - WEFT_ROWS_OF_UNIT;
}

static void place(const owner *it, weft_memory_plan *plan, weft_memory_row *row, size_t bytes)
{
    weft_job_memory *memory = &plan->memory;
    row->bytes = bytes;
    row->offset = plan->blocks[row->space];
    plan->blocks[row->space] += weft_align(bytes, it->job->device->alignment);
    if (row->space == WEFT_MEMORY_PINNED) {
        memory->pinned += bytes;
        return;
    }
    memory->bytes[row->category] += bytes;
    memory->total += bytes;
}

/* Lays out the next row; a plan without room for rows has its sums alone. */
static void add(const owner *it, weft_memory_plan *plan, weft_row row, int32_t unit)
{
    const struct row_kind *kind = &kinds[row];
    size_t bytes = kind->bytes(it, unit);
    weft_memory_row laid = {
        .row = row, .unit = unit, .category = kind->category, .space = kind->space, .there = bytes != ABSENT};
    if (laid.there && kind->twin != WEFT_ROWS && it->job->device->host_reaches) {
        laid.alias = true;
        laid.space = WEFT_MEMORY_DEVICE;
        laid.bytes = bytes;
        if (plan->rows) laid.offset = plan->rows[place_of(plan, kind->twin)].offset;
    } else if (laid.there) {
        place(it, plan, &laid, bytes);
    }
    if (plan->rows) plan->rows[plan->row_count] = laid;
    plan->row_count++;
}

static void add_all(const owner *it, weft_memory_plan *plan)
{
    const weft_job *job = it->job;
    for (int32_t i = job->rank_first[it->at.rank]; i < job->rank_first[it->at.rank + 1]; i++) {
        int32_t u = job->rank_units[i];
        if (plan->unit_rows) plan->unit_rows[u] = plan->row_count;
        for (int row = 0; row < WEFT_ROWS_OF_UNIT; row++) add(it, plan, (weft_row)row, u);
    }
    plan->first_once = plan->row_count;
    for (int row = WEFT_ROWS_OF_UNIT; row < WEFT_ROWS; row++) add(it, plan, (weft_row)row, -1);
}

static owner owner_of(const weft_job *job, weft_coordinates at)
{
    return (owner){job, at, job->use == WEFT_JOB_TRAINS, weft_element_bytes(job->options.element)};
}

weft_status weft_memory_plan_make(const weft_job *job, weft_coordinates at, weft_arena *arena, weft_memory_plan *out,
                                  weft_error *error)
{
    owner it = owner_of(job, at);
    size_t units = (size_t)(job->rank_first[at.rank + 1] - job->rank_first[at.rank]);
    size_t rows = units * WEFT_ROWS_OF_UNIT + WEFT_ROWS - WEFT_ROWS_OF_UNIT;
    *out = (weft_memory_plan){0};
    TRY(weft_arena_take(arena, rows, sizeof *out->rows, &out->rows, error));
    TRY(weft_arena_take(arena, (size_t)job->unit_count, sizeof *out->unit_rows, &out->unit_rows, error));
    for (int32_t u = 0; u < job->unit_count; u++) out->unit_rows[u] = -1;
    add_all(&it, out);
    return WEFT_OK;
}

const weft_memory_row *weft_memory_plan_find(const weft_memory_plan *plan, weft_row row, int32_t unit)
{
    if (unit >= 0 && plan->unit_rows[unit] < 0) return NULL;
    const weft_memory_row *found = &plan->rows[unit >= 0 ? plan->unit_rows[unit] + (int32_t)row : place_of(plan, row)];
    return found->there ? found : NULL;
}

void *weft_memory_plan_resolve(const weft_memory_plan *plan, unsigned char *const blocks[WEFT_SPACES], weft_row row,
                               int32_t unit)
{
    const weft_memory_row *found = weft_memory_plan_find(plan, row, unit);
    return found ? blocks[found->space] + found->offset : NULL;
}

/* Data-parallel workers have shares of their own only where something is divided. */
static void count_rank(weft_job *job, int32_t rank)
{
    int32_t kinds_of_worker = job->shard == WEFT_SHARD_NONE ? 1 : job->data;
    job->memory[rank] = (weft_job_memory){0};
    for (int32_t d = 0; d < kinds_of_worker; d++) {
        weft_memory_plan plan = {0};
        owner it = owner_of(job, (weft_coordinates){.rank = rank, .data = d});
        add_all(&it, &plan);
        if (plan.memory.total > job->memory[rank].total) job->memory[rank] = plan.memory;
    }
}

void weft_memory_plan_count(weft_job *job)
{
    size_t staging = weft_staging_bytes(job);
    for (int32_t rank = 0; rank < job->ranks; rank++) {
        count_rank(job, rank);
        job->memory[rank].pinned += staging;
    }
}
