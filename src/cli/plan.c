/* weft plan: which layout, on which cluster, how long and how much. */
#include "base/file.h"
#include "base/hands.h"
#include "cli/auto.h"
#include "cli/launch.h"
#include "cli/pictures.h"
#include "cli/plan_calibrate.h"
#include "cli/plan_measure.h"
#include "cli/plan_print.h"
#include "convert/weights.h"
#include "plan/describe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef enum plan_form { FORM_TEXT, FORM_CSV, FORM_JSON } plan_form;

static const int64_t usual_batch = 1024; /* where neither --batch nor a run says one */

static bool starts_from_another(const weft_document *document)
{
    const weft_node *run = weft_node_get(document->root, "run"), *start = weft_node_get(document->root, "run.start");
    if (!start && run && run->kind == WEFT_NODE_MAP) start = weft_node_get(run, "start");
    return start && start->kind == WEFT_NODE_TEXT && *start->text;
}

/* The keys of the model are those of what the run starts from. */
static weft_status take_start(weft_planning *p, const char *path, weft_error *error)
{
    weft_text dump;
    weft_document document;
    TRY(weft_start_load(&p->run.config, path, NULL, 0, error));
    p->has_run = true;
    weft_text_init(&dump);
    weft_config_dump(&p->run.config, false, &dump);
    weft_status status = weft_text_check(&dump, error);
    if (status == WEFT_OK) status = weft_document_parse(&document, weft_text_get(&dump), dump.length, path, error);
    weft_text_fini(&dump);
    TRY(status);
    status = weft_plan_model_read(&document, &p->model, error);
    weft_document_fini(&document);
    return status;
}

static weft_status take_model(weft_planning *p, const weft_text *text, const char *path, weft_error *error)
{
    weft_document document;
    weft_error ignored;
    weft_error_clear(&ignored);
    TRY(weft_document_parse(&document, weft_text_get(text), text->length, path, error));
    bool may_run = weft_node_get(document.root, "model") != NULL, starts = starts_from_another(&document);
    weft_status status = starts ? WEFT_OK : weft_plan_model_read(&document, &p->model, error);
    weft_document_fini(&document);
    if (starts) return take_start(p, path, error);
    if (status == WEFT_OK && may_run)
        p->has_run = weft_config_load_text(&p->run.config, weft_text_get(text), text->length, path, NULL, 0,
                                           &ignored) == WEFT_OK;
    return status;
}

static weft_status read_model(weft_planning *p, const char *path, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = take_model(p, &text, path, error);
    weft_text_fini(&text);
    return status;
}

/* A word that is no file may be a kind of GPU misspelt. */
static weft_status complain_of_cluster(const char *word, weft_error *error)
{
    const char *names[32];
    char all[400] = "";
    int count = 0;
    for (const weft_plan_gpu *gpu = weft_plan_gpus(); gpu->name[0] && count < 32; gpu++) {
        size_t length = strlen(all);
        names[count++] = gpu->name;
        snprintf(all + length, sizeof all - length, "%s%s", count > 1 ? ", " : "", gpu->name);
    }
    int near = weft_text_nearest(word, names, count);
    if (near >= 0) FAIL(error, WEFT_INVALID, "%s: no such file, and no such GPU (nearest: '%s')", word, names[near]);
    FAIL(error, WEFT_INVALID, "%s: no such file, and no such GPU; there are %s", word, all);
}

/* The name of a kind of GPU, or a file. */
static weft_status read_cluster(weft_planning *p, const char *word, const char *software, weft_error *error)
{
    const weft_plan_gpu *gpu = weft_plan_gpu_find(word);
    const weft_plan_software *own = weft_plan_software_find(software ? software : "weft");
    if (!own) FAIL(error, WEFT_INVALID, "--software: no '%s' is known (weft, megatron-2022, zero-3)", software);
    if (gpu) {
        weft_plan_cluster_init(&p->cluster, gpu, own);
        snprintf(p->cluster.name, sizeof p->cluster.name, "%.63s", word);
        return WEFT_OK;
    }
    if (!weft_path_exists(word)) return complain_of_cluster(word, error);
    weft_document document;
    TRY(weft_document_read(&document, word, error));
    weft_status status = weft_plan_cluster_read(&document, &p->arena, &p->cluster, error);
    if (status == WEFT_OK && software) p->cluster.software = *own;
    weft_document_fini(&document);
    return status;
}

