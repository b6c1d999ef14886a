#include "layouts.h"
#include "place.h"

#include "base/clock.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "train/rate.h"

#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static atomic_long allocations;
static atomic_size_t refused_from; /* bytes of one allocation from which there is no memory; 0: there is */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    size_t limit = atomic_load(&refused_from);
    if (limit && size >= limit) return NULL;
    return __real_aligned_alloc(alignment, size);
}

static weft_config config_with(int64_t decay, int64_t warmup, int64_t decay_steps)
{
    weft_config config = {.run.steps = 100};
    config.optimizer.learning_rate = 2;
    config.optimizer.minimum = 0.1;
    config.optimizer.warmup = warmup;
    config.optimizer.decay = decay;
    config.optimizer.decay_steps = decay_steps;
    return config;
}

static void assert_rate(const weft_config *config, int64_t step, double expected)
{
    assert_true(fabs(weft_learning_rate(config, step) - expected) < 1e-12);
}

static void test_rates(void **state)
{
    (void)state;
    weft_config constant = config_with(WEFT_CONFIG_CONSTANT, 10, 0);
    assert_rate(&constant, 1, 0.2);
    assert_rate(&constant, 10, 2);
    assert_rate(&constant, 100, 2);
    weft_config linear = config_with(WEFT_CONFIG_LINEAR, 0, 0);
    assert_rate(&linear, 50, 2 * (1 - 0.9 * 0.5));
    assert_rate(&linear, 100, 0.2);
    weft_config cosine = config_with(WEFT_CONFIG_COSINE, 20, 0);
    assert_rate(&cosine, 20, 2);
    assert_rate(&cosine, 60, 2 * 0.55);
    assert_rate(&cosine, 100, 0.2);
    weft_config wsd = config_with(WEFT_CONFIG_WSD, 10, 40);
    assert_rate(&wsd, 60, 2);
    assert_rate(&wsd, 80, 2 * 0.55);
    assert_rate(&wsd, 100, 0.2);
}

typedef struct {
    long at[16];
} allocation_log;

static weft_status count_allocations(void *context, const weft_step_record *record, weft_error *error)
{
    (void)error;
    if (record->step < 16) ((allocation_log *)context)->at[record->step] = atomic_load(&allocations);
    return WEFT_OK;
}

static void assert_steps_allocate_nothing(const char *parallel)
{
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "run: {steps: 8, folder: %s/allocations}\nmodel: {layers: 4, width: 32, heads: 2, context: 16}\n"
             "data: {path: %s}\nbatch: {microbatches: 4}\nparallel: {%s}\ndevice: reference\n",
             test_folder, test_corpus, parallel);
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    assert_int_equal(weft_config_load_text(&config, yaml, strlen(yaml), "test", NULL, 0, &error), WEFT_OK);
    assert_int_equal(weft_job_create(&config, &job, &error), WEFT_OK);
    allocation_log log = {0};
    weft_train_options options = {.trial_steps = 8, .observer = {.context = &log, .step = count_allocations}};
    assert_int_equal(weft_train(job, &options, &error), WEFT_OK);
    assert_true(log.at[2] > 0);
    assert_int_equal(log.at[2], log.at[7]);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

/* Once the first step has run, steps take no memory. */
static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    assert_steps_allocate_nothing("pipeline: 2, loops: 2");
    assert_steps_allocate_nothing("pipeline: 2, tensor: 2, data: 2, shard: weights, loops: 2");
}

