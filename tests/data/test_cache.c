/* Tokens of text that are kept: made once, whoever asks; other text, another tokenizer are other tokens; stopped in the
 * middle they are gone on with. */
#include "fixture.h"

#include "base/file.h"
#include "data/cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS = 1400000, BIG = 5 << 20 }; /* several batches */

static weft_tokenizer *tokenizers[2];

/* Who asks, and what it is told. */
typedef struct {
    const weft_tokenizer *tokenizer;
    const char *path, *own; /* own: NULL: nothing is */
    weft_config_format format;
    bool lacks;
    int told, stop_after; /* stop_after 0: never */
    uint64_t documents;
    weft_status status;
    char found[4096];
    weft_error error;
} asking;

static void count(void *context, const weft_tokenize_totals *totals)
{
    asking *it = context;
    it->told++;
    it->documents = totals->documents;
}

static bool stops(void *context)
{
    const asking *it = context;
    return it->stop_after > 0 && it->told >= it->stop_after;
}

static void *ask(void *context)
{
    asking *it = context;
    weft_arena arena;
    const char *found = NULL;
    weft_cache_options options = {.path = it->path,
                                  .format = it->format,
                                  .own = &it->own,
                                  .own_count = it->own != NULL,
                                  .tokenizer = it->tokenizer ? it->tokenizer : tokenizers[0],
                                  .folder = test_path("cache"),
                                  .threads = 1,
                                  .make = !it->lacks,
                                  .stop = stops,
                                  .tell = count,
                                  .context = it};
    weft_arena_init(&arena);
    it->status = weft_cache_find(&options, &arena, &found, &it->error);
    snprintf(it->found, sizeof it->found, "%s", found ? found : "");
    weft_arena_fini(&arena);
    return NULL;
}

static asking ask_for(asking it)
{
    ask(&it);
    if (it.status != WEFT_OK && it.status != WEFT_STOPPED) fail_msg("%s", it.error.text);
    return it;
}

static const char *put_words(const char *name, unsigned seed)
{
    static char bytes[BIG + 16];
    size_t used = 0;
    for (int i = 0; i < WORDS && used < BIG; i++) {
        seed = seed * 1103515245U + 12345U;
        used += (size_t)sprintf(bytes + used, "%c%c%c ", 'a' + (seed >> 16) % 26, 'a' + (seed >> 20) % 26,
                                'a' + (seed >> 24) % 26);
    }
    return test_put(name, bytes, used);
}

static void test_once(void **state)
{
    (void)state;
    const char *path = put_words("once.txt", 1);
    assert_string_equal(ask_for((asking){.path = path, .lacks = true}).found, "");
    asking first = ask_for((asking){.path = path}), second = ask_for((asking){.path = path});
    assert_true(first.told > 1);
    assert_int_equal(second.told, 0);
    assert_string_equal(first.found, second.found);
    assert_string_equal(ask_for((asking){.path = path, .lacks = true}).found, first.found);
    assert_string_not_equal(ask_for((asking){.path = path, .tokenizer = tokenizers[1]}).found, first.found);
    weft_data_options options = test_options(first.found, 16, 0.1);
    weft_data_close(test_open(options));
}

