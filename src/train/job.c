#include "train/job.h"

#include "base/file.h"
#include "plan/split.h"
#include "train/frozen.h"
#include "train/memory_plan.h"

#include <string.h>
#include <unistd.h>

size_t weft_job_boundary(const weft_job *job)
{
    size_t rows = (size_t)weft_stage_rows(&job->stages[0].train);
    return rows * (size_t)job->config->model.width * weft_element_bytes(job->options.element);
}

static weft_status choose_device(weft_job *job, weft_error *error)
{
    const weft_config *config = job->config;
    if (weft_device_parse(config->device, &job->device, &job->options.index, error) != WEFT_OK)
        return weft_config_relay(config, "device", error);
    if (job->device->computes_nothing && !job->costs)
        return weft_config_complain(config, "device", error,
                                    "%s computes nothing and needs costs: 'weft rehearse' runs it", config->device);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = config->threads;
    if (threads == 0) threads = cores / (config->parallel.pipeline * config->parallel.data * config->parallel.tensor);
    job->options.element = (weft_element)config->element;
    job->options.threads = (int32_t)(threads < 1 ? 1 : threads);
    return WEFT_OK;
}

static weft_status check_file(const weft_config *config, const weft_schedule *schedule, weft_error *error)
{
    if (strcmp(config->parallel.placement, "auto") != 0)
        return weft_config_complain(config, "parallel.placement", error,
                                    "the rows of %s say which rank holds each stage; leave it out",
                                    config->parallel.schedule);
    if (schedule->ranks != config->parallel.pipeline || schedule->microbatches != config->batch.microbatches)
        return weft_config_complain(config, "parallel.schedule", error,
                                    "%s has %d ranks and %d micro-batches, not %lld and %lld",
                                    config->parallel.schedule, schedule->ranks, schedule->microbatches,
                                    (long long)config->parallel.pipeline, (long long)config->batch.microbatches);
    return WEFT_OK;
}

static weft_status read_schedule(const weft_config *config, weft_schedule **out, weft_error *error)
{
    const char *name = config->parallel.schedule;
    weft_csv_dialect dialect = (weft_csv_dialect)config->parallel.dialect;
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(name, &text, error);
    if (status == WEFT_OK)
        status = weft_schedule_read_csv(weft_text_get(&text), text.length, name, dialect, out, error);
    weft_text_fini(&text);
    if (status != WEFT_OK) return weft_config_relay(config, "parallel.schedule", error);
    status = check_file(config, *out, error);
    if (status == WEFT_OK) return WEFT_OK;
    weft_schedule_destroy(*out);
    *out = NULL;
    return status;
}

/* The key without which the schedule could be made. */
static const char *key_to_blame(const weft_schedule_options *options)
{
    weft_schedule_options without_group = *options, without_placement = *options, without_loops = *options;
    without_group.group = 0;
    without_placement.placement = NULL;
    without_loops.loops = 0;
    const struct {
        const weft_schedule_options *options;
        const char *key;
    } trials[] = {{&without_group, "parallel.group"},
                  {&without_placement, "parallel.placement"},
                  {&without_loops, "parallel.loops"}};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        weft_schedule *schedule = NULL;
        weft_error ignored;
        if (weft_schedule_create(trials[i].options, &schedule, &ignored) != WEFT_OK) continue;
        weft_schedule_destroy(schedule);
        return trials[i].key;
    }
    return "parallel.schedule";
}

