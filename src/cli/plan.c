/* weft plan: which layout, on which cluster, how long and how much. */
#include "cli/plan_calibrate.h"
#include "cli/plan_print.h"
#include "cli/verb.h"
#include "plan/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CASES = 64 };

typedef enum form { FORM_TEXT, FORM_CSV, FORM_JSON } form;

typedef struct planning {
    weft_arena arena;
    weft_plan_model model;
    weft_plan_cluster cluster;
    weft_plan_fit fit; /* the cluster borrows from it */
    weft_plan_fix fix;
    int64_t gpus[MOST_CASES], batches[MOST_CASES];
    int gpu_count, batch_count;
    int64_t top, explain;
    double tokens;
    weft_plan_how how;
    form form;
    bool refused;
} planning;

/* "64,128,256". */
static weft_status take_list(const weft_arguments *arguments, const char *name, int64_t *out, int *out_count,
                             weft_error *error)
{
    const char *at = weft_arguments_get(arguments, name);
    *out_count = 0;
    while (at && *at) {
        char piece[32];
        size_t length = strcspn(at, ",");
        if (*out_count == MOST_CASES) FAIL(error, WEFT_INVALID, "--%s: more than %d numbers", name, MOST_CASES);
        snprintf(piece, sizeof piece, "%.*s", (int)(length < sizeof piece ? length : sizeof piece - 1), at);
        if (!weft_parse_int(piece, &out[*out_count]) || out[*out_count] < 1)
            FAIL(error, WEFT_INVALID, "--%s: '%.*s' is not a number from 1 up", name, (int)length, at);
        (*out_count)++;
        at += length + (at[length] == ',');
    }
    return WEFT_OK;
}

static weft_status read_model(planning *p, const char *path, weft_error *error)
{
    weft_document document;
    TRY(weft_document_read(&document, path, error));
    weft_status status = weft_plan_model_read(&document, &p->model, error);
    weft_document_fini(&document);
    return status;
}

/* The name of a kind of GPU, or a file. */
static weft_status read_cluster(planning *p, const char *word, const char *software, weft_error *error)
{
    const weft_plan_gpu *gpu = weft_plan_gpu_find(word);
    const weft_plan_software *own = weft_plan_software_find(software ? software : "weft");
    if (!own) FAIL(error, WEFT_INVALID, "--software: no '%s' is known (weft, megatron-2022, zero-3)", software);
    if (gpu) {
        weft_plan_cluster_init(&p->cluster, gpu, own);
        snprintf(p->cluster.name, sizeof p->cluster.name, "%.63s", word);
        return WEFT_OK;
    }
    weft_document document;
    TRY(weft_document_read(&document, word, error));
    weft_status status = weft_plan_cluster_read(&document, &p->arena, &p->cluster, error);
    if (status == WEFT_OK && software) p->cluster.software = *own;
    weft_document_fini(&document);
    return status;
}

static int find_name(const char *const *names, int count, const char *word)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0) return i;
    return -1;
}

static weft_status fix_one(weft_plan_fix *fix, const char *key, const char *value, weft_error *error)
{
    static const char *const recomputes[] = {"none", "selective", "full"};
    const struct {
        const char *key;
        int32_t *target;
    } numbers[] = {{"data", &fix->data},    {"tensor", &fix->tensor},   {"pipeline", &fix->pipeline},
                   {"loops", &fix->loops},  {"context", &fix->context}, {"micro_batch", &fix->micro_batch},
                   {"rounds", &fix->rounds}};
    int64_t number = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(numbers[i].key, key) != 0) continue;
        if (!weft_parse_int(value, &number) || number < 1 || number > 1 << 24)
            FAIL(error, WEFT_INVALID, "--fix: %s: '%s' is not a number from 1 up", key, value);
        *numbers[i].target = (int32_t)number;
        return WEFT_OK;
    }
    const char *kinds[WEFT_PLAN_KINDS];
    for (int i = 0; i < WEFT_PLAN_KINDS; i++) kinds[i] = weft_plan_kind_name((weft_plan_kind)i);
    const struct {
        const char *key;
        const char *const *names;
        int count;
        uint32_t *target;
    } sets[] = {{"schedule", kinds, WEFT_PLAN_KINDS, &fix->kinds},
                {"shard", weft_shard_names(), WEFT_SHARDS, &fix->shards},
                {"recompute", recomputes, WEFT_PLAN_RECOMPUTES, &fix->recomputes}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (strcmp(sets[i].key, key) != 0) continue;
        int found = find_name(sets[i].names, sets[i].count, value);
        if (found < 0) FAIL(error, WEFT_INVALID, "--fix: %s: '%s' is not known", key, value);
        *sets[i].target |= 1u << found;
        return WEFT_OK;
    }
    bool yes = strcmp(value, "true") == 0;
    if (strcmp(key, "sequence_parallel") != 0)
        FAIL(error, WEFT_INVALID,
             "--fix: no key '%s' (data, tensor, pipeline, loops, context, micro_batch, rounds, schedule, shard, "
             "recompute, sequence_parallel)",
             key);
    if (!yes && strcmp(value, "false") != 0)
        FAIL(error, WEFT_INVALID, "--fix: sequence_parallel: true or false, not '%s'", value);
    fix->sequence_parallel = yes ? 1 : -1;
    return WEFT_OK;
}

static weft_status take_fix(planning *p, const char *at, weft_error *error)
{
    while (at && *at) {
        char piece[64];
        size_t length = strcspn(at, ",");
        snprintf(piece, sizeof piece, "%.*s", (int)(length < sizeof piece ? length : sizeof piece - 1), at);
        char *equals = strchr(piece, '=');
        if (!equals) FAIL(error, WEFT_INVALID, "--fix: '%s' is no key=value", piece);
        *equals = '\0';
        TRY(fix_one(&p->fix, piece, equals + 1, error));
        at += length + (at[length] == ',');
    }
    return WEFT_OK;
}

