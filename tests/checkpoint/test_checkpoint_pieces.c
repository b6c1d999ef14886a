/* Names and forms of pieces in files, and pieces that make no whole. */
#include "checkpoint/manifest.h"
#include "checkpoint/open.h"
#include "fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

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

static void fixture_tensors(weft_checkpoint_kind kind, weft_tensor_entry out[FIXTURE_TENSORS])
{
    weft_checkpoint_piece pieces[FIXTURE_TENSORS];
    fixture_pieces(&model, kind, pieces);
    for (int i = 0; i < FIXTURE_TENSORS; i++) {
        out[i] = (weft_tensor_entry){.name = pieces[i].name,
                                     .dimensions = pieces[i].dimensions,
                                     .data = pieces[i].values,
                                     .bytes = (size_t)pieces[i].columns * sizeof(float)};
        memcpy(out[i].shape, pieces[i].shape, (size_t)pieces[i].dimensions * sizeof(int64_t));
    }
}

/* Whole tensors are plain safetensors of their own names: what was ever written so reads, and is written so still. */
static void test_wholes_are_stored_as_they_are(void **state)
{
    (void)state;
    weft_error error;
    weft_checkpoint_file files[WEFT_CHECKPOINT_KINDS] = {0};
    char plain[128];
    snprintf(plain, sizeof plain, "%s/plain", model.run);
    assert_int_equal(weft_folder_create(fixture_path(plain, 2, ""), &error), WEFT_OK);
    assert_int_equal(fixture_save(&model, model.folder, 2, 1, 0, &error), WEFT_OK);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        weft_tensor_entry tensors[FIXTURE_TENSORS];
        weft_checkpoint_file *file = &files[kind];
        uint64_t checksum = 0;
        fixture_tensors((weft_checkpoint_kind)kind, tensors);
        weft_checkpoint_file_name((weft_checkpoint_kind)kind, 0, 1, file);
        assert_int_equal(weft_safetensors_write(fixture_path(plain, 2, file->name), tensors, FIXTURE_TENSORS,
                                                &file->checksum, &file->bytes, &error),
                         WEFT_OK);
        assert_int_equal(weft_file_checksum(fixture_path(model.folder, 2, file->name), &checksum, NULL, &error),
                         WEFT_OK);
        assert_true(checksum == file->checksum);
    }
    fixture_list(plain, 2, files, WEFT_CHECKPOINT_KINDS);
    fixture_check(&model, plain, 2);
    fixture_compare(model.folder, plain, "");
    for (model.cut = FIXTURE_RUNS; model.cut <= FIXTURE_COLUMNS; model.cut++) {
        assert_int_equal(fixture_save(&model, model.folder, 2, 3, 0, &error), WEFT_OK);
        fixture_check(&model, model.folder, 2);
        fixture_compare(model.folder, plain, "");
    }
}

#define ONE "weights-00001-of-00001.safetensors: tensor \"a"
#define PART(name, count)                                                                                              \
    {                                                                                                                  \
        name, WEFT_FP32, 1, {count}, NULL, 0                                                                           \
    }
#define BLOCK(name, rows, columns)                                                                                     \
    {                                                                                                                  \
        name, WEFT_FP32, 2, {rows, columns}, NULL, 0                                                                   \
    }
#define NO_NAME ": no part of a tensor is named so"
#define BEYOND " are not all in its "
#define OVER " go over the end of its rows of "
#define NO_BLOCK "a part of two dimensions has more than one row, and rows that are not whole"
#define NO_PART "a part has one dimension or two, and at least one element"
#define TOO_LARGE "the shape in its name is too large"

