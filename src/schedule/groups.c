#include "schedule/groups.h"

/*
 * The k-th forward (or backward) of a rank, counted over groups of micro-batches, within a group over local stages,
 * within a stage over the group's micro-batches. When the last group is short, the counting runs over a full one and
 * the micro-batches that do not exist are left out. What is left cannot deadlock: dependencies stay inside one
 * micro-batch, so leaving some out of an order that runs leaves an order that runs. (Counting over a truly shorter
 * last group deadlocks, for example at K = P = 4, V = 3, M = 5: the first rank asks for forward work that the last
 * rank does only behind a backward that waits for the first.)
 *
 * Groups of different sizes, each of P at least, run when the passes ahead are counted by the largest: let rank r run A
 * - c r passes ahead (c 2, or 1 for split) and put its b-th backward at time 2 b - c r, its f-th forward just before
 * that of backward f - (A - c r). Then every pass comes later than what it needs: from rank to rank by c either way,
 * from the last rank to the first, k passes of a group of k later, since k >= P, and on the last rank since A is at
 * least (V - 1) k.
 */
typedef struct place {
    int32_t local, microbatch;
} place;

static place locate(const weft_order *order, const weft_groups *groups, int64_t k)
{
    int64_t size = (int64_t)groups->size + 1, first = 0, large = groups->larger * size * order->loops;
    if (k >= large) {
        first = groups->larger * size;
        size--;
        k -= large;
    }
    int64_t group = k / (size * order->loops), rest = k % (size * order->loops);
    return (place){(int32_t)(rest / size), (int32_t)(first + group * size + rest % size)};
}

/* Where the i-th action that exists stands in the counting over full groups. */
static int64_t position(const weft_order *order, const weft_groups *groups, int64_t i)
{
    int64_t size = groups->size, rest = (order->microbatches - groups->larger) % size;
    int64_t full = (int64_t)(order->microbatches - rest) * order->loops;
    return i < full ? i : full + (i - full) / rest * size + (i - full) % rest;
}

static void add_backward(weft_order *order, const weft_groups *groups, int64_t i, weft_order_append append)
{
    place at = locate(order, groups, position(order, groups, i));
    append(order, order->loops - 1 - at.local, at.microbatch);
}

void weft_order_groups(weft_order *order, weft_groups groups)
{
    int64_t count = (int64_t)order->microbatches * order->loops, forward = 0, backward = 0, weight = 0;
    int64_t ahead = groups.ahead + ((int64_t)order->loops - 1) * (groups.size + (groups.larger > 0));
    while (backward < count) {
        int64_t next = forward < count ? position(order, &groups, forward) : 0;
        if (forward < count && next - ahead <= position(order, &groups, backward)) {
            place at = locate(order, &groups, next);
            weft_order_forward(order, at.local, at.microbatch);
            forward++;
            continue;
        }
        add_backward(order, &groups, backward++, groups.split ? weft_order_input : weft_order_backward);
        if (groups.split && backward - weight > groups.lag) add_backward(order, &groups, weight++, weft_order_weight);
    }
    while (groups.split && weight < count) add_backward(order, &groups, weight++, weft_order_weight);
}

weft_groups weft_order_even_groups(const weft_order *order)
{
    int32_t count = order->microbatches / order->ranks;
    if (count == 0) count = 1;
    return (weft_groups){.size = order->microbatches / count, .larger = order->microbatches % count};
}
