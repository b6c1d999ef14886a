/* Values of one field, from text and to text. */
#include "config/fields.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHOICES = 8, CHOICE_BYTES = 32 };

static weft_status wrong_type(const weft_config *config, int index, const char *text, weft_error *error)
{
    char shown[WEFT_SHOWN_BYTES];
    return weft_config_complain(config, weft_field_get(index)->key, error, "expects %s, not '%s'",
                                weft_field_type_words(weft_field_get(index)->type),
                                weft_config_shown(text, shown, sizeof shown));
}

static weft_status check_range(const weft_config *config, int index, double value, const char *text, weft_error *error)
{
    const weft_field *field = weft_field_get(index);
    char shown[WEFT_SHOWN_BYTES];
    if (value >= field->minimum && value <= field->maximum) return WEFT_OK;
    return weft_config_complain(config, field->key, error, "%s is out of range (%.10g to %.10g)",
                                weft_config_shown(text, shown, sizeof shown), field->minimum, field->maximum);
}

static weft_status set_int(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    int64_t value = 0;
    if (!weft_parse_int(text, &value)) return wrong_type(config, index, text, error);
    TRY(check_range(config, index, (double)value, text, error));
    *(int64_t *)out = value;
    return WEFT_OK;
}

static bool hexadecimal(const char *text)
{
    return strpbrk(text, "xX") != NULL;
}

static weft_status set_double(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    double value = 0;
    if (hexadecimal(text) || !weft_parse_double(text, &value)) return wrong_type(config, index, text, error);
    TRY(check_range(config, index, value, text, error));
    *(double *)out = value;
    return WEFT_OK;
}

static weft_status set_bool(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) return wrong_type(config, index, text, error);
    *(bool *)out = yes;
    return WEFT_OK;
}

static weft_status set_text(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    const weft_field *field = weft_field_get(index);
    uint32_t code = 0;
    const char *c = text;
    for (int length; (length = weft_utf8_next(c, &code)) > 0;) c += length;
    if (*c) return weft_config_complain(config, field->key, error, "is not valid UTF-8");
    size_t length = strlen(text);
    if ((double)length < field->minimum) return weft_config_complain(config, field->key, error, "must not be empty");
    if ((double)length > field->maximum)
        return weft_config_complain(config, field->key, error, "is longer than %.0f bytes", field->maximum);
    return weft_arena_text(&config->arena, text, (const char **)out, error);
}

static int split_choices(const char *choices, char storage[CHOICES][CHOICE_BYTES], const char *names[CHOICES])
{
    int count = 0;
    for (const char *from = choices; from && count < CHOICES; count++) {
        const char *bar = strchr(from, '|');
        size_t length = bar ? (size_t)(bar - from) : strlen(from);
        snprintf(storage[count], CHOICE_BYTES, "%.*s", (int)length, from);
        names[count] = storage[count];
        from = bar ? bar + 1 : NULL;
    }
    return count;
}

static weft_status set_choice(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    char storage[CHOICES][CHOICE_BYTES], list[CHOICES * CHOICE_BYTES], shown[WEFT_SHOWN_BYTES];
    const char *names[CHOICES];
    int count = split_choices(weft_field_get(index)->choices, storage, names);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], text) == 0) {
            *(int64_t *)out = i;
            return WEFT_OK;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                 i == 0          ? ""
                                 : i + 1 < count ? ", "
                                                 : " or ",
                                 names[i]);
    }
    int nearest = weft_text_nearest(text, names, count);
    weft_config_shown(text, shown, sizeof shown);
    if (nearest < 0)
        return weft_config_complain(config, weft_field_get(index)->key, error, "expects %s, not '%s'", list, shown);
    return weft_config_complain(config, weft_field_get(index)->key, error, "expects %s, not '%s' (nearest: '%s')", list,
                                shown, names[nearest]);
}

/* The next element of "1, 2, 1" as text of its own; false when it is no short word. */
static bool next_element(const char **from, const char *end, char element[32])
{
    const char *comma = memchr(*from, ',', (size_t)(end - *from));
    const char *stop = comma ? comma : end;
    while (*from < stop && **from == ' ') (*from)++;
    const char *last = stop;
    while (last > *from && last[-1] == ' ') last--;
    if (last - *from >= 32) return false;
    snprintf(element, 32, "%.*s", (int)(last - *from), *from);
    *from = comma ? comma + 1 : end + 1;
    return true;
}

