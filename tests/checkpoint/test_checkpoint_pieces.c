/* Tensors in pieces: any cut reads and compares as the whole does, and pieces that do not make wholes are refused. */
#include "base/random.h"
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

typedef struct dice {
    weft_random_key key;
    uint64_t turn;
} dice;

static int64_t draw(dice *from, int64_t below)
{
    return (int64_t)(weft_random_bits(from->key, from->turn++) % (uint64_t)below);
}

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

enum { TENSORS = 5, MOST = 400, CUTS = 5, RANKS = 5, ROUNDS = 40 };

/* Tensors of random shapes, one without elements among them. */
typedef struct world {
    weft_checkpoint_kind kind;
    int32_t dimensions[TENSORS];
    int64_t shape[TENSORS][WEFT_TENSOR_DIMENSIONS], elements[TENSORS];
    float values[TENSORS][MOST];
} world;

static const char *const names[TENSORS] = {"a", "a.b", "a.bb", "a.b.c", "z"};

static void make_world(world *self, dice *from)
{
    static const int64_t largest[] = {1, MOST, 20, 7, 4};
    self->kind = (weft_checkpoint_kind)draw(from, WEFT_CHECKPOINT_KINDS);
    int64_t empty = draw(from, 2 * TENSORS);
    for (int t = 0; t < TENSORS; t++) {
        self->dimensions[t] = (int32_t)draw(from, WEFT_TENSOR_DIMENSIONS + 1);
        self->elements[t] = 1;
        for (int32_t i = 0; i < self->dimensions[t]; i++) {
            self->shape[t][i] = t == empty && i == 0 ? 0 : 1 + draw(from, largest[self->dimensions[t]]);
            self->elements[t] *= self->shape[t][i];
        }
        for (int i = 0; i < MOST; i++) self->values[t][i] = (float)draw(from, 1000) - 500;
    }
}

typedef struct owned {
    weft_checkpoint_piece piece;
    int32_t rank;
} owned;

/* Cuts may fall on one another and on the ends: parts without elements. */
static int cut_tensor(const world *self, int t, dice *from, owned *out)
{
    int64_t ends[CUTS + 1], count = self->elements[t] ? 1 + draw(from, CUTS) : 1, at = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t end = i + 1 == count ? self->elements[t] : draw(from, self->elements[t] + 1), k = i;
        for (; k > 0 && ends[k - 1] > end; k--) ends[k] = ends[k - 1];
        ends[k] = end;
    }
    for (int64_t i = 0; i < count; at = ends[i++])
        out[i].piece = (weft_checkpoint_piece){.name = names[t],
                                               .dimensions = self->dimensions[t],
                                               .shape = self->shape[t],
                                               .from = at,
                                               .count = ends[i] - at,
                                               .values = self->values[t] + at};
    return (int)count;
}

/* Random pieces on random ranks in random order. */
static void save_cut(const world *self, const char *folder, dice *from)
{
    owned all[TENSORS * CUTS];
    int count = 0;
    for (int t = 0; t < TENSORS; t++) count += cut_tensor(self, t, from, all + count);
    int32_t ranks = 1 + (int32_t)draw(from, RANKS);
    for (int i = 0; i < count; i++) {
        int64_t other = draw(from, i + 1);
        owned moved = all[i];
        all[i] = all[other];
        all[other] = moved;
        all[other].rank = (int32_t)draw(from, ranks);
    }
    weft_checkpoint_file files[RANKS];
    weft_checkpoint_state state = {.step = 1};
    weft_error error;
    weft_status status = weft_checkpoint_begin(folder, 1, &error);
    for (int32_t rank = 0; rank < ranks && status == WEFT_OK; rank++) {
        weft_checkpoint_piece own[TENSORS * CUTS];
        size_t held = 0;
        for (int i = 0; i < count; i++)
            if (all[i].rank == rank) own[held++] = all[i].piece;
        status = weft_checkpoint_write(folder, 1, self->kind, rank, ranks, own, held, &files[rank], &error);
    }
    if (status == WEFT_OK) status = weft_checkpoint_publish(folder, &state, "", files, (size_t)ranks, 0, &error);
    if (status != WEFT_OK) fail_msg("%s", error.text);
}

