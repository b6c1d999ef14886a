#include "model/parameters.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum condition { ALWAYS, IF_LEARNED, IF_BIAS, IF_QKV_BIAS, IF_NORM_BIAS, IF_QUERY_KEY_NORM } condition;

typedef struct kind_row {
    const char *name; /* without "layer.N." */
    weft_section section;
    weft_width rows, columns; /* columns NONE: a vector */
    condition needs;
    weft_init_kind init;
    weft_split split;
    bool residual; /* its product is added to the residual stream */
} kind_row;

#define EMBEDDING WEFT_SECTION_EMBEDDING
#define LAYER WEFT_SECTION_LAYER
#define TAIL WEFT_SECTION_TAIL
#define C WEFT_WIDTH_HIDDEN
#define NORMAL WEFT_INIT_NORMAL
#define ONES WEFT_INIT_ONES
#define ZEROS WEFT_INIT_ZEROS
#define WHOLE WEFT_SPLIT_NONE
#define SUMMED WEFT_SPLIT_SUMMED
#define ROWS WEFT_SPLIT_ROWS
#define COLUMNS WEFT_SPLIT_COLUMNS

static const kind_row rows[WEFT_PARAMETER_KINDS] = {
    [WEFT_EMBEDDING_TOKEN] = {"embedding.token", EMBEDDING, WEFT_WIDTH_VOCABULARY, C, ALWAYS, NORMAL, ROWS, false},
    [WEFT_EMBEDDING_POSITION] = {"embedding.position", EMBEDDING, WEFT_WIDTH_CONTEXT, C, IF_LEARNED, NORMAL, WHOLE,
                                 false},
    [WEFT_NORM1_WEIGHT] = {"norm1.weight", LAYER, C, WEFT_WIDTH_NONE, ALWAYS, ONES, SUMMED, false},
    [WEFT_NORM1_BIAS] = {"norm1.bias", LAYER, C, WEFT_WIDTH_NONE, IF_NORM_BIAS, ZEROS, SUMMED, false},
    [WEFT_QKV_WEIGHT] = {"attention.qkv.weight", LAYER, WEFT_WIDTH_QKV, C, ALWAYS, NORMAL, ROWS, false},
    [WEFT_QKV_BIAS] = {"attention.qkv.bias", LAYER, WEFT_WIDTH_QKV, WEFT_WIDTH_NONE, IF_QKV_BIAS, ZEROS, ROWS, false},
    [WEFT_QUERY_NORM_WEIGHT] = {"attention.query_norm.weight", LAYER, WEFT_WIDTH_HEAD, WEFT_WIDTH_NONE,
                                IF_QUERY_KEY_NORM, ONES, SUMMED, false},
    [WEFT_KEY_NORM_WEIGHT] = {"attention.key_norm.weight", LAYER, WEFT_WIDTH_HEAD, WEFT_WIDTH_NONE, IF_QUERY_KEY_NORM,
                              ONES, SUMMED, false},
    [WEFT_OUTPUT_WEIGHT] = {"attention.output.weight", LAYER, C, WEFT_WIDTH_ATTENTION, ALWAYS, NORMAL, COLUMNS, true},
    [WEFT_OUTPUT_BIAS] = {"attention.output.bias", LAYER, C, WEFT_WIDTH_NONE, IF_BIAS, ZEROS, WHOLE, false},
    [WEFT_NORM2_WEIGHT] = {"norm2.weight", LAYER, C, WEFT_WIDTH_NONE, ALWAYS, ONES, SUMMED, false},
    [WEFT_NORM2_BIAS] = {"norm2.bias", LAYER, C, WEFT_WIDTH_NONE, IF_NORM_BIAS, ZEROS, SUMMED, false},
    [WEFT_UP_WEIGHT] = {"mlp.up.weight", LAYER, WEFT_WIDTH_UP, C, ALWAYS, NORMAL, ROWS, false},
    [WEFT_UP_BIAS] = {"mlp.up.bias", LAYER, WEFT_WIDTH_UP, WEFT_WIDTH_NONE, IF_BIAS, ZEROS, ROWS, false},
    [WEFT_DOWN_WEIGHT] = {"mlp.down.weight", LAYER, C, WEFT_WIDTH_FORWARD, ALWAYS, NORMAL, COLUMNS, true},
    [WEFT_DOWN_BIAS] = {"mlp.down.bias", LAYER, C, WEFT_WIDTH_NONE, IF_BIAS, ZEROS, WHOLE, false},
    [WEFT_FINAL_NORM_WEIGHT] = {"final_norm.weight", TAIL, C, WEFT_WIDTH_NONE, ALWAYS, ONES, SUMMED, false},
    [WEFT_FINAL_NORM_BIAS] = {"final_norm.bias", TAIL, C, WEFT_WIDTH_NONE, IF_NORM_BIAS, ZEROS, SUMMED, false},
    [WEFT_HEAD_WEIGHT] = {"head.weight", TAIL, WEFT_WIDTH_VOCABULARY, C, ALWAYS, NORMAL, ROWS, false},
};

