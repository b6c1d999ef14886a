/* weft evaluate: the loss of a checkpoint, or of a folder of Hugging Face, on held-out data, or on others, through a
 * pipeline of any layout. */
#include "base/json.h"
#include "cli/launch.h"
#include "cli/observer.h"
#include "cli/verb.h"
#include "schedule/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Instead of what the run was configured with, unless the command line says otherwise: where it ran is not where it is
 * evaluated. */
static const char *const defaults[] = {"transport=local", "memory_limit=0", "run.evaluate_batches=0"};

enum { DEFAULTS = sizeof defaults / sizeof *defaults };

static const char *value_of(const char *override, const char *key)
{
    size_t length = strlen(key);
    return strncmp(override, key, length) == 0 && override[length] == '=' ? override + length + 1 : NULL;
}

/* All of what data.path names on the command line is evaluated, where nothing says what of it is held out. Appends to
 * out, which has room. */
static weft_status add_held_out(const weft_arguments *arguments, const char **out, int *count, weft_text *text,
                                weft_error *error)
{
    const char *path = NULL;
    bool told = false;
    for (int i = 1; i < arguments->operand_count; i++) {
        const char *named = value_of(arguments->operands[i], "data.path");
        if (named) path = named;
        told |= strncmp(arguments->operands[i], "data.held_out", strlen("data.held_out")) == 0;
    }
    if (!path || told) return WEFT_OK;
    weft_text_add(text, "data.held_out_path=%s", path);
    TRY(weft_text_check(text, error));
    out[(*count)++] = weft_text_get(text);
    return WEFT_OK;
}

static weft_status check_overrides(const weft_arguments *arguments, const char *path, weft_error *error)
{
    for (int i = 1; i < arguments->operand_count; i++)
        if (strncmp(arguments->operands[i], "model.", strlen("model.")) == 0)
            FAIL(error, WEFT_INVALID, "command line: '%.80s': the model is that of %s", arguments->operands[i], path);
    return WEFT_OK;
}

static weft_status load_config(const weft_arguments *arguments, const weft_weights *weights, weft_config *out,
                               weft_error *error)
{
    const char *path = weft_weights_path(weights), *yaml = weft_weights_yaml(weights);
    const char *known = weft_weights_other_tokenizer(weights), **overrides = NULL;
    int count = DEFAULTS;
    TRY(check_overrides(arguments, path, error));
    TRY(weft_allocate((size_t)arguments->operand_count + DEFAULTS + 1, sizeof *overrides, (void *)&overrides, error));
    weft_text held_out, tokenizer;
    weft_text_init(&held_out);
    weft_text_init(&tokenizer);
    if (known) weft_text_add(&tokenizer, "data.tokenizer=%s", known);
    memcpy(overrides, defaults, sizeof defaults);
    if (known) overrides[count++] = weft_text_get(&tokenizer);
    for (int i = 1; i < arguments->operand_count; i++) overrides[count++] = arguments->operands[i];
    weft_status status = weft_text_check(&tokenizer, error);
    if (status == WEFT_OK) status = add_held_out(arguments, overrides, &count, &held_out, error);
    if (status == WEFT_OK) status = weft_config_load_text(out, yaml, strlen(yaml), path, overrides, count, error);
    weft_text_fini(&tokenizer);
    weft_text_fini(&held_out);
    weft_free(overrides);
    return status;
}

/* A placement is of the run's schedule, and a list for as many ranks and stages as it had: neither outlives others on
 * the command line. */
static weft_status forget_placement(weft_config *config, weft_error *error)
{
    static const char *const keys[] = {"parallel.schedule", "parallel.pipeline", "parallel.loops"};
    size_t count = weft_placement_is_list(config->parallel.placement) ? sizeof keys / sizeof *keys : 1;
    if (weft_config_given_by(config, "parallel.placement") == WEFT_CONFIG_ON_COMMAND_LINE) return WEFT_OK;
    for (size_t i = 0; i < count; i++)
        if (weft_config_given_by(config, keys[i]) == WEFT_CONFIG_ON_COMMAND_LINE)
            return weft_config_choose(config, "parallel.placement", "own", error);
    return WEFT_OK;
}

