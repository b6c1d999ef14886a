/* weft simulate: the longest path through a schedule's program with given costs: step time, bubble and its causes. */
#include "simulate/simulate.h"

#include "base/file.h"
#include "cli/costs.h"
#include "cli/pictures.h"
#include "cli/sharding.h"
#include "cli/source.h"
#include "report/report.h"

#include <stdio.h>
#include <string.h>

typedef struct simulation {
    weft_schedule *schedule; /* until the program is there: the order of millions of actions is large */
    char name[sizeof((weft_schedule *)0)->name];
    int32_t loops;
    weft_cli_costs costs;
    weft_program *program;
    weft_timeline timeline;
    weft_bubble bubble;
    const char *unit; /* of all times */
    uint64_t messages;
    weft_hidden gathers, reductions;
} simulation;

static void count_messages(simulation *it)
{
    const weft_program *program = it->program;
    for (int32_t i = 0; i < program->rank_lanes[program->ranks]; i++) {
        const weft_lane *lane = &program->lanes[i];
        if (lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B) it->messages += lane->count;
    }
}

static weft_status sum_up(simulation *it, weft_error *error)
{
    count_messages(it);
    it->gathers = weft_hidden_measure(&it->timeline, WEFT_UNSHARD);
    it->reductions = weft_hidden_measure(&it->timeline, WEFT_REDUCE_GRAD);
    return weft_bubble_init(&it->bubble, &it->timeline, error);
}

/* An overlapped pair is one piece. Where nothing is said of its cost, parts that cannot begin together, as a file may
 * have them, run one after the other. */
static weft_status find_times(simulation *it, weft_error *error)
{
    weft_costs costs = it->costs.costs;
    costs.pairs = true;
    weft_status status = weft_simulate(it->program, &costs, &it->timeline, error);
    if (status != WEFT_INVALID) return status;
    if (costs.overlap) return weft_error_context(error, "--overlap: with its pairs as one piece");
    costs.pairs = false;
    weft_error_clear(error);
    return weft_simulate(it->program, &costs, &it->timeline, error);
}

static weft_status simulate(simulation *it, const weft_arguments *arguments, weft_error *error)
{
    TRY(weft_cli_unit(arguments, &it->unit, error));
    TRY(weft_cli_schedule(arguments, 0, &it->schedule, error));
    TRY(weft_cli_costs_init(&it->costs, arguments, it->schedule, false, error));
    weft_lower_options lower = {
        .update = it->costs.has_update, .norm = it->costs.has_update, .clip = it->costs.has_update};
    TRY(weft_cli_sharding(arguments, &lower, error));
    if (it->costs.costs.exchanges[WEFT_F] && lower.tensor < 2)
        FAIL(error, WEFT_INVALID, "exchanges need workers that divide every layer: give --tensor 2 or more");
    TRY(weft_program_create(it->schedule, &lower, &it->program, error));
    memcpy(it->name, it->schedule->name, sizeof it->name);
    it->loops = it->schedule->loops;
    weft_schedule_destroy(it->schedule);
    it->schedule = NULL;
    /* What weft generates is proved by its tests; what others wrote is not. */
    if (weft_schedule_is_file(arguments->operands[0])) TRY(weft_program_verify(it->program, error));
    TRY(weft_cli_pictures_check(arguments, it->program, error));
    TRY(weft_timeline_init(&it->timeline, it->program, error));
    TRY(find_times(it, error));
    return sum_up(it, error);
}

static void write_hidden(const simulation *it, weft_text *out)
{
    const weft_hidden *parts[] = {&it->gathers, &it->reductions};
    static const char *const names[] = {"gathers", "reductions"};
    const char *separator = "hidden    ";
    for (int i = 0; i < 2; i++) {
        if (!(parts[i]->seconds > 0)) continue;
        weft_text_add(out, "%s%s %.2f %%", separator, names[i], 100 * weft_hidden_share(parts[i]));
        separator = ", ";
    }
    if (*separator == ',') weft_text_add(out, " of their time behind compute\n");
}

