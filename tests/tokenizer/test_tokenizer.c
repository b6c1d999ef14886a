#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weft_encoder *open_encoder(const weft_tokenizer *tokenizer)
{
    weft_encoder *encoder = NULL;
    weft_error error;
    if (weft_encoder_create(tokenizer, &encoder, &error) != WEFT_OK) fail_msg("%s", error.text);
    return encoder;
}

/* Appends the ids of a text. */
static void encode(weft_encoder *encoder, const char *text, size_t length, unsigned flags, weft_token_list *tokens)
{
    weft_error error;
    if (weft_encoder_encode(encoder, text, length, flags, tokens, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void expect_ids(const weft_token_list *found, const weft_token_list *right, const char *name, size_t text)
{
    for (size_t i = 0; i < found->count && i < right->count; i++)
        if (found->ids[i] != right->ids[i])
            fail_msg("%s, text %zu: id %zu is %d, not %d", name, text, i, found->ids[i], right->ids[i]);
    if (found->count != right->count)
        fail_msg("%s, text %zu: %zu ids, not %zu", name, text, found->count, right->count);
}

/* Each text twice: what the cache gives is what merging gave. */
static void test_ids_are_the_originals(void **state)
{
    (void)state;
    size_t count;
    const fixture_text *texts = fixture_texts(&count);
    assert_true(count > 200);
    for (size_t f = 0; f < fixture_count; f++) {
        weft_tokenizer *tokenizer = fixture_open(&fixtures[f]);
        weft_encoder *encoder = open_encoder(tokenizer);
        const weft_token_list *right = fixture_ids(&fixtures[f]);
        weft_token_list tokens = {0};
        for (size_t i = 0; i < 2 * count; i++) {
            tokens.count = 0;
            encode(encoder, texts[i % count].bytes, texts[i % count].length, WEFT_ENCODE_BARE, &tokens);
            expect_ids(&tokens, &right[i % count], fixtures[f].name, i % count);
        }
        weft_token_list_fini(&tokens);
        weft_encoder_destroy(encoder);
        weft_tokenizer_destroy(tokenizer);
    }
}

/* The text of a text's ids, all at once and id by id: the latter is UTF-8 after each. */
static void expect_text(const weft_tokenizer *tokenizer, const weft_token_list *tokens, const fixture_text *text,
                        const char *name, bool same)
{
    weft_text whole, parts;
    weft_decoder decoder;
    weft_error error;
    weft_text_init(&whole);
    weft_text_init(&parts);
    weft_decoder_init(&decoder, tokenizer, WEFT_DECODE_ALL);
    assert_int_equal(weft_tokenizer_decode(tokenizer, tokens->ids, tokens->count, 0, &whole, &error), WEFT_OK);
    for (size_t i = 0; i < tokens->count; i++) {
        assert_int_equal(weft_decoder_add(&decoder, tokens->ids[i], &parts, &error), WEFT_OK);
        assert_true(fixture_is_utf8(&(fixture_text){weft_text_get(&parts), parts.length}));
    }
    assert_int_equal(weft_decoder_finish(&decoder, &parts, &error), WEFT_OK);
    assert_string_equal(weft_text_get(&whole), weft_text_get(&parts));
    if (same && (whole.length != text->length || memcmp(weft_text_get(&whole), text->bytes, text->length) != 0))
        fail_msg("%s: the text of the ids of\n%.*s is\n%s", name, (int)text->length, text->bytes,
                 weft_text_get(&whole));
    weft_text_fini(&whole);
    weft_text_fini(&parts);
}

/* Added tokens that take blanks do not give them back. */
static bool takes_blanks(const fixture_text *text)
{
    return memmem(text->bytes, text->length, "[STRIP]", 7) || memmem(text->bytes, text->length, "[LEFT]", 6) ||
           memmem(text->bytes, text->length, "[RIGHT]", 7);
}

static void test_decode_gives_the_text(void **state)
{
    (void)state;
    size_t count;
    const fixture_text *texts = fixture_texts(&count);
    for (size_t f = 0; f < fixture_count; f++) {
        weft_tokenizer *tokenizer = fixture_open(&fixtures[f]);
        weft_encoder *encoder = open_encoder(tokenizer);
        weft_token_list tokens = {0};
        for (size_t i = 0; i < count; i++) {
            tokens.count = 0;
            encode(encoder, texts[i].bytes, texts[i].length, WEFT_ENCODE_BARE, &tokens);
            bool marked = memmem(texts[i].bytes, texts[i].length, "\xe2\x96\x81", 3); /* a blank to SentencePiece */
            bool lossy = fixtures[f].changes || (marked && strcmp(fixtures[f].name, "pieces") == 0);
            bool same = !lossy && fixture_is_utf8(&texts[i]) && !takes_blanks(&texts[i]);
            expect_text(tokenizer, &tokens, &texts[i], fixtures[f].name, same);
        }
        weft_token_list_fini(&tokens);
        weft_encoder_destroy(encoder);
        weft_tokenizer_destroy(tokenizer);
    }
}

/* All texts in one, several times over: long enough to be divided. */
static void make_long(weft_text *out, size_t least)
{
    size_t count;
    const fixture_text *texts = fixture_texts(&count);
    weft_text_init(out);
    while (out->length < least)
        for (size_t i = 0; i < count; i++) weft_text_add_bytes(out, texts[i].bytes, texts[i].length);
}

static void test_cuts_keep_the_ids(void **state)
{
    (void)state;
    weft_text text;
    make_long(&text, 10000);
    for (size_t f = 0; f < fixture_count; f++) {
        weft_tokenizer *tokenizer = fixture_open(&fixtures[f]);
        weft_encoder *encoder = open_encoder(tokenizer);
        weft_token_list whole = {0}, parts = {0};
        size_t cuts = 0;
        encode(encoder, text.bytes, text.length, WEFT_ENCODE_BARE, &whole);
        for (size_t most = 1; most <= text.length; most += 7) {
            size_t cut = weft_tokenizer_cut(tokenizer, text.bytes, text.length, most);
            assert_true(cut <= most && cut < text.length);
            if (!cut || (cuts && most % 5)) continue;
            cuts++;
            parts.count = 0;
            encode(encoder, text.bytes, cut, WEFT_ENCODE_BARE, &parts);
            encode(encoder, text.bytes + cut, text.length - cut, WEFT_ENCODE_CONTINUES, &parts);
            expect_ids(&parts, &whole, fixtures[f].name, cut);
        }
        assert_true((cuts > 100) == fixtures[f].cuts);
        weft_token_list_fini(&whole);
        weft_token_list_fini(&parts);
        weft_encoder_destroy(encoder);
        weft_tokenizer_destroy(tokenizer);
    }
    weft_text_fini(&text);
}

static void test_threads_keep_the_ids(void **state)
{
    (void)state;
    weft_text text;
    make_long(&text, 1500000);
    for (size_t f = 0; f < fixture_count; f += 4) {
        weft_tokenizer *tokenizer = fixture_open(&fixtures[f]);
        weft_encoder *encoder = open_encoder(tokenizer);
        weft_token_list whole = {0}, parts = {0};
        weft_error error;
        encode(encoder, text.bytes, text.length, WEFT_ENCODE_BEGIN, &whole);
        assert_int_equal(
            weft_tokenizer_encode(tokenizer, text.bytes, text.length, WEFT_ENCODE_BEGIN, 3, &parts, &error), WEFT_OK);
        expect_ids(&parts, &whole, fixtures[f].name, 0);
        weft_token_list_fini(&whole);
        weft_token_list_fini(&parts);
        weft_encoder_destroy(encoder);
        weft_tokenizer_destroy(tokenizer);
    }
    weft_text_fini(&text);
}

static const fixture *row_of(const char *name)
{
    for (size_t f = 0; f < fixture_count; f++)
        if (strcmp(fixtures[f].name, name) == 0) return &fixtures[f];
    fail_msg("no fixture %s", name);
    return NULL;
}

static void test_flags(void **state)
{
    (void)state;
    static const char text[] = "a</s>[NORM]";
    weft_tokenizer *tokenizer = fixture_open(row_of("llama3"));
    weft_encoder *encoder = open_encoder(tokenizer);
    weft_token_list bare = {0}, begun = {0}, plain = {0};
    int32_t begin = weft_tokenizer_find(tokenizer, "<s>", 3), end = weft_tokenizer_find(tokenizer, "</s>", 4);
    int32_t norm = weft_tokenizer_find(tokenizer, "[NORM]", 6);
    encode(encoder, text, strlen(text), WEFT_ENCODE_BARE, &bare);
    assert_int_equal(bare.count, 3);
    assert_int_equal(bare.ids[1], end);
    assert_int_equal(bare.ids[2], norm);
    encode(encoder, text, strlen(text), WEFT_ENCODE_BEGIN, &begun);
    assert_int_equal(begun.count, 4);
    assert_int_equal(begun.ids[0], begin);
    encode(encoder, text, strlen(text), WEFT_ENCODE_PLAIN, &plain);
    assert_true(plain.count > 4);
    for (size_t i = 0; i < plain.count; i++) assert_false(weft_tokenizer_is_special(tokenizer, plain.ids[i]));
    assert_int_equal(plain.ids[plain.count - 1], norm); /* is no special one */

    weft_text out;
    weft_error error;
    weft_text_init(&out);
    assert_int_equal(weft_tokenizer_decode(tokenizer, begun.ids, begun.count, WEFT_DECODE_SKIP_SPECIAL, &out, &error),
                     WEFT_OK);
    assert_string_equal(weft_text_get(&out), "a[NORM]");
    weft_text_fini(&out);
    weft_token_list_fini(&bare);
    weft_token_list_fini(&begun);
    weft_token_list_fini(&plain);
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
}

static void test_what_it_says_of_itself(void **state)
{
    (void)state;
    weft_tokenizer *json = fixture_open(row_of("llama3")), *model = fixture_open(row_of("pieces"));
    weft_tokenizer *again = fixture_open(row_of("llama3"));
    assert_int_equal(weft_tokenizer_vocabulary(json), 489);
    assert_int_equal(weft_tokenizer_vocabulary(model), 600);
    assert_string_equal(weft_tokenizer_describe(json), "byte-level BPE, pattern llama3, vocabulary 489");
    assert_int_equal(weft_tokenizer_begin_of_text(model), 1);
    assert_int_equal(weft_tokenizer_end_of_text(model), 2);
    assert_int_equal(weft_tokenizer_begin_of_text(json), weft_tokenizer_find(json, "<s>", 3));
    assert_int_equal(weft_tokenizer_end_of_text(json), weft_tokenizer_find(json, "<|endoftext|>", 13));
    assert_int_equal(weft_tokenizer_find(json, "no such token", 13), -1);
    assert_true(weft_tokenizer_fingerprint(json) == weft_tokenizer_fingerprint(again));
    assert_true(weft_tokenizer_fingerprint(json) != weft_tokenizer_fingerprint(model));
    weft_tokenizer_destroy(again);
    again = NULL;
    weft_error error;
    assert_int_equal(weft_tokenizer_create(fixture_path("ranks.tiktoken"), "qwen", &again, &error), WEFT_OK);
    uint64_t qwen = weft_tokenizer_fingerprint(again);
    weft_tokenizer_destroy(again);
    again = fixture_open(row_of("ranks"));
    assert_true(weft_tokenizer_fingerprint(again) != qwen); /* the pattern counts */
    weft_tokenizer_destroy(again);
    weft_tokenizer_destroy(json);
    weft_tokenizer_destroy(model);
}

/* An incomplete character waits for its next id, and is U+FFFD when none comes. */
static void test_decoding_waits_for_whole_characters(void **state)
{
    (void)state;
    weft_tokenizer *tokenizer = fixture_open(row_of("gpt2"));
    weft_encoder *encoder = open_encoder(tokenizer);
    weft_token_list tokens = {0};
    weft_text out;
    weft_error error;
    weft_decoder decoder;
    weft_text_init(&out);
    encode(encoder, "\xf0\x9f\x8e\x89", 4, WEFT_ENCODE_BARE, &tokens);
    assert_int_equal(tokens.count, 4);
    weft_decoder_init(&decoder, tokenizer, WEFT_DECODE_ALL);
    for (size_t i = 0; i < 3; i++) assert_int_equal(weft_decoder_add(&decoder, tokens.ids[i], &out, &error), WEFT_OK);
    assert_int_equal(out.length, 0);
    assert_int_equal(weft_decoder_add(&decoder, tokens.ids[3], &out, &error), WEFT_OK);
    assert_string_equal(weft_text_get(&out), "\xf0\x9f\x8e\x89");
    assert_int_equal(weft_decoder_add(&decoder, tokens.ids[0], &out, &error), WEFT_OK);
    assert_int_equal(weft_decoder_add(&decoder, tokens.ids[1], &out, &error), WEFT_OK);
    assert_int_equal(weft_decoder_finish(&decoder, &out, &error), WEFT_OK);
    assert_string_equal(weft_text_get(&out), "\xf0\x9f\x8e\x89\xef\xbf\xbd");
    out.length = 0;
    assert_int_equal(weft_tokenizer_decode(tokenizer, tokens.ids, 2, WEFT_DECODE_BYTES, &out, &error), WEFT_OK);
    assert_string_equal(weft_text_get(&out), "\xf0\x9f");
    assert_int_equal(weft_decoder_add(&decoder, 99999, &out, &error), WEFT_INVALID);
    weft_text_fini(&out);
    weft_token_list_fini(&tokens);
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
}

/* A word of a megabyte is merged in n log n. */
static void test_long_words(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 20 };
    weft_tokenizer *tokenizer = fixture_open(row_of("gpt2"));
    weft_encoder *encoder = open_encoder(tokenizer);
    weft_token_list tokens = {0};
    weft_text text, back;
    weft_error error;
    weft_text_init(&text);
    weft_text_init(&back);
    for (size_t i = 0; i < LENGTH / 8; i++) weft_text_add(&text, "thetheof");
    encode(encoder, text.bytes, text.length, WEFT_ENCODE_BARE, &tokens);
    assert_int_equal(weft_tokenizer_decode(tokenizer, tokens.ids, tokens.count, 0, &back, &error), WEFT_OK);
    assert_string_equal(text.bytes, back.bytes);
    weft_text_fini(&text);
    weft_text_fini(&back);
    weft_token_list_fini(&tokens);
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
}

static int finish(void **state)
{
    (void)state;
    fixture_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_the_originals),
        cmocka_unit_test(test_decode_gives_the_text),
        cmocka_unit_test(test_cuts_keep_the_ids),
        cmocka_unit_test(test_threads_keep_the_ids),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_what_it_says_of_itself),
        cmocka_unit_test(test_decoding_waits_for_whole_characters),
        cmocka_unit_test(test_long_words),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, finish);
}
