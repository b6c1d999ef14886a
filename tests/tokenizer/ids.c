/* ids TOKENIZER TEXTS IDS [PATTERN]: encodes the texts of one file and writes their ids, and the texts of these, to
 * another one, for tools/tokenizer_originals.py. A text is 4 bytes of its length and its bytes; ids are 4 bytes of
 * their count and 4 bytes each. Prints what the tokenizer is. */
#include "base/file.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

static uint32_t load32(const unsigned char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static void add_counted(weft_text *out, size_t count, const void *bytes, size_t size)
{
    uint32_t number = (uint32_t)count;
    weft_text_add_bytes(out, &number, sizeof number);
    weft_text_add_bytes(out, bytes, count * size);
}

/* Adds the ids of one text, and their text. */
static weft_status encode_one(const weft_tokenizer *tokenizer, weft_encoder *encoder, const char *text, size_t length,
                              weft_text *out, weft_error *error)
{
    weft_token_list tokens = {0};
    weft_text back;
    weft_text_init(&back);
    weft_status status = weft_encoder_encode(encoder, text, length, WEFT_ENCODE_BARE, &tokens, error);
    if (status == WEFT_OK)
        status = weft_tokenizer_decode(tokenizer, tokens.ids, tokens.count, WEFT_DECODE_ALL, &back, error);
    add_counted(out, tokens.count, tokens.ids, sizeof *tokens.ids);
    add_counted(out, back.length, back.bytes, 1);
    weft_token_list_fini(&tokens);
    weft_text_fini(&back);
    return status;
}

static weft_status encode_all(const weft_tokenizer *tokenizer, const weft_map *texts, weft_text *out, weft_error *error)
{
    weft_encoder *encoder = NULL;
    TRY(weft_encoder_create(tokenizer, &encoder, error));
    weft_status status = WEFT_OK;
    for (size_t at = 0; at + 4 <= texts->size && status == WEFT_OK;) {
        size_t length = load32(texts->bytes + at);
        status = encode_one(tokenizer, encoder, (const char *)texts->bytes + at + 4, length, out, error);
        at += 4 + length;
    }
    weft_encoder_destroy(encoder);
    return status == WEFT_OK ? weft_text_check(out, error) : status;
}

static weft_status run(char **words, const char *pattern, weft_error *error)
{
    weft_tokenizer *tokenizer = NULL;
    weft_map texts = {0};
    weft_text out;
    weft_text_init(&out);
    weft_status status = weft_tokenizer_create(words[1], pattern, &tokenizer, error);
    if (status == WEFT_OK) status = weft_map_init(&texts, words[2], error);
    if (status == WEFT_OK) printf("%s\n", weft_tokenizer_describe(tokenizer));
    if (status == WEFT_OK) status = encode_all(tokenizer, &texts, &out, error);
    if (status == WEFT_OK) status = weft_file_write(words[3], out.bytes, out.length, error);
    weft_text_fini(&out);
    weft_map_fini(&texts);
    weft_tokenizer_destroy(tokenizer);
    return status;
}

int main(int count, char **words)
{
    weft_error error;
    weft_error_clear(&error);
    if (count < 4) return 2;
    weft_status status = run(words, count > 4 ? words[4] : NULL, &error);
    if (status != WEFT_OK) fprintf(stderr, "%s\n", error.text);
    return weft_status_exit(status);
}
