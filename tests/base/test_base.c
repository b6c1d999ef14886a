#include "base/file.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_error_record(void **state)
{
    (void)state;
    weft_error error;
    weft_error_clear(&error);
    assert_int_equal(weft_fail(&error, WEFT_INVALID, "value %d", 7), WEFT_INVALID);
    assert_int_equal(weft_error_context(&error, "file %s", "a.yaml"), WEFT_INVALID);
    assert_string_equal(error.text, "file a.yaml: value 7");
    weft_fail(&error, WEFT_INVALID, "%s", "two\nlines\033[1m");
    weft_error_context(&error, "tab\there");
    assert_string_equal(error.text, "tab?here: two?lines?[1m");
    char longer[2 * WEFT_ERROR_TEXT];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    weft_fail(&error, WEFT_FAILED, "%s", longer);
    weft_error_context(&error, "context");
    assert_int_equal(strlen(error.text), WEFT_ERROR_TEXT - 1);
    assert_int_equal(weft_status_exit(WEFT_INVALID), 2);
    assert_int_equal(weft_status_exit(WEFT_TIMEOUT), 1);
}

static void test_impossible_allocation(void **state)
{
    (void)state;
    weft_error error;
    void *memory = &error;
    assert_int_equal(weft_allocate(SIZE_MAX / 2, 4, &memory, &error), WEFT_NO_MEMORY);
    assert_null(memory);
}

/* From a few pages to many: zeroed and aligned, whatever was there before. */
static void test_sizes(void **state)
{
    (void)state;
    weft_error error;
    for (size_t size = 1 << 10; size < 100u << 20; size = size * 7 + 3)
        for (int again = 0; again < 2; again++) {
            unsigned char *memory = NULL;
            assert_int_equal(weft_allocate(size, 1, &memory, &error), WEFT_OK);
            assert_int_equal((uintptr_t)memory % 64, 0);
            for (size_t i = 0; i < size; i += i < 4096 ? 1 : 4093) assert_true(memory[i] == 0);
            assert_true(memory[size - 1] == 0);
            memset(memory, 0xff, size);
            weft_free(memory);
        }
}

static void test_arena(void **state)
{
    (void)state;
    weft_arena arena;
    weft_error error;
    weft_arena_init(&arena);
    for (size_t size = 1; size < 300000; size = size * 3 + 1) {
        unsigned char *piece = NULL;
        assert_int_equal(weft_arena_take(&arena, size, 1, &piece, &error), WEFT_OK);
        assert_int_equal((uintptr_t)piece % 64, 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(piece[i], 0);
        memset(piece, 0xff, size);
    }
    weft_arena_fini(&arena);
}

static void test_text(void **state)
{
    (void)state;
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "%d ", 5);
    weft_text_add_json(&text, "a\"b\n");
    weft_text_add_xml(&text, "<&>");
    assert_string_equal(weft_text_get(&text), "5 \"a\\\"b\\u000a\"&lt;&amp;&gt;");
    text.length = 0;
    weft_text_add_count(&text, 1, "rank");
    weft_text_add_count(&text, 0, "stage");
    weft_text_add_count(&text, 2, "micro-batch");
    weft_text_add_count(&text, 1, "pass");
    weft_text_add_count(&text, 2, "pass");
    assert_string_equal(weft_text_get(&text), "1 rank0 stages2 micro-batches1 pass2 passes");
    text.length = 0;
    weft_text_add_json(&text, "\xc3\xa9\xff\xe2\x82");
    assert_string_equal(weft_text_get(&text), "\"\xc3\xa9\\ufffd\\ufffd\\ufffd\"");
    weft_text_fini(&text);
}

/* Whatever is printed: its digits are those of the value, its sign is there only with a digit that is not 0. */
static void test_figures(void **state)
{
    (void)state;
    static const double values[] = {0,    1e-300, 0.00049, 0.0005, 0.00051, 0.004999, 0.005, 0.0051,
                                    0.25, 0.5,    0.75,    1,      99.995,  1e22,     1e300};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int sign = -1; sign <= 1; sign += 2)
            for (int decimals = 0; decimals < 4; decimals++) {
                char plain[400], figure[400];
                weft_text change;
                weft_text_init(&change);
                snprintf(plain, sizeof plain, "%.*f", decimals, values[i]);
                bool nothing = strspn(plain, "0.") == strlen(plain);
                snprintf(figure, sizeof figure, "%.*f", decimals, weft_text_figure(sign * values[i], decimals));
                weft_text_add_change(&change, 12, decimals, sign * values[i]);
                const char *shown = weft_text_get(&change) + strspn(weft_text_get(&change), " ");
                assert_true(change.length >= 12);
                assert_string_equal(figure + (sign < 0 && !nothing), plain);
                assert_string_equal(shown + !nothing, plain);
                if (!nothing) assert_int_equal(*shown, sign < 0 ? '-' : '+');
                weft_text_fini(&change);
            }
    assert_true(isnan(weft_text_figure(NAN, 2)));
    assert_true(isinf(weft_text_figure(-INFINITY, 2)));
}

