#include "cli/rehearsal.h"

#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static weft_cli_step measure(const weft_cli_rehearsal *it, const weft_timeline *timeline)
{
    weft_cli_step step;
    double seconds = 0;
    weft_bubble_measure(timeline, &seconds, &step.idle, it->ranks);
    weft_bubble_shares(it->ranks, timeline->program->ranks, seconds, step.cause);
    step.time = seconds / it->unit_seconds;
    step.gathers = weft_hidden_measure(timeline, WEFT_UNSHARD);
    step.reductions = weft_hidden_measure(timeline, WEFT_REDUCE_GRAD);
    return step;
}

weft_status weft_cli_rehearsal_init(weft_cli_rehearsal *it, const weft_job *job, weft_error *error)
{
    it->job = job;
    TRY(weft_allocate((size_t)job->ranks, sizeof *it->ranks, &it->ranks, error));
    TRY(weft_timeline_init(&it->kept, job->train, error));
    it->simulated = measure(it, &job->predicted);
    return WEFT_OK;
}

void weft_cli_rehearsal_fini(weft_cli_rehearsal *it)
{
    weft_timeline_fini(&it->kept);
    weft_free(it->ranks);
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

static double median(const weft_cli_rehearsal *it)
{
    return (at_place(it, (it->count - 1) / 2)->time + at_place(it, it->count / 2)->time) / 2;
}

static bool is_nearer(const weft_cli_rehearsal *it, size_t step, size_t other)
{
    double middle = median(it);
    return fabs(it->steps[step].time - middle) < fabs(it->steps[other].time - middle);
}

weft_status weft_cli_rehearsal_step(void *context, int64_t step, const weft_timeline *measured, weft_error *error)
{
    weft_cli_rehearsal *it = context;
    TRY(weft_grow(&it->steps, &it->capacity, it->count + 1, sizeof *it->steps, error));
    it->steps[it->count++] = measure(it, measured);
    size_t last = it->count - 1, bytes = measured->program->action_count * sizeof(double);
    if (last == 0 || is_nearer(it, last, it->kept_step)) {
        memcpy(it->kept.begin, measured->begin, bytes);
        memcpy(it->kept.end, measured->end, bytes);
        it->kept_step = last;
    }
    if (it->tells)
        fprintf(stderr, "step %lld of %lld: %.6g %s\n", (long long)step, (long long)it->asked, it->steps[last].time,
                it->unit);
    return WEFT_OK;
}

static double difference(const weft_cli_rehearsal *it)
{
    return (median(it) / it->simulated.time - 1) * 100;
}

static const char *transport_name(const weft_cli_rehearsal *it)
{
    return it->job->config->transport == WEFT_CONFIG_MPI ? "mpi" : "local";
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
    weft_text_add(out, "schedule   %s, %d stages over %d ranks, %d micro-batches\n", schedule->name,
                  (int)schedule->stages, (int)schedule->ranks, (int)schedule->microbatches);
    weft_text_add(out, "rehearsed  %zu step%s, transport %s%s\n", it->count, it->count == 1 ? "" : "s",
                  transport_name(it), (int64_t)it->count < it->asked ? "; stopped before all were done" : "");
    const weft_cli_step *simulated = &it->simulated, *rehearsed = at_place(it, (it->count - 1) / 2);
    weft_text_add(out, "\n              simulated   rehearsed\nstep         %10.6g  %10.6g %s", simulated->time,
                  median(it), it->unit);
    weft_text_add(out, ", %.6g to %.6g", at_place(it, 0)->time, at_place(it, it->count - 1)->time);
    if (simulated->time > 0) weft_text_add(out, ": %+.2f %%", difference(it));
    weft_text_add(out, "\nbubble       %8.2f %%  %8.2f %%\n", 100 * simulated->idle, 100 * rehearsed->idle);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (simulated->cause[cause] < 5e-5 && rehearsed->cause[cause] < 5e-5) continue;
        weft_text_add(out, "  %-9s  %8.2f %%  %8.2f %%\n", weft_bubble_cause_name((weft_bubble_cause)cause),
                      100 * simulated->cause[cause], 100 * rehearsed->cause[cause]);
    }
    add_hidden("gathers behind compute     ", &simulated->gathers, &rehearsed->gathers, out);
    add_hidden("reductions behind compute  ", &simulated->reductions, &rehearsed->reductions, out);
}

static void add_key(const char *key, double value, weft_text *out)
{
    weft_text_add(out, "\"%s\": ", key);
    weft_report_add_number(value, out);
}

static void add_step(const char *key, double time, const weft_cli_step *step, weft_text *out)
{
    weft_text_add(out, "  \"%s\": {", key);
    add_key("step_time", time, out);
    weft_text_add(out, ", ");
    add_key("bubble_fraction", step->idle, out);
    weft_text_add(out, ", \"bubble_by_cause\": {");
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (cause) weft_text_add(out, ", ");
        add_key(weft_bubble_cause_name((weft_bubble_cause)cause), step->cause[cause], out);
    }
    weft_text_add(out, "}, ");
    add_key("gathers_hidden", weft_hidden_share(&step->gathers), out);
    weft_text_add(out, ", ");
    add_key("reductions_hidden", weft_hidden_share(&step->reductions), out);
    weft_text_add(out, "},\n");
}

void weft_cli_rehearsal_json(const weft_cli_rehearsal *it, weft_text *out)
{
    const weft_schedule *schedule = it->job->schedule;
    weft_text_add(out, "{\n  \"schedule\": ");
    weft_text_add_json(out, schedule->name);
    weft_text_add(out,
                  ",\n  \"pipeline\": %d,\n  \"stages\": %d,\n  \"microbatches\": %d,\n  \"actions\": %u,\n"
                  "  \"gathers\": %llu,\n  \"reductions\": %llu,\n  \"transport\": \"%s\",\n  \"steps\": %zu,\n  "
                  "\"stopped\": %s,\n",
                  (int)schedule->ranks, (int)schedule->stages, (int)schedule->microbatches,
                  (unsigned)it->job->train->action_count, (unsigned long long)it->simulated.gathers.count,
                  (unsigned long long)it->simulated.reductions.count, transport_name(it), it->count,
                  (int64_t)it->count < it->asked ? "true" : "false");
    add_step("simulated", it->simulated.time, &it->simulated, out);
    add_step("rehearsed", median(it), at_place(it, (it->count - 1) / 2), out);
    weft_text_add(out, "  ");
    add_key("difference_percent", it->simulated.time > 0 ? difference(it) : NAN, out);
    weft_text_add(out, ",\n  \"step_times\": [");
    for (size_t i = 0; i < it->count; i++) {
        if (i) weft_text_add(out, ", ");
        weft_report_add_number(it->steps[i].time, out);
    }
    weft_text_add(out, "]\n}\n");
}
