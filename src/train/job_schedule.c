/* The schedule that a configuration names: a kind or a file. */
#include "train/job_parts.h"

#include "base/file.h"

#include <string.h>

/* Of the schedule itself. Where nobody has chosen yet (weft_job_place), auto is its own, too. */
static bool is_own(const char *placement)
{
    return strcmp(placement, "own") == 0 || strcmp(placement, "auto") == 0;
}

static weft_status check_file(const weft_config *config, const weft_schedule *schedule, weft_error *error)
{
    if (!is_own(config->parallel.placement))
        return weft_config_complain(config, "parallel.placement", error,
                                    "the rows of %s say which rank holds each stage; leave it out",
                                    config->parallel.schedule);
    if (schedule->ranks != config->parallel.pipeline || schedule->microbatches != config->batch.microbatches)
        return weft_config_complain(config, "parallel.schedule", error,
                                    "%s has %d rank%s and %d micro-batch%s, not %lld and %lld",
                                    config->parallel.schedule, schedule->ranks, weft_text_plural(schedule->ranks),
                                    schedule->microbatches, schedule->microbatches == 1 ? "" : "es",
                                    (long long)config->parallel.pipeline, (long long)config->batch.microbatches);
    return WEFT_OK;
}

static weft_status read_schedule(const weft_config *config, weft_schedule **out, weft_error *error)
{
    const char *name = config->parallel.schedule;
    weft_csv_dialect dialect = (weft_csv_dialect)config->parallel.dialect;
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(name, &text, error);
    if (status == WEFT_OK)
        status = weft_schedule_read_csv(weft_text_get(&text), text.length, name, dialect, out, error);
    weft_text_fini(&text);
    if (status != WEFT_OK) return weft_config_relay(config, "parallel.schedule", error);
    status = check_file(config, *out, error);
    if (status == WEFT_OK) return WEFT_OK;
    weft_schedule_destroy(*out);
    *out = NULL;
    return status;
}

/* The key without which the schedule could be made. */
static const char *key_to_blame(const weft_schedule_options *options)
{
    weft_schedule_options without_group = *options, without_placement = *options, without_loops = *options;
    without_group.group = 0;
    without_placement.placement = NULL;
    without_loops.loops = 0;
    const struct {
        const weft_schedule_options *options;
        const char *key;
    } trials[] = {{&without_group, "parallel.group"},
                  {&without_placement, "parallel.placement"},
                  {&without_loops, "parallel.loops"}};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        weft_schedule *schedule = NULL;
        weft_error ignored;
        if (weft_schedule_create(trials[i].options, &schedule, &ignored) != WEFT_OK) continue;
        weft_schedule_destroy(schedule);
        return trials[i].key;
    }
    return "parallel.schedule";
}

weft_schedule_options weft_job_schedule_options(const weft_config *config)
{
    const char *placement = config->parallel.placement;
    /* One loop is what nobody asked for, and a list has as many as it has. */
    bool counts = weft_placement_is_list(placement) && config->parallel.loops == 1;
    return (weft_schedule_options){.kind = config->parallel.schedule,
                                   .ranks = (int32_t)config->parallel.pipeline,
                                   .loops = counts ? 0 : (int32_t)config->parallel.loops,
                                   .microbatches = (int32_t)config->batch.microbatches,
                                   .placement = is_own(placement) ? NULL : placement,
                                   .group = (int32_t)config->parallel.group};
}

weft_status weft_job_schedule(const weft_config *config, weft_schedule **out, weft_error *error)
{
    *out = NULL;
    if (weft_schedule_is_file(config->parallel.schedule)) return read_schedule(config, out, error);
    if (config->parallel.dialect != WEFT_CONFIG_DIALECT_CURRENT)
        return weft_config_complain(config, "parallel.dialect", error,
                                    "only a schedule file has a dialect, and %s is a kind", config->parallel.schedule);
    weft_schedule_options options = weft_job_schedule_options(config);
    if (weft_schedule_create(&options, out, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, key_to_blame(&options), error);
}
