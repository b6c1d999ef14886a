#include "checkpoint/manifest.h"
#include "checkpoint/step.h"
#include "fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static fixture model;

static int setup(void **state)
{
    (void)state;
    fixture_make(&model);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(&model);
    return 0;
}

static void save(fixture *what, const char *folder, int64_t step, int32_t ranks, int64_t keep)
{
    weft_error error;
    if (fixture_save(what, folder, step, ranks, keep, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void test_round_trip(void **state)
{
    (void)state;
    assert_false(weft_checkpoint_exists(model.folder));
    for (int32_t ranks = 1; ranks <= 6; ranks++) { /* with more than 4, some ranks hold nothing */
        save(&model, model.folder, ranks, ranks, 0);
        fixture_check(&model, fixture_path(model.folder, ranks, ""), ranks);
        fixture_check(&model, model.folder, ranks); /* the latest */
        assert_false(weft_path_exists(fixture_path(model.folder, ranks, ".tmp")));
    }
    assert_true(weft_checkpoint_exists(model.folder));
    assert_true(weft_path_exists(fixture_path(model.folder, 2, "moment2-00002-of-00002.safetensors")));
}

static void test_path_of_the_latest(void **state)
{
    (void)state;
    int64_t steps[] = {7, 99999999, 100000000, 123}; /* names do not sort as steps do */
    for (size_t i = 0; i < 4; i++) save(&model, model.folder, steps[i], 1, 0);
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    assert_int_equal(weft_checkpoint_open(model.folder, &checkpoint, &error), WEFT_OK);
    assert_string_equal(weft_checkpoint_path(checkpoint), fixture_path(model.folder, 100000000, ""));
    weft_checkpoint_close(checkpoint);
    weft_checkpoint_close(NULL);
}

static void test_reading_what_is_not_there(void **state)
{
    (void)state;
    save(&model, model.folder, 1, 2, 0);
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    float values[FIXTURE_FLOATS];
    assert_int_equal(weft_checkpoint_open(model.folder, &checkpoint, &error), WEFT_OK);
    int64_t turned[] = {4, 5}, right[] = {5, 4};
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embeddings", 2, right, 0, 1, 20, values, &error),
        WEFT_INVALID);
    assert_non_null(strstr(error.text, "no tensor \"embeddings\" among its weights"));
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_MOMENT1, "embedding", 2, turned, 0, 1, 20, values, &error),
        WEFT_INVALID);
    assert_non_null(strstr(error.text, "moment1 of \"embedding\" have the shape (5, 4), but the model needs (4, 5)"));
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_MOMENT1, "embedding", 1, right, 0, 1, 20, values, &error),
        WEFT_INVALID);
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_MOMENT1, "embedding", 5, right, 0, 1, 20, values, &error),
        WEFT_INVALID);
    weft_checkpoint_close(checkpoint);
}

static void check_config(const char *config)
{
    weft_checkpoint_state wanted = {.step = 3, .sequences = 9, .loss = -0.1};
    weft_text text;
    weft_text_init(&text);
    weft_manifest_print(&wanted, config, NULL, 0, &text);
    weft_manifest manifest;
    weft_error error;
    weft_error_clear(&error);
    if (weft_manifest_parse(&manifest, weft_text_get(&text), text.length, "memory", &error) != WEFT_OK)
        fail_msg("%s\n%s", error.text, weft_text_get(&text));
    assert_string_equal(manifest.config, config);
    assert_int_equal(manifest.state.step, 3);
    assert_true(manifest.state.loss == -0.1);
    assert_int_equal(manifest.count, 0);
    weft_manifest_fini(&manifest);
    weft_text_fini(&text);
}