static const struct {
    weft_tensor_entry tensors[3];
    const char *words[2]; /* none: it opens */
} forged[] = {
    {{PART("a#2x3@4", 2), PART("a#2x3@0", 3), PART("a#2x3@3", 1)}, {NULL, NULL}},
    {{PART("a#6@0", 6)}, {NULL, NULL}},
    {{PART("a", 6), PART("A#6@0", 6), PART("a.#6@0", 6)}, {NULL, NULL}},
    {{PART("a#6@0", 2), PART("a#6@3", 3)}, {"weights of \"a\" lack elements 2 to 2 of 0 to 5", NULL}},
    {{PART("a#6@2", 2), PART("a#6@4", 2)}, {"weights of \"a\" lack elements 0 to 1 of 0 to 5", NULL}},
    {{PART("b", 2), PART("a#3x2@0", 2), PART("c", 1)}, {"weights of \"a\" lack elements 2 to 5 of 0 to 5", NULL}},
    {{PART("a#6@0", 4), PART("a#6@2", 4)},
     {"elements 2 to 3 of weights of \"a\" are both in weights-00001-of-00002.safetensors",
      "and in weights-00002-of-00002.safetensors"}},
    {{PART("a#6@2", 2), PART("a#6@0", 6)},
     {"elements 2 to 3 of weights of \"a\" are both in weights-00002-of-00002.safetensors",
      "and in weights-00001-of-00002.safetensors"}},
    {{PART("a#6@0", 3), PART("a#6@0", 3), PART("a#6@3", 3)}, {"elements 0 to 2 of weights of \"a\" are both", NULL}},
    {{PART("a", 6), PART("a#6@5", 1)}, {"elements 5 to 5 of weights of \"a\" are both", NULL}},
    {{PART("a", 6), PART("a", 6)}, {"elements 0 to 5 of weights of \"a\" are both", NULL}},
    {{PART("a", 0), PART("a", 0)}, {"weights of \"a\" are both in weights-00001-of-00002", NULL}},
    {{PART("a#2x3@0", 3), PART("a#3x2@3", 3)},
     {"weights of \"a\" have the shape (2, 3) by weights-00001-of-00002.safetensors",
      "and (3, 2) by weights-00002-of-00002.safetensors"}},
    {{PART("a", 6), PART("a#6x1@0", 6)}, {"weights of \"a\" have the shape", "(6, 1)"}},
    {{PART("a#6@0", 3), PART("a#7@3", 3)}, {"weights of \"a\" have the shape", "(7)"}},
    {{PART("a#6@4", 3)}, {ONE "#6@4\": 3 elements from element 4" BEYOND "6", NULL}},
    {{PART("a#6@0", 7)}, {ONE, BEYOND}},
    {{PART("a#6@6", 1)}, {ONE, BEYOND}},
    {{PART("a#6@9223372036854775807", 2)}, {ONE, BEYOND}},
    {{PART("a#0x6@0", 1)}, {ONE, BEYOND}},
    {{PART("a#9223372036854775807@0", 1)}, {ONE, TOO_LARGE}},
    {{PART("a#4294967296x4294967296@0", 1)}, {ONE, TOO_LARGE}},
    {{PART("a#2305843009213693952@0", 1)}, {ONE, TOO_LARGE}},
    {{PART("a#99999999999999999999@0", 1)}, {ONE, NO_NAME}},
    {{PART("a#6@99999999999999999999", 1)}, {ONE, NO_NAME}},
    {{PART("a#", 6)}, {ONE, NO_NAME}},
    {{PART("a#6", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@", 6)}, {ONE, NO_NAME}},
    {{PART("a#@0", 1)}, {ONE, NO_NAME}},
    {{PART("a#6@0 ", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@0x0", 6)}, {ONE, NO_NAME}},
    {{PART("a#6x@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#x6@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#06@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@00", 6)}, {ONE, NO_NAME}},
    {{PART("a#+6@0", 6)}, {ONE, NO_NAME}},
    {{PART("a# 6@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#-6@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@-0", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@-1", 6)}, {ONE, NO_NAME}},
    {{PART("a##6@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@0#6@0", 6)}, {ONE, NO_NAME}},
    {{PART("#6@0", 6)}, {"tensor \"#6@0\"", NO_NAME}},
    {{PART("a#1x1x1x1x6@0", 6)}, {ONE, NO_NAME}},
    {{PART("a#6@0", 0)}, {ONE, NO_PART}},
    {{BLOCK("a#3x4@0", 3, 2), BLOCK("a#3x4@2", 3, 2)}, {NULL, NULL}},
    {{BLOCK("a#3x4@5", 2, 3), PART("a#3x4@0", 4), BLOCK("a#3x4@4", 2, 1)}, {NULL, NULL}},
    {{BLOCK("a#5x4@0", 5, 3), BLOCK("a#5x4@3", 2, 1), BLOCK("a#5x4@11", 3, 1)}, {NULL, NULL}},
    {{BLOCK("a#2x2x3@2", 4, 1), BLOCK("a#2x2x3@0", 4, 2)}, {NULL, NULL}},
    {{BLOCK("a#3x4@0", 3, 2), BLOCK("a#3x4@2", 3, 1)}, {"weights of \"a\" lack elements 3 to 3 of 0 to 11", NULL}},
    {{BLOCK("a#3x4@0", 3, 2), BLOCK("a#3x4@2", 2, 2)}, {"weights of \"a\" lack elements 10 to 11 of 0 to 11", NULL}},
    {{BLOCK("a#3x4@1", 3, 3)}, {"weights of \"a\" lack elements 0 to 0 of 0 to 11", NULL}},
    {{BLOCK("a#3x4@0", 3, 3), BLOCK("a#3x4@2", 3, 2)},
     {"elements 2 to 2 of weights of \"a\" are both in weights-00001-of-00002.safetensors",
      "and in weights-00002-of-00002.safetensors"}},
    {{BLOCK("a#3x4@2", 3, 2), BLOCK("a#3x4@0", 3, 2), PART("a#3x4@5", 2)},
     {"elements 5 to 5 of weights of \"a\" are both in weights-00002-of-00003.safetensors",
      "and in weights-00003-of-00003.safetensors"}},
    {{BLOCK("a#3x4@0", 3, 2), PART("a#3x4@0", 12)},
     {"elements 0 to 1 of weights of \"a\" are both in weights-00001-of-00002.safetensors",
      "and in weights-00002-of-00002.safetensors"}},
    {{PART("a#3x4@4", 2), BLOCK("a#3x4@0", 3, 2), BLOCK("a#3x4@2", 3, 2)},
     {"elements 4 to 5 of weights of \"a\" are both in weights-00002-of-00003.safetensors",
      "and in weights-00001-of-00003.safetensors"}},
    {{BLOCK("a", 3, 4), BLOCK("a#3x4@6", 2, 2)}, {"elements 6 to 7 of weights of \"a\" are both in", NULL}},
    {{BLOCK("a#3x4@0", 3, 2), BLOCK("a#4x3@2", 4, 1)}, {"weights of \"a\" have the shape (3, 4)", "(4, 3)"}},
    {{BLOCK("a#3x4@3", 2, 2)}, {ONE "#3x4@3\": 2 rows of 2 elements from element 3" OVER "4", NULL}},
    {{BLOCK("a#3x4@0", 2, 5)}, {ONE, OVER "4"}},
    {{BLOCK("a#3x4@1", 2, 4)}, {ONE, OVER "4"}},
    {{BLOCK("a#3x4@4", 3, 2)}, {ONE "#3x4@4\": 3 rows of 2 elements from element 4" BEYOND "12", NULL}},
    {{BLOCK("a#3x4@12", 2, 2)}, {ONE, BEYOND "12"}},
    {{BLOCK("a#3x4@9223372036854775807", 2, 2)}, {ONE, BEYOND "12"}},
    {{BLOCK("a#3x0@0", 2, 2)}, {ONE, BEYOND "0"}},
    {{BLOCK("a#6@0", 2, 3)}, {ONE, BEYOND "6"}},
    {{BLOCK("a#6@0", 1, 3)}, {ONE, NO_BLOCK}},
    {{BLOCK("a#3x4@0", 1, 3)}, {ONE, NO_BLOCK}},
    {{BLOCK("a#3x4@0", 2, 4)}, {ONE, NO_BLOCK}},
    {{BLOCK("a#3x4@0", 3, 4)}, {ONE, NO_BLOCK}},
    {{BLOCK("a#6x1@0", 2, 1)}, {ONE, NO_BLOCK}},
    {{BLOCK("a#3x4@0", 0, 4)}, {ONE, NO_PART}},
    {{BLOCK("a#3x4@0", 2, 0)}, {ONE, NO_PART}},
    {{{"a#3x4@0", WEFT_FP32, 3, {1, 2, 3}, NULL, 0}}, {ONE, NO_PART}},
    {{{"a#3x4@0", WEFT_FP32, 4, {1, 1, 2, 3}, NULL, 0}}, {ONE, NO_PART}},
    {{{"a#1@0", WEFT_FP32, 0, {0}, NULL, 0}}, {ONE, NO_PART}},
    {{{"a#6@0", WEFT_BF16, 1, {6}, NULL, 0}}, {ONE, "is bf16, but checkpoints hold fp32 only"}},
    {{{"a", WEFT_BF16, 1, {6}, NULL, 0}}, {ONE, "is bf16, but checkpoints hold fp32 only"}},
};

static void forge(size_t row, int64_t step)
{
    weft_tensor_entry tensors[3];
    int32_t count = 0;
    for (; count < 3 && forged[row].tensors[count].name; count++) {
        weft_tensor_entry *tensor = &tensors[count];
        *tensor = forged[row].tensors[count];
        tensor->bytes = weft_element_bytes(tensor->element);
        for (int32_t i = 0; i < tensor->dimensions; i++) tensor->bytes *= (size_t)tensor->shape[i];
        tensor->data = model.values[0];
    }
    fixture_forge(model.folder, step, tensors, count);
}

static void test_pieces_that_make_no_whole(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof forged / sizeof *forged; row++) {
        weft_checkpoint *checkpoint = NULL;
        weft_error error = {0};
        forge(row, (int64_t)row);
        weft_status status = weft_checkpoint_open(model.folder, &checkpoint, &error);
        assert_int_equal(status == WEFT_OK, checkpoint != NULL);
        weft_checkpoint_close(checkpoint);
        if (!forged[row].words[0] && status != WEFT_OK) fail_msg("%s", error.text);
        if (!forged[row].words[0]) continue;
        if (status != WEFT_INVALID) fail_msg("row %zu opens, but should say \"%s\"", row, forged[row].words[0]);
        for (int i = 0; i < 2; i++)
            if (forged[row].words[i] && !strstr(error.text, forged[row].words[i]))
                fail_msg("\"%s\" does not say \"%s\"", error.text, forged[row].words[i]);
    }
}

static const int64_t small[] = {2, 3}, large[] = {INT64_MAX, 2}, negative[] = {-2, -3}, huge[] = {0, INT64_MAX};
static const float zeros[8];
static const weft_checkpoint_piece bad[] = {
    {"a", 2, small, 0, 1, 7, zeros},         {"a", 2, small, 6, 1, 1, zeros},
    {"a", 2, small, -1, 1, 3, zeros},        {"a", 2, small, 2, 1, -1, zeros},
    {"a", 2, small, 4, 1, 3, zeros},         {"a", 2, small, INT64_MAX, 1, 2, zeros},
    {"a", 2, small, 2, 1, INT64_MAX, zeros}, {"a", 2, small, 7, 1, 0, zeros},
    {"a", 2, small, 0, 3, 2, zeros},         {"a", 2, small, 3, 2, 2, zeros},
    {"a", 2, small, 2, 2, 2, zeros},         {"a", 2, small, 1, 2, 3, zeros},
    {"a", 2, small, 0, 2, 4, zeros},         {"a", 2, small, 0, -1, 2, zeros},
    {"a", 2, small, 0, 2, -1, zeros},        {"a", 2, small, 0, INT64_MAX, 1, zeros},
    {"a", 2, small, 0, 2, INT64_MAX, zeros}, {"a", 2, small, 0, INT64_MAX, INT64_MAX, zeros},
    {"a", 2, small, INT64_MAX, 2, 2, zeros}, {"a", 1, small, 0, 2, 1, zeros},
    {"a", 0, small, 0, 2, 1, zeros},         {"a", 2, large, 0, 1, 1, zeros},
    {"a", 2, negative, 0, 1, 1, zeros},      {"a", 2, huge, 0, 1, 1, zeros},
    {"a", 2, huge, 0, 2, 2, zeros},          {"a", 5, small, 0, 1, 1, zeros},
    {"a", -1, small, 0, 1, 1, zeros},        {"a#b", 2, small, 0, 1, 6, zeros},
    {"#", 2, small, 0, 1, 3, zeros},         {NULL, 2, small, 0, 1, 6, zeros},
    {"a\n", 2, small, 0, 1, 3, zeros},       {"a", 2, small, 0, 1, 3, NULL},
    {"a", 2, small, 0, 2, 2, NULL},
};

static void test_pieces_that_cannot_be_written(void **state)
{
    (void)state;
    weft_checkpoint_file file;
    weft_error error;
    assert_int_equal(weft_checkpoint_begin(model.folder, 1, &error), WEFT_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_error_clear(&error);
        assert_int_equal(
            weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, &bad[i], 1, &file, &error),
            WEFT_INVALID);
        assert_non_null(strstr(error.text, "tensor"));
        assert_int_equal(file.name[0], '\0');
    }
    const weft_checkpoint_piece twice[] = {{"a", 2, small, 0, 1, 3, zeros}, {"a", 2, small, 0, 2, 2, zeros}};
    assert_int_equal(
        weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, twice, 2, &file, &error),
        WEFT_INVALID);
    assert_non_null(strstr(error.text, "given twice"));
    assert_int_equal(
        weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 2, 2, twice, 1, &file, &error),
        WEFT_INVALID);
    const weft_checkpoint_piece nothing[] = {{"a", 2, small, 6, 1, 0, NULL},
                                             {"a", 2, small, 1, 2, 0, NULL},
                                             {"a", 2, small, 0, 0, 6, NULL},
                                             {"a", 2, small, 0, INT64_MAX, 0, NULL}};
    assert_int_equal(
        weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, nothing, 4, &file, &error),
        WEFT_OK);
    assert_int_equal(file.name[0], '\0');
    assert_int_equal(weft_checkpoint_begin(model.folder, -1, &error), WEFT_INVALID);
}

/* Whatever has two descriptions is stored in one way. */
static void test_one_form_of_each_piece(void **state)
{
    (void)state;
    static const int64_t matrix[] = {4, 3}, column[] = {4, 1};
    const float values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const weft_checkpoint_piece pairs[][2] = {
        {{"a", 2, matrix, 3, 2, 3, values}, {"a", 2, matrix, 3, 1, 6, values}},
        {{"a", 2, matrix, 0, 4, 3, values}, {"a", 2, matrix, 0, 1, 12, values}},
        {{"a", 2, column, 1, 2, 1, values}, {"a", 2, column, 1, 1, 2, values}},
    };
    weft_error error;
    assert_int_equal(weft_checkpoint_begin(model.folder, 1, &error), WEFT_OK);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        weft_checkpoint_file files[2];
        for (int k = 0; k < 2; k++)
            assert_int_equal(weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, &pairs[i][k],
                                                   1, &files[k], &error),
                             WEFT_OK);
        assert_memory_equal(&files[0], &files[1], sizeof *files);
    }
}

/* What the ranks wrote is proved before it takes its place, so that no gap is found when it is needed. */
static void test_ranks_that_do_not_agree(void **state)
{
    (void)state;
    static const struct {
        fixture_cut cut;
        int32_t ranks[2]; /* each rank's idea of how many there are */
        const char *words;
    } rows[] = {
        {FIXTURE_RUNS, {2, 3}, "elements 6 to 9 of moment1 of \"embedding\" are both in moment1-00001-of-00002"},
        {FIXTURE_RUNS, {3, 2}, "moment1 of \"embedding\" lack elements 6 to 9 of 0 to 19"},
        {FIXTURE_COLUMNS, {2, 3}, "elements 1 to 1 of moment1 of \"embedding\" are both in moment1-00001-of-00002"},
        {FIXTURE_COLUMNS, {3, 2}, "moment1 of \"embedding\" lack elements 1 to 1 of 0 to 19"},
    };
    weft_error error;
    assert_int_equal(fixture_save(&model, model.folder, 1, 2, 0, &error), WEFT_OK);
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        weft_checkpoint_file files[2];
        weft_checkpoint_state wanted = {.step = 2, .sequences = 6};
        assert_int_equal(weft_checkpoint_begin(model.folder, 2, &error), WEFT_OK);
        for (int32_t rank = 0; rank < 2; rank++) {
            weft_checkpoint_piece parts[FIXTURE_TENSORS];
            model.cut = rows[row].cut;
            fixture_parts(&model, WEFT_CHECKPOINT_MOMENT1, rank, rows[row].ranks[rank], parts);
            assert_int_equal(weft_checkpoint_write(NULL, model.folder, 2, WEFT_CHECKPOINT_MOMENT1, rank, 2, parts, 1,
                                                   &files[rank], &error),
                             WEFT_OK);
        }
        assert_int_equal(weft_checkpoint_publish(model.folder, &wanted, "", files, 2, 1, &error), WEFT_FAILED);
        if (!strstr(error.text, rows[row].words)) fail_msg("%s", error.text);
        assert_false(weft_path_exists(fixture_path(model.folder, 2, ".tmp")));
        fixture_check(&model, model.folder, 1);
    }
}

static const struct {
    int64_t from, rows, columns;
    const char *words;
} outside[] = {
    {-1, 1, 2, "2 elements from element -1" BEYOND},
    {0, 1, 21, BEYOND},
    {20, 1, 1, BEYOND},
    {3, 1, -1, BEYOND},
    {19, 1, 2, BEYOND},
    {INT64_MAX, 1, 2, BEYOND},
    {2, 1, INT64_MAX, BEYOND},
    {0, 6, 2, "6 rows of 2 elements from element 0" BEYOND},
    {4, 5, 1, BEYOND},
    {0, -2, 1, BEYOND},
    {0, INT64_MAX, 1, BEYOND},
    {0, 2, 5, OVER},
    {3, 2, 2, "2 rows of 2 elements from element 3" OVER},
    {1, 2, INT64_MAX, OVER},
};

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    static const int64_t shape[] = {5, 4};
    weft_error error;
    float out[FIXTURE_FLOATS] = {0};
    model.cut = FIXTURE_COLUMNS;
    assert_int_equal(fixture_save(&model, model.folder, 1, 3, 0, &error), WEFT_OK);
    weft_checkpoint *checkpoint = fixture_open(model.folder);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        assert_int_equal(weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embedding", 2, shape,
                                              outside[i].from, outside[i].rows, outside[i].columns, out, &error),
                         WEFT_INVALID);
        assert_non_null(strstr(error.text, "weights of \"embedding\": "));
        assert_non_null(strstr(error.text, outside[i].words));
    }
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embedding#5x4@0", 2, shape, 0, 1, 1, out, &error),
        WEFT_INVALID);
    assert_non_null(strstr(error.text, "no tensor"));
    static const int64_t nothing[][3] = {{20, 1, 0}, {1, 2, 0}, {0, 0, 7}, {0, INT64_MAX, 0}};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_int_equal(weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embedding", 2, shape, nothing[i][0],
                                              nothing[i][1], nothing[i][2], NULL, &error),
                         WEFT_OK);
    weft_checkpoint_close(checkpoint);
}

