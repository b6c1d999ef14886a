/*
 * Tokenizers in GGUF files: those of files/ are put into one and read again, with the ids of their originals; what
 * llama.cpp has no word for is refused, and so are files that hold no tokenizer.
 */
#include "base/file.h"
#include "fixture.h"
#include "tokenizer/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/weft-tokenizer-gguf-XXXXXX";
static char path[64];

static const weft_gguf_ends no_ends = {-1, -1, -1};

static void write_list(const weft_gguf_list *list)
{
    const weft_gguf_source source = {NULL, NULL};
    weft_error error;
    if (weft_gguf_write(list, NULL, &source, path, &error) != WEFT_OK) fail_msg("%s", error.text);
}

/* The fixture's tokenizer in a file, for a model with `more` tokens than it has. False where it is refused. */
static bool put(const fixture *row, int64_t more, weft_error *error)
{
    weft_gguf_list list;
    weft_tokenizer *tokenizer = fixture_open(row);
    weft_gguf_list_init(&list);
    weft_status status =
        weft_gguf_tokenizer_put(tokenizer, weft_tokenizer_vocabulary(tokenizer) + more, no_ends, &list, error);
    if (status == WEFT_OK) write_list(&list);
    assert_true(status == WEFT_OK || status == WEFT_INVALID);
    weft_gguf_list_fini(&list);
    weft_tokenizer_destroy(tokenizer);
    return status == WEFT_OK;
}

/* Added tokens that take blanks or are looked for in normalised text are written in brackets; GGUF cannot say that.
 * Names such as <s> in a text are tokens to llama.cpp and text to SentencePiece; and Metaspace puts no blank in front
 * of one, nor behind such a name. */
static bool is_common(const fixture *row, const fixture_text *text)
{
    bool pieces = strcmp(row->name, "pieces") == 0, metaspace = strcmp(row->name, "metaspace") == 0;
    if ((pieces || metaspace) && memchr(text->bytes, '<', text->length)) return false;
    if (metaspace && (text->bytes[0] == ' ' || (unsigned char)text->bytes[0] == 0xe2)) return false;
    return fixture_is_utf8(text) && !memchr(text->bytes, '[', text->length);
}

static void check_ids(const fixture *row, const weft_tokenizer *tokenizer, unsigned flags)
{
    size_t count, used = 0;
    weft_encoder *encoder = NULL;
    weft_error error;
    weft_token_list found = {0};
    const fixture_text *texts = fixture_texts(&count);
    const weft_token_list *right = fixture_ids(row);
    assert_int_equal(weft_encoder_create(tokenizer, &encoder, &error), WEFT_OK);
    for (size_t i = 0; i < count; i++) {
        if (!is_common(row, &texts[i])) continue;
        found.count = 0;
        if (weft_encoder_encode(encoder, texts[i].bytes, texts[i].length, flags, &found, &error) != WEFT_OK)
            fail_msg("%s", error.text);
        if (found.count != right[i].count || memcmp(found.ids, right[i].ids, found.count * sizeof *found.ids) != 0)
            fail_msg("%s: text %zu has other ids: %.*s", row->name, i, (int)texts[i].length, texts[i].bytes);
        used++;
    }
    assert_true(used > 40);
    weft_token_list_fini(&found);
    weft_encoder_destroy(encoder);
}

static void test_ids_come_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *refusal; /* NULL: it is written */
    } rows[] = {{"gpt2", NULL},
                {"prefix", "no pre-tokenizer that makes the same words"},
                {"llama3", NULL},
                {"qwen", NULL},
                {"deepseek", "no pre-tokenizer that makes the same words"},
                {"smollm", NULL},
                {"o200k", NULL},
                {"other", "no pre-tokenizer that makes the same words"},
                {"ranks", NULL},
                {"ranks_other", "no pre-tokenizer that makes the same words"},
                {"pieces", NULL},
                {"mapped", "does not normalise"},
                {"pieces_json", NULL},
                {"metaspace", NULL},
                {"metaspace_split", "merges characters as SentencePiece does"}};
    assert_int_equal(sizeof rows / sizeof *rows, fixture_count);
    for (size_t f = 0; f < fixture_count; f++) {
        weft_error error;
        weft_error_clear(&error);
        assert_string_equal(rows[f].name, fixtures[f].name);
        bool written = put(&fixtures[f], 3, &error);
        if (written != !rows[f].refusal || (!written && !strstr(error.text, rows[f].refusal)))
            fail_msg("%s: %s", rows[f].name, written ? "is written" : error.text);
        if (!written) continue;
        weft_tokenizer *back = NULL;
        if (weft_tokenizer_create(path, NULL, &back, &error) != WEFT_OK) fail_msg("%s: %s", rows[f].name, error.text);
        check_ids(&fixtures[f], back, WEFT_ENCODE_BARE);
        weft_tokenizer_destroy(back);
    }
}

/* Ids that the model has and the tokenizer does not stand for nothing; the other way round it is refused. */
static void test_vocabulary(void **state)
{
    (void)state;
    weft_error error;
    weft_tokenizer *first = fixture_open(&fixtures[0]), *back = NULL;
    assert_true(put(&fixtures[0], 5, &error));
    assert_int_equal(weft_tokenizer_create(path, NULL, &back, &error), WEFT_OK);
    assert_int_equal(weft_tokenizer_vocabulary(back), weft_tokenizer_vocabulary(first));
    assert_string_equal(weft_tokenizer_describe(back), weft_tokenizer_describe(first));
    for (int32_t id = 0; id < weft_tokenizer_vocabulary(first); id++)
        assert_int_equal(weft_tokenizer_is_special(back, id), weft_tokenizer_is_special(first, id));
    weft_tokenizer_destroy(back);
    weft_tokenizer_destroy(first);
    assert_false(put(&fixtures[0], -1, &error));
    assert_non_null(strstr(error.text, "tokens, the model"));
}

