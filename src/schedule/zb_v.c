#include "schedule/kinds.h"

/* Local stage 0 leads down the v, local stage 1 back up. Counts are of micro-batches begun. */
typedef struct v_counts {
    weft_order *order;
    int32_t forward[2], input[2], weight[2];
} v_counts;

/* Micro-batches that do not exist are left out: what is left of an order that runs, runs. */
static void next(v_counts *v, int32_t *counts, int32_t local, weft_order_append append)
{
    int32_t microbatch = counts[local]++;
    if (microbatch < v->order->microbatches) append(v->order, local, microbatch);
}

static void forward(v_counts *v, int32_t local)
{
    next(v, v->forward, local, weft_order_forward);
}

static void input(v_counts *v, int32_t local)
{
    next(v, v->input, local, weft_order_input);
}

static void weight(v_counts *v, int32_t local)
{
    next(v, v->weight, local, weft_order_weight);
}

static void warm_up(v_counts *v, int32_t rank, int32_t after)
{
    for (int32_t i = 0; i < 2 * after + 1; i++) forward(v, 0);
    for (int32_t i = 0; i < rank; i++) {
        forward(v, 1);
        forward(v, 0);
    }
    for (int32_t i = 0; i < after + 1; i++) {
        forward(v, 1);
        input(v, 1);
        weight(v, 1);
    }
}

static void cool_down(v_counts *v, int32_t rank, int32_t after)
{
    for (int32_t i = 0; i < rank; i++) {
        input(v, 0);
        input(v, 1);
    }
    for (int32_t i = 0; i < after + 1; i++) {
        input(v, 0);
        weight(v, 0);
    }
    while (v->weight[1] < v->input[1]) weight(v, 1);
    while (v->weight[0] < v->input[0]) weight(v, 0);
}

void weft_order_zb_v(weft_order *order)
{
    v_counts v = {.order = order};
    int32_t rank = order->rank, after = order->ranks - 1 - rank;
    int32_t least = 2 * order->ranks - 1, M = order->microbatches > least ? order->microbatches : least;
    warm_up(&v, rank, after);
    while (v.forward[1] < v.forward[0] || v.forward[0] < M) {
        if (v.forward[0] < M) forward(&v, 0);
        input(&v, 0);
        weight(&v, 0);
        forward(&v, 1);
        input(&v, 1);
        weight(&v, 1);
    }
    cool_down(&v, rank, after);
}