/* Stopped and resumed in another layout, a run ends with the bits of one that was not. */
/* Out of memory: the message says what it was for, and what would take less, as the refusal of memory_limit does. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *advice;
    } cases[] = {
        {"batch: {sequences: 16}\n", "; with recompute=full the largest worker would need "},
        {"batch: {sequences: 16}\nparallel: {pipeline: 2}\n", "; with recompute=full the largest worker would need "},
        {"batch: {sequences: 1}\nrecompute: full\n", "; split over more workers (parallel.pipeline, "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml,
                 "run: {steps: 1, folder: %s/none}\nmodel: {layers: 8, width: 32, heads: 2, context: 64}\n"
                 "data: {path: %s}\ndevice: reference\n%s",
                 test_folder, test_corpus, cases[i].keys);
        weft_config config;
        weft_error error;
        weft_job *job = NULL;
        assert_int_equal(weft_config_load_text(&config, yaml, strlen(yaml), "test", NULL, 0, &error), WEFT_OK);
        assert_int_equal(weft_job_create(&config, &job, &error), WEFT_OK);
        atomic_store(&refused_from, job->memory[0].total);
        weft_train_options options = {0};
        weft_status status = weft_train(job, &options, &error);
        atomic_store(&refused_from, 0);
        assert_int_equal(status, WEFT_NO_MEMORY);
        assert_non_null(strstr(error.text, "cannot have its "));
        if (!strstr(error.text, cases[i].advice)) fail_msg("%s", error.text);
        weft_job_destroy(job);
        weft_config_fini(&config);
    }
}

static void test_resume_elsewhere(void **state)
{
    (void)state;
    weft_error error;
    test_run whole = {0}, cut = {.stop_after = 3};
    snprintf(whole.folder, sizeof whole.folder, "%s/whole", test_folder);
    snprintf(cut.folder, sizeof cut.folder, "%s/cut", test_folder);
    const char *one[] = {"device=reference", NULL};
    const char *two[] = {"device=reference", "parallel.pipeline=2", "parallel.loops=2", "recompute=full", NULL};
    assert_int_equal(test_train(&whole, test_corpus, one, &error), WEFT_OK);
    assert_int_equal(test_train(&cut, test_corpus, one, &error), WEFT_OK);
    assert_int_equal(cut.steps, 4); /* asked while the fourth was about to start */
    cut.stop = 0;
    cut.stop_after = 0;
    assert_int_equal(test_train(&cut, test_corpus, two, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "--resume"));
    cut.resume = true;
    assert_int_equal(test_train(&cut, test_corpus, two, &error), WEFT_OK);
    bool same = false;
    weft_text difference;
    weft_text_init(&difference);
    assert_int_equal(weft_checkpoint_compare(whole.folder, cut.folder, &same, &difference, &error), WEFT_OK);
    assert_true(same);
    weft_text_fini(&difference);
    assert_memory_equal(&whole.losses[5], &cut.losses[5], 2 * sizeof(double));
}

/* Another model is refused by the name of the key; what only changes the bits is told, and layouts are nobody's
 * concern. */
static void test_resume_changed(void **state)
{
    (void)state;
    weft_error error;
    test_run run = {.stop_after = 2};
    snprintf(run.folder, sizeof run.folder, "%s/changed", test_folder);
    const char *first[] = {"device=reference", NULL};
    const char *wider[] = {"device=reference", "model.width=64", NULL};
    const char *looser[] = {"device=reference",    "batch.sequences=1", "optimizer.beta2=0.9", "run.seed=8",
                            "parallel.pipeline=2", "recompute=full",    "checkpoint.every=1",  NULL};
    const char *fewer[] = {"device=reference", "run.steps=2", NULL};
    assert_int_equal(test_train(&run, test_corpus, first, &error), WEFT_OK);
    assert_int_equal(run.notes[0], '\0');
    run.stop = 0;
    run.stop_after = 0;
    run.resume = true;
    assert_int_equal(test_train(&run, test_corpus, wider, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "model.width: is 64, but the model in"));
    assert_non_null(strstr(error.text, "has 32"));
    assert_int_equal(test_train(&run, test_corpus, fewer, &error), WEFT_OK);
    assert_non_null(strstr(run.notes, "run.steps is 2"));
    run.notes[0] = '\0';
    assert_int_equal(test_train(&run, test_corpus, looser, &error), WEFT_OK);
    assert_non_null(strstr(run.notes, "batch.sequences is 1, the checkpoint was trained with 2"));
    assert_non_null(strstr(run.notes, "optimizer.beta2 is 0.9,"));
    assert_non_null(strstr(run.notes, "run.seed is 8,"));
    assert_null(strstr(run.notes, "parallel"));
    assert_null(strstr(run.notes, "recompute"));
    assert_null(strstr(run.notes, "checkpoint.every"));
}

/* With a second moment of 1 - 0.999 the first step moves by the learning rate and no more: m / sqrt(v) is 1. */
static void test_corrections(void **state)
{
    (void)state;
    weft_error error;
    weft_checkpoint *checkpoint = NULL;
    test_run run = {0};
    snprintf(run.folder, sizeof run.folder, "%s/corrections", test_folder);
    const char *overrides[] = {"device=reference",
                               "run.steps=1",
                               "optimizer.beta1=0",
                               "optimizer.beta2=0.999",
                               "optimizer.warmup=0",
                               "optimizer.clip=0",
                               "optimizer.learning_rate=1",
                               "optimizer.epsilon=1e-30",
                               "optimizer.decay=constant",
                               "data.held_out=0",
                               NULL};
    assert_int_equal(test_train(&run, test_corpus, overrides, &error), WEFT_OK);
    assert_int_equal(weft_checkpoint_open(run.folder, &checkpoint, &error), WEFT_OK);
    float bias[32];
    const int64_t shape[] = {32};
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "final_norm.bias", 1, shape, 0, 1, 32, bias, &error),
        WEFT_OK);
    for (int i = 0; i < 32; i++) assert_true(fabs(fabs((double)bias[i]) - 1) < 1e-6);
    weft_checkpoint_close(checkpoint);
}

