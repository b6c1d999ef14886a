#include "plan/fit.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { CONSTANTS = WEFT_PLAN_FITTED_CONSTANTS, POINTS = CONSTANTS + 1, ROUNDS = 400, CHOICES = 4 };

/* A run is worth as much as its noise lets it. */
static const double noise = 0.04;

#define AT(member) offsetof(weft_plan_cluster, member)

/* pull: how far a constant goes before it costs as much as a run that is off by its noise, in powers of e. */
static const struct {
    const char *name, *unit;
    size_t offset;
    double scale, least, most, pull;
} constants[CONSTANTS] = {
    {"software.speed", "", AT(software.speed), 1, 0.3, 1.15, 0.05},
    {"software.host_us_per_layer", "us", AT(software.host), 1e6, 20e-6, 5e-3, 0.5},
    {"link_between.efficiency", "", AT(nic_efficiency), 1, 0.02, 4, 0.7},
    {"link_between.message_us", "us", AT(message_start), 1e6, 5e-6, 5e-3, 1},
    {"software.data_reduce_times", "", AT(software.data_reduce), 1, 0.5, 4, 0.3},
    {"software.step_ms", "ms", AT(software.step), 1e3, 1e-3, 1, 0.7},
    {"software.tensor_exposed", "", AT(software.tensor_exposed), 1, 0.3, 2, 0.15},
};

typedef struct fitting {
    const weft_plan_run *runs;
    size_t count;
    weft_plan_cluster start; /* what the constants are pulled to */
} fitting;

static double *member(weft_plan_cluster *cluster, int which)
{
    return (double *)(void *)((char *)cluster + constants[which].offset);
}

void weft_plan_run_cluster(const weft_plan_cluster *cluster, const weft_plan_run *run, weft_plan_cluster *out)
{
    *out = *cluster;
    const weft_plan_gpu *gpu = weft_plan_gpu_find(run->gpu);
    if (gpu && strcmp(gpu->name, cluster->gpu.name) != 0) out->gpu = *gpu;
    out->gpus_per_node = run->gpus_per_node;
    out->nodes = (run->gpus + run->gpus_per_node - 1) / run->gpus_per_node;
}

double weft_plan_run_step(const weft_plan_cluster *cluster, const weft_plan_run *run)
{
    weft_plan_cluster own;
    weft_plan_cell cell;
    weft_plan_time time;
    const weft_plan_layout *layout = &run->layout;
    weft_plan_run_cluster(cluster, run, &own);
    weft_plan_cell_make(&run->model, &own, layout->tensor, layout->context, layout->micro_batch,
                        (weft_plan_recompute)layout->recompute, layout->sequence_parallel, &cell);
    weft_plan_step(&run->model, &own, &cell, layout, &time);
    return time.step;
}

static bool is_usable(const weft_plan_run *run)
{
    return !run->unusable && !run->out_of_memory && run->step > 0;
}

/* Within its bounds, the cluster that a point stands for: logarithms of the constants against the start. */
static void place(const fitting *f, const double *point, weft_plan_cluster *out)
{
    *out = f->start;
    for (int i = 0; i < CONSTANTS; i++) {
        double value = *member(out, i) * exp(point[i]);
        *member(out, i) = fmin(fmax(value, constants[i].least), constants[i].most);
    }
}

/* Far outliers count by their distance, not its square. */
static double loss(const fitting *f, const double *point)
{
    weft_plan_cluster cluster;
    double sum = 0;
    place(f, point, &cluster);
    for (size_t i = 0; i < f->count; i++) {
        if (!is_usable(&f->runs[i])) continue;
        double off = fabs(log(weft_plan_run_step(&cluster, &f->runs[i]) / f->runs[i].step)) / noise;
        sum += off < 3 ? off * off : 6 * off - 9;
    }
    for (int i = 0; i < CONSTANTS; i++) sum += point[i] * point[i] / (constants[i].pull * constants[i].pull);
    return sum;
}

typedef struct simplex {
    double point[POINTS][CONSTANTS], value[POINTS];
} simplex;

static void order(simplex *s)
{
    for (int i = 1; i < POINTS; i++)
        for (int k = i; k > 0 && s->value[k] < s->value[k - 1]; k--) {
            double point[CONSTANTS], value = s->value[k];
            memcpy(point, s->point[k], sizeof point);
            memcpy(s->point[k], s->point[k - 1], sizeof point);
            memcpy(s->point[k - 1], point, sizeof point);
            s->value[k] = s->value[k - 1];
            s->value[k - 1] = value;
        }
}

