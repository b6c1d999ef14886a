/* weft verify: the proof that a schedule can run and computes the right thing, or a counter-example. */
#include "base/json.h"
#include "cli/sharding.h"
#include "cli/source.h"
#include "program/program.h"

typedef struct findings {
    int64_t messages;
    int64_t *peak;    /* (P) most micro-batch stages held at once */
    int64_t most;     /* of all ranks */
    bool asked;       /* for one queue */
    weft_error queue; /* WEFT_OK, or why the program does not end with one queue of transfers a rank */
} findings;

/* A micro-batch stage is held from its F to the B or W that no longer needs it. cap 0: none. */
static weft_status measure_rank(const weft_program *program, int32_t rank, int64_t cap, int64_t *out_peak,
                                weft_error *error)
{
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    int64_t held = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = program->actions[a];
        if (action.kind == WEFT_F && ++held > *out_peak) *out_peak = held;
        if (cap && held > cap)
            FAIL(error, WEFT_INVALID,
                 "rank %d holds %lld micro-batch stages with %uF%u, pass %u of its %u; the cap is %lld", (int)rank,
                 (long long)held, (unsigned)action.stage, (unsigned)action.microbatch, (unsigned)(a - lane->first) + 1,
                 (unsigned)lane->count, (long long)cap);
        bool frees = program->forward_only ? action.kind == WEFT_F : action.kind == WEFT_B || action.kind == WEFT_W;
        if (frees) held--;
    }
    return WEFT_OK;
}

static weft_status measure(const weft_program *program, int64_t cap, findings *out, weft_error *error)
{
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        TRY(measure_rank(program, rank, cap, &out->peak[rank], error));
        if (out->peak[rank] > out->most) out->most = out->peak[rank];
    }
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        bool sends = lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B;
        if (sends) out->messages += lane->count;
    }
    return WEFT_OK;
}

static void write_text(const weft_schedule *schedule, const weft_program *program, const findings *found,
                       weft_text *out)
{
    const struct {
        int64_t count;
        const char *noun, *behind;
    } sizes[] = {{program->action_count, "action", " on "},
                 {program->ranks, "rank", ", "},
                 {program->stages, "stage", ", "},
                 {program->microbatches, "micro-batch", ": each passes each stage once"}};
    weft_text_add(out, "verified: ");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        weft_text_add_count(out, sizes[i].count, sizes[i].noun);
        weft_text_add(out, "%s", sizes[i].behind);
    }
    weft_text_add(out, "%s, all that it needs comes before it, and no rank waits for ever; at most ",
                  program->forward_only ? " forward" : " each way");
    weft_text_add_count(out, found->most, "micro-batch stage");
    weft_text_add(out, " held on a rank");
    if (!schedule->ascending) weft_text_add(out, "; gradients do not arrive in ascending micro-batch order");
    weft_text_add(out, "\n");
    if (found->queue.status != WEFT_OK)
        weft_text_add(out, "one queue: no, it would not end where all transfers of a rank share one, as over NCCL with "
                           "one communicator (--one-queue shows the circle)\n");
    else if (found->asked)
        weft_text_add(out, "one queue: yes, it ends where all transfers of a rank share one, too\n");
}

