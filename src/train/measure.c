#include "train/measure.h"

#include "base/clock.h"
#include "train/trial.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_LAYERS = 2, STAGES = WEFT_TRIAL_STAGES, MOST_SIZES = 64, MOST_WIDTHS = 64, MOST_ROUNDS = 3 };
enum { MICROBATCHES = 4, HEAVY_MICROBATCHES = 2 };

enum { EMBEDDING, BODY, HEAD }; /* stages of a trial */

static const double seconds_of_size = 0.3, seconds_of_peak = 0.2;
static const double heavy_flops = 2e10;    /* of one micro-batch of a trial: fewer are enough */
static const double not_preferred = 1.001; /* of two that are said to be alike, the one that was measured */
static const double update_bytes = 28; /* a parameter: weight, moments and gradient read, all but the last written */
static const double cache_bytes = 16 << 20; /* no core has more of its own */
static const double least_seconds = 1e-9;   /* of a pass: rates are of that */

/* Elements of the matrices of a layer. */
static double matrices_of(const weft_model_config *model)
{
    double columns = (double)(model->activation == WEFT_CONFIG_SWIGLU ? 3 : 2) * (double)model->feed_forward +
                     2.0 * (double)model->width * (1 + (double)model->kv_heads / (double)model->heads);
    return columns * (double)model->width;
}

/* Of a trial: some, and more where so few would stay in a cache from pass to pass and those of a run would not. */
static int64_t layers_of(const weft_measuring *m)
{
    int64_t most = m->config->model.layers, count = LEAST_LAYERS;
    double layer = sizeof(float) * matrices_of(&m->config->model);
    while (count < most && (double)count * layer < cache_bytes) count++;
    return count < most ? count : most;
}

/* What a trial is for; all but the first are of parts that are timed alone. */
typedef enum purpose { OF_PASSES, OF_MESSAGES, OF_GATHERS } purpose;

/* One trial, run again while there is time: of what it found the middle counts. */
typedef struct size {
    purpose purpose;
    int32_t tensor, micro_batch;
    bool first;     /* of its tensor width: it runs in any case, and reductions are timed with it */
    int32_t width;  /* which of the tensor widths, from 0 */
    int32_t rounds; /* that it was run; 0: time or memory did not suffice */
    double seconds; /* of the last one */
    weft_trial found[MOST_ROUNDS], middle;
} size;

static void divide(const weft_measuring *m, const size *own, weft_config *out)
{
    bool sends = own->purpose == OF_MESSAGES;
    out->parallel.data = sends ? 1 : m->workers / own->tensor;
    out->parallel.tensor = own->tensor;
    out->parallel.pipeline = sends ? 2 : 1;
    out->parallel.loops = sends ? 1 : STAGES;
    out->parallel.schedule = sends ? "gpipe" : "depth-first";
    out->parallel.placement = "own";
    out->parallel.group = 0;
    out->parallel.dialect = WEFT_CONFIG_DIALECT_CURRENT;
    out->parallel.shard = own->purpose == OF_GATHERS ? WEFT_CONFIG_SHARD_WEIGHTS : WEFT_CONFIG_SHARD_NONE;
    out->parallel.reduce = WEFT_CONFIG_REDUCE_ONCE;
    out->parallel.buffers = 2;
}

/* Whether a micro-batch of a trial takes so long that few must do. */
static bool is_heavy(const weft_measuring *m, int32_t tensor, int32_t micro_batch)
{
    const weft_model_config *model = &m->config->model;
    double matrices = (double)layers_of(m) * matrices_of(model) + (double)(model->width * model->vocabulary);
    return 6 * matrices * (double)(micro_batch * m->config->batch.tokens) / tensor > heavy_flops;
}

static int64_t count_microbatches(const weft_measuring *m, const size *own)
{
    if (own->purpose != OF_PASSES) return 1;
    return is_heavy(m, own->tensor, own->micro_batch) ? HEAVY_MICROBATCHES : MICROBATCHES;
}

