#include "schedule/kinds.h"

static void forward(weft_order *order)
{
    for (int32_t local = 0; local < order->loops; local++)
        for (int32_t m = 0; m < order->microbatches; m++) weft_order_forward(order, local, m);
}

void weft_order_breadth_first(weft_order *order)
{
    forward(order);
    for (int32_t local = order->loops - 1; local >= 0; local--)
        for (int32_t m = 0; m < order->microbatches; m++) weft_order_backward(order, local, m);
}

void weft_order_breadth_first_descending(weft_order *order)
{
    forward(order);
    for (int32_t local = order->loops - 1; local >= 0; local--)
        for (int32_t m = order->microbatches; m-- > 0;) weft_order_backward(order, local, m);
}