#undef EMBEDDING
#undef LAYER
#undef TAIL
#undef C
#undef NORMAL
#undef ONES
#undef ZEROS
#undef WHOLE
#undef SUMMED
#undef ROWS
#undef COLUMNS

static bool present(const weft_model_config *model, condition needs)
{
    switch (needs) {
    case ALWAYS:
        return true;
    case IF_LEARNED:
        return model->position == WEFT_CONFIG_LEARNED;
    case IF_BIAS:
        return model->bias;
    case IF_QKV_BIAS:
        return model->bias || model->qkv_bias;
    case IF_NORM_BIAS:
        return model->bias && model->norm == WEFT_CONFIG_LAYERNORM;
    case IF_QUERY_KEY_NORM:
        return model->query_key_norm;
    }
    return false;
}

const char *weft_parameter_kind_name(weft_parameter_kind kind)
{
    return rows[kind].name;
}

int64_t weft_band_share(const weft_parameter *parameter, int band)
{
    return (parameter->bands[band] + parameter->width - 1) / parameter->width;
}

weft_section weft_parameter_section(weft_parameter_kind kind)
{
    return rows[kind].section;
}

weft_parameter_order weft_parameter_order_make(const weft_model_config *model)
{
    weft_parameter_order order = {.count = {0}};
    for (int kind = 0; kind < WEFT_PARAMETER_KINDS; kind++) {
        bool here = present(model, rows[kind].needs);
        order.place[kind] = here ? order.count[rows[kind].section]++ : -1;
    }
    return order;
}

int64_t weft_layer_matrix_elements(const weft_model_config *model)
{
    weft_model_sizes sizes = weft_model_sizes_make(model);
    int64_t elements = 0;
    for (int kind = 0; kind < WEFT_PARAMETER_KINDS; kind++) {
        const kind_row *row = &rows[kind];
        if (row->section != WEFT_SECTION_LAYER || row->columns == WEFT_WIDTH_NONE) continue;
        elements += sizes.width[row->rows] * sizes.width[row->columns];
    }
    return elements;
}

/* The parts of a matrix that are divided each by itself. */
static void describe_bands(const weft_model_config *model, const weft_model_sizes *sizes, const kind_row *row,
                           weft_parameter *out)
{
    out->bands[0] = out->shape[0];
    if (row->rows == WEFT_WIDTH_QKV) {
        out->bands[0] = sizes->H * sizes->D;
        out->bands[1] = out->bands[2] = sizes->G * sizes->D;
    } else if (row->rows == WEFT_WIDTH_UP && model->activation == WEFT_CONFIG_SWIGLU) {
        out->bands[0] = out->bands[1] = sizes->width[WEFT_WIDTH_FORWARD];
    }
}

static void describe_split(const kind_row *row, int32_t width, weft_parameter *out)
{
    out->width = width > 1 ? width : 1;
    out->split = width > 1 ? row->split : WEFT_SPLIT_NONE;
    out->own = out->elements;
    if (out->split == WEFT_SPLIT_COLUMNS) out->own = out->elements / width;
    if (out->split != WEFT_SPLIT_ROWS) return;
    out->own = 0;
    for (int i = 0; i < WEFT_BANDS; i++) out->own += weft_band_share(out, i) * out->shape[1];
}

static void describe(const weft_model_config *model, const weft_model_sizes *sizes, weft_parameter_kind kind,
                     int32_t layer, int32_t width, weft_parameter *out)
{
    const kind_row *row = &rows[kind];
    *out = (weft_parameter){.layer = layer, .init = row->init};
    if (row->section == WEFT_SECTION_LAYER) {
        snprintf(out->name, sizeof out->name, "layer.%d.%s", (int)layer, row->name);
    } else {
        snprintf(out->name, sizeof out->name, "%s", row->name);
    }
    bool matrix = row->columns != WEFT_WIDTH_NONE;
    out->dimensions = matrix ? 2 : 1;
    out->shape[0] = sizes->width[row->rows];
    out->shape[1] = sizes->width[row->columns];
    out->elements = out->shape[0] * out->shape[1];
    describe_bands(model, sizes, row, out);
    describe_split(row, width, out);
    out->decay = matrix;
    out->tied = kind == WEFT_HEAD_WEIGHT && model->tied;
    if (row->init != WEFT_INIT_NORMAL) return;
    /* Each layer adds two products to the residual stream: keeps its variance from growing with L (GPT-2). */
    double deviation = model->init_deviation;
    out->deviation = row->residual ? deviation / sqrt(2.0 * (double)sizes->L) : deviation;
}

