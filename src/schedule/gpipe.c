#include "schedule/kinds.h"

/* On a placement other than linear a micro-batch must not run back to back through the rank's stages: between two of
 * them it crosses other ranks. All forward, then all backward, stage after stage, is then the breadth-first order. */
void weft_order_gpipe(weft_order *order)
{
    if (order->placement != WEFT_PLACEMENT_LINEAR) {
        weft_order_breadth_first(order);
        return;
    }
    for (int32_t m = 0; m < order->microbatches; m++) weft_order_forward_all(order, m);
    for (int32_t m = 0; m < order->microbatches; m++) weft_order_backward_all(order, m);
}
