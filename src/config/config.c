/* Loading: file, then command line, then presets and defaults, then what follows from other keys, then the checks. */
#include "config/fields.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

static weft_status unknown_override(const char *key, weft_error *error)
{
    char shown[WEFT_SHOWN_BYTES];
    weft_config_shown(key, shown, sizeof shown);
    if (weft_field_is_section(key))
        FAIL(error, WEFT_INVALID, "command line: '%s' is a section; write %s.KEY=VALUE", shown, shown);
    const char *nearest = weft_field_nearest(key);
    if (nearest) FAIL(error, WEFT_INVALID, "command line: unknown key '%s' (nearest: '%s')", shown, nearest);
    FAIL(error, WEFT_INVALID, "command line: unknown key '%s': there is no such key ('weft help config' lists all)",
         shown);
}

static weft_status apply_override(weft_config *config, const char *override, weft_error *error)
{
    char key[128], shown[WEFT_SHOWN_BYTES];
    const char *equals = strchr(override, '=');
    if (!equals || equals == override)
        FAIL(error, WEFT_INVALID, "command line: '%s' is not of the form KEY=VALUE",
             weft_config_shown(override, shown, sizeof shown));
    int length = snprintf(key, sizeof key, "%.*s", (int)(equals - override), override);
    int index = length < (int)sizeof key ? weft_field_find(key) : -1;
    if (index < 0) return unknown_override(key, error);
    config->origins[index].kind = WEFT_ORIGIN_COMMAND_LINE;
    return weft_field_set(config, index, equals + 1, error);
}

static weft_status apply_use(weft_config *config, weft_config_use use, weft_error *error)
{
    for (int i = 0; i < weft_field_count(); i++) {
        const char *value = weft_field_get(i)->instead[use];
        if (!value) continue;
        config->origins[i].kind = WEFT_ORIGIN_COMMAND_LINE;
        TRY(weft_field_set(config, i, value, error));
    }
    return WEFT_OK;
}

/* Of data.path and data.sources one is there: what the command line says takes the place of the file's. */
static weft_status choose_data(weft_config *config, weft_error *error)
{
    weft_config_origin *path = &config->origins[weft_field_find("data.path")],
                       *sources = &config->origins[weft_field_find("data.sources")];
    if (!config->data.path) config->data.path = "";
    if (path->kind == WEFT_ORIGIN_UNSET || config->data.sources.count == 0) return WEFT_OK;
    if (path->kind == sources->kind)
        return weft_config_complain(config, "data.sources", error, "takes the place of data.path: set one of them");
    if (path->kind < sources->kind) {
        config->data.path = "";
        path->kind = WEFT_ORIGIN_UNSET;
    } else {
        config->data.sources = (weft_config_sources){0};
        sources->kind = WEFT_ORIGIN_UNSET;
    }
    return WEFT_OK;
}

static weft_status apply_defaults(weft_config *config, bool presets, weft_error *error)
{
    for (int i = 0; i < weft_field_count(); i++) {
        const weft_field *field = weft_field_get(i);
        if (config->origins[i].kind != WEFT_ORIGIN_UNSET || field->preset != presets) continue;
        if (!field->defaults[0] && config->data.sources.count > 0) continue; /* data.path, whose place they take */
        if (!field->defaults[0])
            return weft_config_complain(config, field->key, error, "is required; set it in the file or as %s=VALUE",
                                        field->key);
        config->origins[i].kind = presets ? WEFT_ORIGIN_PRESET : WEFT_ORIGIN_DEFAULT;
        TRY(weft_field_set(config, i, field->defaults[presets ? config->model.architecture : 0], error));
    }
    return WEFT_OK;
}

/* run/NAME for path/NAME.yaml */
static weft_status default_folder(weft_config *config, const char *name, weft_error *error)
{
    char folder[1024];
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    bool strip = dot && dot > base && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
    int length = strip ? (int)(dot - base) : (int)strlen(base);
    if (length == 0 || snprintf(folder, sizeof folder, "run/%.*s", length, base) >= (int)sizeof folder)
        return weft_config_complain(config, "run.folder", error, "cannot be made from the file's name; set it");
    return weft_field_set(config, weft_field_find("run.folder"), folder, error);
}

enum { LLAMA = 1, LLAMA_MULTIPLE = 64 };

