#include "fixture.h"

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

void fixture_entries(const fixture *self, weft_checkpoint_kind kind, weft_tensor_entry out[FIXTURE_TENSORS])
{
    for (int i = 0; i < FIXTURE_TENSORS; i++) {
        out[i] = (weft_tensor_entry){.name = layout[i].name, .dimensions = layout[i].dimensions};
        memcpy(out[i].shape, layout[i].shape, sizeof out[i].shape);
        out[i].data = self->values[kind] + layout[i].first;
        out[i].bytes = layout[i].count * sizeof(float);
    }
}

static weft_status write_all(const fixture *self, const char *folder, int64_t step, int32_t ranks,
                             weft_checkpoint_file *files, weft_error *error)
{
    for (int32_t rank = 0; rank < ranks; rank++) {
        int32_t first = FIXTURE_TENSORS * rank / ranks, last = FIXTURE_TENSORS * (rank + 1) / ranks;
        for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
            weft_tensor_entry entries[FIXTURE_TENSORS];
            fixture_entries(self, (weft_checkpoint_kind)kind, entries);
            TRY(weft_checkpoint_write(folder, step, (weft_checkpoint_kind)kind, rank, ranks, entries + first,
                                      (size_t)(last - first), files++, error));
        }
    }
    return WEFT_OK;
}

weft_status fixture_save(const fixture *self, const char *folder, int64_t step, int32_t ranks, int64_t keep,
                         weft_error *error)
{
    enum { MOST = 8 };
    assert_in_range(ranks, 1, MOST);
    weft_checkpoint_file files[MOST * WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_state state = {.step = step, .data_fingerprint = UINT64_C(0xfedcba9876543210), .loss = 1.0 / 3};
    weft_error_clear(error);
    weft_status status = weft_checkpoint_begin(folder, step, error);
    if (status == WEFT_OK) status = write_all(self, folder, step, ranks, files, error);
    if (status == WEFT_OK)
        status = weft_checkpoint_publish(folder, &state, fixture_config, files, (size_t)(ranks * WEFT_CHECKPOINT_KINDS),
                                         keep, error);
    if (status != WEFT_OK) weft_checkpoint_discard(folder, step);
    return status;
}

void fixture_check(const fixture *self, const char *path, int64_t step)
{
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    weft_error_clear(&error);
    if (weft_checkpoint_open(path, &checkpoint, &error) != WEFT_OK) fail_msg("%s", error.text);
    const weft_checkpoint_state *state = weft_checkpoint_get_state(checkpoint);
    assert_int_equal(state->step, step);
    assert_true(state->data_fingerprint == UINT64_C(0xfedcba9876543210));
    assert_true(state->loss == 1.0 / 3);
    assert_string_equal(weft_checkpoint_config(checkpoint), fixture_config);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        weft_tensor_entry entries[FIXTURE_TENSORS];
        fixture_entries(self, (weft_checkpoint_kind)kind, entries);
        for (int i = 0; i < FIXTURE_TENSORS; i++) {
            float values[FIXTURE_FLOATS];
            if (weft_checkpoint_read(checkpoint, (weft_checkpoint_kind)kind, entries[i].name, entries[i].dimensions,
                                     entries[i].shape, values, &error) != WEFT_OK)
                fail_msg("%s", error.text);
            assert_memory_equal(values, entries[i].data, entries[i].bytes);
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
