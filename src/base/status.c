#include "base/status.h"

#include <stdio.h>
#include <string.h>

/* Names of files and values from elsewhere may hold line ends and escape sequences. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

weft_status weft_fail(weft_error *error, weft_status status, const char *format, ...)
{
    if (!error) return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    make_one_line(error->text);
    return status;
}

weft_status weft_error_context(weft_error *error, const char *format, ...)
{
    if (!error) return WEFT_FAILED;
    char old[WEFT_ERROR_TEXT];
    memcpy(old, error->text, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (used >= 0 && (size_t)used + 3 < sizeof error->text) {
        int room = (int)(sizeof error->text - (size_t)used - 3);
        snprintf(error->text + used, sizeof error->text - (size_t)used, ": %.*s", room, old);
    }
    make_one_line(error->text);
    return error->status;
}

void weft_error_clear(weft_error *error)
{
    error->status = WEFT_OK;
    error->text[0] = '\0';
}

int weft_status_exit(weft_status status)
{
    if (status == WEFT_OK) return 0;
    return status == WEFT_INVALID ? 2 : 1;
}
