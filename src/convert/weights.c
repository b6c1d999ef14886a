/* Where weights may be, as a table. */
#include "convert/weights.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "convert/gguf_model.h"
#include "convert/place.h"
#include "tokenizer/gguf.h"

#include <string.h>

struct weft_weights {
    const struct weights_kind *kind;
    void *source; /* the kind's own, owned */
    weft_arena arena;
    const char *path, *yaml;
    const weft_config *config;
    weft_config trained; /* of a checkpoint */
    int64_t step;
    const char *files;     /* folder with config.json and the tokenizer's files, or NULL */
    const char *tokenizer; /* or NULL */
};

/* open fills in all but kind. Whatever it has set, close is called. */
typedef struct weights_kind {
    bool (*is)(const char *path); /* whether it looks like one; the last kind takes what is left */
    weft_status (*open)(weft_weights *weights, const char *path, int64_t context, weft_error *error);
    void (*close)(weft_weights *weights);
    weft_status (*read)(const weft_weights *weights, const weft_parameter *parameter, int64_t from, int64_t rows,
                        int64_t columns, float *out, weft_error *error);
    weft_status (*keep)(const weft_weights *weights, const char *folder, weft_error *error); /* may be there already */
    bool has_run;
} weights_kind;

static weft_status keep_files(const weft_weights *weights, const char *folder, weft_error *error)
{
    if (!weights->files) return WEFT_OK;
    TRY(weft_folder_create(folder, error));
    return weft_place_copy(weights->files, folder, true, error);
}

/* A folder of Hugging Face. */

static bool is_folder(const char *path)
{
    return !weft_checkpoint_is(path) && !weft_checkpoint_exists(path) &&
           (weft_place_holds(path, "config.json") || weft_place_holds(path, "model.safetensors") ||
            weft_place_holds(path, "model.safetensors.index.json"));
}

static weft_status open_folder(weft_weights *weights, const char *path, int64_t context, weft_error *error)
{
    weft_folder *folder = NULL;
    TRY(weft_folder_open(path, context, &folder, error));
    weights->source = folder;
    weights->path = weights->files = weft_folder_path(folder);
    weights->yaml = weft_folder_keys(folder);
    weights->config = weft_folder_config(folder);
    weights->tokenizer = weft_place_has_tokenizer(weights->path) ? weights->path : NULL;
    return WEFT_OK;
}

static void close_folder(weft_weights *weights)
{
    weft_folder_close(weights->source);
}

static weft_status read_folder(const weft_weights *weights, const weft_parameter *parameter, int64_t from, int64_t rows,
                               int64_t columns, float *out, weft_error *error)
{
    return weft_folder_read(weights->source, parameter, from, rows, columns, out, error);
}

/* A GGUF file. */

static weft_status open_gguf(weft_weights *weights, const char *path, int64_t context, weft_error *error)
{
    weft_gguf_model *model = NULL;
    TRY(weft_gguf_model_open(path, context < 0 ? 0 : context, &model, error));
    weights->source = model;
    weights->path = weft_gguf_path(model->file);
    weights->yaml = weft_text_get(&model->keys);
    weights->config = &model->config;
    weights->tokenizer = weft_gguf_tokenizer_is(model->file) ? weights->path : NULL;
    return WEFT_OK;
}

static void close_gguf(weft_weights *weights)
{
    weft_gguf_model_close(weights->source);
}

static weft_status read_gguf(const weft_weights *weights, const weft_parameter *parameter, int64_t from, int64_t rows,
                             int64_t columns, float *out, weft_error *error)
{
    return weft_gguf_model_read(weights->source, parameter, from, rows, columns, out, error);
}

/* A tokenizer that weft does not know is left. */
static weft_status keep_gguf(const weft_weights *weights, const char *folder, weft_error *error)
{
    weft_text missing;
    TRY(weft_folder_create(folder, error));
    weft_text_init(&missing);
    weft_status status = weft_gguf_keep(weights->source, folder, &missing, error);
    weft_text_fini(&missing);
    return status;
}

/* A checkpoint, or a run's latest. */

static bool is_rest(const char *path)
{
    (void)path;
    return true;
}

static weft_status read_config(weft_weights *weights, int64_t context, weft_error *error)
{
    weft_checkpoint *checkpoint = weights->source;
    if (context >= 0) return weft_checkpoint_load_config(checkpoint, &weights->trained, error); /* which proves it */
    return weft_config_load_text(&weights->trained, weights->yaml, strlen(weights->yaml), weights->path, NULL, 0,
                                 error);
}

static weft_status find_files(weft_weights *weights, weft_error *error)
{
    weft_text source;
    const char *own = weights->trained.data.tokenizer;
    weft_text_init(&source);
    weft_place_source(weights->path, &source);
    weft_status status = weft_text_check(&source, error);
    if (status == WEFT_OK && source.length > 0)
        status = weft_arena_text(&weights->arena, weft_text_get(&source), &weights->files, error);
    weft_text_fini(&source);
    bool kept = weights->files && weft_place_has_tokenizer(weights->files);
    weights->tokenizer = kept && !(*own && weft_path_exists(own)) ? weights->files : *own ? own : NULL;
    return status;
}