static void write_json(const weft_schedule *schedule, const weft_program *program, const findings *found,
                       weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_truth(&json, "verified", true);
    weft_json_text(&json, "schedule", schedule->name);
    weft_json_int(&json, "pipeline", program->ranks);
    weft_json_int(&json, "stages", program->stages);
    weft_json_int(&json, "microbatches", program->microbatches);
    weft_json_int(&json, "actions", program->action_count);
    weft_json_int(&json, "messages", found->messages);
    weft_json_truth(&json, "ascending", schedule->ascending);
    weft_json_list(&json, "peak_activations", WEFT_JSON_ROW);
    for (int32_t rank = 0; rank < program->ranks; rank++) weft_json_int(&json, NULL, found->peak[rank]);
    weft_json_list_end(&json);
    weft_json_truth(&json, "one_queue", found->queue.status == WEFT_OK);
    if (found->queue.status != WEFT_OK) weft_json_text(&json, "one_queue_circle", found->queue.text);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

/* The order of the file's rows, or that which 'weft schedule --communication' writes. */
static weft_status check_queue(const weft_schedule *schedule, const weft_program *program, findings *out,
                               weft_error *error)
{
    weft_schedule *written = NULL;
    if (!schedule->has_messages) TRY(weft_schedule_write_out_messages(schedule, false, &written, error));
    weft_error_clear(&out->queue);
    weft_status status = weft_program_verify_one_queue(program, written ? written : schedule, &out->queue);
    weft_schedule_destroy(written);
    if (status == WEFT_OK || status == WEFT_INVALID) return WEFT_OK;
    *error = out->queue;
    return status;
}

static weft_status print_findings(const weft_arguments *arguments, const weft_schedule *schedule,
                                  const weft_program *program, const findings *found, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    bool json = weft_arguments_has(arguments, "json"), refused = found->asked && found->queue.status != WEFT_OK;
    (json ? write_json : write_text)(schedule, program, found, &text);
    weft_status status = refused && !json ? WEFT_OK : weft_cli_print(&text, error);
    weft_text_fini(&text);
    if (status == WEFT_OK && refused) FAIL(error, WEFT_FAILED, "schedule %s: %s", schedule->name, found->queue.text);
    return status;
}

static weft_status report(const weft_arguments *arguments, const weft_schedule *schedule, const weft_program *program,
                          int64_t cap, weft_error *error)
{
    findings found = {.asked = weft_arguments_has(arguments, "one-queue")};
    weft_status status = weft_allocate((size_t)program->ranks, sizeof *found.peak, &found.peak, error);
    if (status == WEFT_OK) status = measure(program, cap, &found, error);
    if (status == WEFT_OK) status = check_queue(schedule, program, &found, error);
    if (status == WEFT_OK) status = print_findings(arguments, schedule, program, &found, error);
    weft_free(found.peak);
    return status;
}

static weft_status prove(const weft_arguments *arguments, const weft_lower_options *lower, int64_t cap,
                         weft_error *error)
{
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    TRY(weft_cli_schedule(arguments, 0, &schedule, error));
    weft_status status = weft_program_create(schedule, lower, &program, error);
    if (status == WEFT_OK) status = weft_program_verify(program, error);
    if (status == WEFT_OK) status = report(arguments, schedule, program, cap, error);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
    return status;
}

/* The line on standard error comes besides, and so does the exit status. */
static weft_status print_refusal(const weft_error *reason, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_json json = weft_json_begin(&text, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_truth(&json, "verified", false);
    weft_json_text(&json, "reason", reason->text);
    weft_json_object_end(&json);
    weft_text_add(&text, "\n");
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    int64_t cap = 0;
    weft_lower_options lower = {0};
    TRY(weft_arguments_int(arguments, "memory-cap", 0, 1, INT64_MAX, &cap, error));
    TRY(weft_cli_sharding(arguments, &lower, error));
    weft_status status = prove(arguments, &lower, cap, error);
    if (status != WEFT_INVALID || !weft_arguments_has(arguments, "json")) return status;
    weft_error unwritten;
    status = print_refusal(error, &unwritten);
    if (status == WEFT_OK) return error->status;
    *error = unwritten;
    return status;
}

static const weft_option options[] = {
    WEFT_CLI_SCHEDULE_OPTIONS,
    WEFT_CLI_SHARDING_OPTIONS,
    WEFT_CLI_TENSOR_OPTIONS,
    {"memory-cap", "N", "refuse more than N micro-batch stages held at once by a rank"},
    {"one-queue", NULL, "prove that it ends, too, where all transfers of a rank share one queue; status 1 if not"},
    {"json", NULL, "print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_verify = {
    .name = "verify",
    .summary = "Proves that a schedule can run and computes the right thing, or shows where it does not",
    .operands = "KIND|FILE.csv",
    .options = options,
    .least = 1,
    .most = 1,
    .details = weft_cli_schedule_kinds,
    .run = run,
};
