#include "schedule/groups.h"

/*
 * The k-th forward (or backward) of a rank, counted over groups of K micro-batches, within a group over local stages,
 * within a stage over the group's micro-batches. When K does not divide M, the counting runs over a full last group
 * and the micro-batches that do not exist are left out. What is left cannot deadlock: dependencies stay inside one
 * micro-batch, so leaving some out of an order that runs leaves an order that runs. (Counting over a truly shorter
 * last group deadlocks, for example at K = P = 4, V = 3, M = 5: the first rank asks for forward work that the last
 * rank does only behind a backward that waits for the first.)
 */
typedef struct place {
    int32_t local, microbatch;
} place;

static place locate(const weft_order *order, int32_t size, int64_t k)
{
    int64_t group_actions = (int64_t)size * order->loops;
    int64_t group = k / group_actions, rest = k % group_actions;
    return (place){(int32_t)(rest / size), (int32_t)(group * size + rest % size)};
}

/* Where the i-th action that exists stands in the counting over full groups. */
static int64_t position(const weft_order *order, int32_t size, int64_t i)
{
    int64_t rest = order->microbatches % size;
    int64_t full = (int64_t)(order->microbatches - rest) * order->loops;
    return i < full ? i : full + (i - full) / rest * size + (i - full) % rest;
}

static void add_backward(weft_order *order, int32_t size, int64_t i, weft_order_append append)
{
    place at = locate(order, size, position(order, size, i));
    append(order, order->loops - 1 - at.local, at.microbatch);
}

void weft_order_groups(weft_order *order, weft_groups groups)
{
    int32_t size = groups.size;
    int64_t count = (int64_t)order->microbatches * order->loops, forward = 0, backward = 0, weight = 0;
    int64_t ahead = groups.ahead + ((int64_t)order->loops - 1) * size;
    while (backward < count) {
        int64_t next = forward < count ? position(order, size, forward) : 0;
        if (forward < count && next - ahead <= position(order, size, backward)) {
            place at = locate(order, size, next);
            weft_order_forward(order, at.local, at.microbatch);
            forward++;
            continue;
        }
        add_backward(order, size, backward++, groups.split ? weft_order_input : weft_order_backward);
        if (groups.split && backward - weight > groups.lag) add_backward(order, size, weight++, weft_order_weight);
    }
    while (groups.split && weight < count) add_backward(order, size, weight++, weft_order_weight);
}
