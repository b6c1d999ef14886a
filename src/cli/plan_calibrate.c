#include "cli/plan_calibrate.h"

#include "base/file.h"

#include <string.h>

static const char *reason_of(const weft_plan_run *run)
{
    if (run->unusable) return run->unusable;
    if (run->out_of_memory) return "out of memory";
    return run->step > 0 ? NULL : "step_s is empty";
}

/* Each reason once, at its first row, by this form of a number and a reason. */
static void say_unusable(const weft_plan_runs *runs, void (*say_one)(size_t rows, const char *reason, weft_text *out),
                         weft_text *out)
{
    for (size_t i = 0; i < runs->count; i++) {
        const char *reason = reason_of(&runs->rows[i]);
        size_t before = 0, same = 0;
        if (!reason) continue;
        for (size_t k = 0; k < runs->count; k++) {
            const char *other = reason_of(&runs->rows[k]);
            if (!other || strcmp(other, reason) != 0) continue;
            same++;
            before += k < i;
        }
        if (before == 0) say_one(same, reason, out);
    }
}

static void say_line(size_t rows, const char *reason, weft_text *out)
{
    weft_text_add(out, "  %zu row%s cannot be used: %s\n", rows, weft_text_plural((int64_t)rows), reason);
}

static void say_item(size_t rows, const char *reason, weft_text *out)
{
    weft_text_add(out, "%s%zu %s", out->length ? ", " : "", rows, reason);
}

static weft_status check_any(const weft_plan_runs *runs, const char *path, weft_error *error)
{
    weft_text reasons;
    if (runs->count == 0) FAIL(error, WEFT_INVALID, "%s: has no rows", path);
    for (size_t i = 0; i < runs->count; i++)
        if (!reason_of(&runs->rows[i])) return WEFT_OK;
    weft_text_init(&reasons);
    say_unusable(runs, say_item, &reasons);
    weft_status status = weft_text_check(&reasons, error);
    if (status == WEFT_OK)
        status = weft_fail(error, WEFT_INVALID, "%s: none of %zu row%s can be used: %s", path, runs->count,
                           weft_text_plural((int64_t)runs->count), weft_text_get(&reasons));
    weft_text_fini(&reasons);
    return status;
}

static void say_constants(const weft_plan_constant *constants, int count, weft_text *out)
{
    for (int i = 0; i < count; i++)
        weft_text_add(out, "  %-28s %10.4g -> %10.4g %s%s\n", constants[i].name, constants[i].before,
                      constants[i].after, constants[i].unit,
                      constants[i].at_bound ? "  at its bound: it stands for something else" : "");
}

static void say(const weft_plan_runs *runs, const weft_plan_cluster *cluster, const weft_plan_fit *fit, weft_text *out)
{
    weft_text_add(out, "calibrated to %zu of %zu run%s, which it now predicts to %.1f %%\n", fit->time.used,
                  runs->count, weft_text_plural((int64_t)runs->count), 100 * fit->time.error);
    if (fit->time.foreign > 0)
        weft_text_add(out, "  %zu of these %s of another kind of GPU than %s, the cluster's%s\n", fit->time.foreign,
                      fit->time.foreign == 1 ? "is" : "are", cluster->gpu.name,
                      fit->time.foreign == fit->time.used ? ": none is a run of this cluster" : "");
    say_unusable(runs, say_line, out);
    say_constants(fit->times, WEFT_PLAN_TIME_CONSTANTS, out);
    weft_text_add(out, "  messages %s, reductions %s; %d shape%s of layers %s a factor of %s own\n",
                  cluster->software.messages_overlap ? "overlapped" : "blocking",
                  cluster->software.reduces_overlap ? "overlapped" : "after compute", fit->shape_count,
                  weft_text_plural(fit->shape_count), fit->shape_count == 1 ? "has" : "have",
                  fit->shape_count == 1 ? "its" : "their");
    if (fit->memory.used > 0) {
        weft_text_add(out, "peak memory of %zu run%s, which it now predicts to %.1f %%\n", fit->memory.used,
                      weft_text_plural((int64_t)fit->memory.used), 100 * fit->memory.error);
        say_constants(fit->memories, WEFT_PLAN_MEMORY_CONSTANTS, out);
    }
    weft_text_add(out, "\n");
}

weft_status weft_plan_calibrate(const char *path, weft_plan_cluster *cluster, weft_plan_fit *fit, weft_text *out,
                                weft_error *error)
{
    weft_plan_runs runs = {0};
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = weft_plan_runs_read(&runs, weft_text_get(&text), text.length, path, error);
    if (status == WEFT_OK) status = check_any(&runs, path, error);
    if (status == WEFT_OK) status = weft_plan_fit_runs(runs.rows, runs.count, cluster, fit, error);
    if (status == WEFT_OK) say(&runs, cluster, fit, out);
    weft_plan_runs_fini(&runs);
    weft_text_fini(&text);
    return status;
}
