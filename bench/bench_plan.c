/*
 * How well plans predict published runs.
 *
 *     bench_plan --fit FOLDER --score FOLDER [--rows]
 *
 * Each file of runs is one cluster: its constants are fitted to the file of that name in the first folder, and the runs
 * of the second folder are predicted. Where both folders are the same, each model is predicted by a fit that never saw
 * it. Beside it one constant times the bubble of the schedule, fitted to the same rows.
 */
#include "base/file.h"
#include "plan/fit.h"
#include "program/program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scored {
    const weft_plan_run *run;
    double predicted, simple;
    double memory; /* predicted bytes; 0 where none were measured */
} scored;

typedef struct sums {
    double error, simple_error, memory_error, tau, simple_tau, regret, simple_regret, top3;
    size_t rows, memory_rows, pairs, simple_pairs, groups;
    long concordant, simple_concordant;
} sums;

static weft_status read_runs(const char *folder, const char *name, weft_plan_runs *out, weft_error *error)
{
    char path[4096];
    weft_text text;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = weft_plan_runs_read(out, weft_text_get(&text), text.length, path, error);
    weft_text_fini(&text);
    return status;
}

/* Flops of a GPU and step, stretched by the bubble that the schedule has without messages. */
static double simple_work(const weft_plan_run *run)
{
    const weft_plan_layout *layout = &run->layout;
    double p = layout->pipeline, m = layout->micro_batches, v = layout->loops, bubble = (p - 1) / (m * v);
    double flops = weft_plan_sample_flops(&run->model) * layout->micro_batch * m * layout->data / run->gpus;
    double again = layout->recompute == WEFT_PLAN_RECOMPUTE_FULL ? 4.0 / 3 : 1;
    return flops * again * (1 + bubble) / weft_plan_gpu_find(run->gpu)->peak;
}

static double fit_simple(const weft_plan_run *runs, size_t count)
{
    double sum = 0;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!weft_plan_run_has_time(&runs[i])) continue;
        sum += log(runs[i].step / simple_work(&runs[i]));
        used++;
    }
    return exp(sum / (double)used);
}

/* Whoever shards weights gathers them beside compute. */
static void start_cluster(const weft_plan_runs *asked, const char *gpu, weft_plan_cluster *out)
{
    size_t sharded = 0, all = 0;
    for (size_t i = 0; i < asked->count; i++) {
        if (strcmp(asked->rows[i].gpu, gpu) != 0) continue;
        sharded += asked->rows[i].layout.shard == WEFT_SHARD_WEIGHTS;
        all++;
    }
    const char *software = 2 * sharded > all ? "zero-3" : "megatron-2022";
    weft_plan_cluster_init(out, weft_plan_gpu_find(gpu), weft_plan_software_find(software));
    out->software.stall = 0;
}

/* Fits to the runs of one kind of GPU, of all groups but one; group NULL: of all. */
static weft_status predict(const weft_plan_runs *seen, const char *gpu, const char *without,
                           const weft_plan_runs *asked, scored *out, weft_plan_fit *fit, weft_error *error)
{
    weft_plan_run *rows = NULL;
    size_t count = 0;
    TRY(weft_allocate(seen->count, sizeof *rows, &rows, error));
    for (size_t i = 0; i < seen->count; i++)
        if (strcmp(seen->rows[i].gpu, gpu) == 0 && (!without || strcmp(seen->rows[i].group, without) != 0))
            rows[count++] = seen->rows[i];
    weft_plan_cluster cluster;
    start_cluster(asked, gpu, &cluster);
    weft_plan_fit_fini(fit);
    double constant = 2; /* where no run of it was seen */
    bool any = false;
    for (size_t i = 0; i < count; i++) any |= weft_plan_run_has_time(&rows[i]);
    weft_status status = any ? weft_plan_fit_runs(rows, count, &cluster, fit, error) : WEFT_OK;
    if (any) constant = fit_simple(rows, count);
    for (size_t i = 0; i < asked->count && status == WEFT_OK; i++) {
        const weft_plan_run *run = &asked->rows[i];
        bool own = strcmp(run->gpu, gpu) == 0 && (!without || strcmp(run->group, without) == 0);
        if (!own || !weft_plan_run_has_time(run)) continue;
        out[i] = (scored){run, weft_plan_run_step(&cluster, run), constant * simple_work(run), 0};
        if (weft_plan_run_has_memory(run)) out[i].memory = weft_plan_run_memory(&cluster, run);
    }
    weft_free(rows);
    return status;
}

