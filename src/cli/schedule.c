/* weft schedule: prints the order in which each pipeline rank computes. */
#include "base/json.h"
#include "cli/source.h"
#include "schedule/schedule.h"

#include <string.h>

/* More than this is hundreds of megabytes of text that nobody reads. */
#define MOST_ACTIONS ((int64_t)1 << 24)

static void add_ranks(const weft_schedule *schedule, weft_json *json)
{
    weft_json_list(json, "actions", WEFT_JSON_LINES);
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        weft_json_list(json, NULL, WEFT_JSON_ROW);
        for (weft_cells cells = {.schedule = schedule, .rank = rank}; weft_cells_next(&cells);) {
            weft_text_add_bytes(weft_json_item(json, NULL), "\"", 1);
            weft_cell_print(&cells, json->out); /* nothing in it to escape */
            weft_text_add_bytes(json->out, "\"", 1);
        }
        weft_json_list_end(json);
    }
    weft_json_list_end(json);
}

static void write_json(const weft_schedule *schedule, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "schedule", schedule->name);
    weft_json_int(&json, "pipeline", schedule->ranks);
    weft_json_int(&json, "loops", schedule->loops);
    weft_json_int(&json, "stages", schedule->stages);
    weft_json_int(&json, "microbatches", schedule->microbatches);
    weft_json_truth(&json, "ascending", schedule->ascending);
    weft_json_list(&json, "stage_rank", WEFT_JSON_ROW);
    for (int32_t stage = 0; stage < schedule->stages; stage++) weft_json_int(&json, NULL, schedule->stage_rank[stage]);
    weft_json_list_end(&json);
    add_ranks(schedule, &json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

typedef void (*writer)(const weft_schedule *schedule, weft_text *out);

static weft_status choose_writer(const weft_arguments *arguments, writer *out, weft_error *error)
{
    static const struct {
        const char *name;
        writer write;
    } forms[] = {{"csv", weft_schedule_write_csv}, {"text", weft_schedule_write_text}, {"json", write_json}};
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
    FAIL(error, WEFT_INVALID, "--format: expects csv, text or json, not '%s'", name);
}

/* Whether waits are written: the loader of torch 2.14 knows none, that of 2.15 wants them. */
static weft_status read_write_dialect(const weft_arguments *arguments, bool *out_waits, weft_error *error)
{
    const char *name = weft_arguments_get(arguments, "write-dialect");
    if (name && strcmp(name, "2.14") != 0 && strcmp(name, "2.15") != 0)
        FAIL(error, WEFT_INVALID, "--write-dialect: expects 2.14 or 2.15, not '%s'", name);
    *out_waits = !name || strcmp(name, "2.15") == 0;
    return WEFT_OK;
}

/* A file with communication that is written as one again has to be whole, too. */
static weft_status make_schedule(const weft_arguments *arguments, writer write, weft_schedule **out, weft_error *error)
{
    weft_schedule *passes = NULL;
    bool waits = true;
    TRY(read_write_dialect(arguments, &waits, error));
    TRY(weft_cli_schedule(arguments, MOST_ACTIONS, &passes, error));
    *out = passes;
    bool again = passes->has_messages && write == weft_schedule_write_csv;
    if (!again && !weft_arguments_has(arguments, "communication")) return WEFT_OK;
    weft_status status = weft_schedule_write_out_messages(passes, waits, out, error);
    weft_schedule_destroy(passes);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    writer write = NULL;
    weft_schedule *schedule = NULL;
    TRY(choose_writer(arguments, &write, error));
    TRY(make_schedule(arguments, write, &schedule, error));
    weft_text text;
    weft_text_init(&text);
    write(schedule, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    weft_schedule_destroy(schedule);
    return status;
}

static const weft_option options[] = {
    WEFT_CLI_SCHEDULE_OPTIONS,
    {"format", "csv|text|json", "csv as torch.distributed.pipelining reads it, text for people (default), or json"},
    {"communication", NULL, "with sends, receives, reductions and what ends them written out, not only passes"},
    {"write-dialect", "2.14", "communication for the loader of torch 2.14, without waits; else as 2.15 wants it"},
    {"json", NULL, "the same as --format json: print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_schedule = {
    .name = "schedule",
    .summary = "Prints a schedule, generated or from a file: what each pipeline rank computes, in order",
    .operands = "KIND|FILE.csv",
    .options = options,
    .least = 1,
    .most = 1,
    .details = weft_cli_schedule_kinds,
    .run = run,
};