/* The worst point thrown over the middle of the others, so far. */
static double throw_worst(const fitting *f, const simplex *s, double distance, double *out)
{
    for (int i = 0; i < CONSTANTS; i++) {
        double middle = 0;
        for (int k = 0; k < POINTS - 1; k++) middle += s->point[k][i] / (POINTS - 1);
        out[i] = middle + distance * (middle - s->point[POINTS - 1][i]);
    }
    return loss(f, out);
}

static void replace_worst(simplex *s, const double *point, double value)
{
    memcpy(s->point[POINTS - 1], point, CONSTANTS * sizeof *point);
    s->value[POINTS - 1] = value;
}

static void shrink(const fitting *f, simplex *s)
{
    for (int k = 1; k < POINTS; k++) {
        for (int i = 0; i < CONSTANTS; i++) s->point[k][i] = (s->point[0][i] + s->point[k][i]) / 2;
        s->value[k] = loss(f, s->point[k]);
    }
}

/* Source: Nelder and Mead, A simplex method for function minimization, The Computer Journal 7(4), 1965. */
static double descend(const fitting *f, double *out)
{
    simplex s = {0};
    for (int k = 1; k < POINTS; k++) s.point[k][k - 1] = constants[k - 1].pull / 2;
    for (int k = 0; k < POINTS; k++) s.value[k] = loss(f, s.point[k]);
    order(&s);
    for (int round = 0; round < ROUNDS && s.value[POINTS - 1] - s.value[0] > 1e-6 * s.value[0]; round++) {
        double first[CONSTANTS], second[CONSTANTS], value = throw_worst(f, &s, 1, first);
        if (value < s.value[0]) {
            double farther = throw_worst(f, &s, 2, second);
            replace_worst(&s, farther < value ? second : first, farther < value ? farther : value);
        } else if (value < s.value[POINTS - 2]) {
            replace_worst(&s, first, value);
        } else {
            double nearer = throw_worst(f, &s, value < s.value[POINTS - 1] ? 0.5 : -0.5, second);
            if (nearer < fmin(value, s.value[POINTS - 1]))
                replace_worst(&s, second, nearer);
            else
                shrink(f, &s);
        }
        order(&s);
    }
    memcpy(out, s.point[0], sizeof s.point[0]);
    return s.value[0];
}

static void report(const fitting *f, const weft_plan_cluster *found, weft_plan_fit *out)
{
    weft_plan_cluster before = f->start, after = *found;
    *out = (weft_plan_fit){0};
    for (int i = 0; i < CONSTANTS; i++) {
        double value = *member(&after, i);
        out->constants[i] =
            (weft_plan_constant){constants[i].name, constants[i].unit, *member(&before, i) * constants[i].scale,
                                 value * constants[i].scale, value <= constants[i].least || value >= constants[i].most};
    }
    for (size_t i = 0; i < f->count; i++) {
        if (!is_usable(&f->runs[i])) {
            out->unusable++;
            continue;
        }
        out->used++;
        out->error += fabs(weft_plan_run_step(found, &f->runs[i]) / f->runs[i].step - 1);
    }
    out->error /= (double)out->used;
}

weft_status weft_plan_fit_runs(const weft_plan_run *runs, size_t count, weft_plan_cluster *cluster, weft_plan_fit *out,
                               weft_error *error)
{
    fitting f = {.runs = runs, .count = count, .start = *cluster};
    size_t usable = 0;
    for (size_t i = 0; i < count; i++) usable += is_usable(&runs[i]);
    if (usable == 0) FAIL(error, WEFT_INVALID, "none of %zu runs can be used to calibrate", count);
    double best = INFINITY;
    weft_plan_cluster found = *cluster;
    for (int choice = 0; choice < CHOICES; choice++) {
        double point[CONSTANTS];
        f.start.software.messages_overlap = choice & 1;
        f.start.software.reduces_overlap = choice & 2;
        double value = descend(&f, point);
        if (value >= best) continue;
        best = value;
        place(&f, point, &found);
    }
    f.start = *cluster;
    *cluster = found;
    cluster->software.origin = WEFT_PLAN_MEASURED;
    report(&f, &found, out);
    return WEFT_OK;
}
