/* The held-out loss of a checkpoint by itself: the same bits at any layout as the run's own evaluation, the logits that
 * it comes from, and no more memory than that takes. */
#include "layouts.h"
#include "place.h"

#include "base/file.h"
#include "data/data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 16, VOCABULARY = 256, KEYS = 12 };

static test_run trained;

static int set_up(void **state)
{
    weft_error error;
    const char *const keys[] = {"run.steps=2", "model.layers=4", "data.held_out=0.01", "device=reference", NULL};
    if (test_place_set_up(state) != 0) return -1;
    snprintf(trained.folder, sizeof trained.folder, "%s/trained", test_folder);
    return test_train(&trained, test_corpus, keys, &error) == WEFT_OK ? 0 : -1;
}

static weft_status keep(void *context, const weft_evaluation_record *record, weft_error *error)
{
    (void)error;
    *(weft_evaluation_record *)context = *record;
    return WEFT_OK;
}

static weft_status evaluate_job(const weft_config *config, const weft_weights *weights, const char *logits,
                                weft_evaluation_record *out, weft_error *error)
{
    weft_job *job = NULL;
    weft_train_options options = {.logits = logits, .observer = {.context = out, .evaluated = keep}};
    TRY(weft_job_create_for(config, logits ? WEFT_JOB_SHOWS : WEFT_JOB_EVALUATES, &job, error));
    weft_status status = weft_evaluate(job, weights, &options, error);
    weft_job_destroy(job);
    return status;
}

/* The run's checkpoint with these keys; logits: a file for them, or NULL. */
static weft_status evaluate(const char *const *keys, const char *logits, weft_evaluation_record *out, weft_error *error)
{
    weft_weights *weights = NULL;
    weft_config config;
    int count = 0;
    while (keys[count]) count++;
    *out = (weft_evaluation_record){0};
    TRY(weft_weights_open(trained.folder, 0, &weights, error));
    const char *yaml = weft_weights_yaml(weights);
    weft_status status = weft_config_load_text(&config, yaml, strlen(yaml), "checkpoint", keys, count, error);
    if (status == WEFT_OK) {
        status = evaluate_job(&config, weights, logits, out, error);
        weft_config_fini(&config);
    }
    weft_weights_close(weights);
    return status;
}

