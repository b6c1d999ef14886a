#include "train/measure.h"

#include "base/clock.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 2, STAGES = 3, MOST_SIZES = 64, MICROBATCHES = 2 };

enum { EMBEDDING, BODY, HEAD }; /* stages of a trial */

static const double seconds_of_size = 0.3, seconds_of_peak = 0.2;
static const double heavy_flops = 2e11; /* of one micro-batch of a trial: one is enough, the rest are like it */
static const double update_bytes = 28;  /* a parameter: weight, moments and gradient read, all but the last written */

/* What one trial found, of a worker. */
typedef struct found {
    double forward[STAGES], backward[STAGES], update, reduction[STAGES], message, between, norm, peak;
    double parameters, stage_parameters[STAGES];
    bool fits; /* else nothing ran */
} found;

typedef struct trial {
    const weft_job *job;
    found *found;
} trial;

static weft_status on_started(void *context, const weft_run_start *start, weft_error *error)
{
    (void)error;
    trial *it = context;
    it->found->peak = start->peak / it->job->workers;
    return WEFT_OK;
}

static weft_status on_calibrated(void *context, const weft_calibration *calibration, weft_error *error)
{
    (void)error;
    trial *it = context;
    const weft_costs *costs = &calibration->costs;
    found *out = it->found;
    for (int32_t s = 0; s < it->job->stage_count && s < STAGES; s++) {
        out->forward[s] = costs->forward[s];
        out->backward[s] = costs->backward_input[s] + costs->backward_weight[s];
        out->update += costs->update[s];
        out->reduction[s] = costs->reductions[s];
        out->stage_parameters[s] = (double)it->job->stages[s].elements / it->job->tensor;
        out->parameters += out->stage_parameters[s];
    }
    out->message = costs->messages[0];
    out->norm = costs->collectives[WEFT_NORM];
    out->between = calibration->between + costs->collectives[WEFT_METRICS];
    return WEFT_OK;
}

static int64_t layers_of(const weft_measuring *m)
{
    return m->config->model.layers < LAYERS ? m->config->model.layers : LAYERS;
}

/* A job of few layers, whose embedding and head are stages of their own where there is one rank. */
static void configure(const weft_measuring *m, int32_t tensor, int32_t pipeline, int32_t micro_batch, int64_t *stages,
                      weft_config *out)
{
    int64_t layers = layers_of(m);
    double flops = 12.0 * (double)(m->config->model.width * m->config->model.width * layers) +
                   (double)(m->config->model.width * m->config->model.vocabulary);
    bool heavy = 6 * flops * (double)(micro_batch * m->config->batch.tokens) / tensor > heavy_flops;
    *out = *m->config;
    out->model.layers = layers;
    out->batch.sequences = micro_batch;
    out->batch.microbatches = heavy ? 1 : MICROBATCHES;
    out->parallel.data = pipeline > 1 ? 1 : m->workers / tensor;
    out->parallel.tensor = tensor;
    out->parallel.pipeline = pipeline;
    out->parallel.loops = pipeline > 1 ? 1 : STAGES;
    out->parallel.schedule = pipeline > 1 ? "gpipe" : "breadth-first";
    out->parallel.placement = "auto";
    out->parallel.group = 0;
    out->parallel.dialect = WEFT_CONFIG_DIALECT_CURRENT;
    out->parallel.shard = WEFT_CONFIG_SHARD_NONE;
    out->parallel.reduce = WEFT_CONFIG_REDUCE_ONCE;
    out->parallel.stages = (weft_config_list){stages, pipeline > 1 ? 0 : STAGES};
    stages[EMBEDDING] = stages[HEAD] = 0;
    stages[BODY] = layers;
    out->recompute = WEFT_CONFIG_RECOMPUTE_NONE;
    out->transport = WEFT_CONFIG_LOCAL;
    out->optimizer.frozen = "";
    out->memory_limit = 0;
    out->run.timelines = 0;
}

static bool fits(const weft_measuring *m, const weft_job *job)
{
    double room = weft_measure_room(m->config, m->workers);
    for (int32_t r = 0; r < job->ranks; r++)
        if ((double)job->memory[r].total > room) return false;
    return true;
}

static weft_status train(const weft_measuring *m, trial *it, bool wants_peak, weft_error *error)
{
    bool stopped = false;
    weft_train_options options = {.stop = m->stop,
                                  .stopped = &stopped,
                                  .calibrate_seconds = seconds_of_size,
                                  .peak_seconds = wants_peak ? seconds_of_peak : 0,
                                  .trial_steps = 1};
    options.observer = (weft_observer){.context = it, .started = on_started, .calibrated = on_calibrated};
    TRY(weft_train(it->job, &options, error));
    if (stopped || (m->stop && *m->stop)) FAIL(error, WEFT_STOPPED, "stopped before this machine was measured");
    return WEFT_OK;
}

