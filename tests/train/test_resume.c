/* What a run that goes on from a checkpoint reads, what it says, and which checkpoints it does not believe. */
#include "layouts.h"
#include "place.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "train/rate.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static atomic_size_t taken;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&taken, size);
    return __real_aligned_alloc(alignment, size);
}

static pthread_barrier_t meeting;
static atomic_int readers = 2; /* of values; 0 and 1 wait for each other */

weft_status __real_weft_checkpoint_read(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                                        int32_t dimensions, const int64_t *shape, int64_t from, int64_t rows,
                                        int64_t columns, float *out, weft_error *error);
weft_status __wrap_weft_checkpoint_read(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                                        int32_t dimensions, const int64_t *shape, int64_t from, int64_t rows,
                                        int64_t columns, float *out, weft_error *error);

weft_status __wrap_weft_checkpoint_read(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                                        int32_t dimensions, const int64_t *shape, int64_t from, int64_t rows,
                                        int64_t columns, float *out, weft_error *error)
{
    int reader = columns > 0 ? atomic_fetch_add(&readers, 1) : -1;
    if (reader == 0 || reader == 1) pthread_barrier_wait(&meeting);
    return __real_weft_checkpoint_read(checkpoint, kind, name, dimensions, shape, from, rows, columns, out, error);
}

enum { MOST_KEYS = 12 };

/* Trains in folder/NAME with the keys, separated by blanks; what was told before is forgotten. */
static weft_status train(test_run *run, const char *name, const char *keys, weft_error *error)
{
    char words[512], *at = words;
    const char *overrides[MOST_KEYS + 2] = {"device=reference"};
    int count = 1;
    snprintf(run->folder, sizeof run->folder, "%s/%s", test_folder, name);
    snprintf(words, sizeof words, "%s", keys);
    for (char *key; (key = strsep(&at, " "));) {
        assert_in_range(count, 1, MOST_KEYS);
        overrides[count++] = key;
    }
    run->notes[0] = '\0';
    weft_error_clear(error);
    return test_train(run, test_corpus, overrides, error);
}

