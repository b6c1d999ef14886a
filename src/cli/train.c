/* weft train: a training run, or with --dry-run everything that is known before it. */
#include "base/json.h"
#include "cli/auto.h"
#include "cli/generate.h"
#include "cli/launch.h"
#include "cli/observer.h"
#include "cli/verb.h"
#include "convert/weights.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static weft_status dry_run(const weft_job *job, const char *notes, bool json, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    if (json)
        weft_job_print_json(job, notes, &text);
    else
        weft_job_print(job, notes, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

/* Measured to no more digits than these; null where it is not known. */
static void add_number(weft_json *json, const char *key, double value, bool known)
{
    weft_json_rounded(json, key, 9, known ? value : NAN);
}

static double peak_resident_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static weft_status print_summary(const weft_job *job, weft_run_observer *observer, weft_error *error)
{
    const weft_step_record *last = &observer->last_step;
    const weft_evaluation_record *held_out = &observer->last_evaluation;
    double median = weft_run_observer_median(observer), peak = observer->start.peak;
    bool ran = last->step > 0;
    weft_text text;
    weft_text_init(&text);
    weft_json json = weft_json_begin(&text, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_text(&json, "run", job->config->run.folder);
    weft_json_int(&json, "step", ran ? last->step : observer->start.resumed_step);
    add_number(&json, "loss", last->loss, ran);
    add_number(&json, "held_out_loss", held_out->loss, held_out->step > 0);
    add_number(&json, "bits_per_byte", held_out->bits_per_byte, held_out->bits_per_byte > 0);
    add_number(&json, "median_step_seconds", median, ran);
    add_number(&json, "tokens_per_second", last->tokens_per_second * last->seconds / (median > 0 ? median : 1), ran);
    add_number(&json, "flops_per_second", job->step_flops / (median > 0 ? median : 1), ran);
    add_number(&json, "peak_flops_per_second", peak, peak > 0);
    add_number(&json, "peak_share", job->step_flops / (median > 0 ? median : 1) / (peak > 0 ? peak : 1),
               ran && peak > 0);
    add_number(&json, "efficiency", 1 - observer->mean_bubble, ran);
    add_number(&json, "predicted_efficiency", job->predicted_efficiency, true);
    add_number(&json, "peak_resident_bytes", peak_resident_bytes(), true);
    weft_json_object_end(&json);
    weft_text_add(&text, "\n");
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status finish(const weft_job *job, weft_run_observer *observer, bool json, weft_error *error)
{
    const weft_config *config = job->config;
    if (json) return print_summary(job, observer, error);
    if (observer->last_step.step == config->run.steps && config->run.sample_tokens > 0) {
        printf("\n");
        weft_sample_options options = {.prompt = weft_sample_prompt(config),
                                       .tokens = config->run.sample_tokens,
                                       .temperature = 0.8,
                                       .seed = (uint64_t)config->run.seed};
        TRY(weft_cli_generate(config->run.folder, NULL, options, error));
        printf("\n");
    }
    printf("run        %s\n", config->run.folder);
    if (observer->drawn) printf("timeline   %s/timeline.svg\n", config->run.folder);
    return WEFT_OK;
}

/* rank: this process's, 0 without MPI; only rank 0 shows anything. */
static weft_status run_job(const weft_arguments *arguments, const weft_job *job, int32_t rank, weft_error *error)
{
    bool json = weft_arguments_has(arguments, "json");
    weft_run_observer observer;
    TRY(weft_run_observer_init(&observer, job, json ? stderr : stdout, error));
    weft_train_options options = {.resume = weft_arguments_has(arguments, "resume"),
                                  .stop = weft_cli_catch_signals(),
                                  .peak_seconds = 0.3,
                                  .late = weft_cli_late};
    options.observer = rank == 0 ? weft_run_observer_table(&observer) : weft_run_observer_silent();
    options.observer.context = &observer;
    options.observer.tokenised = weft_run_observer_tokenised;
    weft_status status = weft_train(job, &options, error);
    weft_cli_release_signals(); /* what follows training, a sample, ends at once */
    weft_run_observer_end_line(&observer);
    if (status == WEFT_OK && rank == 0) status = finish(job, &observer, json, error);
    weft_error closing;
    weft_error_clear(&closing);
    if (weft_run_observer_fini(&observer, &closing) != WEFT_OK && status == WEFT_OK) {
        *error = closing;
        status = closing.status;
    }
    return status;
}

/* Before hours of training, not after. */
static weft_status check_prompt(const weft_config *config, weft_error *error)
{
    const char *prompt = weft_sample_prompt(config);
    if (config->run.sample_tokens == 0 || weft_sample_check(config, prompt, error) == WEFT_OK) return WEFT_OK;
    if (*prompt || error->status == WEFT_NO_MEMORY) return weft_config_relay(config, "run.sample_prompt", error);
    return weft_config_complain(config, "run.sample_prompt", error,
                                "is empty, and a sample of run.sample_tokens goes on from it: set it to a token number "
                                "or more, such as run.sample_prompt=\"1 2\"");
}

static weft_status train(const weft_arguments *arguments, weft_config *config, int32_t rank, weft_error *error)
{
    weft_job *job = NULL;
    TRY(weft_train_settle(config, error));
    TRY(check_prompt(config, error));
    TRY(weft_job_create(config, &job, error));
    weft_status status = run_job(arguments, job, rank, error);
    weft_job_destroy(job);
    return status;
}

/* said: what stands before the notes. */
static weft_status plan(const weft_arguments *arguments, weft_config *config, const char *said, weft_error *error)
{
    weft_job *job = NULL;
    TRY(weft_train_settle(config, error));
    TRY(check_prompt(config, error));
    TRY(weft_job_create(config, &job, error));
    weft_text notes;
    weft_text_init(&notes);
    weft_text_add(&notes, "%s", said);
    weft_job_notes(job, &notes);
    weft_status status = weft_train_check(config, &notes, error);
    if (status == WEFT_OK) status = weft_text_check(&notes, error);
    if (status == WEFT_OK) status = dry_run(job, weft_text_get(&notes), weft_arguments_has(arguments, "json"), error);
    weft_text_fini(&notes);
    weft_job_destroy(job);
    return status;
}

static weft_status launch(const weft_arguments *arguments, weft_config *config, const char *said, weft_error *error)
{
    int32_t rank = 0;
    TRY(weft_cli_launch(config, &rank, error));
    if (rank == 0) weft_cli_auto_tell(said);
    return weft_cli_land(config, "train", rank, train(arguments, config, rank, error), error);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_config config;
    weft_text said;
    weft_cli_auto how = {.resumes = weft_arguments_has(arguments, "resume"), .measures = true};
    TRY(weft_start_load(&config, arguments->operands[0], arguments->operands + 1, arguments->operand_count - 1, error));
    weft_text_init(&said);
    weft_status status = weft_cli_auto_choose(&config, &how, &said, error);
    weft_cli_settle(&config);
    if (status == WEFT_OK) status = weft_text_check(&said, error);
    if (status == WEFT_OK) {
        bool dry = weft_arguments_has(arguments, "dry-run");
        status = (dry ? plan : launch)(arguments, &config, weft_text_get(&said), error);
    }
    weft_text_fini(&said);
    weft_config_fini(&config);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "FILE.yaml is a configuration (docs/configuration.md); key=value overrides one of its keys. The run folder\n"
        "gets checkpoints, metrics.jsonl, timeline.svg and timeline.csv. SIGINT, SIGTERM, SIGHUP and SIGUSR1 finish\n"
        "the step, write a checkpoint and end with status 0; one that comes a second or more after the first ends at\n"
        "once. SIGINT and SIGHUP that were ignored at the start (nohup) stay so. Under mpirun or srun add\n"
        "transport=mpi. Devices: cpu, cuda where it is built in (docs/gpu.md), or reference for comparison.\n");
}

static const weft_option options[] = {
    {"dry-run", NULL, "print stages, memory, the predicted bubble, and prove the program; train nothing"},
    {"resume", NULL, "go on from the latest checkpoint of the run folder"},
    {"json", NULL, "print a summary as one object (docs/cli.md); progress goes to standard error"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_train = {
    .name = "train",
    .summary = "Trains a model by a configuration file",
    .operands = "FILE.yaml [key=value ...]",
    .options = options,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