static weft_status open_checkpoint(weft_weights *weights, const char *path, int64_t context, weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    if (!weft_path_exists(path))
        FAIL(error, WEFT_INVALID, "%s: no such checkpoint, run folder, folder of Hugging Face or GGUF file", path);
    if (!weft_place_holds(path, "."))
        FAIL(error, WEFT_INVALID,
             "%s: is no GGUF file, and no folder as checkpoints, runs and models of Hugging Face are", path);
    TRY((context < 0 ? weft_checkpoint_open_outline : weft_checkpoint_open)(path, &checkpoint, error));
    weights->source = checkpoint;
    weights->path = weft_checkpoint_path(checkpoint);
    weights->yaml = weft_checkpoint_config(checkpoint);
    weights->step = weft_checkpoint_get_state(checkpoint)->step;
    TRY(read_config(weights, context, error));
    weights->config = &weights->trained;
    if (context > weights->trained.model.context)
        FAIL(error, WEFT_INVALID, "%s: its longest sequence is %lld, not %lld", weights->path,
             (long long)weights->trained.model.context, (long long)context);
    return find_files(weights, error);
}

static void close_checkpoint(weft_weights *weights)
{
    if (weights->config) weft_config_fini(&weights->trained);
    weft_checkpoint_close(weights->source);
}

/* Of a smaller context there are the first rows of embedding.position. */
static weft_status read_checkpoint(const weft_weights *weights, const weft_parameter *parameter, int64_t from,
                                   int64_t rows, int64_t columns, float *out, weft_error *error)
{
    int64_t shape[2] = {parameter->shape[0], parameter->shape[1]};
    if (strcmp(parameter->name, "embedding.position") == 0) shape[0] = weights->trained.model.context;
    return weft_checkpoint_read(weights->source, WEFT_CHECKPOINT_WEIGHTS, parameter->name, parameter->dimensions, shape,
                                from, rows, columns, out, error);
}

static const weights_kind kinds[] = {
    {is_folder, open_folder, close_folder, read_folder, keep_files, false},
    {weft_gguf_model_is, open_gguf, close_gguf, read_gguf, keep_gguf, false},
    {is_rest, open_checkpoint, close_checkpoint, read_checkpoint, keep_files, true},
};

weft_status weft_weights_open(const char *path, int64_t context, weft_weights **out, weft_error *error)
{
    weft_weights *weights = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *weights, &weights, error));
    weft_arena_init(&weights->arena);
    weights->kind = kinds;
    while (!weights->kind->is(path)) weights->kind++;
    weft_status status = weights->kind->open(weights, path, context, error);
    if (status == WEFT_OK)
        *out = weights;
    else
        weft_weights_close(weights);
    return status;
}

void weft_weights_close(weft_weights *weights)
{
    if (!weights) return;
    weights->kind->close(weights);
    weft_arena_fini(&weights->arena);
    weft_free(weights);
}

const char *weft_weights_path(const weft_weights *weights)
{
    return weights->path;
}

int64_t weft_weights_step(const weft_weights *weights)
{
    return weights->step;
}

const char *weft_weights_yaml(const weft_weights *weights)
{
    return weights->yaml;
}

const weft_config *weft_weights_config(const weft_weights *weights)
{
    return weights->config;
}

bool weft_weights_has_run(const weft_weights *weights)
{
    return weights->kind->has_run;
}

const char *weft_weights_tokenizer(const weft_weights *weights)
{
    return weights->tokenizer;
}

const char *weft_weights_other_tokenizer(const weft_weights *weights)
{
    const char *known = weights->tokenizer;
    return known && strcmp(known, weights->config->data.tokenizer) != 0 ? known : NULL;
}

weft_status weft_weights_read(const weft_weights *weights, const weft_parameter *parameter, int64_t from, int64_t rows,
                              int64_t columns, float *out, weft_error *error)
{
    return weights->kind->read(weights, parameter, from, rows, columns, out, error);
}

/* Files that lie there already are not to be removed for their own copies. */
static weft_status keep_in(const weft_weights *weights, const char *folder, weft_error *error)
{
    if (weights->files && weft_path_is_same(weights->files, folder)) return WEFT_OK;
    TRY(weft_place_clear(folder, error));
    return weights->kind->keep(weights, folder, error);
}

weft_status weft_weights_keep(const weft_weights *weights, const char *run, weft_error *error)
{
    weft_text source;
    weft_text_init(&source);
    weft_text_add(&source, "%s/source", run);
    weft_status status = weft_text_check(&source, error);
    if (status == WEFT_OK) status = keep_in(weights, weft_text_get(&source), error);
    weft_text_fini(&source);
    return status;
}
