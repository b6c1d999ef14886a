#include "plan/fit.h"

#include "plan/simplex.h"
#include "program/program.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A run is worth as much as its noise lets it. */
static const double noise = 0.04;

/* A shape is believed as its rows say when there are many more of them than this. */
static const double doubt = 1;

#define AT(member) offsetof(weft_plan_cluster, member)

/* pull: how far a constant goes before it costs as much as a run that is off by its noise, in powers of e. */
typedef struct constant {
    const char *name, *unit;
    size_t offset;
    double scale, least, most, pull;
} constant;

static const constant time_constants[WEFT_PLAN_TIME_CONSTANTS] = {
    {"software.speed", "", AT(software.speed), 1, 0.3, 1.15, 0.05},
    {"software.host_us_per_layer", "us", AT(software.host), 1e6, 20e-6, 5e-3, 0.5},
    {"link_between.efficiency", "", AT(nic_efficiency), 1, 0.02, 4, 0.7},
    {"link_between.message_us", "us", AT(message_start), 1e6, 5e-6, 5e-3, 1},
    {"software.data_reduce_times", "", AT(software.data_reduce), 1, 0.5, 4, 0.3},
    {"software.step_ms", "ms", AT(software.step), 1e3, 1e-3, 1, 0.7},
    {"software.tensor_exposed", "", AT(software.tensor_exposed), 1, 0.3, 2, 0.15},
    {"gpu.attention_efficiency", "", AT(gpu.attention), 1, 0.05, 0.9, 0.3},
};

static const constant memory_constants[WEFT_PLAN_MEMORY_CONSTANTS] = {
    {"memory_reserved_gb", "GB", AT(reserved), 1e-9, 0.3e9, 12e9, 1},
    {"software.logits_bytes", "", AT(software.logits), 1, 2, 20, 0.5},
    {"software.work_times", "", AT(software.work), 1, 0.5, 5, 0.4},
    {"software.memory_slack", "", AT(software.slack), 1, 1, 1.3, 0.03},
};

typedef bool has_value(const weft_plan_run *run);
typedef double predict_value(const weft_plan_cluster *cluster, const weft_plan_run *run);

typedef struct fitting {
    const weft_plan_run *runs;
    size_t count;
    const constant *constants;
    int constant_count;
    has_value *has;
    predict_value *predict;
    size_t measured;         /* offset in a run */
    weft_plan_cluster start; /* what the constants are pulled to */
} fitting;

static double *member(weft_plan_cluster *cluster, const constant *which)
{
    return (double *)(void *)((char *)cluster + which->offset);
}

static double measured(const fitting *f, size_t i)
{
    return *(const double *)(const void *)((const char *)&f->runs[i] + f->measured);
}

static bool is_foreign(const weft_plan_cluster *cluster, const weft_plan_run *run)
{
    return *run->gpu && strcmp(run->gpu, cluster->gpu.name) != 0;
}

/* As given, with the run's own kind of GPU and GPUs of a node. */
static void cluster_of(const weft_plan_cluster *cluster, const weft_plan_run *run, weft_plan_cluster *out)
{
    *out = *cluster;
    const weft_plan_gpu *gpu = weft_plan_gpu_find(run->gpu);
    if (gpu && is_foreign(cluster, run)) out->gpu = *gpu;
    out->gpus_per_node = run->gpus_per_node;
    out->nodes = (run->gpus + run->gpus_per_node - 1) / run->gpus_per_node;
}

static void make_cell(const weft_plan_cluster *own, const weft_plan_run *run, weft_plan_cell *out)
{
    const weft_plan_layout *layout = &run->layout;
    weft_plan_cell_make(&run->model, own, layout->tensor, layout->context, layout->micro_batch,
                        (weft_plan_recompute)layout->recompute, layout->sequence_parallel, out);
}

double weft_plan_run_step(const weft_plan_cluster *cluster, const weft_plan_run *run)
{
    weft_plan_cluster own;
    weft_plan_cell cell;
    weft_plan_time time;
    cluster_of(cluster, run, &own);
    /* Whoever runs these schedules lets the optimizer of each rank go ahead, and mends it after (arXiv 2401.10241). */
    if (run->layout.kind == WEFT_PLAN_ZB_H2 || run->layout.kind == WEFT_PLAN_ZB_V) own.software.chains_steps = true;
    make_cell(&own, run, &cell);
    weft_plan_step(&run->model, &own, &cell, &run->layout, &time);
    return time.step;
}

double weft_plan_run_memory(const weft_plan_cluster *cluster, const weft_plan_run *run)
{
    weft_plan_cluster own;
    weft_plan_cell cell;
    weft_plan_memory memory;
    cluster_of(cluster, run, &own);
    if (strcmp(run->memory_kind, "allocated") == 0) {
        own.reserved = 0;
        own.software.slack = 1;
    }
    if (strcmp(run->memory_kind, "reserved") == 0) own.reserved = 0;
    if (run->fp16) {
        own.software.gradient_bytes -= own.software.fp16_sharded;
        own.software.optimizer_bytes += own.software.fp16_sharded;
    }
    make_cell(&own, run, &cell);
    weft_plan_memory_of(&run->model, &own, &cell, &run->layout, NULL, NULL, &memory);
    return memory.bytes;
}

