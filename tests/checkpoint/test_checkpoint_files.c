/* The files of a checkpoint are written, synced and proved side by side, each byte once; and what fails then. */
#include "checkpoint/manifest.h"
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The linker puts these in front of the C library's. */
int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor);
ssize_t __real_read(int descriptor, void *bytes, size_t count);
ssize_t __wrap_read(int descriptor, void *bytes, size_t count);

static pthread_barrier_t meeting;    /* of the files of one rank */
static bool meets;                   /* each file's call waits for those of the others there */
static unsigned failing;             /* bits: syncs of files of these kinds fail */
static atomic_int file_syncs, syncs; /* of tensors; of all */
static atomic_size_t bytes_read;     /* of tensors */

/* -1: no file of tensors. */
static int kind_of(int descriptor)
{
    weft_checkpoint_kind kind;
    int32_t ranks;
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof path - 1) < 0) return -1;
    const char *name = strrchr(path, '/');
    return name && weft_checkpoint_file_parse(name + 1, &kind, &ranks) ? (int)kind : -1;
}

int __wrap_fsync(int descriptor)
{
    int kind = kind_of(descriptor);
    atomic_fetch_add(&syncs, 1);
    if (kind < 0) return __real_fsync(descriptor);
    atomic_fetch_add(&file_syncs, 1);
    if (meets) pthread_barrier_wait(&meeting);
    if (!(failing >> kind & 1)) return __real_fsync(descriptor);
    errno = EIO;
    return -1;
}

ssize_t __wrap_read(int descriptor, void *bytes, size_t count)
{
    bool tensors = kind_of(descriptor) >= 0;
    if (tensors && meets && lseek(descriptor, 0, SEEK_CUR) == 0) pthread_barrier_wait(&meeting);
    ssize_t got = __real_read(descriptor, bytes, count);
    if (tensors && got > 0) atomic_fetch_add(&bytes_read, (size_t)got);
    return got;
}

static fixture model;

static int setup(void **state)
{
    (void)state;
    fixture_make(&model);
    pthread_barrier_init(&meeting, NULL, WEFT_CHECKPOINT_KINDS);
    meets = false;
    failing = 0;
    file_syncs = syncs = 0;
    bytes_read = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pthread_barrier_destroy(&meeting);
    fixture_remove(&model);
    return 0;
}

/* Whoever wrote one file after the other would wait here for ever. */
static void test_written_side_by_side(void **state)
{
    (void)state;
    weft_error error;
    meets = true;
    assert_int_equal(fixture_save(&model, model.folder, 1, 2, 0, &error), WEFT_OK);
    meets = false;
    assert_int_equal(file_syncs, 2 * WEFT_CHECKPOINT_KINDS);
    int all = syncs;
    fixture_check(&model, model.folder, 1);
    assert_int_equal(syncs, all);
    assert_int_equal(fixture_save(&model, model.folder, 2, 2, 0, &error), WEFT_OK);
    assert_int_equal(file_syncs, 4 * WEFT_CHECKPOINT_KINDS);
    /* checkpoint.yaml, both folders, and the run's as it gets a new one. */
    assert_int_equal(syncs - all, 2 * WEFT_CHECKPOINT_KINDS + 4);
}

static void test_proved_side_by_side(void **state)
{
    (void)state;
    weft_error error;
    weft_checkpoint_file file;
    size_t whole = 0;
    assert_int_equal(fixture_save(&model, model.folder, 1, 1, 0, &error), WEFT_OK);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        weft_map map;
        weft_checkpoint_file_name((weft_checkpoint_kind)kind, 0, 1, &file);
        assert_int_equal(weft_map_init(&map, fixture_path(model.folder, 1, file.name), &error), WEFT_OK);
        whole += map.size;
        weft_map_fini(&map);
    }
    meets = true;
    weft_checkpoint *checkpoint = fixture_open(model.folder);
    meets = false;
    assert_int_equal(bytes_read, whole); /* each byte once */
    weft_checkpoint_close(checkpoint);
}