/* A small one of SentencePiece's, as files have it. */
typedef struct small {
    const char *model, *pre;
    size_t tokens, types, scores;
    float score;
    const char *token; /* the last */
} small;

static void write_small(const small *it)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "\342\226\201", "a", "b", "ab", "\342\226\201a"};
    static const int32_t types[] = {2, 3, 3, 1, 1, 1, 1, 1};
    weft_gguf_list list;
    weft_gguf_list_init(&list);
    if (it->model) weft_gguf_put_string(&list, "tokenizer.ggml.model", it->model);
    if (it->pre) weft_gguf_put_string(&list, "tokenizer.ggml.pre", it->pre);
    weft_gguf_put_array(&list, "tokenizer.ggml.tokens", WEFT_GGUF_STRING, it->tokens);
    for (size_t i = 0; i < it->tokens; i++) {
        const char *text = it->token && i + 1 == it->tokens ? it->token : tokens[i];
        weft_gguf_add_string(&list, text, strlen(text));
    }
    weft_gguf_put_array(&list, "tokenizer.ggml.token_type", WEFT_GGUF_INT32, it->types);
    for (size_t i = 0; i < it->types; i++) weft_gguf_add_whole(&list, types[i]);
    weft_gguf_put_array(&list, "tokenizer.ggml.scores", WEFT_GGUF_FLOAT32, it->scores);
    for (size_t i = 0; i < it->scores; i++) weft_gguf_add_number(&list, i == 7 ? it->score : -(float)i);
    write_list(&list);
    weft_gguf_list_fini(&list);
}

/* The better score merges first; a blank is put in front, and <s>. */
static void test_scores(void **state)
{
    (void)state;
    static const struct {
        float score;
        int32_t ids[8];
        size_t count;
    } rows[] = {{-9, {1, 3, 6}, 3}, {-1, {1, 7, 5}, 3}};
    for (size_t r = 0; r < 2; r++) {
        const small it = {"llama", NULL, 8, 8, 8, rows[r].score, NULL};
        weft_tokenizer *tokenizer = NULL;
        weft_encoder *encoder = NULL;
        weft_error error;
        weft_token_list ids = {0};
        write_small(&it);
        if (weft_tokenizer_create(path, NULL, &tokenizer, &error) != WEFT_OK) fail_msg("%s", error.text);
        assert_int_equal(weft_encoder_create(tokenizer, &encoder, &error), WEFT_OK);
        assert_int_equal(weft_encoder_encode(encoder, "ab", 2, WEFT_ENCODE_BEGIN, &ids, &error), WEFT_OK);
        assert_int_equal(ids.count, rows[r].count);
        assert_memory_equal(ids.ids, rows[r].ids, ids.count * sizeof *ids.ids);
        assert_int_equal(weft_tokenizer_begin_of_text(tokenizer), 1);
        assert_int_equal(weft_tokenizer_end_of_text(tokenizer), 2);
        weft_token_list_fini(&ids);
        weft_encoder_destroy(encoder);
        weft_tokenizer_destroy(tokenizer);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static char long_token[1100];
    memset(long_token, 'a', sizeof long_token - 1);
    const struct {
        small it;
        const char *words;
    } rows[] = {
        {{NULL, NULL, 8, 8, 8, -7, NULL}, "tokenizer.ggml.model is missing"},
        {{"bert", NULL, 8, 8, 8, -7, NULL}, "weft knows gpt2 and llama, not 'bert'"},
        {{"gpt2", "viking", 8, 8, 8, -7, NULL}, "does not know the pre-tokenizer 'viking'"},
        {{"gpt2", NULL, 8, 8, 8, -7, NULL}, "does not know the pre-tokenizer 'none'"},
        {{"gpt2", "llama-bpe", 8, 8, 8, -7, NULL}, "tokenizer.ggml.merges is missing"},
        {{"llama", NULL, 8, 7, 8, -7, NULL}, "token_type: has 7 entries for 8 tokens"},
        {{"llama", NULL, 8, 8, 5, -7, NULL}, "scores: has 5 entries for 8 tokens"},
        {{"llama", NULL, 8, 8, 8, 1e30f * 1e30f, NULL}, "that of token 7 is not finite"},
        {{"llama", NULL, 8, 8, 8, -7, "\xff"}, "token 7 is no text in UTF-8"},
        {{"llama", NULL, 8, 8, 8, -7, long_token}, "token 7 has more than 1024 bytes"},
        {{"llama", NULL, 8, 8, 8, -7, "ab"}, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_tokenizer *tokenizer = NULL;
        weft_error error;
        weft_error_clear(&error);
        write_small(&rows[i].it);
        weft_status status = weft_tokenizer_create(path, NULL, &tokenizer, &error);
        if (status != WEFT_INVALID || !strstr(error.text, rows[i].words) || !strstr(error.text, path))
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, status == WEFT_OK ? "accepted" : error.text, rows[i].words);
    }
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    weft_error error;
    fixture_fini();
    return weft_folder_remove(folder, &error) == WEFT_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_come_back),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("tokenizer_gguf", tests, make_folder, remove_folder);
}