static void test_any_configuration_text(void **state)
{
    (void)state;
    const char *texts[] = {"",
                           "a",
                           "a\n",
                           "\n",
                           "\n\n\n",
                           "a\n\n\n",
                           "  more: 1\nless: 2\n",
                           " \n",
                           "a\n \n b",
                           "---\n...\n# x\n",
                           "\tkey: 'x'\n- \"q\"\\\n%YAML\n",
                           "gr\xc3\xb6\xc3\x9f: 1\n",
                           "files:\n  - name: x\n",
                           "\na: 1\n",
                           "a: 1   \n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_config(texts[i]);
}

/* What steps to come are compared with, bit for bit; of a run that skips none the manifest says nothing. */
static void test_skipped_steps(void **state)
{
    (void)state;
    static const double losses[] = {1.0 / 3, 2.5, 1e-300}, norms[] = {0, 1e300, 0.1};
    const weft_checkpoint_skips wanted[] = {
        {0},
        {.skipped = 4, .in_a_row = 2},
        {.count = 3, .losses = losses, .norms = norms},
        {.skipped = 6, .in_a_row = 1, .count = 3, .losses = losses, .norms = norms}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        weft_checkpoint_state saved = {.step = 9, .sequences = 9, .skips = wanted[i]};
        weft_manifest manifest;
        weft_error error;
        weft_text text;
        weft_text_init(&text);
        weft_manifest_print(&saved, "a: 1\n", NULL, 0, &text);
        assert_int_equal(strstr(weft_text_get(&text), "skip") == NULL, i == 0);
        if (weft_manifest_parse(&manifest, weft_text_get(&text), text.length, "memory", &error) != WEFT_OK)
            fail_msg("%s\n%s", error.text, weft_text_get(&text));
        const weft_checkpoint_skips *got = &manifest.state.skips;
        assert_int_equal(got->skipped, wanted[i].skipped);
        assert_int_equal(got->in_a_row, wanted[i].in_a_row);
        assert_int_equal(got->count, wanted[i].count);
        for (int64_t k = 0; k < got->count; k++) assert_true(got->losses[k] == losses[k] && got->norms[k] == norms[k]);
        weft_manifest_fini(&manifest);
        weft_text_fini(&text);
    }
}

/* Checkpoints of the same tensors are not the same where the next steps would not be; whether one run skips steps is
 * no matter of tensors. */
static void test_compared_skips(void **state)
{
    (void)state;
    static const double first[] = {1, 2}, second[] = {1, 3};
    const weft_checkpoint_skips kinds[] = {{.count = 2, .losses = first, .norms = first},
                                           {.count = 2, .losses = second, .norms = first},
                                           {.count = 2, .losses = first, .norms = second},
                                           {.count = 1, .losses = first, .norms = first},
                                           {.skipped = 1, .count = 2, .losses = first, .norms = first},
                                           {.skipped = 1, .in_a_row = 1, .count = 2, .losses = first, .norms = first},
                                           {0}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    char paths[KINDS][256];
    for (int i = 0; i < KINDS; i++) {
        weft_checkpoint_state saved = {.step = 9, .sequences = 9, .skips = kinds[i]};
        weft_error error;
        snprintf(paths[i], sizeof paths[i], "%s-%d", model.folder, i);
        assert_int_equal(weft_checkpoint_begin(paths[i], 9, &error), WEFT_OK);
        assert_int_equal(weft_checkpoint_publish(paths[i], &saved, "a: 1\n", NULL, 0, 0, &error), WEFT_OK);
    }
    for (int i = 0; i < KINDS; i++) {
        bool same = false;
        weft_text text;
        weft_error error;
        weft_text_init(&text);
        assert_int_equal(weft_checkpoint_compare(paths[0], paths[i], &same, &text, &error), WEFT_OK);
        assert_int_equal(same, i == 0 || i == KINDS - 1);
        weft_text_fini(&text);
    }
    weft_error error;
    for (int i = 0; i < KINDS; i++) assert_int_equal(weft_folder_remove(paths[i], &error), WEFT_OK);
}

static void test_configuration_that_yaml_cannot_keep(void **state)
{
    (void)state;
    weft_checkpoint_state nothing = {.step = 1, .sequences = 3};
    weft_error error;
    const char *texts[] = {"a\rb\n", "bell \a\n", "bad \xff utf-8\n"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(weft_checkpoint_begin(model.folder, 1, &error), WEFT_OK);
        assert_int_equal(weft_checkpoint_publish(model.folder, &nothing, texts[i], NULL, 0, 0, &error), WEFT_INVALID);
        assert_false(weft_checkpoint_exists(model.folder));
        assert_false(weft_path_exists(fixture_path(model.folder, 1, ".tmp")));
    }
}

static void test_loss_that_is_no_number(void **state)
{
    (void)state;
    weft_checkpoint_state nothing = {.step = 0, .loss = (double)INFINITY};
    weft_error error;
    assert_int_equal(weft_checkpoint_begin(model.folder, 0, &error), WEFT_OK);
    assert_int_equal(weft_checkpoint_publish(model.folder, &nothing, "", NULL, 0, 0, &error), WEFT_OK);
    weft_checkpoint *checkpoint = NULL;
    assert_int_equal(weft_checkpoint_open(model.folder, &checkpoint, &error), WEFT_OK);
    assert_true(isnan(weft_checkpoint_get_state(checkpoint)->loss));
    weft_checkpoint_close(checkpoint);
}

static void test_keep(void **state)
{
    (void)state;
    weft_error error;
    save(&model, model.folder, 90, 1, 0); /* of another run: later, hence not this one's to remove */
    assert_int_equal(weft_folder_create(fixture_path(model.folder, 1, ""), &error), WEFT_OK); /* holds nothing */
    assert_int_equal(weft_folder_create(fixture_path(model.folder, 2, ".tmp"), &error), WEFT_OK);
    assert_int_equal(weft_folder_create(fixture_path(model.folder, 50, ".tmp"), &error), WEFT_OK);
    for (int64_t step = 3; step <= 8; step++) {
        save(&model, model.folder, step, 2, 3);
        for (int64_t other = 3; other <= step; other++)
            assert_int_equal(weft_path_exists(fixture_path(model.folder, other, "")), other > step - 3);
    }
    assert_false(weft_path_exists(fixture_path(model.folder, 2, ".tmp")));
    assert_true(weft_path_exists(fixture_path(model.folder, 50, ".tmp")));
    assert_true(weft_path_exists(fixture_path(model.folder, 1, "")));
    fixture_check(&model, fixture_path(model.folder, 90, ""), 90);
    save(&model, model.folder, 91, 1, 1);
    for (int64_t step = 3; step <= 90; step++) assert_false(weft_path_exists(fixture_path(model.folder, step, "")));
    fixture_check(&model, model.folder, 91);
}

/* What is in the way is a file by the name of the folder through which a checkpoint is removed. */
static void test_what_cannot_be_removed_is_left_for_later(void **state)
{
    (void)state;
    char blocked[192];
    snprintf(blocked, sizeof blocked, "%s", fixture_path(model.folder, 3, ".tmp"));
    for (int64_t step = 2; step <= 4; step++) save(&model, model.folder, step, 2, 0);
    FILE *file = fopen(blocked, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    save(&model, model.folder, 5, 2, 1);
    for (int64_t step = 2; step <= 5; step++)
        assert_int_equal(weft_path_exists(fixture_path(model.folder, step, "")), step == 3 || step == 5);
    fixture_check(&model, fixture_path(model.folder, 3, ""), 3);
    assert_int_equal(remove(blocked), 0);
    save(&model, model.folder, 6, 2, 1);
    assert_false(weft_path_exists(fixture_path(model.folder, 3, "")));
    fixture_check(&model, model.folder, 6);
    assert_int_equal(rename(fixture_path(model.folder, 6, ""), blocked), 0);
    save(&model, model.folder, 7, 2, 1);
    assert_false(weft_path_exists(blocked));
}

/* A file cannot be removed as a folder is: the checkpoint that replaced it is read, and the next is written. */
static void test_remains_of_a_replacement_that_cannot_be_removed(void **state)
{
    (void)state;
    save(&model, model.folder, 4, 1, 0);
    FILE *file = fopen(fixture_path(model.folder, 4, ".old"), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    save(&model, model.folder, 5, 1, 0);
    fixture_check(&model, fixture_path(model.folder, 4, ""), 4);
    fixture_check(&model, model.folder, 5);
}

static void test_replacing_the_same_step(void **state)
{
    (void)state;
    save(&model, model.folder, 4, 3, 0);
    model.values[1][9] = 77;
    save(&model, model.folder, 4, 2, 0);
    fixture_check(&model, model.folder, 4);
    assert_false(weft_path_exists(fixture_path(model.folder, 4, ".old")));
    assert_false(weft_path_exists(fixture_path(model.folder, 4, "weights-00003-of-00003.safetensors")));
}

/* The instants of a replacement at which a process can die. */
static void test_replacement_cut_short(void **state)
{
    (void)state;
    save(&model, model.folder, 3, 1, 0);
    save(&model, model.folder, 4, 1, 0);
    assert_int_equal(rename(fixture_path(model.folder, 4, ""), fixture_path(model.folder, 4, ".old")), 0);
    assert_true(weft_checkpoint_exists(model.folder));
    fixture_check(&model, model.folder, 4);
    save(&model, model.folder, 5, 1, 0); /* puts it back */
    fixture_check(&model, fixture_path(model.folder, 4, ""), 4);
    assert_int_equal(rename(fixture_path(model.folder, 3, ""), fixture_path(model.folder, 4, ".old")), 0);
    fixture_check(&model, fixture_path(model.folder, 4, ""), 4); /* the new one wins */
    save(&model, model.folder, 6, 1, 0);
    assert_false(weft_path_exists(fixture_path(model.folder, 4, ".old")));
    fixture_check(&model, fixture_path(model.folder, 4, ""), 4);
}

/* Whichever of the two the system lists first. */
static void test_the_new_one_wins(void **state)
{
    (void)state;
    for (int64_t step = 10; step < 18; step++) {
        save(&model, model.folder, 1, 1, 0);
        save(&model, model.folder, step, 1, 0);
        assert_int_equal(rename(fixture_path(model.folder, 1, ""), fixture_path(model.folder, step, ".old")), 0);
        fixture_check(&model, model.folder, step);
    }
}

static void test_discard(void **state)
{
    (void)state;
    weft_error error;
    save(&model, model.folder, 1, 1, 0);
    assert_int_equal(weft_checkpoint_begin(model.folder, 2, &error), WEFT_OK);
    weft_checkpoint_discard(model.folder, 2);
    weft_checkpoint_discard(model.folder, 3);
    assert_false(weft_path_exists(fixture_path(model.folder, 2, ".tmp")));
    fixture_check(&model, model.folder, 1);
}

static void differs(const char *a, const char *b, const char *words)
{
    weft_text text;
    weft_text_init(&text);
    weft_error error;
    weft_error_clear(&error);
    bool same = false;
    if (weft_checkpoint_compare(a, b, &same, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (strcmp(weft_text_get(&text), words) != 0) fail_msg("\"%s\" is not \"%s\"", weft_text_get(&text), words);
    assert_int_equal(same, *words == '\0');
    weft_text_fini(&text);
}

static void test_compare(void **state)
{
    (void)state;
    char other[128];
    snprintf(other, sizeof other, "%s/other", model.run);
    fixture changed = model;
    save(&model, model.folder, 5, 1, 0);
    save(&model, other, 5, 3, 0); /* another layout of files, the same contents */
    differs(model.folder, other, "");
    save(&model, other, 6, 3, 0);
    differs(model.folder, other, "steps differ: 5 and 6");
    differs(model.folder, fixture_path(other, 5, ""), "");
    changed.values[WEFT_CHECKPOINT_MOMENT2][20 + 9] = -0.5f;
    save(&changed, other, 5, 2, 0);
    differs(model.folder, fixture_path(other, 5, ""),
            "moment2 of \"layer.0.weight\" differ first at element 9 (row 1, column 2): 750.72998 (0x443baeb8) and "
            "-0.5 (0xbf000000)");
    changed.values[WEFT_CHECKPOINT_WEIGHTS][44] = 0;
    changed.values[WEFT_CHECKPOINT_WEIGHTS][0] = -0.0f; /* where the other is 0 */
    save(&changed, other, 5, 2, 0);
    differs(fixture_path(other, 5, ""), model.folder,
            "weights of \"embedding\" differ first at element 0 (row 0, column 0): -0 (0x80000000) and 0 (0x00000000)");
    changed.values[WEFT_CHECKPOINT_WEIGHTS][0] = 0;
    save(&changed, other, 5, 2, 0);
    differs(fixture_path(other, 5, ""), model.folder,
            "weights of \"layer.0.bias\" differ first at element 3: 0 (0x00000000) and 16.2800007 (0x41823d71)");
}

static void save_some(const char *folder, size_t first, size_t count, bool flat)
{
    weft_checkpoint_state state = {.step = 5, .sequences = 15};
    weft_checkpoint_piece pieces[FIXTURE_TENSORS];
    weft_checkpoint_file file;
    weft_error error;
    fixture_pieces(&model, WEFT_CHECKPOINT_MOMENT1, pieces);
    int64_t elements = pieces[first].columns;
    if (flat) {
        pieces[first].dimensions = 1;
        pieces[first].shape = &elements;
    }
    assert_int_equal(weft_checkpoint_begin(folder, 5, &error), WEFT_OK);
    assert_int_equal(
        weft_checkpoint_write(NULL, folder, 5, WEFT_CHECKPOINT_MOMENT1, 0, 1, pieces + first, count, &file, &error),
        WEFT_OK);
    assert_int_equal(weft_checkpoint_publish(folder, &state, "", &file, 1, 0, &error), WEFT_OK);
}

static void test_compare_names_and_shapes(void **state)
{
    (void)state;
    char other[128], words[256];
    snprintf(other, sizeof other, "%s/other", model.run);
    save_some(model.folder, 0, 3, false);
    save_some(other, 0, 2, false);
    snprintf(words, sizeof words, "moment1 of \"layer.0.bias\" are in %s only", fixture_path(model.folder, 5, ""));
    differs(model.folder, other, words);
    differs(other, model.folder, words);
    save_some(other, 1, 3, false);
    snprintf(words, sizeof words, "moment1 of \"embedding\" are in %s only", fixture_path(model.folder, 5, ""));
    differs(model.folder, other, words);
    save_some(other, 0, 3, true);
    differs(model.folder, other, "moment1 of \"embedding\" differ in shape: (5, 4) and (20)");
}

/* What is not trained has weights, but no moments. */
static void test_kinds_need_not_hold_the_same(void **state)
{
    (void)state;
    char other[128], words[256];
    snprintf(other, sizeof other, "%s/other", model.run);
    for (size_t k = 0; k < 2; k++) {
        const char *folder = k ? other : model.folder;
        weft_checkpoint_state wanted = {.step = 1, .sequences = 3};
        weft_checkpoint_file files[WEFT_CHECKPOINT_KINDS];
        weft_error error;
        assert_int_equal(weft_checkpoint_begin(folder, 1, &error), WEFT_OK);
        for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
            weft_checkpoint_piece pieces[FIXTURE_TENSORS];
            size_t count = kind == WEFT_CHECKPOINT_WEIGHTS ? 4 : kind == WEFT_CHECKPOINT_MOMENT1 ? 1 : k;
            fixture_pieces(&model, (weft_checkpoint_kind)kind, pieces);
            assert_int_equal(weft_checkpoint_write(NULL, folder, 1, (weft_checkpoint_kind)kind, 0, 1, pieces, count,
                                                   &files[kind], &error),
                             WEFT_OK);
        }
        assert_int_equal(weft_checkpoint_publish(folder, &wanted, "", files, WEFT_CHECKPOINT_KINDS, 0, &error),
                         WEFT_OK);
    }
    weft_checkpoint *checkpoint = fixture_open(model.folder);
    assert_true(weft_checkpoint_has(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "head"));
    assert_true(weft_checkpoint_has(checkpoint, WEFT_CHECKPOINT_MOMENT1, "embedding"));
    assert_false(weft_checkpoint_has(checkpoint, WEFT_CHECKPOINT_MOMENT1, "head"));
    assert_false(weft_checkpoint_has(checkpoint, WEFT_CHECKPOINT_MOMENT2, "embedding"));
    assert_false(weft_checkpoint_has(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "hea"));
    weft_checkpoint_close(checkpoint);
    differs(model.folder, model.folder, "");
    snprintf(words, sizeof words, "moment2 of \"embedding\" are in %s only", fixture_path(other, 1, ""));
    differs(model.folder, other, words);
    differs(other, model.folder, words);
}

static void test_names_of_files(void **state)
{
    (void)state;
    weft_checkpoint_kind kind;
    int32_t ranks = 0;
    int64_t step;
    assert_true(weft_checkpoint_file_parse("moment2-00001-of-00001.safetensors", &kind, &ranks));
    assert_int_equal(kind, WEFT_CHECKPOINT_MOMENT2);
    assert_int_equal(ranks, 1);
    const char *bad[] = {"",
                         "weights",
                         "weights-00000-of-00001.safetensors",
                         "weights-00003-of-00002.safetensors",
                         "weights-1-of-2.safetensors",
                         "weights-00001-of-00001.safetensors/",
                         "../weights-00001-of-00001.safetensors",
                         "weights-00001-of-00001.safetensors.tmp",
                         "moment3-00001-of-00001.safetensors",
                         "weights--0001-of-00001.safetensors"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(weft_checkpoint_file_parse(bad[i], &kind, &ranks));
    assert_true(weft_step_parse("step-00000012", "", &step) && step == 12);
    assert_true(weft_step_parse("step-123456789.tmp", ".tmp", &step) && step == 123456789);
    const char *other[] = {"step-12", "step-00000012.tmp", "step--0000012",  "step-00000012x",
                           "step-",   "stop-00000012",     "step-000000012", "step-99999999999999999999"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) assert_false(weft_step_parse(other[i], "", &step));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path_of_the_latest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reading_what_is_not_there, setup, teardown),
        cmocka_unit_test(test_any_configuration_text),
        cmocka_unit_test(test_skipped_steps),
        cmocka_unit_test_setup_teardown(test_compared_skips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_configuration_that_yaml_cannot_keep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_that_is_no_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_removed_is_left_for_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remains_of_a_replacement_that_cannot_be_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replacing_the_same_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replacement_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_new_one_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_discard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare_names_and_shapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds_need_not_hold_the_same, setup, teardown),
        cmocka_unit_test(test_names_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