static void test_numbers_and_names(void **state)
{
    (void)state;
    int64_t whole;
    double real;
    assert_true(weft_parse_int("-12", &whole) && whole == -12);
    assert_false(weft_parse_int("12x", &whole));
    assert_false(weft_parse_int(" 12", &whole));
    assert_false(weft_parse_int("99999999999999999999", &whole));
    assert_true(weft_parse_double("1e-4", &real) && fabs(real - 1e-4) < 1e-20);
    assert_false(weft_parse_double("nan", &real));
    const char *names[] = {"gpipe", "1f1b", "breadth-first"};
    assert_int_equal(weft_text_nearest("bredth-first", names, 3), 2);
    assert_int_equal(weft_text_nearest("zzzzzzzzzzz", names, 3), -1);
}

static void test_misspelt_names(void **state)
{
    (void)state;
    assert_int_equal(weft_text_distance("", ""), 0);
    assert_int_equal(weft_text_distance("width", "width"), 0);
    assert_int_equal(weft_text_distance("wdith", "width"), 1); /* swapped */
    assert_int_equal(weft_text_distance("lerning_rate", "learning_rate"), 1);
    assert_int_equal(weft_text_distance("modle", "model"), 1);
    assert_int_equal(weft_text_distance("wandb", "width"), -1); /* more than a third */
    assert_int_equal(weft_text_distance("cuda", "cpu"), -1);
    assert_int_equal(weft_text_distance("", "help"), -1);
    char longest[80];
    memset(longest, 'a', sizeof longest);
    longest[79] = '\0';
    assert_int_equal(weft_text_distance(longest, longest), -1);
}

/* Any bits, written and read: the same bits, by no text that YAML 1.1 takes for anything but a number. */
static void test_written_numbers(void **state)
{
    (void)state;
    weft_random_key key = weft_random_key_make(11, "numbers");
    weft_text text;
    weft_text_init(&text);
    for (uint64_t i = 0; i < 40000; i++) {
        uint64_t bits = weft_random_bits(key, i);
        double real = 0, again = 0;
        float small = 0;
        uint32_t half = (uint32_t)bits;
        memcpy(&real, &bits, sizeof real);
        memcpy(&small, &half, sizeof small);
        bool single = i % 2;
        if (!isfinite(single ? (double)small : real)) continue;
        text.length = 0;
        if (single)
            weft_text_add_float(&text, small);
        else
            weft_text_add_double(&text, real);
        const char *written = weft_text_get(&text), *exponent = strchr(written, 'e');
        if (exponent && !memchr(written, '.', (size_t)(exponent - written))) fail_msg("%s", written);
        if (single && strtof(written, NULL) != small) fail_msg("%s is not %.9g", written, (double)small);
        if (!single && (!weft_parse_double(written, &again) || again != real))
            fail_msg("%s is not %.17g", written, real);
    }
    const struct {
        double value;
        const char *text;
    } known[] = {{0.001, "0.001"}, {1e-05, "1.0e-05"}, {-2.5e-07, "-2.5e-07"}, {1e22, "1.0e+22"}, {3, "3"}, {0, "0"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        text.length = 0;
        weft_text_add_double(&text, known[i].value);
        assert_string_equal(weft_text_get(&text), known[i].text);
        text.length = 0;
        weft_text_add_float(&text, (float)known[i].value);
        assert_string_equal(weft_text_get(&text), known[i].text);
    }
    weft_text_fini(&text);
}

/* As few digits, 6 or more, as a search from below finds: of random bits, of short numbers, of subnormal ones. */
static void test_fewest_digits(void **state)
{
    (void)state;
    weft_random_key key = weft_random_key_make(12, "digits");
    weft_text text, expected;
    weft_text_init(&text);
    weft_text_init(&expected);
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t bits = weft_random_bits(key, i);
        double value = (double)(int64_t)(bits >> (bits & 63)) * pow(10, (double)(bits >> 7 & 63) - 32);
        if (i % 3 == 0) memcpy(&value, &bits, sizeof value);
        if (i % 3 == 1) value = ldexp(value, -1060);
        if (!isfinite(value)) continue;
        char number[40];
        int digits = 6;
        for (; digits < 17; digits++) {
            snprintf(number, sizeof number, "%.*g", digits, value);
            if (strtod(number, NULL) == value) break;
        }
        text.length = expected.length = 0;
        weft_text_add_number(&expected, digits, value);
        weft_text_add_double(&text, value);
        assert_string_equal(weft_text_get(&text), weft_text_get(&expected));
    }
    weft_text_fini(&text);
    weft_text_fini(&expected);
}

