/* A model in a GGUF file as it is read: its keys, and where in the file each parameter is. */
#include "convert/gguf_model.h"

#include "base/file.h"
#include "convert/place.h"
#include "tokenizer/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Rows of a parameter that one tensor holds. */
typedef struct gguf_part {
    char name[WEFT_TENSOR_NAME];
    const weft_gguf_tensor *tensor; /* NULL: it is not there */
    int64_t first, rows;
    int64_t paired; /* the width of a head whose rows lie in pairs; 0: they do not */
} gguf_part;

/* By way of the families of Hugging Face. */
static weft_status read_keys(weft_gguf_model *model, const char *name, weft_error *error)
{
    static const char *const no_data[] = {"data.path=none"};
    weft_document document;
    TRY(weft_document_parse(&document, weft_text_get(&model->json), model->json.length, name, error));
    weft_text_add(&model->keys, "model:\n");
    weft_status status = weft_family_read(&document, &model->family, &model->keys, error);
    if (status == WEFT_OK)
        status = weft_config_load_text(&model->config, weft_text_get(&model->keys), model->keys.length, name, no_data,
                                       1, error);
    weft_document_fini(&document);
    return status;
}

static weft_status read_config(weft_gguf_model *model, int64_t context, weft_error *error)
{
    weft_text name;
    weft_text_init(&name);
    weft_text_add(&name, "%s (as config.json)", weft_gguf_path(model->file));
    weft_status status = weft_text_check(&name, error);
    if (status == WEFT_OK) status = read_keys(model, weft_text_get(&name), error);
    weft_text_fini(&name);
    if (status != WEFT_OK) return status;
    model->model = model->config.model;
    model->positions = model->model.context;
    if (context > model->positions)
        FAIL(error, WEFT_INVALID, "%s: its longest sequence is %" PRId64 ", not %" PRId64, weft_gguf_path(model->file),
             model->positions, context);
    if (context > 0) model->model.context = context;
    return WEFT_OK;
}

/* Returns how many. */
static int find_parts(const weft_gguf_model *model, const weft_parameter *parameter, gguf_part out[WEFT_FAMILY_PARTS])
{
    weft_band bands[WEFT_FAMILY_PARTS];
    bool ignored = false;
    int count = weft_family_bands(&model->architecture->names, parameter, bands, &ignored);
    for (int i = 0; i < count; i++) {
        out[i] = (gguf_part){.first = bands[i].first, .rows = bands[i].rows};
        out[i].paired = weft_gguf_paired(model->architecture, &model->model, parameter, i);
        memcpy(out[i].name, bands[i].name, sizeof out[i].name);
        out[i].tensor = weft_gguf_find(model->file, bands[i].name);
    }
    return count;
}

/* Only embedding.position may have more rows than the model wants. */
static weft_status check_shape(const weft_gguf_model *model, const weft_parameter *parameter, const gguf_part *part,
                               weft_error *error)
{
    const weft_gguf_tensor *tensor = part->tensor;
    const char *path = weft_gguf_path(model->file);
    bool matrix = parameter->dimensions == 2, position = strcmp(parameter->name, "embedding.position") == 0;
    int64_t rows = position ? model->positions : part->rows, columns = parameter->shape[1];
    if (!tensor) FAIL(error, WEFT_INVALID, "%s: has no tensor \"%s\", which a model of its keys has", path, part->name);
    if (tensor->dimensions == parameter->dimensions && tensor->shape[0] == rows &&
        (!matrix || tensor->shape[1] == columns))
        return WEFT_OK;
    if (matrix)
        FAIL(error, WEFT_INVALID,
             "%s: tensor \"%s\" has not the shape that its keys ask for, (%" PRId64 ", %" PRId64 ")", path, part->name,
             rows, columns);
    FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" has not the shape that its keys ask for, (%" PRId64 ")", path,
         part->name, rows);
}