/* A run that diverges ends with rank, step and stage; without clipping the parameter is still found, of several
 * pipelines the ranks that may have it. */
static void test_not_finite(void **state)
{
    (void)state;
    weft_error error;
    static const struct {
        const char *clip, *tensor, *data, *shard, *words;
    } cases[] = {
        {"optimizer.clip=0", "parallel.tensor=1", "parallel.data=1", "parallel.shard=none",
         "stage 1: the gradient of layer."},
        {"optimizer.clip=1", "parallel.tensor=1", "parallel.data=1", "parallel.shard=none", ": the gradient of layer."},
        {"optimizer.clip=0", "parallel.tensor=1", "parallel.data=2", "parallel.shard=optimizer",
         "one of the ranks 2 and 3, step "},
        {"optimizer.clip=1", "parallel.tensor=1", "parallel.data=2", "parallel.shard=weights",
         ": the gradient of layer."},
        {"optimizer.clip=0", "parallel.tensor=2", "parallel.data=1", "parallel.shard=none",
         "one of the ranks 2 and 3, step "},
        {"optimizer.clip=1", "parallel.tensor=2", "parallel.data=2", "parallel.shard=weights",
         ", stage 1, micro-batch 0: the gradient of layer."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_run run = {0};
        snprintf(run.folder, sizeof run.folder, "%s/diverged-%d", test_folder, (int)i);
        const char *overrides[] = {"device=reference",
                                   "model.init_deviation=100",
                                   "model.norm_epsilon=1e-12",
                                   "parallel.pipeline=2",
                                   "optimizer.learning_rate=1e10",
                                   "optimizer.warmup=0",
                                   "optimizer.weight_decay=0",
                                   cases[i].clip,
                                   cases[i].tensor,
                                   cases[i].data,
                                   cases[i].shard,
                                   NULL};
        assert_int_equal(test_train(&run, test_corpus, overrides, &error), WEFT_FAILED);
        assert_non_null(strstr(error.text, "not finite"));
        if (!strstr(error.text, cases[i].words)) fail_msg("'%s' is not in '%s'", cases[i].words, error.text);
        assert_non_null(strstr(error.text, "stage"));
        assert_false(weft_checkpoint_exists(run.folder));
    }
}

/* Asked to stop at the first look, an evaluation is broken off and the checkpoint is written. */
static void test_stop_skips_evaluation(void **state)
{
    (void)state;
    weft_error error;
    test_run run = {.stop = 1, .held_out = -1};
    snprintf(run.folder, sizeof run.folder, "%s/unevaluated", test_folder);
    const char *overrides[] = {"device=reference", "run.evaluate_every=1", NULL};
    assert_int_equal(test_train(&run, test_corpus, overrides, &error), WEFT_OK);
    assert_true(run.held_out == -1);
    assert_true(weft_checkpoint_exists(run.folder));
}

static weft_status be_slow(void *context, const weft_step_record *record, weft_error *error)
{
    (void)context;
    (void)record;
    (void)error;
    weft_clock_sleep(0.5);
    return WEFT_OK;
}

static void train_slowly(const char *parallel)
{
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "run: {steps: 2, folder: %s/slow}\nmodel: {layers: 4, width: 32, heads: 2, context: 16}\n"
             "data: {path: %s}\nbatch: {microbatches: 4}\nparallel: {%s}\ndevice: reference\ntimeout: 0.1\n",
             test_folder, test_corpus, parallel);
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    assert_int_equal(weft_config_load_text(&config, yaml, strlen(yaml), "test", NULL, 0, &error), WEFT_OK);
    assert_int_equal(weft_job_create(&config, &job, &error), WEFT_OK);
    weft_train_options options = {.trial_steps = 2, .observer = {.step = be_slow}};
    assert_int_equal(weft_train(job, &options, &error), WEFT_OK);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

/* A rank that is alive but slower than the timeout does not stall the others. */
static void test_slow_rank(void **state)
{
    (void)state;
    train_slowly("pipeline: 2");
    train_slowly("tensor: 2"); /* it waits in the middle of a pass */
}

/* Untied, grouped-query, uneven and empty stages: still the bits of one worker. */
static void test_uneven_stages(void **state)
{
    (void)state;
    weft_error error;
    test_run one = {0}, uneven = {0};
    snprintf(one.folder, sizeof one.folder, "%s/llama-one", test_folder);
    snprintf(uneven.folder, sizeof uneven.folder, "%s/llama-uneven", test_folder);
    const char *base[] = {"device=reference", "model.architecture=llama", "model.kv_heads=2", NULL};
    const char *split[] = {
        "device=reference", "model.architecture=llama",  "model.kv_heads=2",     "parallel.pipeline=2",
        "parallel.loops=2", "parallel.stages=[0,5,3,0]", "batch.microbatches=6", NULL};
    assert_int_equal(test_train(&one, test_corpus, base, &error), WEFT_OK);
    assert_int_equal(test_train(&uneven, test_corpus, split, &error), WEFT_OK);
    assert_memory_equal(one.losses, uneven.losses, sizeof one.losses);
    assert_memory_equal(&one.held_out, &uneven.held_out, sizeof one.held_out);
}

/* A trial takes the steps of a run and touches no run test_folder, neither one that is there nor one that is not. */
static void test_trial(void **state)
{
    (void)state;
    weft_error error;
    test_run whole = {0}, trial = {.trial_steps = 4}, cut = {.trial_steps = 4, .stop_after = 2}, none = {0};
    snprintf(whole.folder, sizeof whole.folder, "%s/kept", test_folder);
    memcpy(trial.folder, whole.folder, sizeof trial.folder);
    snprintf(cut.folder, sizeof cut.folder, "%s/never", test_folder);
    const char *overrides[] = {"device=reference", "parallel.pipeline=2", "run.evaluate_every=1", NULL};
    assert_int_equal(test_train(&whole, test_corpus, overrides, &error), WEFT_OK);
    assert_false(whole.stopped);
    weft_arena arena;
    weft_arena_init(&arena);
    const char **before = NULL, **after = NULL;
    size_t count_before = 0, count_after = 0;
    assert_int_equal(weft_folder_list(whole.folder, &arena, &before, &count_before, &error), WEFT_OK);
    assert_int_equal(test_train(&trial, test_corpus, overrides, &error), WEFT_OK);
    assert_int_equal(weft_folder_list(whole.folder, &arena, &after, &count_after, &error), WEFT_OK);
    assert_int_equal(count_before, count_after);
    for (size_t i = 0; i < count_before; i++) assert_string_equal(before[i], after[i]);
    weft_arena_fini(&arena);
    assert_int_equal(trial.steps, 4);
    assert_false(trial.stopped);
    assert_memory_equal(trial.losses, whole.losses, 5 * sizeof *trial.losses);
    assert_memory_equal(&trial.held_out, &none.held_out, sizeof none.held_out); /* not evaluated */
    assert_int_equal(test_train(&cut, test_corpus, overrides, &error), WEFT_OK);
    assert_true(cut.stopped);
    assert_int_equal(cut.steps, 3); /* asked while the third was about to start */
    assert_false(weft_path_exists(cut.folder));
}

typedef struct timed_steps {
    char seen[256]; /* "2k 3kd": step, kept, drawn */
    int broken;     /* actions that began before what they wait for had ended, or lie outside of the step */
} timed_steps;

/* What an action waits for is done when it begins, and what was sent begins before it has arrived, on the clock that
 * the ranks share. */
static int count_broken(const weft_timeline *t)
{
    const weft_program *program = t->program;
    int broken = 0;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        for (uint32_t k = 0; k < lane->count; k++) {
            uint32_t a = lane->first + k;
            broken += t->end[a] < t->begin[a] || (k > 0 && t->begin[a] < t->end[a - 1]);
            for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++)
                broken += t->begin[a] < t->end[program->after[i]];
            if (lane->match >= 0) broken += t->end[a] < t->begin[program->lanes[lane->match].first + k];
        }
    }
    return broken;
}