static weft_status run_trial(const weft_measuring *m, int32_t tensor, int32_t pipeline, int32_t micro_batch,
                             bool wants_peak, found *out, weft_error *error)
{
    int64_t stages[STAGES];
    weft_config config;
    weft_job *job = NULL;
    configure(m, tensor, pipeline, micro_batch, stages, &config);
    *out = (found){0};
    TRY(weft_job_create(&config, &job, error));
    trial it = {.job = job, .found = out};
    out->fits = fits(m, job);
    weft_status status = out->fits ? train(m, &it, wants_peak, error) : WEFT_OK;
    weft_job_destroy(job);
    for (int s = 0; s < STAGES; s++) {
        out->forward[s] = fmax(out->forward[s], 1e-9);
        out->backward[s] = fmax(out->backward[s], 1e-9);
    }
    return status;
}

static void take_size(const weft_measuring *m, const found *from, weft_plan_layer_time *out)
{
    double layers = (double)layers_of(m);
    out->hidden = m->config->model.width;
    out->forward = from->forward[BODY] / layers;
    out->backward = from->backward[BODY] / layers;
    out->embedding_forward = from->forward[EMBEDDING];
    out->embedding_backward = from->backward[EMBEDDING];
    out->head_forward = from->forward[HEAD];
    out->head_backward = from->backward[HEAD];
}

static void scale_size(const weft_plan_layer_time *from, weft_plan_layer_time *out)
{
    double times = (double)out->micro_batch / from->micro_batch;
    int32_t micro_batch = out->micro_batch;
    *out = *from;
    out->micro_batch = micro_batch;
    out->scaled = true;
    out->forward *= times;
    out->backward *= times;
    out->embedding_forward *= times;
    out->embedding_backward *= times;
    out->head_forward *= times;
    out->head_backward *= times;
}

/* An all-reduce of so many workers takes start + 2 (k - 1) / k bytes / bus: a line through the layers and the
 * embedding, which is much larger or much smaller, or through the larger alone. */
static void take_ring(const found *from, int32_t members, weft_plan_gpu *gpu)
{
    int large = from->stage_parameters[BODY] >= from->stage_parameters[EMBEDDING] ? BODY : EMBEDDING;
    int small = BODY + EMBEDDING - large, place = 0;
    double moved = 2.0 * (members - 1) / members * 4;
    double more = moved * (from->stage_parameters[large] - from->stage_parameters[small]);
    double longer = from->reduction[large] - from->reduction[small], start = 0;
    if (!(from->reduction[large] > 0)) return;
    double whole = moved * from->stage_parameters[large];
    if (more > 0.2 * whole && longer > 0) start = fmax(0, from->reduction[large] - whole * longer / more);
    while (place + 1 < WEFT_PLAN_RINGS && 4 << place <= members) place++;
    gpu->rings[place] = (weft_plan_ring){start, whole / fmax(from->reduction[large] - start, 1e-9)};
}

/* Rings of fewer workers than any that was measured are like the next. */
static void fill_rings(weft_plan_gpu *gpu)
{
    for (int i = WEFT_PLAN_RINGS - 1; i > 0; i--)
        if (!(gpu->rings[i - 1].bus > 0)) gpu->rings[i - 1] = gpu->rings[i];
    memset(gpu->origin, 0, sizeof gpu->origin);
    gpu->origin[3] = WEFT_PLAN_MEASURED;
}

double weft_measure_room(const weft_config *config, int32_t workers)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    if (config->memory_limit > 0) return (double)config->memory_limit;
    return pages > 0 && bytes > 0 ? (double)pages * (double)bytes / workers : 1e15;
}

/* Share of the peak that the matrices of a layer reach: what closed forms take for sizes that were not measured. */
static double efficiency_of(const weft_measuring *m, const found *from, double peak)
{
    const weft_model_config *model = &m->config->model;
    double matrices = (double)(model->activation == WEFT_CONFIG_SWIGLU ? 3 : 2) * (double)model->feed_forward +
                      2.0 * (double)model->width * (1 + (double)model->kv_heads / (double)model->heads);
    double flops = 2 * (double)layers_of(m) * matrices * (double)model->width * (double)m->config->batch.tokens;
    return fmin(1, fmax(1e-3, flops / (from->forward[BODY] * peak)));
}

/* A worker of this machine; its rates are those of the first trial. */
static void take_machine(const weft_measuring *m, const found *from, weft_plan_cluster *out)
{
    weft_plan_gpu *gpu = &out->gpu;
    weft_plan_software *software = &out->software;
    bool half = m->config->element != WEFT_CONFIG_ELEMENT_FP32;
    gpu->memory = weft_measure_room(m->config, m->workers);
    gpu->peak = fmax(from->peak, 1e6);
    gpu->bandwidth = fmax(update_bytes * from->parameters / fmax(from->update, 1e-9), 1e6);
    gpu->multiprocessors = gpu->traffic = gpu->unaligned = 1;
    gpu->products = gpu->attention = efficiency_of(m, from, gpu->peak);
    gpu->fill = 0;
    out->nodes = 1;
    out->gpus_per_node = m->workers;
    out->reserved = 0;
    *software = *weft_plan_software_find("weft");
    software->host = software->tensor_host = 0;
    software->speed = software->contention = software->data_reduce = software->slack = 1;
    software->step = from->between;
    software->optimizer = update_bytes * (1 + from->norm / fmax(from->update, 1e-9));
    software->weight_bytes = half ? 6 : 4;
    software->gradient_bytes = 4;
    software->optimizer_bytes = 8;
    software->origin = WEFT_PLAN_MEASURED;
}

