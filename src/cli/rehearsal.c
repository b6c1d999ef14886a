#include "cli/rehearsal.h"

#include "report/report.h"
#include "transport/kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static weft_status measure(const weft_cli_rehearsal *it, const weft_timeline *timeline, weft_cli_step *out,
                           weft_error *error)
{
    weft_bubble bubble;
    TRY(weft_bubble_init(&bubble, timeline, error));
    *out = (weft_cli_step){.time = bubble.step_time / it->unit_seconds,
                           .idle = bubble.fraction,
                           .own_time = bubble.own_step_time / it->unit_seconds,
                           .own_idle = bubble.own_fraction,
                           .gathers = weft_hidden_measure(timeline, WEFT_UNSHARD),
                           .reductions = weft_hidden_measure(timeline, WEFT_REDUCE_GRAD)};
    memcpy(out->cause, bubble.cause, sizeof out->cause);
    weft_bubble_fini(&bubble);
    return WEFT_OK;
}

weft_status weft_cli_rehearsal_init(weft_cli_rehearsal *it, const weft_job *job, weft_error *error)
{
    it->job = job;
    return measure(it, &job->predicted, &it->simulated, error);
}

void weft_cli_rehearsal_fini(weft_cli_rehearsal *it)
{
    for (size_t i = 0; i < it->count; i++) weft_timeline_fini(&it->steps[i].timeline);
    weft_free(it->steps);
}

/* How many steps took less time; of equal ones the earlier count as less. */
static size_t place(const weft_cli_rehearsal *it, size_t step)
{
    size_t before = 0;
    for (size_t i = 0; i < it->count; i++)
        before += it->steps[i].time < it->steps[step].time || (it->steps[i].time == it->steps[step].time && i < step);
    return before;
}

/* The step of this place in the order of times; steps are few. */
static const weft_cli_step *at_place(const weft_cli_rehearsal *it, size_t wanted)
{
    size_t step = 0;
    while (place(it, step) != wanted) step++;
    return &it->steps[step];
}

const weft_cli_step *weft_cli_rehearsal_middle(const weft_cli_rehearsal *it)
{
    return at_place(it, (it->count - 1) / 2);
}

/* Whether the step can be in the middle when all are done, or when the rest is left out. */
static bool may_be_middle(const weft_cli_rehearsal *it, size_t step)
{
    size_t middle = (size_t)(it->asked - 1) / 2, left = (size_t)it->asked - it->count, at = place(it, step);
    return at <= middle && at + left >= middle;
}

static weft_status keep(weft_cli_step *step, const weft_timeline *measured, weft_error *error)
{
    size_t bytes = measured->program->action_count * sizeof(double);
    TRY(weft_timeline_init(&step->timeline, measured->program, error));
    memcpy(step->timeline.begin, measured->begin, bytes);
    memcpy(step->timeline.end, measured->end, bytes);
    return WEFT_OK;
}

weft_status weft_cli_rehearsal_step(void *context, int64_t step, const weft_timeline *measured, weft_error *error)
{
    weft_cli_rehearsal *it = context;
    TRY(weft_grow(&it->steps, &it->capacity, it->count + 1, sizeof *it->steps, error));
    weft_cli_step *last = &it->steps[it->count];
    TRY(measure(it, measured, last, error));
    it->count++;
    last->number = step;
    TRY(keep(last, measured, error));
    for (size_t i = 0; i < it->count; i++)
        if (it->steps[i].timeline.program && !may_be_middle(it, i)) weft_timeline_fini(&it->steps[i].timeline);
    if (it->tells)
        fprintf(stderr, "step %lld of %lld: %.6g %s\n", (long long)step, (long long)it->asked, last->time, it->unit);
    return WEFT_OK;
}

static double difference(const weft_cli_rehearsal *it)
{
    return (weft_cli_rehearsal_middle(it)->time / it->simulated.time - 1) * 100;
}

static const char *transport_name(const weft_cli_rehearsal *it)
{
    return weft_transport_kind_get(it->job->config->transport)->name;
}

static void add_hidden(const char *name, const weft_hidden *simulated, const weft_hidden *rehearsed, weft_text *out)
{
    if (simulated->seconds > 0)
        weft_text_add(out, "%s%8.2f %%  %8.2f %% of the time of %llu\n", name, 100 * weft_hidden_share(simulated),
                      100 * weft_hidden_share(rehearsed), (unsigned long long)simulated->count);
}

