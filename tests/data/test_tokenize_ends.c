/* Tokenising that is stopped, ended, gone on with, begun anew, or beside another: the same bytes, and nobody else's
 * lost. */
#include "tokenizing.h"

#include <stdio.h>

typedef struct {
    int asked, after;
} stopping;

static bool stops(void *context)
{
    stopping *it = context;
    return ++it->asked > it->after;
}

/* Stopped again and again, in the middle of a document and between two, it ends with the same bytes. */
static void expect_resumed(weft_tokenize_options options, const char *whole, const char *parts)
{
    static const char *const endings[] = {".bin", ".idx", ".mask"};
    int runs = 0;
    options.prefix = test_path(whole);
    tokenizing_run(options);
    options.prefix = test_path(parts);
    for (bool stopped = true; stopped; runs++) {
        stopping it = {0, 1 + runs % 3};
        options.stop = stops;
        options.context = &it;
        options.threads = 1 + runs % 2;
        weft_tokenize_totals totals = tokenizing_run(options);
        stopped = totals.stopped;
        char index[512];
        snprintf(index, sizeof index, "%s.idx", test_path(parts));
        assert_int_equal(weft_path_exists(index), !stopped);
    }
    assert_true(runs > 3);
    for (int i = 0; i < (options.encode.chat || options.pack ? 3 : 2); i++)
        tokenizing_expect_same(whole, parts, endings[i]);
    char left[512];
    snprintf(left, sizeof left, "%s.progress", test_path(parts));
    assert_false(weft_path_exists(left));
}

static void test_resumed(void **state)
{
    (void)state;
    weft_text text, lines;
    weft_text_init(&text);
    weft_text_init(&lines);
    const char *inputs[2] = {tokenizing_put_long_text("long.txt", 9000000, 5)};
    for (uint32_t i = 0; i < 30000; i++) {
        text.length = 0;
        tokenizing_make_text(&text, 1 + i * 7919 % 400, i);
        tokenizing_add_record(&lines, &text);
    }
    inputs[1] = test_put("many.jsonl", weft_text_get(&lines), lines.length);
    expect_resumed(tokenizing_options(inputs, 2, ""), "whole", "parts");
    weft_tokenize_options filled = tokenizing_options(inputs, 2, "");
    filled.encode.fill = (weft_fill_middle){0.5, 0.5, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, 3};
    expect_resumed(filled, "filled-whole", "filled-parts");
    weft_text_fini(&text);
    weft_text_fini(&lines);
}

/* What was ended in the middle is not gone on with by another command, unless it is told to begin anew. */
static void test_other_command(void **state)
{
    (void)state;
    const char *inputs[] = {tokenizing_put_long_text("other.txt", 6000000, 6)};
    stopping it = {0, 1};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "other");
    options.stop = stops;
    options.context = &it;
    assert_true(tokenizing_run(options).stopped);
    options.stop = NULL;
    options.encode.end_of_text = -1;
    tokenizing_refuse(options, "other.progress: an earlier run with other inputs or options");
    options.anew = true;
    assert_false(tokenizing_run(options).stopped);
    options.anew = false;
    tokenizing_refuse(options, "other.idx: is there already");
}

/* A run that begins anew leaves no place to go on from to the one before it, which had other inputs. */
static void test_anew_and_back(void **state)
{
    (void)state;
    const char *inputs[] = {tokenizing_put_long_text("back.txt", 6000000, 7),
                            tokenizing_put_long_text("else.txt", 6000000, 8),
                            test_put_text("broken.jsonl", "{\"text\": 5}\n")};
    stopping it = {0, 1};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "back-whole"),
                          other = tokenizing_options(inputs + 1, 2, "back");
    tokenizing_run(options);
    options.prefix = other.prefix;
    options.stop = stops;
    options.context = &it;
    assert_true(tokenizing_run(options).stopped);
    other.anew = true;
    tokenizing_refuse(other, "broken.jsonl:1: has no text");
    options.stop = NULL;
    tokenizing_run(options);
    tokenizing_expect_same("back-whole", "back", ".bin");
    tokenizing_expect_same("back-whole", "back", ".idx");
}

static const char *put_chats(const char *name, int count)
{
    weft_text lines;
    weft_text_init(&lines);
    for (int i = 0; i < count; i++)
        weft_text_add(&lines,
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"%0*d?\"}, {\"role\": \"assistant\", "
                      "\"content\": \"in the %d\"}]}\n",
                      1 + i % 300, i, i);
    const char *path = test_put(name, weft_text_get(&lines), lines.length);
    weft_text_fini(&lines);
    return path;
}

/* Ended while files get their names, it goes on, too. */
static void test_ended_between_names(void **state)
{
    (void)state;
    static const char *const endings[] = {".bin", ".mask", ".idx"};
    const char *inputs[] = {put_chats("names.jsonl", 12000)};
    weft_error error;
    stopping it = {0, 1};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "names-whole");
    assert_int_equal(weft_chat_template_find("chatml", tokenizing_tokenizer, &options.encode.chat, &error), WEFT_OK);
    tokenizing_run(options);
    options.prefix = test_path("names");
    options.stop = stops;
    options.context = &it;
    assert_true(tokenizing_run(options).stopped);
    options.stop = NULL;
    for (int i = 0; i < 2; i++) {
        char aside[512], named[512];
        snprintf(aside, sizeof aside, "%s%s.part", options.prefix, endings[i]);
        snprintf(named, sizeof named, "%s%s", options.prefix, endings[i]);
        assert_int_equal(rename(aside, named), 0);
    }
    assert_true(tokenizing_run(options).resumed > 0);
    for (int i = 0; i < 3; i++) tokenizing_expect_same("names-whole", "names", endings[i]);
}

