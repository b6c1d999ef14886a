#include "train/resume.h"

#include "train/rate.h"

#include <stdio.h>
#include <string.h>

static const char bits[] = "from here on the bits differ";
static const char order[] = "text comes in another order from here on, some of it again before the rest was read";
static const char held_out[] =
    "other blocks are held out from here on, and may have been trained on; the rest comes in "
    "another order, some of it again before the rest was read";

/* Keys, and sections by their dot, the first that fits. All others (layout, transport, device, how often to save) may
 * change from run to run: places of data too, whose bytes are compared. What changes the rate has a note of its own. */
static const struct {
    const char *name, *means; /* means NULL: must not change */
} compared[] = {
    {"model.", NULL},
    {"run.seed", order},
    {"batch.tokens", order},
    {"batch.", bits},
    {"data.held_out", held_out},
    {"element", bits},
    {"optimizer.", bits},
    {"loss.", bits},
    {"parallel.data", bits},
    {"parallel.tensor", bits},
};

static bool is_named(const char *key, const char *name)
{
    size_t length = strlen(name);
    return name[length - 1] == '.' ? strncmp(key, name, length) == 0 : strcmp(key, name) == 0;
}

/* A share held out is nothing where other files are; when a run ends by its own is no matter of bits. */
static bool is_idle(const weft_job *job, const char *key)
{
    const weft_config *config = job->config;
    if (strcmp(key, "optimizer.skip_in_a_row") == 0) return true;
    if (strcmp(key, "optimizer.skip_window") == 0) return config->optimizer.skip == 0;
    return strcmp(key, "data.held_out") == 0 && *config->data.held_out_path;
}

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

/* A checkpoint that no training has touched, such as an imported one, goes with any data and any keys but the model's.
 */
static bool has_read(const weft_checkpoint *checkpoint)
{
    return weft_checkpoint_get_state(checkpoint)->sequences > 0;
}

static weft_status compare_value(const weft_job *job, const weft_checkpoint *checkpoint, const char *key, line now,
                                 line then, weft_text *notes, weft_error *error)
{
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        if (!is_named(key, compared[i].name) || is_idle(job, key)) continue;
        if (!compared[i].means)
            return weft_config_complain(
                job->config, key, error,
                "is %.*s, but the model in %s has %.*s: change it back, or name another run.folder", now.length,
                now.begin, weft_checkpoint_path(checkpoint), then.length, then.begin);
        if (has_read(checkpoint))
            weft_text_add(notes, "%s is %.*s, the checkpoint was trained with %.*s: %s\n", key, now.length, now.begin,
                          then.length, then.begin, compared[i].means);
        break;
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

static weft_status compare_configs(const weft_job *job, const weft_checkpoint *checkpoint, const weft_config *old,
                                   weft_text *notes, weft_error *error)
{
    weft_text now, then;
    weft_text_init(&now);
    weft_text_init(&then);
    weft_config_dump(job->config, false, &now);
    weft_config_dump(old, false, &then);
    weft_status status = weft_text_check(&now, error);
    if (status == WEFT_OK) status = weft_text_check(&then, error);
    if (status == WEFT_OK)
        status = compare_dumps(job, checkpoint, weft_text_get(&now), weft_text_get(&then), notes, error);
    weft_text_fini(&now);
    weft_text_fini(&then);
    return status;
}

/* The schedule of the rate before and after: told when a key changes on which the steps to come depend. */
static void compare_rates(const weft_config *now, const weft_config *then, int64_t step, weft_text *notes)
{
    bool falls = now->optimizer.decay != WEFT_CONFIG_CONSTANT || then->optimizer.decay != WEFT_CONFIG_CONSTANT;
    bool wsd = now->optimizer.decay == WEFT_CONFIG_WSD || then->optimizer.decay == WEFT_CONFIG_WSD;
    bool warms = falls || now->optimizer.warmup > step || then->optimizer.warmup > step;
    const struct {
        const char *key;
        bool differs;
    } keys[] = {{"run.steps", falls && now->run.steps != then->run.steps},
                {"optimizer.learning_rate", now->optimizer.learning_rate != then->optimizer.learning_rate},
                {"optimizer.minimum", falls && now->optimizer.minimum != then->optimizer.minimum},
                {"optimizer.warmup", warms && now->optimizer.warmup != then->optimizer.warmup},
                {"optimizer.decay", now->optimizer.decay != then->optimizer.decay},
                {"optimizer.decay_steps", wsd && now->optimizer.decay_steps != then->optimizer.decay_steps}};
    size_t begin = notes->length;
    if (step >= now->run.steps) return; /* nothing is trained */
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].differs) weft_text_add(notes, "%s%s", notes->length == begin ? "" : ", ", keys[i].key);
    if (notes->length == begin) return;
    weft_text_add(notes, " changed: the learning rate was %.4g at step %lld and is %.4g at step %lld\n",
                  step > 0 ? weft_learning_rate(then, step) : 0, (long long)step, weft_learning_rate(now, step + 1),
                  (long long)step + 1);
}

