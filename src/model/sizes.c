#include "model/sizes.h"

weft_model_sizes weft_model_sizes_make(const weft_model_config *model)
{
    weft_model_sizes sizes = {.L = model->layers, .H = model->heads, .G = model->kv_heads};
    int64_t normed = model->query_key_norm;
    sizes.D = sizes.width[WEFT_WIDTH_HEAD] = model->head_width > 0 ? model->head_width : model->width / model->heads;
    sizes.width[WEFT_WIDTH_NONE] = 1;
    sizes.width[WEFT_WIDTH_HIDDEN] = model->width;
    sizes.width[WEFT_WIDTH_ATTENTION] = sizes.H * sizes.D;
    sizes.width[WEFT_WIDTH_NARROW] = sizes.H * sizes.D > model->width ? sizes.H * sizes.D : model->width;
    sizes.width[WEFT_WIDTH_QKV] = (sizes.H + 2 * sizes.G) * sizes.D;
    sizes.width[WEFT_WIDTH_NORMED_QKV] = normed * sizes.width[WEFT_WIDTH_QKV];
    sizes.width[WEFT_WIDTH_NORMED_QUERIES] = normed * sizes.H;
    sizes.width[WEFT_WIDTH_NORMED_KEYS] = normed * sizes.G;
    sizes.width[WEFT_WIDTH_FORWARD] = model->feed_forward;
    sizes.width[WEFT_WIDTH_UP] =
        model->activation == WEFT_CONFIG_SWIGLU ? 2 * model->feed_forward : model->feed_forward;
    sizes.width[WEFT_WIDTH_HEADS] = sizes.H;
    sizes.width[WEFT_WIDTH_VOCABULARY] = model->vocabulary;
    sizes.width[WEFT_WIDTH_CONTEXT] = model->context;
    return sizes;
}

weft_model_sizes weft_model_sizes_divide(const weft_model_config *model, int32_t width)
{
    static const weft_width divided[] = {
        WEFT_WIDTH_ATTENTION, WEFT_WIDTH_QKV,        WEFT_WIDTH_FORWARD,        WEFT_WIDTH_UP,
        WEFT_WIDTH_HEADS,     WEFT_WIDTH_NORMED_QKV, WEFT_WIDTH_NORMED_QUERIES, WEFT_WIDTH_NORMED_KEYS};
    weft_model_sizes sizes = weft_model_sizes_make(model);
    if (width <= 1) return sizes;
    sizes.H /= width;
    sizes.G /= width;
    for (size_t i = 0; i < sizeof divided / sizeof *divided; i++) sizes.width[divided[i]] /= width;
    sizes.width[WEFT_WIDTH_VOCABULARY] = (model->vocabulary + width - 1) / width;
    return sizes;
}

weft_status weft_model_check(const weft_model_config *model, weft_error *error)
{
    const struct {
        const char *key;
        int64_t value, least;
    } fields[] = {{"layers", model->layers, 0},
                  {"width", model->width, 1},
                  {"heads", model->heads, 1},
                  {"kv_heads", model->kv_heads, 1},
                  {"feed_forward", model->feed_forward, 1},
                  {"vocabulary", model->vocabulary, 1},
                  {"context", model->context, 1}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].value < fields[i].least || fields[i].value > INT32_MAX)
            FAIL(error, WEFT_INVALID, "model.%s: %lld is out of range", fields[i].key, (long long)fields[i].value);
    }
    if (model->head_width == 0 && model->width % model->heads != 0)
        FAIL(error, WEFT_INVALID, "model.heads: %lld must divide model.width, which is %lld", (long long)model->heads,
             (long long)model->width);
    if (model->heads % model->kv_heads != 0)
        FAIL(error, WEFT_INVALID, "model.kv_heads: %lld must divide model.heads, which is %lld",
             (long long)model->kv_heads, (long long)model->heads);
    int64_t head_width = weft_model_sizes_make(model).D;
    if (head_width < 1 || head_width > INT32_MAX / (3 * model->heads))
        FAIL(error, WEFT_INVALID, "model.head_width: %lld is out of range", (long long)head_width);
    if (model->position == WEFT_CONFIG_ROTARY && head_width % 2 != 0)
        FAIL(error, WEFT_INVALID, "model.heads: rotary positions need an even head width, not %lld",
             (long long)head_width);
    return WEFT_OK;
}
