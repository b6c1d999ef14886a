#include "layouts.h"

#include "base/file.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "transport/transport.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char base_config[] =
    "run: {steps: 6, seed: 7}\n"
    "model: {layers: 8, width: 32, heads: 4, feed_forward: 64, vocabulary: 256, context: 16}\n"
    "batch: {microbatches: 6, sequences: 2}\n"
    "optimizer: {learning_rate: 1e-2, warmup: 2}\n"
    "checkpoint: {keep: 0}\n"
    "threads: 1\n"
    "timeout: 60\n";

const test_pipeline test_pipelines[TEST_PIPELINES] = {
    {"gpipe", 1, 1},         {"1f1b", 2, 1},          {"1f1b", 2, 2},  {"depth-first", 2, 2},
    {"breadth-first", 1, 4}, {"breadth-first", 2, 2}, {"zb-h1", 2, 1}, {"breadth-first-split", 2, 2},
    {"zb-v", 2, 2}};

void test_write_corpus(const char *path)
{
    static const char *const words[] = {"warp",    "weft", "loom", "thread", "shuttle",
                                        "crosses", "the",  "and",  "over",   "under"};
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    unsigned state = 12345;
    for (int i = 0; i < 20000; i++) {
        state = state * 1103515245u + 12345u;
        weft_text_add(&text, "%s%c", words[state >> 16 & 7], i % 11 == 10 ? '\n' : ' ');
    }
    if (weft_file_write(path, text.bytes, text.length, &error) != WEFT_OK) abort();
    weft_text_fini(&text);
}

static weft_status on_step(void *context, const weft_step_record *record, weft_error *error)
{
    (void)error;
    test_run *run = context;
    if (record->step < TEST_RUN_STEPS) {
        run->losses[record->step] = record->loss;
        run->norms[record->step] = record->gradient_norm;
        run->skipped[record->step] = record->skipped;
    }
    run->steps = record->step;
    if (run->stop_after && record->step >= run->stop_after) run->stop = 1;
    return WEFT_OK;
}

static weft_status on_evaluated(void *context, const weft_evaluation_record *record, weft_error *error)
{
    (void)error;
    ((test_run *)context)->held_out = record->loss;
    return WEFT_OK;
}

static void on_note(void *context, const char *line)
{
    char *notes = ((test_run *)context)->notes;
    size_t used = strlen(notes);
    snprintf(notes + used, sizeof((test_run *)context)->notes - used, "%s\n", line);
}

weft_status test_job(const test_run *run, const char *corpus, const char *const *overrides, weft_config *config,
                     weft_job **job, weft_error *error)
{
    char folder[600], data[600], device[64];
    const char *all[TEST_RUN_OVERRIDES];
    int count = 0;
    snprintf(folder, sizeof folder, "run.folder=%s", run->folder);
    snprintf(data, sizeof data, "data.path=%s", corpus);
    all[count++] = folder;
    all[count++] = data;
    snprintf(device, sizeof device, "device=%s", run->device ? run->device : "");
    if (run->device) all[count++] = device;
    const char *const *const parts[] = {run->model, overrides};
    for (size_t part = 0; part < 2; part++)
        for (const char *const *next = parts[part]; next && *next; next++) {
            if (count == TEST_RUN_OVERRIDES) FAIL(error, WEFT_FAILED, "more than %d overrides", TEST_RUN_OVERRIDES);
            all[count++] = *next;
        }
    TRY(weft_config_load_text(config, base_config, strlen(base_config), "test.yaml", all, count, error));
    weft_status status = weft_job_create(config, job, error);
    if (status != WEFT_OK) weft_config_fini(config);
    return status;
}

weft_status test_train(test_run *run, const char *corpus, const char *const *overrides, weft_error *error)
{
    weft_config config;
    weft_job *job = NULL;
    TRY(test_job(run, corpus, overrides, &config, &job, error));
    job->poisons = run->poisons;
    weft_train_options options = {.resume = run->resume,
                                  .stop = &run->stop,
                                  .trial_steps = run->trial_steps,
                                  .calibrate_seconds = run->calibrate_seconds,
                                  .delay_longest = run->delay_longest,
                                  .delay_seed = run->delay_seed,
                                  .stopped = &run->stopped,
                                  .observer = {.context = run,
                                               .calibrated = run->calibrated,
                                               .step = on_step,
                                               .evaluated = on_evaluated,
                                               .note = on_note}};
    weft_status status = weft_train(job, &options, error);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return status;
}

