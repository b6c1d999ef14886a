/* The bubble and its causes: that they add up, and that each is what its name says. */
#include "../program/build.h"
#include "program/index.h"
#include "simulate/simulate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

static weft_schedule *create(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches)
{
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .loops = loops, .microbatches = microbatches};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    return schedule;
}

typedef struct fixture {
    weft_schedule *schedule;
    weft_program *program;
    weft_timeline timeline;
    weft_bubble bubble;
} fixture;

/* Takes the schedule. */
static void simulate(fixture *it, weft_schedule *schedule, const weft_lower_options *lower, const weft_costs *costs)
{
    weft_error error = {0};
    *it = (fixture){.schedule = schedule};
    if (weft_program_create(schedule, lower, &it->program, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(weft_timeline_init(&it->timeline, it->program, &error), WEFT_OK);
    if (weft_simulate(it->program, costs, &it->timeline, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(weft_bubble_init(&it->bubble, &it->timeline, &error), WEFT_OK);
}

static void end(fixture *it)
{
    weft_bubble_fini(&it->bubble);
    weft_timeline_fini(&it->timeline);
    weft_program_destroy(it->program);
    weft_schedule_destroy(it->schedule);
}

typedef double table[MOST];

typedef struct prices {
    table forward, input, weight, backward, update, gather, reduce, sum, exchange;
    double collectives[WEFT_ACTION_KINDS];
} prices;

static weft_costs random_costs(dice *d, prices *p)
{
    double *all = p->forward;
    for (size_t i = 0; i < sizeof *p / sizeof *all; i++) all[i] = dice_roll(d, 6);
    return (weft_costs){.forward = p->forward,
                        .backward_input = p->input,
                        .backward_weight = p->weight,
                        .backward = dice_roll(d, 2) ? p->backward : NULL,
                        .update = p->update,
                        .gathers = p->gather,
                        .reductions = dice_roll(d, 2) ? p->reduce : NULL,
                        .sums = p->sum,
                        .exchanges = {dice_roll(d, 2) ? p->exchange : NULL, p->exchange, NULL, p->exchange},
                        .message = dice_roll(d, 3),
                        .latency = dice_roll(d, 3),
                        .reduce = dice_roll(d, 3),
                        .collectives = dice_roll(d, 2) ? p->collectives : NULL,
                        .pairs = dice_roll(d, 3) > 0};
}

static weft_lower_options random_lowering(dice *d)
{
    bool update = dice_roll(d, 2);
    return (weft_lower_options){.update = update,
                                .norm = update,
                                .clip = update && dice_roll(d, 2),
                                .metrics = dice_roll(d, 2),
                                .data = 1 + (int32_t)dice_roll(d, 2),
                                .tensor = 1 + (int32_t)dice_roll(d, 2),
                                .shard = (weft_shard)dice_roll(d, WEFT_SHARDS),
                                .weight_buffers = (int32_t)dice_roll(d, 3),
                                .gradient_buffers = 0};
}

typedef struct sums {
    double cause[MOST][WEFT_BUBBLE_CAUSES];
} sums;

static void add_gap(const weft_bubble_gap *gap, void *context)
{
    sums *all = context;
    double whole = 0;
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        assert_true(gap->cause[cause] >= -1e-9);
        all->cause[gap->rank][cause] += gap->cause[cause];
        whole += gap->cause[cause];
    }
    assert_true(fabs(whole - (gap->end - gap->begin)) < 1e-9);
}

/* Whatever the program: busy and idle add up to the step, the causes to idle, on every rank and gap by gap. */
static void test_adds_up(void **state)
{
    (void)state;
    dice d = {6};
    for (int i = 0; i < 800; i++) {
        prices p;
        weft_costs costs = random_costs(&d, &p);
        weft_lower_options lower = random_lowering(&d);
        if (lower.weight_buffers == 1) costs.pairs = false; /* one buffer holds the weights of one part only */
        fixture it;
        sums all = {{{0}}};
        double idle = 0, shares = 0;
        simulate(&it, i % 2 ? build_kind(&d) : build_random(&d), &lower, &costs);
        weft_bubble_visit(&it.bubble, add_gap, &all);
        for (int32_t rank = 0; rank < it.program->ranks; rank++) {
            const weft_bubble_rank *row = &it.bubble.ranks[rank];
            double sum = 0;
            for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
                assert_true(row->cause[cause] >= 0);
                assert_true(fabs(row->cause[cause] - all.cause[rank][cause]) < 1e-9);
                sum += row->cause[cause];
            }
            assert_true(fabs(sum - row->idle) < 1e-9);
            assert_true(fabs(row->busy + row->idle - it.bubble.step_time) < 1e-9);
            idle += row->idle;
        }
        for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) shares += it.bubble.cause[cause];
        double whole = it.bubble.step_time * it.program->ranks;
        assert_true(whole == 0 ? it.bubble.fraction == 0 : fabs(it.bubble.fraction - idle / whole) < 1e-12);
        assert_true(fabs(it.bubble.fraction - shares) < 1e-12);
        assert_true(it.bubble.own_step_time <= it.bubble.step_time && it.bubble.own_fraction >= 0);
        end(&it);
    }
}

/* What an action, or a pair that begins as one, was kept waiting by ended last of all it waits for; what brought a
 * message computed on the sender's rank. */
static void check_reason(const weft_timeline *timeline, const weft_bubble_gap *gap)
{
    const weft_program *program = timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[gap->rank]];
    if (gap->waited == UINT32_MAX) return assert_true(gap->source == UINT32_MAX);
    uint32_t past = gap->before + 1;
    bool pair = past < lane->first + lane->count && program->actions[past].paired &&
                timeline->begin[past] == timeline->begin[gap->before];
    double last = 0;
    for (uint32_t i = program->after_first[gap->before]; i < program->after_first[past + pair]; i++)
        last = fmax(last, timeline->end[program->after[i]]);
    assert_true(last > gap->begin);
    assert_true(timeline->end[gap->waited] == last);
    const weft_lane *from = &program->lanes[weft_program_lane(program, gap->rank, gap->waited)];
    bool receives = from->kind == WEFT_PROGRAM_RECV_F || from->kind == WEFT_PROGRAM_RECV_B;
    if (!receives) return assert_true(gap->source == UINT32_MAX);
    const weft_lane *sender = &program->lanes[program->rank_lanes[from->peer]];
    assert_true(gap->source - sender->first < sender->count);
}