/* Whichever rank began first, and whichever ended last. */
static int count_outside(const weft_timeline_record *record)
{
    const weft_timeline *t = record->measured;
    int outside = 0;
    for (uint32_t a = 0; a < t->program->action_count; a++)
        outside += t->begin[a] < record->begin || t->end[a] > record->end;
    return outside;
}

static weft_status on_timeline(void *context, const weft_timeline_record *record, weft_error *error)
{
    (void)error;
    timed_steps *seen = context;
    size_t used = strlen(seen->seen);
    snprintf(seen->seen + used, sizeof seen->seen - used, "%s%lld%s%s", used ? " " : "", (long long)record->step,
             record->kept ? "k" : "", record->drawn ? "d" : "");
    seen->broken += count_broken(record->measured);
    seen->broken += count_outside(record);
    return WEFT_OK;
}

/* As trials, which leave no folder. */
static void expect_timelines(const char *keys, int64_t steps, const char *wanted)
{
    char yaml[768];
    snprintf(yaml, sizeof yaml,
             "run: {folder: %s/timed, %s}\nmodel: {layers: 4, width: 32, heads: 2, context: 16}\ndata: {path: %s}\n"
             "batch: {microbatches: 4}\nparallel: {pipeline: 2, loops: 2}\ndevice: reference\n",
             test_folder, keys, test_corpus);
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    timed_steps seen = {0};
    weft_train_options options = {.trial_steps = steps, .observer = {.context = &seen, .timeline = on_timeline}};
    assert_int_equal(weft_config_load_text(&config, yaml, strlen(yaml), "test", NULL, 0, &error), WEFT_OK);
    assert_int_equal(weft_job_create(&config, &job, &error), WEFT_OK);
    if (weft_train(job, &options, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_string_equal(seen.seen, wanted);
    assert_int_equal(seen.broken, 0);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

/* Steps spread over the run are timed, and the drawn one beside them. */
static void test_timelines(void **state)
{
    (void)state;
    expect_timelines("steps: 7, timelines: 3", 7, "3k 6k 7kd");
    expect_timelines("steps: 7, timelines: 3, timeline_step: 2", 7, "2kd 3k 6k");
    expect_timelines("steps: 4, timelines: 100", 4, "1k 2k 3k 4kd");
    expect_timelines("steps: 4, timelines: 0", 4, "4d");
    expect_timelines("steps: 40", 6, "1k 2k 3k 4k 5k 6kd");
}

enum { CALIBRATED_STAGES = 4 };

static weft_status check_calibration(void *context, const weft_calibration *told, weft_error *error)
{
    (void)error;
    const weft_costs *costs = &told->costs;
    assert_int_equal(((test_run *)context)->steps, 0); /* before the first step */
    for (int s = 0; s < CALIBRATED_STAGES; s++) {
        assert_true(costs->forward[s] > 0 && costs->forward[s] < 1);
        assert_true(costs->backward_input[s] > 0 && costs->backward_weight[s] > 0);
        assert_true(costs->update[s] > 0);
        assert_true(s == 0 || s + 1 == CALIBRATED_STAGES || costs->messages[s] > 0);
    }
    assert_true(costs->collectives[WEFT_NORM] > 0 && costs->collectives[WEFT_METRICS] > 0);
    assert_true(costs->collectives[WEFT_REDUCE_TIED] > 0);
    assert_true(told->between > 0);
    ((test_run *)context)->held_out = -2; /* told */
    return WEFT_OK;
}

/* What parts of a step take is found without leaving a trace in the bits. */
static void test_calibration(void **state)
{
    (void)state;
    static const char *const schedules[] = {"breadth-first", "zb-v", "breadth-first-split"};
    weft_error error;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        char schedule[64];
        snprintf(schedule, sizeof schedule, "parallel.schedule=%s", schedules[i]);
        const char *overrides[] = {"device=reference", "parallel.pipeline=2", "parallel.loops=2", schedule, NULL};
        test_run plain = {.trial_steps = 3};
        test_run timed = {.trial_steps = 3, .calibrate_seconds = 1e-3, .calibrated = check_calibration};
        assert_int_equal(test_train(&plain, test_corpus, overrides, &error), WEFT_OK);
        assert_int_equal(test_train(&timed, test_corpus, overrides, &error), WEFT_OK);
        assert_true(timed.held_out == -2);
        assert_memory_equal(plain.losses, timed.losses, sizeof plain.losses);
    }
    test_run stopped = {.trial_steps = 3, .calibrate_seconds = 1e-3, .stop = 1};
    const char *overrides[] = {"device=reference", "parallel.pipeline=2", NULL};
    assert_int_equal(test_train(&stopped, test_corpus, overrides, &error), WEFT_OK);
    assert_true(stopped.stopped);
    assert_int_equal(stopped.steps, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),          cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_out_of_memory),  cmocka_unit_test(test_resume_elsewhere),
        cmocka_unit_test(test_resume_changed), cmocka_unit_test(test_corrections),
        cmocka_unit_test(test_not_finite),     cmocka_unit_test(test_stop_skips_evaluation),
        cmocka_unit_test(test_slow_rank),      cmocka_unit_test(test_uneven_stages),
        cmocka_unit_test(test_trial),          cmocka_unit_test(test_timelines),
        cmocka_unit_test(test_calibration),
    };
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