bool weft_plan_run_has_time(const weft_plan_run *run)
{
    return !run->unusable && !run->out_of_memory && run->step > 0;
}

bool weft_plan_run_has_memory(const weft_plan_run *run)
{
    return !run->unusable && !run->out_of_memory && run->memory > 0;
}

/* Within its bounds, the cluster that a point stands for: logarithms of the constants against the start. */
static void place(const fitting *f, const double *point, weft_plan_cluster *out)
{
    *out = f->start;
    for (int i = 0; i < f->constant_count; i++) {
        const constant *c = &f->constants[i];
        double value = *member(out, c) * exp(point[i]);
        *member(out, c) = fmin(fmax(value, c->least), c->most);
    }
}

/* Far outliers count by their distance, not its square. */
static double loss(const void *context, const double *point)
{
    const fitting *f = context;
    weft_plan_cluster cluster;
    double sum = 0;
    place(f, point, &cluster);
    for (size_t i = 0; i < f->count; i++) {
        if (!f->has(&f->runs[i])) continue;
        double off = fabs(log(f->predict(&cluster, &f->runs[i]) / measured(f, i))) / noise;
        sum += off < 3 ? off * off : 6 * off - 9;
    }
    for (int i = 0; i < f->constant_count; i++) {
        double far = point[i] / f->constants[i].pull;
        sum += far * far;
    }
    return sum;
}

/* The best point from the start that is set, when it beats what was found: by more than chance, but for the first. */
static void try_start(const fitting *f, double *best, weft_plan_cluster *found)
{
    double point[WEFT_PLAN_SIMPLEX_MOST], steps[WEFT_PLAN_SIMPLEX_MOST];
    for (int i = 0; i < f->constant_count; i++) steps[i] = f->constants[i].pull / 2;
    double value = weft_plan_descend(loss, f, f->constant_count, steps, point);
    if (value >= *best - (isfinite(*best) ? 1 : 0)) return;
    *best = value;
    place(f, point, found);
}

static void report(const fitting *f, const weft_plan_cluster *before, const weft_plan_cluster *found,
                   weft_plan_constant *constants, weft_plan_fitted *out)
{
    weft_plan_cluster old = *before, new = *found;
    *out = (weft_plan_fitted){0};
    for (int i = 0; i < f->constant_count; i++) {
        const constant *c = &f->constants[i];
        double value = *member(&new, c);
        constants[i] = (weft_plan_constant){c->name, c->unit, *member(&old, c) * c->scale, value * c->scale,
                                            value <= c->least || value >= c->most};
    }
    for (size_t i = 0; i < f->count; i++) {
        if (!f->has(&f->runs[i])) {
            out->unusable++;
            continue;
        }
        out->used++;
        out->foreign += is_foreign(before, &f->runs[i]);
        out->error += fabs(f->predict(found, &f->runs[i]) / measured(f, i) - 1);
    }
    if (out->used) out->error /= (double)out->used;
}

static weft_plan_shape_times shape_of(const weft_plan_run *run)
{
    const weft_plan_layout *layout = &run->layout;
    return (weft_plan_shape_times){
        run->model.hidden, (int64_t)layout->micro_batch * run->model.sequence / layout->context, layout->tensor, 1};
}

static int compare_shapes(const void *left, const void *right)
{
    const weft_plan_shape_times *a = left, *b = right;
    if (a->hidden != b->hidden) return a->hidden < b->hidden ? -1 : 1;
    if (a->tokens != b->tokens) return a->tokens < b->tokens ? -1 : 1;
    return a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

/* Each shape of the rows once, in order. */
static weft_status list_shapes(const fitting *f, weft_plan_fit *out, weft_error *error)
{
    size_t count = 0, distinct = 0;
    TRY(weft_allocate(f->count, sizeof *out->shapes, &out->shapes, error));
    for (size_t i = 0; i < f->count; i++)
        if (f->has(&f->runs[i])) out->shapes[count++] = shape_of(&f->runs[i]);
    qsort(out->shapes, count, sizeof *out->shapes, compare_shapes);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || compare_shapes(&out->shapes[i], &out->shapes[distinct - 1]) != 0)
            out->shapes[distinct++] = out->shapes[i];
    out->shape_count = (int32_t)distinct;
    return WEFT_OK;
}

/* What the rows of a shape say beyond its factor, drawn to none the more the fewer they are. */
static double improve_shape(const fitting *f, const weft_plan_cluster *found, const weft_plan_shape_times *shape)
{
    double sum = 0, rows = 0;
    for (size_t i = 0; i < f->count; i++) {
        weft_plan_shape_times own = shape_of(&f->runs[i]);
        if (!f->has(&f->runs[i]) || compare_shapes(&own, shape) != 0) continue;
        double off = log(measured(f, i) / f->predict(found, &f->runs[i]));
        sum += fmin(fmax(off, -0.3), 0.3);
        rows++;
    }
    return exp((rows * log(shape->times) + sum) / (rows + doubt));
}