static void test_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length, skipped;
        bool refused;
    } cases[] = {{"", 0, 0, false},
                 {"a", 1, 0, false},
                 {"ab", 2, 0, false},
                 {"\xef\xbb\xbf", 3, 3, false},
                 {"\xef\xbb\xbfx", 4, 3, false},
                 {"\xef\xbb", 2, 0, false},
                 {"\xff\xfe", 2, 0, true},
                 {"\xfe\xff", 2, 0, true},
                 {"a\0b\0", 4, 0, true},
                 {"\0a\0b", 4, 0, true},
                 {"\0\0\xfe\xff", 4, 0, true},
                 {"\xff\xfe\0\0", 4, 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].bytes;
        size_t length = cases[i].length;
        weft_error error;
        weft_status status = weft_text_begin(&text, &length, "a.yaml", &error);
        assert_int_equal(status, cases[i].refused ? WEFT_INVALID : WEFT_OK);
        assert_int_equal(text - cases[i].bytes, cases[i].skipped);
        assert_int_equal(length, cases[i].length - cases[i].skipped);
    }
}

/* Known answers of Philox4x32-10 with counter 0 and key 0, from the authors' Random123 test vectors. */
static void test_random(void **state)
{
    (void)state;
    weft_random_key zero = {{0, 0}};
    assert_int_equal(weft_random_bits(zero, 0) & 0xffffffffu, 0x6627e8d5u);
    assert_int_equal(weft_random_bits(zero, 0) >> 32, 0xe169c58du);
    weft_random_key key = weft_random_key_make(42, "shuffle");
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double x = weft_random_normal(key, i);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 1e5) < 0.02 && fabs(squares / 1e5 - 1) < 0.02);
}

static void test_permutation(void **state)
{
    (void)state;
    for (uint64_t count = 1; count < 600; count += 37) {
        unsigned char seen[600] = {0};
        weft_random_key key = weft_random_key_make(count, "permute");
        for (uint64_t i = 0; i < count; i++) {
            uint64_t place = weft_random_permute(key, i, count);
            assert_true(place < count && !seen[place]);
            seen[place] = 1;
        }
    }
}

static void test_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-test-XXXXXX", path[128];
    weft_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b", folder);
    assert_int_equal(weft_folder_create(path, &error), WEFT_OK);
    snprintf(path, sizeof path, "%s/a/b/file", folder);
    assert_int_equal(weft_file_write(path, "hello", 5, &error), WEFT_OK);
    weft_map map;
    assert_int_equal(weft_map_init(&map, path, &error), WEFT_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.bytes, "hello", 5);
    weft_map_fini(&map);
    weft_text text;
    weft_text_init(&text);
    assert_int_equal(weft_file_read("/nonexistent/file", &text, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "/nonexistent/file"));
    weft_text_fini(&text);
    if (access("/dev/full", W_OK) == 0) {
        FILE *full = fopen("/dev/full", "w");
        assert_int_equal(weft_file_write_all(fileno(full), "x", 1, "/dev/full", &error), WEFT_FAILED);
        assert_string_equal(error.text, "/dev/full: cannot write: disk full: No space left on device");
        fclose(full);
    }
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
    assert_false(weft_path_exists(folder));
}

static void check_copies(const char *path, const unsigned char *bytes, size_t count, bool kept)
{
    static unsigned char out[(1 << 17) + 2];
    weft_random_key key = weft_random_key_make(3, "copies");
    weft_error error;
    weft_map map;
    assert_int_equal(weft_map_init(&map, path, &error), WEFT_OK);
    assert_int_equal(map.descriptor >= 0, kept);
    for (uint64_t i = 0; i < 100; i++) {
        size_t from = weft_random_bits(key, 2 * i) % count, size = weft_random_bits(key, 2 * i + 1) % (count - from);
        out[0] = out[size + 1] = 77;
        assert_int_equal(weft_map_copy(&map, map.bytes + from, size, out + 1, path, &error), WEFT_OK);
        assert_memory_equal(out + 1, bytes + from, size);
        assert_true(out[0] == 77 && out[size + 1] == 77);
    }
    weft_map_fini(&map);
}

