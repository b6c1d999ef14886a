#include "../base/failing.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation_may_fail)};
    return cmocka_run_group_tests_name("tokenizer_no_memory", tests, NULL, NULL);
}
