/*
 * Files that change, go away or cannot be read while they are in use, few descriptors, calls that fail: an error that
 * names file and byte, and never other tokens in silence.
 */
#include "fixture.h"

#include "base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { T = 64, LONG = 20000 };

/* How pread (with 64-bit offsets, as meson compiles) and aligned_alloc behave: the n-th from now on fails, or pread
 * gives a byte at a time. 0: as ever. */
static struct {
    int fail_read, fail_allocation;
    bool dribble, interrupt;
} trouble;

ssize_t __real_pread64(int descriptor, void *bytes, size_t count, off_t offset);
ssize_t __wrap_pread64(int descriptor, void *bytes, size_t count, off_t offset);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

ssize_t __wrap_pread64(int descriptor, void *bytes, size_t count, off_t offset)
{
    if (trouble.fail_read > 0 && --trouble.fail_read == 0) {
        errno = EIO;
        return -1;
    }
    if (trouble.interrupt) {
        trouble.interrupt = false;
        errno = EINTR;
        return -1;
    }
    return __real_pread64(descriptor, bytes, trouble.dribble && count > 1 ? 1 : count, offset);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (trouble.fail_allocation > 0 && --trouble.fail_allocation == 0) return NULL;
    return __real_aligned_alloc(alignment, size);
}

static int calm(void **state)
{
    (void)state;
    memset(&trouble, 0, sizeof trouble);
    return 0;
}

static const char *put_text(const char *name, size_t size)
{
    static char text[1 << 20];
    weft_random_key key = weft_random_key_make(1, name);
    for (size_t i = 0; i < size; i++) text[i] = (char)(32 + weft_random_bits(key, i) % 95);
    return test_put(name, text, size);
}

/* All tokens of the training part's blocks, in the order of the stream for a share held out of 0. */
static void read_blocks(const weft_data *data, int32_t *out)
{
    weft_error error;
    for (int64_t i = 0; i < weft_data_blocks(data, WEFT_DATA_TRAIN); i++) {
        int32_t targets[T];
        if (weft_data_read(data, WEFT_DATA_TRAIN, i, 1, (weft_data_rows){.tokens = out + i * T, .targets = targets},
                           &error) != WEFT_OK)
            fail_msg("%s", error.text);
    }
}

/* Reads until a block fails, with WEFT_FAILED and these words. */
static void fails(const weft_data *data, const char *words)
{
    weft_error error;
    int32_t tokens[T], targets[T];
    weft_error_clear(&error);
    for (int64_t i = 0; i < weft_data_blocks(data, WEFT_DATA_TRAIN) && error.status == WEFT_OK; i++)
        (void)!weft_data_read(data, WEFT_DATA_TRAIN, i, 1, (weft_data_rows){.tokens = tokens, .targets = targets},
                              &error);
    test_says(error.text, words);
    test_says(error.text, "byte");
    assert_int_equal(error.status, WEFT_FAILED);
}

static void test_cut_short(void **state)
{
    (void)state;
    static const off_t lengths[] = {0, 1, 100, LONG / 2, LONG - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const char *path = put_text("cut.txt", LONG);
        weft_data *data = test_open(test_options(path, T, 0));
        assert_int_equal(truncate(path, lengths[i]), 0);
        char words[64];
        snprintf(words, sizeof words, "cut.txt: was cut short while it was in use: it ends at byte %ld",
                 (long)lengths[i]);
        fails(data, words);
        weft_data_close(data);
    }
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_grown(void **state)
{
    (void)state;
    const char *path = put_text("grown.txt", LONG);
    weft_data *data = test_open(test_options(path, T, 0));
    append(path, "more");
    fails(data, "grown.txt: has grown while it was in use, beyond byte 20000 to 20004");
    weft_data_close(data);
}

/* In place, with a time of change that tells. */
static void overwrite(const char *path, off_t offset, const char *text)
{
    int descriptor = open(path, O_WRONLY);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, text, strlen(text), offset), strlen(text));
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    assert_int_equal(futimens(descriptor, times), 0);
    assert_int_equal(close(descriptor), 0);
}

static void test_changed_in_place(void **state)
{
    (void)state;
    static const off_t ends[] = {0, 4000, LONG - 4000, LONG - 2};
    const char *path = NULL;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        path = put_text("changed.txt", LONG);
        weft_data *data = test_open(test_options(path, T, 0));
        overwrite(path, ends[i], "\x01");
        fails(data, "changed.txt: was changed while it was in use, in its first 4096 bytes or from byte 15904 on");
        weft_data_close(data);
    }
    path = put_text("changed.txt", LONG);
    weft_data *data = test_open(test_options(path, T, 0));
    int32_t before[LONG] = {0}, after[LONG] = {0};
    read_blocks(data, before);
    overwrite(path, 0, ""); /* touched */
    read_blocks(data, after);
    assert_memory_equal(before, after, sizeof before);
    overwrite(path, LONG / 2, "\x01"); /* in the middle, which nobody knows: read as it is */
    read_blocks(data, after);
    size_t others = 0;
    for (int i = 0; i < LONG; i++) others += before[i] != after[i];
    assert_int_equal(others, 1);
    weft_data_close(data);
}

