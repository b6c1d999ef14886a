#include "fixture.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/weft-tokenizer-XXXXXX";

static const char *write_file(const char *name, const void *bytes, size_t length)
{
    static char path[128];
    weft_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (weft_file_write(path, bytes, length, &error) != WEFT_OK) fail_msg("%s", error.text);
    return path;
}

/* The file is refused with status 2, by its name and these words. */
static void expect_refused(const char *path, const char *pattern, const char *words)
{
    weft_tokenizer *tokenizer = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_tokenizer_create(path, pattern, &tokenizer, &error);
    if (status == WEFT_OK) fail_msg("%s is taken, where '%s' is expected", path, words);
    assert_int_equal(status, WEFT_INVALID);
    assert_int_equal(error.status, WEFT_INVALID);
    assert_null(tokenizer);
    if (!strstr(error.text, path) || !strstr(error.text, words)) fail_msg("'%s', not '%s'", error.text, words);
}

/* Whatever it says: it ends, and a tokenizer that comes of it encodes. */
static void try_file(const char *path, const char *pattern)
{
    weft_tokenizer *tokenizer = NULL;
    weft_encoder *encoder = NULL;
    weft_token_list tokens = {0};
    weft_error error;
    if (weft_tokenizer_create(path, pattern, &tokenizer, &error) != WEFT_OK) return;
    assert_int_equal(weft_encoder_create(tokenizer, &encoder, &error), WEFT_OK);
    (void)!weft_encoder_encode(encoder, "In the \xe2\x96\x81 b <s>", 15, WEFT_ENCODE_BEGIN, &tokens, &error);
    for (size_t i = 0; i < tokens.count; i++)
        assert_true(tokens.ids[i] >= 0 && tokens.ids[i] < weft_tokenizer_vocabulary(tokenizer));
    weft_token_list_fini(&tokens);
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
}

/* A tokenizer.json with these parts. */
static void expect_json(const char *vocabulary, const char *merges, const char *rest, const char *words)
{
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "{\"model\":{\"type\":\"BPE\",\"vocab\":%s,\"merges\":%s}%s}", vocabulary, merges, rest);
    const char *path = write_file("tokenizer.json", text.bytes, text.length);
    if (words)
        expect_refused(path, NULL, words);
    else
        try_file(path, NULL);
    weft_text_fini(&text);
}

static void test_kinds_that_are_not_read_are_named(void **state)
{
    (void)state;
    expect_refused(fixture_path("unigram.json"), NULL, "the model is Unigram; weft reads BPE alone");
    expect_refused(fixture_path("wordpiece.json"), NULL, "the model is WordPiece; weft reads BPE alone");
    expect_refused(fixture_path("wordlevel.json"), NULL, "the model is WordLevel; weft reads BPE alone");
    expect_refused(fixture_path("unigram.model"), NULL, "the model is Unigram; weft reads BPE alone");
    expect_refused(fixture_path("texts.bin"), NULL, "is no tokenizer that weft knows");
    expect_refused(fixture_path("ranks.tiktoken"), NULL, "such files hold no pattern");
    expect_refused(fixture_path("ranks.tiktoken"), "llama4000", "no pattern is called llama4000; known are gpt2");
    expect_refused(fixture_path("ranks.tiktoken"), "(a", "no regular expression that PCRE2 takes");
    expect_refused(fixture_path("gpt2.json"), "gpt2", "holds its own pattern");
    expect_refused("/nonexistent/tokenizer.json", NULL, "No such file");
    expect_refused(folder, NULL, "has no tokenizer.json, tokenizer.model or *.tiktoken");
    expect_refused(write_file("empty", "", 0), NULL, "is no tokenizer that weft knows");
}

