/* Tensors cut at random into runs and blocks: any cut reads and compares as the whole does, and a cut in which one
 * piece is not what it should be is refused. */
#include "checkpoint/manifest.h"
#include "fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum { TENSORS = 5, MOST = 400, DEPTH = 4, PIECES = 400, RANKS = 6, ROUNDS = 60, MUTATIONS = 600 };

/* Tensors of random shapes, one without elements among them now and then. */
typedef struct world {
    weft_checkpoint_kind kind;
    int32_t dimensions[TENSORS];
    int64_t shape[TENSORS][WEFT_TENSOR_DIMENSIONS], elements[TENSORS], width[TENSORS];
    float values[TENSORS][MOST];
} world;

static const char *const names[TENSORS] = {"a", "a.b", "a.bb", "a.b.c", "z"};

static void make_world(world *self, fixture_dice *from)
{
    static const int64_t largest[] = {1, MOST, 20, 7, 4};
    static const int32_t dimensions[] = {0, 1, 2, 2, 2, 3, 3, 4};
    self->kind = (weft_checkpoint_kind)fixture_draw(from, WEFT_CHECKPOINT_KINDS);
    int64_t empty = fixture_draw(from, 2 * TENSORS);
    for (int t = 0; t < TENSORS; t++) {
        self->dimensions[t] = dimensions[fixture_draw(from, sizeof dimensions / sizeof *dimensions)];
        self->elements[t] = self->width[t] = 1;
        for (int32_t i = 0; i < self->dimensions[t]; i++) {
            self->shape[t][i] = t == empty && i == 0 ? 0 : 1 + fixture_draw(from, largest[self->dimensions[t]]);
            self->elements[t] *= self->width[t] = self->shape[t][i];
        }
        for (int i = 0; i < MOST; i++) self->values[t][i] = (float)fixture_draw(from, 1000) - 500;
    }
}

/* The pieces of a world's tensors, and for each the rank that writes it. */
typedef struct cut {
    const world *of;
    fixture_dice *from;
    int count;
    weft_checkpoint_piece pieces[PIECES];
    int32_t tensor[PIECES], rank[PIECES];
    float packed[TENSORS * MOST];
    int64_t used; /* of packed */
} cut;

static void pack(const world *self, int t, int64_t from, int64_t rows, int64_t columns, float *out)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < columns; i++) *out++ = self->values[t][from + row * self->width[t] + i];
}

static void add_piece(cut *self, int t, int64_t from, int64_t rows, int64_t columns)
{
    assert_in_range(self->count, 0, PIECES - 1);
    const world *of = self->of;
    float *packed = self->packed + self->used;
    pack(of, t, from, rows, columns, packed);
    self->used += rows * columns;
    self->tensor[self->count] = t;
    self->pieces[self->count++] =
        (weft_checkpoint_piece){names[t], of->dimensions[t], of->shape[t], from, rows, columns, packed};
}

static void cut_block(cut *self, int t, int64_t from, int64_t rows, int64_t columns, int depth);

/* Whole rows inside may be a block again. */
static void cut_run(cut *self, int t, int64_t from, int64_t count, int depth)
{
    int64_t width = self->of->width[t], head = (width - from % width) % width;
    if (depth <= 0 || count < head + width || fixture_draw(self->from, 2)) {
        add_piece(self, t, from, 1, count);
        return;
    }
    int64_t rows = (count - head) / width, tail = (count - head) % width;
    cut_block(self, t, from, 1, head, depth - 1);
    cut_block(self, t, from + head, rows, width, depth - 1);
    cut_block(self, t, from + count - tail, 1, tail, depth - 1);
}

/* Between rows or columns, or, where rows have no gaps between them, anywhere. Some pieces are without elements. */
static void cut_block(cut *self, int t, int64_t from, int64_t rows, int64_t columns, int depth)
{
    int64_t width = self->of->width[t], way = depth > 0 ? fixture_draw(self->from, 4) : 0;
    if (way == 1 && rows > 1) {
        int64_t at = 1 + fixture_draw(self->from, rows - 1);
        cut_block(self, t, from, at, columns, depth - 1);
        cut_block(self, t, from + at * width, rows - at, columns, depth - 1);
    } else if (way == 2) {
        int64_t at = fixture_draw(self->from, columns + 1);
        cut_block(self, t, from, rows, at, depth - 1);
        cut_block(self, t, from + at, rows, columns - at, depth - 1);
    } else if (way == 3 && (rows == 1 || columns == width)) {
        int64_t at = fixture_draw(self->from, rows * columns + 1);
        cut_run(self, t, from, at, depth - 1);
        cut_run(self, t, from + at, rows * columns - at, depth - 1);
    } else {
        add_piece(self, t, from, rows, columns);
    }
}