/* What was fitted is said before plans that people read. */
static weft_status calibrate(weft_planning *p, const char *path, plan_form which, weft_error *error)
{
    weft_text said;
    if (!path) return WEFT_OK;
    weft_text_init(&said);
    weft_status status = weft_plan_calibrate(path, &p->cluster, &p->fit, &said, error);
    if (status == WEFT_OK && which == FORM_TEXT) status = weft_cli_print(&said, error);
    weft_text_fini(&said);
    return status;
}

static void show_progress(void *context, size_t done, size_t all)
{
    const weft_planning *p = context;
    fprintf(stderr, "\r%s: %zu of %zu replayed\033[K", p->at, done, all);
}

/* A model that comes with a run of weft has the memory that weft would take for it. */
static weft_status ask_trainer(weft_planning *p, weft_error *error)
{
    if (!p->has_run || strcmp(p->cluster.software.name, "weft") != 0) return WEFT_OK;
    p->sizes = (weft_plan_sizes){&p->run, weft_cli_plan_memory};
    return weft_known_create(&p->run.known, error);
}

/* Sequences of a step: of a run that says how large its batch is, what it trains with. */
static int64_t default_batch(const weft_planning *p)
{
    static const char *const keys[] = {"batch.sequences", "batch.microbatches"};
    for (int i = 0; p->has_run && i < 2; i++)
        if (weft_config_given_by(&p->run.config, keys[i]) != WEFT_CONFIG_NOT_GIVEN)
            return weft_cli_auto_batch(&p->run.config);
    return usual_batch;
}

static weft_status read_sizes(weft_planning *p, const weft_arguments *arguments, weft_error *error)
{
    TRY(weft_planning_list(arguments, "gpus", p->gpus, &p->gpu_count, error));
    TRY(weft_planning_list(arguments, "batch", p->batches, &p->batch_count, error));
    if (p->gpu_count == 0) p->gpus[p->gpu_count++] = (int64_t)p->cluster.nodes * p->cluster.gpus_per_node;
    if (p->batch_count == 0) p->batches[p->batch_count++] = default_batch(p);
    TRY(weft_arguments_int(arguments, "top", 20, 1, 10000, &p->top, error));
    TRY(weft_arguments_double(arguments, "tokens", 0, 1, 1e18, &p->tokens, error));
    TRY(weft_arguments_double(arguments, "days", 0, 1e-6, 1e6, &p->days, error));
    if (p->days > 0 && !(p->tokens > 0)) FAIL(error, WEFT_INVALID, "--days needs --tokens");
    return WEFT_OK;
}

static weft_status prepare(weft_planning *p, const weft_arguments *arguments, plan_form *out_form, weft_error *error)
{
    static const char *const files[] = {"svg", "html"};
    bool csv = weft_arguments_has(arguments, "csv"), json = weft_arguments_has(arguments, "json");
    if (csv && json) FAIL(error, WEFT_INVALID, "--csv and --json are two forms: choose one");
    *out_form = csv ? FORM_CSV : json ? FORM_JSON : FORM_TEXT;
    TRY(weft_cli_outputs_check(arguments, files, sizeof files / sizeof *files, error));
    TRY(read_model(p, arguments->operands[0], error));
    TRY(read_cluster(p, arguments->operands[1], weft_arguments_get(arguments, "software"), error));
    TRY(ask_trainer(p, error));
    TRY(read_sizes(p, arguments, error));
    TRY(weft_planning_fix(&p->fix, weft_arguments_get(arguments, "fix"), error));
    TRY(weft_planning_rivals(p, weft_arguments_get(arguments, "compare"), error));
    if (p->rival_count && p->fix.kinds) FAIL(error, WEFT_INVALID, "--fix: schedule contradicts --compare");
    p->how = (weft_plan_how){.threads = weft_cores(),
                             .screen_only = weft_arguments_has(arguments, "screen-only"),
                             .progress = isatty(STDERR_FILENO) ? show_progress : NULL,
                             .context = p};
    return WEFT_OK;
}

/* What explains one case makes no sense of many, and what is told in words has no columns. */
static weft_status check_words(const weft_planning *p, const weft_arguments *arguments, plan_form which,
                               weft_error *error)
{
    static const char *const names[] = {"explain", "refused", "days"};
    bool single = p->gpu_count * p->batch_count == 1 && p->rival_count == 0;
    for (int i = 0; i < 3; i++) {
        if (!weft_arguments_has(arguments, names[i])) continue;
        if (which != FORM_TEXT) FAIL(error, WEFT_INVALID, "--%s is told in words, without --csv and --json", names[i]);
        if (!single && i < 2)
            FAIL(error, WEFT_INVALID, "--%s is about one number of GPUs and one batch, without --compare", names[i]);
    }
    if (p->days > 0 && p->rival_count) FAIL(error, WEFT_INVALID, "--days is about the best plan, without --compare");
    if (single && p->days > 0 && (weft_arguments_has(arguments, "explain") || weft_arguments_has(arguments, "refused")))
        FAIL(error, WEFT_INVALID, "--days and --explain or --refused are two questions: ask one");
    return WEFT_OK;
}

