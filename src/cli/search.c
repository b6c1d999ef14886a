/* weft search: the best order of F, I and W for given costs, and how far the schedules that weft knows are from it. */
#include "plan/search.h"

#include "cli/costs.h"
#include "cli/source.h"

#include <string.h>

typedef enum output_format { FORM_TEXT, FORM_CSV, FORM_JSON } output_format;

typedef struct hunt {
    weft_schedule *places; /* any schedule of the sizes: it has the placement */
    weft_cli_costs costs;
    weft_search_problem problem;
    weft_search_result result;
} hunt;

static weft_status choose_form(const weft_arguments *arguments, output_format *out, weft_error *error)
{
    static const char *const names[] = {"text", "csv", "json"};
    const char *name = weft_arguments_get(arguments, "format");
    bool json = weft_arguments_has(arguments, "json");
    if (json && name) FAIL(error, WEFT_INVALID, "--format and --json exclude each other; give one");
    *out = json ? FORM_JSON : FORM_TEXT;
    if (!name) return WEFT_OK;
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (output_format)i;
        return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "--format: expects text, csv or json, not '%s'", name);
}

/* Stages and their ranks, by a kind that goes with every placement. */
static weft_status place(hunt *it, const weft_arguments *arguments, weft_error *error)
{
    int64_t ranks = 0, loops = 0, microbatches = 0;
    const char *placement = weft_arguments_get(arguments, "placement");
    static const char *const needed[] = {"pipeline", "microbatches"};
    for (int i = 0; i < 2; i++)
        if (!weft_arguments_has(arguments, needed[i]))
            FAIL(error, WEFT_INVALID, "--%s is missing; usage: weft search %s", needed[i], arguments->verb->usage);
    TRY(weft_arguments_int(arguments, "pipeline", 0, 1, WEFT_SEARCH_SIZE_LIMIT, &ranks, error));
    TRY(weft_arguments_int(arguments, "loops", 0, 1, WEFT_SEARCH_LOCAL_LIMIT, &loops, error));
    TRY(weft_arguments_int(arguments, "microbatches", 0, 1, WEFT_SEARCH_SIZE_LIMIT, &microbatches, error));
    weft_schedule_options options = {.kind = "sequential",
                                     .ranks = (int32_t)ranks,
                                     .loops = (int32_t)loops,
                                     .microbatches = (int32_t)microbatches,
                                     .placement = placement ? placement : "loop"};
    TRY(weft_schedule_create(&options, &it->places, error));
    it->problem = (weft_search_problem){.ranks = it->places->ranks,
                                        .stages = it->places->stages,
                                        .microbatches = it->places->microbatches,
                                        .stage_rank = it->places->stage_rank,
                                        .placement = options.placement};
    return WEFT_OK;
}

static weft_status search(hunt *it, const weft_arguments *arguments, weft_error *error)
{
    TRY(place(it, arguments, error));
    TRY(weft_cli_costs_init(&it->costs, arguments, it->places, error));
    it->costs.costs.pairs = false;
    it->problem.costs = &it->costs.costs;
    it->problem.whole = weft_arguments_has(arguments, "whole");
    TRY(weft_arguments_int(arguments, "memory-cap", 0, 1, INT64_MAX, &it->problem.cap, error));
    TRY(weft_arguments_double(arguments, "seconds", 10, 0, 1e9, &it->problem.seconds, error));
    return weft_search(&it->problem, &it->result, error);
}

static double above(double step, double bound)
{
    return bound > 0 ? 100 * (step / bound - 1) : 0;
}