static int tensor_of(const test_layout *l)
{
    return l->tensor > 1 ? l->tensor : 1;
}

void test_layout_name(const test_layout *l, char *out, size_t size)
{
    snprintf(out, size, "%s-D%d-P%d-T%d-V%d-%s-%s-%d-%s-%s", l->schedule, l->data, l->pipeline, tensor_of(l), l->loops,
             l->shard, l->reduce, l->buffers, l->element, l->recompute);
}

/* A layout as overrides; they point into the texts. */
typedef struct {
    char texts[12][64];
    const char *list[13];
} layout_overrides;

static void list_overrides(const test_layout *l, const char *transport, int64_t steps, layout_overrides *out)
{
    int count = 0;
    snprintf(out->texts[count++], 64, "parallel.schedule=%s", l->schedule);
    snprintf(out->texts[count++], 64, "parallel.data=%d", l->data);
    snprintf(out->texts[count++], 64, "parallel.pipeline=%d", l->pipeline);
    snprintf(out->texts[count++], 64, "parallel.tensor=%d", tensor_of(l));
    snprintf(out->texts[count++], 64, "parallel.loops=%d", l->loops);
    snprintf(out->texts[count++], 64, "parallel.shard=%s", l->shard);
    snprintf(out->texts[count++], 64, "parallel.reduce=%s", l->reduce);
    snprintf(out->texts[count++], 64, "parallel.buffers=%d", l->buffers);
    snprintf(out->texts[count++], 64, "element=%s", l->element);
    snprintf(out->texts[count++], 64, "recompute=%s", l->recompute);
    snprintf(out->texts[count++], 64, "transport=%s", transport);
    if (steps) snprintf(out->texts[count++], 64, "run.steps=%d", (int)steps);
    for (int i = 0; i < count; i++) out->list[i] = out->texts[i];
    out->list[count] = NULL;
}

weft_status test_layout_train(test_run *run, const char *corpus, const test_layout *l, const char *transport,
                              int64_t steps, weft_error *error)
{
    layout_overrides overrides;
    list_overrides(l, transport, steps, &overrides);
    weft_error_clear(error);
    return test_train(run, corpus, overrides.list, error);
}

weft_status test_layout_job(const test_run *run, const char *corpus, const test_layout *l, const char *transport,
                            weft_config *config, weft_job **job, weft_error *error)
{
    layout_overrides overrides;
    list_overrides(l, transport, 0, &overrides);
    return test_job(run, corpus, overrides.list, config, job, error);
}

bool test_checkpoints_agree(const char *a, const char *b, char *why, size_t size)
{
    bool same = false;
    weft_text difference;
    weft_error error;
    weft_text_init(&difference);
    if (weft_checkpoint_compare(a, b, &same, &difference, &error) != WEFT_OK)
        snprintf(why, size, "%s", error.text);
    else
        snprintf(why, size, "%s", weft_text_get(&difference));
    weft_text_fini(&difference);
    return same;
}

bool test_runs_agree(const test_run *a, const test_run *b, char *why, size_t size)
{
    snprintf(why, size, "other losses or norms");
    return a->steps == b->steps && memcmp(&a->held_out, &b->held_out, sizeof a->held_out) == 0 &&
           memcmp(a->losses, b->losses, sizeof a->losses) == 0 && memcmp(a->norms, b->norms, sizeof a->norms) == 0 &&
           test_checkpoints_agree(a->folder, b->folder, why, size);
}

double test_runs_farthest(const test_run *a, const test_run *b)
{
    double most = fabs(a->held_out - b->held_out) / a->held_out;
    most = fmax(most, fabs(a->norms[1] - b->norms[1]) / a->norms[1]);
    for (int64_t i = 1; i <= a->steps; i++) most = fmax(most, fabs(a->losses[i] - b->losses[i]) / a->losses[i]);
    return a->steps == b->steps ? most : HUGE_VAL;
}