/* What is hidden of gathers and reductions is a part of them. */
static void check_hidden(const weft_timeline *timeline)
{
    static const weft_action_kind kinds[] = {WEFT_UNSHARD, WEFT_REDUCE_GRAD};
    for (int i = 0; i < 2; i++) {
        weft_hidden part = weft_hidden_measure(timeline, kinds[i]);
        assert_true(part.hidden >= 0 && part.hidden <= part.seconds + 1e-9);
    }
}

/* Each rank's clock is late by its own time: a pass may seem to end after its message has arrived. */
static void shift_clocks(dice *d, weft_timeline *timeline)
{
    const weft_program *program = timeline->program;
    double late[MOST];
    for (int k = 0; k < MOST; k++) late[k] = dice_roll(d, 8);
    for (int32_t lane = 0; lane < program->rank_lanes[program->ranks]; lane++) {
        const weft_lane *row = &program->lanes[lane];
        for (uint32_t a = row->first; a < row->first + row->count; a++) {
            timeline->begin[a] += late[row->rank];
            timeline->end[a] += late[row->rank];
        }
    }
}

typedef struct reasons {
    const weft_timeline *timeline;
    sums sums;
} reasons;

static void add_reason(const weft_bubble_gap *gap, void *context)
{
    reasons *all = context;
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) assert_true(gap->cause[cause] >= 0);
    assert_true(gap->end > gap->begin);
    add_gap(gap, &all->sums);
    check_reason(all->timeline, gap);
}

/* Measured timelines of ranks whose clocks differ: no cause takes time from another one, and the gaps one by one are
 * what they are together. */
