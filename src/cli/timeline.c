/* weft timeline: a measured step of a run beside what the steps before it let expect. */
#include "cli/timeline.h"

#include "base/file.h"
#include "base/median.h"
#include "cli/pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 98, MOST_ACTIONS = 50000000 }; /* of drawn steps; of all of them together */

/* Leaves steps up to the one looked at. */
static weft_status choose_step(weft_step_forecast *it, const weft_arguments *arguments, weft_error *error)
{
    int64_t wanted = it->steps[it->step_count - 1];
    TRY(weft_arguments_int(arguments, "step", wanted, 1, INT64_MAX, &wanted, error));
    size_t at = 0, count = it->step_count;
    while (at + 1 < count && it->steps[at] < wanted) at++;
    if (it->steps[at] != wanted) {
        size_t near = at > 0 && wanted - it->steps[at - 1] < llabs(it->steps[at] - wanted) ? at - 1 : at;
        FAIL(error, WEFT_INVALID,
             "--step: step %lld was not timed; %zu step%s from %lld to %lld %s, the nearest is %lld", (long long)wanted,
             count, weft_text_plural((int64_t)count), (long long)it->steps[0], (long long)it->steps[count - 1],
             count == 1 ? "was" : "were", (long long)it->steps[near]);
    }
    if (at == 0)
        FAIL(error, WEFT_INVALID, "%s: no step before step %lld was timed, there is nothing to predict it from",
             it->run, (long long)wanted);
    it->step_count = at + 1;
    return WEFT_OK;
}

static weft_status read_steps(weft_step_forecast *it, weft_error *error)
{
    TRY(weft_arena_take(&it->arena, it->step_count, sizeof *it->timelines, &it->timelines, error));
    TRY(weft_arena_take(&it->arena, it->step_count, sizeof *it->records, &it->records, error));
    for (size_t i = 0; i < it->step_count; i++) {
        TRY(weft_timeline_init(&it->timelines[i], it->job->train, error));
        TRY(weft_timelines_read(it->run, it->steps[i], &it->timelines[i], &it->records[i], error));
    }
    return WEFT_OK;
}

static weft_status view(const weft_timeline *timeline, weft_step_view *out, weft_error *error)
{
    weft_bubble bubble;
    TRY(weft_bubble_init(&bubble, timeline, error));
    *out = (weft_step_view){.timeline = timeline,
                            .program = bubble.step_time,
                            .bubble = bubble.fraction,
                            .own = bubble.own_step_time,
                            .own_bubble = bubble.own_fraction};
    memcpy(out->cause, bubble.cause, sizeof out->cause);
    weft_bubble_fini(&bubble);
    return WEFT_OK;
}

/* What tensor-parallel workers exchange is in their passes: how long it takes has to be told. */
static weft_status read_exchanges(weft_step_forecast *it, const weft_arguments *arguments, weft_error *error)
{
    it->exchange_rate = HUGE_VAL;
    TRY(weft_arguments_double(arguments, "exchange-latency", 0, 0, 1e9, &it->exchange_latency, error));
    TRY(weft_arguments_double(arguments, "exchange-rate", HUGE_VAL, 1, 1e18, &it->exchange_rate, error));
    it->has_exchanges =
        weft_arguments_has(arguments, "exchange-latency") || weft_arguments_has(arguments, "exchange-rate");
    if (it->has_exchanges && it->job->tensor < 2)
        FAIL(error, WEFT_INVALID, "%s has no tensor-parallel workers that would exchange anything", it->run);
    return WEFT_OK;
}

static weft_status add_exchanges(const weft_step_forecast *it, weft_timeline *timeline, weft_error *error)
{
    if (!it->has_exchanges) return WEFT_OK;
    return weft_timeline_add_exchanges(timeline, it->exchange_latency, it->exchange_rate, error);
}

typedef struct drawn_step {
    double seconds;
    uint64_t number;
} drawn_step;

