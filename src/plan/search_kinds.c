#include "plan/search_run.h"

#include <stdlib.h>
#include <string.h>

weft_status weft_search_simulate(const weft_search_problem *problem, const weft_schedule *schedule,
                                 weft_search_row *out, weft_error *error)
{
    weft_program *program = NULL;
    weft_timeline timeline = {0};
    weft_bubble_rank *ranks = NULL;
    double bubble;
    weft_status status = weft_program_create(schedule, &(weft_lower_options){0}, &program, error);
    if (status == WEFT_OK) status = weft_timeline_init(&timeline, program, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)problem->ranks, sizeof *ranks, &ranks, error);
    if (status == WEFT_OK) status = weft_simulate(program, problem->costs, &timeline, error);
    if (status == WEFT_OK) weft_bubble_measure(&timeline, &out->step_time, &bubble, ranks);
    out->own_step_time = 0;
    out->held = 0;
    for (int32_t r = 0; status == WEFT_OK && r < problem->ranks; r++) {
        double own = ranks[r].last_end - ranks[r].first_begin;
        if (own > out->own_step_time) out->own_step_time = own;
        if (ranks[r].peak_activations > out->held) out->held = ranks[r].peak_activations;
    }
    weft_free(ranks);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    return status;
}

static bool splits(const weft_schedule *schedule)
{
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++)
        if (schedule->actions[i].kind == WEFT_I) return true;
    return false;
}

/* An order to begin with: B is I, then W, and the k-th pass of a stage that of micro-batch k. */
static void take(weft_search_run *run, const weft_schedule *schedule)
{
    const weft_search_state *state = &run->state;
    int32_t length = 0, *counts = run->counts;
    memset(counts, 0, (size_t)(PASSES * state->S) * sizeof *counts);
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++) {
        weft_action action = schedule->actions[i];
        int32_t from = action.kind == WEFT_F ? PASS_F : action.kind == WEFT_W ? PASS_W : PASS_I;
        int32_t until = action.kind == WEFT_B ? state->passes - 1 : from;
        for (int32_t pass = from; pass <= until; pass++) {
            int32_t m = counts[pass * state->S + (int32_t)action.stage]++;
            run->sequence[length++] = weft_search_pass_number(state, (weft_search_pass)pass, (int32_t)action.stage, m);
        }
    }
    if (weft_search_order_take(&run->order, run->sequence)) weft_search_run_offer(run);
}

/* The best kind is the result until something better is found. */
static void offer(weft_search_run *run, const weft_search_row *row, weft_schedule **schedule)
{
    weft_search_result *result = run->result;
    double value = run->problem->own ? row->own_step_time : row->step_time;
    take(run, *schedule);
    if (value >= run->kind_value) return;
    weft_schedule *kept = result->schedule;
    result->schedule = *schedule;
    run->kind_value = value;
    if (value < run->value) run->value = value;
    *schedule = kept;
}

/* Where rounds are even, a kind with -gaps has the order of that without. */
static weft_status repeats(const weft_schedule_options *options, const weft_schedule *schedule, bool *out,
                           weft_error *error)
{
    static const char end[] = "-gaps";
    char plain[64];
    size_t length = strlen(options->kind), rest = length - (sizeof end - 1);
    *out = false;
    if (length < sizeof end || length >= sizeof plain || strcmp(options->kind + rest, end) != 0) return WEFT_OK;
    memcpy(plain, options->kind, rest);
    plain[rest] = 0;
    weft_schedule_options other = *options;
    weft_schedule *twin = NULL;
    other.kind = plain;
    TRY(weft_schedule_create(&other, &twin, error));
    size_t count = schedule->first[schedule->ranks];
    *out = memcmp(twin->actions, schedule->actions, count * sizeof *twin->actions) == 0;
    weft_schedule_destroy(twin);
    return WEFT_OK;
}

static weft_status try_kind(weft_search_run *run, const char *kind, weft_error *error)
{
    const weft_search_problem *problem = run->problem;
    int32_t loops = problem->stages % problem->ranks ? 0 : problem->stages / problem->ranks;
    weft_schedule_options options = {.kind = kind,
                                     .ranks = problem->ranks,
                                     .loops = loops,
                                     .microbatches = problem->microbatches,
                                     .placement = problem->placement};
    weft_schedule *schedule = NULL;
    weft_search_row row = {.kind = kind};
    bool again = false;
    weft_status status = weft_schedule_create(&options, &schedule, error);
    if (status == WEFT_INVALID) return WEFT_OK; /* it does not go with the placement or the sizes */
    if (status == WEFT_OK) status = repeats(&options, schedule, &again, error);
    if (status == WEFT_OK && !again && !(problem->whole && splits(schedule))) {
        status = weft_search_simulate(problem, schedule, &row, error);
        if (status == WEFT_OK && row.held <= run->state.cap) {
            run->result->rows[run->result->row_count++] = row;
            offer(run, &row, &schedule);
        }
    }
    weft_schedule_destroy(schedule);
    return status;
}

static int compare_numbers(double a, double b)
{
    return (a > b) - (a < b);
}

static int by_step(const void *a_pointer, const void *b_pointer)
{
    const weft_search_row *a = a_pointer, *b = b_pointer;
    int order = compare_numbers(a->step_time, b->step_time);
    return order ? order : strcmp(a->kind, b->kind);
}

static int by_own_step(const void *a_pointer, const void *b_pointer)
{
    const weft_search_row *a = a_pointer, *b = b_pointer;
    int order = compare_numbers(a->own_step_time, b->own_step_time);
    return order ? order : by_step(a, b);
}

weft_status weft_search_try_kinds(weft_search_run *run, weft_error *error)
{
    const char *const *names = weft_schedule_kind_names();
    weft_search_result *result = run->result;
    size_t count = 0;
    while (names[count]) count++;
    TRY(weft_allocate(count, sizeof *result->rows, &result->rows, error));
    for (size_t i = 0; i < count; i++) TRY(try_kind(run, names[i], error));
    qsort(result->rows, (size_t)result->row_count, sizeof *result->rows, run->problem->own ? by_own_step : by_step);
    return WEFT_OK;
}
