/* The two programs of a job, and what is predicted of a step. */
#include "train/job_parts.h"

weft_lower_options weft_job_lowering(const weft_job *job, const weft_slot_sizes *sizes)
{
    if (job->lower) {
        weft_lower_options options = *job->lower;
        options.data = job->data;
        options.tensor = job->tensor;
        options.sizes = sizes;
        options.alignment = job->device->alignment;
        return options;
    }
    const weft_config *config = job->config;
    int32_t buffers = (int32_t)config->parallel.buffers;
    bool early = config->parallel.reduce == WEFT_CONFIG_REDUCE_EARLY;
    return (weft_lower_options){.update = true,
                                .norm = true,
                                .clip = config->optimizer.clip > 0,
                                .skip = config->optimizer.skip > 0,
                                .tied = job->tied && !job->frozen[job->tied_head],
                                .metrics = true,
                                .data = job->data,
                                .tensor = job->tensor,
                                .shard = (weft_shard)config->parallel.shard,
                                .weight_buffers = config->parallel.shard == WEFT_CONFIG_SHARD_WEIGHTS ? buffers : 0,
                                .gradient_buffers = early ? buffers : 0,
                                .sizes = sizes,
                                .alignment = job->device->alignment};
}

static int32_t count_pages(const weft_job *job, int32_t buffers)
{
    return buffers < 1 || buffers > job->stage_count ? job->stage_count : buffers;
}

/* Who else works on each pipeline rank, and what they divide. */
void weft_job_arrange_data(weft_job *job)
{
    const weft_config *config = job->config;
    int32_t data = job->lower ? job->lower->data : (int32_t)config->parallel.data;
    job->data = data > 1 ? data : 1;
    job->workers = job->ranks * job->data * job->tensor;
    weft_lower_options options = weft_job_lowering(job, NULL);
    job->shard = job->data > 1 ? options.shard : WEFT_SHARD_NONE;
    job->weight_pages = job->shard == WEFT_SHARD_WEIGHTS ? count_pages(job, options.weight_buffers) : 0;
    bool sums = job->use == WEFT_JOB_TRAINS && job->data > 1 && options.gradient_buffers > 0;
    job->gradient_pages = sums ? count_pages(job, options.gradient_buffers) : 0;
}

static bool is_middle(const weft_job_stage *stage)
{
    return !stage->train.embedding && !stage->train.head;
}

/* out: (S). Stages between the first and the last need the same when they have as many layers: a device is asked once.
 */
static weft_status measure_stages(weft_job *job, bool forward, weft_stage_bytes *out, weft_error *error)
{
    int32_t *known = NULL; /* the first stage of so many layers, from 1 */
    TRY(weft_allocate((size_t)job->config->model.layers + 1, sizeof *known, &known, error));
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        int32_t *first = &known[stage->layer_count];
        if (is_middle(stage) && *first) {
            out[s] = out[*first - 1];
            continue;
        }
        out[s] = weft_stage_memory(forward ? &stage->forward : &stage->train);
        if (is_middle(stage)) *first = s + 1;
    }
    weft_free(known);
    return WEFT_OK;
}

static weft_status count_kept(weft_job *job, const weft_slot_sizes *sizes, weft_error *error)
{
    size_t *kept = NULL;
    TRY(weft_arena_take(&job->arena, (size_t)job->stage_count, sizeof *kept, &kept, error));
    for (int32_t s = 0; s < job->stage_count; s++) kept[s] = sizes->input[s] + sizes->stash[s];
    job->kept = kept;
    return WEFT_OK;
}

/* What passes exchange; NULL where nothing is divided. */
static weft_status count_exchanges(weft_job *job, bool forward, const weft_exchanges **out, weft_error *error)
{
    size_t S = (size_t)job->stage_count;
    weft_exchanges *table = NULL, stage[WEFT_PASS_KINDS];
    if (job->tensor <= 1) return WEFT_OK;
    TRY(weft_arena_take(&job->arena, WEFT_PASS_KINDS * S, sizeof *table, &table, error));
    for (size_t s = 0; s < S; s++) {
        const weft_job_stage *own = &job->stages[s];
        weft_stage_exchanges(forward ? &own->forward : &own->train, job->frozen + own->parameter_first, stage);
        for (size_t pass = 0; pass < WEFT_PASS_KINDS; pass++) table[pass * S + s] = stage[pass];
    }
    *out = table;
    return WEFT_OK;
}