static weft_status resolve(weft_config *config, const char *name, weft_error *error)
{
    weft_model_config *model = &config->model;
    if (model->kv_heads == 0) model->kv_heads = model->heads;
    if (model->head_width == 0 && model->width % model->heads == 0) model->head_width = model->width / model->heads;
    if (model->rotary_context == 0) model->rotary_context = model->context;
    if (model->feed_forward == 0) {
        int64_t third = (8 * model->width + 2) / 3;
        bool llama = model->architecture == LLAMA;
        model->feed_forward = llama ? (third + LLAMA_MULTIPLE - 1) / LLAMA_MULTIPLE * LLAMA_MULTIPLE : 4 * model->width;
    }
    if (config->batch.tokens == 0) config->batch.tokens = model->context;
    if (config->run.folder[0] == '\0') TRY(default_folder(config, name, error));
    return WEFT_OK;
}

static weft_status check_rotary(const weft_config *config, weft_error *error)
{
    const weft_model_config *model = &config->model;
    if (model->position == WEFT_CONFIG_ROTARY && model->head_width % 2)
        return weft_config_complain(config, "model.heads", error, "rotary positions need an even head width, not %lld",
                                    (long long)model->head_width);
    if (model->rotary_scaling == WEFT_CONFIG_SCALING_NONE) return WEFT_OK;
    if (model->position != WEFT_CONFIG_ROTARY)
        return weft_config_complain(config, "model.rotary_scaling", error,
                                    "stretches rotary positions: set model.position to rotary, or leave it out");
    if (model->rotary_scaling == WEFT_CONFIG_SCALING_LLAMA3 && model->rotary_high <= model->rotary_low)
        return weft_config_complain(config, "model.rotary_high", error, "must be greater than model.rotary_low, %g",
                                    model->rotary_low);
    if (model->rotary_scaling == WEFT_CONFIG_SCALING_YARN && model->rotary_fast < model->rotary_slow)
        return weft_config_complain(config, "model.rotary_fast", error, "must be at least model.rotary_slow, %g",
                                    model->rotary_slow);
    return WEFT_OK;
}

static weft_status check_model(const weft_config *config, weft_error *error)
{
    const weft_model_config *model = &config->model;
    if (model->head_width == 0)
        return weft_config_complain(config, "model.heads", error,
                                    "%lld heads do not divide model.width %lld: change one, or set model.head_width",
                                    (long long)model->heads, (long long)model->width);
    if (model->heads % model->kv_heads)
        return weft_config_complain(config, "model.kv_heads", error,
                                    "%lld key and value heads do not divide model.heads %lld",
                                    (long long)model->kv_heads, (long long)model->heads);
    TRY(check_rotary(config, error));
    if (model->position == WEFT_CONFIG_LEARNED && config->batch.tokens > model->context)
        return weft_config_complain(config, "batch.tokens", error, "%lld tokens do not fit in model.context %lld",
                                    (long long)config->batch.tokens, (long long)model->context);
    return WEFT_OK;
}

enum { STAGES_LIMIT = 1 << 24 }; /* = WEFT_STAGES_LIMIT of schedule/, the layer above */

/* A placement list and a schedule file say themselves how many stages there are: the job compares. */
static bool knows_stages(const weft_config *config)
{
    const char *placement = config->parallel.placement, *dot = strrchr(config->parallel.schedule, '.');
    return (placement[0] >= '0' && placement[0] <= '9') || (dot && strcmp(dot, ".csv") == 0);
}

static weft_status check_stages(const weft_config *config, weft_error *error)
{
    int64_t stages = config->parallel.pipeline * config->parallel.loops;
    if (stages > STAGES_LIMIT)
        return weft_config_complain(config, "parallel.loops", error, "%lld stages (pipeline x loops) are more than %d",
                                    (long long)stages, STAGES_LIMIT);
    const weft_config_list *list = &config->parallel.stages;
    if (list->count == 0) return WEFT_OK;
    if (!knows_stages(config) && list->count != stages)
        return weft_config_complain(config, "parallel.stages", error,
                                    "lists %lld stage%s; pipeline %lld x loops %lld makes %lld", (long long)list->count,
                                    weft_text_plural(list->count), (long long)config->parallel.pipeline,
                                    (long long)config->parallel.loops, (long long)stages);
    int64_t layers = 0;
    for (int64_t i = 0; i < list->count; i++) layers += list->values[i];
    if (layers != config->model.layers)
        return weft_config_complain(config, "parallel.stages", error,
                                    "the stages hold %lld layer%s; model.layers is %lld", (long long)layers,
                                    weft_text_plural(layers), (long long)config->model.layers);
    return WEFT_OK;
}

