#include "schedule/groups.h"

static void depth_first(weft_order *order, weft_groups groups)
{
    groups.ahead = 2 * ((int64_t)order->ranks - 1 - order->rank);
    weft_order_groups(order, groups);
}

void weft_order_depth_first(weft_order *order)
{
    depth_first(order, weft_order_even_groups(order));
}

void weft_order_depth_first_gaps(weft_order *order)
{
    depth_first(order, (weft_groups){.size = order->ranks});
}

void weft_order_hybrid(weft_order *order)
{
    depth_first(order, (weft_groups){.size = order->group});
}
