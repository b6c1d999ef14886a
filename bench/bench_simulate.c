/*
 * Times the way from a schedule to its bubble, on one core: generate, lower, simulate, measure.
 *
 *     bench_simulate
 *
 * Prints millions of actions a second of each part, at four sizes of breadth-first (8 loops, 512 micro-batches; the
 * largest has a hundred million actions) and for orders that go back and forth between ranks. The floor of simulate is
 * the memory that it must move, at the speed of the copy that the same run measured.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "simulate/simulate.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { COPY = 256 << 20, REPEATS = 5 };

typedef struct subject {
    const char *kind;
    int32_t ranks, loops, microbatches;
} subject;

typedef struct run {
    weft_schedule *schedule;
    weft_program *program;
    weft_timeline timeline;
    weft_bubble_rank *ranks; /* (P) */
    double *times;           /* (S) */
} run;

static weft_status measure_copy(double *out_bytes_per_second, weft_error *error)
{
    char *from = NULL, *to = NULL;
    double best = 0;
    TRY(weft_allocate(COPY, 1, &from, error));
    weft_status status = weft_allocate(COPY, 1, &to, error);
    for (int i = 0; i < REPEATS && status == WEFT_OK; i++) {
        from[i] = (char)(i + 1);
        double begin = weft_clock_seconds();
        memcpy(to, from, COPY);
        double rate = 2.0 * COPY / (weft_clock_seconds() - begin);
        if (rate > best && to[i] == i + 1) best = rate;
    }
    weft_free(from);
    weft_free(to);
    *out_bytes_per_second = best;
    return status;
}

/* Seconds since *at, which moves to now. */
static double lap(double *at)
{
    double before = *at;
    *at = weft_clock_seconds();
    return *at - before;
}

/* What simulate must move: action, first edge, edges, the end that each edge reads, begin and end written, which reads
 * their lines too. */
static double bytes_moved(const weft_program *program)
{
    double edges = program->after_first[program->action_count];
    return program->action_count * (8.0 + 4.0 + 2 * 16.0) + edges * (4.0 + 8.0);
}

static weft_status go(const subject *what, run *it, double copy, weft_error *error)
{
    weft_schedule_options options = {
        .kind = what->kind, .ranks = what->ranks, .loops = what->loops, .microbatches = what->microbatches};
    double at = weft_clock_seconds(), step, bubble;
    TRY(weft_schedule_create(&options, &it->schedule, error));
    double generate = lap(&at);
    TRY(weft_program_create(it->schedule, &(weft_lower_options){0}, &it->program, error));
    double lower = lap(&at);
    const weft_program *program = it->program;
    weft_schedule_destroy(it->schedule);
    it->schedule = NULL;
    TRY(weft_allocate((size_t)program->stages, sizeof *it->times, &it->times, error));
    TRY(weft_allocate((size_t)program->ranks, sizeof *it->ranks, &it->ranks, error));
    for (int32_t s = 0; s < program->stages; s++) it->times[s] = 1;
    weft_costs costs = {
        .forward = it->times, .backward_input = it->times, .backward_weight = it->times, .message = 0.1};
    TRY(weft_timeline_init(&it->timeline, program, error));
    double memory = lap(&at);
    TRY(weft_simulate(program, &costs, &it->timeline, error));
    double simulate = lap(&at);
    weft_bubble_measure(&it->timeline, &step, &bubble, it->ranks);
    double measure = lap(&at), actions = program->action_count, all = generate + lower + memory + simulate + measure;
    printf("%-14s %5d %8.2f %9.1f %6.1f %9.1f %8.1f %6.1f %6.2f %6.2f\n", what->kind, (int)what->ranks, 1e-6 * actions,
           1e-6 * actions / generate, 1e-6 * actions / lower, 1e-6 * actions / simulate, 1e-6 * actions / measure,
           1e-6 * actions / all, all, bytes_moved(program) / copy / simulate);
    return WEFT_OK;
}

static weft_status measure_one(const subject *what, double copy, weft_error *error)
{
    run it = {0};
    weft_status status = go(what, &it, copy, error);
    weft_schedule_destroy(it.schedule);
    weft_timeline_fini(&it.timeline);
    weft_program_destroy(it.program);
    weft_free(it.ranks);
    weft_free(it.times);
    return status;
}

int main(void)
{
    static const subject subjects[] = {
        {"breadth-first", 64, 8, 512},   {"breadth-first", 256, 8, 512}, {"breadth-first", 1024, 8, 512},
        {"1f1b", 1024, 1, 2048},         {"depth-first", 1024, 8, 1024}, {"dualpipe-v", 256, 2, 4096},
        {"breadth-first", 4096, 8, 512},
    };
    weft_error error = {0};
    double copy = 0;
    weft_status status = measure_copy(&copy, &error);
    printf("one core, copy %.1f GB/s; millions of actions, and millions of actions a second of each part\n",
           copy * 1e-9);
    printf("%-14s %5s %8s %9s %6s %9s %8s %6s %6s %6s\n", "schedule", "P", "actions", "generate", "lower", "simulate",
           "measure", "all", "s", "floor");
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects && status == WEFT_OK; i++)
        status = measure_one(&subjects[i], copy, &error);
    struct rusage usage;
    if (status == WEFT_OK && getrusage(RUSAGE_SELF, &usage) == 0)
        printf("most memory held: %.2f GiB, at the largest\n", (double)usage.ru_maxrss / (1 << 20));
    if (status != WEFT_OK) printf("failed: %s\n", error.text);
    return status == WEFT_OK ? 0 : 1;
}
