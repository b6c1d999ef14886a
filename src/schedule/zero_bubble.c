#include "schedule/groups.h"

static void input_all(weft_order *order, int32_t microbatch)
{
    for (int32_t local = order->loops - 1; local >= 0; local--) weft_order_input(order, local, microbatch);
}

static void weight_all(weft_order *order, int32_t microbatch)
{
    for (int32_t local = order->loops - 1; local >= 0; local--) weft_order_weight(order, local, microbatch);
}

/* One forward, one gradient of the input, ahead of it by `ahead` micro-batches; W follows I by `lag` of them. */
static void zero_bubble(weft_order *order, int64_t ahead, int64_t lag)
{
    int32_t M = order->microbatches, forward = 0, weight = 0;
    for (int32_t m = 0; m < M; m++) {
        while (forward < M && forward <= m + ahead) weft_order_forward_all(order, forward++);
        input_all(order, m);
        if (m >= lag) weight_all(order, weight++);
    }
    while (weight < M) weight_all(order, weight++);
}

void weft_order_zb_h1(weft_order *order)
{
    zero_bubble(order, order->ranks - 1 - order->rank, order->rank);
}

void weft_order_zb_h2(weft_order *order)
{
    zero_bubble(order, 2 * ((int64_t)order->ranks - 1 - order->rank), 2 * (int64_t)order->rank);
}

static void interleaved(weft_order *order, weft_groups groups)
{
    groups.split = true;
    groups.ahead = (int64_t)order->ranks - 1 - order->rank;
    groups.lag = order->rank;
    weft_order_groups(order, groups);
}

void weft_order_interleaved_zero_bubble(weft_order *order)
{
    interleaved(order, weft_order_even_groups(order));
}

void weft_order_interleaved_zero_bubble_gaps(weft_order *order)
{
    interleaved(order, (weft_groups){.size = order->ranks});
}

void weft_order_breadth_first_split(weft_order *order)
{
    int64_t after = (int64_t)order->ranks - 1 - order->rank;
    weft_groups groups = {
        .size = order->microbatches, .ahead = 2 * after, .split = true, .lag = 2 * (int64_t)order->rank};
    weft_order_groups(order, groups);
}
