#include "schedule/groups.h"

void weft_order_depth_first(weft_order *order)
{
    int32_t after = order->ranks - 1 - order->rank;
    weft_order_groups(order, (weft_groups){.size = order->ranks, .ahead = 2 * (int64_t)after});
}

void weft_order_hybrid(weft_order *order)
{
    int32_t after = order->ranks - 1 - order->rank;
    weft_order_groups(order, (weft_groups){.size = order->group, .ahead = 2 * (int64_t)after});
}
