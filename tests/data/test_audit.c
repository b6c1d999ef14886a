/*
 * The check of large data: by a thread that stands back, takes no signals, ends when it is told to, and says what it
 * found. The files are sparse: gigabytes of zeros that take no room.
 */
#include "fixture.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

enum { T = 1000, VOCABULARY = 500 };

static const off_t large = WEFT_DATA_CHECKED_AT_ONCE + 4096, huge = (off_t)64 << 30;

/* Little-endian uint16 tokens of 0, but for one. */
static const char *put_sparse(const char *name, off_t size, off_t offset, int token)
{
    const char *path = test_path(name);
    unsigned char bytes[2] = {(unsigned char)token, (unsigned char)(token >> 8)};
    int descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(descriptor >= 0);
    if (ftruncate(descriptor, size) != 0) {
        close(descriptor);
        skip(); /* no sparse files here */
    }
    if (token) assert_int_equal(pwrite(descriptor, bytes, 2, offset), 2);
    assert_int_equal(close(descriptor), 0);
    return path;
}

static weft_data_options options_of(const char *path)
{
    weft_data_options options = test_options(path, T, 0);
    options.format = WEFT_CONFIG_NANOGPT;
    options.vocabulary = VOCABULARY;
    return options;
}

/* Until it has found something or come to the end: the test's own time limit ends a check that does neither. */
static weft_status wait_for(const weft_data *data, weft_error *error)
{
    weft_status status = WEFT_OK;
    while (weft_data_unchecked(data) > 0 && (status = weft_data_poll(data, error)) == WEFT_OK) weft_clock_sleep(1e-3);
    return status == WEFT_OK ? weft_data_poll(data, error) : status;
}

static void test_a_bad_token_is_found(void **state)
{
    (void)state;
    weft_error error;
    const off_t places[] = {0, large / 2, large - 2};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char words[96];
        weft_data *data = test_open(options_of(put_sparse("bad.bin", large, places[i], VOCABULARY)));
        assert_int_equal(weft_data_unchecked(data), large);
        assert_int_equal(weft_data_poll(data, &error), WEFT_OK); /* nobody looks yet */
        weft_data_watch(data);
        assert_int_equal(wait_for(data, &error), WEFT_FAILED);
        snprintf(words, sizeof words, "bad.bin: token 500 at byte %" PRId64 " is outside the model's vocabulary of 500",
                 (int64_t)places[i]);
        test_says(error.text, words);
        weft_error_clear(&error);
        assert_int_equal(weft_data_poll(data, &error), WEFT_FAILED); /* and stays found */
        test_says(error.text, words);
        weft_data_close(data);
    }
}

static void test_good_data_are_good(void **state)
{
    (void)state;
    weft_error error;
    weft_data_options options = options_of(put_sparse("good.bin", large, large / 2, VOCABULARY - 1));
    options.held_out_path = put_sparse("held.bin", 4096, 0, 1);
    weft_data *data = test_open(options);
    assert_int_equal(weft_data_unchecked(data), large + 4096);
    weft_data_watch(data);
    weft_data_watch(data); /* a second time changes nothing */
    assert_int_equal(wait_for(data, &error), WEFT_OK);
    assert_int_equal(weft_data_unchecked(data), 0);
    weft_data_close(data);
}

static void test_held_out_data_are_checked(void **state)
{
    (void)state;
    weft_error error;
    weft_data_options options = options_of(put_sparse("train.bin", 4096, 0, 1));
    options.held_out_path = put_sparse("held.bin", large, large - 2, VOCABULARY);
    weft_data *data = test_open(options);
    weft_data_watch(data);
    assert_int_equal(wait_for(data, &error), WEFT_FAILED);
    test_says(error.text, "held.bin: token 500 at byte ");
    weft_data_close(data);
}

/* What the layout cannot hold needs no look; what is small was looked at. */
static void test_nothing_to_check(void **state)
{
    (void)state;
    weft_data_options options = options_of(put_sparse("wide.bin", huge, 0, 65535));
    options.vocabulary = 65536;
    weft_data *data = test_open(options);
    assert_int_equal(weft_data_unchecked(data), 0);
    weft_data_close(data);
    options.format = WEFT_CONFIG_TEXT;
    options.vocabulary = 256;
    data = test_open(options);
    assert_int_equal(weft_data_unchecked(data), 0);
    weft_data_close(data);
    options = options_of(put_sparse("small.bin", WEFT_DATA_CHECKED_AT_ONCE, WEFT_DATA_CHECKED_AT_ONCE - 2, 499));
    data = test_open(options);
    assert_int_equal(weft_data_unchecked(data), 0);
    weft_data_close(data);
    options.vocabulary = 499;
    test_refuse(options, "small.bin: token 499 at byte 67108862 is outside the model's vocabulary of 499");
}

static void test_a_file_that_is_cut(void **state)
{
    (void)state;
    weft_error error;
    const char *path = put_sparse("cut.bin", large, 0, 1);
    weft_data *data = test_open(options_of(path));
    assert_int_equal(truncate(path, 1000), 0);
    weft_data_watch(data);
    assert_int_equal(wait_for(data, &error), WEFT_FAILED);
    test_says(error.text, "cut.bin: was cut short while it was in use: it ends at byte 1000");
    weft_data_close(data);
}

/* The other thread of this process, or 0. */
static long other_thread(void)
{
    long found = 0, number;
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        if ((number = strtol(entry->d_name, NULL, 10)) > 0 && number != (long)getpid()) found = number;
    closedir(folder);
    return found;
}

static void read_task(long thread, const char *what, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/%s", thread, what);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static bool blocks_signals(long thread)
{
    char text[4096];
    read_task(thread, "status", text, sizeof text);
    const char *line = strstr(text, "SigBlk:");
    uint64_t blocked = line ? strtoull(line + 7, NULL, 16) : 0;
    return (blocked >> 14 & 1) && (blocked >> 1 & 1) && (blocked >> 9 & 1); /* SIGTERM, SIGINT, SIGUSR1 */
}

static long nice_value(long thread)
{
    char text[1024];
    read_task(thread, "stat", text, sizeof text);
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 19; field++) at = strchr(at + 1, ' ');
    return at ? strtol(at, NULL, 10) : 0;
}

/* In the middle of a check of 64 GiB, which would take many seconds. */
static void test_the_thread_stands_back(void **state)
{
    (void)state;
    weft_error error;
    weft_data *data = test_open(options_of(put_sparse("huge.bin", huge, 0, 1)));
    long before = other_thread();
    weft_data_watch(data);
    if (before == 0 && other_thread() > 0) {
        long thread = other_thread();
        while (nice_value(thread) != 19 && weft_data_unchecked(data) > 0) weft_clock_sleep(1e-3);
        assert_int_equal(nice_value(thread), 19);
        assert_true(blocks_signals(thread));
    }
    while ((off_t)weft_data_unchecked(data) == huge) weft_clock_sleep(1e-3);
    assert_int_equal(weft_data_poll(data, &error), WEFT_OK);
    assert_true(weft_data_unchecked(data) > 0);
    weft_data_close(data);
    assert_int_equal(other_thread(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bad_token_is_found),      cmocka_unit_test(test_good_data_are_good),
        cmocka_unit_test(test_held_out_data_are_checked), cmocka_unit_test(test_nothing_to_check),
        cmocka_unit_test(test_a_file_that_is_cut),        cmocka_unit_test(test_the_thread_stands_back),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