/* Where either run knows no tokenizer, its data are compared, as those of all runs. */
static weft_status compare_tokenizers(const weft_config *now, const weft_config *then,
                                      const weft_checkpoint *checkpoint, weft_error *error)
{
    const char *own = now->data.tokenizer_fingerprint, *known = then->data.tokenizer_fingerprint;
    if (!*own || !*known || strcmp(own, known) == 0) return WEFT_OK;
    return weft_config_complain(now, "data.tokenizer", error,
                                "%s is another tokenizer than that of %s, which was %s (fingerprint %s, now %s): name "
                                "that one, or another run.folder",
                                now->data.tokenizer, weft_checkpoint_path(checkpoint), then->data.tokenizer, known,
                                own);
}

static weft_status compare(const weft_job *job, weft_checkpoint *checkpoint, weft_text *notes, weft_error *error)
{
    weft_config old;
    TRY(weft_checkpoint_load_config(checkpoint, &old, error));
    weft_status status = compare_configs(job, checkpoint, &old, notes, error);
    if (status == WEFT_OK) status = compare_tokenizers(job->config, &old, checkpoint, error);
    if (status == WEFT_OK && has_read(checkpoint))
        compare_rates(job->config, &old, weft_checkpoint_get_state(checkpoint)->step, notes);
    if (status == WEFT_OK) status = weft_text_check(notes, error);
    weft_config_fini(&old);
    return status;
}

weft_status weft_resume_check(const weft_job *job, const weft_data *data, const weft_checkpoint *checkpoint,
                              weft_error *error)
{
    if (!has_read(checkpoint)) return WEFT_OK;
    if (weft_checkpoint_get_state(checkpoint)->data_fingerprint == weft_data_fingerprint(data)) return WEFT_OK;
    FAIL(error, WEFT_INVALID,
         "%s was trained on other data than %s%s%s (of a folder, what is hidden, a backup or of a run is "
         "none): name the same data.path and data.held_out_path, or another run.folder",
         weft_checkpoint_path(checkpoint), job->config->data.path, *job->config->data.held_out_path ? " with " : "",
         job->config->data.held_out_path);
}

weft_status weft_resume_open(const weft_job *job, bool resume, weft_checkpoint **out, weft_text *notes,
                             weft_error *error)
{
    const char *folder = job->config->run.folder;
    *out = NULL;
    if (weft_checkpoint_is(folder))
        return weft_config_complain(job->config, "run.folder", error,
                                    "%s is a checkpoint itself: name the folder that holds it, or another", folder);
    if (!weft_checkpoint_exists(folder)) {
        if (resume) weft_text_add(notes, "no checkpoint in %s: training begins at step 1\n", folder);
        return weft_text_check(notes, error);
    }
    if (!resume)
        return weft_config_complain(job->config, "run.folder", error,
                                    "%s holds a checkpoint: add --resume to go on from it, or name another folder",
                                    folder);
    TRY(weft_checkpoint_open(folder, out, error));
    return compare(job, *out, notes, error);
}