/* A token that turned bad in the middle is met when it is read. */
static void test_spoilt_in_place(void **state)
{
    (void)state;
    weft_data_options options = test_options(put_text("spoilt.txt", LONG), T, 0);
    options.vocabulary = 128;
    weft_data *data = test_open(options);
    overwrite(options.path, LONG / 2, "\xc8");
    fails(data, "spoilt.txt: token 200 at byte 10000 is outside the model's vocabulary of 128");
    weft_data_close(data);
}

static void test_held_out_file(void **state)
{
    (void)state;
    weft_error error;
    int32_t tokens[T], targets[T];
    weft_data_options options = test_options(put_text("train.txt", LONG), T, 0);
    options.held_out_path = put_text("held.txt", LONG);
    weft_data *data = test_open(options);
    assert_int_equal(truncate(options.held_out_path, 10), 0);
    assert_int_equal(
        weft_data_read(data, WEFT_DATA_TRAIN, 0, 1, (weft_data_rows){.tokens = tokens, .targets = targets}, &error),
        WEFT_OK);
    assert_int_equal(
        weft_data_read(data, WEFT_DATA_HELD_OUT, 0, 1, (weft_data_rows){.tokens = tokens, .targets = targets}, &error),
        WEFT_FAILED);
    test_says(error.text, "held.txt: was cut short while it was in use: it ends at byte 10, it had 20000 bytes");
    weft_data_close(data);
}

static rlim_t limit_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void put_folder(const char *name, int files, size_t size)
{
    test_make_folder(name);
    for (int i = 0; i < files; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%05d", name, i);
        put_text(path, size);
    }
}

/* Far more files than a process may open: a few are open at any time, and the tokens are those of one file. */
static void test_many_files(void **state)
{
    (void)state;
    enum { FILES = 3000, SIZE = 50, COUNT = FILES * SIZE };
    static char all[COUNT];
    int32_t *tokens = calloc(COUNT, 2 * sizeof *tokens), *others = tokens + COUNT;
    assert_non_null(tokens);
    put_folder("many", FILES, SIZE);
    for (int i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof name, "many/%05d", i);
        FILE *file = fopen(test_path(name), "rb");
        assert_non_null(file);
        assert_int_equal(fread(all + i * SIZE, 1, SIZE, file), SIZE);
        fclose(file);
    }
    weft_data *one = test_open(test_options(test_put("one.txt", all, COUNT), T, 0));
    read_blocks(one, others);
    weft_data_close(one);
    int before = count_descriptors();
    rlim_t limit = limit_descriptors(24);
    weft_data *many = test_open(test_options(test_path("many"), T, 0));
    read_blocks(many, tokens);
    assert_true(count_descriptors() - before <= 24 / 8);
    weft_data_close(many);
    limit_descriptors(limit);
    assert_int_equal(count_descriptors(), before);
    assert_memory_equal(tokens, others, COUNT * sizeof *tokens);
    free(tokens);
}

/* Where others took all descriptors but a few, what is open here makes room; where they took all, that is said. */
static void test_no_descriptors_left(void **state)
{
    (void)state;
    put_folder("left", 40, LONG);
    weft_data *data = test_open(test_options(test_path("left"), T, 0));
    int32_t *tokens = calloc(40 * LONG, sizeof *tokens);
    assert_non_null(tokens);
    rlim_t limit =
        limit_descriptors((rlim_t)count_descriptors() - 2); /* those in use, but for ".", ".." and the list */
    read_blocks(data, tokens);
    limit_descriptors(limit);
    weft_data_close(data);
    free(tokens);
}

/* An open file outlives its name; one that has to be opened again is looked for, and looked at. */
static void test_deleted_and_replaced(void **state)
{
    (void)state;
    const char *path = put_text("gone.txt", LONG);
    weft_data *data = test_open(test_options(path, T, 0));
    int32_t before[LONG] = {0}, after[LONG] = {0};
    read_blocks(data, before);
    assert_int_equal(unlink(path), 0);
    read_blocks(data, after);
    assert_memory_equal(before, after, sizeof before);
    put_text("gone.txt", LONG / 2);
    read_blocks(data, after);
    assert_memory_equal(before, after, sizeof before);
    weft_data_close(data);

    put_folder("closed", 60, LONG);
    rlim_t limit = limit_descriptors(24);
    data = test_open(test_options(test_path("closed"), T, 0));
    put_text("again", LONG);
    int32_t *all = calloc(60 * LONG, sizeof *all);
    assert_non_null(all);
    read_blocks(data, all);
    assert_int_equal(rename(test_path("closed/00030"), test_path("moved")), 0);
    fails(data, "closed/00030: cannot open to read byte ");
    assert_int_equal(rename(test_path("moved"), test_path("closed/00030")), 0);
    read_blocks(data, all); /* the same bytes under another stamp */
    assert_int_equal(rename(test_path("again"), test_path("closed/00030")), 0);
    fails(data, "closed/00030: was changed while it was in use");
    weft_data_close(data);
    limit_descriptors(limit);
    free(all);
}

