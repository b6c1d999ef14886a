/* A checkpoint's weights as a folder of Hugging Face, a piece at a time. */
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "convert/folder.h"
#include "convert/leaving.h"
#include "convert/place.h"

#include <string.h>

enum { PIECE = 1 << 22 }; /* elements that are converted at once */

/* Where the writer believes the data to lie: each tensor behind the one before. Nobody reads there. */
static const uintptr_t beginning = 64;

/* Rows of a parameter as a tensor of the folder. */
typedef struct output {
    char name[WEFT_TENSOR_NAME];
    int32_t parameter;
    int64_t first, rows, columns;
    bool transposed;
    size_t bytes_before, bytes;
    int32_t file;
} output;

typedef struct exporting {
    const weft_checkpoint *checkpoint;
    const char *to;
    const weft_export_options *options;
    const weft_family *family;
    const weft_model_config *model;
    weft_arena arena;
    const weft_parameter *parameters;
    int32_t parameter_count, at; /* at: the output that is read */
    output *outputs;
    int32_t output_count, files;
    size_t bytes;
    float *values, *turned; /* (PIECE) */
} exporting;

/* Into the file that is being filled, or the next one. */
static void add_output(exporting *it, output out, size_t *in_file)
{
    size_t most = (size_t)it->options->file_bytes;
    out.bytes = (size_t)(out.rows * out.columns) * weft_element_bytes(it->options->element);
    if (most > 0 && *in_file > 0 && *in_file + out.bytes > most) {
        it->files++;
        *in_file = 0;
    }
    out.bytes_before = it->bytes;
    out.file = it->files - 1;
    *in_file += out.bytes;
    it->bytes += out.bytes;
    it->outputs[it->output_count++] = out;
}

static weft_status list_outputs(exporting *it, weft_error *error)
{
    size_t in_file = 0;
    TRY(weft_model_parameters(it->model, 1, &it->arena, &it->parameters, &it->parameter_count, error));
    TRY(weft_arena_take(&it->arena, (size_t)it->parameter_count * WEFT_FAMILY_PARTS, sizeof *it->outputs, &it->outputs,
                        error));
    it->files = 1;
    for (int32_t p = 0; p < it->parameter_count; p++) {
        const weft_parameter *parameter = &it->parameters[p];
        weft_band bands[WEFT_FAMILY_PARTS];
        bool transposed = false;
        if (parameter->tied) continue;
        int count = weft_family_bands(it->family, parameter, bands, &transposed);
        if (count == 0) FAIL(error, WEFT_INVALID, "models of %s have no \"%s\"", it->family->name, parameter->name);
        for (int i = 0; i < count; i++) {
            output out = {.parameter = p, .first = bands[i].first, .rows = bands[i].rows, .transposed = transposed};
            out.columns = parameter->shape[1];
            memcpy(out.name, bands[i].name, sizeof out.name);
            add_output(it, out, &in_file);
        }
    }
    return WEFT_OK;
}

static weft_status read_block(exporting *it, const output *from, int64_t at, int64_t rows, int64_t columns,
                              weft_error *error)
{
    const weft_parameter *parameter = &it->parameters[from->parameter];
    return weft_checkpoint_read(it->checkpoint, WEFT_CHECKPOINT_WEIGHTS, parameter->name, parameter->dimensions,
                                parameter->shape, from->first * from->columns + at, rows, columns, it->values, error);
}

/* Columns of the parameter are the rows of its tensor: as many whole ones as there is room for, else part of one. */
static weft_status read_turned(exporting *it, const output *from, int64_t element, int64_t *count, weft_error *error)
{
    int64_t column = element / from->rows, row = element % from->rows;
    int64_t rows = from->rows - row < PIECE ? from->rows - row : PIECE;
    int64_t columns = rows == from->rows && *count / rows < PIECE / rows ? *count / rows : PIECE / rows;
    if (columns < 1 || rows < from->rows) columns = 1;
    TRY(read_block(it, from, row * from->columns + column, rows, columns, error));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) it->turned[c * rows + r] = it->values[r * columns + c];
    *count = rows * columns;
    return WEFT_OK;
}

static weft_status read_values(void *context, const void *data, size_t bytes, const void **out, size_t *out_bytes,
                               weft_error *error)
{
    exporting *it = context;
    size_t place = (size_t)((uintptr_t)data - beginning), element = weft_element_bytes(it->options->element);
    while (it->at > 0 && it->outputs[it->at].bytes_before > place) it->at--;
    while (it->at + 1 < it->output_count && it->outputs[it->at + 1].bytes_before <= place) it->at++;
    const output *from = &it->outputs[it->at];
    int64_t at = (int64_t)((place - from->bytes_before) / element), count = (int64_t)(bytes / element);
    float *values = from->transposed ? it->turned : it->values;
    if (count > PIECE) count = PIECE;
    if (from->transposed)
        TRY(read_turned(it, from, at, &count, error));
    else
        TRY(read_block(it, from, at, 1, count, error));
    TRY(weft_values_check(from->name, values, count, weft_element_largest(it->options->element), error));
    float *other = from->transposed ? it->values : it->turned;
    weft_element_from_float(it->options->element, values, (size_t)count, other);
    *out = other;
    *out_bytes = (size_t)count * element;
    return WEFT_OK;
}