static void print_json(const char *checkpoint, const weft_evaluation_record *found, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_text(&json, "checkpoint", checkpoint);
    weft_json_int(&json, "step", found->step);
    weft_json_int(&json, "tokens", found->tokens);
    weft_json_number(&json, "loss", found->loss);
    weft_json_number(&json, "perplexity", exp(found->loss));
    weft_json_number(&json, "bits_per_byte", found->bits_per_byte > 0 ? found->bits_per_byte : NAN);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

static void print_text(const char *checkpoint, const weft_evaluation_record *found, weft_text *out)
{
    weft_text_add(out, "checkpoint  %s\ntokens      %lld\nloss        %.6f nats a token\nperplexity  %.6g\n",
                  checkpoint, (long long)found->tokens, found->loss, exp(found->loss));
    if (found->bits_per_byte > 0) weft_text_add(out, "bits a byte %.6f\n", found->bits_per_byte);
}

static weft_status print(const weft_arguments *arguments, const char *checkpoint, const weft_evaluation_record *found,
                         weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    (weft_arguments_has(arguments, "json") ? print_json : print_text)(checkpoint, found, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status keep_record(void *context, const weft_evaluation_record *record, weft_error *error)
{
    (void)error;
    *(weft_evaluation_record *)context = *record;
    return WEFT_OK;
}

/* rank: this process's; only rank 0 shows anything. */
static weft_status evaluate(const weft_arguments *arguments, const weft_config *config, const weft_weights *weights,
                            int32_t rank, weft_error *error)
{
    weft_job *job = NULL;
    weft_evaluation_record found = {0};
    weft_train_options options = {.logits = weft_arguments_get(arguments, "logits"), .late = weft_cli_late};
    weft_job_use use = options.logits ? WEFT_JOB_SHOWS : WEFT_JOB_EVALUATES;
    options.observer = weft_run_observer_silent();
    options.observer.context = &found;
    options.observer.evaluated = keep_record;
    TRY(weft_job_create_for(config, use, &job, error));
    weft_status status = weft_evaluate(job, weights, &options, error);
    weft_job_destroy(job);
    if (status != WEFT_OK || rank != 0) return status;
    return print(arguments, weft_weights_path(weights), &found, error);
}

static weft_status run_weights(const weft_arguments *arguments, const weft_weights *weights, weft_error *error)
{
    weft_config config;
    int32_t rank = 0;
    TRY(load_config(arguments, weights, &config, error));
    weft_cli_settle(&config);
    weft_status status = forget_placement(&config, error);
    if (status == WEFT_OK) status = weft_cli_launch(&config, &rank, error);
    if (status == WEFT_OK)
        status = weft_cli_land(&config, "evaluate", rank, evaluate(arguments, &config, weights, rank, error), error);
    weft_config_fini(&config);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_weights *weights = NULL;
    TRY(weft_weights_open(arguments->operands[0], 0, &weights, error));
    weft_status status = run_weights(arguments, weights, error);
    weft_weights_close(weights);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "The operand is a run folder (its latest checkpoint) or a checkpoint, whose own configuration counts but for\n"
        "transport (local), memory_limit and run.evaluate_batches (0), or a folder of Hugging Face or a GGUF file,\n"
        "for which data.path is to be given. key=value overrides all but model.*. What the run holds out is\n"
        "evaluated, or all of data.path where that is given. parallel.* may be anything, and all but\n"
        "parallel.tensor leave the loss its bits. Under mpirun or srun add transport=mpi.\n");
}

static const weft_option options[] = {
    {"logits", "FILE", "write F32 logits (sequences, tokens, vocabulary) and I32 tokens as safetensors"},
    {"json", NULL, "print an object: checkpoint, step, tokens, loss, perplexity, bits_per_byte"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_evaluate = {
    .name = "evaluate",
    .summary = "Measures the loss of a model on held-out or other data",
    .operands = "RUN|CHECKPOINT|FOLDER|FILE.gguf [key=value ...]",
    .options = options,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
