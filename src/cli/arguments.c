/* Flags and operands by a verb's option table. */
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_LIMIT = 64 };

static int option_count(const weft_verb *verb)
{
    int count = 0;
    while (verb->options[count].name) count++;
    return count;
}

/* Index of the option whose name is the first length bytes of word, or -1. */
static int find_option(const weft_verb *verb, const char *word, size_t length)
{
    for (int i = 0; verb->options[i].name; i++)
        if (strlen(verb->options[i].name) == length && strncmp(verb->options[i].name, word, length) == 0) return i;
    return -1;
}

static weft_status unknown_option(const weft_verb *verb, const char *word, size_t length, weft_error *error)
{
    const char *names[NAMES_LIMIT] = {"help"};
    char name[64] = "";
    int count = 1;
    for (const weft_option *option = verb->options; option->name && count < NAMES_LIMIT; option++)
        names[count++] = option->name;
    if (length - 2 < sizeof name) memcpy(name, word + 2, length - 2);
    int nearest = weft_text_nearest(name, names, count);
    if (nearest < 0 || !*name)
        FAIL(error, WEFT_INVALID, "unknown option '%.*s' ('weft %s --help' lists them)", (int)length, word, verb->name);
    FAIL(error, WEFT_INVALID, "unknown option '%.*s' (nearest: '--%s')", (int)length, word, names[nearest]);
}

/* words[*at] starts with "--"; moves *at to the last word used. */
static weft_status take_option(weft_arguments *arguments, int count, char *const *words, int *at, weft_error *error)
{
    const char *word = words[*at], *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    int index = find_option(arguments->verb, word + 2, length - 2);
    if (index < 0 && strcmp(word, "--help") == 0) {
        arguments->wants_help = true;
        return WEFT_OK;
    }
    if (index < 0) return unknown_option(arguments->verb, word, length, error);
    const weft_option *option = &arguments->verb->options[index];
    if (!option->argument) {
        if (equals) FAIL(error, WEFT_INVALID, "option '--%s' takes no value", option->name);
        arguments->values[index] = "";
    } else if (equals) {
        arguments->values[index] = equals + 1;
    } else {
        if (*at + 1 >= count)
            FAIL(error, WEFT_INVALID, "option '--%s' needs a value: %s", option->name, option->argument);
        arguments->values[index] = words[++*at];
    }
    return WEFT_OK;
}

weft_status weft_arguments_refuse(const weft_verb *verb, weft_error *error, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    weft_text usage;
    weft_text_init(&usage);
    weft_verb_usage(verb, 0, &usage);
    weft_status status = weft_fail(error, WEFT_INVALID, "%s; %s", message, weft_text_get(&usage));
    weft_text_fini(&usage);
    return status;
}

static weft_status check_given(const weft_arguments *arguments, weft_error *error)
{
    const weft_verb *verb = arguments->verb;
    if (arguments->operand_count < verb->least) return weft_arguments_refuse(verb, error, "an operand is missing");
    if (verb->most >= 0 && arguments->operand_count > verb->most)
        return weft_arguments_refuse(verb, error, "unexpected operand '%s'", arguments->operands[verb->most]);
    for (int i = 0; i < verb->needed; i++)
        if (!arguments->values[i]) return weft_arguments_refuse(verb, error, "--%s is missing", verb->options[i].name);
    return WEFT_OK;
}

static weft_status parse(weft_arguments *arguments, int count, char *const *words, weft_error *error)
{
    TRY(weft_arena_take(&arguments->arena, (size_t)option_count(arguments->verb), sizeof *arguments->values,
                        &arguments->values, error));
    TRY(weft_arena_take(&arguments->arena, (size_t)count, sizeof *arguments->operands, &arguments->operands, error));
    bool flags = true;
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (flags && strcmp(word, "--") == 0) {
            flags = false;
        } else if (flags && strncmp(word, "--", 2) == 0) {
            TRY(take_option(arguments, count, words, &i, error));
        } else if (flags && word[0] == '-' && word[1]) {
            FAIL(error, WEFT_INVALID,
                 "unknown option '%s' (options start with two dashes; after '--' all are operands)", word);
        } else {
            arguments->operands[arguments->operand_count++] = word;
        }
    }
    return arguments->wants_help ? WEFT_OK : check_given(arguments, error);
}

weft_status weft_arguments_parse(weft_arguments *arguments, const weft_verb *verb, int count, char *const *words,
                                 weft_error *error)
{
    *arguments = (weft_arguments){.verb = verb};
    weft_arena_init(&arguments->arena);
    return parse(arguments, count, words, error);
}

void weft_arguments_fini(weft_arguments *arguments)
{
    weft_arena_fini(&arguments->arena);
}

const char *weft_arguments_get(const weft_arguments *arguments, const char *name)
{
    int index = find_option(arguments->verb, name, strlen(name));
    return index < 0 ? NULL : arguments->values[index];
}

bool weft_arguments_has(const weft_arguments *arguments, const char *name)
{
    return weft_arguments_get(arguments, name) != NULL;
}

weft_status weft_arguments_int(const weft_arguments *arguments, const char *name, int64_t fallback, int64_t minimum,
                               int64_t maximum, int64_t *out, weft_error *error)
{
    const char *text = weft_arguments_get(arguments, name);
    *out = fallback;
    if (!text) return WEFT_OK;
    if (!weft_parse_int(text, out)) FAIL(error, WEFT_INVALID, "--%s: expects a whole number, not '%s'", name, text);
    if (*out < minimum || *out > maximum)
        FAIL(error, WEFT_INVALID, "--%s: %s is out of range (%lld to %lld)", name, text, (long long)minimum,
             (long long)maximum);
    return WEFT_OK;
}

weft_status weft_arguments_double(const weft_arguments *arguments, const char *name, double fallback, double minimum,
                                  double maximum, double *out, weft_error *error)
{
    const char *text = weft_arguments_get(arguments, name);
    *out = fallback;
    if (!text) return WEFT_OK;
    if (!weft_parse_double(text, out)) FAIL(error, WEFT_INVALID, "--%s: expects a number, not '%s'", name, text);
    if (*out < minimum || *out > maximum)
        FAIL(error, WEFT_INVALID, "--%s: %s is out of range (%g to %g)", name, text, minimum, maximum);
    return WEFT_OK;
}
