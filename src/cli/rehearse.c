/* weft rehearse: the real worker and transport run a program on emulated devices, beside its simulation. */
#include "cli/auto.h"
#include "cli/costs.h"
#include "cli/launch.h"
#include "cli/pictures.h"
#include "cli/rehearsal.h"
#include "cli/sharding.h"
#include "cli/source.h"
#include "convert/weights.h"

#include "report/report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS_LIMIT = 1024, STAGES_LIMIT = 65536 }; /* a thread or a process each; a layer each */
enum { LONGEST_SECONDS = 86400 };                    /* of an action */

typedef struct rehearsal {
    weft_config config;
    bool has_config;
    weft_schedule *schedule;  /* until the job takes it */
    weft_lower_options lower; /* of a kind or a schedule file */
    int64_t data;             /* pipelines side by side */
    weft_cli_costs costs;     /* in the unit */
    weft_costs seconds;
    const char *unit;
    double unit_seconds;
    weft_job *job;
    int64_t steps;
    weft_text said; /* where stages were put; rank 0 tells */
    weft_arena arena;
} rehearsal;

static bool names_configuration(const weft_arguments *arguments)
{
    const char *dot = strrchr(arguments->operands[0], '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* The file as training would read it says which schedule it is. */
static weft_status read_schedule(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    static const char *const sizes[] = {"pipeline", "loops", "microbatches", "placement", "group",
                                        "dialect",  "data",  "shard",        "buffers",   "reduce-early"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (weft_arguments_has(arguments, sizes[i]))
            FAIL(error, WEFT_INVALID, "--%s: %s says it; change its keys by key=value", sizes[i],
                 arguments->operands[0]);
    weft_config config;
    TRY(weft_start_load(&config, arguments->operands[0], arguments->operands + 1, arguments->operand_count - 1, error));
    it->data = config.parallel.data;
    weft_status status = weft_job_place(&config, &it->said, error);
    if (status == WEFT_OK) status = weft_text_check(&it->said, error);
    if (status == WEFT_OK) status = weft_job_schedule(&config, &it->schedule, error);
    weft_config_fini(&config);
    return status;
}

static weft_status read_flags(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    TRY(weft_cli_sharding(arguments, &it->lower, error));
    it->data = it->lower.data;
    return weft_cli_schedule(arguments, 0, &it->schedule, error);
}

static weft_status find_schedule(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    bool configured = names_configuration(arguments);
    if (!configured && arguments->operand_count > 1)
        FAIL(error, WEFT_INVALID, "unexpected operand '%s'; key=value goes with FILE.yaml only",
             arguments->operands[1]);
    TRY((configured ? read_schedule : read_flags)(it, arguments, error));
    int64_t workers = it->data * it->schedule->ranks;
    if (workers > WORKERS_LIMIT || it->schedule->stages > STAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "%d stages over %lld workers are too many to rehearse: up to %d over %d are not",
             (int)it->schedule->stages, (long long)workers, (int)STAGES_LIMIT, (int)WORKERS_LIMIT);
    return WEFT_OK;
}

/* A model of next to nothing, one layer a stage: its messages travel, its kernels are never run. */
static weft_status load_model(rehearsal *it, const weft_arguments *arguments, const weft_text *stages,
                              const weft_text *placement, weft_error *error)
{
    enum { MORE = 9 };
    bool configured = names_configuration(arguments);
    int given = arguments->operand_count - 1, count = 0;
    const char **all = NULL, *transport = weft_arguments_get(arguments, "transport");
    char layers[40], loops[40], own[5][40];
    int32_t even = it->schedule->loops; /* 0: ranks have different numbers of stages */
    TRY(weft_arena_take(&it->arena, (size_t)given + MORE, sizeof *all, &all, error));
    for (int i = 0; i < given; i++) all[count++] = arguments->operands[1 + i];
    snprintf(layers, sizeof layers, "model.layers=%d", (int)it->schedule->stages);
    all[count++] = layers;
    all[count++] = weft_text_get(stages);
    snprintf(loops, sizeof loops, "parallel.loops=%d", even ? (int)even : 1);
    all[count++] = loops;
    all[count++] = weft_text_get(placement);
    snprintf(own[0], sizeof own[0], "transport=%s", transport ? transport : "");
    if (transport) all[count++] = own[0];
    it->has_config = true;
    if (configured)
        return weft_config_load_for(&it->config, WEFT_CONFIG_TO_REHEARSE, arguments->operands[0], all, count, error);
    snprintf(own[1], sizeof own[1], "parallel.pipeline=%d", (int)it->schedule->ranks);
    snprintf(own[2], sizeof own[2], "batch.microbatches=%d", (int)it->schedule->microbatches);
    snprintf(own[3], sizeof own[3], "model.tied=false");
    snprintf(own[4], sizeof own[4], "parallel.data=%lld", (long long)it->data);
    for (int i = 1; i < 5; i++) all[count++] = own[i];
    return weft_config_load_text_for(&it->config, WEFT_CONFIG_TO_REHEARSE, "{}", 2, "rehearsal", all, count, error);
}

static weft_status make_model(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    const weft_schedule *schedule = it->schedule;
    weft_text stages, placement;
    weft_text_init(&stages);
    weft_text_init(&placement);
    weft_text_add(&stages, "parallel.stages=[1");
    weft_text_add(&placement, "parallel.placement=%s", schedule->loops ? "own" : "");
    for (int32_t s = 1; s < schedule->stages; s++) weft_text_add(&stages, ",1");
    for (int32_t s = 0; s < schedule->stages && !schedule->loops; s++)
        weft_text_add(&placement, "%s%d", s ? "," : "", (int)schedule->stage_rank[s]);
    weft_text_add(&stages, "]");
    weft_status status = weft_text_check(&stages, error);
    if (status == WEFT_OK) status = weft_text_check(&placement, error);
    if (status == WEFT_OK) status = load_model(it, arguments, &stages, &placement, error);
    if (status == WEFT_OK) weft_cli_settle(&it->config);
    weft_text_fini(&stages);
    weft_text_fini(&placement);
    return status;
}

static weft_status check_seconds(double seconds, weft_error *error)
{
    if (seconds <= LONGEST_SECONDS) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "a time of %g s is too long to rehearse: up to %d s are not", seconds,
         (int)LONGEST_SECONDS);
}

static weft_status to_seconds(rehearsal *it, const double *from, const double **out, weft_error *error)
{
    double *to = NULL;
    if (!from) return WEFT_OK;
    size_t stages = (size_t)it->schedule->stages;
    TRY(weft_arena_take(&it->arena, stages, sizeof *to, &to, error));
    for (size_t s = 0; s < stages; s++) {
        to[s] = from[s] * it->unit_seconds;
        TRY(check_seconds(to[s], error));
    }
    *out = to;
    return WEFT_OK;
}

/* It takes its time: costs of a second each, which nobody asked for, would be no help. */
static weft_status read_costs(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    static const char *const any[] = {"costs", "forward", "backward-input", "backward-weight", "backward"};
    size_t i = 0;
    while (i < sizeof any / sizeof *any && !weft_arguments_has(arguments, any[i])) i++;
    if (i == sizeof any / sizeof *any)
        FAIL(error, WEFT_INVALID, "--forward is missing: give the times of F, I and W, or --costs");
    if (weft_arguments_has(arguments, "overlap"))
        FAIL(error, WEFT_INVALID, "--overlap: rehearsals run the parts of a pair one after the other");
    TRY(weft_cli_costs_init(&it->costs, arguments, it->schedule, false, error));
    const weft_costs *given = &it->costs.costs;
    it->seconds.reduce = given->reduce * it->unit_seconds;
    TRY(check_seconds(it->seconds.reduce, error));
    TRY(to_seconds(it, given->forward, &it->seconds.forward, error));
    TRY(to_seconds(it, given->backward_input, &it->seconds.backward_input, error));
    TRY(to_seconds(it, given->backward_weight, &it->seconds.backward_weight, error));
    TRY(to_seconds(it, given->backward, &it->seconds.backward, error));
    TRY(to_seconds(it, given->latencies, &it->seconds.latencies, error));
    TRY(to_seconds(it, given->update, &it->seconds.update, error));
    TRY(to_seconds(it, given->gathers, &it->seconds.gathers, error));
    TRY(to_seconds(it, given->reductions, &it->seconds.reductions, error));
    return to_seconds(it, given->messages, &it->seconds.messages, error);
}

static weft_status prepare(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    TRY(weft_cli_unit(arguments, &it->unit, error));
    it->unit_seconds = weft_cli_unit_seconds(it->unit);
    TRY(weft_arguments_int(arguments, "steps", 5, 1, 1000, &it->steps, error));
    TRY(find_schedule(it, arguments, error));
    TRY(read_costs(it, arguments, error));
    TRY(make_model(it, arguments, error));
    it->lower.update = it->lower.norm = it->lower.clip = it->costs.has_update;
    weft_job_rehearsal how = {
        .schedule = it->schedule, .costs = &it->seconds, .lower = names_configuration(arguments) ? NULL : &it->lower};
    it->schedule = NULL;
    TRY(weft_job_create_rehearsal(&it->config, &how, &it->job, error));
    return weft_cli_pictures_check(arguments, it->job->train, error);
}

static weft_status draw(const weft_cli_rehearsal *shown, const weft_arguments *arguments, weft_error *error)
{
    const weft_schedule *schedule = shown->job->schedule;
    const weft_cli_step *middle = weft_cli_rehearsal_middle(shown);
    char title[128], loops[32] = "", caption[64];
    double scale = 1 / shown->unit_seconds;
    if (schedule->loops > 1) snprintf(loops, sizeof loops, ", %d loops", (int)schedule->loops);
    snprintf(title, sizeof title, "%s, P = %d%s, M = %d", schedule->name, (int)schedule->ranks, loops,
             (int)schedule->microbatches);
    snprintf(caption, sizeof caption, "rehearsed, step %lld", (long long)middle->number);
    weft_picture simulated = {.title = title, .caption = "simulated", .unit = shown->unit, .unit_scale = scale};
    weft_picture rehearsed = {.title = title, .caption = caption, .unit = shown->unit, .unit_scale = scale};
    weft_panel panels[] = {{&shown->job->predicted, &simulated}, {&middle->timeline, &rehearsed}};
    return weft_cli_pictures_stack(arguments, panels, 2, error);
}

static weft_status report(const weft_cli_rehearsal *shown, const weft_arguments *arguments, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    (weft_arguments_has(arguments, "json") ? weft_cli_rehearsal_json : weft_cli_rehearsal_text)(shown, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

/* Only rank 0 keeps and shows anything. */
static weft_status perform(const rehearsal *it, const weft_arguments *arguments, int32_t rank, weft_error *error)
{
    weft_cli_rehearsal shown = {
        .unit = it->unit, .unit_seconds = it->unit_seconds, .asked = it->steps, .tells = isatty(STDERR_FILENO)};
    weft_status status = weft_cli_rehearsal_init(&shown, it->job, error);
    weft_rehearsal how = {.steps = it->steps,
                          .stop = weft_cli_catch_signals(),
                          .step = weft_cli_rehearsal_step,
                          .context = &shown,
                          .late = weft_cli_late};
    if (status == WEFT_OK) status = weft_rehearse(it->job, &how, error);
    weft_cli_release_signals();
    if (status == WEFT_OK && rank == 0) status = draw(&shown, arguments, error);
    if (status == WEFT_OK && rank == 0) status = report(&shown, arguments, error);
    weft_cli_rehearsal_fini(&shown);
    return status;
}

static weft_status rehearse(rehearsal *it, const weft_arguments *arguments, weft_error *error)
{
    int32_t rank = 0;
    TRY(prepare(it, arguments, error));
    TRY(weft_cli_launch(&it->config, &rank, error));
    if (rank == 0) weft_cli_auto_tell(weft_text_get(&it->said));
    return weft_cli_land(&it->config, "rehearse", rank, perform(it, arguments, rank, error), error);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    rehearsal it = {0};
    weft_text_init(&it.said);
    weft_arena_init(&it.arena);
    weft_status status = rehearse(&it, arguments, error);
    weft_job_destroy(it.job);
    if (it.has_config) weft_config_fini(&it.config);
    weft_cli_costs_fini(&it.costs);
    weft_schedule_destroy(it.schedule);
    weft_text_fini(&it.said);
    weft_arena_fini(&it.arena);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "The schedule's program is run step after step by the worker and the transport that train, on devices that\n"
        "compute nothing: an action takes the time that its cost says. FILE.yaml is a configuration; schedule, sizes,\n"
        "sharding and transport are its, the model and the data are left out. SIGINT, SIGTERM, SIGHUP and SIGUSR1\n"
        "finish the step and show the steps done; one that comes a second or more after the first ends at once.\n\n");
    weft_cli_schedule_kinds(out);
}

static const weft_option options[] = {
    WEFT_CLI_SCHEDULE_OPTIONS,
    WEFT_CLI_SHARDING_OPTIONS,
    WEFT_CLI_COST_OPTIONS,
    {"steps", "N", "steps to run, up to 1000 (5)"},
    {"transport", "local|mpi",
     "workers as threads, or as processes under mpirun or srun (default: local, or the file's)"},
    WEFT_CLI_PICTURE_OPTIONS,
    {"json", NULL, "print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_rehearse = {
    .name = "rehearse",
    .summary = "Runs a schedule by the real worker on emulated devices, and compares it with its simulation",
    .operands = "KIND|FILE.csv|FILE.yaml [key=value ...]",
    .options = options,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
