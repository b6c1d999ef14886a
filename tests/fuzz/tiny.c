#include "tiny.h"

#include "../data/small_tokenizer.h"
#include "fuzz.h"

#include <stdlib.h>

static weft_tokenizer *tokenizer;

static void destroy(void)
{
    weft_tokenizer_destroy(tokenizer);
}

const weft_tokenizer *tiny_tokenizer(void)
{
    static const char *const specials[] = {
        "<|endoftext|>",
        "<fim_prefix>",
        "<fim_suffix>",
        "<fim_middle>",
        "<|im_start|>",
        "<|im_end|>",
        "<s>",
        "</s>",
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
    };
    weft_text text;
    weft_error error;
    if (tokenizer) return tokenizer;
    weft_text_init(&text);
    small_tokenizer_write(specials, sizeof specials / sizeof *specials, &text);
    const char *path = fuzz_file("tokenizer.json", (const uint8_t *)weft_text_get(&text), text.length);
    weft_error_clear(&error);
    fuzz_check(weft_tokenizer_create(path, NULL, &tokenizer, &error) == WEFT_OK, error.text);
    weft_text_fini(&text);
    atexit(destroy);
    return tokenizer;
}

const weft_chat_template *tiny_template(uint32_t number)
{
    static const char *const names[TINY_TEMPLATES] = {"chatml", "qwen", "llama3", "mistral"};
    const weft_chat_template *form = NULL;
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_chat_template_find(names[number], tiny_tokenizer(), &form, &error) == WEFT_OK, error.text);
    return form;
}
