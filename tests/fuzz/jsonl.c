/* A line of JSONL that is anything at all, as a text and as a chat by every template. What is accepted is in parts that
 * lie in the text, end to end, and only what an assistant says is learnt. */
#include "fuzz.h"
#include "tiny.h"

#include <stdlib.h>
#include <string.h>

static void check_parts(const weft_chat_parts *parts)
{
    size_t at = 0;
    for (size_t i = 0; i < parts->count; i++) {
        const weft_chat_part *part = &parts->parts[i];
        const char *text = weft_text_get(&parts->text) + part->offset;
        fuzz_check(part->offset == at && part->length > 0, "parts do not lie end to end");
        fuzz_check(!part->special || weft_tokenizer_find(tiny_tokenizer(), text, part->length) >= 0,
                   "a special token that is none");
        at += part->length;
    }
    fuzz_check(at == parts->text.length, "text that no part holds");
}

static void render(uint32_t number, const char *line, size_t length)
{
    weft_chat_parts parts = {0};
    weft_error error;
    for (int again = 0; again < 2; again++) { /* in what another chat has left */
        weft_error_clear(&error);
        weft_status status = weft_chat_render(tiny_template(number), line, length, &parts, &error);
        fuzz_check_refusal(status, &error);
        if (status == WEFT_OK) check_parts(&parts);
    }
    weft_chat_parts_fini(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *line = malloc(size ? size : 1); /* with nothing behind it */
    weft_text text;
    weft_error error;
    fuzz_check(line != NULL, "out of memory");
    if (size) memcpy(line, bytes, size);
    weft_text_init(&text);
    weft_error_clear(&error);
    fuzz_check_refusal(weft_record_text(line, size, "text", &text, &error), &error);
    for (uint32_t i = 0; i < TINY_TEMPLATES; i++) render(i, line, size);
    weft_text_fini(&text);
    free(line);
    return 0;
}
