/*
 * What fails between a finished step and its checkpoint (the observer, reading, a held-out loss): the run ends with the
 * cause, what was done is saved, and a resumed run has the bits and the evaluations of one in which nothing failed.
 */
#include "layouts.h"
#include "place.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEPS = 6, VOCABULARY = 128, CORPUS = 20000 };

typedef enum { NOTHING, STEP, EVALUATED, TIMELINE, SAVED, DATA, HELD_OUT } culprit;

static char held_out[128];

/* A run whose observer fails, or spoils the data, at a step. */
typedef struct {
    culprit fails;
    int64_t at;
    bool resume, lacks;
    char name[64];                 /* of its folder */
    double losses[STEPS + 1];      /* by step, as told; 0: not */
    double evaluations[STEPS + 1]; /* by step, as told; 0: not */
    int64_t asked;                 /* for the evaluation of this step; 0: never */
} trial;

/* A text of 7-bit characters, or none of them. */
static void write_text(const char *path, bool spoilt)
{
    char *bytes = malloc(CORPUS);
    weft_error error;
    if (!bytes) abort();
    for (int i = 0; i < CORPUS; i++) bytes[i] = (char)(33 + i * (i % 97) % 90);
    if (spoilt) memset(bytes, 0xee, CORPUS);
    FILE *file = fopen(path, "r+"); /* in place: the run has it open */
    if (!file) {
        assert_int_equal(weft_file_write(path, bytes, CORPUS, &error), WEFT_OK);
    } else {
        assert_int_equal(fwrite(bytes, 1, CORPUS, file), CORPUS);
        assert_int_equal(fclose(file), 0);
    }
    free(bytes);
}

static weft_status act(const trial *it, culprit what, int64_t step, weft_error *error)
{
    if (it->fails == what && it->at == step) FAIL(error, WEFT_FAILED, "the observer's disk is full");
    return WEFT_OK;
}

static weft_status on_step(void *context, const weft_step_record *record, weft_error *error)
{
    trial *it = context;
    it->losses[record->step] = record->loss;
    if (it->fails == DATA && it->at == record->step) write_text(test_corpus, true);
    if (it->fails == HELD_OUT && it->at == record->step) write_text(held_out, true);
    return act(it, STEP, record->step, error);
}

static weft_status on_evaluated(void *context, const weft_evaluation_record *record, weft_error *error)
{
    trial *it = context;
    TRY(act(it, EVALUATED, record->step, error));
    it->evaluations[record->step] = record->loss;
    return WEFT_OK;
}

static weft_status on_timeline(void *context, const weft_timeline_record *record, weft_error *error)
{
    return act(context, TIMELINE, record->step, error);
}

static weft_status on_saved(void *context, int64_t step, weft_error *error)
{
    return act(context, SAVED, step, error);
}

static bool lacks_evaluation(void *context, int64_t step)
{
    trial *it = context;
    it->asked = step;
    return it->lacks;
}

static const char *folder_of(const trial *it)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", test_folder, it->name);
    return path;
}

/* overrides: the layout's and more, NULL-terminated. */
static weft_status train(trial *it, const char *const *overrides, weft_error *error)
{
    char held_out_path[96];
    const char *all[TEST_RUN_OVERRIDES] = {"device=reference",      "model.layers=2", "model.vocabulary=128",
                                           "batch.microbatches=2",  held_out_path,    "run.evaluate_every=2",
                                           "run.evaluate_batches=2"};
    int count = 7;
    while (*overrides) all[count++] = *overrides++;
    snprintf(held_out_path, sizeof held_out_path, "data.held_out_path=%s", held_out);
    test_run run = {0};
    weft_config config;
    weft_job *job = NULL;
    snprintf(run.folder, sizeof run.folder, "%s", folder_of(it));
    weft_error_clear(error);
    TRY(test_job(&run, test_corpus, all, &config, &job, error));
    weft_train_options options = {.resume = it->resume,
                                  .observer = {.context = it,
                                               .step = on_step,
                                               .evaluated = on_evaluated,
                                               .lacks_evaluation = lacks_evaluation,
                                               .timeline = on_timeline,
                                               .saved = on_saved}};
    alarm(120); /* a rank that waits for one that has left */
    weft_status status = weft_train(job, &options, error);
    alarm(0);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return status;
}

