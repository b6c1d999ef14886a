/* A checkpoint and the configuration in it: what does not agree is refused by name, at no cost. */
#include "checkpoint/manifest.h"
#include "model/model.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

/* The linker puts this in front of aligned_alloc, from which the library takes all its memory. */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
static size_t taken;

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    taken += size;
    return __real_aligned_alloc(alignment, size);
}

enum { MOST_TENSORS = 64, MOST_CHANGES = 6, STEP = 3 };

static char run[] = "/tmp/weft-claims-XXXXXX";

static const char base[] = "run: {steps: 9, folder: here}\n"
                           "model: {layers: 2, width: 8, heads: 2, vocabulary: 16, context: 4}\n"
                           "data: {path: text}\n"
                           "batch: {microbatches: 3, sequences: 5}\n";

static void load_base(const char *const *changes, weft_config *out)
{
    int count = 0;
    weft_error error;
    while (changes && changes[count]) count++;
    if (weft_config_load_text(out, base, sizeof base - 1, "test", changes, count, &error) != WEFT_OK)
        fail_msg("%s", error.text);
}

/* What is wrong with the tensors of a checkpoint. */
typedef struct fault {
    const char *without[2];      /* kind and name that it lacks */
    const char *only_weights_of; /* no moments of it */
    const char *more;            /* a tensor besides, of all kinds */
    bool no_moments;
} fault;

static const float zeros[4096];

static weft_checkpoint_piece piece_of(const weft_parameter *parameter)
{
    return (weft_checkpoint_piece){.name = parameter->name,
                                   .dimensions = parameter->dimensions,
                                   .shape = parameter->shape,
                                   .rows = 1,
                                   .columns = parameter->elements,
                                   .values = zeros};
}

static bool is_left_out(const fault *with, int kind, const char *name)
{
    const char *named = weft_checkpoint_kind_name((weft_checkpoint_kind)kind);
    if (with->without[0] && strcmp(with->without[0], named) == 0 && strcmp(with->without[1], name) == 0) return true;
    if (kind == WEFT_CHECKPOINT_WEIGHTS) return false;
    return with->no_moments || (with->only_weights_of && strcmp(with->only_weights_of, name) == 0);
}