static weft_checkpoint *open_here(const char *folder)
{
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    if (weft_checkpoint_open(folder, &checkpoint, &error) != WEFT_OK) fail_msg("%s", error.text);
    return checkpoint;
}

/* Not a float more than was asked for is written. */
static void check_range(const weft_checkpoint *checkpoint, const world *self, int t, int64_t begin, int64_t count)
{
    float out[MOST + 2], wanted[MOST + 2];
    weft_error error;
    for (int i = 0; i < MOST + 2; i++) out[i] = wanted[i] = 0.25f;
    memcpy(wanted + 1, self->values[t] + begin, (size_t)count * sizeof(float));
    if (weft_checkpoint_read(checkpoint, self->kind, names[t], self->dimensions[t], self->shape[t], begin, count,
                             out + 1, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    assert_memory_equal(out, wanted, sizeof out);
}

static void check_ranges(const char *folder, const world *self, dice *from)
{
    weft_checkpoint *checkpoint = open_here(folder);
    for (int t = 0; t < TENSORS; t++) {
        check_range(checkpoint, self, t, 0, self->elements[t]);
        for (int i = 0; i < 12; i++) {
            int64_t begin = draw(from, self->elements[t] + 1);
            check_range(checkpoint, self, t, begin, draw(from, self->elements[t] - begin + 1));
        }
    }
    weft_checkpoint_close(checkpoint);
}

static void compares(const char *a, const char *b, const char *begin)
{
    weft_text text;
    weft_text_init(&text);
    weft_error error;
    bool same = false;
    if (weft_checkpoint_compare(a, b, &same, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(same, *begin == '\0');
    if (same ? text.length > 0 : strncmp(weft_text_get(&text), begin, strlen(begin)) != 0)
        fail_msg("\"%s\" does not begin \"%s\"", weft_text_get(&text), begin);
    weft_text_fini(&text);
}

static void test_any_cut_reads_and_compares_as_any_other(void **state)
{
    (void)state;
    char other[128], words[128];
    snprintf(other, sizeof other, "%s/other", model.run);
    dice from = {.key = weft_random_key_make(7, "cuts")};
    for (int round = 0; round < ROUNDS; round++) {
        world here = {0};
        make_world(&here, &from);
        save_cut(&here, model.folder, &from);
        check_ranges(model.folder, &here, &from);
        save_cut(&here, other, &from);
        compares(model.folder, other, "");
        int t = (int)draw(&from, TENSORS);
        if (here.elements[t] == 0) continue;
        int64_t first = draw(&from, here.elements[t]), second = first + draw(&from, here.elements[t] - first);
        here.values[t][first] += 1;
        here.values[t][second] += 1;
        save_cut(&here, other, &from);
        snprintf(words, sizeof words, "%s of \"%s\" differ first at element %" PRId64 "%s",
                 weft_checkpoint_kind_name(here.kind), names[t], first, here.dimensions[t] > 1 ? " (row " : ": ");
        compares(model.folder, other, words);
        compares(other, model.folder, words);
    }
}

static void fixture_tensors(weft_checkpoint_kind kind, weft_tensor_entry out[FIXTURE_TENSORS])
{
    weft_checkpoint_piece pieces[FIXTURE_TENSORS];
    fixture_pieces(&model, kind, pieces);
    for (int i = 0; i < FIXTURE_TENSORS; i++) {
        out[i] = (weft_tensor_entry){.name = pieces[i].name,
                                     .dimensions = pieces[i].dimensions,
                                     .data = pieces[i].values,
                                     .bytes = (size_t)pieces[i].count * sizeof(float)};
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
    compares(model.folder, plain, "");
    model.cut = true;
    assert_int_equal(fixture_save(&model, model.folder, 2, 3, 0, &error), WEFT_OK);
    fixture_check(&model, model.folder, 2);
    compares(model.folder, plain, "");
}

#define ONE "weights-00001-of-00001.safetensors: tensor \"a"
#define PART(name, count)                                                                                              \
    {                                                                                                                  \
        name, WEFT_FP32, 1, {count}, NULL, 0                                                                           \
    }
#define NO_NAME ": no part of a tensor is named so"
#define BEYOND "elements are not all in the "
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
    {{PART("a#6@4", 3)}, {ONE "#6@4\": its 3 " BEYOND "6", NULL}},
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
    {{PART("a#6@0", 0)}, {ONE, "one dimension and at least one element"}},
    {{{"a#6@0", WEFT_FP32, 2, {2, 3}, NULL, 0}}, {ONE, "one dimension and at least one element"}},
    {{{"a#1@0", WEFT_FP32, 0, {0}, NULL, 0}}, {ONE, "one dimension and at least one element"}},
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

static void test_pieces_that_cannot_be_written(void **state)
{
    (void)state;
    static const int64_t shape[] = {2, 3}, large[] = {INT64_MAX, 2}, negative[] = {-2, -3}, huge[] = {0, INT64_MAX};
    float values[8] = {0};
    const weft_checkpoint_piece bad[] = {
        {"a", 2, shape, 0, 7, values},         {"a", 2, shape, 6, 1, values}, {"a", 2, shape, -1, 3, values},
        {"a", 2, shape, 2, -1, values},        {"a", 2, shape, 4, 3, values}, {"a", 2, shape, INT64_MAX, 2, values},
        {"a", 2, shape, 2, INT64_MAX, values}, {"a", 2, large, 0, 1, values}, {"a", 2, negative, 0, 1, values},
        {"a", 2, huge, 0, 1, values},          {"a", 5, shape, 0, 1, values}, {"a", -1, shape, 0, 1, values},
        {"a#b", 2, shape, 0, 6, values},       {"#", 2, shape, 0, 3, values}, {NULL, 2, shape, 0, 6, values},
        {"a\n", 2, shape, 0, 3, values},       {"a", 2, shape, 0, 3, NULL},
    };
    weft_checkpoint_file file;
    weft_error error;
    assert_int_equal(weft_checkpoint_begin(model.folder, 1, &error), WEFT_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_error_clear(&error);
        assert_int_equal(
            weft_checkpoint_write(model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, &bad[i], 1, &file, &error),
            WEFT_INVALID);
        assert_non_null(strstr(error.text, "tensor"));
        assert_int_equal(file.name[0], '\0');
    }
    const weft_checkpoint_piece twice[] = {{"a", 2, shape, 0, 3, values}, {"a", 2, shape, 0, 2, values}};
    assert_int_equal(weft_checkpoint_write(model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, twice, 2, &file, &error),
                     WEFT_INVALID);
    assert_non_null(strstr(error.text, "given twice"));
    assert_int_equal(weft_checkpoint_write(model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 2, 2, twice, 1, &file, &error),
                     WEFT_INVALID);
    const weft_checkpoint_piece nothing = {"a", 2, shape, 6, 0, NULL};
    assert_int_equal(weft_checkpoint_write(model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, &nothing, 1, &file, &error),
                     WEFT_OK);
    assert_int_equal(file.name[0], '\0');
    assert_int_equal(weft_checkpoint_begin(model.folder, -1, &error), WEFT_INVALID);
}

/* What the ranks wrote is proved before it takes its place, so that no gap is found when it is needed. */
static void test_ranks_that_do_not_agree(void **state)
{
    (void)state;
    static const struct {
        int32_t ranks[2]; /* each rank's idea of how many there are */
        const char *words;
    } rows[] = {{{2, 3}, "elements 6 to 9 of moment1 of \"embedding\" are both in moment1-00001-of-00002.safetensors"},
                {{3, 2}, "moment1 of \"embedding\" lack elements 6 to 9 of 0 to 19"}};
    weft_error error;
    assert_int_equal(fixture_save(&model, model.folder, 1, 2, 0, &error), WEFT_OK);
    for (size_t row = 0; row < 2; row++) {
        weft_checkpoint_file files[2];
        weft_checkpoint_state wanted = {.step = 2};
        assert_int_equal(weft_checkpoint_begin(model.folder, 2, &error), WEFT_OK);
        for (int32_t rank = 0; rank < 2; rank++) {
            weft_checkpoint_piece parts[FIXTURE_TENSORS];
            fixture_parts(&model, WEFT_CHECKPOINT_MOMENT1, rank, rows[row].ranks[rank], parts);
            assert_int_equal(weft_checkpoint_write(model.folder, 2, WEFT_CHECKPOINT_MOMENT1, rank, 2, parts, 1,
                                                   &files[rank], &error),
                             WEFT_OK);
        }
        assert_int_equal(weft_checkpoint_publish(model.folder, &wanted, "", files, 2, 1, &error), WEFT_FAILED);
        if (!strstr(error.text, rows[row].words)) fail_msg("%s", error.text);
        assert_non_null(strstr(error.text, "the checkpoint of step 2 was not written"));
        assert_false(weft_path_exists(fixture_path(model.folder, 2, ".tmp")));
        fixture_check(&model, model.folder, 1);
    }
}

static void test_ranges_that_cannot_be_read(void **state)
{
    (void)state;
    static const int64_t shape[] = {5, 4};
    static const int64_t ranges[][2] = {{-1, 2}, {0, 21}, {20, 1}, {3, -1}, {19, 2}, {INT64_MAX, 2}, {2, INT64_MAX}};
    weft_error error;
    float out[FIXTURE_FLOATS] = {0};
    model.cut = true;
    assert_int_equal(fixture_save(&model, model.folder, 1, 3, 0, &error), WEFT_OK);
    weft_checkpoint *checkpoint = open_here(model.folder);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        assert_int_equal(weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embedding", 2, shape, ranges[i][0],
                                              ranges[i][1], out, &error),
                         WEFT_INVALID);
        assert_non_null(strstr(error.text, "weights of \"embedding\" are 20 elements: "));
    }
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embedding#5x4@0", 2, shape, 0, 1, out, &error),
        WEFT_INVALID);
    assert_non_null(strstr(error.text, "no tensor"));
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "embedding", 2, shape, 20, 0, NULL, &error), WEFT_OK);
    weft_checkpoint_close(checkpoint);
}

