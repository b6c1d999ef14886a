/* weft help: the list of verbs, one verb, or every key of a configuration. */
#include "cli/verb.h"
#include "config/config.h"

#include <string.h>

static void add_list(weft_text *out)
{
    weft_text_add(out, "weft trains transformer language models through a pipeline of devices, breadth first.\n\n"
                       "usage: weft VERB ...\n\n");
    for (const weft_verb *const *verb = weft_verbs(); *verb; verb++)
        weft_text_add(out, "  %-10s  %s\n", (*verb)->name, (*verb)->summary);
    weft_text_add(out, "\nweft VERB --help tells more; weft help config lists every key of a configuration;\n"
                       "weft --version prints the version.\n"
                       "Exit status: 0 success, 1 failure while running, 2 wrong use or configuration.\n");
}

static weft_status write_help(const weft_arguments *arguments, weft_text *out, weft_error *error)
{
    if (arguments->operand_count == 0) {
        add_list(out);
        return WEFT_OK;
    }
    const weft_verb *verb = NULL;
    if (strcmp(arguments->operands[0], "config") == 0) {
        weft_config_help(out);
        return WEFT_OK;
    }
    TRY(weft_verb_find(arguments->operands[0], &verb, error));
    weft_verb_describe(verb, out);
    return WEFT_OK;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_text text;
    weft_text_init(&text);
    weft_status status = write_help(arguments, &text, error);
    if (status == WEFT_OK) status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static const weft_option options[] = {{NULL, NULL, NULL}};

const weft_verb weft_verb_help = {
    .name = "help",
    .summary = "Tells what weft and its verbs do",
    .operands = "[VERB]",
    .options = options,
    .least = 0,
    .most = 1,
    .run = run,
};