/* Whichever fail: the first kind's error is told, nothing of the new one is left, and the one before is whole. */
static void test_syncs_that_fail(void **state)
{
    (void)state;
    weft_error error;
    assert_int_equal(fixture_save(&model, model.folder, 1, 1, 0, &error), WEFT_OK);
    for (unsigned which = 1; which < 1 << WEFT_CHECKPOINT_KINDS; which++) {
        weft_checkpoint_file first;
        weft_checkpoint_file_name(which & 1 ? 0 : which & 2 ? 1 : 2, 0, 1, &first);
        failing = which;
        meets = true;
        assert_int_equal(fixture_save(&model, model.folder, 2, 1, 0, &error), WEFT_FAILED);
        meets = false;
        failing = 0;
        if (!strstr(error.text, first.name) || !strstr(error.text, "cannot sync"))
            fail_msg("%u: %s", which, error.text);
        assert_false(weft_path_exists(fixture_path(model.folder, 2, ".tmp")));
        fixture_check(&model, model.folder, 1);
    }
}

/* Files that differ from their checksums: of several the first in checkpoint.yaml is named. */
static void test_first_damage_is_told(void **state)
{
    (void)state;
    static const weft_checkpoint_kind sorted[] = {WEFT_CHECKPOINT_MOMENT1, WEFT_CHECKPOINT_MOMENT2,
                                                  WEFT_CHECKPOINT_WEIGHTS};
    weft_error error;
    assert_int_equal(fixture_save(&model, model.folder, 1, 1, 0, &error), WEFT_OK);
    for (int last = WEFT_CHECKPOINT_KINDS - 1; last >= 0; last--) {
        weft_checkpoint_file damaged;
        weft_checkpoint_file_name(sorted[last], 0, 1, &damaged);
        FILE *file = fopen(fixture_path(model.folder, 1, damaged.name), "r+b");
        assert_non_null(file);
        assert_int_equal(fputc(1, file), 1);
        assert_int_equal(fclose(file), 0);
        weft_checkpoint *checkpoint = NULL;
        assert_int_equal(weft_checkpoint_open(model.folder, &checkpoint, &error), WEFT_INVALID);
        if (!strstr(error.text, damaged.name)) fail_msg("%s", error.text);
    }
}

static weft_status read_alone(void *context, const void *data, size_t count, const void **out, size_t *out_count,
                              weft_error *error)
{
    atomic_int *readers = context;
    int others = atomic_fetch_add(readers, 1);
    *out = data;
    *out_count = count;
    usleep(1000); /* for another one to come, if there is one */
    atomic_fetch_sub(readers, 1);
    return others == 0 ? WEFT_OK : weft_fail(error, WEFT_FAILED, "a source is read twice at once");
}

/* A source is read by one thread. */
static void test_source(void **state)
{
    (void)state;
    weft_error error;
    static atomic_int readers;
    static const weft_tensor_source source = {&readers, read_alone};
    model.source = &source;
    if (fixture_save(&model, model.folder, 3, 1, 0, &error) != WEFT_OK) fail_msg("%s", error.text);
    fixture_check(&model, model.folder, 3);
}

/* What shrinks after it was proved is an error of whoever reads it, and no signal. */
static void test_cut_while_open(void **state)
{
    (void)state;
    enum { FLOATS = 1 << 16, CUT = 100000 };
    static float values[FLOATS], out[FLOATS];
    static const int64_t shape[] = {FLOATS};
    weft_checkpoint_piece piece = {"w", 1, shape, 0, 1, FLOATS, values};
    weft_checkpoint_state nothing = {.step = 1, .sequences = 3};
    weft_checkpoint_file file;
    weft_error error;
    for (int i = 0; i < FLOATS; i++) values[i] = (float)i;
    assert_int_equal(weft_checkpoint_begin(model.folder, 1, &error), WEFT_OK);
    assert_int_equal(
        weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, &piece, 1, &file, &error), WEFT_OK);
    assert_int_equal(weft_checkpoint_publish(model.folder, &nothing, "", &file, 1, 0, &error), WEFT_OK);
    weft_checkpoint *checkpoint = fixture_open(model.folder);
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "w", 1, shape, 0, 1, FLOATS, out, &error), WEFT_OK);
    assert_memory_equal(out, values, sizeof out);
    assert_int_equal(truncate(fixture_path(model.folder, 1, file.name), CUT), 0);
    assert_int_equal(
        weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, "w", 1, shape, 0, 1, FLOATS, out, &error),
        WEFT_INVALID);
    if (!strstr(error.text, "safetensors: truncated at byte 100000 while it was read")) fail_msg("%s", error.text);
    weft_checkpoint_close(checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_proved_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_syncs_that_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_damage_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_while_open, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