static void test_json_that_does_not_fit(void **state)
{
    (void)state;
    static const char *const two = "{\"a\":0,\"b\":1}";
    expect_json("[]", "[]", "", "model.vocab: a map of ids is expected here");
    expect_json("{\"a\":\"0\"}", "[]", "", "the id of a is no integer");
    expect_json("{\"a\":-1}", "[]", "", "token a has the id -1; ids are 0 to 16777215");
    expect_json("{\"a\":99999999999}", "[]", "", "token a has the id 99999999999");
    expect_json("{\"a\":0,\"b\":0}", "[]", "", "have the same id 0");
    expect_json("{\"a\":0,\"a\":1}", "[]", "", "duplicate object key");
    expect_json(two, "{}", "", "model.merges: a list is expected here");
    expect_json(two, "[\"a\"]", "", "model.merges[0]: two tokens are expected here");
    expect_json(two, "[[\"a\"]]", "", "model.merges[0]: two tokens are expected here");
    expect_json(two, "[\"a c\"]", "", "model.merges[0]: c is not in the vocabulary");
    expect_json(two, "[\"a b\"]", "", "model.merges[0]: ab is not in the vocabulary");
    expect_json(two, "[\"a b c\"]", "", "model.merges[0]: two tokens are expected here");
    expect_json(two, "[]", ",\"normalizer\":{\"type\":\"Lowercase\"}", "normalizer: Lowercase is not known");
    expect_json(two, "[]", ",\"normalizer\":7", "normalizer: an object with a type is expected here");
    expect_json(two, "[]", ",\"pre_tokenizer\":{\"type\":\"Whitespace\"}", "pre_tokenizer: Whitespace is not known");
    expect_json(two, "[]",
                ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}",
                "the pattern ( is no regular expression");
    expect_json(two, "[]",
                ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\"}",
                "Split that is Removed is not known");
    expect_json(two, "[]", ",\"decoder\":{\"type\":\"CTC\"}", "decoder: CTC is not known");
    expect_json(two, "[]", ",\"post_processor\":{\"type\":\"BertProcessing\"}",
                "post_processor: BertProcessing is not");
    expect_json(two, "[]", ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]", "x has the id 1 of another token");
    expect_json(two, "[]", ",\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]", "a has the id 1 here and 0 in");
    expect_json(two, "[]", ",\"added_tokens\":[{\"content\":\"a\"}]", "an id and a content are expected in each");
    expect_json(two, "[]", ",\"added_tokens\":[{\"id\":2,\"content\":\"x\",\"lstrip\":1}]", "lstrip: true or false");
    expect_json(two, "[]",
                ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
                "\"x\"}}],\"special_tokens\":{\"x\":{\"ids\":[9]}}}",
                "an id that is no token's");
    expect_json("{\"a\":0}", "[]", "}", "not valid JSON");
    expect_refused(write_file("tokenizer.json", "{\"a\":1}", 7), NULL, "is no tokenizer.json");
}

/* A merge whose result is one of its own parts still makes words shorter. */
static void test_merges_in_a_circle_end(void **state)
{
    (void)state;
    expect_json("{\"a\":0,\"aa\":1,\"aaa\":2,\"b\":3}", "[\"a a\",\"aa a\",\"a aa\"]", "", NULL);
    expect_json("{\"a\":0,\"\":1}", "[[\"\",\"a\"],[\"a\",\"\"],[\"\",\"\"]]", "", NULL);
}

static void test_tiktoken_that_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"YQ== 0\nYg==\n", "line 2 is no token in base 64 and its rank"},
        {"YQ== 0\nYg= 1\n", "line 2 is no token"},
        {"YQ== 0\nY=g= 1\n", "line 2 is no token"},
        {"YQ== 0\nYg== -1\n", "line 2 is no token"},
        {"YQ== 0\nYg== 1x\n", "line 2 is no token"},
        {"YQ== 0\nYQ== 1\n", "line 2: this token stands in an earlier line"},
        {"YQ== 0\nYg== 0\n", "have the same id 0"},
        {"YQ== 0\nYg== 16777216\n", "has the id 16777216"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(write_file("a.tiktoken", cases[i].text, strlen(cases[i].text)), "gpt2", cases[i].words);
    try_file(write_file("a.tiktoken", "YQ== 0\r\n\nYg== 5", 15), "gpt2");
}

