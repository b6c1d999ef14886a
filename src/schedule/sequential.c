#include "schedule/kinds.h"

void weft_order_sequential(weft_order *order)
{
    for (int32_t m = 0; m < order->microbatches; m++) {
        weft_order_forward_all(order, m);
        weft_order_backward_all(order, m);
    }
}