/* The tensors of the base's model with a fault, under a configuration with changes. */
static void forge(int64_t step, const char *const *changes, const fault *with)
{
    static const int64_t two[] = {2};
    weft_parameter parameters[MOST_TENSORS];
    weft_checkpoint_file files[WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_state state = {.step = step, .sequences = 15 * step};
    weft_config config, changed;
    weft_error error;
    weft_text dump;
    load_base(NULL, &config);
    load_base(changes, &changed);
    weft_text_init(&dump);
    weft_config_dump(&changed, false, &dump);
    assert_int_equal(weft_folder_remove(run, &error), WEFT_OK);
    assert_int_equal(weft_checkpoint_begin(run, step, &error), WEFT_OK);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        weft_checkpoint_piece pieces[MOST_TENSORS];
        size_t count = 0;
        for (int i = 0; weft_model_parameter(&config.model, i, &parameters[i]); i++)
            if (!parameters[i].tied && !is_left_out(with, kind, parameters[i].name))
                pieces[count++] = piece_of(&parameters[i]);
        if (with->more)
            pieces[count++] = (weft_checkpoint_piece){
                .name = with->more, .dimensions = 1, .shape = two, .rows = 1, .columns = 2, .values = zeros};
        if (weft_checkpoint_write(NULL, run, step, (weft_checkpoint_kind)kind, 0, 1, pieces, count, &files[kind],
                                  &error) != WEFT_OK)
            fail_msg("%s", error.text);
    }
    if (weft_checkpoint_publish(run, &state, weft_text_get(&dump), files, WEFT_CHECKPOINT_KINDS, 0, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    weft_config_fini(&config);
    weft_config_fini(&changed);
    weft_text_fini(&dump);
}

static weft_status load(int64_t *out_sequences, weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    weft_config config;
    weft_error_clear(error);
    TRY(weft_checkpoint_open(run, &checkpoint, error));
    taken = 0;
    weft_status status = weft_checkpoint_load_config(checkpoint, &config, error);
    if (status == WEFT_OK) weft_config_fini(&config);
    *out_sequences = weft_checkpoint_get_state(checkpoint)->sequences;
    weft_checkpoint_close(checkpoint);
    return status;
}

static void accepted(int64_t sequences)
{
    int64_t found = 0;
    weft_error error;
    if (load(&found, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(found, sequences);
}

static void refused(const char *words)
{
    int64_t sequences = 0;
    weft_error error;
    if (load(&sequences, &error) == WEFT_OK) fail_msg("it is not refused by \"%s\"", words);
    assert_int_equal(error.status, WEFT_INVALID);
    if (!strstr(error.text, words)) fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_true(taken < 1 << 20);
}

static void test_tensors(void **state)
{
    (void)state;
    static const char *const frozen[] = {"optimizer.frozen=embedding.* layer.0.*", NULL};
    static const char bias[] = "layer.1.mlp.up.bias", embedding[] = "embedding.token";
    forge(STEP, NULL, &(fault){0});
    accepted(15 * STEP);
    forge(STEP, NULL, &(fault){.without = {"moment2", bias}});
    refused("no moment2 of \"layer.1.mlp.up.bias\", which its own configuration trains: at step 3");
    forge(STEP, NULL, &(fault){.without = {"moment1", embedding}});
    refused("no moment1 of \"embedding.token\"");
    forge(STEP, NULL, &(fault){.no_moments = true});
    refused("no moment1 of");
    forge(0, NULL, &(fault){.no_moments = true});
    accepted(0);
    forge(STEP, NULL, &(fault){.without = {"weights", bias}});
    refused("no tensor \"layer.1.mlp.up.bias\" among its weights");
    forge(STEP, NULL, &(fault){.more = "layer.2.mlp.up.bias"});
    refused("weights of \"layer.2.mlp.up.bias\", which the model of its own configuration does not have");
    forge(STEP, frozen, &(fault){0});
    refused("moment1 of \"embedding.token\", which its own configuration does not train");
}

/* What is not trained has no moments. */
static void test_frozen(void **state)
{
    (void)state;
    static const char *const frozen[] = {"optimizer.frozen=final_norm.we* embedding.to*n", NULL};
    static const char *const one[] = {"optimizer.frozen=embedding.to*n", NULL};
    forge(STEP, one, &(fault){.only_weights_of = "embedding.token"});
    accepted(15 * STEP);
    forge(STEP, frozen, &(fault){.only_weights_of = "embedding.token"});
    refused("moment1 of \"final_norm.weight\", which its own configuration does not train");
    forge(STEP, NULL, &(fault){.only_weights_of = "embedding.token"});
    refused("no moment1 of \"embedding.token\"");
}

/* Sizes as large as the keys allow, of which the files hold nothing. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *changes[MOST_CHANGES], *words;
    } lies[] = {
        {{"model.vocabulary=16777216"},
         "\"embedding.token\" have the shape (16, 8), but the model needs (16777216, 8)"},
        {{"model.layers=65536"}, "no tensor \"layer.2.norm1.weight\" among its weights"},
        {{"model.layers=1"}, "\"layer.1."},
        {{"model.width=1048576", "model.heads=65536"}, "but the model needs (16, 1048576)"},
        {{"model.feed_forward=16777216"}, "but the model needs (16777216, 8)"},
        {{"model.context=16777216", "batch.tokens=4"}, "but the model needs (16777216, 8)"},
        {{"model.kv_heads=1"}, "layer.0.attention.qkv.weight"},
        {{"model.architecture=llama", "model.layers=65536", "model.vocabulary=16777216"}, "but the model needs"},
        {{"model.tied=false"}, "no tensor \"head.weight\" among its weights"},
        {{"model.bias=false"}, ".bias\", which the model of its own configuration does not have"},
        {{"run.steps=2"}, "says step 3, its own configuration run.steps 2"},
        {{"parallel.data=2"}, "files are those of 1 rank, its own configuration has 2 workers"},
        {{"parallel.tensor=2", "parallel.pipeline=2"}, "its own configuration has 4 workers"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        forge(STEP, lies[i].changes, &(fault){0});
        refused(lies[i].words);
    }
}

/* The manifest as format 1 was: without sequences. */
static void make_old(int64_t step, const char *const *changes)
{
    char path[64];
    weft_error error;
    weft_text whole, old;
    forge(step, changes, &(fault){0});
    snprintf(path, sizeof path, "%s/step-%08" PRId64 "/" WEFT_MANIFEST_NAME, run, step);
    weft_text_init(&whole);
    weft_text_init(&old);
    assert_int_equal(weft_file_read(path, &whole, &error), WEFT_OK);
    const char *text = weft_text_get(&whole), *version = strstr(text, "version: 2\n");
    const char *cut = strstr(text, "sequences: "), *closing = strstr(text, "\nchecksum: ");
    assert_true(version && cut && closing);
    *strchr(version, '2') = '1';
    const char *rest = strchr(cut, '\n') + 1;
    weft_text_add_bytes(&old, text, (size_t)(cut - text));
    weft_text_add_bytes(&old, rest, (size_t)(closing + 1 - rest));
    weft_text_add(&old, "checksum: 0x%016" PRIx64 "\n", (uint64_t)XXH3_64bits(weft_text_get(&old), old.length));
    assert_int_equal(weft_file_write(path, old.bytes, old.length, &error), WEFT_OK);
    weft_text_fini(&whole);
    weft_text_fini(&old);
}

/* What format 1 does not say follows from its own batch and data width. */
static void test_old_format(void **state)
{
    (void)state;
    static const char *const wide[] = {"batch.sequences=1048576", "batch.microbatches=1048576",
                                       "run.steps=1000000000000", NULL};
    static const char *const other[] = {"batch.sequences=2", "batch.microbatches=7", NULL};
    make_old(STEP, NULL);
    accepted(STEP * 3 * 5);
    make_old(STEP, other);
    accepted(STEP * 7 * 2);
    make_old(0, NULL);
    accepted(0);
    make_old(4194304, wide);
    refused("no run can have read 4194304 batches of 1099511627776 sequences");
}

static int make_run(void **state)
{
    (void)state;
    return mkdtemp(run) ? 0 : -1;
}

static int remove_run(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(run, &error) == WEFT_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_old_format),
    };
    return cmocka_run_group_tests(tests, make_run, remove_run);
}
