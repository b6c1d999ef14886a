/* What tensor-parallel workers pass to each other in each pass of a stage: the calls of stage.c, layer.c and head.c. */
#include "model/stage.h"

typedef struct counter {
    const weft_stage_shape *shape;
    weft_parameter_order order;
    const bool *frozen;
    size_t rows, statistics; /* bytes of one exchange: own rows; what a head knows of all rows */
} counter;

static bool is_trained(const counter *c, weft_parameter_kind kind, int32_t layer)
{
    int32_t index = weft_stage_parameter(c->shape, &c->order, kind, layer);
    return index >= 0 && !(c->frozen && c->frozen[index]);
}

/* Products whose weight gradients gather rows: either of weight and bias is enough. */
static int32_t count_gathers(const counter *c)
{
    static const weft_parameter_kind products[] = {WEFT_QKV_WEIGHT, WEFT_OUTPUT_WEIGHT, WEFT_UP_WEIGHT,
                                                   WEFT_DOWN_WEIGHT};
    int32_t count = 0;
    for (int32_t layer = 0; layer < c->shape->layer_count; layer++)
        for (size_t i = 0; i < sizeof products / sizeof *products; i++)
            count += is_trained(c, products[i], layer) ||
                     is_trained(c, (weft_parameter_kind)(products[i] + 1), layer); /* its bias */
    if (c->shape->head) count += is_trained(c, WEFT_HEAD_WEIGHT, 0);
    if (c->shape->embedding)
        count += is_trained(c, WEFT_EMBEDDING_TOKEN, 0) || is_trained(c, WEFT_EMBEDDING_POSITION, 0);
    return count;
}

static weft_exchanges exchanges(const counter *c, int32_t rows, int32_t statistics)
{
    return (weft_exchanges){rows + statistics, (size_t)rows * c->rows + (size_t)statistics * c->statistics};
}

void weft_stage_exchanges(const weft_stage_shape *shape, const bool *frozen, weft_exchanges out[WEFT_PASS_KINDS])
{
    for (int pass = 0; pass < WEFT_PASS_KINDS; pass++) out[pass] = (weft_exchanges){0};
    if (shape->slice.width <= 1) return;
    size_t others = (size_t)shape->slice.width - 1, element = weft_element_bytes(shape->options.element);
    weft_loss loss = weft_stage_operations_make(shape).loss;
    counter c = {.shape = shape,
                 .order = weft_parameter_order_make(shape->model),
                 .frozen = frozen,
                 .rows = others * (size_t)(weft_stage_rows(shape) * shape->model->width) * element,
                 .statistics = others * (size_t)(weft_loss_statistics(&loss) * loss.rows) * sizeof(float)};
    int32_t layers = shape->layer_count, again = shape->recompute;
    out[WEFT_F] = exchanges(&c, 4 * layers + shape->embedding + shape->head, shape->head);
    if (shape->forward_only) return;
    out[WEFT_I] = exchanges(&c, (4 + 3 * again) * layers + (1 + again) * shape->head, again * shape->head);
    out[WEFT_W] = exchanges(&c, count_gathers(&c), 0);
    out[WEFT_B] = (weft_exchanges){out[WEFT_I].count + out[WEFT_W].count, out[WEFT_I].bytes + out[WEFT_W].bytes};
}