static int set_up(void **state)
{
    if (test_place_set_up(state) != 0) return -1;
    snprintf(held_out, sizeof held_out, "%s/held-out.txt", test_folder);
    write_text(test_corpus, false);
    write_text(held_out, false);
    return 0;
}

static void assert_says(const weft_error *error, const char *words)
{
    if (!strstr(error->text, words)) fail_msg("'%s' does not say '%s'", error->text, words);
}

static int64_t saved_step(const trial *it)
{
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    if (weft_checkpoint_open(folder_of(it), &checkpoint, &error) != WEFT_OK) fail_msg("%s", error.text);
    int64_t step = weft_checkpoint_get_state(checkpoint)->step;
    weft_checkpoint_close(checkpoint);
    return step;
}

/* The run fails and is resumed, to the bits and the evaluations of the whole one. */
static void check(const char *const *overrides, trial *broken, const trial *whole, const char *words, int64_t saved)
{
    char text[64], why[512], a[160];
    weft_error error;
    assert_int_equal(train(broken, overrides, &error), WEFT_FAILED);
    assert_says(&error, words);
    if (saved < 0) saved = saved_step(broken); /* when data are found out is up to the order they are read in */
    assert_true(saved >= broken->at);
    assert_int_equal(saved_step(broken), saved);
    snprintf(text, sizeof text, "the checkpoint of step %d is saved", (int)saved);
    assert_says(&error, text);
    write_text(test_corpus, false);
    write_text(held_out, false);
    trial again = {.resume = true, .lacks = saved % 2 == 0 && broken->evaluations[saved] == 0};
    snprintf(again.name, sizeof again.name, "%s", broken->name);
    if (train(&again, overrides, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(again.asked, saved % 2 ? 0 : saved);
    for (int s = 1; s <= STEPS; s++) {
        double first = broken->losses[s], second = again.losses[s];
        assert_true(s > saved ? second == whole->losses[s] : second == 0 && (first == 0 || first == whole->losses[s]));
        assert_int_equal((broken->evaluations[s] != 0) + (again.evaluations[s] != 0), s % 2 == 0);
        assert_true(broken->evaluations[s] + again.evaluations[s] == whole->evaluations[s]);
    }
    snprintf(a, sizeof a, "%s", folder_of(broken));
    if (!test_checkpoints_agree(a, folder_of(whole), why, sizeof why)) fail_msg("%s: %s", broken->name, why);
}

static void test_saved_and_resumed(void **state)
{
    (void)state;
    static const char *const layouts[][4] = {{"run.timeline_step=5", "parallel.pipeline=1"},
                                             {"run.timeline_step=5", "parallel.data=2", "parallel.pipeline=2"},
                                             {"run.timeline_step=5", "parallel.tensor=2"}};
    static const struct {
        culprit fails;
        int64_t at, saved; /* saved: which step is in the checkpoint; -1: at least that */
        const char *words;
    } cases[] = {
        {STEP, 3, 4, "disk is full"},      /* the others hear of it at the end of the next step */
        {STEP, 6, 6, "disk is full"},      /* nothing comes after it */
        {EVALUATED, 2, 2, "disk is full"}, /* a checkpoint was not due */
        {EVALUATED, 6, 6, "disk is full"},  {TIMELINE, 5, 6, "disk is full"}, {SAVED, 6, 6, "disk is full"},
        {DATA, 1, -1, "corpus.txt: "},      {DATA, 3, -1, "corpus.txt: "},    {HELD_OUT, 1, -1, "held-out.txt: "},
        {HELD_OUT, 5, 6, "held-out.txt: "},
    };
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        trial whole = {.fails = NOTHING};
        weft_error error;
        snprintf(whole.name, sizeof whole.name, "whole-%d", (int)l);
        if (train(&whole, layouts[l], &error) != WEFT_OK) fail_msg("%s", error.text);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            trial broken = {.fails = cases[i].fails, .at = cases[i].at};
            snprintf(broken.name, sizeof broken.name, "broken-%d-%d", (int)l, (int)i);
            check(layouts[l], &broken, &whole, cases[i].words, cases[i].saved);
        }
    }
}

