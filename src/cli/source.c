#include "cli/source.h"

#include "base/file.h"

#include <string.h>

static weft_status required(const weft_arguments *arguments, const char *name, weft_error *error)
{
    if (weft_arguments_has(arguments, name)) return WEFT_OK;
    return weft_arguments_refuse(arguments->verb, error, "--%s is missing", name);
}

static weft_status read_options(const weft_arguments *arguments, weft_schedule_options *out, weft_error *error)
{
    int64_t ranks = 0, loops = 0, microbatches = 0, group = 0;
    TRY(required(arguments, "pipeline", error));
    TRY(required(arguments, "microbatches", error));
    TRY(weft_arguments_int(arguments, "pipeline", 0, 1, INT32_MAX, &ranks, error));
    TRY(weft_arguments_int(arguments, "loops", 0, 1, INT32_MAX, &loops, error));
    TRY(weft_arguments_int(arguments, "microbatches", 0, 1, INT32_MAX, &microbatches, error));
    TRY(weft_arguments_int(arguments, "group", 0, 1, INT32_MAX, &group, error));
    *out = (weft_schedule_options){.kind = arguments->operands[0],
                                   .ranks = (int32_t)ranks,
                                   .loops = (int32_t)loops,
                                   .microbatches = (int32_t)microbatches,
                                   .placement = weft_arguments_get(arguments, "placement"),
                                   .group = (int32_t)group};
    return WEFT_OK;
}

static weft_status generate(const weft_arguments *arguments, int64_t most_actions, weft_schedule **out,
                            weft_error *error)
{
    weft_schedule_options options;
    if (strpbrk(arguments->operands[0], "./"))
        FAIL(error, WEFT_INVALID, "\"%s\" is no kind of schedule, and no file of one: their names end with .csv",
             arguments->operands[0]);
    TRY(read_options(arguments, &options, error));
    if (weft_arguments_has(arguments, "dialect"))
        FAIL(error, WEFT_INVALID, "--dialect: only a file has a dialect, and %s is a kind", options.kind);
    int64_t stages = (int64_t)options.ranks * (options.loops ? options.loops : 1);
    if (most_actions && stages > most_actions / 2 / options.microbatches)
        FAIL(error, WEFT_INVALID, "%lld stages x %d micro-batches are more than %lld actions, too many to print",
             (long long)stages, (int)options.microbatches, (long long)most_actions);
    return weft_schedule_create(&options, out, error);
}

/* Sizes that were given besides a file are there to be checked. */
static weft_status check_sizes(const weft_arguments *arguments, const weft_schedule *schedule, weft_error *error)
{
    const struct {
        const char *option, *what;
        int32_t value;
    } sizes[] = {{"pipeline", "ranks", schedule->ranks},
                 {"loops", "stages a rank", schedule->loops},
                 {"microbatches", "micro-batches", schedule->microbatches}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t value = 0;
        TRY(weft_arguments_int(arguments, sizes[i].option, sizes[i].value, 0, INT32_MAX, &value, error));
        if (value != sizes[i].value)
            FAIL(error, WEFT_INVALID, "--%s: %s has %d %s, not %lld", sizes[i].option, arguments->operands[0],
                 (int)sizes[i].value, sizes[i].what, (long long)value);
    }
    if (weft_arguments_has(arguments, "placement"))
        FAIL(error, WEFT_INVALID, "--placement: the rows of %s say which rank holds each stage",
             arguments->operands[0]);
    if (weft_arguments_has(arguments, "group"))
        FAIL(error, WEFT_INVALID, "--group: the rows of %s say in which order micro-batches come",
             arguments->operands[0]);
    return WEFT_OK;
}

static weft_status read_dialect(const weft_arguments *arguments, weft_csv_dialect *out, weft_error *error)
{
    const char *name = weft_arguments_get(arguments, "dialect");
    if (name && strcmp(name, "2024") != 0)
        FAIL(error, WEFT_INVALID, "--dialect: expects 2024, not '%s'; without it a file is of the current one", name);
    *out = name ? WEFT_CSV_2024 : WEFT_CSV_CURRENT;
    return WEFT_OK;
}

static weft_status import(const weft_arguments *arguments, weft_schedule **out, weft_error *error)
{
    const char *path = arguments->operands[0];
    weft_csv_dialect dialect = WEFT_CSV_CURRENT;
    weft_text text;
    TRY(read_dialect(arguments, &dialect, error));
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK)
        status = weft_schedule_read_csv(weft_text_get(&text), text.length, path, dialect, out, error);
    weft_text_fini(&text);
    TRY(status);
    status = check_sizes(arguments, *out, error);
    if (status == WEFT_OK) return WEFT_OK;
    weft_schedule_destroy(*out);
    *out = NULL;
    return status;
}

weft_status weft_cli_schedule(const weft_arguments *arguments, int64_t most_actions, weft_schedule **out,
                              weft_error *error)
{
    *out = NULL;
    if (weft_schedule_is_file(arguments->operands[0])) return import(arguments, out, error);
    return generate(arguments, most_actions, out, error);
}

void weft_cli_schedule_kinds(weft_text *out)
{
    weft_text_add(out, "kinds:\n");
    for (const char *const *name = weft_schedule_kind_names(); *name; name++)
        weft_text_add(out, "  %-28s  %s\n", *name, weft_schedule_kind_summary(*name));
}