/* Which kind of a section has this place. */
static weft_parameter_kind kind_at(const weft_parameter_order *order, weft_section section, int64_t place)
{
    int kind = 0;
    while (rows[kind].section != section || order->place[kind] != place) kind++;
    return (weft_parameter_kind)kind;
}

bool weft_model_parameter(const weft_model_config *model, int64_t index, weft_parameter *out)
{
    weft_model_sizes sizes = weft_model_sizes_make(model);
    weft_parameter_order order = weft_parameter_order_make(model);
    int64_t each = order.count[WEFT_SECTION_LAYER], place = index - order.count[WEFT_SECTION_EMBEDDING];
    weft_section section = place < 0                ? WEFT_SECTION_EMBEDDING
                           : place < sizes.L * each ? WEFT_SECTION_LAYER
                                                    : WEFT_SECTION_TAIL;
    int64_t layer = -1;
    if (section == WEFT_SECTION_EMBEDDING) place = index;
    if (section == WEFT_SECTION_LAYER) {
        layer = place / each;
        place %= each;
    } else if (section == WEFT_SECTION_TAIL) {
        layer = sizes.L;
        place -= sizes.L * each;
    }
    if (place >= order.count[section]) return false;
    describe(model, &sizes, kind_at(&order, section, place), (int32_t)layer, 1, out);
    return true;
}

bool weft_parameter_fits(const char *name, const char *patterns)
{
    for (const char *at = patterns; *(at += strspn(at, " "));) {
        size_t length = strcspn(at, " ");
        char pattern[WEFT_PATTERN_BYTES];
        if (length < sizeof pattern) {
            snprintf(pattern, sizeof pattern, "%.*s", (int)length, at);
            if (fnmatch(pattern, name, FNM_NOESCAPE) == 0) return true;
        }
        at += length;
    }
    return false;
}

weft_status weft_model_parameters(const weft_model_config *model, int32_t width, weft_arena *arena,
                                  const weft_parameter **out, int32_t *out_count, weft_error *error)
{
    TRY(weft_model_check(model, error));
    TRY(weft_slice_check(model, 0, width, error));
    weft_model_sizes sizes = weft_model_sizes_make(model);
    weft_parameter_order order = weft_parameter_order_make(model);
    int64_t total = order.count[WEFT_SECTION_EMBEDDING] + sizes.L * order.count[WEFT_SECTION_LAYER] +
                    order.count[WEFT_SECTION_TAIL];
    if (total > INT32_MAX) FAIL(error, WEFT_INVALID, "model.layers: %lld are too many", (long long)sizes.L);
    weft_parameter *list = NULL;
    TRY(weft_arena_take(arena, (size_t)total, sizeof *list, &list, error));
    int32_t count = 0;
    for (int32_t layer = -1; layer <= (int32_t)sizes.L; layer++) {
        weft_section section = layer < 0                  ? WEFT_SECTION_EMBEDDING
                               : layer < (int32_t)sizes.L ? WEFT_SECTION_LAYER
                                                          : WEFT_SECTION_TAIL;
        for (int kind = 0; kind < WEFT_PARAMETER_KINDS; kind++) {
            if (rows[kind].section != section || order.place[kind] < 0) continue;
            describe(model, &sizes, (weft_parameter_kind)kind, layer, width, &list[count++]);
        }
    }
    *out = list;
    *out_count = count;
    return WEFT_OK;
}

/* The first parameter of a layer not before this one: the global order is that of the layers. */
static int32_t first_from(const weft_parameter *parameters, int32_t count, int64_t layer)
{
    int32_t low = 0, high = count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (parameters[middle].layer < layer)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void weft_stage_parameters(const weft_stage_shape *shape, const weft_parameter *parameters, int32_t count,
                           int32_t *out_first, int32_t *out_count)
{
    int64_t low = shape->embedding ? -1 : shape->first_layer;
    int64_t high = shape->head ? shape->model->layers + 1 : (int64_t)shape->first_layer + shape->layer_count;
    int32_t first = first_from(parameters, count, low), last = first_from(parameters, count, high);
    *out_first = first;
    *out_count = last > first ? last - first : 0;
}
