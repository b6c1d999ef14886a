#include "schedule/kinds.h"

/*
 * The k-th forward (or backward) of a rank, counted over groups of P micro-batches, within a group over local stages,
 * within a stage over the group's micro-batches. When P does not divide M, the counting runs over a full last group
 * and the micro-batches that do not exist are left out. What is left cannot deadlock: dependencies stay inside one
 * micro-batch, so leaving some out of an order that runs leaves an order that runs. (Counting over a truly shorter
 * last group deadlocks, for example at P = 4, V = 3, M = 5: the first rank asks for forward work that the last
 * rank does only behind a backward that waits for the first.)
 */
static void run(weft_order *order, int64_t k, bool forward)
{
    int64_t group_actions = (int64_t)order->ranks * order->loops;
    int64_t group = k / group_actions, place = k % group_actions;
    int64_t microbatch = group * order->ranks + place % order->ranks;
    if (microbatch >= order->microbatches) return;
    int32_t local = (int32_t)(place / order->ranks);
    if (forward)
        weft_order_forward(order, local, (int32_t)microbatch);
    else
        weft_order_backward(order, order->loops - 1 - local, (int32_t)microbatch);
}

void weft_order_depth_first(weft_order *order)
{
    int64_t groups = ((int64_t)order->microbatches + order->ranks - 1) / order->ranks;
    int64_t total = groups * order->ranks * order->loops;
    int64_t ahead = 2 * ((int64_t)order->ranks - 1 - order->rank) + ((int64_t)order->loops - 1) * order->ranks;
    if (ahead > total) ahead = total;
    for (int64_t k = 0; k < ahead; k++) run(order, k, true);
    for (int64_t k = 0; k < total; k++) {
        if (k + ahead < total) run(order, k + ahead, true);
        run(order, k, false);
    }
}
