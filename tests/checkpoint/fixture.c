#include "fixture.h"

#include "checkpoint/manifest.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char fixture_config[] = "# a run\nmodel:\n  layers: 2\n  name: \"a: b\"\n\nrun:\n  steps: 9\n";

static const struct {
    const char *name;
    int32_t dimensions;
    int64_t shape[WEFT_TENSOR_DIMENSIONS];
    size_t first, count;
} layout[FIXTURE_TENSORS] = {
    {"embedding", 2, {5, 4}, 0, 20},
    {"layer.0.weight", 2, {3, 7}, 20, 21},
    {"layer.0.bias", 1, {7}, 41, 7},
    {"head", 3, {2, 3, 2}, 48, 12},
};

void fixture_make(fixture *self)
{
    memset(self, 0, sizeof *self);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++)
        for (int i = 0; i < FIXTURE_FLOATS; i++) self->values[kind][i] = (float)(1000 * kind + i) * 0.37f;
    snprintf(self->run, sizeof self->run, "/tmp/weft-checkpoint-XXXXXX");
    assert_non_null(mkdtemp(self->run));
    snprintf(self->folder, sizeof self->folder, "%s/run", self->run);
}

void fixture_remove(fixture *self)
{
    weft_error error;
    assert_int_equal(weft_folder_remove(self->run, &error), WEFT_OK);
}

static weft_checkpoint_piece whole_piece(const fixture *self, weft_checkpoint_kind kind, int i)
{
    return (weft_checkpoint_piece){.name = layout[i].name,
                                   .dimensions = layout[i].dimensions,
                                   .shape = layout[i].shape,
                                   .rows = 1,
                                   .columns = (int64_t)layout[i].count,
                                   .values = self->values[kind] + layout[i].first};
}

void fixture_pieces(const fixture *self, weft_checkpoint_kind kind, weft_checkpoint_piece out[FIXTURE_TENSORS])
{
    for (int i = 0; i < FIXTURE_TENSORS; i++) out[i] = whole_piece(self, kind, i);
}

/* The columns of the ranks before are packed in front of these. */
static void take_columns(fixture *self, weft_checkpoint_kind kind, int i, int64_t from, int64_t columns,
                         weft_checkpoint_piece *piece)
{
    int64_t width = layout[i].shape[layout[i].dimensions - 1], rows = piece->columns / width;
    float *packed = self->packed[kind] + layout[i].first + from * rows;
    for (int64_t row = 0; row < rows; row++)
        memcpy(packed + row * columns, piece->values + row * width + from, (size_t)columns * sizeof(float));
    piece->from = from;
    piece->rows = rows;
    piece->columns = columns;
    piece->values = packed;
}

void fixture_parts(fixture *self, weft_checkpoint_kind kind, int32_t rank, int32_t ranks,
                   weft_checkpoint_piece out[FIXTURE_TENSORS])
{
    for (int i = 0; i < FIXTURE_TENSORS; i++) {
        out[i] = whole_piece(self, kind, i);
        int64_t width = layout[i].shape[layout[i].dimensions - 1];
        int64_t size = self->cut == FIXTURE_COLUMNS ? width : out[i].columns;
        int64_t from = size * rank / ranks, count = size * (rank + 1) / ranks - from;
        if (self->cut == FIXTURE_COLUMNS) {
            take_columns(self, kind, i, from, count, &out[i]);
        } else {
            out[i].from = from;
            out[i].columns = count;
            out[i].values += from;
        }
    }
}

static weft_status write_all(fixture *self, const char *folder, int64_t step, int32_t ranks,
                             weft_checkpoint_file *files, weft_error *error)
{
    for (int32_t rank = 0; rank < ranks; rank++) {
        int32_t first = self->cut ? 0 : FIXTURE_TENSORS * rank / ranks;
        int32_t last = self->cut ? FIXTURE_TENSORS : FIXTURE_TENSORS * (rank + 1) / ranks;
        weft_checkpoint_piece pieces[WEFT_CHECKPOINT_KINDS][FIXTURE_TENSORS];
        weft_checkpoint_list lists[WEFT_CHECKPOINT_KINDS];
        for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
            if (self->cut)
                fixture_parts(self, (weft_checkpoint_kind)kind, rank, ranks, pieces[kind]);
            else
                fixture_pieces(self, (weft_checkpoint_kind)kind, pieces[kind]);
            lists[kind] = (weft_checkpoint_list){pieces[kind] + first, (size_t)(last - first)};
        }
        TRY(weft_checkpoint_write_kinds(self->source, folder, step, rank, ranks, lists,
                                        files + rank * WEFT_CHECKPOINT_KINDS, error));
    }
    return WEFT_OK;
}