bool test_suite_begin(test_suite *suite, const char *transport, const char *folder)
{
    weft_error error;
    *suite = (test_suite){.transport = transport, .folder = folder};
    bool mpi = strcmp(transport, "mpi") == 0;
    if (mpi && weft_mpi_start(&suite->process, &suite->workers, &error) != WEFT_OK) return false;
    if (weft_folder_create(folder, &error) != WEFT_OK) return false;
    snprintf(suite->corpus, sizeof suite->corpus, "%s/corpus-%d.txt", folder, (int)suite->process);
    test_write_corpus(suite->corpus);
    return true;
}

bool test_suite_begin_arguments(test_suite *suite, int argc, char **argv)
{
    int64_t stride = 1;
    if (argc != 3 && argc != 4) return false;
    if (argc == 4 && (!weft_parse_int(argv[3], &stride) || stride < 1 || stride > INT_MAX)) return false;
    if (!test_suite_begin(suite, argv[1], argv[2])) return false;
    suite->stride = (int)stride;
    return true;
}

int test_suite_end(test_suite *suite)
{
    if (strcmp(suite->transport, "mpi") == 0) weft_mpi_finish();
    if (suite->process == 0) printf("%d passed, %d failed\n", suite->passed, suite->failed);
    return suite->failed != 0 || (suite->process == 0 && suite->passed == 0);
}

void test_suite_check(test_suite *suite, bool good, const char *name, const char *why)
{
    suite->passed += good;
    suite->failed += !good;
    if (!good) fprintf(stderr, "FAILED %s: %s\n", name, why);
}

bool test_suite_fits(const test_suite *suite, const test_layout *l)
{
    return suite->workers == 0 || l->data * l->pipeline * tensor_of(l) == suite->workers;
}

bool test_suite_takes(test_suite *suite, const test_layout *l)
{
    return test_suite_fits(suite, l) && (suite->stride == 0 || suite->seen++ % suite->stride == 0);
}

test_run test_suite_baseline(test_suite *suite, int data, int tensor, const char *element, const char *const *model)
{
    const char *device = suite->baseline ? suite->baseline : "reference";
    test_run run = {.model = model, .device = suite->device ? device : NULL};
    weft_error error;
    test_layout l = {"gpipe", data, 1, 1, "none", "once", 2, element, "none", tensor};
    snprintf(run.folder, sizeof run.folder, "%s/baseline-%d-%d-%s-%s-%d", suite->folder, data, tensor, element,
             model ? model[0] : "", (int)suite->process);
    if (test_layout_train(&run, suite->corpus, &l, "local", 0, &error) != WEFT_OK) {
        fprintf(stderr, "baseline %s: %s\n", run.folder, error.text);
        exit(1);
    }
    return run;
}

/* What rounding of sums in another order may do; weights that are stored in bf16 may then round the other way. */
static double tolerance(const test_layout *l)
{
    return strcmp(l->element, "bf16") == 0 ? 1e-3 : 1e-5;
}

/* The groups of micro-batches that an early reduction takes are those of one reduction where the backward passes of a
 * stage are behind one another. */
static bool reduces_once(const test_layout *l)
{
    return strcmp(l->reduce, "once") == 0 || strcmp(l->schedule, "breadth-first") == 0;
}

void test_suite_compare(test_suite *suite, const test_layout *l, const char *const *model, const test_run *base)
{
    char name[256], why[512] = "";
    test_run run = {.model = model, .poisons = true, .device = suite->device};
    weft_error error;
    test_layout_name(l, name, sizeof name);
    snprintf(run.folder, sizeof run.folder, "%s/%s-%s%s-%d", suite->folder, suite->transport, name,
             model ? model[0] : "", suite->turn);
    weft_status status = test_layout_train(&run, suite->corpus, l, suite->transport, 0, &error);
    if (suite->process != 0) return;
    const char *shown = run.folder + strlen(suite->folder) + 1;
    if (status != WEFT_OK)
        test_suite_check(suite, false, shown, error.text);
    else if (reduces_once(l))
        test_suite_check(suite, test_runs_agree(base, &run, why, sizeof why), shown, why);
    else
        test_suite_check(suite, test_runs_farthest(base, &run) < tolerance(l), shown,
                         "losses or the first norm differ by more than rounding makes them");
}

void test_suite_compare_model(test_suite *suite, const test_layout *layout, const test_run *base)
{
    if (test_suite_takes(suite, layout)) test_suite_compare(suite, layout, base->model, base);
}

