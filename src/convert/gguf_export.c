/* A checkpoint's weights as a GGUF file, a piece at a time. */
#include "convert/gguf_keys.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "convert/convert.h"
#include "convert/leaving.h"

#include <string.h>

enum { PIECE = 1 << 20 }; /* elements that are converted at once */

/* Rows of a parameter as a tensor of the file. */
typedef struct gguf_output {
    char name[WEFT_TENSOR_NAME];
    const weft_parameter *parameter; /* NULL: rope_freqs.weight */
    weft_gguf_type type;
    int64_t first, rows, columns;
    int64_t paired; /* the width of a head whose rows lie in pairs; 0: they do not */
} gguf_output;

typedef struct gguf_exporting {
    const weft_checkpoint *checkpoint;
    weft_gguf_leaving *leaving;
    weft_gguf_type type;
    weft_arena arena;
    gguf_output *outputs;
    size_t *sizes; /* bytes of each */
    int32_t count;
    float *values;          /* (PIECE) */
    unsigned char *written; /* (PIECE elements) */
} gguf_exporting;

/* llama.cpp wants vectors and positions as they are, and rows of whole blocks. */
static weft_gguf_type type_of(const gguf_exporting *it, const weft_parameter *parameter)
{
    bool plain = parameter->dimensions < 2 || strcmp(parameter->name, "embedding.position") == 0;
    if (plain) return WEFT_GGUF_F32;
    return parameter->shape[1] % weft_gguf_type_block(it->type) == 0 ? it->type : WEFT_GGUF_F16;
}

static void add_output(gguf_exporting *it, gguf_output out)
{
    const int64_t shape[2] = {out.rows, out.columns};
    int32_t dimensions = out.parameter ? out.parameter->dimensions : 1;
    it->sizes[it->count] = weft_gguf_put_tensor(it->leaving->list, out.name, out.type, dimensions, shape);
    it->outputs[it->count++] = out;
}

static weft_status add_parameter(gguf_exporting *it, const weft_parameter *parameter, weft_error *error)
{
    weft_band bands[WEFT_FAMILY_PARTS];
    const weft_gguf_architecture *architecture = it->leaving->architecture;
    bool ignored = false;
    int count = weft_family_bands(&architecture->names, parameter, bands, &ignored);
    if (count == 0) FAIL(error, WEFT_INVALID, "models of %s have no \"%s\"", architecture->name, parameter->name);
    for (int i = 0; i < count; i++) {
        gguf_output out = {.parameter = parameter, .type = type_of(it, parameter)};
        out.first = bands[i].first;
        out.rows = bands[i].rows;
        out.columns = parameter->shape[1];
        out.paired = weft_gguf_paired(architecture, it->leaving->model, parameter, i);
        memcpy(out.name, bands[i].name, sizeof out.name);
        add_output(it, out);
    }
    return WEFT_OK;
}

static weft_status list_outputs(gguf_exporting *it, weft_error *error)
{
    const weft_model_config *model = it->leaving->model;
    const weft_parameter *parameters = NULL;
    int32_t count = 0;
    TRY(weft_model_parameters(model, 1, &it->arena, &parameters, &count, error));
    size_t room = (size_t)count * WEFT_FAMILY_PARTS + 1;
    TRY(weft_arena_take(&it->arena, room, sizeof *it->outputs, &it->outputs, error));
    TRY(weft_arena_take(&it->arena, room, sizeof *it->sizes, &it->sizes, error));
    if (it->leaving->family->rotary && model->rotary_scaling == WEFT_CONFIG_SCALING_LLAMA3)
        add_output(it, (gguf_output){"rope_freqs.weight", NULL, WEFT_GGUF_F32, 0, model->head_width / 2, 1, 0});
    for (int32_t p = 0; p < count; p++)
        if (!parameters[p].tied) TRY(add_parameter(it, &parameters[p], error));
    return WEFT_OK;
}

static weft_status read_weights(const gguf_exporting *it, const gguf_output *from, int64_t element, int64_t count,
                                float *out, weft_error *error)
{
    const weft_parameter *parameter = from->parameter;
    return weft_checkpoint_read(it->checkpoint, WEFT_CHECKPOINT_WEIGHTS, parameter->name, parameter->dimensions,
                                parameter->shape, from->first * from->columns + element, 1, count, out, error);
}

/* The row of the parameter's part that lies in a row of the tensor: the inverse of weft_gguf_row. */
static int64_t source_row(int64_t row, int64_t width)
{
    int64_t place = row % width;
    return row - place + place % 2 * (width / 2) + place / 2;
}