static void test_clocks_that_differ(void **state)
{
    (void)state;
    dice d = {7};
    for (int i = 0; i < 500; i++) {
        prices p;
        weft_costs costs = random_costs(&d, &p);
        weft_lower_options lower = random_lowering(&d);
        fixture it;
        weft_error error = {0};
        simulate(&it, i % 2 ? build_kind(&d) : build_random(&d), &lower, &costs);
        shift_clocks(&d, &it.timeline);
        weft_bubble_fini(&it.bubble);
        if (weft_bubble_init(&it.bubble, &it.timeline, &error) != WEFT_OK) fail_msg("%s", error.text);
        reasons all = {.timeline = &it.timeline};
        weft_bubble_visit(&it.bubble, add_reason, &all);
        for (int32_t rank = 0; rank < it.program->ranks; rank++)
            for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++)
                assert_true(fabs(all.sums.cause[rank][cause] - it.bubble.ranks[rank].cause[cause]) < 1e-9);
        check_hidden(&it.timeline);
        end(&it);
    }
}

static double sum_of(const fixture *it, weft_bubble_cause cause)
{
    double sum = 0;
    for (int32_t rank = 0; rank < it->program->ranks; rank++) sum += it->bubble.ranks[rank].cause[cause];
    return sum;
}

/* One cost for all stages that have a pass of the kind: their mean. */
static void level(const weft_schedule *schedule, weft_action_kind kind, double *of)
{
    double sum = 0;
    int32_t count = 0;
    bool has[MOST] = {false};
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++)
        if (schedule->actions[i].kind == kind) has[schedule->actions[i].stage] = true;
    for (int32_t s = 0; s < schedule->stages; s++) {
        sum += has[s] ? of[s] : 0;
        count += has[s];
    }
    for (int32_t s = 0; s < schedule->stages; s++) of[s] = count ? sum / count : 0;
}

/* Of the time that ranks wait for passes of others, imbalance is what goes away when every stage costs their mean. */
static void test_imbalance(void **state)
{
    (void)state;
    dice d = {7};
    int uneven = 0;
    for (int i = 0; i < 400; i++) {
        prices p;
        weft_costs costs = random_costs(&d, &p);
        dice again = d;
        fixture it, flat;
        memset(costs.exchanges, 0, sizeof costs.exchanges); /* a part of what a pass takes */
        costs.backward = p.backward;
        costs.pairs = false;
        simulate(&it, i % 2 ? build_kind(&d) : build_random(&d), &(weft_lower_options){0}, &costs);
        level(it.schedule, WEFT_F, p.forward);
        level(it.schedule, WEFT_I, p.input);
        level(it.schedule, WEFT_W, p.weight);
        level(it.schedule, WEFT_B, p.backward);
        simulate(&flat, i % 2 ? build_kind(&again) : build_random(&again), &(weft_lower_options){0}, &costs);
        double waited = sum_of(&it, WEFT_BUBBLE_WAIT) + sum_of(&it, WEFT_BUBBLE_IMBALANCE);
        double less = waited - sum_of(&flat, WEFT_BUBBLE_WAIT);
        assert_true(sum_of(&flat, WEFT_BUBBLE_IMBALANCE) == 0);
        if (fabs(sum_of(&it, WEFT_BUBBLE_IMBALANCE) - (less > 0 ? less : 0)) > 1e-9)
            fail_msg("%s: %g, not %g", it.schedule->name, sum_of(&it, WEFT_BUBBLE_IMBALANCE), less);
        uneven += less > 1e-9;
        end(&it);
        end(&flat);
    }
    assert_true(uneven > 50);
}

static weft_costs equal(double message)
{
    static table forward, input, weight;
    for (int i = 0; i < MOST; i++) {
        forward[i] = 1;
        input[i] = 0.75;
        weight[i] = 1.25;
    }
    return (weft_costs){.forward = forward, .backward_input = input, .backward_weight = weight, .message = message};
}

/* Ranks wait for the turn of the loop, although all stages cost the same. */
static void test_waiting_is_no_imbalance(void **state)
{
    (void)state;
    static const char *const kinds[] = {"1f1b", "depth-first", "breadth-first", "gpipe", "sequential"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        fixture it;
        weft_costs costs = equal(0);
        simulate(&it, create(kinds[i], 4, i == 1 || i == 2 ? 2 : 1, 5), &(weft_lower_options){0}, &costs);
        assert_true(sum_of(&it, WEFT_BUBBLE_WAIT) > 0 && sum_of(&it, WEFT_BUBBLE_IMBALANCE) == 0);
        end(&it);
    }
}