enum { WORKERS_LIMIT = 1 << 20 };

static weft_status check_sharding(const weft_config *config, weft_error *error)
{
    int64_t workers = config->parallel.data * config->parallel.pipeline * config->parallel.tensor;
    if (workers > WORKERS_LIMIT)
        return weft_config_complain(config, "parallel.data", error,
                                    "%lld workers (data x pipeline x tensor) are more than %d", (long long)workers,
                                    WORKERS_LIMIT);
    if (config->parallel.data == 1 && config->parallel.shard != WEFT_CONFIG_SHARD_NONE)
        return weft_config_complain(config, "parallel.shard", error,
                                    "needs workers to divide among: set parallel.data to 2 or more");
    if (config->parallel.reduce == WEFT_CONFIG_REDUCE_EARLY && config->parallel.shard < WEFT_CONFIG_SHARD_GRADIENTS)
        return weft_config_complain(config, "parallel.reduce", error,
                                    "early needs parallel.shard gradients or weights: others keep whole gradients");
    return WEFT_OK;
}

static weft_status check_automatic(const weft_config *config, weft_error *error)
{
    if (!config->parallel.automatic || config->parallel.workers > 0) return WEFT_OK;
    return weft_config_complain(config, "parallel.workers", error,
                                "is missing, and parallel.auto plans for so many: set it, to the cores of this machine "
                                "or fewer");
}

static weft_status check_steps(const weft_config *config, weft_error *error)
{
    if (config->run.timeline_step > config->run.steps)
        return weft_config_complain(config, "run.timeline_step", error, "step %lld is after the last, %lld",
                                    (long long)config->run.timeline_step, (long long)config->run.steps);
    return WEFT_OK;
}

/* The least is what every sixth step of ordinary noise would exceed. */
static weft_status check_skip(const weft_config *config, weft_error *error)
{
    double z = config->optimizer.skip;
    int64_t window = config->optimizer.skip_window;
    if (z == 0) return WEFT_OK;
    if (z < 1)
        return weft_config_complain(config, "optimizer.skip", error,
                                    "%g would skip ordinary steps: 0 skips none, 6 those far above the others", z);
    if (window == 1)
        return weft_config_complain(config, "optimizer.skip_window", error,
                                    "one step has no standard deviation: set it to 2 or more, or to 0");
    if (window >= config->run.steps)
        return weft_config_complain(config, "optimizer.skip_window", error,
                                    "%lld steps are never there before one of the %lld of run.steps: set it lower, or "
                                    "to 0 to skip only what is not finite",
                                    (long long)window, (long long)config->run.steps);
    return WEFT_OK;
}

/* What one key says alone, or with keys that no plan chooses. */
static weft_status check_given(const weft_config *config, weft_error *error)
{
    TRY(check_model(config, error));
    TRY(check_automatic(config, error));
    TRY(check_skip(config, error));
    return check_steps(config, error);
}

weft_status weft_config_check(const weft_config *config, weft_error *error)
{
    TRY(check_given(config, error));
    TRY(check_stages(config, error));
    return check_sharding(config, error);
}

/* How a configuration is to be read. */
typedef struct loading {
    weft_config_use use;
    weft_config_finder *finder; /* or NULL */
    void *context;
    const char *const *overrides;
    int override_count;
} loading;

static weft_status find_start(weft_config *config, const loading *how, const char *name, weft_config_start *out,
                              weft_error *error)
{
    if (!how->finder || !config->run.start || !*config->run.start) return WEFT_OK;
    if (!config->run.folder || !*config->run.folder) TRY(default_folder(config, name, error));
    if (how->finder(how->context, config->run.start, config->run.folder, out, error) != WEFT_OK)
        return weft_config_relay(config, "run.start", error);
    return out->config ? weft_config_adopt(config, out, error) : WEFT_OK;
}