static void test_bytes_without_a_token(void **state)
{
    (void)state;
    weft_tokenizer *tokenizer = NULL;
    weft_encoder *encoder = NULL;
    weft_token_list tokens = {0};
    weft_error error;
    const char *path = write_file("a.tiktoken", "YQ== 0\n", 7);
    assert_int_equal(weft_tokenizer_create(path, "gpt2", &tokenizer, &error), WEFT_OK);
    assert_int_equal(weft_encoder_create(tokenizer, &encoder, &error), WEFT_OK);
    assert_int_equal(weft_encoder_encode(encoder, "a", 1, 0, &tokens, &error), WEFT_OK);
    assert_int_equal(weft_encoder_encode(encoder, "aab", 3, 0, &tokens, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "0x62"));
    assert_int_equal(tokens.count, 1); /* as it was */
    weft_token_list_fini(&tokens);
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
}

/* Cut short at every place, and one byte changed at many. */
static void test_damaged_files_end(void **state)
{
    (void)state;
    static const char *const files[] = {"mapped.model", "metaspace.json", "ranks.tiktoken"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        weft_text whole;
        weft_error error;
        weft_text_init(&whole);
        assert_int_equal(weft_file_read(fixture_path(files[f]), &whole, &error), WEFT_OK);
        const char *pattern = strstr(files[f], ".tiktoken") ? "gpt2" : NULL;
        for (size_t length = 0; length < whole.length; length += 1 + length / 16)
            try_file(write_file("cut", whole.bytes, length), pattern);
        for (size_t at = 0; at < whole.length; at += 1 + at / 16) {
            whole.bytes[at] ^= 0x15;
            try_file(write_file("changed", whole.bytes, whole.length), pattern);
            whole.bytes[at] ^= 0x15;
        }
        weft_text_fini(&whole);
    }
}

static void test_folders(void **state)
{
    (void)state;
    weft_text ranks;
    weft_error error;
    weft_tokenizer *tokenizer = NULL;
    weft_text_init(&ranks);
    assert_int_equal(weft_file_read(fixture_path("ranks.tiktoken"), &ranks, &error), WEFT_OK);
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
    assert_int_equal(weft_folder_create(folder, &error), WEFT_OK);
    (void)write_file("b.tiktoken", ranks.bytes, ranks.length);
    assert_int_equal(weft_tokenizer_create(folder, "llama3", &tokenizer, &error), WEFT_OK);
    weft_tokenizer_destroy(tokenizer);
    (void)write_file("a.tiktoken", ranks.bytes, ranks.length);
    expect_refused(folder, "llama3", "has several .tiktoken files; name one");
    static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"x\":0,\"y\":1,\"z\":2},\"merges\":[]}}";
    static const char settings[] = "{\"bos_token\":\"y\",\"eos_token\":{\"content\":\"z\"}}";
    (void)write_file("tokenizer.json", json, strlen(json));
    (void)write_file("tokenizer_config.json", settings, strlen(settings));
    assert_int_equal(weft_tokenizer_create(folder, NULL, &tokenizer, &error), WEFT_OK);
    assert_int_equal(weft_tokenizer_begin_of_text(tokenizer), 1);
    assert_int_equal(weft_tokenizer_end_of_text(tokenizer), 2);
    weft_tokenizer_destroy(tokenizer);
    (void)write_file("tokenizer_config.json", "{", 1);
    expect_refused(folder, NULL, "tokenizer_config.json:1:1: not valid JSON");
    weft_text_fini(&ranks);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    weft_error error;
    fixture_fini();
    return weft_folder_remove(folder, &error) == WEFT_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_that_are_not_read_are_named),
        cmocka_unit_test(test_json_that_does_not_fit),
        cmocka_unit_test(test_merges_in_a_circle_end),
        cmocka_unit_test(test_tiktoken_that_does_not_fit),
        cmocka_unit_test(test_bytes_without_a_token),
        cmocka_unit_test(test_damaged_files_end),
        cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests_name("tokenizer_hostile", tests, begin, finish);
}
