/* The table of verbs and what --help says about one. */
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

#define VERB(name) &weft_verb_##name,
static const weft_verb *const verbs[] = {
#include "cli/verbs.def"
    NULL};
#undef VERB

enum { HELP_COLUMNS = 110 };
enum { VERBS = sizeof verbs / sizeof verbs[0] - 1 };

const weft_verb *const *weft_verbs(void)
{
    return verbs;
}

weft_status weft_verb_find(const char *name, const weft_verb **out, weft_error *error)
{
    const char *names[VERBS];
    for (int i = 0; i < VERBS; i++) {
        names[i] = verbs[i]->name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = verbs[i];
        return WEFT_OK;
    }
    int nearest = weft_text_nearest(name, names, VERBS);
    if (nearest < 0) FAIL(error, WEFT_INVALID, "unknown verb '%s' ('weft help' lists them)", name);
    FAIL(error, WEFT_INVALID, "unknown verb '%s' (nearest: '%s')", name, names[nearest]);
}

/* Adds a word of the usage, whose last line begins at *line; past the columns it starts a new one. */
static void add_word(const char *word, size_t columns, size_t *line, weft_text *out)
{
    if (columns && out->length - *line + 1 + strlen(word) > columns) {
        weft_text_add(out, "\n      ");
        *line = out->length - 6;
    }
    weft_text_add(out, " %s", word);
}

void weft_verb_usage(const weft_verb *verb, size_t columns, weft_text *out)
{
    size_t line = out->length;
    weft_text_add(out, "usage: weft %s", verb->name);
    if (*verb->operands) add_word(verb->operands, columns, &line, out);
    for (int i = 0; verb->options[i].name; i++) {
        const weft_option *option = &verb->options[i];
        char word[80];
        bool needed = i < verb->needed;
        snprintf(word, sizeof word, "%s--%s%s%s%s", needed ? "" : "[", option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "", needed ? "" : "]");
        add_word(word, columns, &line, out);
    }
}

static void add_option(const weft_option *option, weft_text *out)
{
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    weft_text_add(out, "  %-22s  %s\n", left, option->help);
}

void weft_verb_describe(const weft_verb *verb, weft_text *out)
{
    static const weft_option help = {"help", NULL, "print this"};
    weft_verb_usage(verb, HELP_COLUMNS, out);
    weft_text_add(out, "\n\n%s.\n\noptions:\n", verb->summary);
    for (const weft_option *option = verb->options; option->name; option++) add_option(option, out);
    add_option(&help, out);
    if (verb->details) {
        weft_text_add(out, "\n");
        verb->details(out);
    }
}