static weft_status fit_shapes(const fitting *f, weft_plan_cluster *found, weft_plan_fit *out, weft_error *error)
{
    enum { PASSES = 4 };
    TRY(list_shapes(f, out, error));
    found->shapes = out->shapes;
    found->shape_count = out->shape_count;
    for (int pass = 0; pass < PASSES; pass++)
        for (int32_t i = 0; i < out->shape_count; i++) out->shapes[i].times = improve_shape(f, found, &out->shapes[i]);
    return WEFT_OK;
}

/* Scores that are never written need not be computed again: with fused attention selective recomputation may mean half
 * of a layer. */
static bool means_more_by_selective(const fitting *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const weft_plan_run *run = &f->runs[i];
        bool fused = run->model.attention == WEFT_PLAN_ATTENTION_FLASH;
        if (f->has(run) && fused && run->layout.recompute == WEFT_PLAN_RECOMPUTE_SELECTIVE) return true;
    }
    return false;
}

/* Whoever shards weights has them come before they are wanted: with nothing beside compute it would stand still most of
 * the time. */
static bool may_reduce_after(const fitting *f)
{
    size_t sharded = 0, used = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (!f->has(&f->runs[i])) continue;
        sharded += f->runs[i].layout.shard == WEFT_SHARD_WEIGHTS;
        used++;
    }
    return 2 * sharded <= used;
}

static weft_status fit_times(fitting *f, weft_plan_cluster *found, weft_plan_fit *out, weft_error *error)
{
    double best = INFINITY;
    weft_plan_cluster before = f->start;
    int others = before.software.selective == 0 && means_more_by_selective(f) ? 8 : 4;
    bool after = may_reduce_after(f);
    for (int other = 0; other < others; other++) {
        f->start.software.messages_overlap = before.software.messages_overlap ^ (other & 1);
        f->start.software.reduces_overlap = before.software.reduces_overlap ^ (other >> 1 & 1);
        if (!after && !f->start.software.reduces_overlap) continue;
        if (other & 4) f->start.software.selective = 0.5;
        try_start(f, &best, found);
    }
    TRY(fit_shapes(f, found, out, error));
    report(f, &before, found, out->times, &out->time);
    return WEFT_OK;
}

/* Bytes of weights, gradients and optimizer a parameter, and whether weight gradients are made apart: what software has
 * been seen to do. */
static void fit_memories(fitting *f, weft_plan_cluster *found, weft_plan_fit *out)
{
    static const struct {
        double weights, gradients, optimizer, fp16_sharded;
        bool apart;
    } choices[] = {{2, 4, 12, 0, false}, {2, 4, 12, 0, true}, {2, 6, 12, 4, false}, {2, 2, 12, 0, false}};
    double best = INFINITY;
    weft_plan_cluster before = f->start;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        weft_plan_software *software = &f->start.software;
        software->weight_bytes = choices[i].weights;
        software->gradient_bytes = choices[i].gradients;
        software->optimizer_bytes = choices[i].optimizer;
        software->fp16_sharded = choices[i].fp16_sharded;
        software->adds_gradients = choices[i].apart;
        try_start(f, &best, found);
    }
    report(f, &before, found, out->memories, &out->memory);
}

static size_t count_rows(const weft_plan_run *runs, size_t count, has_value *has)
{
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) rows += has(&runs[i]);
    return rows;
}

weft_status weft_plan_fit_runs(const weft_plan_run *runs, size_t count, weft_plan_cluster *cluster, weft_plan_fit *out,
                               weft_error *error)
{
    fitting f = {runs,
                 count,
                 time_constants,
                 WEFT_PLAN_TIME_CONSTANTS,
                 weft_plan_run_has_time,
                 weft_plan_run_step,
                 offsetof(weft_plan_run, step),
                 *cluster};
    *out = (weft_plan_fit){0};
    if (count_rows(runs, count, f.has) == 0)
        FAIL(error, WEFT_INVALID, "none of %zu run%s can be used to calibrate", count,
             weft_text_plural((int64_t)count));
    weft_plan_cluster found = *cluster;
    TRY(fit_times(&f, &found, out, error));
    f = (fitting){runs,
                  count,
                  memory_constants,
                  WEFT_PLAN_MEMORY_CONSTANTS,
                  weft_plan_run_has_memory,
                  weft_plan_run_memory,
                  offsetof(weft_plan_run, memory),
                  found};
    if (count_rows(runs, count, f.has) > 0) fit_memories(&f, &found, out);
    *cluster = found;
    if (out->time.foreign < out->time.used) cluster->software.origin = WEFT_PLAN_MEASURED;
    return WEFT_OK;
}

void weft_plan_fit_fini(weft_plan_fit *fit)
{
    weft_free(fit->shapes);
    *fit = (weft_plan_fit){0};
}