static void check_causes(const weft_bubble_rank *rank, const double wanted[WEFT_BUBBLE_CAUSES])
{
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++)
        if (fabs(rank->cause[cause] - wanted[cause]) > 1e-12)
            fail_msg("%s is %g, not %g", weft_bubble_cause_name((weft_bubble_cause)cause), rank->cause[cause],
                     wanted[cause]);
}

/* One micro-batch through two ranks: F 1, B 2, message 0.25, collectives 0.5, update 0.125.
 * rank 0: F 0-1, (message 1-1.25, rank 1 F and B 1.25-4.25, message 4.25-4.5), B 4.5-6.5, NORM 6.5-7, UPDATE 7-7.125.
 * METRICS 7-7.5 ends the step. */
static void test_causes(void **state)
{
    (void)state;
    double update[] = {0.125, 0.125};
    weft_costs costs = equal(0.25);
    costs.reduce = 0.5;
    costs.update = update;
    fixture it;
    simulate(&it, create("gpipe", 2, 1, 1), &(weft_lower_options){.update = true, .clip = true, .metrics = true},
             &costs);
    assert_true(it.bubble.step_time == 7.5 && it.bubble.own_step_time == 6.5);
    check_causes(&it.bubble.ranks[0],
                 (double[WEFT_BUBBLE_CAUSES]){
                     [WEFT_BUBBLE_WAIT] = 3.25, [WEFT_BUBBLE_MESSAGE] = 0.25, [WEFT_BUBBLE_UPDATE] = 0.5 + 0.375});
    check_causes(&it.bubble.ranks[1],
                 (double[WEFT_BUBBLE_CAUSES]){
                     [WEFT_BUBBLE_FILL] = 1.25, [WEFT_BUBBLE_DRAIN] = 2.25, [WEFT_BUBBLE_UPDATE] = 0.5 + 0.375});
    const weft_bubble_rank *ranks = it.bubble.ranks;
    assert_true(ranks[0].first_begin == 0 && ranks[0].last_end == 6.5 && ranks[0].passes == 3);
    assert_true(ranks[1].first_begin == 1.25 && ranks[1].last_end == 4.25 && ranks[1].passes == 3);
    assert_true(fabs(it.bubble.own_fraction - 3.5 / 6.5) < 1e-12);
    end(&it);
}

/* Latency is under way, too: it comes behind the time on the lane, and leaves the lane to the next message. */
static void test_latency(void **state)
{
    (void)state;
    weft_costs costs = equal(0.25);
    costs.latency = 5;
    fixture it;
    simulate(&it, create("gpipe", 2, 1, 3), &(weft_lower_options){0}, &costs);
    /* F 0-1 1-2 2-3 on rank 0, 6.25-9.25 on rank 1, B 9.25-15.25; back from 11.25 on, there at 16.5. */
    assert_true(it.bubble.ranks[1].first_begin == 6.25 && it.bubble.ranks[1].last_end == 15.25);
    assert_true(it.bubble.step_time == 16.5 + 6);
    assert_true(it.bubble.ranks[0].cause[WEFT_BUBBLE_MESSAGE] == 5.25);
    assert_true(it.bubble.ranks[0].cause[WEFT_BUBBLE_WAIT] == 11.25 - 3);
    end(&it);
}

