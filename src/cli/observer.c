#include "cli/observer.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/launch.h"
#include "base/median.h"
#include "cli/timelines.h"
#include "report/metrics_read.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double seconds_between_lines = 2; /* where progress is not a terminal */

enum { PATH_BYTES = sizeof((weft_run_observer *)0)->metrics_path, MOST_KEPT = 9999 };

weft_status weft_run_observer_init(weft_run_observer *observer, const weft_job *job, FILE *progress, weft_error *error)
{
    /* A launcher's terminal is shared by all processes and may be a file in the end. */
    *observer = (weft_run_observer){.job = job,
                                    .progress = progress,
                                    .lock = -1,
                                    .metrics = -1,
                                    .terminal = isatty(fileno(progress)) && !weft_cli_launched()};
    weft_text_init(&observer->line);
    weft_event_file_init(&observer->events);
    observer->seconds_capacity = (size_t)(job->config->run.steps < 100000 ? job->config->run.steps : 100000);
    return weft_allocate(observer->seconds_capacity, sizeof *observer->seconds, &observer->seconds, error);
}

weft_status weft_run_observer_fini(weft_run_observer *observer, weft_error *error)
{
    weft_status status = WEFT_OK;
    if (observer->metrics >= 0 && close(observer->metrics) != 0)
        status = weft_file_fail(error, observer->metrics_path, "write", errno);
    observer->metrics = -1;
    weft_status events = weft_event_file_end(&observer->events, status == WEFT_OK ? error : NULL);
    if (status == WEFT_OK) status = events;
    if (observer->lock >= 0) close(observer->lock);
    observer->lock = -1;
    weft_text_fini(&observer->line);
    weft_free(observer->seconds);
    observer->seconds = NULL;
    return status;
}

/* Keeps the lines up to a step: what a killed run wrote after its last checkpoint will be written again. */
static weft_status trim_metrics(const char *path, int64_t step, bool *out_evaluated, weft_error *error)
{
    weft_text old, kept;
    weft_text_init(&old);
    weft_text_init(&kept);
    weft_status status = weft_path_exists(path) ? weft_file_read(path, &old, error) : WEFT_OK;
    size_t begin = 0;
    for (size_t i = 0; i < old.length; i++) {
        if (old.bytes[i] != '\n') continue;
        weft_metrics_line line;
        bool keeps = weft_metrics_line_read(old.bytes + begin, i - begin, &line) && line.step <= step;
        if (keeps) weft_text_add_bytes(&kept, old.bytes + begin, i + 1 - begin);
        *out_evaluated |= keeps && line.step == step && line.evaluation;
        begin = i + 1;
    }
    if (status == WEFT_OK) status = weft_text_check(&kept, error);
    if (status == WEFT_OK) status = weft_file_write(path, kept.bytes, kept.length, error);
    weft_text_fini(&old);
    weft_text_fini(&kept);
    return status;
}

/* What another run measured is not for a new one to remove: it stays under a name of its own, of which kept has
 * PATH_BYTES. */
static weft_status keep_aside(const char *path, char *kept, weft_error *error)
{
    struct stat info;
    *kept = '\0';
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return WEFT_OK;
    for (int number = 1; number <= MOST_KEPT; number++) {
        snprintf(kept, PATH_BYTES, "%s.%d", path, number);
        if (lstat(kept, &info) == 0) continue;
        if (rename(path, kept) != 0) return weft_file_fail(error, path, "rename", errno);
        return WEFT_OK;
    }
    FAIL(error, WEFT_FAILED, "%s: of %d earlier runs there are copies already: remove some", path, MOST_KEPT);
}

