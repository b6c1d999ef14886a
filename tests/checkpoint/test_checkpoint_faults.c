/* What damage, full disks, missing memory and hostile files do to checkpoints: a clear error, and nothing else. */
#include "base/random.h"
#include "checkpoint/manifest.h"
#include "fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

/* The linker puts this in front of aligned_alloc, from which the library takes all its memory. */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
static _Atomic int64_t allocations_left = -1; /* -1: no limit; of all threads */

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    int64_t left = allocations_left;
    while (left > 0 && !atomic_compare_exchange_weak(&allocations_left, &left, left - 1)) continue;
    return left == 0 ? NULL : __real_aligned_alloc(alignment, size);
}

static fixture model;

static int setup(void **state)
{
    (void)state;
    fixture_make(&model);
    return 0;
}

static int setup_cut(void **state)
{
    setup(state);
    model.cut = FIXTURE_RUNS;
    return 0;
}

static int setup_columns(void **state)
{
    setup(state);
    model.cut = FIXTURE_COLUMNS;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(&model);
    return 0;
}

static void save(int64_t step, int32_t ranks)
{
    weft_error error;
    if (fixture_save(&model, model.folder, step, ranks, 0, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void read_whole(const char *path, weft_text *out)
{
    weft_error error;
    weft_text_init(out);
    assert_int_equal(weft_file_read(path, out, &error), WEFT_OK);
}

static void put(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void refused(const char *path, const char *words)
{
    weft_checkpoint *checkpoint = NULL;
    weft_error error;
    weft_error_clear(&error);
    assert_int_equal(weft_checkpoint_open(path, &checkpoint, &error), WEFT_INVALID);
    assert_null(checkpoint);
    if (!strstr(error.text, words)) fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static const char *const names[] = {"weights-00001-of-00002.safetensors", "moment1-00002-of-00002.safetensors",
                                    "moment2-00001-of-00002.safetensors"};

static void test_damaged_tensors(void **state)
{
    (void)state;
    save(1, 2);
    save(2, 2);
    weft_random_key key = weft_random_key_make(2, "damage");
    for (uint64_t i = 0; i < 60; i++) {
        const char *path = fixture_path(model.folder, 2, names[i % 3]);
        weft_text whole;
        char words[256];
        read_whole(path, &whole);
        size_t cut = weft_random_bits(key, 2 * i) % whole.length,
               flip = weft_random_bits(key, 2 * i + 1) % whole.length;
        put(path, whole.bytes, cut);
        snprintf(words, sizeof words, "%s: %zu bytes, %zu expected: truncated at byte %zu", names[i % 3], cut,
                 whole.length, cut);
        refused(model.folder, words);
        whole.bytes[flip] = (char)(whole.bytes[flip] ^ 1 << i % 8);
        put(path, whole.bytes, whole.length);
        snprintf(words, sizeof words, "%s: corrupt", names[i % 3]);
        refused(model.folder, words);
        whole.bytes[flip] = (char)(whole.bytes[flip] ^ 1 << i % 8);
        put(path, whole.bytes, whole.length + 1); /* with the zero byte behind a text */
        refused(model.folder, "unexpected bytes from byte");
        put(path, whole.bytes, whole.length);
        weft_text_fini(&whole);
    }
    fixture_check(&model, model.folder, 2);
    assert_int_equal(unlink(fixture_path(model.folder, 2, names[1])), 0);
    refused(model.folder, "missing, but checkpoint.yaml lists it");
    assert_int_equal(mkfifo(fixture_path(model.folder, 2, names[1]), 0600), 0);
    refused(model.folder, "not a regular file");
    fixture_check(&model, fixture_path(model.folder, 1, ""), 1);
}

static void test_damaged_manifest(void **state)
{
    (void)state;
    save(2, 1);
    const char *path = fixture_path(model.folder, 2, "checkpoint.yaml");
    weft_text whole;
    read_whole(path, &whole);
    for (size_t i = 0; i < whole.length; i++) {
        put(path, whole.bytes, i);
        refused(model.folder, "checkpoint.yaml: truncated at byte");
        whole.bytes[i] = (char)(whole.bytes[i] ^ 1);
        put(path, whole.bytes, whole.length);
        refused(model.folder, "checkpoint.yaml: ");
        whole.bytes[i] = (char)(whole.bytes[i] ^ 1);
    }
    put(path, whole.bytes, whole.length);
    fixture_check(&model, model.folder, 2);
    weft_text_fini(&whole);
}

static void test_wrong_places(void **state)
{
    (void)state;
    refused(model.folder, "no such checkpoint or run folder");
    refused(model.run, "holds neither checkpoint.yaml nor a complete step-XXXXXXXX folder");
    put(model.folder, "text", 4);
    refused(model.folder, "cannot open");
    assert_int_equal(unlink(model.folder), 0);
    save(2, 1);
    assert_true(weft_checkpoint_exists(model.folder));
    fixture_check(&model, model.folder, 2);
    assert_int_equal(rename(fixture_path(model.folder, 2, ""), fixture_path(model.folder, 2, ".tmp")), 0);
    refused(fixture_path(model.folder, 2, ".tmp"), "an unfinished checkpoint");
    refused(fixture_path(model.folder, 2, ".tmp/"), "an unfinished checkpoint");
    refused(model.folder, "holds neither");
    assert_false(weft_checkpoint_exists(model.folder));
}

/* A checkpoint has its name once it is complete: one that lacks its manifest is not passed over for an earlier one. */
static void test_lost_manifest(void **state)
{
    (void)state;
    static const char words[] = "step-00000003: its checkpoint.yaml is missing";
    weft_error error;
    save(2, 1);
    save(3, 1);
    const char *kept = fixture_path(model.folder, 3, "kept");
    assert_int_equal(rename(fixture_path(model.folder, 3, "checkpoint.yaml"), kept), 0);
    refused(model.folder, words);
    refused(model.folder, "move it away to go on from step 2");
    fixture_check(&model, fixture_path(model.folder, 2, ""), 2);
    assert_int_equal(mkfifo(fixture_path(model.folder, 3, "checkpoint.yaml"), 0600), 0);
    refused(model.folder, words);
    assert_int_equal(rename(fixture_path(model.folder, 3, ""), fixture_path(model.folder, 3, ".old")), 0);
    refused(model.folder, words);
    assert_true(weft_checkpoint_exists(model.folder));
    save(4, 1); /* puts it back, and a later one stands before it */
    fixture_check(&model, model.folder, 4);
    assert_int_equal(weft_folder_remove(fixture_path(model.folder, 4, ""), &error), WEFT_OK);
    assert_int_equal(weft_folder_remove(fixture_path(model.folder, 2, ""), &error), WEFT_OK);
    refused(model.folder, "there is no earlier one");
    assert_true(weft_checkpoint_exists(model.folder));
    assert_int_equal(weft_folder_remove(fixture_path(model.folder, 3, ""), &error), WEFT_OK);
    assert_int_equal(symlink("nowhere", fixture_path(model.folder, 5, "")), 0);
    refused(model.folder, "step-00000005: its checkpoint.yaml is missing");
}

/* What is left of one that was replaced, or is being removed, is in nobody's way. */
static void test_left_overs(void **state)
{
    (void)state;
    weft_error error;
    save(2, 1);
    assert_int_equal(weft_folder_create(fixture_path(model.folder, 2, ".old"), &error), WEFT_OK);
    assert_int_equal(weft_folder_create(fixture_path(model.folder, 3, ".tmp"), &error), WEFT_OK);
    assert_int_equal(weft_folder_create(fixture_path(model.folder, 1, ""), &error), WEFT_OK);
    fixture_check(&model, model.folder, 2);
}

/* A step under the name of another would take its place, and be removed before it or after it. */
static void test_wrong_names(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", ".old", ".tmp"};
    weft_error error;
    char copy[160];
    for (size_t i = 0; i < 2; i++) {
        save(1, 1);
        assert_int_equal(rename(fixture_path(model.folder, 1, ""), fixture_path(model.folder, 2, suffixes[i])), 0);
        refused(model.folder, "checkpoint.yaml: says step 1, its folder's name 2");
        refused(fixture_path(model.folder, 2, suffixes[i]), "says step 1");
        snprintf(copy, sizeof copy, "%s//", fixture_path(model.folder, 2, suffixes[i]));
        refused(copy, "says step 1");
        snprintf(copy, sizeof copy, "%s/copy-of-2-%d", model.run, (int)i);
        assert_int_equal(rename(fixture_path(model.folder, 2, suffixes[i]), copy), 0);
        fixture_check(&model, copy, 1);
        assert_int_equal(weft_folder_remove(model.folder, &error), WEFT_OK);
    }
}

#define A_FILE(name) "  - name: " name "\n    bytes: 5\n    checksum: 0x0000000000000001\n"
#define HEAD "format: weft-checkpoint\nversion: 1\nstep: 2\nloss: 1\ndata_fingerprint: 0x0000000000000001\n"
#define HEAD2(step, sequences)                                                                                         \
    "format: weft-checkpoint\nversion: 2\nstep: " step "\nsequences: " sequences                                       \
    "\nloss: 1\ndata_fingerprint: 0x0000000000000001\nconfig: a\n"

#define SKIP(skipped, row, losses, norms)                                                                              \
    "skip:\n  skipped: " skipped "\n  in_a_row: " row "\n  losses: " losses "\n  norms: " norms "\n"

static const struct {
    const char *text, *words;
} manifests[] = {
    {"format: other\nversion: 1\n", ":1:9: this is not a weft-checkpoint"},
    {"format: weft-checkpoint\nversion: 3\n", ":2:10: this version"},
    {"format: weft-checkpoint\nversion: 0\n", ":2:10: this version"},
    {HEAD "sequences: 8\nconfig: a\nfiles: []\n", "sequences is a key of version 2"},
    {"format: weft-checkpoint\nversion: 2\nstep: 2\nloss: 1\ndata_fingerprint: 0x0000000000000001\nconfig: a\nfiles: "
     "[]\n",
     "sequences is missing"},
    {HEAD2("2", "1") "files: []\n", "2 steps cannot have read 1 sequences"},
    {HEAD2("0", "1") "files: []\n", "0 steps cannot have read 1 sequences"},
    {HEAD2("1", "72057594037927937") "files: []\n", "1 steps cannot have read 72057594037927937 sequences"},
    {HEAD2("2", "-1"), "at least 0"},
    {HEAD2("2", "4611686018427387904"), ":4:12: this is more than any run can read"},
    {HEAD2("1000000000001", "0"), ":3:7: this is more than run.steps can be"},
    {HEAD2("9223372036854775807", "9223372036854775807"), ":3:7: this is more than run.steps can be"},
    {HEAD2("1", "1") "files: []\n", "says step 1, its folder's name 2"},
    {HEAD "config: a\nfiles:\n" A_FILE("weights-00001-of-00001.safetensors")
         A_FILE("moment1-00001-of-00002.safetensors"),
     "another file says another number of ranks"},
    {HEAD2("2", "2") "skip: 3\n", "a map of keys is expected"},
    {HEAD2("2", "2") SKIP("0", "0", "1", "[]"), "a list of numbers is expected"},
    {HEAD2("2", "2") SKIP("0", "0", "[1, .nan]", "[]"), "a finite number is expected"},
    {HEAD2("2", "2") SKIP("0", "0", "[[1]]", "[]"), "a finite number is expected"},
    {HEAD2("2", "2") SKIP("0", "0", "[1, 2]", "[1]"), "there are not as many losses as norms"},
    {HEAD2("2", "2") SKIP("-1", "0", "[]", "[]"), "at least 0"},
    {HEAD2("2", "2") SKIP("1", "0", "[1, 2]", "[1, 2]") "files: []\n",
     "of 2 steps 1 cannot have been skipped, 0 in a row, and 2 not"},
    {HEAD2("2", "2") SKIP("3", "0", "[]", "[]") "files: []\n", "of 2 steps 3 cannot have been skipped"},
    {HEAD2("2", "2") SKIP("1", "2", "[]", "[]") "files: []\n", "1 cannot have been skipped, 2 in a row"},
    {HEAD2("2", "2") "skip:\n  skipped: 1\n  in_a_row: 1\n  losses: []\n", "norms is missing"},
    {HEAD2("2", "2") "skip:\n  skip: 1\n", "this key is not known"},
    {"format: weft-checkpoint\nsteps: 2\n", ":2:1: this key is not known"},
    {HEAD "step: 3\n", ":6:1: this key was given before"},
    {HEAD "config: a\n", "files is missing"},
    {HEAD "files: []\n", "config is missing"},
    {HEAD "config: a\nfiles: 3\n", "a list of files is expected"},
    {HEAD "config: a\nfiles: [3]\n", "name, bytes and checksum"},
    {HEAD "config: [a]\nfiles: []\n", "a single value is expected"},
    {HEAD "config: &x a\nfiles: []\n", "anchors are not allowed"},
    {HEAD "config: !x a\nfiles: []\n", "tags are not allowed"},
    {HEAD "config: *x\nfiles: []\n", "aliases are not allowed"},
    {HEAD "config: \"a\\0b\"\nfiles: []\n", "a zero byte"},
    {HEAD "config: a\nfiles:\n" A_FILE("../../../etc/passwd"), "not the name of a file of a checkpoint"},
    {HEAD "config: a\nfiles:\n" A_FILE("weights-00001-of-00001.safetensors")
         A_FILE("weights-00001-of-00001.safetensors"),
     "listed twice"},
    {HEAD "config: a\nfiles:\n  - name: weights-00001-of-00001.safetensors\n    bytes: -5\n", "at least 0"},
    {HEAD "config: a\nfiles:\n  - name: weights-00001-of-00001.safetensors\n    bytes: 5\n", "checksum is missing"},
    {HEAD "config: a\nfiles:\n" A_FILE("weights-00001-of-00009.safetensors"),
     "weights-00001-of-00009.safetensors: missing"},
    {"step: -1\n", "at least 0"},
    {"step: 99999999999999999999\n", "at least 0"},
    {"loss: much\n", "a number is expected"},
    {"data_fingerprint: 1\n", "16 hexadecimal digits"},
    {"data_fingerprint: 0x00000000000000zz\n", "16 hexadecimal digits"},
    {"- a\n- b\n", "checkpoint.yaml:"},
    {"a: {b: [\n", "checkpoint.yaml:"},
    {"", "format is missing"},
    {"--- a\n---\n", "a map of keys is expected"},
};

static void close_manifest(weft_text *text)
{
    weft_text_add(text, "checksum: 0x%016" PRIx64 "\n", (uint64_t)XXH3_64bits(weft_text_get(text), text->length));
}

static void test_malformed_manifests(void **state)
{
    (void)state;
    save(2, 1);
    const char *path = fixture_path(model.folder, 2, "checkpoint.yaml");
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        weft_text text;
        weft_text_init(&text);
        weft_text_add(&text, "%s", manifests[i].text);
        close_manifest(&text);
        put(path, text.bytes, text.length);
        refused(model.folder, manifests[i].words);
        weft_text_fini(&text);
    }
}

/* Whoever damages a manifest on purpose can also make the last line fit. */
static void test_mutated_manifests(void **state)
{
    (void)state;
    enum { ROUNDS = 4000 };
    static const char likely[] = "\n :-|>&*!%@{}[]\"'\\#?,0x9\t\xc3\x80.";
    save(2, 2);
    weft_text whole, changed;
    read_whole(fixture_path(model.folder, 2, "checkpoint.yaml"), &whole);
    weft_text_init(&changed);
    weft_random_key key = weft_random_key_make(4, "manifests");
    int read = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        changed.length = 0;
        weft_text_add_bytes(&changed, whole.bytes, whole.length - 29 - weft_random_bits(key, round) % 3);
        for (uint64_t i = 0; i < 1 + round % 3; i++) {
            uint64_t draw = weft_random_bits(key, (round + 1) << 32 | i);
            char letter = draw >> 62 ? likely[(draw >> 32) % (sizeof likely - 1)] : (char)(draw >> 40);
            changed.bytes[(draw & UINT32_MAX) % changed.length] = letter;
        }
        close_manifest(&changed);
        weft_manifest manifest;
        weft_error error;
        weft_error_clear(&error);
        weft_status status = weft_manifest_parse(&manifest, changed.bytes, changed.length, "memory", &error);
        assert_true(status == WEFT_OK || (status == WEFT_INVALID && strncmp(error.text, "memory", 6) == 0));
        read += status == WEFT_OK;
        if (status == WEFT_OK) weft_manifest_fini(&manifest);
    }
    assert_in_range(read, 1, ROUNDS - 1); /* a changed configuration or number still reads */
    weft_text_fini(&changed);
    weft_text_fini(&whole);
}

static void test_lost_file_of_a_rank(void **state)
{
    (void)state;
    weft_checkpoint_file file;
    weft_checkpoint_state nothing = {.step = 1, .sequences = 3};
    weft_error error;
    weft_checkpoint_piece pieces[FIXTURE_TENSORS];
    fixture_pieces(&model, WEFT_CHECKPOINT_WEIGHTS, pieces);
    for (int lose = 0; lose < 2; lose++) {
        assert_int_equal(weft_checkpoint_begin(model.folder, 1, &error), WEFT_OK);
        assert_int_equal(
            weft_checkpoint_write(NULL, model.folder, 1, WEFT_CHECKPOINT_WEIGHTS, 0, 1, pieces, 4, &file, &error),
            WEFT_OK);
        char path[256];
        snprintf(path, sizeof path, "%s/%s", fixture_path(model.folder, 1, ".tmp"), file.name);
        if (lose)
            assert_int_equal(unlink(path), 0);
        else
            put(path, "x", 1);
        assert_int_equal(weft_checkpoint_publish(model.folder, &nothing, "", &file, 1, 0, &error), WEFT_FAILED);
        assert_non_null(strstr(error.text, file.name));
        assert_false(weft_checkpoint_exists(model.folder));
        assert_false(weft_path_exists(fixture_path(model.folder, 1, ".tmp")));
    }
}

/* No file may grow beyond `bytes`: writes fail as they do on a full disk. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    save(4, 2);
    struct stat info;
    assert_int_equal(stat(fixture_path(model.folder, 4, "checkpoint.yaml"), &info), 0);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    weft_status status = WEFT_FAILED;
    int failures = 0;
    for (rlim_t bytes = 0; status != WEFT_OK; bytes += 61) {
        assert_in_range(bytes, 0, 10000);
        weft_error error;
        limit_files(bytes);
        status =
            fixture_save(&model, model.folder, 4 + bytes % 2, 2, 1, &error); /* a new step, or one that is replaced */
        limit_files(RLIM_INFINITY);
        if (status == WEFT_OK) break;
        failures++;
        assert_int_equal(status, WEFT_FAILED);
        assert_non_null(strstr(error.text, "step-0000000"));
        assert_false(weft_path_exists(fixture_path(model.folder, 4 + (int64_t)(bytes % 2), ".tmp")));
        fixture_check(&model, model.folder, 4);
    }
    signal(SIGXFSZ, before);
    assert_true((off_t)failures * 61 > info.st_size); /* the limit passed through every file */
}

static void test_names_that_are_taken(void **state)
{
    (void)state;
    weft_error error;
    save(4, 1);
    put(fixture_path(model.folder, 5, ".tmp"), "x", 1);
    assert_int_equal(fixture_save(&model, model.folder, 5, 1, 0, &error), WEFT_FAILED);
    put(fixture_path(model.folder, 6, ""), "x", 1);
    assert_int_equal(fixture_save(&model, model.folder, 6, 1, 0, &error), WEFT_FAILED);
    assert_non_null(strstr(error.text, "not a folder"));
    assert_false(weft_path_exists(fixture_path(model.folder, 6, ".tmp")));
    fixture_check(&model, fixture_path(model.folder, 4, ""), 4);
    refused(model.folder, "step-00000006: its checkpoint.yaml is missing");
    char blocked[160];
    snprintf(blocked, sizeof blocked, "%s/run", fixture_path(model.folder, 6, ""));
    assert_int_equal(fixture_save(&model, blocked, 6, 1, 0, &error), WEFT_FAILED);
}

static weft_status compare(int64_t step, const char *words, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    bool same = false;
    weft_status status =
        weft_checkpoint_compare(model.folder, fixture_path(model.folder, step, ""), &same, &text, error);
    if (status == WEFT_OK) {
        assert_string_equal(weft_text_get(&text), words);
        assert_int_equal(same, *words == '\0');
    }
    weft_text_fini(&text);
    return status;
}

static weft_status compare_with_another(weft_error *error)
{
    return compare(1, "steps differ: 2 and 1", error);
}

static weft_status compare_with_itself(weft_error *error)
{
    return compare(2, "", error);
}

static weft_status open_and_close(weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    weft_status status = weft_checkpoint_open(model.folder, &checkpoint, error);
    assert_int_equal(status == WEFT_OK, checkpoint != NULL);
    weft_checkpoint_close(checkpoint);
    return status;
}

static weft_status save_again(weft_error *error)
{
    return fixture_save(&model, model.folder, 2, 2, 0, error);
}

/* Each allocation in turn fails: the call says so, leaves nothing behind (leak checkers watch), and the disk is sound.
 */
static void fail_each_allocation(weft_status (*call)(weft_error *error))
{
    weft_status status = WEFT_NO_MEMORY;
    int64_t n = 0;
    for (; status != WEFT_OK; n++) {
        assert_in_range(n, 0, 10000);
        weft_error error;
        weft_error_clear(&error);
        allocations_left = n;
        status = call(&error);
        allocations_left = -1;
        if (status == WEFT_OK) break;
        assert_int_equal(status, WEFT_NO_MEMORY);
        assert_non_null(strstr(error.text, "out of memory"));
        fixture_check(&model, model.folder, 2);
    }
    assert_true(n > 5);
}

static void test_no_memory(void **state)
{
    (void)state;
    save(1, 1);
    save(2, 2);
    fail_each_allocation(open_and_close);
    fail_each_allocation(compare_with_another);
    fail_each_allocation(compare_with_itself);
    fail_each_allocation(save_again);
    allocations_left = 0;
    assert_true(weft_checkpoint_exists(model.folder)); /* never "none" for want of memory */
    allocations_left = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damaged_tensors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_tensors, setup_cut, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_manifest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_manifest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_overs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_manifests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mutated_manifests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_file_of_a_rank, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup_cut, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup_cut, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup_columns, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
