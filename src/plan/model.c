#include "plan/model.h"

static weft_status check_range(const char *key, int64_t value, int64_t most, weft_error *error)
{
    if (value >= 1 && value <= most) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "%s: %lld is not between 1 and %lld", key, (long long)value, (long long)most);
}

weft_status weft_plan_model_complete(weft_plan_model *model, weft_error *error)
{
    TRY(check_range("layers", model->layers, 65536, error));
    TRY(check_range("hidden", model->hidden, 1 << 20, error));
    TRY(check_range("heads", model->heads, 65536, error));
    if (model->kv_heads == 0) model->kv_heads = model->heads;
    TRY(check_range("kv_heads", model->kv_heads, model->heads, error));
    if (model->heads % model->kv_heads != 0)
        FAIL(error, WEFT_INVALID, "kv_heads: %lld must divide heads, which are %lld", (long long)model->kv_heads,
             (long long)model->heads);
    if (model->head_size == 0 && model->hidden % model->heads != 0)
        FAIL(error, WEFT_INVALID, "heads: %lld must divide hidden, which is %lld, or head_size be given",
             (long long)model->heads, (long long)model->hidden);
    if (model->head_size == 0) model->head_size = model->hidden / model->heads;
    TRY(check_range("head_size", model->head_size, 65536, error));
    if (model->ffn == 0) model->ffn = 4 * model->hidden;
    TRY(check_range("ffn", model->ffn, 1 << 24, error));
    if (!(model->critical_batch >= 0))
        FAIL(error, WEFT_INVALID, "critical_batch: %g is not a number from 0 up", model->critical_batch);
    TRY(check_range("vocabulary", model->vocabulary, 1 << 24, error));
    return check_range("sequence", model->sequence, 1 << 24, error);
}

double weft_plan_layer_parameters(const weft_plan_model *model)
{
    double h = (double)model->hidden, attention = (double)(model->heads * model->head_size);
    double keys = (double)(2 * model->kv_heads * model->head_size);
    double matrices = model->gated ? 3 : 2;
    return h * (2 * attention + keys) + matrices * h * (double)model->ffn + 2 * h;
}

double weft_plan_embedding_parameters(const weft_plan_model *model)
{
    return (double)model->vocabulary * (double)model->hidden;
}

double weft_plan_parameters(const weft_plan_model *model)
{
    double tables = model->tied ? 1 : 2;
    return model->layers * weft_plan_layer_parameters(model) + tables * weft_plan_embedding_parameters(model) +
           (double)model->hidden;
}

double weft_plan_sample_flops(const weft_plan_model *model)
{
    double s = (double)model->sequence;
    double weights = model->layers * weft_plan_layer_parameters(model) + weft_plan_embedding_parameters(model);
    double attention = 6 * (double)model->layers * s * (double)(model->heads * model->head_size);
    return s * (6 * weights + attention);
}
