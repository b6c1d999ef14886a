/* weft sweep: one batch cut into micro-batches of several sizes; each is predicted, then measured by training steps. */
#include "cli/sweep.h"

#include "base/file.h"
#include "cli/launch.h"
#include "cli/pictures.h"
#include "cli/verb.h"
#include "convert/weights.h"
#include "transport/kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char operand[] = "microbatch";
static const double seconds_of_peak = 0.6, seconds_of_calibration = 0.5;

enum { MOST_STEPS = 100000 };

/* What a measured step was. */
typedef struct sample {
    double seconds, bubble;
} sample;

typedef struct sweeper {
    const weft_arguments *arguments;
    weft_cli_sizes sizes;
    weft_sweep sweep;
    int at;          /* the size that runs */
    int shown;       /* rows of the table that were printed */
    sample *samples; /* (steps) of it */
    int64_t count;
    int32_t rank;   /* of this process; only rank 0 shows anything */
    FILE *progress; /* where the table grows; with --json standard error */
    bool headed;    /* the table has begun */
    bool terminal;  /* standard error shows which step runs */
    int noted;      /* 1 + the size whose notes were shown: each other would say them again; 0: none yet */
} sweeper;

static weft_status on_started(void *context, const weft_run_start *start, weft_error *error)
{
    (void)error;
    sweeper *self = context;
    if (start->peak > 0) self->sweep.peak = start->peak;
    return WEFT_OK;
}

/* Before any step of this size was run. */
static weft_status on_calibrated(void *context, const weft_calibration *calibration, weft_error *error)
{
    sweeper *self = context;
    const weft_program *program = self->sizes.jobs[self->at]->train;
    weft_sweep_row *row = &self->sizes.rows[self->at];
    weft_timeline timeline = {0};
    weft_bubble_rank *ranks = NULL;
    double seconds = 0, bubble = 0;
    weft_status status = weft_allocate((size_t)program->ranks, sizeof *ranks, &ranks, error);
    if (status == WEFT_OK) status = weft_timeline_init(&timeline, program, error);
    if (status == WEFT_OK) status = weft_simulate(program, &calibration->costs, &timeline, error);
    if (status == WEFT_OK) {
        weft_bubble_measure(&timeline, &seconds, &bubble, ranks);
        double step = seconds + calibration->between;
        row->predicted = weft_sweep_figure(&self->sweep, step, 1 - (1 - bubble) * seconds / step);
        row->has_prediction = true;
    }
    weft_timeline_fini(&timeline);
    weft_free(ranks);
    return status;
}

static weft_status on_step(void *context, const weft_step_record *record, weft_error *error)
{
    (void)error;
    sweeper *self = context;
    if (self->terminal)
        fprintf(stderr, "\rmicro-batches of %lld: step %lld of %lld\033[K%s",
                (long long)self->sizes.rows[self->at].microbatch, (long long)record->step, (long long)record->steps,
                record->step == record->steps ? "\r\033[K" : "");
    if (record->step <= self->sweep.warmup) return WEFT_OK;
    double bubble = 0;
    for (int32_t rank = 0; rank < record->ranks; rank++) bubble += record->bubble[rank] / record->ranks;
    self->samples[self->count++] = (sample){.seconds = record->seconds, .bubble = bubble};
    return WEFT_OK;
}

static void on_note(void *context, const char *line)
{
    sweeper *self = context;
    if (self->noted == 0) self->noted = 1 + self->at;
    if (self->noted != 1 + self->at) return;
    fprintf(stderr, "%snote: %s\n", self->terminal ? "\r\033[K" : "", line);
}