/* A job of few layers, whose embedding and head are stages of their own where there is one rank. A learning rate of
 * zero: updates take their time, and losses stay numbers. */
static void configure(const weft_measuring *m, const size *own, int64_t *stages, weft_config *out)
{
    int64_t layers = layers_of(m);
    *out = *m->config;
    out->model.layers = layers;
    out->batch.sequences = own->micro_batch;
    out->batch.microbatches = count_microbatches(m, own);
    divide(m, own, out);
    out->parallel.stages = (weft_config_list){stages, own->purpose == OF_MESSAGES ? 0 : STAGES};
    stages[EMBEDDING] = stages[HEAD] = 0;
    stages[BODY] = layers;
    out->recompute = WEFT_CONFIG_RECOMPUTE_NONE;
    out->transport = WEFT_CONFIG_LOCAL;
    out->optimizer.frozen = "";
    out->optimizer.learning_rate = 0;
    out->optimizer.skip_window = 0; /* steps of a trial need not be alike */
    out->memory_limit = 0;
    out->run.timelines = WEFT_TRIAL_STEPS;
    out->run.timeline_step = 0;
}

static bool fits(const weft_measuring *m, const weft_job *job)
{
    double room = weft_measure_room(m->config, m->workers);
    for (int32_t r = 0; r < job->ranks; r++)
        if ((double)job->memory[r].total > room) return false;
    return true;
}

static weft_status run_trial(const weft_measuring *m, const size *own, bool wants_peak, weft_trial *out, bool *out_fits,
                             weft_error *error)
{
    int64_t stages[STAGES];
    weft_config config;
    weft_job *job = NULL;
    weft_trial_options options = {.steps = own->purpose == OF_PASSES ? WEFT_TRIAL_STEPS : 1,
                                  .seconds = seconds_of_size,
                                  .peak_seconds = wants_peak ? seconds_of_peak : 0,
                                  .alone = own->purpose != OF_PASSES || own->first,
                                  .stop = m->stop};
    configure(m, own, stages, &config);
    TRY(weft_job_create(&config, &job, error));
    *out_fits = fits(m, job);
    weft_status status = *out_fits ? weft_trial_run(job, &options, out, error) : WEFT_OK;
    weft_job_destroy(job);
    for (int s = 0; s < STAGES && *out_fits; s++) {
        out->forward[s] = fmax(out->forward[s], least_seconds);
        out->backward[s] = fmax(out->backward[s], least_seconds);
    }
    return status;
}

static void take_size(const weft_measuring *m, const weft_trial *from, weft_plan_layer_time *out)
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

/* What the smallest size of a width has told for all. */
static void take_sum(const weft_measuring *m, const weft_trial *from, weft_plan_layer_time *out)
{
    out->sum = from->sum[BODY] / (double)layers_of(m);
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
static void take_ring(const weft_trial *from, int32_t members, weft_plan_gpu *gpu)
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
    const weft_device_kind *kind = NULL;
    int32_t index = 0;
    if (config->memory_limit > 0) return (double)config->memory_limit;
    if (weft_device_parse(config->device, &kind, &index, NULL) == WEFT_OK && weft_device_room(kind, index, workers) > 0)
        return weft_device_room(kind, index, workers) / workers;
    return pages > 0 && bytes > 0 ? (double)pages * (double)bytes / workers : 1e15;
}

/* Flops a second that the matrices of a layer reach. */
static double rate_of(const weft_measuring *m, const weft_trial *from)
{
    double matrices = matrices_of(&m->config->model);
    double flops = 2 * (double)layers_of(m) * matrices * (double)m->config->batch.tokens;
    return flops / from->forward[BODY];
}

