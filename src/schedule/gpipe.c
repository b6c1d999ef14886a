#include "schedule/kinds.h"

static bool follows(const weft_order *order, int32_t local)
{
    return weft_order_stage(order, local) == weft_order_stage(order, local - 1) + 1;
}

/* A micro-batch runs back to back through stages of the rank that follow each other. Between others it crosses other
 * ranks, so that all micro-batches go before it returns. */
void weft_order_gpipe(weft_order *order)
{
    for (int32_t begin = 0, end; begin < order->loops; begin = end) {
        for (end = begin + 1; end < order->loops && follows(order, end);) end++;
        for (int32_t m = 0; m < order->microbatches; m++)
            for (int32_t local = begin; local < end; local++) weft_order_forward(order, local, m);
    }
    for (int32_t end = order->loops, begin; end > 0; end = begin) {
        for (begin = end - 1; begin > 0 && follows(order, begin);) begin--;
        for (int32_t m = 0; m < order->microbatches; m++)
            for (int32_t local = end - 1; local >= begin; local--) weft_order_backward(order, local, m);
    }
}
