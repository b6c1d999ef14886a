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
    int32_t microbatch = (int32_t)(group * order->ranks + place % order->ranks);
    int32_t local = (int32_t)(place / order->ranks);
    if (forward)
        weft_order_forward(order, local, microbatch);
    else
        weft_order_backward(order, order->loops - 1 - local, microbatch);
}

/* Where the i-th action that exists stands in the counting over full groups. */
static int64_t position(const weft_order *order, int64_t i)
{
    int64_t rest = order->microbatches % order->ranks;
    int64_t full = (int64_t)(order->microbatches - rest) * order->loops;
    return i < full ? i : full + (i - full) / rest * order->ranks + (i - full) % rest;
}

void weft_order_depth_first(weft_order *order)
{
    int64_t count = (int64_t)order->microbatches * order->loops, forward = 0, backward = 0;
    int64_t ahead = 2 * ((int64_t)order->ranks - 1 - order->rank) + ((int64_t)order->loops - 1) * order->ranks;
    while (backward < count) {
        bool next = forward < count && position(order, forward) - ahead <= position(order, backward);
        run(order, position(order, next ? forward++ : backward++), next);
    }
}