/* Messages between two ranks; the closed form counts 2 bytes an element and has them at 0.6 of the link. */
static weft_status take_link(const weft_measuring *m, weft_plan_cluster *out, weft_error *error)
{
    found from;
    double bytes = 2 * (double)(m->config->batch.tokens * m->config->model.width);
    out->gpu.link = out->gpu.bandwidth;
    if (m->workers < 2 || m->config->model.layers < 2) return WEFT_OK;
    TRY(run_trial(m, 1, 2, 1, false, &from, error));
    if (from.fits && from.message > 0) out->gpu.link = bytes / (0.6 * from.message);
    return WEFT_OK;
}

typedef struct sizes {
    int32_t tensors[MOST_SIZES], micro_batches[MOST_SIZES];
    int32_t tensor_count, micro_batch_count;
} sizes;

static bool divides_model(const weft_model_config *model, int32_t tensor)
{
    return model->heads % tensor == 0 && model->kv_heads % tensor == 0 && model->feed_forward % tensor == 0 &&
           model->vocabulary >= tensor;
}

static void find_sizes(const weft_measuring *m, sizes *out)
{
    *out = (sizes){0};
    for (int32_t t = 1; t <= m->workers && out->tensor_count < MOST_SIZES; t++)
        if (m->workers % t == 0 && divides_model(&m->config->model, t)) out->tensors[out->tensor_count++] = t;
    for (int64_t b = 1; b <= m->batch && out->micro_batch_count < MOST_SIZES; b++)
        if (m->batch % b == 0) out->micro_batches[out->micro_batch_count++] = (int32_t)b;
}

typedef struct width {
    const weft_measuring *measuring;
    const sizes *all;
    int32_t index;               /* of it among the widths */
    double begin, share, last;   /* when it began, how long it may take, what the last size took */
    weft_plan_layer_time *times; /* (micro_batch_count) */
    weft_plan_cluster *out;
} width;

static weft_status measure_size(width *w, int32_t k, bool *out_timed, weft_error *error)
{
    const weft_measuring *m = w->measuring;
    int32_t tensor = w->all->tensors[w->index];
    bool first = w->index == 0 && k == 0;
    double now = weft_clock_seconds();
    found from;
    *out_timed = k == 0 || now - w->begin + 2 * w->last < w->share;
    if (!*out_timed) return WEFT_OK;
    TRY(run_trial(m, tensor, 1, w->times[k].micro_batch, first, &from, error));
    *out_timed = from.fits;
    if (!from.fits && k == 0)
        FAIL(error, WEFT_INVALID,
             "%d workers with tensor width %d: two layers and one sequence alone do not fit the %.1f MiB of a worker",
             m->workers, tensor, weft_measure_room(m->config, m->workers) / 1048576);
    if (!from.fits) return WEFT_OK;
    take_size(m, &from, &w->times[k]);
    if (first) take_machine(m, &from, w->out);
    if (k == 0 && m->workers / tensor > 1) take_ring(&from, m->workers / tensor, &w->out->gpu);
    w->last = weft_clock_seconds() - now;
    return WEFT_OK;
}

/* All sizes of one tensor width, while time and memory last. */
static weft_status measure_width(width *w, weft_error *error)
{
    const weft_measuring *m = w->measuring;
    int32_t count = w->all->micro_batch_count;
    bool timed = true;
    w->begin = weft_clock_seconds();
    for (int32_t k = 0; k < count; k++) {
        w->times[k] =
            (weft_plan_layer_time){.tensor = w->all->tensors[w->index], .micro_batch = w->all->micro_batches[k]};
        if (m->progress) m->progress(m->context, w->index * count + k, w->all->tensor_count * count);
        if (timed) TRY(measure_size(w, k, &timed, error));
        if (!timed) scale_size(&w->times[k - 1], &w->times[k]);
    }
    return WEFT_OK;
}

weft_status weft_measure(const weft_measuring *m, weft_arena *arena, weft_plan_cluster *out, weft_error *error)
{
    sizes all;
    weft_plan_layer_time *times = NULL;
    weft_plan_gpu gpu = {.name = "own"};
    find_sizes(m, &all);
    weft_plan_cluster_init(out, &gpu, weft_plan_software_find("weft"));
    size_t count = (size_t)(all.tensor_count * all.micro_batch_count);
    TRY(weft_arena_take(arena, count, sizeof *times, &times, error));
    for (int32_t i = 0; i < all.tensor_count; i++) {
        width w = {.measuring = m,
                   .all = &all,
                   .index = i,
                   .share = m->seconds / all.tensor_count,
                   .times = times + (size_t)i * (size_t)all.micro_batch_count,
                   .out = out};
        TRY(measure_width(&w, error));
    }
    TRY(take_link(m, out, error));
    fill_rings(&out->gpu);
    out->measured = times;
    out->measured_count = (int32_t)count;
    return weft_plan_cluster_check(out, error);
}
