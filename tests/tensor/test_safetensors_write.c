/* Safetensors files that are written: read again, from bytes that are handed out, and where they cannot be. */
#include "fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* The linker puts this in front of sync_file_range. What was asked for: bytes in a row from the first on. */
int __real_sync_file_range(int descriptor, off_t from, off_t bytes, unsigned flags);
int __wrap_sync_file_range(int descriptor, off_t from, off_t bytes, unsigned flags);
static off_t flushed;
static int flushes;

int __wrap_sync_file_range(int descriptor, off_t from, off_t bytes, unsigned flags)
{
    struct stat info;
    assert_int_equal(from, flushed);
    assert_int_equal(fstat(descriptor, &info), 0);
    assert_true(bytes > 0 && from + bytes <= info.st_size); /* written before */
    flushed = from + bytes;
    flushes++;
    return __real_sync_file_range(descriptor, from, bytes, flags);
}

/* A piece of a file that is written at once never goes over a multiple of this: the system keeps it as one page. */
enum { KEPT = 256 * 1024 };

ssize_t __real_write(int descriptor, const void *bytes, size_t count);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t count);

ssize_t __wrap_write(int descriptor, const void *bytes, size_t count)
{
    off_t from = lseek(descriptor, 0, SEEK_CUR);
    if (from >= 0 && count > 0) assert_int_equal(from / KEPT, (from + (off_t)count - 1) / KEPT);
    return __real_write(descriptor, bytes, count);
}

/* The disk is given a large file while it is written, so that the sync has little left to wait for. */
static void test_early_flushes(void **state)
{
    (void)state;
    enum { FLOATS = 10 << 20, LEFT = 8 << 20 };
    float *values = calloc(FLOATS, sizeof *values);
    assert_non_null(values);
    weft_tensor_entry entry = {"large", WEFT_FP32, 1, {FLOATS}, values, FLOATS * sizeof *values};
    uint64_t bytes = 0;
    weft_error error;
    flushed = 0;
    flushes = 0;
    assert_int_equal(weft_safetensors_write(file_path, &entry, 1, NULL, &bytes, &error), WEFT_OK);
    assert_true(flushes > 1 && (uint64_t)flushed + LEFT > bytes);
    free(values);
    flushed = 0;
    flushes = 0;
    write_samples(NULL, &bytes);
    assert_int_equal(flushes, 0); /* a small one is left to the sync */
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t checksum = 0, bytes = 0, again = 0, size = 0;
    weft_error error;
    write_samples(&checksum, &bytes);
    assert_int_equal(weft_file_checksum(file_path, &again, &size, &error), WEFT_OK);
    assert_int_equal(checksum, again);
    assert_int_equal(bytes, size);
    weft_map map;
    assert_int_equal(weft_map_init(&map, file_path, &error), WEFT_OK);
    assert_int_equal(XXH3_64bits(map.bytes, map.size), checksum);
    weft_map_fini(&map);
    weft_safetensors *file = accepted();
    assert_int_equal(weft_safetensors_count(file), SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++) {
        const weft_tensor_entry *entry = weft_safetensors_find(file, samples[i].name);
        assert_non_null(entry);
        assert_int_equal(entry->element, samples[i].element);
        assert_int_equal(entry->dimensions, samples[i].dimensions);
        assert_memory_equal(entry->shape, samples[i].shape, sizeof entry->shape);
        assert_int_equal(entry->bytes, samples[i].bytes);
        if (entry->bytes) assert_memory_equal(entry->data, samples[i].data, entry->bytes);
    }
    assert_string_equal(weft_safetensors_get(file, 0)->name, "z.weight"); /* as written, not as named */
    assert_string_equal(weft_safetensors_get(file, SAMPLES - 1)->name, "four");
    assert_int_equal((uintptr_t)weft_safetensors_get(file, 0)->data % 64, 0);
    assert_null(weft_safetensors_find(file, "b"));
    weft_safetensors_close(file);
}

static void test_no_tensors(void **state)
{
    (void)state;
    weft_error error;
    assert_int_equal(weft_safetensors_write(file_path, NULL, 0, NULL, NULL, &error), WEFT_OK);
    weft_safetensors *file = accepted();
    assert_int_equal(weft_safetensors_count(file), 0);
    assert_null(weft_safetensors_find(file, "a"));
    weft_safetensors_close(file);
    weft_safetensors_close(NULL);
}

/* Larger than the pieces in which a file is hashed and written, and not a multiple of them. */
static void test_large_tensor(void **state)
{
    (void)state;
    enum { COUNT = 700001 };
    float *values = malloc(COUNT * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < COUNT; i++) values[i] = (float)i;
    weft_tensor_entry entry = {
        .name = "large", .dimensions = 1, .shape = {COUNT}, .data = values, .bytes = COUNT * sizeof *values};
    uint64_t checksum, again;
    weft_error error;
    assert_int_equal(weft_safetensors_write(file_path, &entry, 1, &checksum, NULL, &error), WEFT_OK);
    assert_int_equal(weft_file_checksum(file_path, &again, NULL, &error), WEFT_OK);
    assert_int_equal(checksum, again);
    weft_safetensors *file = accepted();
    assert_memory_equal(weft_safetensors_get(file, 0)->data, values, COUNT * sizeof *values);
    weft_safetensors_close(file);
    free(values);
}

/* Hands out fewer and fewer bytes at once, masked as long as they lie where the writer must not look; fails at a byte.
 */
typedef struct {
    unsigned char room[5];
    size_t given, fails_at;
} hidden;