static weft_status load(weft_config *config, const loading *how, const char *text, size_t length, const char *name,
                        weft_error *error)
{
    weft_config_start start = {0};
    size_t count = (size_t)weft_field_count();
    const char *file = NULL;
    char shown[1024];
    weft_config_shown(name, shown, sizeof shown);
    TRY(weft_arena_take(&config->arena, count, sizeof *config->origins, &config->origins, error));
    TRY(weft_arena_text(&config->arena, shown, &file, error));
    for (size_t i = 0; i < count; i++) config->origins[i].file = file;
    TRY(weft_config_read_yaml(config, text, length, file, error));
    for (int i = 0; i < how->override_count; i++) TRY(apply_override(config, how->overrides[i], error));
    TRY(choose_data(config, error));
    TRY(apply_use(config, how->use, error));
    TRY(find_start(config, how, name, &start, error));
    TRY(apply_defaults(config, false, error));
    TRY(apply_defaults(config, true, error));
    TRY(resolve(config, name, error));
    if (start.config) TRY(weft_config_agree(config, &start, error));
    return (config->parallel.automatic ? check_given : weft_config_check)(config, error);
}

static weft_status load_text(weft_config *config, const loading *how, const char *text, size_t length, const char *name,
                             weft_error *error)
{
    *config = (weft_config){0};
    weft_arena_init(&config->arena);
    weft_status status = load(config, how, text, length, name, error);
    if (status != WEFT_OK) weft_config_fini(config);
    return status;
}

static weft_status load_file(weft_config *config, const loading *how, const char *path, weft_error *error)
{
    *config = (weft_config){0};
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = load_text(config, how, weft_text_get(&text), text.length, path, error);
    weft_text_fini(&text);
    return status;
}

weft_status weft_config_load_text_for(weft_config *config, weft_config_use use, const char *text, size_t length,
                                      const char *name, const char *const *overrides, int override_count,
                                      weft_error *error)
{
    const loading how = {.use = use, .overrides = overrides, .override_count = override_count};
    return load_text(config, &how, text, length, name, error);
}

weft_status weft_config_load_text(weft_config *config, const char *text, size_t length, const char *name,
                                  const char *const *overrides, int override_count, weft_error *error)
{
    return weft_config_load_text_for(config, WEFT_CONFIG_TO_TRAIN, text, length, name, overrides, override_count,
                                     error);
}

weft_status weft_config_load_text_from(weft_config *config, weft_config_finder *finder, void *context, const char *text,
                                       size_t length, const char *name, const char *const *overrides,
                                       int override_count, weft_error *error)
{
    const loading how = {
        .finder = finder, .context = context, .overrides = overrides, .override_count = override_count};
    return load_text(config, &how, text, length, name, error);
}

weft_status weft_config_load_for(weft_config *config, weft_config_use use, const char *path,
                                 const char *const *overrides, int override_count, weft_error *error)
{
    const loading how = {.use = use, .overrides = overrides, .override_count = override_count};
    return load_file(config, &how, path, error);
}

weft_status weft_config_load(weft_config *config, const char *path, const char *const *overrides, int override_count,
                             weft_error *error)
{
    return weft_config_load_for(config, WEFT_CONFIG_TO_TRAIN, path, overrides, override_count, error);
}

weft_status weft_config_load_from(weft_config *config, weft_config_finder *finder, void *context, const char *path,
                                  const char *const *overrides, int override_count, weft_error *error)
{
    const loading how = {
        .finder = finder, .context = context, .overrides = overrides, .override_count = override_count};
    return load_file(config, &how, path, error);
}

weft_config_given weft_config_given_by(const weft_config *config, const char *key)
{
    int kind = config->origins[weft_field_find(key)].kind;
    if (kind == WEFT_ORIGIN_COMMAND_LINE) return WEFT_CONFIG_ON_COMMAND_LINE;
    return kind == WEFT_ORIGIN_FILE ? WEFT_CONFIG_IN_FILE : WEFT_CONFIG_NOT_GIVEN;
}

weft_status weft_config_choose(weft_config *config, const char *key, const char *value, weft_error *error)
{
    int index = weft_field_find(key);
    config->origins[index].kind = WEFT_ORIGIN_PLAN;
    return weft_field_set(config, index, value, error);
}

void weft_config_value(const weft_config *config, const char *key, weft_text *out)
{
    int index = weft_field_find(key);
    const weft_field *field = weft_field_get(index);
    if (field->type == WEFT_FIELD_TEXT)
        weft_text_add(out, "%s", *(const char *const *)((const char *)config + field->offset));
    else
        weft_field_print(config, index, false, out);
}

void weft_config_fini(weft_config *config)
{
    weft_arena_fini(&config->arena);
    *config = (weft_config){0};
}