void weft_cli_rehearsal_text(const weft_cli_rehearsal *it, weft_text *out)
{
    const weft_schedule *schedule = it->job->schedule;
    weft_text_add(out, "schedule   %s, ", schedule->name);
    weft_schedule_add_shape(schedule->stages, schedule->ranks, out);
    weft_text_add(out, ", ");
    weft_text_add_count(out, schedule->microbatches, "micro-batch");
    weft_text_add(out, "\nrehearsed  ");
    weft_text_add_count(out, (int64_t)it->count, "step");
    weft_text_add(out, ", transport %s%s\n", transport_name(it),
                  (int64_t)it->count < it->asked ? "; stopped before all were done" : "");
    const weft_cli_step *simulated = &it->simulated, *rehearsed = weft_cli_rehearsal_middle(it);
    if (it->count > 1)
        weft_text_add(out, "shown      step %lld, the one in the middle\n", (long long)rehearsed->number);
    weft_text_add(out, "\n              simulated   rehearsed\nstep         %10.6g  %10.6g %s", simulated->time,
                  rehearsed->time, it->unit);
    weft_text_add(out, ", %.6g to %.6g", at_place(it, 0)->time, at_place(it, it->count - 1)->time);
    if (simulated->time > 0) {
        weft_text_add(out, ": ");
        weft_text_add_change(out, 0, 2, difference(it));
        weft_text_add(out, " %%");
    }
    weft_text_add(out, "\nbubble       %8.2f %%  %8.2f %%\n", 100 * simulated->idle, 100 * rehearsed->idle);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (simulated->cause[cause] < 5e-5 && rehearsed->cause[cause] < 5e-5) continue;
        weft_text_add(out, "  %-9s  %8.2f %%  %8.2f %%\n", weft_bubble_cause_name((weft_bubble_cause)cause),
                      100 * simulated->cause[cause], 100 * rehearsed->cause[cause]);
    }
    weft_text_add(out, "own step     %10.6g  %10.6g %s\nown bubble   %8.2f %%  %8.2f %%\n", simulated->own_time,
                  rehearsed->own_time, it->unit, 100 * simulated->own_idle, 100 * rehearsed->own_idle);
    add_hidden("gathers behind compute     ", &simulated->gathers, &rehearsed->gathers, out);
    add_hidden("reductions behind compute  ", &simulated->reductions, &rehearsed->reductions, out);
}

static void add_step(weft_json *json, const weft_program *program, const char *key, const weft_cli_step *step)
{
    weft_json_object(json, key, WEFT_JSON_ROW);
    if (step->number) weft_json_int(json, "step", step->number);
    weft_json_number(json, "step_time", step->time);
    weft_json_number(json, "bubble_fraction", step->idle);
    weft_report_causes_json(json, program, step->cause, 0);
    weft_json_number(json, "own_step_time", step->own_time);
    weft_json_number(json, "own_bubble_fraction", step->own_idle);
    weft_json_number(json, "gathers_hidden", weft_hidden_share(&step->gathers));
    weft_json_number(json, "reductions_hidden", weft_hidden_share(&step->reductions));
    weft_json_object_end(json);
}

void weft_cli_rehearsal_json(const weft_cli_rehearsal *it, weft_text *out)
{
    const weft_schedule *schedule = it->job->schedule;
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "schedule", schedule->name);
    weft_json_int(&json, "pipeline", schedule->ranks);
    weft_json_int(&json, "stages", schedule->stages);
    weft_json_int(&json, "microbatches", schedule->microbatches);
    weft_json_int(&json, "actions", it->job->train->action_count);
    weft_json_int(&json, "gathers", (int64_t)it->simulated.gathers.count);
    weft_json_int(&json, "reductions", (int64_t)it->simulated.reductions.count);
    weft_json_text(&json, "transport", transport_name(it));
    weft_json_int(&json, "steps", (int64_t)it->count);
    weft_json_truth(&json, "stopped", (int64_t)it->count < it->asked);
    add_step(&json, it->job->train, "simulated", &it->simulated);
    add_step(&json, it->job->train, "rehearsed", weft_cli_rehearsal_middle(it));
    weft_json_number(&json, "difference_percent", it->simulated.time > 0 ? difference(it) : NAN);
    weft_json_list(&json, "step_times", WEFT_JSON_ROW);
    for (size_t i = 0; i < it->count; i++) weft_json_number(&json, NULL, it->steps[i].time);
    weft_json_list_end(&json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}