/* Lowers one of the two programs with the slot sizes of its stages. */
static weft_status lower(weft_job *job, const weft_schedule *schedule, bool forward, const double *stage_cost,
                         weft_program **out, weft_error *error)
{
    size_t S = (size_t)job->stage_count, *bytes = NULL;
    weft_stage_bytes *need = NULL;
    TRY(weft_arena_take(&job->arena, 3 * S, sizeof *bytes, &bytes, error));
    TRY(weft_arena_take(&job->arena, S, sizeof *need, &need, error));
    TRY(measure_stages(job, forward, need, error));
    for (size_t s = 0; s < S; s++) {
        bytes[s] = need[s].input;
        bytes[S + s] = need[s].stash;
        bytes[2 * S + s] = need[s].work;
        size_t *scratch = &job->scratch[job->stages[s].rank];
        if (need[s].workspace > *scratch) *scratch = need[s].workspace;
    }
    weft_slot_sizes sizes = {.input = bytes, .stash = bytes + S, .work = bytes + 2 * S};
    if (!forward) TRY(count_kept(job, &sizes, error));
    weft_lower_options options = weft_job_lowering(job, &sizes);
    if (forward)
        options = (weft_lower_options){.metrics = true,
                                       .data = options.data,
                                       .tensor = options.tensor,
                                       .shard = options.shard,
                                       .weight_buffers = options.weight_buffers,
                                       .sizes = &sizes,
                                       .alignment = options.alignment};
    TRY(count_exchanges(job, forward, &options.exchanges, error));
    options.stage_cost = job->costs ? job->costs->forward : stage_cost;
    TRY(weft_program_create(schedule, &options, out, error));
    for (int32_t r = 0; r < job->ranks; r++)
        if ((*out)->arena_bytes[r] > job->slots[r]) job->slots[r] = (*out)->arena_bytes[r];
    return WEFT_OK;
}

static void count_messages(weft_job *job, const weft_program *program)
{
    for (int32_t r = 0; r < job->ranks; r++) {
        size_t first[WEFT_SLOT_KINDS];
        weft_program_memory(program, r, first);
        job->slot_messages[r] = first[WEFT_SLOT_OUTPUT] + first[WEFT_SLOT_GRADIENT] + first[WEFT_SLOT_GRADIENT_OUT];
    }
}

/* Of the program that was lowered, which will not run. */
static void forget_room(weft_job *job)
{
    for (int32_t r = 0; r < job->ranks; r++) job->slots[r] = job->scratch[r] = 0;
}

weft_status weft_job_lower(weft_job *job, const weft_job_split *split, bool prove, weft_error *error)
{
    size_t ranks = (size_t)job->ranks;
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->slots, &job->slots, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->slot_messages, &job->slot_messages, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->scratch, &job->scratch, error));
    TRY(lower(job, job->schedule, false, split->cost, &job->train, error));
    if (prove) TRY(weft_program_verify(job->train, error));
    if (job->use != WEFT_JOB_TRAINS) forget_room(job);
    weft_schedule *forward = NULL;
    TRY(weft_schedule_forward(job->schedule, &forward, error));
    weft_status status = lower(job, forward, true, split->cost, &job->forward, error);
    weft_schedule_destroy(forward);
    if (status == WEFT_OK) count_messages(job, job->use == WEFT_JOB_TRAINS ? job->train : job->forward);
    if (status == WEFT_OK && prove) status = weft_program_verify(job->forward, error);
    return status;
}

weft_status weft_job_predict(weft_job *job, const weft_job_split *split, weft_error *error)
{
    size_t S = (size_t)job->stage_count;
    const double *cost = split->cost;
    weft_costs costs = {
        .forward = cost, .backward_input = cost + S, .backward_weight = cost + 2 * S, .update = cost + 3 * S};
    if (job->costs) costs = *job->costs;
    weft_bubble_rank *ranks = NULL;
    TRY(weft_arena_take(&job->arena, (size_t)job->ranks, sizeof *ranks, &ranks, error));
    TRY(weft_timeline_init(&job->predicted, job->train, error));
    TRY(weft_simulate(job->train, &costs, &job->predicted, error));
    double step_time = 0;
    weft_bubble_measure(&job->predicted, &step_time, &job->predicted_bubble, ranks);
    return weft_split_evaluate(&split->problem, split->layers, NULL, &job->predicted_efficiency, error);
}