/* A page in the middle, with the size and the time of before. */
static void test_changed(void **state)
{
    (void)state;
    const char *path = put_words("changed.txt", 2);
    asking before = ask_for((asking){.path = path});
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    FILE *file = fopen(path, "r+");
    fseek(file, BIG / 3, SEEK_SET);
    fputs("warp weft", file);
    assert_int_equal(fclose(file), 0);
    const struct timespec times[] = {info.st_atim, info.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    asking after = ask_for((asking){.path = path});
    assert_string_not_equal(before.found, after.found);
    assert_true(after.told > 0);
}

static void read_tokens(const char *prefix, weft_text *out)
{
    weft_error error;
    char path[4200];
    snprintf(path, sizeof path, "%s.bin", prefix);
    weft_text_init(out);
    if (weft_file_read(path, out, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void test_stopped(void **state)
{
    (void)state;
    const char *path = put_words("stopped.txt", 3);
    asking it = ask_for((asking){.path = path, .stop_after = 1});
    assert_int_equal(it.status, WEFT_STOPPED);
    test_says(it.error.text, "stopped before all of it was tokenised");
    it = ask_for((asking){.path = path});
    assert_int_equal(it.status, WEFT_OK);
    assert_true(it.told > 0);
    /* The same text under a name that was never stopped. */
    weft_text stopped, whole;
    read_tokens(it.found, &stopped);
    read_tokens(ask_for((asking){.path = put_words("whole.txt", 3)}).found, &whole);
    assert_int_equal(stopped.length, whole.length);
    assert_memory_equal(stopped.bytes, whole.bytes, whole.length);
    weft_text_fini(&stopped);
    weft_text_fini(&whole);
}

static void test_at_once(void **state)
{
    (void)state;
    enum { ASKING = 4 };
    const char *path = put_words("at-once.txt", 4);
    asking all[ASKING];
    pthread_t threads[ASKING];
    int makers = 0;
    for (int i = 0; i < ASKING; i++) {
        all[i] = (asking){.path = path};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &all[i]), 0);
    }
    for (int i = 0; i < ASKING; i++) {
        pthread_join(threads[i], NULL);
        if (all[i].status != WEFT_OK) fail_msg("%s", all[i].error.text);
        assert_string_equal(all[i].found, all[0].found);
        makers += all[i].told > 0;
    }
    assert_int_equal(makers, 1);
}

/* Tokens stay what they are; JSONL is told by its name; what is neither is refused as ever. */
static void test_kinds(void **state)
{
    (void)state;
    const char *text = test_put_text("kinds.txt", "warp and weft\n");
    char prefix[4096];
    snprintf(prefix, sizeof prefix, "%s", ask_for((asking){.path = text}).found);
    assert_string_equal(ask_for((asking){.path = prefix}).found, prefix);
    const char *lines = test_put_text("kinds.jsonl", "{\"text\": \"warp and weft\\n\"}\n");
    weft_text as_text, as_line, raw;
    read_tokens(prefix, &as_text);
    read_tokens(ask_for((asking){.path = lines}).found, &as_line);
    read_tokens(ask_for((asking){.path = lines, .format = WEFT_CONFIG_TEXT}).found, &raw);
    assert_int_equal(as_text.length, as_line.length);
    assert_memory_equal(as_text.bytes, as_line.bytes, as_text.length);
    assert_true(raw.length > as_line.length);
    weft_text_fini(&as_text);
    weft_text_fini(&as_line);
    weft_text_fini(&raw);
    asking binary = {.path = test_put("binary", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0", 16)};
    ask(&binary);
    assert_int_equal(binary.status, WEFT_INVALID);
    asking bad = {.path = test_put_text("bad.jsonl", "{\"text\": \"warp\"}\n{\"words\": 3}\n")};
    ask(&bad);
    assert_int_equal(bad.status, WEFT_INVALID);
    test_says(bad.error.text, "bad.jsonl:2");
}

/* What is the run's own is no text of its folder. */
static void test_own(void **state)
{
    (void)state;
    test_make_folder("folder");
    test_put_text("folder/a.txt", "warp and weft\n");
    test_put_text("folder/run.yaml", "data: {path: .}\n");
    asking all = {.path = test_path("folder"), .format = WEFT_CONFIG_TEXT}, others = all;
    others.own = test_path("folder/run.yaml");
    assert_int_equal(ask_for(all).documents, 2);
    assert_int_equal(ask_for(others).documents, 1);
}

static int set_up(void **state)
{
    static const char *const files[] = {TOKENIZER_FILES "/gpt2.json", TOKENIZER_FILES "/llama3.json"};
    weft_error error;
    if (test_make_root(state) != 0) return -1;
    for (int i = 0; i < 2; i++)
        if (weft_tokenizer_create(files[i], NULL, &tokenizers[i], &error) != WEFT_OK) fail_msg("%s", error.text);
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < 2; i++) weft_tokenizer_destroy(tokenizers[i]);
    return test_remove_root(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),    cmocka_unit_test(test_changed), cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_at_once), cmocka_unit_test(test_kinds),   cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
