#include "schedule/kinds.h"

int32_t weft_order_stage(const weft_order *order, int32_t local)
{
    return order->local[order->first[order->rank] + local];
}

static void append(weft_order *order, weft_action_kind kind, int32_t local, int32_t microbatch)
{
    int32_t stage = weft_order_stage(order, local);
    if (stage < 0) return;
    order->actions[order->count++] = (weft_action){
        .kind = kind, .stage = (uint32_t)stage & (WEFT_STAGES_LIMIT - 1), .microbatch = (uint32_t)microbatch};
}

void weft_order_forward(weft_order *order, int32_t local, int32_t microbatch)
{
    append(order, WEFT_F, local, microbatch);
}

void weft_order_backward(weft_order *order, int32_t local, int32_t microbatch)
{
    append(order, WEFT_B, local, microbatch);
}

void weft_order_input(weft_order *order, int32_t local, int32_t microbatch)
{
    append(order, WEFT_I, local, microbatch);
}

void weft_order_weight(weft_order *order, int32_t local, int32_t microbatch)
{
    append(order, WEFT_W, local, microbatch);
}

void weft_order_pair(weft_order *order)
{
    order->actions[order->count - 1].paired = true;
}

void weft_order_forward_all(weft_order *order, int32_t microbatch)
{
    for (int32_t local = 0; local < order->loops; local++) weft_order_forward(order, local, microbatch);
}

void weft_order_backward_all(weft_order *order, int32_t microbatch)
{
    for (int32_t local = order->loops - 1; local >= 0; local--) weft_order_backward(order, local, microbatch);
}
