#include "train/resume.h"

#include <stdio.h>
#include <string.h>

/* Keys by how they begin. All others (layout, transport, device, how often to save) may change from run to run. */
static const struct {
    const char *begins;
    bool must_match;
} compared[] = {
    {"model.", true},   {"run.seed", false},   {"batch.", false},        {"data.held_out", false},
    {"element", false}, {"optimizer.", false}, {"parallel.data", false}, {"parallel.tensor", false},
};

/* One line of weft_config_dump. */
typedef struct {
    const char *begin;
    int length;
} line;

static bool next_line(const char **at, line *out)
{
    if (!**at) return false;
    *out = (line){*at, (int)strcspn(*at, "\n")};
    *at += out->length;
    *at += **at == '\n';
    return true;
}

static weft_status compare_value(const weft_job *job, const weft_checkpoint *checkpoint, const char *key, line now,
                                 line then, weft_text *notes, weft_error *error)
{
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        if (strncmp(key, compared[i].begins, strlen(compared[i].begins)) != 0) continue;
        if (compared[i].must_match)
            return weft_config_complain(
                job->config, key, error,
                "is %.*s, but the model in %s has %.*s: change it back, or name another run.folder", now.length,
                now.begin, weft_checkpoint_path(checkpoint), then.length, then.begin);
        weft_text_add(notes, "%s is %.*s, the checkpoint was trained with %.*s: from here on the bits differ\n", key,
                      now.length, now.begin, then.length, then.begin);
    }
    return WEFT_OK;
}

/* Both texts are of weft_config_dump: the same keys in the same order, "section:" or "[  ]name: value". */
static weft_status compare_dumps(const weft_job *job, const weft_checkpoint *checkpoint, const char *now,
                                 const char *then, weft_text *notes, weft_error *error)
{
    line a, b, section = {"", 0};
    while (next_line(&now, &a) && next_line(&then, &b)) {
        const char *colon = memchr(a.begin, ':', (size_t)a.length);
        if (!colon) continue;
        bool inside = a.begin[0] == ' ';
        int prefix = (int)(colon + 2 - a.begin);
        if (prefix > a.length) section = (line){a.begin, prefix - 2};
        if (prefix > a.length || (a.length == b.length && memcmp(a.begin, b.begin, (size_t)a.length) == 0)) continue;
        char key[128];
        snprintf(key, sizeof key, "%.*s%s%.*s", inside ? section.length : 0, section.begin, inside ? "." : "",
                 (int)(colon - a.begin) - (inside ? 2 : 0), a.begin + (inside ? 2 : 0));
        line value = {a.begin + prefix, a.length - prefix}, old = {b.begin + prefix, b.length - prefix};
        TRY(compare_value(job, checkpoint, key, value, old, notes, error));
    }
    return WEFT_OK;
}

static weft_status compare_configs(const weft_job *job, const weft_checkpoint *checkpoint, weft_text *notes,
                                   weft_error *error)
{
    const char *yaml = weft_checkpoint_config(checkpoint);
    weft_config old;
    TRY(weft_config_load_text(&old, yaml, strlen(yaml), weft_checkpoint_path(checkpoint), NULL, 0, error));
    weft_text now, then;
    weft_text_init(&now);
    weft_text_init(&then);
    weft_config_dump(job->config, false, &now);
    weft_config_dump(&old, false, &then);
    weft_status status = weft_text_check(&now, error);
    if (status == WEFT_OK) status = weft_text_check(&then, error);
    if (status == WEFT_OK)
        status = compare_dumps(job, checkpoint, weft_text_get(&now), weft_text_get(&then), notes, error);
    if (status == WEFT_OK) status = weft_text_check(notes, error);
    weft_text_fini(&now);
    weft_text_fini(&then);
    weft_config_fini(&old);
    return status;
}

weft_status weft_resume_open(const weft_job *job, const weft_data *data, bool resume, weft_checkpoint **out,
                             weft_text *notes, weft_error *error)
{
    const char *folder = job->config->run.folder;
    *out = NULL;
    if (!weft_checkpoint_exists(folder)) return WEFT_OK;
    if (!resume)
        return weft_config_complain(job->config, "run.folder", error,
                                    "%s holds a checkpoint: add --resume to go on from it, or name another folder",
                                    folder);
    TRY(weft_checkpoint_open(folder, out, error));
    TRY(compare_configs(job, *out, notes, error));
    if (weft_checkpoint_get_state(*out)->data_fingerprint != weft_data_fingerprint(data))
        FAIL(error, WEFT_INVALID,
             "%s was trained on other data than %s: name the same data.path, or another run.folder",
             weft_checkpoint_path(*out), job->config->data.path);
    return WEFT_OK;
}
