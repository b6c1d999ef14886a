#include "schedule/kinds.h"

/* Rank r runs P - 1 - r micro-batches ahead of its pairs, so that it holds at most P - r of them at a time. */
void weft_order_1f1b(weft_order *order)
{
    int32_t ahead = order->ranks - 1 - order->rank;
    if (ahead > order->microbatches) ahead = order->microbatches;
    for (int32_t m = 0; m < ahead; m++) weft_order_forward_all(order, m);
    for (int32_t m = 0; m < order->microbatches; m++) {
        if (m + ahead < order->microbatches) weft_order_forward_all(order, m + ahead);
        weft_order_backward_all(order, m);
    }
}
