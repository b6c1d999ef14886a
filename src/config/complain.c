/* What is wrong with a configuration, with the place where the value was given. */
#include "config/fields.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

const char *weft_config_shown(const char *text, char *buffer, size_t size)
{
    size_t used = 0;
    while (*text) {
        uint32_t code = 0;
        int length = weft_utf8_next(text, &code);
        bool plain = length > 0 && !weft_utf8_needs_escape(code);
        if (length == 0) length = 1;
        if (used + 8 > size) {
            memcpy(buffer + used, "...", 3);
            used += 3;
            break;
        }
        if (plain)
            memcpy(buffer + used, text, (size_t)length);
        else
            buffer[used] = '?';
        used += plain ? (size_t)length : 1;
        text += length;
    }
    buffer[used] = '\0';
    return buffer;
}

weft_status weft_config_complain(const weft_config *config, const char *key, weft_error *error, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    int index = weft_field_find(key);
    const weft_config_origin *origin = &config->origins[index < 0 ? 0 : index];
    int kind = index < 0 ? WEFT_ORIGIN_UNSET : origin->kind;
    if (kind == WEFT_ORIGIN_COMMAND_LINE) FAIL(error, WEFT_INVALID, "command line: %s: %s", key, message);
    if (kind == WEFT_ORIGIN_FILE)
        FAIL(error, WEFT_INVALID, "%s:%lld:%lld: %s: %s", origin->file, (long long)origin->line,
             (long long)origin->column, key, message);
    if (kind == WEFT_ORIGIN_UNSET) FAIL(error, WEFT_INVALID, "%s: %s: %s", origin->file, key, message);
    static const char *const from[] = {
        [WEFT_ORIGIN_DEFAULT] = "default",
        [WEFT_ORIGIN_PRESET] = "preset",
        [WEFT_ORIGIN_PLAN] = "plan",
        [WEFT_ORIGIN_START] = "start",
    };
    FAIL(error, WEFT_INVALID, "%s: %s (%s): %s", origin->file, key, from[kind], message);
}

weft_status weft_config_relay(const weft_config *config, const char *key, weft_error *error)
{
    weft_error reason = *error;
    return reason.status == WEFT_INVALID ? weft_config_complain(config, key, error, "%s", reason.text) : reason.status;
}

const char *weft_config_name(const weft_config *config)
{
    return config->origins[0].file;
}