static void tell_start(const weft_run_observer *self, int64_t dropped)
{
    const weft_run_start *start = &self->start;
    if (start->resumed_path)
        fprintf(self->progress, "resumed from %s, step %lld\n", start->resumed_path, (long long)start->resumed_step);
    if (dropped > 0)
        fprintf(self->progress, "note: %lld kept timeline%s measured with another configuration and %s dropped\n",
                (long long)dropped, dropped == 1 ? " was" : "s were", dropped == 1 ? "is" : "are");
    fprintf(self->progress, "training %lld parameters on %d worker%s, %lld block%s to learn, %lld held out",
            (long long)self->job->elements, self->job->workers, weft_text_plural(self->job->workers),
            (long long)start->train_blocks, weft_text_plural(start->train_blocks), (long long)start->held_out_blocks);
    if (start->peak > 0) fprintf(self->progress, "; measured peak %.1f Gflop/s", start->peak * 1e-9);
    fprintf(self->progress, "\n");
    fflush(self->progress);
}

static weft_status on_started(void *context, const weft_run_start *start, weft_error *error)
{
    weft_run_observer *self = context;
    const char *folder = self->job->config->run.folder;
    self->start = *start;
    TRY(weft_folder_create(folder, error));
    if (weft_folder_lock(folder, &self->lock, error) != WEFT_OK)
        return weft_config_relay(self->job->config, "run.folder", error);
    snprintf(self->metrics_path, sizeof self->metrics_path, "%s/metrics.jsonl", folder);
    char kept[PATH_BYTES] = "";
    if (start->resumed_step == 0) TRY(keep_aside(self->metrics_path, kept, error));
    TRY(trim_metrics(self->metrics_path, start->resumed_step, &self->evaluated, error));
    int64_t dropped = 0;
    TRY(weft_timelines_begin(self->job->config, start->resumed_step, &dropped, error));
    TRY(weft_file_append(self->metrics_path, &self->metrics, error));
    if (self->job->config->run.tensorboard)
        TRY(weft_event_file_begin(&self->events, folder, start->resumed_step, error));
    if (*kept) fprintf(self->progress, "note: metrics of an earlier run are now %s\n", kept);
    tell_start(self, dropped);
    return WEFT_OK;
}

static weft_status keep_metrics(weft_run_observer *self, weft_error *error)
{
    TRY(weft_text_check(&self->line, error));
    return weft_file_write_all(self->metrics, weft_text_get(&self->line), self->line.length, self->metrics_path, error);
}

static void show(weft_run_observer *self, bool keep)
{
    if (self->terminal)
        fprintf(self->progress, "\r%s\033[K%s", weft_text_get(&self->line), keep ? "\n" : "");
    else
        fprintf(self->progress, "%s\n", weft_text_get(&self->line));
    self->line_open = self->terminal && !keep;
    fflush(self->progress);
}

void weft_run_observer_tokenised(void *context, const weft_tokenize_totals *totals)
{
    weft_run_observer *self = context;
    double now = weft_clock_seconds(), pause = self->terminal ? 0.1 : seconds_between_lines;
    if (self->last_line == 0) self->last_line = now; /* what takes no time needs no line */
    if (now - self->last_line < pause) return;
    self->last_line = now;
    self->line.length = 0;
    weft_text_add(&self->line, "tokenising: %.0f %%, ",
                  totals->size > 0 ? 100 * (double)totals->consumed / (double)totals->size : 0);
    weft_text_add_count(&self->line, (int64_t)totals->documents, "document");
    weft_text_add(&self->line, ", %.1f M tokens", (double)totals->tokens * 1e-6);
    show(self, false);
}

