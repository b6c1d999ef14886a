/* Weights of others as a checkpoint of step 0, a piece at a time. */
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "convert/folder.h"
#include "convert/gguf_model.h"
#include "convert/place.h"

#include <string.h>

enum { PIECE = 1 << 18 }; /* elements that are converted at once */

/* Where the checkpoint's writer believes the values to lie: each parameter behind the one before. Nobody reads there.
 */
static const uintptr_t beginning = 64;

/* What a run is made of. */
typedef struct source {
    const void *handle;
    const char *path, *what, *family; /* what: for people */
    const weft_config *config;
    const weft_model_config *model;
    weft_status (*read)(const void *handle, const weft_parameter *parameter, int64_t from, int64_t count, float *out,
                        weft_error *error);
    /* Puts what belongs to the model besides its weights into a folder. */
    weft_status (*keep)(const void *handle, const char *folder, weft_text *out_missing, weft_error *error);
} source;

typedef struct importing {
    const source *from;
    const weft_parameter *parameters;
    int32_t count, at; /* at: the parameter that is read */
    int64_t *first;    /* (count) elements before each */
    float *values;     /* (PIECE) */
} importing;

static weft_status read_values(void *context, const void *data, size_t count, const void **out, size_t *out_count,
                               weft_error *error)
{
    importing *it = context;
    int64_t element = (int64_t)(((uintptr_t)data - beginning) / sizeof(float));
    while (it->at > 0 && it->first[it->at] > element) it->at--;
    while (it->at + 1 < it->count && it->first[it->at + 1] <= element) it->at++;
    int64_t from = element - it->first[it->at], wanted = (int64_t)(count / sizeof(float));
    if (wanted > PIECE) wanted = PIECE;
    TRY(it->from->read(it->from->handle, &it->parameters[it->at], from, wanted, it->values, error));
    *out = it->values;
    *out_count = (size_t)wanted * sizeof(float);
    return WEFT_OK;
}

/* Pieces for the writer: all parameters, whole. A tied head is no tensor of a checkpoint. */
static weft_status list_pieces(importing *it, weft_arena *arena, weft_checkpoint_piece **out, size_t *out_count,
                               weft_error *error)
{
    int64_t next = 0;
    TRY(weft_arena_take(arena, (size_t)it->count, sizeof **out, out, error));
    TRY(weft_arena_take(arena, (size_t)it->count, sizeof *it->first, &it->first, error));
    TRY(weft_arena_take(arena, PIECE, sizeof *it->values, &it->values, error));
    for (int32_t p = 0; p < it->count; p++) {
        const weft_parameter *parameter = &it->parameters[p];
        it->first[p] = next;
        if (parameter->tied) continue;
        (*out)[(*out_count)++] =
            (weft_checkpoint_piece){.name = parameter->name,
                                    .dimensions = parameter->dimensions,
                                    .shape = parameter->shape,
                                    .rows = 1,
                                    .columns = parameter->elements,
                                    .values = (const void *)(beginning + (uintptr_t)next * sizeof(float))};
        next += parameter->elements;
    }
    return WEFT_OK;
}

static weft_status write_weights(const source *from, const char *run, weft_checkpoint_file *out, weft_error *error)
{
    importing it = {.from = from};
    weft_checkpoint_piece *pieces = NULL;
    size_t count = 0;
    weft_arena arena;
    weft_arena_init(&arena);
    const weft_tensor_source values = {&it, read_values};
    weft_status status = weft_model_parameters(from->model, 1, &arena, &it.parameters, &it.count, error);
    if (status == WEFT_OK) status = list_pieces(&it, &arena, &pieces, &count, error);
    if (status == WEFT_OK)
        status = weft_checkpoint_write(&values, run, 0, WEFT_CHECKPOINT_WEIGHTS, 0, 1, pieces, count, out, error);
    weft_arena_fini(&arena);
    return status;
}

