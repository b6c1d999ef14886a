#include "train/measure.h"

#include "base/clock.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 2, STAGES = 3, MOST_SIZES = 64, MOST_WIDTHS = 64, MOST_ROUNDS = 3, MICROBATCHES = 2 };

enum { EMBEDDING, BODY, HEAD }; /* stages of a trial */

static const double seconds_of_size = 0.3, seconds_of_peak = 0.2;
static const double heavy_flops = 2e11;    /* of one micro-batch of a trial: one is enough, the rest are like it */
static const double not_preferred = 1.001; /* of two that are said to be alike, the one that was measured */
static const double update_bytes = 28; /* a parameter: weight, moments and gradient read, all but the last written */

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
    double times = not_preferred * out->micro_batch / from->micro_batch;
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

/* Flops a second that the matrices of a layer reach. */
static double rate_of(const weft_measuring *m, const found *from)
{
    const weft_model_config *model = &m->config->model;
    double matrices = (double)(model->activation == WEFT_CONFIG_SWIGLU ? 3 : 2) * (double)model->feed_forward +
                      2.0 * (double)model->width * (1 + (double)model->kv_heads / (double)model->heads);
    double flops = 2 * (double)layers_of(m) * matrices * (double)model->width * (double)m->config->batch.tokens;
    return flops / from->forward[BODY];
}