static weft_status check_parameters(const weft_gguf_model *model, size_t *out_used, weft_error *error)
{
    weft_parameter parameter;
    gguf_part parts[WEFT_FAMILY_PARTS];
    for (int64_t i = 0; weft_model_parameter(&model->model, i, &parameter); i++) {
        if (parameter.tied) continue;
        int count = find_parts(model, &parameter, parts);
        if (count == 0)
            FAIL(error, WEFT_INVALID, "%s: models of %s have no \"%s\"", weft_gguf_path(model->file),
                 model->architecture->name, parameter.name);
        for (int p = 0; p < count; p++) TRY(check_shape(model, &parameter, &parts[p], error));
        *out_used += (size_t)count;
    }
    return WEFT_OK;
}

/* Whether a tensor is one of a parameter's, by going through all of them: only to name the first that is none. */
static bool belongs(const weft_gguf_model *model, const weft_gguf_tensor *tensor)
{
    weft_parameter parameter;
    gguf_part parts[WEFT_FAMILY_PARTS];
    for (int64_t i = 0; weft_model_parameter(&model->model, i, &parameter); i++)
        for (int p = 0, count = find_parts(model, &parameter, parts); p < count; p++)
            if (parts[p].tensor == tensor) return true;
    return false;
}

/* What no parameter is made of would be lost without a word. Keys have told of rope_freqs.weight. */
static weft_status check_all_used(const weft_gguf_model *model, size_t used, weft_error *error)
{
    const weft_gguf_tensor *bent = model->family->rotary ? weft_gguf_find(model->file, "rope_freqs.weight") : NULL;
    size_t count = weft_gguf_count(model->file);
    if (count == used + (bent ? 1 : 0)) return WEFT_OK;
    for (size_t i = 0; i < count; i++) {
        const weft_gguf_tensor *tensor = weft_gguf_get(model->file, i);
        if (tensor != bent && !belongs(model, tensor))
            FAIL(error, WEFT_INVALID, "%s: tensor \"%.100s\" is none that a model of its keys has (%s)",
                 weft_gguf_path(model->file), tensor->name, model->architecture->name);
    }
    return WEFT_OK;
}

static weft_status open_model(weft_gguf_model *model, const char *path, int64_t context, weft_error *error)
{
    size_t used = 0;
    TRY(weft_gguf_open(path, &model->file, error));
    TRY(weft_gguf_config(model->file, &model->architecture, &model->json, error));
    TRY(read_config(model, context, error));
    TRY(check_parameters(model, &used, error));
    return check_all_used(model, used, error);
}

bool weft_gguf_model_is(const char *path)
{
    size_t length = strlen(path), end = strlen(".gguf");
    weft_map map;
    weft_error ignored;
    if (length > end && strcmp(path + length - end, ".gguf") == 0) return true;
    if (weft_map_init(&map, path, &ignored) != WEFT_OK) return false;
    bool is = map.size >= 4 && memcmp(map.bytes, "GGUF", 4) == 0;
    weft_map_fini(&map);
    return is;
}

weft_status weft_gguf_model_open(const char *path, int64_t context, weft_gguf_model **out, weft_error *error)
{
    *out = NULL;
    weft_gguf_model *model = NULL;
    TRY(weft_allocate(1, sizeof *model, &model, error));
    weft_status status = open_model(model, path, context, error);
    if (status == WEFT_OK)
        *out = model;
    else
        weft_gguf_model_close(model);
    return status;
}

void weft_gguf_model_close(weft_gguf_model *model)
{
    if (!model) return;
    weft_gguf_close(model->file);
    weft_text_fini(&model->keys);
    weft_text_fini(&model->json);
    weft_config_fini(&model->config);
    weft_free(model);
}

const weft_model_config *weft_gguf_model_get(const weft_gguf_model *model)
{
    return &model->model;
}

const char *weft_gguf_model_architecture(const weft_gguf_model *model)
{
    return model->architecture->name;
}

/* Rows of a parameter that are read from its first to its last. */
typedef struct reading {
    const weft_gguf_model *model;
    const weft_parameter *parameter;
    gguf_part parts[WEFT_FAMILY_PARTS];
    int count, at;        /* at: the part that is read */
    int64_t since, until; /* rows of its tensor that may be in memory */
} reading;

/* Bytes of a file that may stay in memory behind what is read. */
enum { SPAN = 1 << 22 };