static void mark(const weft_stored_piece *piece, int *hits)
{
    int64_t width = piece->dimensions ? piece->shape[piece->dimensions - 1] : 1;
    for (int64_t row = 0; row < piece->extent.rows; row++)
        for (int64_t i = 0; i < piece->extent.columns; i++) {
            int64_t element = piece->extent.from + row * width + i;
            assert_in_range(element, 0, FIXTURE_FLOATS - 1);
            hits[element]++;
        }
}

/* Whatever opens holds each element of each tensor once. */
static void check_coverage(const weft_checkpoint *checkpoint)
{
    const weft_pieces *list = weft_checkpoint_pieces(checkpoint, WEFT_CHECKPOINT_WEIGHTS);
    for (size_t t = 0; t < list->tensor_count; t++) {
        const weft_stored_tensor *tensor = &list->tensors[t];
        int64_t elements = tensor->pieces->elements;
        int hits[FIXTURE_FLOATS] = {0};
        for (size_t i = 0; i < tensor->count; i++) mark(&tensor->pieces[i], hits);
        for (int64_t i = 0; i < FIXTURE_FLOATS; i++) assert_int_equal(hits[i], i < elements);
        float out[FIXTURE_FLOATS];
        weft_error error;
        assert_int_equal(weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, tensor->pieces->name,
                                              tensor->pieces->dimensions, tensor->pieces->shape, 0, 1, elements, out,
                                              &error),
                         WEFT_OK);
    }
}

