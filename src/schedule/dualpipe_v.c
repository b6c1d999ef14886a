#include "schedule/kinds.h"

/* Local stage 0 leads down the v, local stage 1 back up. */
typedef struct dual {
    weft_order *order;
    int32_t forward[2], backward[2]; /* micro-batches begun */
    size_t owed;                     /* where to look for the oldest I that has no W yet */
} dual;

static void forward(dual *d, int32_t local)
{
    weft_order_forward(d->order, local, d->forward[local]++);
}

static void backward(dual *d, int32_t local)
{
    weft_order_backward(d->order, local, d->backward[local]++);
}

static void input(dual *d, int32_t local)
{
    weft_order_input(d->order, local, d->backward[local]++);
}

/* In the order of I, over both stages. */
static void weight(dual *d)
{
    const weft_action *actions = d->order->actions;
    while (actions[d->owed].kind != WEFT_I) d->owed++;
    weft_action action = actions[d->owed++];
    weft_order_weight(d->order, (int32_t)action.stage / d->order->ranks, (int32_t)action.microbatch);
}

static void warm_up(dual *d, int32_t rank, int32_t after)
{
    for (int32_t i = 0; i < 2 * after; i++) forward(d, 0);
    for (int32_t i = 0; i < rank + 1; i++) {
        forward(d, 0);
        forward(d, 1);
    }
    for (int32_t i = 0; i < after; i++) {
        input(d, 1);
        weight(d);
        forward(d, 1);
    }
}

static void pair(dual *d, int32_t ahead, int32_t back)
{
    forward(d, ahead);
    backward(d, back);
    weft_order_pair(d->order);
}

/* A forward and a backward pass side by side are the pairs whose communication the source hides. Where a micro-batch
 * turns round, the first two stay apart: the next rank waits for the forward pass. */
static void pairs(dual *d, int32_t rank, int32_t after)
{
    for (int32_t i = 0; i < d->order->microbatches - 2 * after - rank - 1; i++) {
        if (i || after) {
            pair(d, 0, 1);
        } else {
            forward(d, 0);
            backward(d, 1);
        }
        pair(d, 1, 0);
    }
    for (int32_t i = 0; i < after; i++) {
        backward(d, 1);
        pair(d, 1, 0);
    }
}

/* Whole backward passes first, then split ones whose W wait for the end. */
static void cool_down(dual *d, int32_t rank, int32_t after)
{
    for (int32_t i = 0; i < rank + 1; i++)
        for (int32_t local = 1; local >= 0; local--) {
            bool split = 2 * i + 1 - local > rank;
            if (split)
                input(d, local);
            else
                backward(d, local);
        }
    for (int32_t i = 0; i < after; i++) {
        weight(d);
        input(d, 0);
    }
    for (int32_t i = 0; i < rank + 1; i++) weight(d);
}

void weft_order_dualpipe_v(weft_order *order)
{
    int32_t rank = order->rank, after = order->ranks - 1 - rank;
    dual d = {.order = order, .owed = order->count};
    warm_up(&d, rank, after);
    pairs(&d, rank, after);
    cool_down(&d, rank, after);
}