static weft_status set_list(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    const char *from = text, *end = text + strlen(text);
    if (*from == '[') {
        if (end[-1] != ']') return wrong_type(config, index, text, error);
        from++;
        end--;
    }
    while (from < end && *from == ' ') from++;
    size_t room = 1;
    for (const char *c = from; c < end; c++) room += *c == ',';
    int64_t *values = NULL, count = 0;
    TRY(weft_arena_take(&config->arena, room, sizeof *values, &values, error));
    while (from < end || (from == end && count > 0)) {
        char element[32];
        if (!next_element(&from, end, element)) return wrong_type(config, index, text, error);
        if (!weft_parse_int(element, &values[count])) return wrong_type(config, index, text, error);
        TRY(check_range(config, index, (double)values[count], element, error));
        count++;
    }
    *(weft_config_list *)out = (weft_config_list){.values = values, .count = count};
    return WEFT_OK;
}

static weft_status set_size(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    static const struct {
        const char *suffix;
        int shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    char digits[32];
    size_t length = strlen(text);
    int shift = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (length <= 3 || strcmp(text + length - 3, units[i].suffix) != 0) continue;
        shift = units[i].shift;
        length -= 3;
        break;
    }
    while (shift && length > 0 && text[length - 1] == ' ') length--;
    if (length >= sizeof digits) return wrong_type(config, index, text, error);
    snprintf(digits, sizeof digits, "%.*s", (int)length, text);
    int64_t value = 0;
    if (!weft_parse_int(digits, &value)) return wrong_type(config, index, text, error);
    TRY(check_range(config, index, ldexp((double)value, shift), text, error));
    *(int64_t *)out = value << shift;
    return WEFT_OK;
}

static weft_status set_sources(weft_config *config, int index, const char *text, void *out, weft_error *error)
{
    (void)out;
    return weft_field_parse_sources(config, index, text, error);
}

weft_status weft_field_set(weft_config *config, int index, const char *text, weft_error *error)
{
    static weft_status (*const setters[WEFT_FIELD_TYPES])(weft_config *, int, const char *, void *, weft_error *) = {
        [WEFT_FIELD_INT] = set_int,   [WEFT_FIELD_DOUBLE] = set_double,   [WEFT_FIELD_BOOL] = set_bool,
        [WEFT_FIELD_TEXT] = set_text, [WEFT_FIELD_CHOICE] = set_choice,   [WEFT_FIELD_LIST] = set_list,
        [WEFT_FIELD_SIZE] = set_size, [WEFT_FIELD_SOURCES] = set_sources,
    };
    return setters[weft_field_get(index)->type](config, index, text, (char *)config + weft_field_get(index)->offset,
                                                error);
}

static void print_choice(const weft_field *field, int64_t value, bool json, weft_text *out)
{
    char storage[CHOICES][CHOICE_BYTES];
    const char *names[CHOICES];
    split_choices(field->choices, storage, names);
    weft_text_add(out, json ? "\"%s\"" : "%s", names[value]);
}

void weft_field_print(const weft_config *config, int index, bool json, weft_text *out)
{
    const weft_field *field = weft_field_get(index);
    const void *member = (const char *)config + field->offset;
    const weft_config_list *list = member;
    switch (field->type) {
    case WEFT_FIELD_INT:
    case WEFT_FIELD_SIZE:
        weft_text_add(out, "%lld", (long long)*(const int64_t *)member);
        break;
    case WEFT_FIELD_DOUBLE:
        weft_text_add_double(out, *(const double *)member);
        break;
    case WEFT_FIELD_BOOL:
        weft_text_add(out, "%s", *(const bool *)member ? "true" : "false");
        break;
    case WEFT_FIELD_TEXT:
        weft_text_add_json(out, *(const char *const *)member);
        break;
    case WEFT_FIELD_CHOICE:
        print_choice(field, *(const int64_t *)member, json, out);
        break;
    case WEFT_FIELD_LIST:
        weft_text_add(out, "[");
        for (int64_t i = 0; i < list->count; i++)
            weft_text_add(out, "%s%lld", i ? ", " : "", (long long)list->values[i]);
        weft_text_add(out, "]");
        break;
    case WEFT_FIELD_SOURCES:
        weft_field_print_sources(member, out);
        break;
    case WEFT_FIELD_TYPES:
        break;
    }
}