/* The same bytes, be they few or many, and also where more files are open than a process may have descriptors. */
static void test_copies_of_a_map(void **state)
{
    (void)state;
    enum { COUNT = 1 << 17, FILES = 200, LIMIT = 128, CUT = 50000 };
    static unsigned char bytes[COUNT], out[COUNT];
    static weft_map files[FILES];
    char path[] = "/tmp/weft-test-XXXXXX";
    weft_error error;
    weft_map map;
    struct rlimit before, fewer;
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    for (int i = 0; i < COUNT; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
    assert_int_equal(weft_file_write_all(descriptor, bytes, COUNT, path, &error), WEFT_OK);
    check_copies(path, bytes, COUNT, true);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    fewer = (struct rlimit){LIMIT, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &fewer), 0);
    for (int i = 0; i < FILES; i++) assert_int_equal(weft_map_init(&files[i], path, &error), WEFT_OK);
    check_copies(path, bytes, COUNT, false);
    for (int i = 0; i < FILES; i++) weft_map_fini(&files[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(weft_map_init(&map, path, &error), WEFT_OK);
    assert_int_equal(ftruncate(descriptor, CUT), 0);
    assert_int_equal(weft_map_copy(&map, map.bytes, COUNT, out, path, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, ": truncated at byte 50000 while it was read"));
    weft_map_fini(&map);
    int next = dup(descriptor);
    assert_int_equal(next, descriptor + 1); /* no descriptor is left */
    close(next);
    close(descriptor);
    unlink(path);
}

/* Only regular files are read: a pipe would be waited for, a device could be endless. */
static void test_no_regular_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-test-XXXXXX", pipe_path[64];
    weft_error error;
    weft_map map;
    weft_text text;
    weft_text_init(&text);
    assert_non_null(mkdtemp(folder));
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    const char *paths[] = {pipe_path, folder, "/dev/zero"};
    alarm(20); /* a read that waits for the pipe's other end would never come back */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(weft_map_init(&map, paths[i], &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "not a regular file"));
        weft_error_clear(&error);
        assert_int_equal(weft_file_read(paths[i], &text, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "not a regular file"));
    }
    alarm(0);
    weft_text_fini(&text);
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
}

/* A link to a folder is as good as the folder when it is to exist; removing goes no further than the link. */
static void test_links(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-test-XXXXXX", real[64], kept[64], link[64], inside[64];
    weft_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(real, sizeof real, "%s/real", folder);
    snprintf(kept, sizeof kept, "%s/real/file", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(inside, sizeof inside, "%s/gone/link", folder);
    assert_int_equal(weft_folder_create(real, &error), WEFT_OK);
    assert_int_equal(weft_file_write(kept, "x", 1, &error), WEFT_OK);
    assert_int_equal(symlink(real, link), 0);
    assert_true(weft_path_is_same(real, link));
    assert_false(weft_path_is_same(real, kept));
    assert_false(weft_path_is_same(inside, inside)); /* there is none */
    assert_int_equal(weft_folder_create(link, &error), WEFT_OK);
    assert_int_equal(weft_folder_create(kept, &error), WEFT_FAILED);
    assert_non_null(strstr(error.text, "exists and is not a folder"));
    assert_int_equal(weft_folder_remove(kept, &error), WEFT_FAILED);
    assert_int_equal(weft_folder_remove(link, &error), WEFT_OK);
    assert_false(weft_path_exists(link));
    *strrchr(inside, '/') = '\0';
    assert_int_equal(weft_folder_create(inside, &error), WEFT_OK);
    inside[strlen(inside)] = '/';
    assert_int_equal(symlink(real, inside), 0);
    *strrchr(inside, '/') = '\0';
    assert_int_equal(weft_folder_remove(inside, &error), WEFT_OK);
    assert_false(weft_path_exists(inside));
    assert_true(weft_path_exists(kept));
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
}

/* The linker puts this in front of fsync: what was synced, a path a line. */
int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor);
static char synced[1024];

int __wrap_fsync(int descriptor)
{
    char name[64], path[256];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path);
    size_t used = strlen(synced);
    snprintf(synced + used, sizeof synced - used, "%.*s\n", length > 0 ? (int)length : 0, path);
    return __real_fsync(descriptor);
}