static weft_status predict_all(const weft_plan_runs *seen, const weft_plan_runs *asked, bool apart, scored *out,
                               weft_plan_fit *fit, weft_error *error)
{
    for (size_t i = 0; i < asked->count; i++) {
        const weft_plan_run *run = &asked->rows[i], *other = asked->rows;
        if (!run->gpu[0]) continue;
        while (other < run && (strcmp(other->gpu, run->gpu) != 0 || (apart && strcmp(other->group, run->group) != 0)))
            other++;
        if (other == run) TRY(predict(seen, run->gpu, apart ? run->group : NULL, asked, out, fit, error));
    }
    return WEFT_OK;
}

/* Runs that a person would choose among: one model on as many GPUs with one global batch. */
static bool is_alike(const weft_plan_run *a, const weft_plan_run *b)
{
    return a->gpus == b->gpus && a->global_batch == b->global_batch && a->model.layers == b->model.layers &&
           a->model.hidden == b->model.hidden && a->model.sequence == b->model.sequence;
}

static int by_predicted(const void *left, const void *right)
{
    const scored *a = left, *b = right;
    return a->predicted < b->predicted ? -1 : a->predicted > b->predicted;
}

static int sign(double value)
{
    return value < 0 ? -1 : value > 0;
}

static void judge_group(scored *rows, size_t count, sums *to)
{
    double best = INFINITY, simple = INFINITY, simple_step = 0, three = INFINITY;
    if (count < 4) return;
    for (size_t i = 0; i < count; i++) {
        best = fmin(best, rows[i].run->step);
        if (rows[i].simple < simple) {
            simple = rows[i].simple;
            simple_step = rows[i].run->step;
        }
        for (size_t k = 0; k < i; k++) {
            int real = sign(rows[i].run->step - rows[k].run->step);
            to->concordant += real * sign(rows[i].predicted - rows[k].predicted);
            to->simple_concordant += real * sign(rows[i].simple - rows[k].simple);
            to->pairs++;
        }
    }
    qsort(rows, count, sizeof *rows, by_predicted);
    for (size_t i = 0; i < 3; i++) three = fmin(three, rows[i].run->step);
    to->regret += rows[0].run->step / best - 1;
    to->simple_regret += simple_step / best - 1;
    to->top3 += three / best - 1;
    to->groups++;
}

static weft_status judge(const scored *rows, size_t count, sums *to, weft_error *error)
{
    scored *group = NULL;
    bool *done = NULL;
    TRY(weft_allocate(count, sizeof *group, &group, error));
    weft_status status = weft_allocate(count, sizeof *done, &done, error);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        if (!rows[i].run) continue;
        to->error += fabs(rows[i].predicted / rows[i].run->step - 1);
        to->simple_error += fabs(rows[i].simple / rows[i].run->step - 1);
        to->rows++;
        if (rows[i].memory > 0) {
            to->memory_error += fabs(rows[i].memory / rows[i].run->memory - 1);
            to->memory_rows++;
        }
        if (done[i]) continue;
        size_t members = 0;
        for (size_t k = i; k < count; k++)
            if (rows[k].run && is_alike(rows[i].run, rows[k].run)) {
                done[k] = true;
                group[members++] = rows[k];
            }
        judge_group(group, members, to);
    }
    weft_free(group);
    weft_free(done);
    return status;
}

static void print_file(const char *name, const sums *s, size_t all)
{
    printf("%-26s %4zu of %4zu  %6.1f %%  %5.1f %%", name, s->rows, all, 100 * s->simple_error / (double)s->rows,
           100 * s->error / (double)s->rows);
    if (s->groups)
        printf("  %5.2f  %5.2f  %5.1f  %5.1f  %5.1f", (double)s->simple_concordant / (double)s->pairs,
               (double)s->concordant / (double)s->pairs, 100 * s->simple_regret / (double)s->groups,
               100 * s->regret / (double)s->groups, 100 * s->top3 / (double)s->groups);
    else
        printf("%35s", "");
    if (s->memory_rows) printf("  %4zu  %5.1f %%", s->memory_rows, 100 * s->memory_error / (double)s->memory_rows);
    printf("\n");
}

