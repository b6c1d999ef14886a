#include "words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void words_add(words *w, const char *format, ...)
{
    va_list arguments;
    assert_true(w->count < WORDS);
    va_start(arguments, format);
    int length = vsnprintf(w->text[w->count++], WORD, format, arguments);
    va_end(arguments);
    assert_in_range(length, 0, WORD - 1);
}

void words_load(const words *w, const char *text, weft_config *out)
{
    weft_error error;
    const char *list[WORDS];
    weft_error_clear(&error);
    for (int i = 0; i < w->count; i++) list[i] = w->text[i];
    if (weft_config_load_text(out, text, strlen(text), "test", list, w->count, &error) != WEFT_OK)
        fail_msg("%s", error.text);
}
