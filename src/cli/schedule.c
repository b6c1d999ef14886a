/* weft schedule: prints the order in which each pipeline rank computes. */
#include "schedule/schedule.h"
#include "cli/verb.h"

#include <string.h>

/* More than this is hundreds of megabytes of text that nobody reads. */
#define MOST_ACTIONS ((int64_t)1 << 24)

static void add_ranks(const weft_schedule *schedule, weft_text *out)
{
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        weft_text_add(out, "%s    [", rank ? ",\n" : "");
        for (size_t i = schedule->first[rank]; i < schedule->first[rank + 1]; i++) {
            bool later = i > schedule->first[rank];
            weft_text_add_bytes(out, later ? ", \"" : "\"", later ? 3 : 1);
            weft_action_print(schedule->actions[i], out);
            weft_text_add_bytes(out, "\"", 1);
        }
        weft_text_add(out, "]");
    }
}

static void write_json(const weft_schedule *schedule, weft_text *out)
{
    weft_text_add(out, "{\n  \"schedule\": ");
    weft_text_add_json(out, schedule->name);
    weft_text_add(out, ",\n  \"pipeline\": %d,\n  \"loops\": %d,\n  \"stages\": %d,\n  \"microbatches\": %d,\n",
                  schedule->ranks, schedule->loops, schedule->stages, schedule->microbatches);
    weft_text_add(out, "  \"ascending\": %s,\n  \"stage_rank\": [", schedule->ascending ? "true" : "false");
    for (int32_t stage = 0; stage < schedule->stages; stage++)
        weft_text_add(out, "%s%d", stage ? ", " : "", schedule->stage_rank[stage]);
    weft_text_add(out, "],\n  \"actions\": [\n");
    add_ranks(schedule, out);
    weft_text_add(out, "\n  ]\n}\n");
}

typedef void (*writer)(const weft_schedule *schedule, weft_text *out);

static weft_status choose_writer(const weft_arguments *arguments, writer *out, weft_error *error)
{
    static const struct {
        const char *name;
        writer write;
    } forms[] = {{"csv", weft_schedule_write_csv}, {"text", weft_schedule_write_text}};
    const char *name = weft_arguments_get(arguments, "format");
    bool json = weft_arguments_has(arguments, "json");
    if (json && name) FAIL(error, WEFT_INVALID, "--format and --json exclude each other; give one");
    *out = json ? write_json : weft_schedule_write_text;
    if (!name) return WEFT_OK;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(name, forms[i].name) != 0) continue;
        *out = forms[i].write;
        return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "--format: expects csv or text, not '%s'", name);
}

static weft_status required(const weft_arguments *arguments, const char *name, weft_error *error)
{
    if (weft_arguments_has(arguments, name)) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "--%s is missing; usage: weft %s %s", name, arguments->verb->name,
         arguments->verb->usage);
}

static weft_status read_options(const weft_arguments *arguments, weft_schedule_options *out, weft_error *error)
{
    int64_t ranks = 0, loops = 0, microbatches = 0;
    TRY(required(arguments, "pipeline", error));
    TRY(required(arguments, "microbatches", error));
    TRY(weft_arguments_int(arguments, "pipeline", 0, 1, INT32_MAX, &ranks, error));
    TRY(weft_arguments_int(arguments, "loops", 1, 1, INT32_MAX, &loops, error));
    TRY(weft_arguments_int(arguments, "microbatches", 0, 1, INT32_MAX, &microbatches, error));
    *out = (weft_schedule_options){.kind = arguments->operands[0],
                                   .ranks = (int32_t)ranks,
                                   .loops = (int32_t)loops,
                                   .microbatches = (int32_t)microbatches,
                                   .placement = weft_arguments_get(arguments, "placement")};
    return WEFT_OK;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    writer write = NULL;
    weft_schedule_options options;
    weft_schedule *schedule = NULL;
    TRY(choose_writer(arguments, &write, error));
    TRY(read_options(arguments, &options, error));
    int64_t stages = (int64_t)options.ranks * options.loops;
    if (stages > MOST_ACTIONS / 2 / options.microbatches)
        FAIL(error, WEFT_INVALID, "%lld stages x %d micro-batches are more than %lld actions, too many to print",
             (long long)stages, (int)options.microbatches, (long long)MOST_ACTIONS);
    TRY(weft_schedule_create(&options, &schedule, error));
    weft_text text;
    weft_text_init(&text);
    write(schedule, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    weft_schedule_destroy(schedule);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(out, "kinds:\n");
    for (const char *const *name = weft_schedule_kind_names(); *name; name++)
        weft_text_add(out, "  %-20s  %s\n", *name, weft_schedule_kind_summary(*name));
}

static const weft_option options[] = {
    {"pipeline", "P", "pipeline ranks"},
    {"loops", "V", "stages of each rank (default 1)"},
    {"microbatches", "M", "micro-batches of a step"},
    {"placement", "X", "linear or loop (default: the kind's own)"},
    {"format", "csv|text", "csv as torch.distributed.pipelining reads it, or text for people (default)"},
    {"json", NULL, "print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_schedule = {
    .name = "schedule",
    .summary = "Prints a schedule: what each pipeline rank computes, in order",
    .usage = "KIND --pipeline P --microbatches M [--loops V] [--placement X] [--format csv|text] [--json]",
    .options = options,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