static void make_cut(cut *self, const world *of, fixture_dice *from)
{
    *self = (cut){.of = of, .from = from};
    for (int t = 0; t < TENSORS; t++) {
        if (of->elements[t] == 0)
            add_piece(self, t, 0, 1, 0);
        else
            cut_block(self, t, 0, of->elements[t] / of->width[t], of->width[t], DEPTH);
    }
}

/* Random pieces to random ranks but the last. */
static void deal(cut *self, int32_t ranks)
{
    for (int i = 0; i < self->count; i++) self->rank[i] = (int32_t)fixture_draw(self->from, ranks - 1);
}

/* Each rank's in random order. */
static weft_status save(cut *self, const char *folder, int32_t ranks, weft_error *error)
{
    weft_checkpoint_file files[RANKS];
    weft_checkpoint_state state = {.step = 1, .sequences = 3};
    TRY(weft_checkpoint_begin(folder, 1, error));
    for (int32_t rank = 0; rank < ranks; rank++) {
        weft_checkpoint_piece own[PIECES];
        int64_t held = 0;
        for (int i = 0; i < self->count; i++) {
            if (self->rank[i] != rank) continue;
            int64_t at = fixture_draw(self->from, held + 1);
            own[held++] = own[at];
            own[at] = self->pieces[i];
        }
        TRY(weft_checkpoint_write(NULL, folder, 1, self->of->kind, rank, ranks, own, (size_t)held, &files[rank],
                                  error));
    }
    return weft_checkpoint_publish(folder, &state, "", files, (size_t)ranks, 0, error);
}

static void save_any_cut(const world *of, const char *folder, fixture_dice *from)
{
    static cut any;
    weft_error error;
    int32_t ranks = 2 + (int32_t)fixture_draw(from, RANKS - 1);
    make_cut(&any, of, from);
    deal(&any, ranks);
    if (save(&any, folder, ranks, &error) != WEFT_OK) fail_msg("%s", error.text);
}

