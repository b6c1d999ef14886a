#include "cli/timelines.h"

#include "base/file.h"
#include "report/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "step-%08lld.csv"

enum { PATH_BYTES = 4200 };

static const char *folder_of(const char *run, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/timelines", run);
    return path;
}

static const char *config_of(const char *run, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/timelines/config.yaml", run);
    return path;
}

static const char *file_of(const char *run, int64_t step, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/timelines/" FILE_NAME, run, (long long)step);
    return path;
}

/* The step of a file that weft_timelines_keep wrote; 0 for all others. */
static int64_t step_of(const char *name)
{
    char again[64];
    long long step = 0;
    if (sscanf(name, "step-%lld.csv", &step) != 1 || step < 1) return 0;
    snprintf(again, sizeof again, FILE_NAME, step);
    return strcmp(name, again) == 0 ? step : 0;
}

static weft_status list_steps(const char *run, weft_arena *arena, int64_t **out_steps, size_t *out_count,
                              weft_error *error)
{
    char folder[PATH_BYTES];
    const char **names = NULL;
    size_t count = 0;
    *out_count = 0;
    TRY(weft_folder_list(folder_of(run, folder), arena, &names, &count, error));
    TRY(weft_arena_take(arena, count + 1, sizeof **out_steps, out_steps, error));
    for (size_t i = 0; i < count; i++) {
        int64_t step = step_of(names[i]);
        size_t place = *out_count;
        if (step <= 0) continue;
        for (; place > 0 && (*out_steps)[place - 1] > step; place--) (*out_steps)[place] = (*out_steps)[place - 1];
        (*out_steps)[place] = step;
        ++*out_count;
    }
    return WEFT_OK;
}

/* The lines of a dump that say what a step costs: not how many there are, on which data, at which learning rate. */
static void add_costly(const char *dump, weft_text *out)
{
    static const char *const free[] = {"run:", "data:", "optimizer:", "checkpoint:", "memory_limit:", "timeout:"};
    bool counts = true;
    for (const char *line = dump, *end = NULL; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        if (*line != ' ') counts = true;
        for (size_t i = 0; i < sizeof free / sizeof *free; i++)
            if (strncmp(line, free[i], strlen(free[i])) == 0) counts = false;
        bool waits = strncmp(line, "  clip:", 7) == 0 || strncmp(line, "  skip:", 7) == 0; /* what UPDATE waits for */
        if (counts || waits) weft_text_add(out, "%.*s\n", (int)(end - line), line);
    }
}

/* Numbers may be written otherwise by now, so that values are compared as this weft dumps them. */
static weft_status compare_dumps(const weft_config *before, const char *dump, bool *out_same, weft_error *error)
{
    weft_text old, then, now;
    weft_text_init(&old);
    weft_text_init(&then);
    weft_text_init(&now);
    weft_config_dump(before, false, &old);
    add_costly(weft_text_get(&old), &then);
    add_costly(dump, &now);
    weft_status status = weft_text_check(&old, error);
    if (status == WEFT_OK) status = weft_text_check(&then, error);
    if (status == WEFT_OK) status = weft_text_check(&now, error);
    *out_same = status == WEFT_OK && strcmp(weft_text_get(&then), weft_text_get(&now)) == 0;
    weft_text_fini(&old);
    weft_text_fini(&then);
    weft_text_fini(&now);
    return status;
}

/* A configuration that is not valid any more is another one. */
static weft_status compare_config(const char *run, const char *dump, bool *out_same, weft_error *error)
{
    char path[PATH_BYTES];
    weft_config before;
    *out_same = false;
    if (!weft_path_exists(config_of(run, path))) return WEFT_OK;
    weft_status status = weft_config_load(&before, path, NULL, 0, error);
    if (status == WEFT_INVALID) return WEFT_OK;
    TRY(status);
    /* That of a weft to which the schedule's own placement was auto: others say what auto has chosen. */
    if (strcmp(before.parallel.placement, "auto") == 0) before.parallel.placement = "own";
    status = compare_dumps(&before, dump, out_same, error);
    weft_config_fini(&before);
    return status;
}