static weft_status uncover(void *context, const void *data, size_t count, const void **out, size_t *out_count,
                           weft_error *error)
{
    hidden *it = context;
    size_t piece = 1 + it->given % sizeof it->room;
    if (it->given >= it->fails_at) FAIL(error, WEFT_FAILED, "byte %zu does not come", it->given);
    if (piece > count) piece = count;
    for (size_t i = 0; i < piece; i++) it->room[i] = (unsigned char)(((const unsigned char *)data)[i] ^ 0xff);
    it->given += piece;
    *out = it->room;
    *out_count = piece;
    return WEFT_OK;
}

/* The same file, whether the writer finds the bytes or is given them. */
static void test_sources(void **state)
{
    (void)state;
    unsigned char masked[SAMPLES][24];
    weft_tensor_entry entries[SAMPLES];
    hidden it = {.fails_at = SIZE_MAX};
    const weft_tensor_source source = {&it, uncover};
    uint64_t plain = 0, sourced = 0;
    weft_error error;
    write_samples(&plain, NULL);
    for (size_t i = 0; i < SAMPLES; i++) {
        entries[i] = samples[i];
        for (size_t k = 0; k < samples[i].bytes; k++)
            masked[i][k] = (unsigned char)(((const unsigned char *)samples[i].data)[k] ^ 0xff);
        if (samples[i].bytes) entries[i].data = masked[i];
    }
    assert_int_equal(weft_safetensors_write_from(&source, file_path, NULL, entries, SAMPLES, &sourced, NULL, &error),
                     WEFT_OK);
    assert_int_equal(sourced, plain);
    it = (hidden){.fails_at = 30};
    assert_int_equal(weft_safetensors_write_from(&source, file_path, NULL, entries, SAMPLES, &sourced, NULL, &error),
                     WEFT_FAILED);
    assert_non_null(strstr(error.text, "does not come"));
    assert_int_equal(access(file_path, F_OK), -1); /* half a file is of no use */
}

static void write_refuses(const weft_tensor_entry *entries, size_t count, const char *words)
{
    weft_error error;
    weft_error_clear(&error);
    unlink(file_path);
    assert_int_equal(weft_safetensors_write(file_path, entries, count, NULL, NULL, &error), WEFT_INVALID);
    if (!strstr(error.text, words)) fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_false(weft_path_exists(file_path));
}

static void test_writing_nonsense(void **state)
{
    (void)state;
    weft_tensor_entry two[2] = {samples[0], samples[0]};
    write_refuses(two, 2, "\"z.weight\" is given twice");
    two[0].bytes = 20;
    write_refuses(two, 1, "do not agree");
    two[0] = samples[0];
    two[0].data = NULL;
    write_refuses(two, 1, "do not agree");
    two[0] = samples[0];
    two[0].dimensions = 5;
    write_refuses(two, 1, "5 dimensions");
    two[0] = samples[0];
    two[0].name = "line\nbreak";
    write_refuses(two, 1, "printable");
    two[0].name = "__metadata__";
    write_refuses(two, 1, "__metadata__");
    two[0].name = NULL;
    write_refuses(two, 1, "no name");
}

/* No file may grow beyond `bytes`: writes fail as they do on a full disk. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What is in the place of the file is not written to: neither what a link points to, nor a pipe. */
static void test_taken_names(void **state)
{
    (void)state;
    weft_error error;
    char other[96];
    snprintf(other, sizeof other, "%s/other", root);
    alarm(60); /* a pipe that is opened for writing waits for a reader */
    for (int link = 0; link < 2; link++) {
        unlink(file_path);
        assert_int_equal(weft_file_write(other, "kept", 4, &error), WEFT_OK);
        assert_int_equal(link ? symlink(other, file_path) : mkfifo(file_path, 0600), 0);
        write_samples(NULL, NULL);
        weft_safetensors_close(accepted());
        weft_map map;
        assert_int_equal(weft_map_init(&map, other, &error), WEFT_OK);
        assert_int_equal(map.size, 4);
        assert_memory_equal(map.bytes, "kept", 4);
        weft_map_fini(&map);
    }
    alarm(0);
}

static void test_unwritable(void **state)
{
    (void)state;
    weft_error error;
    char path[96];
    snprintf(path, sizeof path, "%s/none/file", root);
    assert_int_equal(weft_safetensors_write(path, samples, SAMPLES, NULL, NULL, &error), WEFT_FAILED);
    assert_non_null(strstr(error.text, path));
    limit_files(100);
    assert_int_equal(weft_safetensors_write(file_path, samples, SAMPLES, NULL, NULL, &error), WEFT_FAILED);
    limit_files(RLIM_INFINITY);
    assert_non_null(strstr(error.text, "cannot write"));
    assert_false(weft_path_exists(file_path));
    uint64_t checksum;
    assert_int_equal(weft_file_checksum(path, &checksum, NULL, &error), WEFT_INVALID);
    assert_int_equal(weft_file_checksum(root, &checksum, NULL, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(mkfifo(file_path, 0600), 0);
    assert_int_equal(weft_file_checksum(file_path, &checksum, NULL, &error),
                     WEFT_INVALID); /* at once: nobody writes to it */
    assert_int_equal(unlink(file_path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_no_tensors),       cmocka_unit_test(test_sources),
        cmocka_unit_test(test_large_tensor), cmocka_unit_test(test_writing_nonsense), cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_taken_names),  cmocka_unit_test(test_early_flushes),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