/* Not a float more than was asked for is written. */
static void check_piece(const weft_checkpoint *checkpoint, const world *self, int t, int64_t from, int64_t rows,
                        int64_t columns)
{
    float out[MOST + 2], wanted[MOST + 2];
    weft_error error;
    for (int i = 0; i < MOST + 2; i++) out[i] = wanted[i] = 0.25f;
    pack(self, t, from, rows, columns, wanted + 1);
    if (weft_checkpoint_read(checkpoint, self->kind, names[t], self->dimensions[t], self->shape[t], from, rows, columns,
                             out + 1, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    assert_memory_equal(out, wanted, sizeof out);
}

static void check_pieces(const char *folder, const world *self, fixture_dice *from)
{
    weft_checkpoint *checkpoint = fixture_open(folder);
    for (int t = 0; t < TENSORS; t++) {
        int64_t elements = self->elements[t], width = self->width[t];
        assert_true(weft_checkpoint_has(checkpoint, self->kind, names[t]));
        check_piece(checkpoint, self, t, 0, 1, elements);
        for (int i = 0; i < 12; i++) {
            int64_t begin = fixture_draw(from, elements + 1);
            check_piece(checkpoint, self, t, begin, 1, fixture_draw(from, elements - begin + 1));
        }
        for (int i = 0; i < 12 && elements > 0; i++) {
            int64_t row = fixture_draw(from, elements / width), column = fixture_draw(from, width);
            check_piece(checkpoint, self, t, row * width + column, 1 + fixture_draw(from, elements / width - row),
                        fixture_draw(from, width - column + 1));
        }
    }
    weft_checkpoint_close(checkpoint);
}

static void test_any_cut_reads_and_compares_as_any_other(void **state)
{
    (void)state;
    char other[128], words[128];
    snprintf(other, sizeof other, "%s/other", model.run);
    fixture_dice from = {.key = weft_random_key_make(7, "cuts")};
    for (int round = 0; round < ROUNDS; round++) {
        world here = {0};
        make_world(&here, &from);
        save_any_cut(&here, model.folder, &from);
        check_pieces(model.folder, &here, &from);
        save_any_cut(&here, other, &from);
        fixture_compare(model.folder, other, "");
        int t = (int)fixture_draw(&from, TENSORS);
        if (here.elements[t] == 0) continue;
        int64_t first = fixture_draw(&from, here.elements[t]);
        int64_t second = first + fixture_draw(&from, here.elements[t] - first);
        here.values[t][first] += 1;
        here.values[t][second] += 1;
        save_any_cut(&here, other, &from);
        snprintf(words, sizeof words, "%s of \"%s\" differ first at element %" PRId64 "%s",
                 weft_checkpoint_kind_name(here.kind), names[t], first, here.dimensions[t] > 1 ? " (row " : ": ");
        fixture_compare(model.folder, other, words);
        fixture_compare(other, model.folder, words);
    }
}

enum { DROP, REPEAT, SHIFT, WIDEN, WAYS };

/* Of one piece, which then lies alone in the last rank's file. False when it has no elements, or is all there is. */
static bool mutate(cut *self, int at, int64_t way, int32_t last)
{
    static const float zeros[4 * MOST];
    weft_checkpoint_piece *piece = &self->pieces[at];
    int64_t step = fixture_draw(self->from, 2) ? 1 : self->of->width[self->tensor[at]];
    int64_t count = piece->rows * piece->columns;
    if (count == 0 || (way == DROP && count == self->of->elements[self->tensor[at]])) return false;
    if (way == REPEAT) {
        self->pieces[self->count] = *piece;
        self->tensor[self->count] = self->tensor[at];
        self->rank[self->count++] = last;
        return true;
    }
    self->rank[at] = last;
    piece->values = zeros;
    if (way == DROP) piece->columns = 0;
    if (way == SHIFT) piece->from += fixture_draw(self->from, 2) ? step : -step;
    if (way == WIDEN && fixture_draw(self->from, 2))
        piece->rows++;
    else if (way == WIDEN)
        piece->columns++;
    return true;
}

static bool lies_in(const world *of, int t, const weft_checkpoint_piece *piece)
{
    int64_t width = of->width[t], last = piece->from + (piece->rows - 1) * width + piece->columns;
    return piece->from >= 0 && last <= of->elements[t] &&
           (piece->rows == 1 || piece->from % width + piece->columns <= width);
}

static bool holds(const cut *self, int i, int t, int64_t element)
{
    const weft_checkpoint_piece *piece = &self->pieces[i];
    int64_t width = self->of->width[t];
    if (self->tensor[i] != t) return false;
    for (int64_t row = 0, from = piece->from; row < piece->rows; row++, from += width)
        if (from <= element && element < from + piece->columns) return true;
    return false;
}

static int holders(const cut *self, int t, int64_t element)
{
    int count = 0;
    for (int i = 0; i < self->count; i++) count += holds(self, i, t, element);
    return count;
}

static void says(const weft_error *error, const char *words)
{
    if (!strstr(error->text, words)) fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

/* The first element that is not held once, counted one by one; false when they all are. */
static bool check_message(const cut *self, int t, int32_t ranks, const weft_error *error, int *out_holders)
{
    const world *of = self->of;
    const char *kind = weft_checkpoint_kind_name(of->kind);
    char words[128];
    int64_t element = 0;
    while (element < of->elements[t] && holders(self, t, element) == 1) element++;
    if (element == of->elements[t]) return false;
    *out_holders = holders(self, t, element);
    int64_t end = element;
    while (end < of->elements[t] && holders(self, t, end) == 0) end++;
    if (*out_holders == 0)
        snprintf(words, sizeof words, "%s of \"%s\" lack elements %" PRId64 " to %" PRId64 " of 0 to %" PRId64, kind,
                 names[t], element, end - 1, of->elements[t] - 1);
    else
        snprintf(words, sizeof words, "elements %" PRId64 " to ", element);
    says(error, words);
    snprintf(words, sizeof words, "%s of \"%s\" are both in ", kind, names[t]);
    if (*out_holders > 0) says(error, words);
    for (int i = 0; i < self->count; i++) {
        weft_checkpoint_file file;
        weft_checkpoint_file_name(of->kind, self->rank[i], ranks, &file);
        if (holds(self, i, t, element)) says(error, file.name);
    }
    return true;
}

static void test_one_wrong_piece_is_refused(void **state)
{
    (void)state;
    static cut any;
    fixture_dice from = {.key = weft_random_key_make(8, "mutations")};
    int refused[WAYS][3] = {{0}}; /* missing elements, elements held twice, outside of the tensor */
    for (int round = 0; round < MUTATIONS; round++) {
        world here = {0};
        weft_error error;
        make_world(&here, &from);
        make_cut(&any, &here, &from);
        deal(&any, RANKS);
        int at = (int)fixture_draw(&from, any.count), t = any.tensor[at], held = 2;
        int64_t way = fixture_draw(&from, WAYS);
        if (!mutate(&any, at, way, RANKS - 1)) continue;
        weft_status status = save(&any, model.folder, RANKS, &error);
        if (lies_in(&here, t, &any.pieces[at])) {
            assert_int_equal(status, WEFT_FAILED);
            if (!check_message(&any, t, RANKS, &error, &held)) fail_msg("refused without reason: %s", error.text);
            refused[way][held > 0]++;
        } else {
            char words[128];
            snprintf(words, sizeof words, "%" PRId64 " elements from element %" PRId64, any.pieces[at].columns,
                     any.pieces[at].from);
            assert_int_equal(status, WEFT_INVALID);
            says(&error, names[t]);
            says(&error, words);
            refused[way][2]++;
        }
        assert_false(weft_checkpoint_exists(model.folder));
    }
    assert_true(refused[DROP][0] > 20 && refused[REPEAT][1] > 20);
    assert_true(refused[SHIFT][0] > 5 && refused[SHIFT][1] > 5 && refused[SHIFT][2] > 5);
    assert_true(refused[WIDEN][1] > 5 && refused[WIDEN][2] > 5);
}

enum { TALL = 8192, WIDE = 64 };

static void save_tall(const char *folder, const float *values, bool columns)
{
    static const int64_t shape[] = {TALL, WIDE};
    static float packed[TALL];
    weft_checkpoint_file files[WIDE];
    weft_checkpoint_state state = {.step = 1, .sequences = 3};
    weft_error error;
    assert_int_equal(weft_checkpoint_begin(folder, 1, &error), WEFT_OK);
    for (int32_t i = 0; i < WIDE; i++) {
        for (int64_t row = 0; row < TALL; row++) packed[row] = values[columns ? row * WIDE + i : i * TALL + row];
        weft_checkpoint_piece column = {"w", 2, shape, i, TALL, 1, packed},
                              run = {"w", 2, shape, i * TALL, 1, TALL, packed};
        assert_int_equal(weft_checkpoint_write(NULL, folder, 1, WEFT_CHECKPOINT_WEIGHTS, i, WIDE,
                                               columns ? &column : &run, 1, &files[i], &error),
                         WEFT_OK);
    }
    if (weft_checkpoint_publish(folder, &state, "", files, WIDE, 0, &error) != WEFT_OK) fail_msg("%s", error.text);
}

/* Half a million runs: any step that took them in pairs would never end. */
static void test_many_runs(void **state)
{
    (void)state;
    static const int64_t shape[] = {TALL, WIDE};
    static float values[TALL * WIDE], out[TALL * WIDE / 2];
    char other[128];
    snprintf(other, sizeof other, "%s/other", model.run);
    for (int i = 0; i < TALL * WIDE; i++) values[i] = (float)i;
    save_tall(model.folder, values, true);
    save_tall(other, values, false);
    fixture_compare(model.folder, other, "");
    weft_checkpoint *checkpoint = fixture_open(model.folder);
    weft_error error;
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "w", 2, shape, 16, TALL, WIDE / 2, out, &error),
        WEFT_OK);
    for (int64_t row = 0; row < TALL; row++)
        assert_memory_equal(out + row * WIDE / 2, values + row * WIDE + 16, WIDE / 2 * sizeof(float));
    weft_checkpoint_close(checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_cut_reads_and_compares_as_any_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_wrong_piece_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_runs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