static int by_seconds(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

/* Of one step, the median one, so that its figures agree with each other. */
static void take_median(sweeper *self)
{
    weft_sweep_row *row = &self->sizes.rows[self->at];
    qsort(self->samples, (size_t)self->count, sizeof *self->samples, by_seconds);
    const sample *middle = &self->samples[(self->count - 1) / 2];
    row->measured = weft_sweep_figure(&self->sweep, middle->seconds, middle->bubble);
    row->outcome = WEFT_SWEEP_MEASURED;
}

static weft_status write_file(const sweeper *self, const char *option,
                              void (*write)(const weft_sweep *sweep, weft_text *out), weft_error *error)
{
    const char *path = weft_arguments_get(self->arguments, option);
    if (!path) return WEFT_OK;
    weft_text text;
    weft_text_init(&text);
    write(&self->sweep, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_file_write(path, weft_text_get(&text), text.length, error);
    weft_text_fini(&text);
    return status;
}

/* The files have every size that is done: what ends this process later takes nothing away. */
static weft_status keep(const sweeper *self, weft_error *error)
{
    TRY(write_file(self, "svg", weft_sweep_svg, error));
    return write_file(self, "csv", weft_sweep_csv, error);
}

/* The next row of the table. */
static weft_status show_row(sweeper *self, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    if (!self->headed) weft_sweep_text_head(&self->sweep, &text);
    self->headed = true;
    weft_sweep_text_row(&self->sweep, &self->sizes.rows[self->shown++], &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK && (fputs(weft_text_get(&text), self->progress) < 0 || fflush(self->progress) != 0))
        status = weft_fail(error, WEFT_FAILED, "cannot write the table");
    weft_text_fini(&text);
    return status;
}

static weft_status train(sweeper *self, bool first, const volatile sig_atomic_t *stop, weft_error *error)
{
    weft_train_options options = {.stop = stop,
                                  .peak_seconds = first ? seconds_of_peak : 0, /* one denominator for all sizes */
                                  .calibrate_seconds = seconds_of_calibration,
                                  .late = weft_cli_late,
                                  .trial_steps = self->sweep.warmup + self->sweep.steps,
                                  .stopped = &self->sweep.stopped};
    options.observer = (weft_observer){
        .context = self, .started = on_started, .calibrated = on_calibrated, .step = on_step, .note = on_note};
    self->count = 0;
    return weft_train(self->sizes.jobs[self->at], &options, error);
}

/* One size. A failed allocation is a result; between processes the others are lost with the one that met it. */
static weft_status run_size(sweeper *self, bool first, const volatile sig_atomic_t *stop, weft_error *error)
{
    weft_sweep_row *row = &self->sizes.rows[self->at];
    bool local = !weft_transport_kind_get(self->sizes.configs[self->at].transport)->processes;
    weft_status status = train(self, first, stop, error);
    if (status == WEFT_NO_MEMORY && local) {
        row->outcome = WEFT_SWEEP_TOO_LARGE;
        row->has_prediction = false;
        return weft_arena_text(&self->sizes.arena, error->text, &row->reason, error);
    }
    if (status == WEFT_OK && !self->sweep.stopped && self->rank == 0) take_median(self);
    return status;
}

static weft_status run_sizes(sweeper *self, weft_error *error)
{
    const volatile sig_atomic_t *stop = weft_cli_catch_signals();
    bool local = !weft_transport_kind_get(self->sizes.configs[0].transport)->processes, first = true;
    for (self->at = 0; self->at < self->sizes.count; self->at++) {
        weft_sweep_row *row = &self->sizes.rows[self->at];
        self->sweep.stopped = local && *stop; /* processes agree on it between steps only */
        if (row->outcome == WEFT_SWEEP_NOT_RUN && !self->sweep.stopped) {
            TRY(run_size(self, first, stop, error));
            first = false;
        }
        if (self->sweep.stopped) break;
        if (self->rank != 0) continue;
        TRY(show_row(self, error));
        TRY(keep(self, error));
    }
    return WEFT_OK;
}

/* What is done when the sweep ends, however it ends. */
static weft_status finish(sweeper *self, weft_error *error)
{
    bool json = weft_arguments_has(self->arguments, "json");
    weft_text text;
    while (self->shown < self->sizes.count) TRY(show_row(self, error));
    TRY(keep(self, error));
    weft_text_init(&text);
    (json ? weft_sweep_json : weft_sweep_text_end)(&self->sweep, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status sweep(sweeper *self, weft_error *error)
{
    weft_status status = run_sizes(self, error);
    if (self->terminal) fprintf(stderr, "\r\033[K");
    weft_cli_release_signals();
    if (self->rank != 0) return status;
    if (status != WEFT_OK && weft_sweep_best(&self->sweep) < 0) return status;
    self->sweep.stopped |= status != WEFT_OK;
    weft_error ending;
    weft_error_clear(&ending);
    if (finish(self, &ending) == WEFT_OK || status != WEFT_OK) return status;
    *error = ending;
    return ending.status;
}

/* Whether there is anything to run. */
static weft_status check_sizes(const weft_cli_sizes *sizes, weft_error *error)
{
    for (int i = 0; i < sizes->count; i++)
        if (sizes->rows[i].outcome == WEFT_SWEEP_NOT_RUN) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "no size fits: at %lld sequence%s a micro-batch %s", (long long)sizes->rows[0].microbatch,
         weft_text_plural(sizes->rows[0].microbatch), sizes->rows[0].reason);
}

static weft_status prepare(sweeper *self, const weft_config *config, const char *list, weft_error *error)
{
    const weft_arguments *arguments = self->arguments;
    TRY(weft_arguments_int(arguments, "steps", 5, 1, MOST_STEPS, &self->sweep.steps, error));
    TRY(weft_arguments_int(arguments, "warmup", 2, 0, MOST_STEPS, &self->sweep.warmup, error));
    static const char *const files[] = {"svg", "csv"};
    TRY(weft_cli_outputs_check(arguments, files, sizeof files / sizeof *files, error));
    TRY(weft_cli_sizes_init(&self->sizes, config, list, error));
    TRY(check_sizes(&self->sizes, error));
    const weft_job *job = self->sizes.jobs[0];
    self->sweep.schedule = job->schedule->name;
    self->sweep.ranks = job->ranks;
    self->sweep.stages = job->stage_count;
    self->sweep.data = job->data;
    self->sweep.tensor = job->tensor;
    self->sweep.sequences = job->data * config->batch.sequences * config->batch.microbatches;
    self->sweep.tokens = config->batch.tokens;
    self->sweep.step_flops = job->step_flops;
    self->sweep.memory_limit = config->memory_limit;
    self->sweep.rows = self->sizes.rows;
    self->sweep.count = self->sizes.count;
    return weft_allocate((size_t)self->sweep.steps, sizeof *self->samples, &self->samples, error);
}

static weft_status run_config(const weft_arguments *arguments, const weft_config *config, const char *list,
                              weft_error *error)
{
    sweeper self = {.arguments = arguments,
                    .progress = weft_arguments_has(arguments, "json") ? stderr : stdout,
                    .terminal = isatty(STDERR_FILENO) && !weft_cli_launched()};
    weft_status status = prepare(&self, config, list, error);
    if (status == WEFT_OK) status = weft_cli_launch(config, &self.rank, error);
    if (status == WEFT_OK) status = weft_cli_land(config, "sweep", self.rank, sweep(&self, error), error);
    weft_free(self.samples);
    weft_cli_sizes_fini(&self.sizes);
    return status;
}

/* Takes the list of sizes out of the operands; the rest are overrides of the file. */
static weft_status split_operands(const weft_arguments *arguments, const char **overrides, int *out_count,
                                  const char **out_list, weft_error *error)
{
    const char *const names[] = {operand};
    size_t length = strlen(operand);
    *out_list = NULL;
    *out_count = 0;
    if (strncmp(arguments->operands[0], operand, length) == 0 && arguments->operands[0][length] == '=')
        FAIL(error, WEFT_INVALID, "the first operand is FILE.yaml, not '%.60s'", arguments->operands[0]);
    for (int i = 1; i < arguments->operand_count; i++) {
        const char *word = arguments->operands[i];
        if (strncmp(word, operand, length) == 0 && word[length] == '=')
            *out_list = word + length + 1;
        else
            overrides[(*out_count)++] = word;
    }
    for (int i = 0; !*out_list && i < *out_count; i++) {
        char key[32];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(overrides[i], "="), overrides[i]);
        if (strchr(key, '.') == NULL && weft_text_nearest(key, names, 1) == 0)
            FAIL(error, WEFT_INVALID, "unknown key '%s' (nearest: '%s')", key, operand);
    }
    if (!*out_list) FAIL(error, WEFT_INVALID, "the sizes are missing: add %s=1,2,4,8", operand);
    return WEFT_OK;
}

static weft_status check_chosen(const weft_config *config, weft_error *error)
{
    if (config->parallel.automatic)
        return weft_config_complain(config, "parallel.auto", error,
                                    "a sweep measures the layout that is set, none is chosen: set it to false");
    if (strcmp(config->parallel.placement, "auto") == 0)
        return weft_config_complain(config, "parallel.placement", error,
                                    "a sweep measures one placement at all sizes, none is chosen: set it, and "
                                    "parallel.loops, to what weft config shows");
    return WEFT_OK;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    const char **overrides = NULL, *list = NULL;
    int count = 0;
    weft_config config;
    TRY(weft_allocate((size_t)arguments->operand_count, sizeof *overrides, &overrides, error));
    weft_status status = split_operands(arguments, overrides, &count, &list, error);
    if (status == WEFT_OK) status = weft_start_load(&config, arguments->operands[0], overrides, count, error);
    if (status == WEFT_OK) {
        weft_cli_settle(&config);
        status = check_chosen(&config, error);
        if (status == WEFT_OK) status = run_config(arguments, &config, list, error);
        weft_config_fini(&config);
    }
    weft_free(overrides);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "The batch stays that of FILE.yaml, batch.sequences x batch.microbatches sequences for each data-parallel\n"
        "pipeline; %s=LIST says how many sequences a micro-batch has, in turn. Each size is predicted from what\n"
        "its parts take alone, then measured by training steps that keep nothing: the run folder is neither read nor\n"
        "written. SIGINT, SIGTERM, SIGHUP and SIGUSR1 end the sweep after the step; what is complete is printed and\n"
        "drawn. Under mpirun or srun add transport=mpi. docs/sweep.md says what the figures mean.\n",
        operand);
}

static const weft_option options[] = {
    {"steps", "N", "steps of each size that are measured; the median counts (default 5)"},
    {"warmup", "N", "steps of each size before those (default 2)"},
    {"svg", "FILE", "draw throughput, bubble and shares of the peak over the size"},
    {"csv", "FILE", "write the figures as a table"},
    {"json", NULL, "print an object (docs/cli.md); the table goes to standard error"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_sweep = {
    .name = "sweep",
    .summary = "Measures and predicts one batch cut into micro-batches of several sizes, and says what limits each",
    .operands = "FILE.yaml microbatch=1,2,4,8 [key=value ...]",
    .options = options,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