static void file_name(const exporting *it, int32_t file, weft_text *out)
{
    if (it->files == 1)
        weft_text_add(out, "model.safetensors");
    else
        weft_text_add(out, "model-%05d-of-%05d.safetensors", (int)file + 1, (int)it->files);
}

static weft_status write_file(exporting *it, int32_t file, weft_tensor_entry *entries, weft_error *error)
{
    size_t count = 0;
    const weft_tensor_source source = {it, read_values};
    for (int32_t i = 0; i < it->output_count; i++) {
        const output *from = &it->outputs[i];
        bool matrix = it->parameters[from->parameter].dimensions == 2;
        if (from->file != file) continue;
        entries[count++] = (weft_tensor_entry){
            .name = from->name,
            .element = it->options->element,
            .dimensions = matrix ? 2 : 1,
            .shape = {from->transposed ? from->columns : from->rows, !matrix            ? 0
                                                                     : from->transposed ? from->rows
                                                                                        : from->columns},
            .data = (const void *)(beginning + from->bytes_before),
            .bytes = from->bytes};
    }
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/", it->to);
    file_name(it, file, &path);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK)
        status = weft_safetensors_write_from(&source, weft_text_get(&path), "pt", entries, count, NULL, NULL, error);
    weft_text_fini(&path);
    return status;
}

static weft_status write_index(const exporting *it, weft_error *error)
{
    weft_text text;
    if (it->files == 1) return WEFT_OK;
    weft_text_init(&text);
    weft_json json = weft_json_begin(&text, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_object(&json, "metadata", WEFT_JSON_ROW);
    weft_json_int(&json, "total_size", (int64_t)it->bytes);
    weft_json_object_end(&json);
    weft_json_object(&json, "weight_map", WEFT_JSON_LINES);
    for (int32_t i = 0; i < it->output_count; i++) {
        weft_text name;
        weft_text_init(&name);
        file_name(it, it->outputs[i].file, &name);
        weft_json_take_text(&json, it->outputs[i].name, &name);
    }
    weft_json_object_end(&json);
    weft_json_object_end(&json);
    weft_text_add(&text, "\n");
    weft_status status = weft_place_write(it->to, "model.safetensors.index.json", &text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status write_files(exporting *it, weft_error *error)
{
    weft_tensor_entry *entries = NULL;
    TRY(list_outputs(it, error));
    TRY(weft_arena_take(&it->arena, PIECE, sizeof *it->values, &it->values, error));
    TRY(weft_arena_take(&it->arena, PIECE, sizeof *it->turned, &it->turned, error));
    TRY(weft_arena_take(&it->arena, (size_t)it->output_count, sizeof *entries, &entries, error));
    TRY(weft_folder_create(it->to, error));
    for (int32_t file = 0; file < it->files; file++) TRY(write_file(it, file, entries, error));
    return write_index(it, error);
}

/* config.json last: without it the folder is none. */
static weft_status write_folder(exporting *it, const char *source, const weft_document *document, weft_error *error)
{
    weft_text config;
    weft_text_init(&config);
    weft_family_write(it->family, it->model, document, it->options->element, &config);
    weft_status status = write_files(it, error);
    if (status == WEFT_OK && source) status = weft_place_copy(source, it->to, false, error);
    if (status == WEFT_OK) status = weft_place_write(it->to, "config.json", &config, error);
    weft_text_fini(&config);
    weft_error ignored;
    if (status != WEFT_OK && weft_folder_remove(it->to, &ignored) != WEFT_OK)
        status = weft_error_context(error, "%s is left half written", it->to);
    return status;
}

static weft_status export_model(exporting *it, weft_model_config *model, weft_error *error)
{
    const char *checkpoint = weft_checkpoint_path(it->checkpoint);
    weft_run_source source;
    TRY(weft_run_source_open(checkpoint, &source, error));
    weft_status status = weft_family_choose(checkpoint, source.document, model, &it->family, error);
    if (status == WEFT_OK) status = write_folder(it, source.folder, source.document, error);
    weft_run_source_close(&source);
    return status;
}

weft_status weft_export(const char *path, const char *to, const weft_export_options *options, weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    weft_config config;
    TRY(weft_place_check(to, error));
    TRY(weft_checkpoint_open(path, &checkpoint, error));
    weft_status status = weft_checkpoint_load_config(checkpoint, &config, error);
    if (status == WEFT_OK) {
        weft_model_config model = config.model;
        exporting it = {.checkpoint = checkpoint, .to = to, .options = options, .model = &model};
        weft_arena_init(&it.arena);
        status = export_model(&it, &model, error);
        weft_arena_fini(&it.arena);
        weft_config_fini(&config);
    }
    weft_checkpoint_close(checkpoint);
    return status;
}