/* Whatever opens holds each element of each tensor once. */
static void check_coverage(const weft_checkpoint *checkpoint)
{
    const weft_pieces *list = weft_checkpoint_pieces(checkpoint, WEFT_CHECKPOINT_WEIGHTS);
    for (size_t t = 0; t < list->tensor_count; t++) {
        const weft_stored_tensor *tensor = &list->tensors[t];
        int64_t end = 0;
        for (size_t i = 0; i < tensor->count; i++) {
            assert_true(tensor->pieces[i].from == end);
            end += tensor->pieces[i].count;
        }
        assert_true(end == tensor->pieces->elements);
        assert_in_range(end, 0, FIXTURE_FLOATS);
        float out[FIXTURE_FLOATS];
        weft_error error;
        assert_int_equal(weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, tensor->pieces->name,
                                              tensor->pieces->dimensions, tensor->pieces->shape, 0, end, out, &error),
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
static void mutate(weft_text *file, dice *from)
{
    static const char telling[] = "#@x0123456789,";
    int64_t header = 0;
    memcpy(&header, file->bytes, sizeof header);
    for (int64_t i = draw(from, 3); i >= 0; i--) {
        char *at = file->bytes + 8 + draw(from, header - 64);
        at += strcspn(at, telling);
        *at = telling[draw(from, (int64_t)sizeof telling - 1)];
    }
}

static void test_mutated_headers(void **state)
{
    (void)state;
    enum { CHANGES = 1500 };
    weft_checkpoint_file files[2] = {0};
    weft_text whole;
    weft_error error;
    weft_text_init(&whole);
    model.cut = true;
    assert_int_equal(fixture_save(&model, model.folder, 2, 2, 0, &error), WEFT_OK);
    for (int32_t i = 0; i < 2; i++) {
        weft_checkpoint_file_name(WEFT_CHECKPOINT_WEIGHTS, i, 2, &files[i]);
        assert_int_equal(weft_file_checksum(fixture_path(model.folder, 2, files[i].name), &files[i].checksum,
                                            &files[i].bytes, &error),
                         WEFT_OK);
    }
    assert_int_equal(weft_file_read(fixture_path(model.folder, 2, files[1].name), &whole, &error), WEFT_OK);
    dice from = {.key = weft_random_key_make(3, "headers")};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_cut_reads_and_compares_as_any_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wholes_are_stored_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces_that_make_no_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces_that_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranks_that_do_not_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranges_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mutated_headers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
