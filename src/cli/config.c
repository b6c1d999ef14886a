/* weft config: every value in force and where it came from. */
#include "cli/auto.h"
#include "cli/verb.h"
#include "convert/weights.h"

/* What the plan chooses where this machine was measured. */
static weft_status choose(weft_config *config, weft_error *error)
{
    weft_text said;
    weft_cli_auto how = {0};
    weft_text_init(&said);
    weft_status status = weft_cli_auto_choose(config, &how, &said, error);
    if (status == WEFT_OK) status = weft_text_check(&said, error);
    if (status == WEFT_OK) weft_cli_auto_tell(weft_text_get(&said));
    weft_text_fini(&said);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_config config;
    TRY(weft_start_load(&config, arguments->operands[0], arguments->operands + 1, arguments->operand_count - 1, error));
    weft_status status = choose(&config, error);
    weft_text text;
    weft_text_init(&text);
    if (weft_arguments_has(arguments, "json"))
        weft_config_dump_json(&config, &text);
    else
        weft_config_dump(&config, true, &text);
    if (status == WEFT_OK) status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    weft_config_fini(&config);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(out, "The output is a configuration itself. weft help config lists every key.\n");
}

static const weft_option options[] = {
    {"json", NULL, "print an object: {KEY: {\"value\": .., \"origin\": ..}}"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_config = {
    .name = "config",
    .summary = "Prints every value of a configuration in force and where it came from",
    .operands = "FILE.yaml [key=value ...]",
    .options = options,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
