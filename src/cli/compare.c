/* weft compare: whether two checkpoints hold the same bits. */
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "cli/verb.h"

static weft_status report(const weft_arguments *arguments, bool same, const char *difference, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    if (weft_arguments_has(arguments, "json")) {
        weft_json json = weft_json_begin(&text, WEFT_JSON_WIDE);
        weft_json_object(&json, NULL, WEFT_JSON_ROW);
        weft_json_truth(&json, "same", same);
        weft_json_text(&json, "difference", same ? NULL : difference);
        weft_json_object_end(&json);
        weft_text_add(&text, "\n");
    } else {
        weft_text_add(&text, "%s\n", same ? "same" : difference);
    }
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    bool same = false;
    weft_text difference;
    weft_text_init(&difference);
    weft_status status =
        weft_checkpoint_compare(arguments->operands[0], arguments->operands[1], &same, &difference, error);
    if (status == WEFT_OK) status = weft_text_check(&difference, error);
    if (status == WEFT_OK) status = report(arguments, same, weft_text_get(&difference), error);
    if (status == WEFT_OK) *out_exit = same ? 0 : 1;
    weft_text_fini(&difference);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "Each operand is a checkpoint or a run folder (its latest checkpoint). Steps, names, shapes and bytes of\n"
        "weights and moments count; how they lie in files does not. Exit status: 0 same, 1 different, 2 wrong use.\n");
}

static const weft_option options[] = {
    {"json", NULL, "print an object: {\"same\": .., \"difference\": ..}"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_compare = {
    .name = "compare",
    .summary = "Compares two checkpoints bit for bit and names the first difference",
    .operands = "CHECKPOINT CHECKPOINT",
    .options = options,
    .least = 2,
    .most = 2,
    .details = details,
    .run = run,
};