/* A worker of this machine; its rates are those of the first trial. */
static void take_machine(const weft_measuring *m, const weft_trial *from, weft_plan_cluster *out)
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
    software->gathered_bytes = half ? 2 : 4;
    software->gradient_bytes = 4;
    software->optimizer_bytes = 8;
    software->origin = WEFT_PLAN_MEASURED;
}

/* Messages between two ranks: a line through the smallest and the largest. The closed form counts 2 bytes an element
 * and has them at 0.6 of the link. */
static void take_link(const weft_measuring *m, const size *small, const size *large, weft_plan_cluster *out)
{
    double sequence = 2 * (double)(m->config->batch.tokens * m->config->model.width);
    double least = small->middle.message, most = large->middle.message;
    double more = sequence * (large->micro_batch - small->micro_batch);
    if (!(small->rounds > 0) || !(least > 0)) return;
    if (large->rounds > 0 && more > 0 && most > least) {
        double each = (most - least) / more;
        out->near_message_start = fmax(0, least - each * sequence * small->micro_batch);
        out->gpu.link = 1 / (0.6 * each);
    } else {
        out->gpu.link = sequence * small->micro_batch / (0.6 * least);
    }
}

/* Gathers against half an all-reduce of as many bytes. */
static void take_gathers(const size *own, int32_t members, weft_plan_cluster *out)
{
    double found = 0, bytes = 0, half = 0;
    for (int s = 0; s < STAGES; s++) {
        bytes = out->software.gathered_bytes * own->middle.stage_parameters[s];
        if (!(own->middle.gather[s] > 0)) continue;
        found += own->middle.gather[s];
        half += weft_plan_all_reduce(out, bytes, members, members, 1) / 2;
    }
    if (own->rounds > 0 && half > 0) out->software.gather_times = found / half;
}

typedef struct survey {
    const weft_measuring *measuring;
    size *sizes;                  /* (count) of passes by tensor width, then micro-batch; the others behind them */
    int32_t count, times, widths; /* times: sizes of passes */
    double begin;
} survey;

static bool divides_model(const weft_model_config *model, int32_t tensor)
{
    return model->heads % tensor == 0 && model->kv_heads % tensor == 0 && model->feed_forward % tensor == 0 &&
           model->vocabulary >= tensor;
}

/* The largest of the sizes of a micro-batch that the time of a message can be read off; that of one sequence will do
 * where that is large. */
static int32_t largest_message(const weft_measuring *m)
{
    enum { LARGE = 8 };
    int64_t most = is_heavy(m, 1, 1) ? 1 : m->batch < LARGE ? m->batch : LARGE;
    while (m->batch % most != 0) most--;
    return (int32_t)most;
}

static void add_size(survey *s, purpose what, int32_t tensor, int32_t micro_batch, bool first)
{
    s->sizes[s->count++] =
        (size){.purpose = what, .tensor = tensor, .micro_batch = micro_batch, .first = first, .width = s->widths};
}

static void list_sizes(survey *s)
{
    const weft_measuring *m = s->measuring;
    for (int32_t t = 1; t <= m->workers && s->widths < MOST_WIDTHS; t++) {
        if (m->workers % t != 0 || !divides_model(&m->config->model, t)) continue;
        int32_t listed = 0;
        for (int64_t b = 1; b <= m->batch && listed < MOST_SIZES; b++)
            if (m->batch % b == 0) add_size(s, OF_PASSES, t, (int32_t)b, listed++ == 0);
        s->widths++;
    }
    s->times = s->count;
    if (m->workers > 1) add_size(s, OF_GATHERS, 1, 1, true);
    if (m->workers < 2 || m->config->model.layers < 2) return;
    add_size(s, OF_MESSAGES, 1, 1, true);
    if (largest_message(m) > 1) add_size(s, OF_MESSAGES, 1, largest_message(m), true);
}

