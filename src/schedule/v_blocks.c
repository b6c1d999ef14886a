#include "schedule/kinds.h"

/*
 * Schedules from a building block on a v: the four passes of a micro-batch on a rank, at fixed times when every pass
 * takes one unit, are repeated every six units, in which F, I and W of the rank's two stages fit just so. The block
 * decides how long activations live, and with that the memory. Then the block is forgotten but for its order: passes
 * move forward to when they can run, and W go where a rank would be idle or has no memory for another F.
 */
enum { DOWN, UP, BACK_UP, BACK_DOWN, PASSES, UNITS = 6 }; /* F and F of local stages 0 and 1, then I of 1 and 0 */

typedef struct v_block {
    int32_t hop[PASSES];  /* units from a rank to the next one that the micro-batch comes to */
    int32_t turn[PASSES]; /* units that it waits before the pass on the first rank that it comes to */
    int32_t most;         /* stages that a rank may hold, each of one micro-batch */
} v_block;

typedef struct v_rank {
    int64_t time[PASSES]; /* of the next micro-batch of each pass in the repeated block */
    int32_t next[PASSES];
    int32_t forward, input, weight; /* how many it has run */
    size_t count, owed;             /* places among the actions: the next one, and the oldest I that may lack its W */
    int32_t chosen;                 /* the pass of this unit, PASSES for none that others wait for */
    bool acted, listed;             /* in this unit; to be looked at in the next one */
} v_rank;

typedef struct v_run {
    weft_order *order;
    const v_block *block;
    v_rank *ranks;            /* (P) */
    int32_t *forward, *input; /* (S) micro-batches that have passed the stage before this unit */
    int32_t *now, *then;      /* (P) the ranks to look at in this unit, and in the next one: all others stand still */
    int32_t now_count, then_count;
} v_run;

static const int32_t local_of[PASSES] = {0, 1, 1, 0};

static bool is_forward(int32_t pass)
{
    return pass == DOWN || pass == UP;
}

static void place_block(const v_run *run, int32_t rank, int64_t time[PASSES])
{
    int64_t begin = 0, last = run->order->ranks - 1;
    for (int32_t pass = 0; pass < PASSES; pass++) {
        int64_t hops = local_of[pass] == (is_forward(pass) ? 0 : 1) ? rank : last - rank;
        begin += run->block->turn[pass];
        time[pass] = begin + hops * run->block->hop[pass];
        begin += last * run->block->hop[pass] + 1;
    }
}

/* The pass that comes next in the order of the repeated block; PASSES when all have run. */
static int32_t head(const v_run *run, const v_rank *rank)
{
    int32_t first = PASSES;
    for (int32_t pass = 0; pass < PASSES; pass++)
        if (rank->next[pass] < run->order->microbatches && (first == PASSES || rank->time[pass] < rank->time[first]))
            first = pass;
    return first;
}

static int32_t stage_of(const v_run *run, int32_t rank, int32_t pass)
{
    run->order->rank = rank;
    return weft_order_stage(run->order, local_of[pass]);
}

static bool can_run(const v_run *run, int32_t number, int32_t pass)
{
    const v_rank *rank = &run->ranks[number];
    int32_t stage = stage_of(run, number, pass), m = rank->next[pass], last = 2 * run->order->ranks - 1;
    if (!is_forward(pass)) return m < run->forward[stage] && (stage == last || m < run->input[stage + 1]);
    bool full = rank->forward - rank->weight >= run->block->most && rank->weight < rank->input;
    return !full && (stage == 0 || m < run->forward[stage - 1]);
}

static void append(const v_run *run, v_rank *rank, weft_action_kind kind, int32_t local, int32_t microbatch)
{
    static void (*const append_kind[])(weft_order *, int32_t, int32_t) = {
        [WEFT_F] = weft_order_forward, [WEFT_I] = weft_order_input, [WEFT_W] = weft_order_weight};
    run->order->count = rank->count;
    append_kind[kind](run->order, local, microbatch);
    rank->count = run->order->count;
}

static void add_weight(const v_run *run, v_rank *rank)
{
    const weft_action *actions = run->order->actions;
    while (actions[rank->owed].kind != WEFT_I) rank->owed++;
    weft_action action = actions[rank->owed++];
    append(run, rank, WEFT_W, (int32_t)action.stage / run->order->ranks, (int32_t)action.microbatch);
    rank->weight++;
}

