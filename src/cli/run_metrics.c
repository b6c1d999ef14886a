#include "cli/run_metrics.h"

#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_SOURCES = 1024 }; /* that are noted: as many as a configuration may have */
enum { CHUNK = 65536, LONGEST_LINE = 1 << 20, MOST_MISSED = 4 };

static bool knows(const weft_run_metrics *it, const weft_metrics_source *source)
{
    const char *end = NULL;
    for (const char *at = weft_text_get(&it->names); (end = strchr(at, '\n')) != NULL; at = end + 1)
        if ((size_t)(end - at) == source->length && memcmp(at, source->name, source->length) == 0) return true;
    return false;
}

/* The value of the source that is wanted; else a new one is noted. */
static double take_sources(weft_run_metrics *it, const weft_metrics_line *line)
{
    weft_metrics_source source = {.name = NULL};
    while (weft_metrics_source_next(line, &source)) {
        if (it->source && strlen(it->source) == source.length && memcmp(it->source, source.name, source.length) == 0)
            return source.value;
        if (it->source || it->source_count == MOST_SOURCES || knows(it, &source)) continue;
        it->source_count++;
        weft_text_add_bytes(&it->names, source.name, source.length);
        weft_text_add_bytes(&it->names, "\n", 1);
    }
    return NAN;
}

static void keep_sources(weft_run_metrics *it, const weft_metrics_line *line)
{
    it->sources.length = 0;
    weft_text_add_bytes(&it->sources, line->sources, (size_t)(line->sources_end - line->sources));
}

static void take_line(weft_run_metrics *it, const char *line, size_t length)
{
    weft_metrics_line read;
    it->lines++;
    bool good = weft_metrics_line_read(line, length, &read);
    int64_t *last = read.evaluation ? &it->last_evaluation : &it->last_step;
    if (!good || read.step <= *last) {
        it->damaged++;
        return;
    }
    *last = read.step;
    if (read.step < it->from) return;
    bool by_source = it->key == WEFT_METRICS_LOSS_BY_SOURCE;
    if (read.sources) keep_sources(it, &read);
    double value = by_source ? take_sources(it, &read) : read.values[it->key];
    if (isfinite(value))
        weft_series_add(read.evaluation ? &it->evaluations : &it->steps, read.step, value);
    else if (read.evaluation == (it->key == WEFT_METRICS_BITS_PER_BYTE))
        it->empty++;
}

/* Lines that have their end; what is left becomes the beginning of the rest. */
static void take_lines(weft_run_metrics *it)
{
    char *begin = it->rest.bytes, *stop = it->rest.bytes + it->rest.length, *end = NULL;
    for (; (end = memchr(begin, '\n', (size_t)(stop - begin))) != NULL; begin = end + 1) {
        if (!it->skips) take_line(it, begin, (size_t)(end - begin));
        it->skips = false;
    }
    it->rest.length = (size_t)(stop - begin);
    memmove(it->rest.bytes, begin, it->rest.length + 1);
    if (it->rest.length <= LONGEST_LINE && !it->skips) return;
    if (!it->skips) it->damaged++;
    it->skips = true;
    it->rest.length = 0;
}

static weft_status read_on(weft_run_metrics *it, weft_error *error)
{
    char buffer[CHUNK];
    for (;;) {
        ssize_t got = read(it->descriptor, buffer, sizeof buffer);
        if (got == 0) return WEFT_OK;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FAIL(error, WEFT_INVALID, "%s: cannot read: %s", it->path, strerror(errno));
        it->read += got;
        weft_text_add_bytes(&it->rest, buffer, (size_t)got);
        TRY(weft_text_check(&it->rest, error));
        take_lines(it);
        TRY(weft_text_check(&it->names, error));
        TRY(weft_text_check(&it->sources, error));
    }
}

/* The file of this name, from its beginning. */
static weft_status begin(weft_run_metrics *it, weft_error *error)
{
    struct stat info;
    TRY(weft_file_open(it->path, &it->descriptor, error));
    if (fstat(it->descriptor, &info) != 0) return weft_file_fail(error, it->path, "look at", errno);
    it->device = info.st_dev;
    it->number = info.st_ino;
    it->read = 0;
    it->rest.length = 0;
    it->skips = false;
    it->sources.length = 0;
    it->lines = it->damaged = it->empty = it->last_step = it->last_evaluation = 0;
    weft_series_clear(&it->steps);
    weft_series_clear(&it->evaluations);
    return read_on(it, error);
}

static weft_status find(weft_run_metrics *it, weft_error *error)
{
    struct stat info;
    if (stat(it->operand, &info) != 0)
        FAIL(error, WEFT_INVALID, "%s: there is no such run folder or file", it->operand);
    bool folder = S_ISDIR(info.st_mode);
    int length = snprintf(it->path, sizeof it->path, "%s%s", it->operand, folder ? "/metrics.jsonl" : "");
    if (length >= (int)sizeof it->path) FAIL(error, WEFT_INVALID, "%s: the path is too long", it->operand);
    if (folder && !weft_path_exists(it->path))
        FAIL(error, WEFT_INVALID, "%s: holds no metrics.jsonl (is it a run folder?)", it->operand);
    return WEFT_OK;
}

weft_status weft_run_metrics_open(weft_run_metrics *metrics, const char *operand, weft_metrics_key key,
                                  const char *source, int64_t from, double smooth, weft_error *error)
{
    *metrics = (weft_run_metrics){.operand = operand, .key = key, .source = source, .from = from, .descriptor = -1};
    weft_text_init(&metrics->rest);
    weft_text_init(&metrics->names);
    weft_text_init(&metrics->sources);
    TRY(find(metrics, error));
    TRY(weft_series_init(&metrics->steps, smooth, error));
    TRY(weft_series_init(&metrics->evaluations, key == WEFT_METRICS_BITS_PER_BYTE ? smooth : 0, error));
    return begin(metrics, error);
}

static void shut(weft_run_metrics *it)
{
    if (it->descriptor >= 0) close(it->descriptor);
    it->descriptor = -1;
}

void weft_run_metrics_close(weft_run_metrics *metrics)
{
    shut(metrics);
    weft_series_fini(&metrics->evaluations);
    weft_series_fini(&metrics->steps);
    weft_text_fini(&metrics->sources);
    weft_text_fini(&metrics->names);
    weft_text_fini(&metrics->rest);
}

void weft_run_metrics_end(weft_run_metrics *metrics)
{
    weft_metrics_line line;
    const char *rest = weft_text_get(&metrics->rest);
    if (!metrics->skips && weft_metrics_line_read(rest, metrics->rest.length, &line))
        take_line(metrics, rest, metrics->rest.length);
    metrics->rest.length = 0;
}

weft_status weft_run_metrics_follow(weft_run_metrics *metrics, bool *out_changed, weft_error *error)
{
    struct stat info;
    int64_t lines = metrics->lines;
    if (stat(metrics->path, &info) != 0) {
        /* A run that begins puts the metrics of an earlier one aside and then makes its own. */
        if (++metrics->missed < MOST_MISSED) return WEFT_OK;
        FAIL(error, WEFT_FAILED, "%s: the run was removed", metrics->operand);
    }
    metrics->missed = 0;
    bool another = info.st_dev != metrics->device || info.st_ino != metrics->number || info.st_size < metrics->read;
    if (another) {
        shut(metrics);
        TRY(begin(metrics, error));
    } else {
        TRY(read_on(metrics, error));
    }
    *out_changed = *out_changed || another || metrics->lines != lines;
    return WEFT_OK;
}