static void trains(test_run *run, const char *name, const char *keys)
{
    weft_error error;
    if (train(run, name, keys, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void refuses(test_run *run, const char *name, const char *keys, const char *words)
{
    weft_error error;
    assert_int_equal(train(run, name, keys, &error), WEFT_INVALID);
    if (!strstr(error.text, words)) fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void tells(const test_run *run, const char *words)
{
    if (!strstr(run->notes, words)) fail_msg("\"%s\" does not say \"%s\"", run->notes, words);
}

static weft_checkpoint_state state_of(const test_run *run)
{
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    if (weft_checkpoint_open(run->folder, &checkpoint, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_checkpoint_state state = *weft_checkpoint_get_state(checkpoint);
    weft_checkpoint_close(checkpoint);
    return state;
}

static void expect_skips(test_run *run, const char *keys, int64_t count, const char *told, const char *untold)
{
    trains(run, "skips", keys);
    run->resume = true;
    assert_int_equal(state_of(run).skips.count, count);
    if (told) tells(run, told);
    assert_null(strstr(run->notes, untold));
}

/* The window grows and shrinks with its key, is dropped where nothing is skipped, and begins anew after that. */
static void test_skips_that_change(void **state)
{
    (void)state;
    test_run run = {0};
    expect_skips(&run, "run.steps=3", 0, NULL, "skip");
    expect_skips(&run, "run.steps=5 optimizer.skip=6 optimizer.skip_window=2", 2,
                 "optimizer.skip is 6, the checkpoint was trained with 0: from here on the bits differ\n", "in_a_row");
    expect_skips(&run, "run.steps=6 optimizer.skip=6 optimizer.skip_window=4 optimizer.skip_in_a_row=7", 3,
                 "optimizer.skip_window is 4, the checkpoint was trained with 2: from here on the bits differ\n",
                 "in_a_row");
    expect_skips(&run, "run.steps=7 optimizer.skip=6 optimizer.skip_window=2", 2, "optimizer.skip_window is 2",
                 "optimizer.skip is");
    expect_skips(&run, "run.steps=8 optimizer.skip_window=9", 0, "optimizer.skip is 0", "skip_window");
    expect_skips(&run, "run.steps=9 optimizer.skip=6 optimizer.skip_window=2", 1, "optimizer.skip is 6", "in_a_row");
}

#define STILL "optimizer.learning_rate=0 optimizer.clip=0 "

/* With a rate of 0 a loss is a function of what is read. Batches of 8 sequences are read, then of 4, then of 8, as
 * batches of 4 of a run that is not cut: in which pieces, and by how many workers, does not matter. */
static void test_place_in_the_data(void **state)
{
    (void)state;
    enum { SPLITS = 3 };
    static const char *const small[SPLITS] = {STILL "run.steps=4 batch.microbatches=2 batch.sequences=2",
                                              STILL "run.steps=4 batch.microbatches=4 batch.sequences=1",
                                              STILL
                                              "run.steps=4 batch.microbatches=1 batch.sequences=2 parallel.data=2"};
    test_run whole = {0};
    trains(&whole, "place-whole", STILL "run.steps=12 batch.microbatches=2 batch.sequences=2");
    assert_int_equal(state_of(&whole).sequences, 48);
    for (int i = 0; i < SPLITS; i++) {
        char name[32];
        test_run cut = {0};
        snprintf(name, sizeof name, "place-%d", i);
        trains(&cut, name, STILL "run.steps=2 batch.microbatches=4 batch.sequences=2");
        assert_int_equal(state_of(&cut).sequences, 16);
        cut.resume = true;
        trains(&cut, name, small[i]);
        assert_int_equal(state_of(&cut).step, 4);
        assert_int_equal(state_of(&cut).sequences, 24);
        trains(&cut, name, STILL "run.steps=5 batch.microbatches=4 batch.sequences=2");
        assert_int_equal(state_of(&cut).sequences, 32);
        for (int step = 1; step <= 5; step++) {
            int first = step <= 2 ? 2 * step - 1 : step <= 4 ? step + 2 : 7;
            double mean =
                step <= 2 || step == 5 ? (whole.losses[first] + whole.losses[first + 1]) / 2 : whole.losses[first];
            assert_true(fabs(cut.losses[step] - mean) < 1e-5);
        }
        assert_true(fabs(whole.losses[3] - whole.losses[5]) > 1e-4); /* else the place would not show */
    }
}

static void expect_rates(const char *name, const char *then, const char *now, const char *changed)
{
    test_run run = {0};
    char path[64];
    trains(&run, name, then);
    run.resume = true;
    snprintf(path, sizeof path, "%s", name);
    trains(&run, path, now);
    if (changed)
        tells(&run, changed);
    else
        assert_null(strstr(run.notes, "learning rate"));
}

/* Whatever changes the rate of the steps to come is told with both rates; what does not change it is not. */
static void test_rates_that_change(void **state)
{
    (void)state;
    expect_rates("rate-steps", "run.steps=4 optimizer.learning_rate=0.01 optimizer.warmup=0",
                 "run.steps=8 optimizer.learning_rate=0.01 optimizer.warmup=0",
                 "run.steps changed: the learning rate was 0.001 at step 4 and is 0.003778 at step 5\n");
    expect_rates("rate-linear", "run.steps=4 optimizer.decay=linear optimizer.warmup=1 optimizer.minimum=0",
                 "run.steps=9 optimizer.decay=linear optimizer.warmup=1 optimizer.minimum=0.5",
                 "run.steps, optimizer.minimum changed: the learning rate was 0 at step 4 and is 0.0075 at step 5\n");
    expect_rates("rate-peak", "run.steps=2 optimizer.decay=constant",
                 "run.steps=3 optimizer.decay=constant optimizer.learning_rate=0.5",
                 "optimizer.learning_rate changed: the learning rate was 0.01 at step 2 and is 0.5 at step 3\n");
    expect_rates("rate-kind", "run.steps=2 optimizer.decay=constant", "run.steps=3 optimizer.decay=linear",
                 "run.steps, optimizer.decay changed: the learning rate was 0.01 at step 2 and is 0.001 at step 3\n");
    expect_rates("rate-warmup", "run.steps=2 optimizer.decay=constant optimizer.warmup=0",
                 "run.steps=9 optimizer.decay=constant optimizer.warmup=6",
                 "optimizer.warmup changed: the learning rate was 0.01 at step 2 and is 0.005 at step 3\n");
    expect_rates("rate-wsd", "run.steps=4 optimizer.decay=wsd optimizer.decay_steps=2",
                 "run.steps=4 optimizer.decay=wsd optimizer.decay_steps=1", NULL); /* all steps are done */
    expect_rates("rate-same", "run.steps=2 optimizer.decay=constant",
                 "run.steps=3 optimizer.decay=constant optimizer.warmup=1", NULL);
}

static void test_decay_that_changes(void **state)
{
    (void)state;
    test_run run = {.stop_after = 1};
    trains(&run, "decay", "optimizer.decay=wsd optimizer.decay_steps=2");
    run = (test_run){.resume = true};
    trains(&run, "decay", "optimizer.decay=wsd optimizer.decay_steps=4");
    tells(&run, "optimizer.decay_steps changed: the learning rate was 0.01 at step 2 and is 0.00775 at step 3\n");
}

/* Where the order of the data is another one, the place is no longer behind what was read: that is said by name. */
static void test_another_order(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *words;
    } cases[] = {
        {"batch.tokens=8", "batch.tokens is 8, the checkpoint was trained with 16: text comes in another order"},
        {"run.seed=8", "run.seed is 8, the checkpoint was trained with 7: text comes in another order"},
        {"data.held_out=0.5", "data.held_out is 0.5, the checkpoint was trained with 0.02: other blocks are held out"},
        {"batch.microbatches=3",
         "batch.microbatches is 3, the checkpoint was trained with 6: from here on the bits differ"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        test_run run = {.stop_after = 1};
        snprintf(name, sizeof name, "order-%d", (int)i);
        trains(&run, name, "run.steps=3");
        run = (test_run){.resume = true};
        char keys[64];
        snprintf(keys, sizeof keys, "run.steps=3 %s", cases[i].keys);
        trains(&run, name, keys);
        tells(&run, cases[i].words);
    }
}

/* Held-out files that are moved are the same data, and a share beside them holds out nothing. */
static void test_same_held_out(void **state)
{
    (void)state;
    char moved[80], keys[128];
    test_run run = {.stop_after = 1};
    snprintf(moved, sizeof moved, "%s/moved.txt", test_folder);
    test_write_corpus(moved);
    snprintf(keys, sizeof keys, "run.steps=3 data.held_out_path=%s", test_corpus);
    trains(&run, "moved", keys);
    run = (test_run){.resume = true};
    snprintf(keys, sizeof keys, "run.steps=3 data.held_out_path=%s data.held_out=0.5", moved);
    trains(&run, "moved", keys);
    assert_string_equal(run.notes, "");
    weft_error error;
    assert_int_equal(train(&run, "moved", "run.steps=4", &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "other data"));
}

/* Nothing to go on from is told, and is no error: the first run of a script is like those that follow. */
static void test_nothing_to_resume(void **state)
{
    (void)state;
    test_run run = {.resume = true};
    trains(&run, "nothing", "run.steps=2");
    tells(&run, "no checkpoint in ");
    tells(&run, "training begins at step 1");
    trains(&run, "nothing", "run.steps=3");
    assert_null(strstr(run.notes, "no checkpoint"));
    run.resume = false;
    trains(&run, "new", "run.steps=2");
    assert_int_equal(run.notes[0], '\0');
}

/* Writes the latest checkpoint of a run again as that of a step, without the moments, or with another text in its
 * configuration. */
static void write_again(const test_run *run, int64_t step, bool moments, const char *from, const char *to)
{
    enum { MOST = 128 };
    weft_checkpoint *checkpoint = NULL;
    weft_checkpoint_file files[WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_piece pieces[MOST];
    weft_config config;
    weft_job *job = NULL;
    weft_error error;
    weft_text dump;
    const char *none[] = {"device=reference", NULL};
    weft_text_init(&dump);
    assert_int_equal(test_job(run, test_corpus, none, &config, &job, &error), WEFT_OK);
    assert_int_equal(weft_checkpoint_open(run->folder, &checkpoint, &error), WEFT_OK);
    assert_in_range(job->parameter_count, 1, MOST);
    assert_int_equal(weft_checkpoint_begin(run->folder, step, &error), WEFT_OK);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        size_t count = 0;
        for (int32_t p = 0; p < job->parameter_count; p++) {
            const weft_parameter *parameter = &job->parameters[p];
            if (parameter->tied || (kind > 0 && !moments)) continue;
            float *values = calloc((size_t)parameter->elements, sizeof *values);
            assert_int_equal(weft_checkpoint_read(checkpoint, (weft_checkpoint_kind)kind, parameter->name,
                                                  parameter->dimensions, parameter->shape, 0, 1, parameter->elements,
                                                  values, &error),
                             WEFT_OK);
            pieces[count++] = (weft_checkpoint_piece){.name = parameter->name,
                                                      .dimensions = parameter->dimensions,
                                                      .shape = parameter->shape,
                                                      .rows = 1,
                                                      .columns = parameter->elements,
                                                      .values = values};
        }
        assert_int_equal(weft_checkpoint_write(NULL, run->folder, step, (weft_checkpoint_kind)kind, 0, 1, pieces, count,
                                               &files[kind], &error),
                         WEFT_OK);
        for (size_t i = 0; i < count; i++) free((void *)(uintptr_t)pieces[i].values);
    }
    const char *text = weft_checkpoint_config(checkpoint), *found = strstr(text, from);
    assert_non_null(found);
    weft_text_add(&dump, "%.*s%s%s", (int)(found - text), text, to, found + strlen(from));
    weft_checkpoint_state state = *weft_checkpoint_get_state(checkpoint);
    state.sequences = step ? state.sequences : 0;
    state.step = step;
    if (weft_checkpoint_publish(run->folder, &state, weft_text_get(&dump), files, WEFT_CHECKPOINT_KINDS, 0, &error) !=
        WEFT_OK)
        fail_msg("%s", error.text);
    weft_checkpoint_close(checkpoint);
    weft_text_fini(&dump);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

/* Beyond step 0 what is trained has moments: they are not made up. Of step 0 they begin at zero. */
static void test_lost_moments(void **state)
{
    (void)state;
    weft_error error;
    test_run run = {.stop_after = 1};
    trains(&run, "moments", "run.steps=6");
    run.stop = 0;
    run.stop_after = 0;
    run.resume = true;
    write_again(&run, 3, false, "steps: 6", "steps: 6");
    refuses(&run, "moments", "run.steps=6", "step-00000003: no moment1 of \"embedding.token\"");
    char path[600];
    snprintf(path, sizeof path, "%s/step-00000003", run.folder);
    assert_int_equal(weft_folder_remove(path, &error), WEFT_OK);
    trains(&run, "moments", "run.steps=6");
    snprintf(path, sizeof path, "%s/untrained", test_folder);
    test_run untrained = {.resume = true};
    snprintf(untrained.folder, sizeof untrained.folder, "%s", run.folder);
    write_again(&run, 0, false, "steps: 6", "steps: 6");
    assert_int_equal(mkdir(path, 0777), 0);
    char from[600], to[700];
    snprintf(from, sizeof from, "%s/step-00000000", run.folder);
    snprintf(to, sizeof to, "%s/step-00000000", path);
    assert_int_equal(rename(from, to), 0);
    trains(&untrained, "untrained", "run.steps=6");
    assert_int_equal(untrained.steps, 6);
    assert_int_equal(state_of(&untrained).sequences, 6 * 12);
}

static int no_token(void *context, int32_t token, bool bytes)
{
    (void)context;
    (void)token;
    (void)bytes;
    return 1;
}

/* A checkpoint that says that it is much larger than its files is refused before any memory is taken for it. */
static void test_lies_are_cheap(void **state)
{
    (void)state;
    static const char *const lies[][2] = {{"vocabulary: 256", "vocabulary: 16777216"},
                                          {"layers: 8", "layers: 65536"},
                                          {"width: 32", "width: 1048576"},
                                          {"feed_forward: 64", "feed_forward: 16777216"}};
    test_run run = {0};
    weft_error error;
    trains(&run, "lies", "run.steps=2");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        write_again(&run, 2, true, lies[i][0], lies[i][1]);
        weft_sample_options options = {.prompt = "a", .tokens = 1, .token = no_token};
        atomic_store(&taken, 0);
        assert_int_equal(weft_sample(run.folder, NULL, &options, &error), WEFT_INVALID);
        assert_true(atomic_load(&taken) < 4 << 20);
        run.resume = true;
        refuses(&run, "lies", "run.steps=3", "step-00000002");
        write_again(&run, 2, true, lies[i][1], lies[i][0]);
    }
    weft_sample_options options = {.prompt = "a", .tokens = 1, .token = no_token};
    assert_int_equal(weft_sample(run.folder, NULL, &options, &error), WEFT_OK);
}

/* By the threads of a worker, to go on and to generate: a single one would wait here for ever. */
static void test_read_side_by_side(void **state)
{
    (void)state;
    test_run run = {0};
    weft_error error;
    trains(&run, "hands", "run.steps=1 threads=2");
    run.resume = true;
    pthread_barrier_init(&meeting, NULL, 2);
    atomic_store(&readers, 0);
    trains(&run, "hands", "run.steps=2 threads=2");
    assert_true(atomic_exchange(&readers, 0) > 2);
    weft_sample_options options = {.prompt = "a", .tokens = 1, .token = no_token};
    assert_int_equal(weft_sample(run.folder, NULL, &options, &error), WEFT_OK);
    assert_true(atomic_load(&readers) > 2);
    pthread_barrier_destroy(&meeting);
}

/* Damaged or not where it should be, a checkpoint is not taken for none. */
static void test_run_folders(void **state)
{
    (void)state;
    char path[600], away[700];
    weft_error error;
    test_run run = {0};
    trains(&run, "folders", "run.steps=2 checkpoint.every=1");
    snprintf(path, sizeof path, "%s/step-00000002/checkpoint.yaml", run.folder);
    snprintf(away, sizeof away, "%s/kept", test_folder);
    assert_int_equal(rename(path, away), 0);
    refuses(&run, "folders", "run.steps=3", "holds a checkpoint: add --resume");
    run.resume = true;
    refuses(&run, "folders", "run.steps=3", "step-00000002: its checkpoint.yaml is missing");
    refuses(&run, "folders/step-00000001", "run.steps=3", "is a checkpoint itself");
    snprintf(path, sizeof path, "%s/folders/step-00000002", test_folder);
    assert_int_equal(weft_folder_remove(path, &error), WEFT_OK);
    trains(&run, "folders", "run.steps=3");
    assert_int_equal(run.steps, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_in_the_data), cmocka_unit_test(test_skips_that_change),
        cmocka_unit_test(test_rates_that_change), cmocka_unit_test(test_decay_that_changes),
        cmocka_unit_test(test_another_order),     cmocka_unit_test(test_same_held_out),
        cmocka_unit_test(test_nothing_to_resume), cmocka_unit_test(test_lost_moments),
        cmocka_unit_test(test_lies_are_cheap),    cmocka_unit_test(test_read_side_by_side),
        cmocka_unit_test(test_run_folders),
    };
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