weft_status weft_job_schedule(const weft_config *config, weft_schedule **out, weft_error *error)
{
    const char *name = config->parallel.schedule, *placement = config->parallel.placement;
    size_t length = strlen(name);
    *out = NULL;
    if (length > 4 && strcmp(name + length - 4, ".csv") == 0) return read_schedule(config, out, error);
    if (config->parallel.dialect != WEFT_CONFIG_DIALECT_CURRENT)
        return weft_config_complain(config, "parallel.dialect", error,
                                    "only a schedule file has a dialect, and %s is a kind", name);
    /* One loop is what nobody asked for, and a list has as many as it has. */
    bool counts = weft_placement_is_list(placement) && config->parallel.loops == 1;
    weft_schedule_options options = {.kind = name,
                                     .ranks = (int32_t)config->parallel.pipeline,
                                     .loops = counts ? 0 : (int32_t)config->parallel.loops,
                                     .microbatches = (int32_t)config->batch.microbatches,
                                     .placement = strcmp(placement, "auto") == 0 ? NULL : placement,
                                     .group = (int32_t)config->parallel.group};
    if (weft_schedule_create(&options, out, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, key_to_blame(&options), error);
}

/* trained: the share of the weights of its products. */
static weft_layer_cost cost_of(weft_flops flops, double trained)
{
    return (weft_layer_cost){flops.forward, flops.backward_input, trained * flops.backward_weight, 0};
}

static weft_lower_options lower_options(const weft_job *job, const weft_slot_sizes *sizes)
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
static void arrange_data(weft_job *job)
{
    const weft_config *config = job->config;
    int32_t data = job->lower ? job->lower->data : (int32_t)config->parallel.data;
    job->data = data > 1 ? data : 1;
    job->workers = job->ranks * job->data * job->tensor;
    weft_lower_options options = lower_options(job, NULL);
    job->shard = job->data > 1 ? options.shard : WEFT_SHARD_NONE;
    job->weight_pages = job->shard == WEFT_SHARD_WEIGHTS ? count_pages(job, options.weight_buffers) : 0;
    job->gradient_pages =
        job->data > 1 && options.gradient_buffers > 0 ? count_pages(job, options.gradient_buffers) : 0;
}

static weft_status check_slices(const weft_config *config, weft_error *error)
{
    int64_t rows = config->batch.sequences * config->batch.tokens;
    if (weft_slice_check(&config->model, rows, (int32_t)config->parallel.tensor, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, "parallel.tensor", error);
}

/* Flops stand for time: only their ratios matter for the split and the predicted bubble. */
static weft_status pose_split(weft_job *job, weft_split_problem *problem, weft_error *error)
{
    const weft_config *config = job->config;
    int64_t B = config->batch.sequences, T = config->batch.tokens, L = config->model.layers;
    weft_layer_cost *costs = NULL;
    TRY(weft_arena_take(&job->arena, (size_t)L, sizeof *costs, &costs, error));
    for (int64_t i = 0; i < L; i++)
        costs[i] = cost_of(weft_layer_flops(&config->model, B, T), weft_job_trained(job, (int32_t)i));
    *problem =
        (weft_split_problem){.schedule = job->schedule,
                             .layers = costs,
                             .layer_count = (int32_t)L,
                             .head = cost_of(weft_head_flops(&config->model, B, T), weft_job_trained(job, (int32_t)L)),
                             .lower = lower_options(job, NULL)};
    return WEFT_OK;
}

static weft_status choose_layers(weft_job *job, const weft_split_problem *problem, int32_t *layers, weft_error *error)
{
    const weft_config_list *listed = &job->config->parallel.stages;
    if (listed->count == 0) return weft_split_layers(problem, layers, NULL, NULL, error);
    if (listed->count != job->stage_count)
        return weft_config_complain(job->config, "parallel.stages", error, "lists %lld stages; the schedule has %d",
                                    (long long)listed->count, job->stage_count);
    for (int32_t s = 0; s < job->stage_count; s++) layers[s] = (int32_t)listed->values[s];
    return WEFT_OK;
}

/* cost: (4, S) forward, input gradient, weight gradient, update. */
static weft_status predict(weft_job *job, const weft_split_problem *problem, const int32_t *layers, const double *cost,
                           weft_error *error)
{
    size_t S = (size_t)job->stage_count;
    weft_costs costs = {
        .forward = cost, .backward_input = cost + S, .backward_weight = cost + 2 * S, .update = cost + 3 * S};
    if (job->costs) costs = *job->costs;
    weft_bubble_rank *ranks = NULL;
    TRY(weft_arena_take(&job->arena, (size_t)job->ranks, sizeof *ranks, &ranks, error));
    TRY(weft_timeline_init(&job->predicted, job->train, error));
    TRY(weft_simulate(job->train, &costs, &job->predicted, error));
    double step_time = 0;
    weft_bubble_measure(&job->predicted, &step_time, &job->predicted_bubble, ranks);
    return weft_split_evaluate(problem, layers, NULL, &job->predicted_efficiency, error);
}

static void fill_stages(weft_job *job, const int32_t *layers)
{
    const weft_config *config = job->config;
    int32_t next = 0;
    for (int32_t s = 0; s < job->stage_count; s++) {
        weft_job_stage *stage = &job->stages[s];
        stage->rank = job->schedule->stage_rank[s];
        stage->first_layer = next;
        stage->layer_count = layers[s];
        next += layers[s];
        stage->train = (weft_stage_shape){.model = &config->model,
                                          .slice = {0, job->tensor},
                                          .first_layer = stage->first_layer,
                                          .layer_count = stage->layer_count,
                                          .embedding = s == 0,
                                          .head = s == job->stage_count - 1,
                                          .B = config->batch.sequences,
                                          .T = config->batch.tokens,
                                          .recompute = config->recompute == WEFT_CONFIG_RECOMPUTE_FULL,
                                          .device = job->device,
                                          .options = job->options};
        stage->forward = stage->train;
        stage->forward.forward_only = true;
        weft_stage_parameters(&stage->train, job->parameters, job->parameter_count, &stage->parameter_first,
                              &stage->parameter_count);
        for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++)
            if (!job->parameters[p].tied) stage->elements += job->parameters[p].elements;
    }
}

static weft_status find_tied(weft_job *job, weft_error *error)
{
    job->tied_embedding = job->tied_head = -1;
    TRY(weft_arena_take(&job->arena, (size_t)job->parameter_count + 1, sizeof *job->block_first, &job->block_first,
                        error));
    for (int32_t p = 0; p < job->parameter_count; p++) {
        const weft_parameter *parameter = &job->parameters[p];
        int32_t blocks = weft_share_norm_blocks(parameter) * (weft_split_divides(parameter->split) ? job->tensor : 1);
        job->block_first[p + 1] = job->block_first[p] + (parameter->tied || job->frozen[p] ? 0 : blocks);
        if (parameter->tied)
            job->tied_head = p;
        else
            job->elements += parameter->elements;
        if (strcmp(parameter->name, "embedding.token") == 0) job->tied_embedding = p;
    }
    job->tied = job->tied_head >= 0;
    job->tied_alias = job->tied && job->schedule->stage_rank[0] == job->schedule->stage_rank[job->stage_count - 1];
    return WEFT_OK;
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
static weft_status count_exchanges(const weft_job *job, bool forward, weft_arena *arena, const weft_exchanges **out,
                                   weft_error *error)
{
    size_t S = (size_t)job->stage_count;
    weft_exchanges *table = NULL, stage[WEFT_PASS_KINDS];
    if (job->tensor <= 1) return WEFT_OK;
    TRY(weft_arena_take(arena, WEFT_PASS_KINDS * S, sizeof *table, &table, error));
    for (size_t s = 0; s < S; s++) {
        const weft_job_stage *own = &job->stages[s];
        weft_stage_exchanges(forward ? &own->forward : &own->train, job->frozen + own->parameter_first, stage);
        for (size_t pass = 0; pass < WEFT_PASS_KINDS; pass++) table[pass * S + s] = stage[pass];
    }
    *out = table;
    return WEFT_OK;
}

/* Lowers one of the two programs with the slot sizes of its stages, and proves it. */
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
    weft_lower_options options = lower_options(job, &sizes);
    if (forward)
        options = (weft_lower_options){.metrics = true,
                                       .data = options.data,
                                       .tensor = options.tensor,
                                       .shard = options.shard,
                                       .weight_buffers = options.weight_buffers,
                                       .sizes = &sizes,
                                       .alignment = options.alignment};
    TRY(count_exchanges(job, forward, &job->arena, &options.exchanges, error));
    options.stage_cost = job->costs ? job->costs->forward : stage_cost;
    TRY(weft_program_create(schedule, &options, out, error));
    for (int32_t r = 0; r < job->ranks; r++)
        if ((*out)->arena_bytes[r] > job->slots[r]) job->slots[r] = (*out)->arena_bytes[r];
    return weft_program_verify(*out, error);
}

static weft_status lower_programs(weft_job *job, const double *stage_cost, weft_error *error)
{
    TRY(lower(job, job->schedule, false, stage_cost, &job->train, error));
    for (int32_t r = 0; r < job->ranks; r++) {
        size_t first[WEFT_SLOT_KINDS];
        weft_program_memory(job->train, r, first);
        job->slot_messages[r] = first[WEFT_SLOT_OUTPUT] + first[WEFT_SLOT_GRADIENT] + first[WEFT_SLOT_GRADIENT_OUT];
    }
    weft_schedule *forward = NULL;
    TRY(weft_schedule_forward(job->schedule, &forward, error));
    weft_status status = lower(job, forward, true, stage_cost, &job->forward, error);
    weft_schedule_destroy(forward);
    return status;
}

/* Sizes that are fine one by one can have products beyond 64 bits: what needs a petabyte is refused before it is
 * counted. */
static weft_status check_magnitude(const weft_config *config, weft_error *error)
{
    const double petabyte = 1125899906842624.0;
    double C = (double)config->model.width, F = (double)config->model.feed_forward,
           V = (double)config->model.vocabulary;
    double L = (double)config->model.layers, context = (double)config->model.context;
    double rows = (double)config->batch.sequences * (double)config->batch.tokens;
    double weights = L * C * (4 * C + 3 * F) + C * (2 * V + context);
    double activations = rows * (L * (16 * C + 3 * F) + V + (double)config->batch.microbatches);
    if (weights * 16 > petabyte)
        return weft_config_complain(config, "model.width", error,
                                    "this model needs more than a petabyte for its weights");
    if (activations * 4 > petabyte)
        return weft_config_complain(config, "batch.sequences", error,
                                    "%.0f tokens of this model need more than a petabyte of activations", rows);
    return WEFT_OK;
}

weft_status weft_job_build(const weft_config *config, weft_job *job, weft_error *error)
{
    job->config = config;
    TRY(check_magnitude(config, error));
    TRY(choose_device(job, error));
    if (!job->schedule) TRY(weft_job_schedule(config, &job->schedule, error));
    job->ranks = job->schedule->ranks;
    job->stage_count = job->schedule->stages;
    TRY(check_slices(config, error));
    job->tensor = (int32_t)config->parallel.tensor;
    TRY(weft_model_parameters(&config->model, job->tensor, &job->arena, &job->parameters, &job->parameter_count,
                              error));
    TRY(weft_job_freeze(job, error));
    TRY(find_tied(job, error));
    arrange_data(job);
    size_t ranks = (size_t)job->ranks;
    TRY(weft_arena_take(&job->arena, (size_t)job->stage_count, sizeof *job->stages, &job->stages, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->memory, &job->memory, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->slots, &job->slots, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->slot_messages, &job->slot_messages, error));
    TRY(weft_arena_take(&job->arena, ranks, sizeof *job->scratch, &job->scratch, error));
    int32_t *layers = NULL;
    TRY(weft_arena_take(&job->arena, (size_t)job->stage_count, sizeof *layers, &layers, error));
    weft_split_problem problem;
    TRY(pose_split(job, &problem, error));
    TRY(choose_layers(job, &problem, layers, error));
    fill_stages(job, layers);
    TRY(weft_share_units(job, error));
    double *cost = NULL;
    size_t S = (size_t)job->stage_count;
    TRY(weft_arena_take(&job->arena, 4 * S, sizeof *cost, &cost, error));
    weft_split_stage_costs(&problem, layers, cost, cost + S, cost + 2 * S, cost + 3 * S);
    TRY(weft_arena_take(&job->arena, S, sizeof *job->input_share, &job->input_share, error));
    for (size_t s = 0; s < S; s++) {
        double whole = cost[S + s] + cost[2 * S + s];
        job->input_share[s] = whole > 0 ? cost[S + s] / whole : 0.5;
    }
    TRY(lower_programs(job, cost, error));
    TRY(predict(job, &problem, layers, cost, error));
    weft_memory_plan_count(job);
    double tokens = (double)(job->data * config->batch.microbatches * config->batch.sequences * config->batch.tokens);
    job->step_flops =
        tokens * (weft_model_flops_per_token(&config->model, config->batch.tokens) - weft_job_frozen_flops(job));
    return WEFT_OK;
}

void weft_job_destroy(weft_job *job)
{
    if (!job) return;
    weft_timeline_fini(&job->predicted);
    weft_program_destroy(job->train);
    weft_program_destroy(job->forward);
    weft_schedule_destroy(job->schedule);
    weft_arena_fini(&job->arena);
    weft_free(job);
}