/* Removes the steps behind the one given. */
static weft_status drop_after(const char *run, int64_t step, int64_t *out_dropped, weft_error *error)
{
    char path[PATH_BYTES];
    int64_t *steps = NULL;
    size_t count = 0;
    weft_arena arena;
    weft_arena_init(&arena);
    weft_status status = list_steps(run, &arena, &steps, &count, error);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        if (steps[i] <= step) continue;
        if (unlink(file_of(run, steps[i], path)) != 0)
            status = weft_fail(error, WEFT_FAILED, "%s: cannot remove: %s", path, strerror(errno));
        ++*out_dropped;
    }
    weft_arena_fini(&arena);
    return status;
}

static weft_status begin(const weft_config *config, const weft_text *dump, int64_t step, int64_t *out_dropped,
                         weft_error *error)
{
    char path[PATH_BYTES];
    const char *run = config->run.folder;
    int64_t later = 0;
    bool there = weft_path_exists(folder_of(run, path)), same = false;
    *out_dropped = 0;
    TRY(weft_text_check(dump, error));
    if (there && !weft_path_is_folder(path)) /* what a link points to is somebody else's */
        FAIL(error, WEFT_INVALID, "%s: not a folder of its own, and the run keeps its timelines there: move it away",
             path);
    if (there) TRY(drop_after(run, step, &later, error));
    if (there) TRY(compare_config(run, weft_text_get(dump), &same, error));
    if (there && !same) TRY(drop_after(run, 0, out_dropped, error));
    if (config->run.timelines == 0) return WEFT_OK;
    TRY(weft_folder_create(path, error));
    return weft_file_write(config_of(run, path), dump->bytes, dump->length, error);
}

weft_status weft_timelines_begin(const weft_config *config, int64_t step, int64_t *out_dropped, weft_error *error)
{
    weft_text dump;
    weft_text_init(&dump);
    weft_config_dump(config, false, &dump);
    weft_status status = begin(config, &dump, step, out_dropped, error);
    weft_text_fini(&dump);
    return status;
}

weft_status weft_timelines_keep(const weft_config *config, const weft_timeline_record *record, weft_error *error)
{
    char path[PATH_BYTES];
    weft_text text;
    weft_text_init(&text);
    weft_report_step_csv(record, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK)
        status = weft_file_write(file_of(config->run.folder, record->step, path), text.bytes, text.length, error);
    weft_text_fini(&text);
    return status;
}

weft_status weft_timelines_open(const char *run, weft_arena *arena, weft_config *config, int64_t **out_steps,
                                size_t *out_count, weft_error *error)
{
    char path[PATH_BYTES];
    *config = (weft_config){0};
    if (strlen(run) > PATH_BYTES - 64) FAIL(error, WEFT_INVALID, "the path of the run folder is too long");
    if (!weft_path_exists(run)) FAIL(error, WEFT_INVALID, "%s: there is no such run folder", run);
    if (!weft_path_exists(config_of(run, path)))
        FAIL(error, WEFT_INVALID, "%s: holds no timelines (a run keeps them unless run.timelines is 0)", run);
    TRY(weft_config_load(config, path, NULL, 0, error));
    TRY(list_steps(run, arena, out_steps, out_count, error));
    if (*out_count == 0) FAIL(error, WEFT_INVALID, "%s/timelines: holds no step yet", run);
    return WEFT_OK;
}

weft_status weft_timelines_read(const char *run, int64_t step, weft_timeline *timeline, weft_timeline_record *record,
                                weft_error *error)
{
    char path[PATH_BYTES];
    weft_text text;
    weft_text_init(&text);
    *record = (weft_timeline_record){.step = step, .kept = true, .measured = timeline};
    weft_status status = weft_file_read(file_of(run, step, path), &text, error);
    if (status == WEFT_OK) status = weft_report_read_step_csv(weft_text_get(&text), path, timeline, record, error);
    if (status == WEFT_OK) weft_timeline_meet(timeline);
    weft_text_fini(&text);
    return status;
}