/* What comes behind the last pass is called what it is, with an update and without. */
static void test_reductions_at_the_end(void **state)
{
    (void)state;
    static table reduce = {1, 3}, update = {0.5, 0.25};
    for (int updates = 0; updates < 2; updates++) {
        weft_costs costs = equal(0);
        costs.reductions = reduce;
        costs.update = update;
        costs.reduce = 0.125;
        fixture it;
        simulate(&it, create("gpipe", 2, 1, 1),
                 &(weft_lower_options){.data = 2, .update = updates, .norm = updates, .clip = updates}, &costs);
        /* F and B: 0-1 and 4-6 on rank 0, 1-4 on rank 1; reductions 6-7 and 4-7, norm to 7.125, updates to 7.625. */
        assert_true(it.bubble.step_time == (updates ? 7.625 : 7));
        check_causes(&it.bubble.ranks[0],
                     (double[WEFT_BUBBLE_CAUSES]){
                         [WEFT_BUBBLE_WAIT] = 3, [WEFT_BUBBLE_REDUCE] = 1, [WEFT_BUBBLE_UPDATE] = updates * 0.125});
        check_causes(&it.bubble.ranks[1], (double[WEFT_BUBBLE_CAUSES]){[WEFT_BUBBLE_FILL] = 1,
                                                                       [WEFT_BUBBLE_DRAIN] = 2,
                                                                       [WEFT_BUBBLE_REDUCE] = 1,
                                                                       [WEFT_BUBBLE_UPDATE] = updates * 0.375});
        end(&it);
    }
}

/* Sharded moments: the weights are gathered behind UPDATE. */
static void test_gathers_at_the_end(void **state)
{
    (void)state;
    static table gather = {2, 2}, update = {0.5, 0.5};
    weft_costs costs = equal(0);
    costs.gathers = gather;
    costs.update = update;
    fixture it;
    simulate(&it, create("gpipe", 2, 1, 1),
             &(weft_lower_options){.data = 2, .shard = WEFT_SHARD_OPTIMIZER, .update = true}, &costs);
    assert_true(it.bubble.ranks[0].cause[WEFT_BUBBLE_GATHER] == 2);
    assert_true(it.bubble.ranks[0].cause[WEFT_BUBBLE_UPDATE] == 0);
    end(&it);
}

/* Exchanges are idle time inside passes, whether a simulation adds them or a measured timeline is told of them. */
static void test_exchanges(void **state)
{
    (void)state;
    static const weft_exchanges told[2 * WEFT_PASS_KINDS] = {
        [2 * WEFT_F] = {2, 16}, [2 * WEFT_F + 1] = {1, 8}, [2 * WEFT_B] = {5, 32}, [2 * WEFT_B + 1] = {3, 24}};
    static const double one[] = {1, 1}, both[] = {2, 2}, forward[] = {0.5, 0.25}, backward[] = {1.25, 0.75};
    weft_schedule_options options = {.kind = "gpipe", .ranks = 2, .microbatches = 3};
    weft_schedule *schedule = NULL;
    weft_error error;
    fixture it;
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    simulate(&it, schedule, &(weft_lower_options){.tensor = 2, .exchanges = told},
             &(weft_costs){.forward = one,
                           .backward_input = one,
                           .backward_weight = one,
                           .backward = both,
                           .exchanges = {forward, backward, NULL, NULL}});
    assert_true(it.bubble.ranks[0].busy == 9 && it.bubble.ranks[1].busy == 9);
    assert_true(it.bubble.ranks[0].cause[WEFT_BUBBLE_EXCHANGE] == 3 * (0.5 + 1.25));
    assert_true(it.bubble.ranks[1].cause[WEFT_BUBBLE_EXCHANGE] == 3 * (0.25 + 0.75));
    double step = it.bubble.step_time;
    assert_int_equal(weft_timeline_add_exchanges(&it.timeline, 0.125, 64, &error), WEFT_OK);
    weft_bubble_fini(&it.bubble);
    assert_int_equal(weft_bubble_init(&it.bubble, &it.timeline, &error), WEFT_OK);
    assert_true(it.bubble.step_time == step);
    assert_true(it.bubble.ranks[0].cause[WEFT_BUBBLE_EXCHANGE] == 3 * (7 * 0.125 + 48 / 64.0));
    assert_true(it.bubble.ranks[1].cause[WEFT_BUBBLE_EXCHANGE] == 3 * (4 * 0.125 + 32 / 64.0));
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds_up),
        cmocka_unit_test(test_clocks_that_differ),
        cmocka_unit_test(test_imbalance),
        cmocka_unit_test(test_waiting_is_no_imbalance),
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_exchanges),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_reductions_at_the_end),
        cmocka_unit_test(test_gathers_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