static weft_status read_paired(const gguf_exporting *it, const gguf_output *from, int64_t element, int64_t count,
                               float *out, weft_error *error)
{
    while (count > 0) {
        int64_t row = element / from->columns, column = element % from->columns;
        int64_t here = from->columns - column < count ? from->columns - column : count;
        int64_t source = source_row(row, from->paired) * from->columns + column;
        TRY(read_weights(it, from, source, here, out, error));
        element += here;
        out += here;
        count -= here;
    }
    return WEFT_OK;
}

static weft_status read_piece(gguf_exporting *it, const gguf_output *from, int64_t element, int64_t count,
                              weft_error *error)
{
    if (!from->parameter) {
        weft_gguf_wave_factors(it->leaving->model, from->rows, it->values);
        return WEFT_OK;
    }
    TRY((from->paired ? read_paired : read_weights)(it, from, element, count, it->values, error));
    return weft_values_check(from->name, it->values, count, weft_gguf_type_largest(from->type), error);
}

static weft_status read_values(void *context, size_t tensor, size_t place, size_t left, const void **out,
                               size_t *out_count, weft_error *error)
{
    gguf_exporting *it = context;
    const gguf_output *from = &it->outputs[tensor];
    int64_t block = weft_gguf_type_block(from->type);
    size_t bytes = weft_gguf_type_bytes(from->type, (size_t)block);
    int64_t element = (int64_t)(place / bytes) * block, count = (int64_t)(left / bytes) * block;
    if (count > PIECE) count = PIECE;
    TRY(read_piece(it, from, element, count, error));
    weft_gguf_from_float(from->type, it->values, (size_t)count, it->written);
    *out = it->written;
    *out_count = weft_gguf_type_bytes(from->type, (size_t)count);
    return WEFT_OK;
}

static weft_status write_file(gguf_exporting *it, const char *file, weft_text *out_missing, weft_error *error)
{
    const weft_gguf_source source = {it, read_values};
    TRY(weft_gguf_put_keys(it->leaving, it->type, error));
    TRY(weft_gguf_put_tokenizer(it->leaving, out_missing, error));
    TRY(list_outputs(it, error));
    TRY(weft_arena_take(&it->arena, PIECE, sizeof *it->values, &it->values, error));
    TRY(weft_arena_take(&it->arena, PIECE, sizeof(float), &it->written, error));
    return weft_gguf_write(it->leaving->list, it->sizes, &source, file, error);
}

static weft_status find_architecture(const char *checkpoint, const weft_family *family,
                                     const weft_gguf_architecture **out, weft_error *error)
{
    for (const weft_gguf_architecture *const *row = weft_gguf_architectures(); *row; row++) {
        bool windowed = (*row)->windowed && strcmp((*row)->windowed, family->name) == 0;
        *out = *row;
        if (windowed || strcmp((*row)->family, family->name) == 0) return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "%s: llama.cpp has no models of %s that weft knows", checkpoint, family->name);
}

static weft_status export_model(gguf_exporting *it, weft_model_config *model, const char *file, weft_text *out_missing,
                                weft_error *error)
{
    const char *checkpoint = weft_checkpoint_path(it->checkpoint);
    weft_gguf_list list;
    TRY(weft_family_choose(checkpoint, it->leaving->document, model, &it->leaving->family, error));
    TRY(find_architecture(checkpoint, it->leaving->family, &it->leaving->architecture, error));
    weft_gguf_list_init(&list);
    it->leaving->list = &list;
    weft_status status = write_file(it, file, out_missing, error);
    weft_gguf_list_fini(&list);
    return status;
}

/* What the run came from says of which family it is. */
static weft_status export_from(gguf_exporting *it, weft_model_config *model, const char *file, weft_text *out_missing,
                               weft_error *error)
{
    weft_run_source source;
    TRY(weft_run_source_open(weft_checkpoint_path(it->checkpoint), &source, error));
    it->leaving->source = source.folder;
    it->leaving->document = source.document;
    weft_status status = export_model(it, model, file, out_missing, error);
    weft_run_source_close(&source);
    return status;
}

weft_status weft_gguf_export(const char *path, const char *file, weft_gguf_type type, weft_text *out_missing,
                             weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    weft_config config;
    if (weft_path_is_folder(file)) FAIL(error, WEFT_INVALID, "%s: is a folder: name a file", file);
    TRY(weft_checkpoint_open(path, &checkpoint, error));
    weft_status status = weft_checkpoint_load_config(checkpoint, &config, error);
    if (status == WEFT_OK) {
        weft_model_config model = config.model;
        weft_gguf_leaving leaving = {.model = &model, .config = &config};
        gguf_exporting it = {.checkpoint = checkpoint, .leaving = &leaving, .type = type};
        weft_arena_init(&it.arena);
        status = export_from(&it, &model, file, out_missing, error);
        weft_arena_fini(&it.arena);
        weft_config_fini(&config);
    }
    weft_checkpoint_close(checkpoint);
    return status;
}
