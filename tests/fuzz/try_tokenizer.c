#include "try_tokenizer.h"

#include "fuzz.h"

#include "tokenizer/tokenizer.h"

#include <string.h>

static const char text[] = "In the a  b\n\xe2\x96\x81x aab bba <s>\xc3\xa9\xe3\x80\x80\x01\xff the end of it";

static void encode(weft_encoder *encoder, const char *from, size_t length, unsigned flags, weft_token_list *tokens)
{
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_encoder_encode(encoder, from, length, flags, tokens, &error);
    if (status == WEFT_FAILED) return; /* an expression of the file that takes too long is given up */
    fuzz_check_refusal(status, &error);
}

static void check_ids(const weft_tokenizer *tokenizer, weft_encoder *encoder)
{
    weft_token_list once = {0}, again = {0};
    weft_text out;
    weft_error error;
    weft_text_init(&out);
    size_t length = strlen(text), cut = weft_tokenizer_cut(tokenizer, text, length, length - 3);
    encode(encoder, text, length, WEFT_ENCODE_BARE, &once);
    encode(encoder, text, cut, WEFT_ENCODE_BARE, &again);
    encode(encoder, text + cut, length - cut, cut ? WEFT_ENCODE_CONTINUES : WEFT_ENCODE_BARE, &again);
    fuzz_check(once.count == again.count && (!once.count || !memcmp(once.ids, again.ids, 4 * once.count)),
               "the ids of the parts are others");
    fuzz_check(weft_tokenizer_decode(tokenizer, once.ids, once.count, 0, &out, &error) == WEFT_OK,
               "an id becomes no text");
    encode(encoder, text, length, WEFT_ENCODE_BEGIN | WEFT_ENCODE_PLAIN, &once);
    weft_text_fini(&out);
    weft_token_list_fini(&once);
    weft_token_list_fini(&again);
}

void try_tokenizer(const char *name, const uint8_t *bytes, size_t size, const char *pattern)
{
    weft_tokenizer *tokenizer = NULL;
    weft_encoder *encoder = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_tokenizer_create(fuzz_file(name, bytes, size), pattern, &tokenizer, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) {
        fuzz_check(weft_encoder_create(tokenizer, &encoder, &error) == WEFT_OK, "no encoder");
        check_ids(tokenizer, encoder);
    }
    weft_encoder_destroy(encoder);
    weft_tokenizer_destroy(tokenizer);
}