/* There is nothing to save before the first step. */
static void test_first_batch(void **state)
{
    (void)state;
    static const char *const overrides[] = {"parallel.data=2", NULL};
    trial it = {.name = "first"};
    weft_error error;
    write_text(test_corpus, true);
    weft_status status = train(&it, overrides, &error);
    assert_true(status == WEFT_FAILED || status == WEFT_INVALID); /* at the first batch, or by a check before it */
    assert_says(&error, "corpus.txt");
    assert_null(strstr(error.text, "saved"));
    assert_false(weft_checkpoint_exists(folder_of(&it)));
    write_text(test_corpus, false);
}

/* What is said of the checkpoints when something is not finite, and that the advice helps. */
static void test_advice(void **state)
{
    (void)state;
    static const struct {
        const char *steps, *every, *clip, *words; /* of a run that is resumed at step 2; steps 1: a new one */
    } cases[] = {
        {"run.steps=6", "checkpoint.every=0", "optimizer.clip=0",
         "the loss is not finite; the checkpoint of step 2 is from before: resume, with a lower "
         "optimizer.learning_rate or with optimizer.clip"},
        {"run.steps=6", "checkpoint.every=1", "optimizer.clip=1",
         "the loss is not finite; the checkpoint of step 3 holds the weights that give it, that of step 2 is from "
         "before: remove step-00000003 and resume, with a lower optimizer.learning_rate"},
        {"run.steps=3", "checkpoint.every=0", "optimizer.clip=1",
         "the held-out loss is not finite; the checkpoint of step 3 holds the weights that give it, that of step 2 is "
         "from before: remove step-00000003 and resume, with a lower optimizer.learning_rate"},
        {"run.steps=1", "checkpoint.every=0", "optimizer.clip=1",
         "the held-out loss is not finite; the checkpoint of step 1 holds the weights that give it, and there is no "
         "earlier one: start again, with a lower optimizer.learning_rate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trial it = {0};
        weft_error error;
        bool fresh = strcmp(cases[i].steps, "run.steps=1") == 0;
        snprintf(it.name, sizeof it.name, "advised-%d", (int)i);
        const char *good[] = {"run.steps=2", "optimizer.warmup=0", NULL};
        const char *bad[] = {cases[i].steps,        cases[i].every,
                             cases[i].clip,         "optimizer.learning_rate=1e30",
                             "optimizer.warmup=0",  "optimizer.weight_decay=0",
                             "parallel.pipeline=2", NULL};
        if (!fresh && train(&it, good, &error) != WEFT_OK) fail_msg("%s", error.text);
        it.resume = !fresh;
        assert_int_equal(train(&it, bad, &error), WEFT_FAILED);
        assert_says(&error, cases[i].words);
        if (fresh) continue;
        char spoilt[200];
        snprintf(spoilt, sizeof spoilt, "%s/step-00000003", folder_of(&it));
        if (strstr(error.text, "remove")) assert_int_equal(weft_folder_remove(spoilt, &error), WEFT_OK);
        const char *lower[] = {"run.steps=6", "optimizer.warmup=0", NULL};
        if (train(&it, lower, &error) != WEFT_OK) fail_msg("%s", error.text);
        assert_int_equal(saved_step(&it), STEPS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saved_and_resumed),
        cmocka_unit_test(test_first_batch),
        cmocka_unit_test(test_advice),
    };
    return cmocka_run_group_tests(tests, set_up, test_place_tear_down);
}