static bool is_there(const char *name)
{
    return weft_path_exists(test_path(name));
}

/* Where a run begins anew, nothing is left that another one could take for its own. */
static void test_anew(void **state)
{
    (void)state;
    const char *inputs[] = {tokenizing_put_long_text("anew.txt", 6000000, 7)};
    stopping it = {0, 1};
    weft_tokenize_options first = tokenizing_options(inputs, 1, "anew"), other = first;
    tokenizing_run(tokenizing_options(inputs, 1, "anew-whole"));
    first.stop = other.stop = stops;
    first.context = other.context = &it;
    assert_true(tokenizing_run(first).stopped);
    assert_true(is_there("anew.progress"));
    it = (stopping){0, 0};
    other.anew = true;
    other.encode.end_of_text = -1;
    assert_true(tokenizing_run(other).stopped);
    assert_false(is_there("anew.progress"));
    assert_false(is_there("anew.bin.part"));
    first.stop = NULL;
    assert_int_equal(tokenizing_run(first).resumed, 0);
    tokenizing_expect_same("anew-whole", "anew", ".bin");
}

/* Blocks are filled up at places that the text decides: stopped in front of the first one, all is done again. */
static void test_packed_resumed(void **state)
{
    (void)state;
    static const char *const endings[] = {".bin", ".mask", ".idx"}, *const whole[] = {"blocks-whole", "packed-whole"},
                             *const parts[] = {"blocks-parts", "packed-parts"};
    const char *inputs[] = {put_chats("packed.jsonl", 12000), tokenizing_put_long_text("packed.txt", 6000000, 7)};
    weft_error error;
    for (int i = 0; i < 2; i++) {
        stopping it = {0, 1};
        weft_tokenize_options options = tokenizing_options(inputs + i, 1, whole[i]);
        if (i == 0)
            assert_int_equal(weft_chat_template_find("chatml", tokenizing_tokenizer, &options.encode.chat, &error),
                             WEFT_OK);
        options.pack = 640;
        tokenizing_run(options);
        options.prefix = test_path(parts[i]);
        options.stop = stops;
        options.context = &it;
        weft_tokenize_totals totals = tokenizing_run(options);
        assert_true(totals.stopped && totals.documents == 0);
        options.stop = NULL;
        tokenizing_run(options);
        for (int k = 0; k < 3; k++) tokenizing_expect_same(whole[i], parts[i], endings[k]);
    }
}

/* What has the names of the data set stays as it is, and is named before there was work for nothing. */
static void test_names(void **state)
{
    (void)state;
    const char *inputs[] = {test_put_text("names.txt", "in the")};
    test_put_text("kept.bin", "mine");
    test_put_text("masked.mask", "mine");
    test_make_folder("folder.mask");
    tokenizing_refuse(tokenizing_options(inputs, 1, "kept"), "kept.bin: is there already");
    tokenizing_refuse(tokenizing_options(inputs, 1, "masked"), "masked.mask: is there already");
    tokenizing_refuse(tokenizing_options(inputs, 1, "folder"), "folder.mask: is a folder");
    tokenizing_refuse(tokenizing_options(inputs, 1, "kept.bin"), "kept.bin: is to be a prefix, without .bin");
    tokenizing_refuse(tokenizing_options(inputs, 1, "folder/"), "is no prefix of names of files");
    weft_text kept = tokenizing_read("kept", ".bin");
    assert_string_equal(weft_text_get(&kept), "mine");
    weft_text_fini(&kept);
    assert_true(is_there("masked.mask"));
    test_put_text("torn.progress", "weft tokenize 1 0123\n4 5");
    tokenizing_refuse(tokenizing_options(inputs, 1, "torn"), "torn.progress: does not say where");
    const char *empty[] = {test_put_text("empty.txt", "")};
    tokenizing_refuse(tokenizing_options(empty, 1, "of-empty"), "the inputs hold no text");
    assert_false(is_there("of-empty.bin.part"));
}

typedef struct {
    const weft_tokenize_options *options;
    int refused;
} rival;

static void run_beside(void *context, const weft_tokenize_totals *totals)
{
    rival *it = context;
    weft_tokenize_options options = *it->options;
    weft_error error;
    weft_tokenize_totals ignored;
    (void)totals;
    options.tell = NULL;
    options.anew = true;
    assert_int_equal(weft_tokenize(&options, &ignored, &error), WEFT_INVALID);
    test_says(error.text, "beside: another run is writing it");
    it->refused++;
}

static void test_two_runs(void **state)
{
    (void)state;
    const char *inputs[] = {test_put_text("beside.txt", "in the")};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "beside");
    rival it = {&options, 0};
    options.tell = run_beside;
    options.context = &it;
    tokenizing_run(options);
    assert_int_equal(it.refused, 1);
    assert_true(is_there("beside.idx"));
    assert_false(is_there("beside.lock.part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumed),       cmocka_unit_test(test_other_command),
        cmocka_unit_test(test_anew_and_back), cmocka_unit_test(test_ended_between_names),
        cmocka_unit_test(test_anew),          cmocka_unit_test(test_packed_resumed),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_two_runs),
    };
    return cmocka_run_group_tests(tests, tokenizing_set_up, tokenizing_tear_down);
}