static weft_status on_step(void *context, const weft_step_record *record, weft_error *error)
{
    weft_run_observer *self = context;
    self->last_step = *record;
    self->last_step.bubble = NULL;
    self->last_step.sources = NULL;
    self->last_step.source_count = 0;
    self->mean_bubble = 0;
    for (int32_t r = 0; r < record->ranks; r++) self->mean_bubble += record->bubble[r] / record->ranks;
    if (self->seconds_count < self->seconds_capacity) self->seconds[self->seconds_count++] = record->seconds;
    self->line.length = 0;
    weft_report_step_json(record, &self->line);
    TRY(keep_metrics(self, error));
    TRY(weft_event_file_step(&self->events, record, error));
    double now = weft_clock_seconds(), pause = self->terminal ? 0.1 : seconds_between_lines;
    bool edge = record->step == self->start.resumed_step + 1 || record->step == record->steps;
    if (!edge && !record->skipped && now - self->last_line < pause) return WEFT_OK;
    self->last_line = now;
    self->line.length = 0;
    weft_report_progress(record, &self->line);
    show(self, record->step == record->steps || record->skipped);
    return WEFT_OK;
}

static weft_status on_evaluated(void *context, const weft_evaluation_record *record, weft_error *error)
{
    weft_run_observer *self = context;
    self->last_evaluation = *record;
    self->line.length = 0;
    weft_report_evaluation_json(record, &self->line);
    TRY(keep_metrics(self, error));
    TRY(weft_event_file_evaluation(&self->events, record, error));
    self->line.length = 0;
    weft_text_add(&self->line, "step %lld: held-out loss %.4f nats a token", (long long)record->step, record->loss);
    if (record->bits_per_byte > 0) weft_text_add(&self->line, ", %.3f bits a byte", record->bits_per_byte);
    show(self, true);
    return WEFT_OK;
}

static bool lacks_evaluation(void *context, int64_t step)
{
    const weft_run_observer *self = context;
    return step == self->start.resumed_step && !self->evaluated;
}

static weft_status store(weft_run_observer *self, const char *name, weft_error *error)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", self->job->config->run.folder, name);
    TRY(weft_text_check(&self->line, error));
    return weft_file_write(path, weft_text_get(&self->line), self->line.length, error);
}

static weft_status draw(weft_run_observer *self, const weft_timeline_record *record, weft_error *error)
{
    char title[256], caption[64];
    const weft_schedule *schedule = self->job->schedule;
    snprintf(title, sizeof title, "%s, P = %d, %d stage%s, M = %d", schedule->name, schedule->ranks, schedule->stages,
             weft_text_plural(schedule->stages), schedule->microbatches);
    snprintf(caption, sizeof caption, "measured, step %lld", (long long)record->step);
    weft_picture picture = {
        .title = title, .caption = caption, .unit = "ms", .unit_scale = 1e3, .held = self->job->kept};
    self->line.length = 0;
    weft_report_svg(record->measured, &picture, &self->line);
    TRY(store(self, "timeline.svg", error));
    self->line.length = 0;
    weft_report_csv(record->measured, &self->line);
    TRY(store(self, "timeline.csv", error));
    self->drawn = true;
    return WEFT_OK;
}

static weft_status on_timeline(void *context, const weft_timeline_record *record, weft_error *error)
{
    weft_run_observer *self = context;
    if (record->kept) TRY(weft_timelines_keep(self->job->config, record, error));
    return record->drawn ? draw(self, record, error) : WEFT_OK;
}

static void on_note(void *context, const char *line)
{
    weft_run_observer *self = context;
    weft_run_observer_end_line(self);
    fprintf(self->progress, "note: %s\n", line);
    fflush(self->progress);
}

static void note_to_errors(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "note: %s\n", line);
}

weft_observer weft_run_observer_silent(void)
{
    return (weft_observer){.note = note_to_errors};
}

void weft_run_observer_end_line(weft_run_observer *observer)
{
    if (observer->line_open) fprintf(observer->progress, "\n");
    observer->line_open = false;
}

weft_observer weft_run_observer_table(weft_run_observer *observer)
{
    return (weft_observer){.context = observer,
                           .started = on_started,
                           .step = on_step,
                           .evaluated = on_evaluated,
                           .lacks_evaluation = lacks_evaluation,
                           .timeline = on_timeline,
                           .note = on_note};
}

double weft_run_observer_median(weft_run_observer *observer)
{
    return weft_median(observer->seconds, observer->seconds_count);
}