static weft_checkpoint_state state_of(int64_t step)
{
    return (weft_checkpoint_state){
        .step = step, .sequences = 3 * step, .data_fingerprint = UINT64_C(0xfedcba9876543210), .loss = 1.0 / 3};
}

weft_status fixture_save(fixture *self, const char *folder, int64_t step, int32_t ranks, int64_t keep,
                         weft_error *error)
{
    enum { MOST = 8 };
    assert_in_range(ranks, 1, MOST);
    weft_checkpoint_file files[MOST * WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_state state = state_of(step);
    weft_error_clear(error);
    weft_status status = weft_checkpoint_begin(folder, step, error);
    if (status == WEFT_OK) status = write_all(self, folder, step, ranks, files, error);
    if (status == WEFT_OK)
        status = weft_checkpoint_publish(folder, &state, fixture_config, files, (size_t)(ranks * WEFT_CHECKPOINT_KINDS),
                                         keep, error);
    if (status != WEFT_OK) weft_checkpoint_discard(folder, step);
    return status;
}

void fixture_list(const char *folder, int64_t step, const weft_checkpoint_file *files, size_t count)
{
    weft_checkpoint_state state = state_of(step);
    weft_text text;
    weft_text_init(&text);
    weft_manifest_print(&state, fixture_config, files, count, &text);
    FILE *file = fopen(fixture_path(folder, step, WEFT_MANIFEST_NAME), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.bytes, 1, text.length, file), text.length);
    assert_int_equal(fclose(file), 0);
    weft_text_fini(&text);
}

void fixture_forge(const char *folder, int64_t step, const weft_tensor_entry *tensors, int32_t count)
{
    enum { MOST = 8 };
    assert_in_range(count, 1, MOST);
    weft_checkpoint_file files[MOST] = {0};
    weft_error error;
    assert_int_equal(weft_folder_create(fixture_path(folder, step, ""), &error), WEFT_OK);
    for (int32_t i = 0; i < count; i++) {
        weft_checkpoint_file_name(WEFT_CHECKPOINT_WEIGHTS, i, count, &files[i]);
        if (weft_safetensors_write(fixture_path(folder, step, files[i].name), &tensors[i], 1, &files[i].checksum,
                                   &files[i].bytes, &error) != WEFT_OK)
            fail_msg("%s", error.text);
    }
    fixture_list(folder, step, files, (size_t)count);
}

weft_checkpoint *fixture_open(const char *path)
{
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    if (weft_checkpoint_open(path, &checkpoint, &error) != WEFT_OK) fail_msg("%s", error.text);
    return checkpoint;
}

void fixture_compare(const char *a, const char *b, const char *begin)
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

int64_t fixture_draw(fixture_dice *from, int64_t below)
{
    return (int64_t)(weft_random_bits(from->key, from->turn++) % (uint64_t)below);
}

void fixture_check(const fixture *self, const char *path, int64_t step)
{
    weft_checkpoint *checkpoint = fixture_open(path);
    weft_error error;
    const weft_checkpoint_state *state = weft_checkpoint_get_state(checkpoint);
    assert_int_equal(state->step, step);
    assert_true(state->data_fingerprint == UINT64_C(0xfedcba9876543210));
    assert_true(state->loss == 1.0 / 3);
    assert_string_equal(weft_checkpoint_config(checkpoint), fixture_config);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        weft_checkpoint_piece pieces[FIXTURE_TENSORS];
        fixture_pieces(self, (weft_checkpoint_kind)kind, pieces);
        for (int i = 0; i < FIXTURE_TENSORS; i++) {
            float values[FIXTURE_FLOATS];
            if (weft_checkpoint_read(checkpoint, (weft_checkpoint_kind)kind, pieces[i].name, pieces[i].dimensions,
                                     pieces[i].shape, 0, 1, pieces[i].columns, values, &error) != WEFT_OK)
                fail_msg("%s", error.text);
            assert_memory_equal(values, pieces[i].values, (size_t)pieces[i].columns * sizeof(float));
        }
    }
    weft_checkpoint_close(checkpoint);
}

const char *fixture_path(const char *folder, int64_t step, const char *name)
{
    static char paths[4][192];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/step-%08" PRId64 "%s%s", folder, step,
             *name == '.' || !*name ? "" : "/", name);
    return paths[turn];
}
