/* Operands of what runs on the compute lane: passes, updates, checks. */
#include "train/bind_parts.h"

static size_t pages(int32_t count)
{
    return count > 0 ? (size_t)count : 1;
}

weft_status weft_bind_begin_passes(weft_binder *binder, weft_error *error)
{
    const weft_job *job = binder->job;
    size_t count = (size_t)job->stage_count * pages(job->weight_pages) * pages(job->gradient_pages);
    if (!job->weight_pages && !job->gradient_pages) return WEFT_OK;
    return weft_arena_take(binder->arena, count, sizeof *binder->weights, (void *)&binder->weights, error);
}

static weft_status point(weft_binder *binder, int32_t s, weft_pages on, weft_stage_weights *out, weft_error *error)
{
    const weft_job *job = binder->job;
    size_t count = (size_t)job->stages[s].parameter_count;
    void **storages = NULL;
    float **gradients = NULL;
    TRY(weft_arena_take(binder->arena, count, sizeof *storages, &storages, error));
    TRY(weft_arena_take(binder->arena, count, sizeof *gradients, &gradients, error));
    for (int32_t u = job->stage_units[s]; u < job->stage_units[s + 1]; u++)
        weft_worker_point(binder->worker, u, weft_worker_storage_on(binder->worker, u, on.weights),
                          weft_worker_gradient_on(binder->worker, u, on.gradients), storages, gradients);
    out->storage = (const void *const *)storages;
    out->gradient = gradients;
    return WEFT_OK;
}

/* Where the pass finds weights and leaves gradients; NULL: where the stage always does. */
static weft_status weights_of(weft_binder *binder, uint32_t action, const weft_stage_weights **out, weft_error *error)
{
    const weft_job *job = binder->job;
    int32_t s = (int32_t)binder->program->actions[action].stage;
    weft_pages on = weft_program_pages(binder->program, action);
    *out = NULL;
    if (!binder->weights) return WEFT_OK;
    if (!job->weight_pages) on.weights = 0;
    if (!job->gradient_pages) on.gradients = 0;
    const weft_stage_weights **place =
        &binder
             ->weights[((size_t)s * pages(job->weight_pages) + on.weights) * pages(job->gradient_pages) + on.gradients];
    if (!*place) {
        weft_stage_weights *made = NULL;
        TRY(weft_arena_take(binder->arena, 1, sizeof *made, &made, error));
        TRY(point(binder, s, on, made, error));
        *place = made;
    }
    *out = *place;
    return WEFT_OK;
}

/* Those of each micro-batch behind those of the one before. */
static void *logits_of(const weft_worker *worker, int32_t m)
{
    const weft_memory_row *row = weft_memory_plan_find(&worker->plan, WEFT_ROW_LOGITS, -1);
    size_t microbatches = (size_t)worker->job->config->batch.microbatches;
    return row ? (unsigned char *)worker->logits + (size_t)m * (row->bytes / microbatches) : NULL;
}

weft_status weft_bind_pass(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_program *program = binder->program;
    const weft_worker *worker = binder->worker;
    const weft_config *config = binder->job->config;
    weft_action of = program->actions[action];
    int32_t s = (int32_t)of.stage, m = (int32_t)of.microbatch;
    int64_t batch = m * config->batch.sequences * config->batch.tokens;
    const weft_stage_weights *weights = NULL;
    TRY(weights_of(binder, action, &weights, error));
    out->pass = (weft_pass_operands){
        .stage = binder->options.stages[s],
        .logits_position = &worker->logits_position,
        .buffers = {
            .weights = weights,
            .tokens = worker->batch.tokens + batch,
            .targets = worker->batch.targets + batch,
            .documents = worker->batch.documents ? worker->batch.documents + batch : NULL,
            .positions = worker->batch.positions ? worker->batch.positions + batch : NULL,
            .input = weft_bind_slot(binder, weft_program_slot(program, WEFT_SLOT_INPUT, s, m)),
            .output = weft_bind_slot(binder, weft_program_output(program, s, m)),
            .stash = weft_bind_slot(binder, weft_program_slot(program, WEFT_SLOT_STASH, s, m)),
            .gradient = weft_bind_slot(binder, weft_program_slot(program, WEFT_SLOT_GRADIENT, s, m)),
            .gradient_out = weft_bind_slot(binder, weft_program_gradient_out(program, s, m)),
            .work = weft_bind_slot(binder, weft_program_slot(program, WEFT_SLOT_WORK, s, m)),
            .workspace = worker->workspace.kernels,
            .loss = worker->losses.own + m * binder->job->losses,
            .scalars = worker->scalars,
            .accumulate = !of.overwrite,
            .logits = logits_of(worker, m),
        }};
    return WEFT_OK;
}

