/* The command: finds the verb, runs it, prints its complaint and chooses the exit status. */
#include "cli/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

/* Descriptors 0 to 2 must not be given to files of the run. A closed standard output stays unwritable: writes fail with
 * the system's reason instead of landing in the first file that is opened. */
static bool occupy_standard_descriptors(void)
{
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (fcntl(descriptor, F_GETFD) != -1) continue;
        if (open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY) != descriptor) return false;
    }
    return true;
}

weft_status weft_cli_print(const weft_text *text, weft_error *error)
{
    TRY(weft_text_check(text, error));
    if (fwrite(weft_text_get(text), 1, text->length, stdout) != text->length || fflush(stdout) != 0)
        FAIL(error, WEFT_FAILED, "cannot write to standard output: %s", strerror(errno));
    return WEFT_OK;
}

static weft_status print_version(weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "weft %s\n", weft_version());
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status print_help(const weft_verb *verb, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_verb_describe(verb, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status run_verb(const weft_verb *verb, int count, char *const *words, int *out_exit, weft_error *error)
{
    weft_arguments arguments;
    weft_status status = weft_arguments_parse(&arguments, verb, count, words, error);
    if (status == WEFT_OK && arguments.wants_help)
        status = print_help(verb, error);
    else if (status == WEFT_OK)
        status = verb->run(&arguments, out_exit, error);
    weft_arguments_fini(&arguments);
    return status;
}

/* *out_verb: the verb that was found, for messages. */
static weft_status run(int count, char *const *words, const weft_verb **out_verb, int *out_exit, weft_error *error)
{
    if (count < 2) FAIL(error, WEFT_INVALID, "a verb is missing ('weft help' lists them)");
    if (strcmp(words[1], "--version") == 0) return print_version(error);
    if (strcmp(words[1], "--help") == 0) return run_verb(&weft_verb_help, 0, NULL, out_exit, error);
    TRY(weft_verb_find(words[1], out_verb, error));
    return run_verb(*out_verb, count - 2, words + 2, out_exit, error);
}

int main(int count, char **words)
{
    int exit_status = 0;
    const weft_verb *verb = NULL;
    weft_error error;
    weft_error_clear(&error);
    if (!occupy_standard_descriptors()) return 1;
    /* A reader that goes away, or a file that grows too large, makes writes fail; neither kills a run half way. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    weft_status status = run(count, words, &verb, &exit_status, &error);
    if (fclose(stdout) != 0 && status == WEFT_OK)
        status = weft_fail(&error, WEFT_FAILED, "cannot write to standard output: %s", strerror(errno));
    if (status == WEFT_OK) return exit_status;
    bool said = error.text[0] == '\0'; /* where several processes fail, by one of them */
    if (!said) fprintf(stderr, "weft%s%s: %s\n", verb ? " " : "", verb ? verb->name : "", error.text);
    return weft_status_exit(status);
}