/* The peak is measured once. */
static weft_status run_size(survey *s, int32_t i, weft_error *error)
{
    const weft_measuring *m = s->measuring;
    size *own = &s->sizes[i];
    bool fit = false;
    weft_trial *found = &own->found[own->rounds];
    if (m->progress) m->progress(m->context, i, s->count);
    TRY(run_trial(m, own, i == 0 && own->rounds == 0, found, &fit, error));
    if (!fit) return WEFT_OK;
    own->seconds = found->seconds;
    own->rounds++;
    weft_trial_middle(own->found, (size_t)own->rounds, &own->middle);
    own->middle.peak = own->found[0].peak;
    return WEFT_OK;
}

/* Half of the time, divided over the widths; each has its smallest size in any case. */
static weft_status run_first_round(survey *s, weft_error *error)
{
    const weft_measuring *m = s->measuring;
    for (int32_t i = 0; i < s->count; i++) {
        bool first = s->sizes[i].first;
        double until = m->seconds / 2 * (s->sizes[i].width + 1) / s->widths;
        if (!first && s->sizes[i - 1].rounds == 0) continue;
        if (!first && weft_clock_seconds() - s->begin + 2 * s->sizes[i - 1].seconds > until) continue;
        TRY(run_size(s, i, error));
        if (first && i < s->times && s->sizes[i].rounds == 0)
            FAIL(error, WEFT_INVALID,
                 "%d worker%s with tensor width %d: %lld layer%s and one sequence alone do not fit the %.1f MiB of a "
                 "worker",
                 m->workers, weft_text_plural(m->workers), s->sizes[i].tensor, (long long)layers_of(m),
                 weft_text_plural(layers_of(m)), weft_measure_room(m->config, m->workers) / 1048576);
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

static void fill_times(const survey *s, weft_plan_layer_time *times, weft_plan_cluster *out)
{
    const weft_measuring *m = s->measuring;
    const weft_trial *first = NULL; /* of its tensor width */
    for (int32_t i = 0; i < s->times; i++) {
        const size *own = &s->sizes[i];
        int32_t members = m->workers / own->tensor;
        if (own->first) first = &own->middle;
        times[i] = (weft_plan_layer_time){.tensor = own->tensor, .micro_batch = own->micro_batch};
        if (own->rounds > 0)
            take_size(m, &own->middle, &times[i]);
        else
            scale_size(&times[i - 1], &times[i]);
        take_sum(m, first, &times[i]);
        if (own->first && members > 1) take_ring(&own->middle, members, &out->gpu);
    }
    out->measured = times;
    out->measured_count = s->times;
}

static void fill(const survey *s, weft_plan_layer_time *times, weft_plan_cluster *out)
{
    const weft_measuring *m = s->measuring;
    take_machine(m, &s->sizes[0].middle, out);
    out->gpu.link = out->gpu.bandwidth;
    fill_times(s, times, out);
    fill_rings(&out->gpu);
    if (s->count > s->times) take_gathers(&s->sizes[s->times], m->workers, out);
    if (s->count > s->times + 1) take_link(m, &s->sizes[s->times + 1], &s->sizes[s->count - 1], out);
}

weft_status weft_measure(const weft_measuring *m, weft_arena *arena, weft_plan_cluster *out, weft_error *error)
{
    weft_plan_layer_time *times = NULL;
    weft_plan_gpu gpu = {.name = "own", .nic = 12.5e9}; /* a presumption: all workers are here */
    survey s = {.measuring = m, .begin = weft_clock_seconds()};
    weft_plan_cluster_init(out, &gpu, weft_plan_software_find("weft"));
    TRY(weft_arena_take(arena, MOST_WIDTHS * MOST_SIZES + 3, sizeof *s.sizes, &s.sizes, error));
    list_sizes(&s);
    TRY(weft_arena_take(arena, (size_t)s.times, sizeof *times, &times, error));
    TRY(run_first_round(&s, error));
    TRY(run_more_rounds(&s, error));
    fill(&s, times, out);
    return weft_plan_cluster_check(out, error);
}
