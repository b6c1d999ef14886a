/*
 * Verbs of the command line: one const row each, in a file of its own, listed in verbs.def.
 *
 * Only cli/ prints and ends the process. A verb returns a status and its message; main prints "weft VERB: message" and
 * exits with weft_status_exit(status).
 *
 * Owns: arguments own their arrays until weft_arguments_fini; the strings are those of main.  Threads: main's only.
 */
#ifndef WEFT_CLI_VERB_H
#define WEFT_CLI_VERB_H

#include "base/text.h"

typedef struct weft_option {
    const char *name;     /* without the dashes; NULL ends a table */
    const char *argument; /* "P"; NULL: a switch */
    const char *help;
} weft_option;

struct weft_verb;

typedef struct weft_arguments {
    const struct weft_verb *verb;
    const char **values; /* one an option: NULL when not given, "" for a switch that is; the last one given wins */
    const char **operands;
    int operand_count;
    bool wants_help; /* --help: nothing else was checked */
    weft_arena arena;
} weft_arguments;

typedef struct weft_verb {
    const char *name;
    const char *summary;             /* one line for the list of verbs */
    const char *operands;            /* what follows "weft NAME " before the options */
    const weft_option *options;      /* every verb has --help besides */
    int needed;                      /* of the options: the first so many must be given */
    int least, most;                 /* operands; most -1: any number */
    void (*details)(weft_text *out); /* more lines for --help; NULL: none */
    /* *out_exit: exit status of a run that ended well; 0 unless set. */
    weft_status (*run)(const weft_arguments *arguments, int *out_exit, weft_error *error);
} weft_verb;

#define VERB(name) extern const weft_verb weft_verb_##name;
#include "cli/verbs.def"
#undef VERB

/* NULL-terminated, in the order of verbs.def. */
const weft_verb *const *weft_verbs(void);
/* WEFT_INVALID with the nearest name. */
weft_status weft_verb_find(const char *name, const weft_verb **out, weft_error *error) WEFT_CHECKED;
/* "weft NAME OPERANDS --needed X [--option Y] ...", from the table of options; broken into lines of so many columns, 0:
 * one line. */
void weft_verb_usage(const weft_verb *verb, size_t columns, weft_text *out);
/* What --help prints. */
void weft_verb_describe(const weft_verb *verb, weft_text *out);

/* Rules of getopt_long: "--flag value", "--flag=value", flags and operands in any order, "--" ends the flags, "-" is an
 * operand; no abbreviations. WEFT_INVALID in one line, with the nearest flag for an unknown one. */
weft_status weft_arguments_parse(weft_arguments *arguments, const weft_verb *verb, int count, char *const *words,
                                 weft_error *error) WEFT_CHECKED;
void weft_arguments_fini(weft_arguments *arguments);

/* WEFT_INVALID: "message; usage: weft VERB ...". */
weft_status weft_arguments_refuse(const weft_verb *verb, weft_error *error, const char *format, ...) WEFT_PRINTF(3, 4);

/* NULL when not given. name must be in the verb's table. */
const char *weft_arguments_get(const weft_arguments *arguments, const char *name);
bool weft_arguments_has(const weft_arguments *arguments, const char *name);
/* fallback when not given; WEFT_INVALID when not a number of the range. */
weft_status weft_arguments_int(const weft_arguments *arguments, const char *name, int64_t fallback, int64_t minimum,
                               int64_t maximum, int64_t *out, weft_error *error) WEFT_CHECKED;
weft_status weft_arguments_double(const weft_arguments *arguments, const char *name, double fallback, double minimum,
                                  double maximum, double *out, weft_error *error) WEFT_CHECKED;

/* Writes the text to standard output at once. WEFT_FAILED with the system's reason. */
weft_status weft_cli_print(const weft_text *text, weft_error *error) WEFT_CHECKED;

#endif