static void print_constants(const weft_plan_constant *constants, int count)
{
    for (int i = 0; i < count; i++)
        if (constants[i].name)
            printf("    %s %.4g -> %.4g %s%s\n", constants[i].name, constants[i].before, constants[i].after,
                   constants[i].unit, constants[i].at_bound ? " (at its bound)" : "");
}

static void print_rows(const scored *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const weft_plan_run *run = rows[i].run;
        if (!run) continue;
        printf("    %-60s %9.3f s, predicted %9.3f, %+.1f %%", run->id, run->step, rows[i].predicted,
               100 * (rows[i].predicted / run->step - 1));
        if (rows[i].memory > 0)
            printf("; %.1f GB, predicted %.1f, %+.1f %%", run->memory / 1e9, rows[i].memory / 1e9,
                   100 * (rows[i].memory / run->memory - 1));
        printf("\n");
    }
}

static weft_status score_file(const char *fit_folder, const char *folder, const char *name, bool show_rows,
                              weft_error *error)
{
    weft_plan_runs seen = {0}, asked = {0};
    weft_plan_fit fit = {0};
    scored *rows = NULL;
    sums total = {0};
    bool apart = strcmp(fit_folder, folder) == 0;
    weft_status status = read_runs(fit_folder, name, &seen, error);
    if (status == WEFT_OK) status = read_runs(folder, name, &asked, error);
    if (status == WEFT_OK) status = weft_allocate(asked.count, sizeof *rows, &rows, error);
    if (status == WEFT_OK) status = predict_all(&seen, &asked, apart, rows, &fit, error);
    if (status == WEFT_OK) status = judge(rows, asked.count, &total, error);
    if (status == WEFT_OK && total.rows) print_file(name, &total, asked.count);
    if (show_rows && status == WEFT_OK) {
        print_rows(rows, asked.count);
        print_constants(fit.times, WEFT_PLAN_TIME_CONSTANTS);
        print_constants(fit.memories, WEFT_PLAN_MEMORY_CONSTANTS);
    }
    weft_plan_fit_fini(&fit);
    weft_plan_runs_fini(&seen);
    weft_plan_runs_fini(&asked);
    weft_free(rows);
    return status;
}

static weft_status score(const char *fit_folder, const char *folder, bool show_rows, weft_error *error)
{
    weft_arena arena;
    const char **names = NULL;
    size_t count = 0;
    weft_arena_init(&arena);
    weft_status status = weft_folder_list(folder, &arena, &names, &count, error);
    printf("error: mean absolute error of the step; tau: Kendall's, regret: of the first choice, top 3: of the best of "
           "the "
           "predicted top 3,\nin groups of one model, GPUs and batch with at least 4 runs; simple: one constant x "
           "bubble\n\n");
    printf("%-26s %12s  %8s  %7s  %5s  %5s  %5s  %5s  %5s  %4s  %7s\n", "file", "rows", "simple", "error", "tau", "tau",
           "regr", "regr", "top 3", "rows", "memory");
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        size_t length = strlen(names[i]);
        if (length > 4 && strcmp(names[i] + length - 4, ".csv") == 0)
            status = score_file(fit_folder, folder, names[i], show_rows, error);
    }
    weft_arena_fini(&arena);
    return status;
}

int main(int count, char **words)
{
    const char *fit = NULL, *folder = NULL;
    bool rows = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--fit") == 0 && i + 1 < count) fit = words[++i];
        if (strcmp(words[i], "--score") == 0 && i + 1 < count) folder = words[++i];
        if (strcmp(words[i], "--rows") == 0) rows = true;
    }
    if (!fit || !folder) {
        fprintf(stderr, "usage: bench_plan --fit FOLDER --score FOLDER [--rows]\n");
        return 2;
    }
    weft_error error;
    weft_error_clear(&error);
    if (score(fit, folder, rows, &error) == WEFT_OK) return 0;
    fprintf(stderr, "bench_plan: %s\n", error.text);
    return 1;
}