/* A worker of this machine; its rates are those of the first trial. */
static void take_machine(const weft_measuring *m, const found *from, weft_plan_cluster *out)
{
    weft_plan_gpu *gpu = &out->gpu;
    weft_plan_software *software = &out->software;
    bool half = m->config->element != WEFT_CONFIG_ELEMENT_FP32;
    gpu->memory = weft_measure_room(m->config, m->workers);
    gpu->peak = from->peak > 0 ? from->peak : rate_of(m, from); /* some devices do not tell theirs */
    gpu->bandwidth = fmax(update_bytes * from->parameters / fmax(from->update, 1e-9), 1e6);
    gpu->multiprocessors = gpu->traffic = gpu->unaligned = 1;
    gpu->products = gpu->attention = fmin(1, rate_of(m, from) / gpu->peak); /* of sizes that were not measured */
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
static void take_link(const weft_measuring *m, const found *from, weft_plan_gpu *gpu)
{
    double bytes = 2 * (double)(m->config->batch.tokens * m->config->model.width);
    if (from->message > 0) gpu->link = bytes / (0.6 * from->message);
}

/* One trial, run again while there is time: what else the machine does meanwhile only adds to what it takes, so that
 * the least counts. */
typedef struct size {
    int32_t tensor, pipeline, micro_batch;
    int32_t width;  /* which of the tensor widths, from 0 */
    int32_t rounds; /* that it was run; 0: time or memory did not suffice */
    double seconds; /* of the last one */
    found best;
} size;

typedef struct survey {
    const weft_measuring *measuring;
    size *sizes;                  /* (count) by tensor width, then micro-batch; of messages behind them */
    int32_t count, times, widths; /* times: sizes of layers */
    double begin;
} survey;

static bool divides_model(const weft_model_config *model, int32_t tensor)
{
    return model->heads % tensor == 0 && model->kv_heads % tensor == 0 && model->feed_forward % tensor == 0 &&
           model->vocabulary >= tensor;
}

static void list_sizes(survey *s)
{
    const weft_measuring *m = s->measuring;
    for (int32_t t = 1; t <= m->workers && s->widths < MOST_WIDTHS; t++) {
        if (m->workers % t != 0 || !divides_model(&m->config->model, t)) continue;
        int32_t listed = 0;
        for (int64_t b = 1; b <= m->batch && listed < MOST_SIZES; b++)
            if (m->batch % b == 0) {
                s->sizes[s->times++] = (size){t, 1, (int32_t)b, s->widths, .rounds = 0};
                listed++;
            }
        s->widths++;
    }
    s->count = s->times;
    if (m->workers > 1 && m->config->model.layers > 1) s->sizes[s->count++] = (size){1, 2, 1, s->widths, .rounds = 0};
}

static void take_less(double *value, double other)
{
    if (other < *value) *value = other;
}

static void merge(const found *from, found *best)
{
    for (int s = 0; s < STAGES; s++) {
        take_less(&best->forward[s], from->forward[s]);
        take_less(&best->backward[s], from->backward[s]);
        take_less(&best->reduction[s], from->reduction[s]);
    }
    take_less(&best->update, from->update);
    take_less(&best->message, from->message);
    take_less(&best->between, from->between);
    take_less(&best->norm, from->norm);
    best->peak = fmax(best->peak, from->peak);
}

static weft_status run_size(survey *s, int32_t i, weft_error *error)
{
    const weft_measuring *m = s->measuring;
    size *own = &s->sizes[i];
    double begin = weft_clock_seconds();
    found from;
    if (m->progress) m->progress(m->context, i, s->count);
    TRY(run_trial(m, own->tensor, own->pipeline, own->micro_batch, i == 0, &from, error));
    own->seconds = weft_clock_seconds() - begin;
    if (!from.fits) return WEFT_OK;
    if (own->rounds++ > 0)
        merge(&from, &own->best);
    else
        own->best = from;
    return WEFT_OK;
}

static bool is_first(const survey *s, int32_t i)
{
    return i == 0 || s->sizes[i].width != s->sizes[i - 1].width;
}

/* Half of the time, divided over the widths; each has its smallest size in any case. */
static weft_status run_first_round(survey *s, weft_error *error)
{
    const weft_measuring *m = s->measuring;
    for (int32_t i = 0; i < s->count; i++) {
        bool first = is_first(s, i);
        double until = m->seconds / 2 * (s->sizes[i].width + 1) / s->widths;
        if (!first && s->sizes[i - 1].rounds == 0) continue;
        if (!first && weft_clock_seconds() - s->begin + 2 * s->sizes[i - 1].seconds > until) continue;
        TRY(run_size(s, i, error));
        if (first && i < s->times && s->sizes[i].rounds == 0)
            FAIL(error, WEFT_INVALID,
                 "%d workers with tensor width %d: two layers and one sequence alone do not fit the %.1f MiB of a "
                 "worker",
                 m->workers, s->sizes[i].tensor, weft_measure_room(m->config, m->workers) / 1048576);
    }
    return WEFT_OK;
}

static weft_status run_more_rounds(survey *s, weft_error *error)
{
    for (int32_t round = 1; round < MOST_ROUNDS; round++)
        for (int32_t i = 0; i < s->count; i++) {
            double spent = weft_clock_seconds() - s->begin;
            if (s->sizes[i].rounds == 0 || spent + s->sizes[i].seconds > s->measuring->seconds) continue;
            TRY(run_size(s, i, error));
        }
    return WEFT_OK;
}

static void fill(const survey *s, weft_plan_layer_time *times, weft_plan_cluster *out)
{
    const weft_measuring *m = s->measuring;
    take_machine(m, &s->sizes[0].best, out);
    out->gpu.link = out->gpu.bandwidth;
    for (int32_t i = 0; i < s->times; i++) {
        const size *own = &s->sizes[i];
        times[i] = (weft_plan_layer_time){.tensor = own->tensor, .micro_batch = own->micro_batch};
        if (own->rounds > 0)
            take_size(m, &own->best, &times[i]);
        else
            scale_size(&times[i - 1], &times[i]);
        if (is_first(s, i) && m->workers / own->tensor > 1) take_ring(&own->best, m->workers / own->tensor, &out->gpu);
    }
    if (s->count > s->times) take_link(m, &s->sizes[s->times].best, &out->gpu);
    fill_rings(&out->gpu);
    out->measured = times;
    out->measured_count = s->times;
}

weft_status weft_measure(const weft_measuring *m, weft_arena *arena, weft_plan_cluster *out, weft_error *error)
{
    weft_plan_layer_time *times = NULL;
    weft_plan_gpu gpu = {.name = "own"};
    survey s = {.measuring = m, .begin = weft_clock_seconds()};
    weft_plan_cluster_init(out, &gpu, weft_plan_software_find("weft"));
    TRY(weft_arena_take(arena, MOST_WIDTHS * MOST_SIZES + 1, sizeof *s.sizes, &s.sizes, error));
    list_sizes(&s);
    TRY(weft_arena_take(arena, (size_t)s.times, sizeof *times, &times, error));
    TRY(run_first_round(&s, error));
    TRY(run_more_rounds(&s, error));
    fill(&s, times, out);
    return weft_plan_cluster_check(out, error);
}