static void write_text(const simulation *it, weft_text *out)
{
    const weft_program *program = it->program;
    weft_text_add(out, "schedule  %s, ", it->name);
    weft_schedule_add_shape(program->stages, program->ranks, out);
    weft_text_add(out, ", ");
    weft_text_add_count(out, program->microbatches, "micro-batch");
    const weft_bubble *bubble = &it->bubble;
    weft_text_add(out, "\nstep      %.6g %s\nbubble    %.2f %% of the step", bubble->step_time, it->unit,
                  100 * bubble->fraction);
    const char *separator = ": ";
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (bubble->cause[cause] < 5e-5) continue;
        weft_text_add(out, "%s%s %.2f %%", separator, weft_bubble_cause_name((weft_bubble_cause)cause),
                      100 * bubble->cause[cause]);
        separator = ", ";
    }
    weft_text_add(out, "\nown       %.6g %s from a rank's first pass to its last, bubble %.2f %% of that",
                  bubble->own_step_time, it->unit, 100 * bubble->own_fraction);
    weft_text_add(out, "\nprogram   ");
    weft_text_add_count(out, program->action_count, "action");
    weft_text_add(out, ", ");
    weft_text_add_count(out, (int64_t)it->messages, "message");
    weft_text_add(out, ", ");
    weft_text_add_count(out, (int64_t)it->gathers.count, "gather");
    weft_text_add(out, ", ");
    weft_text_add_count(out, (int64_t)it->reductions.count, "reduction");
    weft_text_add(out, "\n");
    write_hidden(it, out);
    weft_text_add(out, "\nrank        busy        idle       begin         end    held\n");
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        const weft_bubble_rank *row = &it->bubble.ranks[rank];
        weft_text_add(out, "%4d  %10.6g  %10.6g  %10.6g  %10.6g  %6lld\n", (int)rank, row->busy, row->idle,
                      row->first_begin, row->last_end, (long long)row->peak_activations);
    }
}

static void add_ranks(const simulation *it, weft_json *json)
{
    weft_json_list(json, "ranks", WEFT_JSON_LINES);
    for (int32_t rank = 0; rank < it->program->ranks; rank++) {
        const weft_bubble_rank *row = &it->bubble.ranks[rank];
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_number(json, "busy", row->busy);
        weft_json_number(json, "idle", row->idle);
        weft_json_number(json, "begin", row->first_begin);
        weft_json_number(json, "end", row->last_end);
        weft_json_object_end(json);
    }
    weft_json_list_end(json);
}

static void write_json(const simulation *it, weft_text *out)
{
    const weft_program *program = it->program;
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "schedule", it->name);
    weft_json_int(&json, "pipeline", program->ranks);
    weft_json_int(&json, "stages", program->stages);
    weft_json_int(&json, "microbatches", program->microbatches);
    weft_json_int(&json, "actions", program->action_count);
    weft_json_number(&json, "step_time", it->bubble.step_time);
    weft_json_number(&json, "bubble_fraction", it->bubble.fraction);
    weft_report_causes_json(&json, program, it->bubble.cause, 0);
    weft_json_number(&json, "own_step_time", it->bubble.own_step_time);
    weft_json_number(&json, "own_bubble_fraction", it->bubble.own_fraction);
    weft_json_list(&json, "peak_activations", WEFT_JSON_ROW);
    for (int32_t rank = 0; rank < program->ranks; rank++)
        weft_json_int(&json, NULL, it->bubble.ranks[rank].peak_activations);
    weft_json_list_end(&json);
    weft_json_int(&json, "messages", (int64_t)it->messages);
    weft_json_int(&json, "gathers", (int64_t)it->gathers.count);
    weft_json_int(&json, "reductions", (int64_t)it->reductions.count);
    weft_json_number(&json, "gathers_hidden", weft_hidden_share(&it->gathers));
    weft_json_number(&json, "reductions_hidden", weft_hidden_share(&it->reductions));
    add_ranks(it, &json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

static weft_status draw(const simulation *it, const weft_arguments *arguments, weft_error *error)
{
    const weft_program *program = it->program;
    char title[128], loops[32] = "";
    if (it->loops > 1) snprintf(loops, sizeof loops, ", %d loops", (int)it->loops);
    snprintf(title, sizeof title, "%s, P = %d%s, M = %d", it->name, (int)program->ranks, loops,
             (int)program->microbatches);
    weft_picture picture = {.title = title, .caption = "simulated"};
    return weft_cli_pictures_write(arguments, &it->timeline, &picture, error);
}

static weft_status report(const simulation *it, const weft_arguments *arguments, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    (weft_arguments_has(arguments, "json") ? write_json : write_text)(it, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    simulation it = {0};
    weft_status status = simulate(&it, arguments, error);
    if (status == WEFT_OK) status = draw(&it, arguments, error);
    if (status == WEFT_OK) status = report(&it, arguments, error);
    weft_bubble_fini(&it.bubble);
    weft_timeline_fini(&it.timeline);
    weft_program_destroy(it.program);
    weft_cli_costs_fini(&it.costs);
    weft_schedule_destroy(it.schedule);
    return status;
}

static const weft_option options[] = {
    WEFT_CLI_SCHEDULE_OPTIONS,
    WEFT_CLI_SHARDING_OPTIONS,
    WEFT_CLI_TENSOR_OPTIONS,
    WEFT_CLI_COST_OPTIONS,
    WEFT_CLI_TENSOR_COST_OPTIONS WEFT_CLI_PICTURE_OPTIONS,
    {"json", NULL, "print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_simulate = {
    .name = "simulate",
    .summary = "Simulates a schedule with given costs: step time, bubble by cause, memory; draws it",
    .operands = "KIND|FILE.csv",
    .options = options,
    .least = 1,
    .most = 1,
    .details = weft_cli_schedule_kinds,
    .run = run,
};
