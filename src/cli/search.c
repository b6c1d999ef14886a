/* weft search: the best order of F, I and W for given costs, and how far the schedules that weft knows are from it. */
#include "plan/search.h"

#include "base/json.h"
#include "cli/costs.h"
#include "cli/launch.h"
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

static weft_status choose_objective(const weft_arguments *arguments, bool *out_own, weft_error *error)
{
    const char *name = weft_arguments_get(arguments, "objective");
    *out_own = name && strcmp(name, "own") == 0;
    if (name && !*out_own && strcmp(name, "step") != 0)
        FAIL(error, WEFT_INVALID, "--objective: expects step or own, not '%s'", name);
    return WEFT_OK;
}

/* Stages and their ranks, by a kind that goes with every placement. */
static weft_status place(hunt *it, const weft_arguments *arguments, weft_error *error)
{
    int64_t ranks = 0, loops = 0, microbatches = 0;
    const char *placement = weft_arguments_get(arguments, "placement");
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
    int64_t work = 0, seed = 0;
    TRY(place(it, arguments, error));
    TRY(choose_objective(arguments, &it->problem.own, error));
    it->problem.whole = weft_arguments_has(arguments, "whole");
    TRY(weft_cli_costs_init(&it->costs, arguments, it->places, !it->problem.whole, error));
    it->costs.costs.pairs = false;
    it->problem.costs = &it->costs.costs;
    TRY(weft_arguments_int(arguments, "memory-cap", 0, 1, INT64_MAX, &it->problem.cap, error));
    TRY(weft_arguments_double(arguments, "seconds", 10, 0, 1e9, &it->problem.seconds, error));
    TRY(weft_arguments_int(arguments, "work", 0, 1, INT64_MAX, &work, error));
    TRY(weft_arguments_int(arguments, "seed", 0, 0, INT64_MAX, &seed, error));
    it->problem.work = (uint64_t)work;
    it->problem.seed = (uint64_t)seed;
    it->problem.stop = weft_cli_catch_signals();
    weft_status status = weft_search(&it->problem, &it->result, error);
    weft_cli_release_signals();
    return status;
}

static double above(double time, double bound)
{
    return bound > 0 ? 100 * (time / bound - 1) : 0;
}

/* Of a schedule, the time that is to be small. */
static double of(const hunt *it, double step_time, double own_step_time)
{
    return it->problem.own ? own_step_time : step_time;
}

/* Why the search ended without a proof. */
static void write_end(const hunt *it, weft_text *out)
{
    const weft_search_problem *problem = &it->problem;
    if (it->result.stopped) {
        weft_text_add(out, "found until it was stopped");
    } else if (problem->work && it->result.work >= problem->work) {
        weft_text_add(out, "found in ");
        weft_text_add_count(out, (int64_t)problem->work, "pass");
        weft_text_add(out, " timed");
    } else {
        weft_text_add(out, "found in %g second%s", problem->seconds, problem->seconds == 1 ? "" : "s");
    }
}

static void write_text(const hunt *it, weft_text *out)
{
    const weft_search_result *found = &it->result;
    const char *objective = it->problem.own ? "own step" : "step";
    double least = of(it, found->step_time, found->own_step_time);
    weft_text_add(out, "%-8s  %.6g, ", objective, least);
    if (found->optimal) {
        weft_text_add(out, "proved: no order takes less\n");
    } else {
        weft_text_add(out, "the best ");
        write_end(it, out);
        weft_text_add(out, "; no order takes less than %.6g, which is %.2f %% below it\n", found->bound,
                      100 * (1 - found->bound / least));
    }
    weft_text_add(out, "\n%-30s%10s  above the %s    held\n", "kind", objective, found->optimal ? "best " : "bound");
    for (int32_t i = 0; i < found->row_count; i++) {
        const weft_search_row *row = &found->rows[i];
        double time = of(it, row->step_time, row->own_step_time);
        weft_text_add(out, "%-28s  %10.6g  %13.2f %%  %6lld\n", row->kind, time,
                      weft_text_figure(above(time, found->bound), 2), (long long)row->held);
    }
    weft_text_add(out, "\n");
    weft_schedule_write_text(found->schedule, out);
}

static void write_json(const hunt *it, weft_text *out)
{
    const weft_search_result *found = &it->result;
    weft_text csv;
    weft_text_init(&csv);
    weft_schedule_write_csv(found->schedule, &csv);
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "objective", it->problem.own ? "own" : "step");
    weft_json_number(&json, "step_time", found->step_time);
    weft_json_number(&json, "own_step_time", found->own_step_time);
    weft_json_number(&json, "bound", found->bound);
    weft_json_truth(&json, "optimal", found->optimal);
    weft_json_truth(&json, "stopped", found->stopped);
    weft_json_int(&json, "nodes", (int64_t)found->nodes);
    weft_json_int(&json, "work", (int64_t)found->work);
    weft_json_list(&json, "kinds", WEFT_JSON_LINES);
    for (int32_t i = 0; i < found->row_count; i++) {
        const weft_search_row *row = &found->rows[i];
        weft_json_object(&json, NULL, WEFT_JSON_ROW);
        weft_json_text(&json, "schedule", row->kind);
        weft_json_number(&json, "step_time", row->step_time);
        weft_json_number(&json, "own_step_time", row->own_step_time);
        weft_json_int(&json, "held", row->held);
        weft_json_object_end(&json);
    }
    weft_json_list_end(&json);
    weft_json_take_text(&json, "csv", &csv);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
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
    {"microbatches", "M", "micro-batches of a step"},
    {"loops", "V", "stages of each rank (default 1)"},
    {"placement", "X", "which rank holds each stage: linear, loop (default), v, or a list such as 0,1,1,0"},
    WEFT_CLI_ORDER_COST_OPTIONS,
    {"memory-cap", "N", "most micro-batch stages that a rank may hold at once (default: any number)"},
    {"whole", NULL, "backward passes stay whole: B in place of I and W"},
    {"objective", "step|own",
     "what is to be short: the step from its first begin to its last end (default), or the "
     "longest that a rank takes from its own begin to its own end"},
    {"seconds", "N", "time limit of the search (default 10); Ctrl-C ends it too, and prints what it has"},
    {"work", "N", "limit of the search that does not depend on the machine: passes timed (default: none)"},
    {"seed", "N", "seed of what the search leaves to chance (default 0)"},
    {"format", "text|csv|json", "text for people (default), the schedule as csv, or json"},
    {"json", NULL, "the same as --format json: print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_search = {
    .name = "search",
    .summary =
        "Searches the best order of passes for given costs, and proves it or bounds it; compares the kinds with it",
    .operands = "",
    .options = options,
    .needed = 2,
    .least = 0,
    .most = 0,
    .run = run,
};