static void write_text(const hunt *it, weft_text *out)
{
    const weft_search_result *found = &it->result;
    if (found->optimal)
        weft_text_add(out, "step      %.6g, proved: no order takes less\n", found->step_time);
    else
        weft_text_add(out,
                      "step      %.6g, the best found in %g seconds; no order takes less than %.6g, which is %.2f %% "
                      "below it\n",
                      found->step_time, it->problem.seconds, found->bound, 100 * (1 - found->bound / found->step_time));
    weft_text_add(out, "\nkind                            step  above the %s    held\n",
                  found->optimal ? "best " : "bound");
    for (int32_t i = 0; i < found->row_count; i++) {
        const weft_search_row *row = &found->rows[i];
        weft_text_add(out, "%-24s  %10.6g  %13.2f %%  %6lld\n", row->kind, row->step_time,
                      above(row->step_time, found->bound), (long long)row->held);
    }
    weft_text_add(out, "\n");
    weft_schedule_write_text(found->schedule, out);
}

static void write_json(const hunt *it, weft_text *out)
{
    const weft_search_result *found = &it->result;
    weft_text_add(out, "{\n  \"step_time\": %.17g,\n  \"bound\": %.17g,\n  \"optimal\": %s,\n  \"nodes\": %llu,\n",
                  found->step_time, found->bound, found->optimal ? "true" : "false", (unsigned long long)found->nodes);
    weft_text_add(out, "  \"kinds\": [");
    for (int32_t i = 0; i < found->row_count; i++)
        weft_text_add(out, "%s\n    {\"schedule\": \"%s\", \"step_time\": %.17g, \"held\": %lld}", i ? "," : "",
                      found->rows[i].kind, found->rows[i].step_time, (long long)found->rows[i].held);
    weft_text_add(out, "\n  ],\n  \"csv\": ");
    weft_text csv;
    weft_text_init(&csv);
    weft_schedule_write_csv(found->schedule, &csv);
    weft_text_add_json(out, weft_text_get(&csv));
    out->failed = out->failed || csv.failed;
    weft_text_fini(&csv);
    weft_text_add(out, "\n}\n");
}

static weft_status report(const hunt *it, output_format chosen, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    if (chosen == FORM_CSV)
        weft_schedule_write_csv(it->result.schedule, &text);
    else
        (chosen == FORM_JSON ? write_json : write_text)(it, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    hunt it = {0};
    output_format chosen = FORM_TEXT;
    TRY(choose_form(arguments, &chosen, error));
    weft_status status = search(&it, arguments, error);
    if (status == WEFT_OK) status = report(&it, chosen, error);
    weft_search_result_fini(&it.result);
    weft_cli_costs_fini(&it.costs);
    weft_schedule_destroy(it.places);
    return status;
}

static const weft_option options[] = {
    {"pipeline", "P", "pipeline ranks"},
    {"loops", "V", "stages of each rank (default 1)"},
    {"microbatches", "M", "micro-batches of a step"},
    {"placement", "X", "which rank holds each stage: linear, loop (default), v, or a list such as 0,1,1,0"},
    {"forward", "X", "time of F, of one micro-batch in one stage; one number, or one a stage: 1,1,2,1"},
    {"backward-input", "X", "time of I"},
    {"backward-weight", "X", "time of W"},
    {"comm", "X", "latency of one message (default 0)"},
    {"costs", "FILE", "costs as YAML or JSON, by the names of the flags; flags win"},
    {"memory-cap", "N", "most micro-batch stages that a rank may hold at once (default: any number)"},
    {"whole", NULL, "backward passes stay whole: B in place of I and W"},
    {"seconds", "N", "time limit of the search (default 10)"},
    {"format", "text|csv|json", "text for people (default), the schedule as csv, or json"},
    {"json", NULL, "the same as --format json: print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_search = {
    .name = "search",
    .summary =
        "Searches the best order of passes for given costs, and proves it or bounds it; compares the kinds with it",
    .usage = "--pipeline P --microbatches M [--loops V] [--placement X] [--forward X] [--backward-input X] "
             "[--backward-weight X] [--comm X] [--costs FILE] [--memory-cap N] [--whole] [--seconds N] [--format "
             "text|csv|json]",
    .options = options,
    .least = 0,
    .most = 0,
    .run = run,
};