static weft_status write_text(const weft_planning *p, const weft_arguments *arguments, weft_text *out,
                              weft_error *error)
{
    int64_t explain = 0;
    if (p->rival_count) {
        weft_plan_print_rivals(p, out);
        return WEFT_OK;
    }
    if (p->gpu_count * p->batch_count > 1 || p->days > 0) return weft_plan_print_what_if(p, out, error);
    const weft_plan_case *only = &p->cases[0];
    TRY(weft_arguments_int(arguments, "explain", 0, 1, (int64_t)only->answer.count, &explain, error));
    weft_plan_print_text(p, out);
    if (explain > 0) TRY(weft_plan_print_row(only, (size_t)explain - 1, !p->how.screen_only, out, error));
    if (weft_arguments_has(arguments, "refused")) TRY(weft_plan_print_refused(only, out, error));
    return WEFT_OK;
}

static weft_status print(const weft_planning *p, const weft_arguments *arguments, plan_form which, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_status status = WEFT_OK;
    if (which == FORM_CSV) weft_plan_print_csv(p, &text);
    if (which == FORM_JSON) weft_plan_print_json(p, &text);
    if (which == FORM_TEXT) status = write_text(p, arguments, &text, error);
    if (status == WEFT_OK) status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status solve(weft_planning *p, weft_error *error)
{
    p->how.stop = weft_cli_catch_signals();
    weft_status status = weft_planning_solve(p, error);
    weft_cli_release_signals();
    if (p->how.progress) fprintf(stderr, "\r\033[K");
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_planning p = {0};
    plan_form which = FORM_TEXT;
    if (weft_arguments_has(arguments, "measure")) return weft_plan_measure(arguments, error);
    if (arguments->operand_count < 2)
        return weft_arguments_refuse(arguments->verb, error, "CLUSTER is missing: a file, or a kind of GPU");
    weft_arena_init(&p.arena);
    weft_status status = prepare(&p, arguments, &which, error);
    if (status == WEFT_OK) status = check_words(&p, arguments, which, error);
    if (status == WEFT_OK) status = calibrate(&p, weft_arguments_get(arguments, "calibrate"), which, error);
    if (status == WEFT_OK) status = solve(&p, error);
    if (status == WEFT_OK) status = weft_plan_pictures(&p, arguments, error);
    if (status == WEFT_OK) status = print(&p, arguments, which, error);
    weft_planning_fini(&p);
    return status;
}

static const weft_option options[] = {
    {"gpus", "N,N,...", "how many GPUs, each a question of its own (default: those of the cluster)"},
    {"batch", "B,B,...",
     "sequences of a step, each a question of its own (default: those of a run that says them, else 1024)"},
    {"tokens", "T", "tokens to train: gives hours and cost"},
    {"days", "N", "how many GPUs train the tokens in so many days"},
    {"top", "N", "plans to show (default 20)"},
    {"fix", "key=value,...",
     "what is decided: data, tensor, pipeline, loops, micro_batch, rounds, schedule, shard, recompute, "
     "sequence_parallel, context"},
    {"software", "NAME", "what the trainer can do: weft (default), megatron-2022, zero-3"},
    {"calibrate", "RUNS.csv", "measured runs of this cluster, to which its constants are fitted"},
    {"measure", "FILE",
     "no plan: measure this machine for MODEL, a run of weft, and write FILE, a CLUSTER; takes --gpus, --batch"},
    {"compare", "KIND,KIND,...", "the best of each schedule, and what the first gains over the others"},
    {"explain", "N", "plan N: where time and memory go, what limits it, what is one change away"},
    {"refused", NULL, "how many layouts were refused, why, and what would make the nearest fit"},
    {"screen-only", NULL, "closed forms alone, no replay of programs"},
    {"csv", NULL, "all columns as CSV"},
    {"json", NULL, "all columns as JSON (docs/cli.md)"},
    {"svg", "FILE", "pictures: time against money, throughput by batch, where the time goes"},
    {"html", "FILE", "the pictures as a page to hover in a browser"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_plan = {
    .name = "plan",
    .summary = "Ranks the ways to train a model on a cluster: time, memory, cost, and what limits each",
    .operands = "MODEL CLUSTER|GPU",
    .options = options,
    .least = 1,
    .most = 2,
    .run = run,
};
