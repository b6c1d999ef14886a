#include "../base/failing.h"
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

#include <cmocka.h>

static char gguf_path[64];

static const char text[] = "In the beginning God created\n e\xcc\x81\xe3\x80\x80 [STRIP] 12345 <s> [NORM]";

static weft_status encode_and_decode(const weft_tokenizer *tokenizer, weft_encoder *encoder, weft_error *error)
{
    weft_token_list tokens = {0};
    weft_text out;
    weft_text_init(&out);
    weft_status status = weft_encoder_encode(encoder, text, strlen(text), WEFT_ENCODE_BEGIN, &tokens, error);
    if (status == WEFT_OK)
        status = weft_tokenizer_encode(tokenizer, text, strlen(text), WEFT_ENCODE_BEGIN, 2, &tokens, error);
    if (status == WEFT_OK) status = weft_tokenizer_decode(tokenizer, tokens.ids, tokens.count, 0, &out, error);
    weft_token_list_fini(&tokens);
    weft_text_fini(&out);
    return status;
}

static weft_status go_through(void *context, weft_error *error)
{
    const fixture *row = context;
    weft_tokenizer *tokenizer = NULL;
    weft_encoder *encoder = NULL;
    TRY(weft_tokenizer_create(fixture_path(row->file), row->pattern, &tokenizer, error));
    weft_status status = weft_encoder_create(tokenizer, &encoder, error);
    if (status == WEFT_OK) status = encode_and_decode(tokenizer, encoder, error);
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t f = 0; f < fixture_count; f++)
        assert_true(failing_each(go_through, (void *)(uintptr_t)&fixtures[f], FAILING_REPORTS) > 10);
}

/* Through a GGUF file. */
static weft_status go_through_gguf(void *context, weft_error *error)
{
    weft_gguf_list list;
    weft_tokenizer *tokenizer = NULL;
    const weft_gguf_source source = {NULL, NULL};
    TRY(weft_tokenizer_create(fixture_path(((const fixture *)context)->file), NULL, &tokenizer, error));
    weft_gguf_list_init(&list);
    weft_status status = weft_gguf_tokenizer_put(tokenizer, weft_tokenizer_vocabulary(tokenizer),
                                                 (weft_gguf_ends){-1, -1, -1}, &list, error);
    if (status == WEFT_OK) status = weft_gguf_write(&list, NULL, &source, gguf_path, error);
    weft_gguf_list_fini(&list);
    weft_tokenizer_destroy(tokenizer);
    if (status != WEFT_OK) return status;
    tokenizer = NULL;
    TRY(weft_tokenizer_create(gguf_path, NULL, &tokenizer, error));
    weft_tokenizer_destroy(tokenizer);
    return WEFT_OK;
}

static void test_gguf(void **state)
{
    (void)state;
    char root[] = "/tmp/weft-tokenizer-no-memory-XXXXXX";
    assert_non_null(mkdtemp(root));
    snprintf(gguf_path, sizeof gguf_path, "%s/a.gguf", root);
    for (size_t f = 0; f < fixture_count; f++)
        if (strcmp(fixtures[f].name, "llama3") == 0 || strcmp(fixtures[f].name, "pieces_json") == 0)
            assert_true(failing_each(go_through_gguf, (void *)(uintptr_t)&fixtures[f], FAILING_REPORTS) > 10);
    assert_int_equal(weft_folder_remove(root, NULL), WEFT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation_may_fail), cmocka_unit_test(test_gguf)};
    return cmocka_run_group_tests_name("tokenizer_no_memory", tests, NULL, NULL);
}