static int by_seconds(const void *a, const void *b)
{
    const drawn_step *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

/* Of many drawn steps the middle one. */
static weft_status predict(weft_step_forecast *it, weft_error *error)
{
    uint64_t actions = it->job->train->action_count,
             count = MOST_ACTIONS / actions < DRAWS ? MOST_ACTIONS / actions : DRAWS;
    drawn_step *steps = NULL;
    TRY(weft_arena_take(&it->arena, count + 1, sizeof *steps, &steps, error));
    for (uint64_t i = 0; i <= count; i++) {
        TRY(weft_draw_step(&it->draw, i, &it->drawn, error));
        steps[i] = (drawn_step){weft_timeline_end(&it->drawn), i};
    }
    qsort(steps, count + 1, sizeof *steps, by_seconds);
    TRY(weft_draw_step(&it->draw, steps[count / 2].number, &it->drawn, error));
    TRY(add_exchanges(it, &it->drawn, error));
    return view(&it->drawn, &it->predicted, error);
}

static int by_busy(const void *a, const void *b)
{
    const weft_lost *x = a, *y = b;
    return (x->busy > y->busy) - (x->busy < y->busy);
}

/* The first step of a run makes kernels and touches memory for the first time. */
static weft_status find_lost(weft_step_forecast *it, const double *step, weft_error *error)
{
    const size_t first = it->steps[0] == 1 ? 1 : 0, count = it->step_count - first;
    weft_lost *all = NULL;
    it->usual_from = it->steps[first];
    TRY(weft_arena_take(&it->arena, count, sizeof *all, &all, error));
    TRY(weft_lost_measure(it->timelines + first, step + first, count, 1 - it->job->predicted_bubble, all, error));
    it->lost = all[count - 1];
    qsort(all, count, sizeof *all, by_busy);
    it->usual = all[(count - 1) / 2];
    return WEFT_OK;
}

static const double worth = 0.005; /* less of a step is no other split worth */

static weft_status find_split(weft_step_forecast *it, weft_error *error)
{
    bool known = false;
    TRY(weft_arena_take(&it->arena, (size_t)it->job->stage_count, sizeof *it->split.layers, &it->split.layers, error));
    TRY(weft_job_resplit(it->job, &it->fit.costs, &it->split, &known, error));
    it->splits = known && it->split.then < (1 - worth) * it->split.now;
    return WEFT_OK;
}

static weft_status forecast(weft_step_forecast *it, weft_error *error)
{
    size_t earlier = it->step_count - 1;
    double *outside = NULL, *step = NULL;
    TRY(weft_arena_take(&it->arena, it->step_count, sizeof *outside, &outside, error));
    TRY(weft_arena_take(&it->arena, it->step_count, sizeof *step, &step, error));
    for (size_t i = 0; i < it->step_count; i++) {
        step[i] = it->records[i].end - it->records[i].begin;
        outside[i] = step[i] - weft_timeline_end(&it->timelines[i]);
    }
    TRY(add_exchanges(it, &it->timelines[earlier], error));
    TRY(view(&it->timelines[earlier], &it->measured, error));
    TRY(find_lost(it, step, error));
    it->measured.step = step[earlier];
    it->measured.outside = outside[earlier];
    TRY(weft_fit_init(&it->fit, it->timelines, (int32_t)earlier, it->job->input_share, error));
    TRY(find_split(it, error));
    TRY(weft_draw_init(&it->draw, it->timelines, (int32_t)earlier, error));
    TRY(weft_timeline_init(&it->drawn, it->job->train, error));
    TRY(weft_simulate(it->job->train, &it->fit.costs, &it->drawn, error));
    it->steady = weft_timeline_end(&it->drawn);
    TRY(predict(it, error));
    it->predicted.outside = weft_median(outside, earlier);
    it->predicted.step = it->predicted.program + it->predicted.outside;
    it->median = weft_median(step, it->step_count);
    return WEFT_OK;
}

static weft_status draw(const weft_step_forecast *it, const weft_arguments *arguments, weft_error *error)
{
    const weft_schedule *schedule = it->job->schedule;
    char title[256], measured[128], predicted[128];
    snprintf(title, sizeof title, "%s, P = %d, %d stage%s, M = %d", schedule->name, schedule->ranks, schedule->stages,
             weft_text_plural(schedule->stages), schedule->microbatches);
    snprintf(measured, sizeof measured, "measured, step %lld", (long long)it->steps[it->step_count - 1]);
    snprintf(predicted, sizeof predicted, "predicted from steps %lld to %lld", (long long)it->steps[0],
             (long long)it->steps[it->step_count - 2]);
    weft_picture above = {.title = title, .caption = measured, .unit = "ms", .unit_scale = 1e3, .held = it->job->kept};
    weft_picture below = above;
    below.caption = predicted;
    const weft_panel panels[] = {{it->measured.timeline, &above}, {it->predicted.timeline, &below}};
    return weft_cli_pictures_stack(arguments, panels, 2, error);
}

typedef void printer(const weft_step_forecast *it, weft_text *out);

/* path NULL: standard output. */
static weft_status print(const weft_step_forecast *it, printer *write, const char *path, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    write(it, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK && path) status = weft_file_write(path, text.bytes, text.length, error);
    if (status == WEFT_OK && !path) status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status show(weft_step_forecast *it, const weft_arguments *arguments, weft_error *error)
{
    static const char *const files[] = {"svg", "html", "trace", "costs-out"};
    TRY(weft_timelines_open(it->run, &it->arena, &it->config, &it->steps, &it->step_count, error));
    TRY(choose_step(it, arguments, error));
    TRY(weft_job_create(&it->config, &it->job, error));
    TRY(read_exchanges(it, arguments, error));
    TRY(weft_cli_pictures_check(arguments, it->job->train, error));
    TRY(weft_cli_outputs_check(arguments, files, sizeof files / sizeof *files, error));
    TRY(read_steps(it, error));
    TRY(forecast(it, error));
    TRY(draw(it, arguments, error));
    const char *costs = weft_arguments_get(arguments, "costs-out");
    if (costs) TRY(print(it, weft_step_forecast_print_costs, costs, error));
    bool json = weft_arguments_has(arguments, "json");
    return print(it, json ? weft_step_forecast_print_json : weft_step_forecast_print, NULL, error);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_step_forecast it = {.run = arguments->operands[0]};
    weft_arena_init(&it.arena);
    weft_status status = show(&it, arguments, error);
    weft_timeline_fini(&it.drawn);
    weft_draw_fini(&it.draw);
    weft_fit_fini(&it.fit);
    for (size_t i = 0; it.timelines && i < it.step_count; i++) weft_timeline_fini(&it.timelines[i]);
    weft_job_destroy(it.job);
    weft_config_fini(&it.config);
    weft_arena_fini(&it.arena);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out, "RUN is a run folder. While it trains, weft keeps the measured timelines of some steps (run.timelines);\n"
             "from those before the step that is looked at come the costs of every action, and from them the\n"
             "simulated step. docs/timeline.md tells how to read the comparison.\n");
}

static const weft_option options[] = {
    {"step", "N", "the step to look at, one that was timed (default: the last)"},
    {"svg", "FILE", "draw the measured step above the predicted one"},
    {"html", "FILE", "draw both as a page to zoom and hover in a browser"},
    {"trace", "FILE", "write both for ui.perfetto.dev and chrome://tracing"},
    {"costs-out", "FILE", "write the fitted costs, in seconds, as --costs of weft simulate reads them"},
    {"exchange-latency", "X", "seconds of one exchange of tensor-parallel workers, however short (default 0)"},
    {"exchange-rate", "X", "and bytes a second of what they exchange; one given, the bubble counts exchanges"},
    {"json", NULL, "print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_timeline = {
    .name = "timeline",
    .summary = "Compares a measured step of a run with its simulation, costs fitted from earlier steps",
    .operands = "RUN",
    .options = options,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