static void test_reads_that_fail(void **state)
{
    (void)state;
    weft_error error;
    const char *path = put_text("fails.txt", LONG);
    weft_data_options options = test_options(path, T, 0);
    options.vocabulary = 200;
    int descriptors = count_descriptors(), failed = 0;
    for (int n = 1;; n++) {
        weft_data *data = NULL;
        trouble.fail_read = n;
        weft_status status = weft_data_open(&options, &data, &error);
        if (status == WEFT_OK) {
            weft_data_close(data);
            break;
        }
        test_says(error.text, "fails.txt: cannot read at byte ");
        test_says(error.text, "Input/output error");
        assert_null(data);
        failed++;
    }
    assert_true(failed >= 3);
    trouble.fail_read = 0;
    weft_data *data = test_open(options);
    trouble.fail_read = 1;
    fails(data, "fails.txt: cannot read at byte ");
    weft_data_close(data);
    assert_int_equal(count_descriptors(), descriptors);
}

static void test_reads_that_dribble(void **state)
{
    (void)state;
    weft_data *data = test_open(test_options(put_text("dribble.txt", LONG), T, 0));
    int32_t before[LONG] = {0}, after[LONG] = {0};
    read_blocks(data, before);
    trouble.dribble = trouble.interrupt = true;
    read_blocks(data, after);
    assert_memory_equal(before, after, sizeof before);
    weft_data_close(data);
}

static void test_allocations_that_fail(void **state)
{
    (void)state;
    weft_error error;
    put_folder("memory", 20, 300);
    test_put("memory/x~", "", 0);
    weft_data_options options = test_options(test_path("memory"), T, 0);
    options.held_out_path = put_text("memory.txt", LONG);
    options.vocabulary = 200;
    int descriptors = count_descriptors(), failed = 0;
    for (int n = 1;; n++, failed++) {
        weft_data *data = NULL;
        trouble.fail_allocation = n;
        weft_status status = weft_data_open(&options, &data, &error);
        trouble.fail_allocation = 0;
        if (status == WEFT_OK) weft_data_close(data);
        if (status == WEFT_OK) break;
        assert_int_equal(status, WEFT_NO_MEMORY);
        assert_null(data);
    }
    assert_true(failed > 5);
    assert_int_equal(count_descriptors(), descriptors);
}

typedef struct {
    const weft_data *data;
    int64_t first;
    int32_t *out;
} reader;

static void *read_some(void *pointer)
{
    reader *self = pointer;
    weft_error error;
    int32_t targets[T];
    int64_t blocks = weft_data_blocks(self->data, WEFT_DATA_TRAIN);
    for (int64_t i = 0; i < blocks; i++) {
        int64_t at = (self->first + i) % blocks;
        if (weft_data_read(self->data, WEFT_DATA_TRAIN, at, 1,
                           (weft_data_rows){.tokens = self->out + at * T, .targets = targets}, &error) != WEFT_OK)
            abort();
    }
    return NULL;
}

/* Workers read side by side, also more of them than descriptors are kept. */
static void test_threads(void **state)
{
    (void)state;
    enum { THREADS = 6, COUNT = 30 * 1000 };
    put_folder("threads", 30, 1000);
    rlim_t limit = limit_descriptors(40); /* 5 are kept */
    weft_data *data = test_open(test_options(test_path("threads"), T, 0));
    int32_t *expected = calloc(COUNT, sizeof *expected), *all = calloc(COUNT * THREADS, sizeof *all);
    assert_non_null(expected);
    assert_non_null(all);
    read_blocks(data, expected);
    pthread_t threads[THREADS];
    reader readers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        readers[i] = (reader){data, 83 * i, all + i * COUNT};
        assert_int_equal(pthread_create(&threads[i], NULL, read_some, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) assert_memory_equal(readers[i].out, expected, COUNT * sizeof *expected);
    weft_data_close(data);
    limit_descriptors(limit);
    free(expected);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_grown),
        cmocka_unit_test(test_changed_in_place),
        cmocka_unit_test(test_spoilt_in_place),
        cmocka_unit_test(test_held_out_file),
        cmocka_unit_test(test_many_files),
        cmocka_unit_test(test_no_descriptors_left),
        cmocka_unit_test(test_deleted_and_replaced),
        cmocka_unit_test_teardown(test_reads_that_fail, calm),
        cmocka_unit_test_teardown(test_reads_that_dribble, calm),
        cmocka_unit_test_teardown(test_allocations_that_fail, calm),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