void test_suite_shards(test_suite *suite, const test_run *base, test_layout l, test_suite_function *run)
{
    static const char *const shards[] = {"none", "optimizer", "gradients", "weights"};
    for (int shard = 0; shard < 4; shard++)
        for (int early = 0; early < (shard >= 2 ? 2 : 1); early++)
            for (int buffers = 1; buffers <= (shard == 3 || early ? 2 : 1); buffers++) {
                l.shard = shards[shard];
                l.reduce = early ? "early" : "once";
                l.buffers = buffers;
                run(suite, &l, base);
            }
}

void test_suite_pipelines(test_suite *suite, const test_run *base, int data, int tensor, const char *element,
                          test_suite_function *run)
{
    for (int i = 0; i < TEST_PIPELINES; i++) {
        test_layout layout = {.schedule = test_pipelines[i].schedule,
                              .data = data,
                              .pipeline = test_pipelines[i].pipeline,
                              .loops = test_pipelines[i].loops,
                              .shard = "none",
                              .reduce = "once",
                              .buffers = 1,
                              .element = element,
                              .recompute = i % 2 ? "full" : "none",
                              .tensor = tensor};
        if (data > 1)
            test_suite_shards(suite, base, layout, run);
        else
            run(suite, &layout, base);
    }
}

static void count_taken(test_suite *suite, const test_layout *layout, const test_run *base)
{
    (void)base;
    suite->turn += test_suite_takes(suite, layout);
}

bool test_suite_pipelines_come(test_suite *suite, int data, int tensor, const char *element)
{
    test_suite tried = *suite;
    tried.turn = 0;
    test_suite_pipelines(&tried, NULL, data, tensor, element, count_taken);
    if (tried.turn == 0) suite->seen = tried.seen;
    return tried.turn > 0;
}

void test_suite_widths(test_suite *suite, const char *const *model, const int (*widths)[2], size_t count)
{
    test_run one = {0};
    for (size_t i = 0; i < count; i++) {
        char set[3][64], name[256];
        test_run run = {.model = model};
        weft_error error;
        snprintf(set[0], sizeof set[0], "parallel.data=%d", widths[i][0]);
        snprintf(set[1], sizeof set[1], "parallel.tensor=%d", widths[i][1]);
        snprintf(set[2], sizeof set[2], "batch.microbatches=%d", 6 / widths[i][0]);
        const char *overrides[] = {set[0],
                                   set[1],
                                   set[2],
                                   "run.steps=20",
                                   "optimizer.learning_rate=1e-3",
                                   widths[i][0] > 1 && i % 2 ? "parallel.shard=weights" : "threads=1",
                                   NULL};
        snprintf(name, sizeof name, "width-%d-%d%s", widths[i][0], widths[i][1], model ? model[0] : "");
        snprintf(run.folder, sizeof run.folder, "%s/%s", suite->folder, name);
        weft_error_clear(&error);
        if (test_train(&run, suite->corpus, overrides, &error) != WEFT_OK)
            test_suite_check(suite, false, name, error.text);
        else if (i == 0)
            one = run;
        else
            test_suite_check(suite, test_runs_farthest(&one, &run) < 1e-5, name,
                             "losses or the first norm differ from those of one worker by more than 1e-5");
    }
}

void test_suite_chain(test_suite *suite, const test_layout *chain, int count)
{
    test_run straight = {0}, walked = {0};
    char why[512] = "";
    weft_error error;
    snprintf(straight.folder, sizeof straight.folder, "%s/straight", suite->folder);
    snprintf(walked.folder, sizeof walked.folder, "%s/walked", suite->folder);
    weft_status status = test_layout_train(&straight, suite->corpus, &chain[0], "local", count, &error);
    for (int i = 0; i < count && status == WEFT_OK; i++) {
        walked.resume = i > 0;
        walked.stop = 1; /* after a step */
        status = test_layout_train(&walked, suite->corpus, &chain[i], "local", count, &error);
        if (status == WEFT_OK && walked.steps != i + 1)
            status = weft_fail(&error, WEFT_FAILED, "link %d ends with step %d", i, (int)walked.steps);
    }
    if (status != WEFT_OK)
        test_suite_check(suite, false, "chain", error.text);
    else
        test_suite_check(suite, test_checkpoints_agree(straight.folder, walked.folder, why, sizeof why), "chain", why);
}