/* The model's keys, as they were read, and what an adaptation to other text begins with. */
static weft_status make_config(const source *from, const char *run, weft_text *out, weft_error *error)
{
    weft_text names[3];
    weft_config config;
    const char *overrides[] = {NULL, NULL, NULL, "optimizer.learning_rate=2.0e-05", "data.path=tokens"};
    enum { OVERRIDES = sizeof overrides / sizeof *overrides };
    for (int i = 0; i < 3; i++) weft_text_init(&names[i]);
    weft_text_add(&names[0], "run.folder=%s", run);
    weft_text_add(&names[1], "model.context=%lld", (long long)from->model->context);
    weft_text_add(&names[2], "batch.tokens=%lld", (long long)from->model->context);
    weft_text yaml;
    weft_text_init(&yaml);
    weft_config_dump(from->config, false, &yaml);
    weft_status status = weft_text_check(&yaml, error);
    for (int i = 0; i < 3 && status == WEFT_OK; i++) {
        status = weft_text_check(&names[i], error);
        overrides[i] = weft_text_get(&names[i]);
    }
    if (status == WEFT_OK)
        status =
            weft_config_load_text(&config, weft_text_get(&yaml), yaml.length, from->path, overrides, OVERRIDES, error);
    if (status == WEFT_OK) {
        weft_config_dump(&config, false, out);
        weft_config_fini(&config);
        status = weft_text_check(out, error);
    }
    weft_text_fini(&yaml);
    for (int i = 0; i < 3; i++) weft_text_fini(&names[i]);
    return status;
}

/* What a user reads first. */
static weft_status write_config(const source *from, const char *run, const char *yaml, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_text_add(
        &text,
        "# From a %s (%s). Its weights are the checkpoint of step 0 here, so train with\n"
        "# --resume. data.path is yours to set: tokens of its tokenizer (weft tokenize), or text and data.tokenizer.\n"
        "# batch.tokens may be less.\n"
        "%s",
        from->what, from->family, yaml);
    weft_status status = weft_place_write(run, "config.yaml", &text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status keep_source(const source *from, const char *run, weft_text *out_missing, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/source", run);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = weft_folder_create(weft_text_get(&path), error);
    if (status == WEFT_OK) status = from->keep(from->handle, weft_text_get(&path), out_missing, error);
    weft_text_fini(&path);
    return status;
}

static weft_status make_run(const source *from, const char *run, const char *yaml, weft_text *out_missing,
                            weft_error *error)
{
    weft_checkpoint_file file;
    const weft_checkpoint_state state = {.step = 0};
    TRY(weft_checkpoint_begin(run, 0, error));
    TRY(write_weights(from, run, &file, error));
    TRY(keep_source(from, run, out_missing, error));
    TRY(write_config(from, run, yaml, error));
    return weft_checkpoint_publish(run, &state, yaml, &file, 1, 0, error);
}

static weft_status import(const source *from, const char *run, weft_text *out_missing, weft_error *error)
{
    weft_text yaml;
    TRY(weft_place_check(run, error));
    weft_text_init(&yaml);
    weft_status status = make_config(from, run, &yaml, error);
    if (status == WEFT_OK) {
        status = make_run(from, run, weft_text_get(&yaml), out_missing, error);
        weft_error ignored;
        if (status != WEFT_OK && weft_folder_remove(run, &ignored) != WEFT_OK)
            status = weft_error_context(error, "%s is left half written", run);
    }
    weft_text_fini(&yaml);
    return status;
}

static weft_status read_folder(const void *handle, const weft_parameter *parameter, int64_t from, int64_t count,
                               float *out, weft_error *error)
{
    return weft_folder_read(handle, parameter, from, 1, count, out, error);
}

static weft_status keep_folder(const void *handle, const char *folder, weft_text *out_missing, weft_error *error)
{
    (void)out_missing;
    return weft_place_copy(weft_folder_path(handle), folder, true, error);
}

weft_status weft_import(const weft_folder *folder, const char *run, weft_error *error)
{
    const source from = {.handle = folder,
                         .path = folder->path,
                         .what = "folder of Hugging Face",
                         .family = folder->family->name,
                         .config = &folder->config,
                         .model = &folder->model,
                         .read = read_folder,
                         .keep = keep_folder};
    return import(&from, run, NULL, error);
}

static weft_status read_gguf(const void *handle, const weft_parameter *parameter, int64_t from, int64_t count,
                             float *out, weft_error *error)
{
    return weft_gguf_model_read(handle, parameter, from, 1, count, out, error);
}

static weft_status keep_gguf(const void *handle, const char *folder, weft_text *out_missing, weft_error *error)
{
    return weft_gguf_keep(handle, folder, out_missing, error);
}

weft_status weft_gguf_import(const weft_gguf_model *model, const char *run, weft_text *out_missing, weft_error *error)
{
    const source from = {.handle = model,
                         .path = weft_gguf_path(model->file),
                         .what = "GGUF file",
                         .family = model->family->name,
                         .config = &model->config,
                         .model = &model->model,
                         .read = read_gguf,
                         .keep = keep_gguf};
    return import(&from, run, out_missing, error);
}
