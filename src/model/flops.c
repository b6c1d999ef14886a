#include "model/parameters.h"

/* A token of many sees T / 2 on average, of a window w the w - w w / 2 T of a band: twice that. */
static double reach(const weft_model_config *model, int64_t T)
{
    double w = (double)model->window, t = (double)T;
    return model->window == 0 || model->window >= T ? t : w * (2 - w / t);
}

/* A product with a weight costs 2 flops a weight and row. Attention reads half of the full T x T scores (causal), in
 * two products forward and four backward: 2 N T H D and 4 N T H D. Of a window it reads a band. */
weft_flops weft_layer_flops(const weft_model_config *model, int64_t B, int64_t T)
{
    weft_model_sizes sizes = weft_model_sizes_make(model);
    double N = (double)(B * T);
    double product = 2 * N * (double)weft_layer_matrix_elements(model);
    double attention = 2 * N * reach(model, T) * (double)sizes.width[WEFT_WIDTH_ATTENTION];
    return (weft_flops){product + attention, product + 2 * attention, product};
}

weft_flops weft_head_flops(const weft_model_config *model, int64_t B, int64_t T)
{
    double product = 2 * (double)(B * T) * (double)model->vocabulary * (double)model->width;
    return (weft_flops){product, product, product};
}

static double total(weft_flops flops)
{
    return flops.forward + flops.backward_input + flops.backward_weight;
}

double weft_model_flops_per_token(const weft_model_config *model, int64_t tokens)
{
    double layers = (double)model->layers * total(weft_layer_flops(model, 1, tokens));
    return (layers + total(weft_head_flops(model, 1, tokens))) / (double)tokens;
}