static void put(const char *path, const weft_text *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text->bytes, 1, text->length, file), text->length);
    assert_int_equal(fclose(file), 0);
}

/* Changes one to three of a header's letters that tell of names, shapes and ranges. */
static void mutate(weft_text *file, fixture_dice *from)
{
    static const char telling[] = "#@x0123456789,";
    int64_t header = 0;
    memcpy(&header, file->bytes, sizeof header);
    for (int64_t i = fixture_draw(from, 3); i >= 0; i--) {
        char *at = file->bytes + 8 + fixture_draw(from, header - 64);
        at += strcspn(at, telling);
        *at = telling[fixture_draw(from, (int64_t)sizeof telling - 1)];
    }
}

static void list_weights(weft_checkpoint_file files[2])
{
    weft_error error;
    for (int32_t i = 0; i < 2; i++) {
        weft_checkpoint_file_name(WEFT_CHECKPOINT_WEIGHTS, i, 2, &files[i]);
        assert_int_equal(weft_file_checksum(fixture_path(model.folder, 2, files[i].name), &files[i].checksum,
                                            &files[i].bytes, &error),
                         WEFT_OK);
    }
}

static void check_mutated_headers(void)
{
    enum { CHANGES = 1500 };
    weft_checkpoint_file files[2] = {0};
    weft_text whole;
    weft_error error;
    weft_text_init(&whole);
    assert_int_equal(fixture_save(&model, model.folder, 2, 2, 0, &error), WEFT_OK);
    list_weights(files);
    assert_int_equal(weft_file_read(fixture_path(model.folder, 2, files[1].name), &whole, &error), WEFT_OK);
    fixture_dice from = {.key = weft_random_key_make(3, "headers")};
    int opened = 0;
    for (int i = 0; i < CHANGES; i++) {
        weft_text changed;
        weft_text_init(&changed);
        weft_text_add_bytes(&changed, whole.bytes, whole.length);
        mutate(&changed, &from);
        files[1].checksum = XXH3_64bits(changed.bytes, changed.length);
        put(fixture_path(model.folder, 2, files[1].name), &changed);
        fixture_list(model.folder, 2, files, 2);
        weft_checkpoint *checkpoint = NULL;
        weft_status status = weft_checkpoint_open(model.folder, &checkpoint, &error);
        if (status == WEFT_OK)
            check_coverage(checkpoint);
        else
            assert_true(status == WEFT_INVALID && strstr(error.text, "weights"));
        opened += status == WEFT_OK;
        weft_checkpoint_close(checkpoint);
        weft_text_fini(&changed);
    }
    assert_in_range(opened, 1, CHANGES / 2);
    weft_text_fini(&whole);
}

static void test_mutated_headers(void **state)
{
    (void)state;
    for (model.cut = FIXTURE_RUNS; model.cut <= FIXTURE_COLUMNS; model.cut++) check_mutated_headers();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wholes_are_stored_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces_that_make_no_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces_that_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_form_of_each_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranks_that_do_not_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mutated_headers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