static bool is_updated(const weft_binder *binder, int32_t p)
{
    const weft_job *job = binder->job;
    weft_share share = weft_share_of(job, p, binder->worker->at.data);
    return !(job->parameters[p].tied && job->tied_alias) && !job->frozen[p] && share.from < share.to;
}

static weft_update_part update_part(const weft_binder *binder, int32_t p)
{
    const weft_job *job = binder->job;
    weft_share share = weft_share_of(job, p, binder->worker->at.data);
    weft_own own = weft_worker_own(binder->worker, p);
    return (weft_update_part){.count = share.to - share.from,
                              .decay = job->parameters[p].decay,
                              .gradient = own.gradient,
                              .weight = own.weight,
                              .moment1 = own.moment1,
                              .moment2 = own.moment2,
                              .storage = job->options.element == WEFT_FP32 ? NULL : own.storage};
}

weft_status weft_bind_update(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_job_stage *stage = &binder->job->stages[binder->program->actions[action].stage];
    weft_update_part *parts = NULL;
    out->update.scalars = binder->worker->scalars;
    if (binder->options.checks) return WEFT_OK;
    TRY(weft_arena_take(binder->arena, (size_t)stage->parameter_count, sizeof *parts, &parts, error));
    for (int32_t p = stage->parameter_first; p < stage->parameter_first + stage->parameter_count; p++)
        if (is_updated(binder, p)) parts[out->update.count++] = update_part(binder, p);
    out->update.parts = parts;
    return WEFT_OK;
}

static size_t stage_blocks(const weft_job *job, int32_t s)
{
    size_t blocks = 0;
    for (int32_t i = 0; i < job->stages[s].parameter_count; i++) {
        int32_t p = job->stages[s].parameter_first + i;
        if (!job->frozen[p]) blocks += (size_t)weft_share_norm_blocks(&job->parameters[p]);
    }
    return blocks;
}

size_t weft_bind_checks(const weft_program *program, const weft_worker *worker)
{
    const weft_lane *lane = &program->lanes[program->rank_lanes[worker->at.rank]];
    size_t sums = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = program->actions[a];
        if (action.kind == WEFT_B || action.kind == WEFT_W) sums += stage_blocks(worker->job, (int32_t)action.stage);
    }
    return sums;
}

/* The sums go through memory of the norm, which nobody needs before the last pass is over. */
weft_status weft_bind_check(weft_binder *binder, uint32_t action, weft_instruction *out, weft_error *error)
{
    const weft_job *job = binder->job;
    const weft_worker *worker = binder->worker;
    int32_t s = (int32_t)binder->program->actions[action].stage;
    const weft_stage_weights *weights = NULL;
    weft_squares *squares = NULL;
    double *sums = worker->sums.ordered;
    TRY(weights_of(binder, action, &weights, error));
    TRY(weft_arena_take(binder->arena, (size_t)job->stages[s].parameter_count, sizeof *squares, &squares, error));
    out->check = (weft_check){.squares = squares, .sums = sums, .out = binder->checks};
    for (int32_t i = 0; i < job->stages[s].parameter_count; i++) {
        int32_t p = job->stages[s].parameter_first + i;
        if (job->frozen[p]) continue;
        float *gradient = weights ? weights->gradient[i] : worker->gradient[p];
        squares[out->check.count++] = (weft_squares){p, job->parameters[p].own, gradient, sums};
        sums += weft_share_norm_blocks(&job->parameters[p]);
    }
    out->check.bytes = (size_t)(sums - worker->sums.ordered) * sizeof *sums;
    binder->checks += sums - worker->sums.ordered;
    return WEFT_OK;
}