/* What was fitted is said before plans that people read. */
static weft_status calibrate(planning *p, const char *path, weft_error *error)
{
    weft_text said;
    if (!path) return WEFT_OK;
    weft_text_init(&said);
    weft_status status = weft_plan_calibrate(path, &p->cluster, &p->fit, &said, error);
    if (status == WEFT_OK && p->form == FORM_TEXT) status = weft_cli_print(&said, error);
    weft_text_fini(&said);
    return status;
}

static weft_status prepare(planning *p, const weft_arguments *arguments, weft_error *error)
{
    bool csv = weft_arguments_has(arguments, "csv"), json = weft_arguments_has(arguments, "json");
    if (csv && json) FAIL(error, WEFT_INVALID, "--csv and --json are two forms: choose one");
    p->form = csv ? FORM_CSV : json ? FORM_JSON : FORM_TEXT;
    TRY(read_model(p, arguments->operands[0], error));
    TRY(read_cluster(p, arguments->operands[1], weft_arguments_get(arguments, "software"), error));
    TRY(calibrate(p, weft_arguments_get(arguments, "calibrate"), error));
    TRY(take_list(arguments, "gpus", p->gpus, &p->gpu_count, error));
    TRY(take_list(arguments, "batch", p->batches, &p->batch_count, error));
    if (p->gpu_count == 0) p->gpus[p->gpu_count++] = (int64_t)p->cluster.nodes * p->cluster.gpus_per_node;
    if (p->batch_count == 0) p->batches[p->batch_count++] = 1024;
    TRY(weft_arguments_int(arguments, "top", 20, 1, 10000, &p->top, error));
    TRY(weft_arguments_int(arguments, "explain", 0, 0, 10000, &p->explain, error));
    TRY(weft_arguments_double(arguments, "tokens", 0, 0, 1e18, &p->tokens, error));
    TRY(take_fix(p, weft_arguments_get(arguments, "fix"), error));
    p->refused = weft_arguments_has(arguments, "refused");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    p->how = (weft_plan_how){.threads = cores > 1 ? (int32_t)cores : 1,
                             .screen_only = weft_arguments_has(arguments, "screen-only")};
    return WEFT_OK;
}

static weft_status print(const planning *p, const weft_plan_case *which, bool first, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    if (p->form == FORM_CSV)
        weft_plan_print_csv(which, (size_t)p->top, first, &text);
    else if (p->form == FORM_JSON)
        weft_plan_print_json(which, (size_t)p->top, &text);
    else {
        if (!first) weft_text_add(&text, "\n");
        weft_plan_print_text(which, (size_t)p->top, &text);
    }
    bool people = p->form == FORM_TEXT;
    if (people && p->explain > 0 && (size_t)p->explain <= which->answer->count)
        weft_plan_print_row(which, (size_t)p->explain - 1, &text);
    if (people && (p->refused || which->answer->count == 0)) weft_plan_print_refused(which, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status answer(planning *p, weft_error *error)
{
    bool first = true;
    for (int g = 0; g < p->gpu_count; g++)
        for (int b = 0; b < p->batch_count; b++) {
            weft_plan_question question = {.model = &p->model,
                                           .cluster = &p->cluster,
                                           .gpus = p->gpus[g],
                                           .batch = p->batches[b],
                                           .fix = p->fix,
                                           .top = (int32_t)(p->top < 200 ? 200 : p->top)};
            weft_plan_answer found;
            TRY(weft_plan_find(&question, &p->how, &found, error));
            weft_plan_case which = {&question, &found, p->tokens};
            weft_status status = print(p, &which, first, error);
            weft_plan_answer_fini(&found);
            TRY(status);
            first = false;
        }
    return WEFT_OK;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    planning p = {0};
    weft_arena_init(&p.arena);
    weft_status status = prepare(&p, arguments, error);
    if (status == WEFT_OK) status = answer(&p, error);
    weft_plan_fit_fini(&p.fit);
    weft_arena_fini(&p.arena);
    return status;
}

static const weft_option options[] = {
    {"gpus", "N,N,...", "how many GPUs, each a question of its own (default: those of the cluster)"},
    {"batch", "B,B,...", "sequences of a step (default 1024)"},
    {"tokens", "T", "tokens to train: gives hours and cost"},
    {"top", "N", "plans to show (default 20)"},
    {"fix", "key=value,...",
     "what is decided: data, tensor, pipeline, loops, micro_batch, schedule, shard, recompute, ..."},
    {"software", "NAME", "what the trainer can do: weft (default), megatron-2022, zero-3"},
    {"calibrate", "RUNS.csv", "measured runs of this cluster, to which its constants are fitted"},
    {"explain", "N", "where the time and the memory of plan N go, and what limits it"},
    {"refused", NULL, "how many layouts were refused, why, and the nearest misses"},
    {"screen-only", NULL, "closed forms alone, no replay of programs"},
    {"csv", NULL, "all columns as CSV"},
    {"json", NULL, "all columns as JSON (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_plan = {
    .name = "plan",
    .summary = "Ranks the ways to train a model on a cluster: time, memory, cost, and what limits each",
    .usage = "MODEL CLUSTER|GPU [--gpus N,...] [--batch B,...] [--tokens T] [--top N] [--fix key=value,...] "
             "[--software NAME] [--calibrate RUNS.csv] "
             "[--explain N] [--refused] [--screen-only] [--csv|--json]",
    .options = options,
    .least = 2,
    .most = 2,
    .run = run,
};
