#include "cli/pictures.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct form {
    const char *option;
    uint32_t most_actions; /* more would be hundreds of megabytes */
    void (*write)(const weft_panel *panels, int count, weft_text *out);
} form;

static const form forms[] = {{"svg", 1u << 20, weft_report_svg_stack},
                             {"html", 1u << 22, weft_report_html},
                             {"trace", 1u << 22, weft_report_trace_stack}};

enum { FORMS = sizeof forms / sizeof *forms };

static const char *const units[] = {"s", "ms", "us"};

weft_status weft_cli_unit(const weft_arguments *arguments, const char **out, weft_error *error)
{
    const char *name = weft_arguments_get(arguments, "unit");
    *out = name ? name : units[0];
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(*out, units[i]) == 0) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "--unit: expects s, ms or us, not '%s'", name);
}

double weft_cli_unit_seconds(const char *unit)
{
    return strcmp(unit, "us") == 0 ? 1e-6 : strcmp(unit, "ms") == 0 ? 1e-3 : 1;
}

/* Known before the work, not after. */
static weft_status check_folder(const char *path, weft_error *error)
{
    struct stat status;
    char folder[4200];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return WEFT_OK;
    if (snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path) >= (int)sizeof folder)
        FAIL(error, WEFT_INVALID, "the path is too long");
    if (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))
        FAIL(error, WEFT_INVALID, "there is no folder %s", folder);
    return WEFT_OK;
}

/* A file is replaced when the new one is complete; a device or a pipe must not be. */
weft_status weft_cli_output_check(const char *path, weft_error *error)
{
    struct stat status;
    if (!*path) FAIL(error, WEFT_INVALID, "expects the name of a file, not ''");
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        FAIL(error, WEFT_INVALID, "%s is there and is not a regular file", path);
    /* /dev/stdout is a link to a file that is open already: replaced would be the link. */
    if (strncmp(path, "/dev/", 5) == 0 && lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
        FAIL(error, WEFT_INVALID, "%s stands for another file: name the file itself", path);
    return check_folder(path, error);
}

static weft_status check_form(const form *kind, const weft_program *program, weft_error *error)
{
    if (program->action_count > kind->most_actions)
        FAIL(error, WEFT_INVALID, "--%s: %u actions are more than %u, too many to draw", kind->option,
             (unsigned)program->action_count, (unsigned)kind->most_actions);
    return WEFT_OK;
}

/* Of two files by one name the second would replace the first. */
weft_status weft_cli_outputs_check(const weft_arguments *arguments, const char *const *options, int count,
                                   weft_error *error)
{
    for (int i = 0; i < count; i++) {
        const char *path = weft_arguments_get(arguments, options[i]);
        if (path && weft_cli_output_check(path, error) != WEFT_OK) return weft_error_context(error, "--%s", options[i]);
        for (int j = 0; path && j < i; j++) {
            const char *earlier = weft_arguments_get(arguments, options[j]);
            if (earlier && strcmp(earlier, path) == 0)
                FAIL(error, WEFT_INVALID, "--%s and --%s both name %s; give each a file of its own", options[j],
                     options[i], path);
        }
    }
    return WEFT_OK;
}

weft_status weft_cli_pictures_check(const weft_arguments *arguments, const weft_program *program, weft_error *error)
{
    const char *unit = NULL, *options[FORMS];
    TRY(weft_cli_unit(arguments, &unit, error));
    for (int i = 0; i < FORMS; i++) options[i] = forms[i].option;
    TRY(weft_cli_outputs_check(arguments, options, FORMS, error));
    for (int i = 0; i < FORMS; i++)
        if (weft_arguments_has(arguments, forms[i].option)) TRY(check_form(&forms[i], program, error));
    return WEFT_OK;
}

static weft_status write_file(const form *kind, const char *path, const weft_panel *panels, int count,
                              weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    kind->write(panels, count, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_file_write(path, text.bytes, text.length, error);
    weft_text_fini(&text);
    return status;
}

weft_status weft_cli_pictures_stack(const weft_arguments *arguments, const weft_panel *panels, int count,
                                    weft_error *error)
{
    for (int i = 0; i < FORMS; i++) {
        const char *path = weft_arguments_get(arguments, forms[i].option);
        if (path) TRY(write_file(&forms[i], path, panels, count, error));
    }
    return WEFT_OK;
}

weft_status weft_cli_pictures_write(const weft_arguments *arguments, const weft_timeline *timeline,
                                    const weft_picture *picture, weft_error *error)
{
    weft_picture labelled = *picture;
    TRY(weft_cli_unit(arguments, &labelled.unit, error));
    labelled.unit_scale = 1;
    return weft_cli_pictures_stack(arguments, &(weft_panel){timeline, &labelled}, 1, error);
}