static const char *const layouts[][KEYS] = {
    {NULL},
    {"parallel.pipeline=2", NULL},
    {"parallel.pipeline=2", "parallel.loops=2", "parallel.schedule=depth-first", "batch.microbatches=4", NULL},
    {"parallel.data=3", "parallel.pipeline=2", "parallel.shard=weights", "parallel.buffers=1", "batch.microbatches=2",
     NULL},
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static void test_same_bits(void **state)
{
    (void)state;
    weft_evaluation_record first, other;
    weft_error error;
    for (int i = 0; i < LAYOUTS; i++) {
        if (evaluate(layouts[i], NULL, i ? &other : &first, &error) != WEFT_OK) fail_msg("%d: %s", i, error.text);
        if (i == 0) continue;
        assert_memory_equal(&first.loss, &other.loss, sizeof first.loss);
        assert_int_equal(first.tokens, other.tokens);
    }
    assert_memory_equal(&first.loss, &trained.held_out, sizeof first.loss);
    assert_int_equal(first.step, 2);
}

/* A file of logits: where its data begin is in its first bytes. */
typedef struct {
    weft_text text;
    const char *data;
    int64_t sequences;
} shown;

static void read_shown(const char *path, shown *out)
{
    weft_error error;
    uint64_t length = 0;
    char expected[128];
    weft_text_init(&out->text);
    if (weft_file_read(path, &out->text, &error) != WEFT_OK) fail_msg("%s", error.text);
    memcpy(&length, out->text.bytes, sizeof length);
    size_t row = TOKENS * (VOCABULARY * sizeof(float) + sizeof(int32_t)), data = out->text.length - length - 8;
    assert_int_equal(data % row, 0);
    out->sequences = (int64_t)(data / row);
    out->data = out->text.bytes + 8 + length;
    snprintf(expected, sizeof expected, "{\"logits\":{\"dtype\":\"F32\",\"shape\":[%lld,%d,%d],",
             (long long)out->sequences, TOKENS, VOCABULARY);
    assert_memory_equal(out->text.bytes + 8, expected, strlen(expected));
    snprintf(expected, sizeof expected, "\"tokens\":{\"dtype\":\"I32\",\"shape\":[%lld,%d],", (long long)out->sequences,
             TOKENS);
    assert_non_null(strstr(weft_text_get(&out->text) + 8, expected));
}

/* -log softmax(logits)[target] of one row */
static double row_loss(const float *logits, int32_t target)
{
    double sum = 0;
    for (int v = 0; v < VOCABULARY; v++) sum += exp(logits[v] - logits[target]);
    return log(sum);
}

/* The loss of what a file shows, where targets are the tokens of its own data. */
static double loss_of(const shown *file, const weft_data *data)
{
    double sum = 0;
    int32_t tokens[TOKENS], targets[TOKENS], kept[TOKENS];
    float *logits = malloc(TOKENS * VOCABULARY * sizeof *logits);
    weft_error error;
    for (int64_t i = 0; i < file->sequences; i++) {
        size_t block = TOKENS * VOCABULARY * sizeof *logits, all = (size_t)file->sequences * block;
        memcpy(logits, file->data + (size_t)i * block, block);
        memcpy(kept, file->data + all + (size_t)i * sizeof kept, sizeof kept);
        assert_int_equal(
            weft_data_read(data, WEFT_DATA_HELD_OUT, i, 1, (weft_data_rows){tokens, targets, NULL}, &error), WEFT_OK);
        assert_memory_equal(tokens, kept, sizeof kept);
        for (int t = 0; t < TOKENS; t++) sum += row_loss(logits + t * VOCABULARY, targets[t]);
    }
    free(logits);
    return sum / (double)(file->sequences * TOKENS);
}

static void check_shown(const char *const *keys, shown *out, const weft_data *data, double tolerance)
{
    char path[128];
    weft_evaluation_record record;
    weft_error error;
    snprintf(path, sizeof path, "%s/logits", test_folder);
    if (evaluate(keys, path, &record, &error) != WEFT_OK) fail_msg("%s", error.text);
    read_shown(path, out);
    assert_int_equal(record.tokens, out->sequences * TOKENS);
    assert_true(fabs(loss_of(out, data) - record.loss) < tolerance * record.loss);
}

static void test_logits(void **state)
{
    (void)state;
    weft_data *data = NULL;
    weft_data_options options = {
        .path = test_corpus, .tokens = TOKENS, .held_out = 0.01, .seed = 7, .vocabulary = VOCABULARY};
    weft_error error;
    shown first, other;
    if (weft_data_open(&options, &data, &error) != WEFT_OK) fail_msg("%s", error.text);
    check_shown(layouts[0], &first, data, 1e-6);
    assert_int_equal(first.sequences, weft_data_blocks(data, WEFT_DATA_HELD_OUT));
    for (int i = 1; i < LAYOUTS; i++) {
        check_shown(layouts[i], &other, data, 1e-6);
        assert_int_equal(first.text.length, other.text.length);
        assert_memory_equal(first.text.bytes, other.text.bytes, first.text.length);
        weft_text_fini(&other.text);
    }
    /* Each worker has its part of the vocabulary, and adds in another order. */
    const char *const divided[] = {"parallel.tensor=2", "parallel.pipeline=2", NULL};
    check_shown(divided, &other, data, 1e-6);
    weft_text_fini(&other.text);
    const char *const rounded[] = {"element=bf16", "parallel.tensor=2", NULL};
    check_shown(rounded, &other, data, 1e-6);
    weft_text_fini(&other.text);
    weft_text_fini(&first.text);
    weft_data_close(data);
}

/* Neither gradients nor moments, nor the activations that a step keeps. */
static void test_memory(void **state)
{
    (void)state;
    const char *const keys[] = {"device=reference", NULL};
    weft_config config;
    weft_job *trains = NULL, *evaluates = NULL;
    weft_error error;
    assert_int_equal(test_job(&trained, test_corpus, keys, &config, &trains, &error), WEFT_OK);
    assert_int_equal(weft_job_create_for(&config, WEFT_JOB_EVALUATES, &evaluates, &error), WEFT_OK);
    const weft_job_memory *less = &evaluates->memory[0], *more = &trains->memory[0];
    assert_int_equal(less->bytes[WEFT_CATEGORY_GRADIENTS] + less->bytes[WEFT_CATEGORY_OPTIMIZER], 0);
    assert_int_equal(less->bytes[WEFT_CATEGORY_WEIGHTS], more->bytes[WEFT_CATEGORY_WEIGHTS]);
    assert_true(less->bytes[WEFT_CATEGORY_ACTIVATIONS] * 4 < more->bytes[WEFT_CATEGORY_ACTIVATIONS]);
    weft_job_destroy(evaluates);
    weft_job_destroy(trains);
    weft_config_fini(&config);
}

static void refuse(const char *const *keys, const char *logits, const char *words)
{
    weft_evaluation_record record;
    weft_error error;
    assert_int_equal(evaluate(keys, logits, &record, &error), WEFT_INVALID);
    if (!strstr(error.text, words)) fail_msg("'%s' does not say '%s'", error.text, words);
    assert_null(strchr(error.text, '\n'));
}

static void test_refused(void **state)
{
    (void)state;
    char wide[160], path[128];
    weft_error error;
    snprintf(path, sizeof path, "%s/wide.u32", test_folder);
    uint32_t tokens[TOKENS * 2] = {[TOKENS] = VOCABULARY};
    assert_int_equal(weft_file_write(path, tokens, sizeof tokens, &error), WEFT_OK);
    snprintf(wide, sizeof wide, "data.path=%s", path);
    const char *const keys[][4] = {{"data.held_out=0", NULL},
                                   {wide, "data.format=uint32", "data.held_out=0", NULL},
                                   {"parallel.tensor=3", NULL},
                                   {NULL}};
    refuse(keys[0], NULL, "nothing is held out");
    refuse(keys[1], NULL, "vocabulary");
    refuse(keys[2], NULL, "parallel.tensor: 3 workers cannot divide");
    snprintf(path, sizeof path, "%s/none/logits", test_folder);
    refuse(keys[3], path, "no such folder");
    refuse(keys[3], test_folder, "no regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, test_place_tear_down);
}
