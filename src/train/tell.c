/* What the observer of rank 0 hears, in whatever time it takes. */
#include "train/loop_parts.h"

#include "base/clock.h"
#include "train/waiting.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One of the records, and the observer's place for it. */
typedef struct {
    const weft_loop *loop;
    const void *record;
} telling;

static void tell_note(const weft_loop *loop, const char *text, int length)
{
    const weft_observer *observer = &loop->options->observer;
    char line[512];
    snprintf(line, sizeof line, "%.*s", length, text);
    if (loop->worker->number == 0 && observer->note) observer->note(observer->context, line);
}

static void tell_notes(const weft_loop *loop)
{
    for (const char *at = loop->notes; *at; at += strcspn(at, "\n") + 1) tell_note(loop, at, (int)strcspn(at, "\n"));
    if (loop->start < loop->steps) return;
    char done[128];
    int length =
        snprintf(done, sizeof done, "%lld step%s done, run.steps is %lld: raise it to go on", (long long)loop->start,
                 loop->start == 1 ? " is" : "s are", (long long)loop->job->config->run.steps);
    tell_note(loop, done, length);
}

static weft_status start(void *context, weft_error *error)
{
    const telling *it = context;
    const weft_observer *observer = &it->loop->options->observer;
    if (observer->started) TRY(observer->started(observer->context, it->record, error));
    tell_notes(it->loop);
    return WEFT_OK;
}

weft_status weft_loop_tell_start(weft_loop *loop, weft_error *error)
{
    weft_run_start record = {.resumed_step = loop->start,
                             .resumed_path = loop->resumed ? weft_checkpoint_path(loop->resumed) : NULL,
                             .peak = loop->peak,
                             .train_blocks = weft_data_blocks(loop->data, WEFT_DATA_TRAIN),
                             .held_out_blocks = weft_data_blocks(loop->data, WEFT_DATA_HELD_OUT)};
    telling it = {loop, &record};
    if (loop->worker->number != 0) return WEFT_OK;
    return weft_waiting_work(loop->worker, "the beginning of its files", start, &it, error);
}

static weft_status step(void *context, weft_error *error)
{
    const telling *it = context;
    const weft_observer *observer = &it->loop->options->observer;
    return observer->step(observer->context, it->record, error);
}

weft_status weft_loop_tell_step(weft_loop *loop, int64_t number, const weft_step_scalars *scalars, weft_error *error)
{
    const weft_job *job = loop->job;
    if (loop->worker->number != 0 || !loop->options->observer.step) return WEFT_OK;
    double seconds = loop->step_end - loop->step_begin;
    for (int32_t r = 0; r < job->workers; r++)
        loop->bubble[r] = seconds > 0 ? fmax(0, 1 - loop->controls[r].busy / seconds) : 0;
    double tokens = (double)(weft_loop_batch_sequences(loop) * job->config->batch.tokens);
    double mean_seconds = (weft_clock_seconds() - loop->loop_begin) / (double)(number - loop->start);
    weft_step_record record = {.step = number,
                               .steps = loop->steps,
                               .loss = loop->loss,
                               .adds = loop->adds,
                               .cross_entropy = loop->cross_entropy,
                               .sources = loop->sources,
                               .source_count = loop->source_count,
                               .gradient_norm = scalars->norm,
                               .learning_rate = scalars->learning_rate,
                               .seconds = seconds,
                               .tokens_per_second = tokens / seconds,
                               .flops_per_second = job->step_flops / seconds,
                               .peak = loop->peak,
                               .seconds_left = mean_seconds * (double)(loop->steps - number),
                               .ranks = job->workers,
                               .bubble = loop->bubble};
    record.skipped = weft_skip_cause(loop->loss, scalars, &record.limit);
    telling it = {loop, &record};
    return weft_loop_try(loop, "the record of the step", step, &it, error);
}

static weft_status evaluation(void *context, weft_error *error)
{
    const telling *it = context;
    const weft_observer *observer = &it->loop->options->observer;
    return observer->evaluated(observer->context, it->record, error);
}

weft_status weft_loop_tell_evaluation(weft_loop *loop, const weft_evaluation_record *record, weft_error *error)
{
    telling it = {loop, record};
    if (loop->worker->number != 0 || !loop->options->observer.evaluated) return WEFT_OK;
    return weft_loop_try(loop, "the record of an evaluation", evaluation, &it, error);
}

static weft_status timeline(void *context, weft_error *error)
{
    const telling *it = context;
    const weft_observer *observer = &it->loop->options->observer;
    return observer->timeline(observer->context, it->record, error);
}

weft_status weft_loop_tell_timeline(weft_loop *loop, const weft_timeline_record *record, weft_error *error)
{
    telling it = {loop, record};
    if (loop->worker->number != 0 || !loop->options->observer.timeline) return WEFT_OK;
    return weft_loop_try(loop, "the timeline of the step", timeline, &it, error);
}