/* What was read of the part, if it is so much. */
static void release(reading *it, size_t least)
{
    const weft_gguf_tensor *tensor = it->parts[it->at].tensor;
    size_t width = (size_t)it->parameter->shape[1];
    size_t from = weft_gguf_type_bytes(tensor->type, (size_t)it->since * width);
    size_t bytes = weft_gguf_type_bytes(tensor->type, (size_t)it->until * width) - from;
    if (bytes < least) return;
    weft_gguf_release(it->model->file, tensor->data + from, bytes);
    it->since = it->until;
}

/* A run in one row of the parameter. */
static weft_status take_row(reading *it, int64_t row, int64_t column, int64_t count, float *out, weft_error *error)
{
    int64_t width = it->parameter->shape[1];
    while (row >= it->parts[it->at].first + it->parts[it->at].rows) {
        release(it, 1);
        it->since = it->until = 0;
        it->at++;
    }
    const gguf_part *part = &it->parts[it->at];
    int64_t place = row - part->first, head = part->paired ? part->paired : 1;
    bool last = place % head == head - 1; /* rows in pairs are all over their head */
    if (it->until == 0) it->since = place / head * head;
    it->until = (place / head + 1) * head;
    if (part->paired) place = weft_gguf_row(place, part->paired);
    weft_gguf_to_float(part->tensor, place * width + column, count, out);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(out[i]))
            FAIL(error, WEFT_INVALID,
                 "%s: tensor \"%s\" holds a number that is not finite (row %" PRId64 ", column %" PRId64 " of %s)",
                 weft_gguf_path(it->model->file), part->name, row, column + i, it->parameter->name);
    if (last) release(it, SPAN);
    return WEFT_OK;
}

/* A run over several rows. */
static weft_status take_run(reading *it, int64_t from, int64_t count, float *out, weft_error *error)
{
    int64_t width = it->parameter->shape[1];
    while (count > 0) {
        int64_t row = from / width, column = from % width, here = width - column < count ? width - column : count;
        TRY(take_row(it, row, column, here, out, error));
        from += here;
        out += here;
        count -= here;
    }
    return WEFT_OK;
}

weft_status weft_gguf_model_read(const weft_gguf_model *model, const weft_parameter *parameter, int64_t from,
                                 int64_t rows, int64_t columns, float *out, weft_error *error)
{
    reading it = {.model = model, .parameter = parameter};
    if (find_parts(model, parameter, it.parts) == 0)
        FAIL(error, WEFT_INVALID, "%s: has no \"%s\"", weft_gguf_path(model->file), parameter->name);
    for (int64_t r = 0; r < rows; r++)
        TRY(take_run(&it, from + r * parameter->shape[1], columns, out + r * columns, error));
    release(&it, 1);
    return WEFT_OK;
}

/* Made, and proved to be one that weft can read again. */
static weft_status read_tokenizer(const weft_gguf_model *model, weft_text *json, weft_text *settings, weft_error *error)
{
    weft_tokenizer *tokenizer = NULL;
    TRY(weft_gguf_tokenizer_read(model->file, json, settings, error));
    TRY(weft_tokenizer_create(weft_gguf_path(model->file), NULL, &tokenizer, error));
    weft_tokenizer_destroy(tokenizer);
    return WEFT_OK;
}

/* A tokenizer that weft does not know is no reason to refuse the weights. */
weft_status weft_gguf_keep(const weft_gguf_model *model, const char *folder, weft_text *out_missing, weft_error *error)
{
    weft_text json, settings;
    weft_error why;
    weft_text_init(&json);
    weft_text_init(&settings);
    weft_status status = weft_place_write(folder, "config.json", &model->json, error);
    weft_status known = read_tokenizer(model, &json, &settings, &why);
    if (status == WEFT_OK && known == WEFT_INVALID)
        weft_text_add(out_missing, "%s", why.text);
    else if (status == WEFT_OK && known != WEFT_OK)
        status = weft_fail(error, known, "%s", why.text);
    if (status == WEFT_OK && known == WEFT_OK) status = weft_place_write(folder, "tokenizer.json", &json, error);
    if (status == WEFT_OK && known == WEFT_OK)
        status = weft_place_write(folder, "tokenizer_config.json", &settings, error);
    weft_text_fini(&settings);
    weft_text_fini(&json);
    return status;
}