/* Each folder that is new is synced in the one that holds it, and no other is. */
static void test_folders_are_synced(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-test-XXXXXX", path[96], expected[256];
    weft_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a//b/c/", folder);
    *synced = '\0';
    assert_int_equal(weft_folder_create(path, &error), WEFT_OK);
    snprintf(expected, sizeof expected, "%s\n%s/a\n%s/a/b\n", folder, folder, folder);
    assert_string_equal(synced, expected);
    *synced = '\0';
    assert_int_equal(weft_folder_create(path, &error), WEFT_OK);
    assert_string_equal(synced, "");
    snprintf(path, sizeof path, "%s/a/d", folder);
    snprintf(expected, sizeof expected, "%s/a\n", folder);
    assert_int_equal(weft_folder_create(path, &error), WEFT_OK);
    assert_string_equal(synced, expected);
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
}

static void assert_holds(const char *path, const char *wanted)
{
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    if (weft_file_read(path, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_string_equal(weft_text_get(&text), wanted);
    weft_text_fini(&text);
}

enum { LINK, HARD_LINK, PIPE, STALE, TAKEN };

/* Puts something in the place of a name. */
static void take_name(int what, const char *other, const char *path)
{
    weft_error error;
    unlink(path);
    assert_int_equal(weft_file_write(other, "kept", 4, &error), WEFT_OK);
    if (what == LINK) assert_int_equal(symlink(other, path), 0);
    if (what == HARD_LINK) assert_int_equal(link(other, path), 0);
    if (what == PIPE) assert_int_equal(mkfifo(path, 0600), 0);
    if (what == STALE) assert_int_equal(weft_file_write(path, "left by a run that was killed", 29, &error), WEFT_OK);
}

/* Whatever has the name of a file that is made, or its temporary name, nothing else is written to or waited for. */
static void test_taken_names(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-test-XXXXXX", path[64], aside[64], other[64];
    weft_error error;
    int descriptor = -1;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(aside, sizeof aside, "%s/file.tmp", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    alarm(60); /* a pipe that is opened for writing waits for a reader */
    for (int what = LINK; what < TAKEN; what++) {
        take_name(what, other, aside);
        assert_int_equal(weft_file_write(path, "new", 3, &error), WEFT_OK);
        assert_holds(path, "new");
        assert_holds(other, "kept");
        assert_false(weft_path_exists(aside));
        take_name(what, other, path);
        assert_int_equal(weft_file_write(path, "newer", 5, &error), WEFT_OK);
        assert_holds(path, "newer");
        assert_holds(other, "kept");
        take_name(what, other, path);
        assert_int_equal(weft_file_create(path, &descriptor, &error), WEFT_OK);
        assert_int_equal(weft_file_write_all(descriptor, "newest", 6, path, &error), WEFT_OK);
        close(descriptor);
        assert_holds(path, "newest");
        assert_holds(other, "kept");
    }
    for (int what = LINK; what <= PIPE; what += PIPE - LINK) {
        take_name(what, other, path);
        assert_int_equal(weft_file_append(path, &descriptor, &error), WEFT_FAILED);
        assert_non_null(strstr(error.text, "not a regular file"));
        assert_holds(other, "kept");
    }
    alarm(0);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_file_append(path, &descriptor, &error), WEFT_OK);
        assert_int_equal(weft_file_write_all(descriptor, "ab", 2, path, &error), WEFT_OK);
        close(descriptor);
    }
    assert_holds(path, "abab");
    assert_int_equal(mkdir(aside, 0777), 0);
    assert_int_equal(weft_file_write(path, "new", 3, &error), WEFT_FAILED);
    assert_non_null(strstr(error.text, "Is a directory"));
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
}

static void test_lock(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-test-XXXXXX";
    weft_error error;
    int first = -1, second = -1;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(weft_folder_lock(folder, &first, &error), WEFT_OK);
    if (first >= 0) { /* else this file system has no locks */
        assert_int_equal(weft_folder_lock(folder, &second, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "in use"));
        close(first);
        assert_int_equal(weft_folder_lock(folder, &second, &error), WEFT_OK);
        close(second);
    }
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
    assert_int_equal(weft_folder_lock(folder, &first, &error), WEFT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_record),
        cmocka_unit_test(test_impossible_allocation),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_numbers_and_names),
        cmocka_unit_test(test_misspelt_names),
        cmocka_unit_test(test_written_numbers),
        cmocka_unit_test(test_fewest_digits),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_copies_of_a_map),
        cmocka_unit_test(test_no_regular_file),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_folders_are_synced),
        cmocka_unit_test(test_taken_names),
        cmocka_unit_test(test_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
