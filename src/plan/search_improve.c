#include "plan/search_run.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

/*
 * Simulated annealing over whole orders. What keeps an order from being shorter are its longest paths: a pass comes
 * earlier only when one that stands before it, on the path and on its rank, comes behind it. So each move takes such
 * two, and puts the later pass before the earlier or the earlier behind the later, next to it or farther. Some moves go
 * elsewhere.
 */
enum { FARTHEST = 24 };
static const double hottest = 0.08, coldest = 0.002; /* of the time of the order */

typedef struct annealing {
    weft_search_run *run;
    weft_search_order *order;
    weft_random_key key;
    uint64_t drawn;
    weft_search_shift *blocks; /* (count) on a longest path: the pass at `to` waits for that at `from` */
    int32_t block_count;
} annealing;

static uint32_t draw(annealing *it, uint32_t sides)
{
    return (uint32_t)((weft_random_bits(it->key, it->drawn++) >> 32) * sides >> 32);
}

static double end_of(const weft_search_order *order, int32_t pass)
{
    return order->begin[pass] + order->nodes[pass].cost;
}

/* The pass whose end is the end of what counts. */
static int32_t find_last(const weft_search_order *order)
{
    double most = -1;
    int32_t found = -1;
    for (int32_t r = 0; r < order->state->P; r++) {
        int32_t pass = order->sequence[order->first[r + 1] - 1];
        double part = end_of(order, pass);
        if (order->state->own) part -= order->begin[order->sequence[order->first[r]]];
        if (part <= most) continue;
        most = part;
        found = pass;
    }
    return found;
}

/* A message that waited for its lane: the pass that sent the one before it. */
static int32_t before_on_lane(const weft_search_order *order, int32_t pass)
{
    int32_t lane = order->nodes[pass].lane, place = order->place[pass];
    do place--;
    while (order->nodes[order->sequence[place]].lane != lane);
    return order->sequence[place];
}

static void add_block(annealing *it, int32_t from, int32_t to)
{
    it->blocks[it->block_count++] = (weft_search_shift){it->order->place[from], it->order->place[to]};
}

/* One longest path, from its end to its begin. Where several meet, one of them. */
static void trace(annealing *it)
{
    const weft_search_order *order = it->order;
    it->block_count = 0;
    for (int32_t pass = find_last(order); pass >= 0;) {
        const weft_search_node *node = &order->nodes[pass];
        int32_t place = order->place[pass], source = node->source;
        int32_t before = place > order->first[node->rank] ? order->sequence[place - 1] : -1;
        bool by_rank = before >= 0 && end_of(order, before) == order->begin[pass];
        bool by_message = source >= 0 && order->arrive[source] == order->begin[pass];
        if (by_rank && by_message) by_rank = draw(it, 2);
        if (by_rank) add_block(it, before, pass);
        if (!by_rank && by_message && order->nodes[source].lane >= 0 &&
            order->lane_before[source] > end_of(order, source)) {
            before = before_on_lane(order, source);
            add_block(it, before, source);
            pass = before;
        } else {
            pass = by_rank ? before : by_message ? source : -1;
        }
    }
}

static int32_t some_way(annealing *it, int32_t most)
{
    if (most < 1 || draw(it, 2)) return 0;
    return (int32_t)draw(it, (uint32_t)(most < FARTHEST ? most : FARTHEST) + 1);
}

/* Anywhere: what is on no longest path may stand in the way of what a path needs. */
static bool shift_some(annealing *it)
{
    weft_search_order *order = it->order;
    int32_t from = (int32_t)draw(it, (uint32_t)order->count), rank = order->nodes[order->sequence[from]].rank;
    int32_t ahead = from - order->first[rank], behind = order->first[rank + 1] - 1 - from;
    int32_t to = draw(it, 2) ? from + some_way(it, behind) : from - some_way(it, ahead);
    return weft_search_order_shift(order, from, to, draw(it, 2));
}

static bool shift_block(annealing *it)
{
    weft_search_order *order = it->order;
    weft_search_shift block = it->blocks[draw(it, (uint32_t)it->block_count)];
    int32_t rank = order->nodes[order->sequence[block.from]].rank;
    int32_t ahead = block.from - order->first[rank], behind = order->first[rank + 1] - 1 - block.to;
    bool frees_first = draw(it, 2);
    if (draw(it, 2)) return weft_search_order_shift(order, block.to, block.from - some_way(it, ahead), frees_first);
    return weft_search_order_shift(order, block.from, block.to + some_way(it, behind), frees_first);
}

static bool shift(annealing *it)
{
    return draw(it, 4) ? shift_block(it) : shift_some(it);
}

/* A change that makes the order longer is kept now and then, the longer the more seldom, and less often in the end. */
static void anneal(annealing *it, uint64_t moves)
{
    weft_search_order *order = it->order;
    double hot = hottest * order->value, factor = pow(coldest / hottest, 1 / (double)moves), heat = hot;
    for (uint64_t i = 0; i < moves && it->block_count && !weft_search_run_out(it->run); i++, heat *= factor) {
        double limit = order->value - heat * log(1 - weft_random_uniform(it->key, it->drawn++));
        if (!shift(it)) continue;
        double value = weft_search_order_try(order, limit);
        it->run->work += order->timed + 1;
        if (value > limit) {
            weft_search_order_drop(order);
            continue;
        }
        weft_search_order_keep(order, value);
        weft_search_run_offer(it->run);
        trace(it);
    }
}

weft_status weft_search_improve(weft_search_run *run, uint64_t moves, weft_error *error)
{
    weft_random_key key = weft_random_key_make(run->problem->seed, "improve");
    annealing it = {.run = run, .order = &run->order, .key = key, .drawn = run->rounds << 32};
    TRY(weft_allocate((size_t)run->order.count, sizeof *it.blocks, &it.blocks, error));
    trace(&it);
    anneal(&it, moves);
    weft_free(it.blocks);
    return WEFT_OK;
}