/* What a rank does in one unit of time. */
static void choose(const v_run *run, int32_t number)
{
    v_rank *rank = &run->ranks[number];
    int32_t pass = head(run, rank);
    rank->chosen = PASSES;
    rank->acted = true;
    run->order->rank = number;
    if (pass < PASSES && can_run(run, number, pass)) {
        append(run, rank, is_forward(pass) ? WEFT_F : WEFT_I, local_of[pass], rank->next[pass]);
        rank->chosen = pass;
    } else if (rank->weight < rank->input) {
        add_weight(run, rank);
    } else {
        rank->acted = false;
    }
}

static void list(v_run *run, int32_t number)
{
    if (number < 0 || number >= run->order->ranks || run->ranks[number].listed) return;
    run->ranks[number].listed = true;
    run->then[run->then_count++] = number;
}

/* The others see it from the next unit on; the next stages are on the rank itself or beside it. */
static void settle(v_run *run, int32_t number)
{
    v_rank *rank = &run->ranks[number];
    int32_t pass = rank->chosen;
    if (rank->acted) list(run, number);
    if (pass == PASSES) return;
    list(run, number - 1);
    list(run, number + 1);
    int32_t *passed = is_forward(pass) ? run->forward : run->input;
    passed[stage_of(run, number, pass)]++;
    rank->next[pass]++;
    rank->time[pass] += UNITS;
    if (is_forward(pass))
        rank->forward++;
    else
        rank->input++;
}

static void next_unit(v_run *run)
{
    int32_t *now = run->now;
    run->now = run->then;
    run->then = now;
    run->now_count = run->then_count;
    run->then_count = 0;
    for (int32_t i = 0; i < run->now_count; i++) run->ranks[run->now[i]].listed = false;
}

static void run_all(v_run *run, size_t *first)
{
    int32_t P = run->order->ranks;
    size_t each = 6 * (size_t)run->order->microbatches, begin = run->order->count;
    for (int32_t r = 0; r < P; r++) {
        run->ranks[r].count = run->ranks[r].owed = first[r] = begin + (size_t)r * each;
        place_block(run, r, run->ranks[r].time);
        list(run, r);
    }
    while (run->then_count) {
        next_unit(run);
        for (int32_t i = 0; i < run->now_count; i++) choose(run, run->now[i]);
        for (int32_t i = 0; i < run->now_count; i++) settle(run, run->now[i]);
    }
    run->order->count = begin + (size_t)P * each;
}

static weft_status repeat(weft_order *order, const v_block *block, size_t *first, weft_error *error)
{
    v_run run = {.order = order, .block = block};
    size_t P = (size_t)order->ranks;
    weft_status status = weft_allocate(P, sizeof *run.ranks, &run.ranks, error);
    if (status == WEFT_OK) status = weft_allocate(2 * P, sizeof *run.forward, &run.forward, error);
    if (status == WEFT_OK) status = weft_allocate(2 * P, sizeof *run.input, &run.input, error);
    if (status == WEFT_OK) status = weft_allocate(P, sizeof *run.now, &run.now, error);
    if (status == WEFT_OK) status = weft_allocate(P, sizeof *run.then, &run.then, error);
    if (status == WEFT_OK) run_all(&run, first);
    weft_free(run.ranks);
    weft_free(run.forward);
    weft_free(run.input);
    weft_free(run.now);
    weft_free(run.then);
    return status;
}

/* Turns and memory: the smallest that let the passes of a rank fall on different units of six, on every rank. */
weft_status weft_order_v_half(weft_order *order, size_t *first, weft_error *error)
{
    bool even = order->ranks % 2 == 0;
    v_block block = {.hop = {2, 1, 2, 1}, .turn = {0, 0, even ? 3 : 0, 1}, .most = order->ranks + (even ? 2 : 1)};
    return repeat(order, &block, first, error);
}

weft_status weft_order_v_min(weft_order *order, size_t *first, weft_error *error)
{
    v_block block = {.hop = {1, 1, 1, 1},
                     .turn = {0, 0, order->ranks % 3 == 0 ? 2 : 0, 0},
                     .most = 2 * ((order->ranks + 1) / 3 + 1)};
    return repeat(order, &block, first, error);
}
