/* Simulation: the published formulas, exactly; the longest path against a slow fixed point; the bubble and its causes.
 */
#include "../program/build.h"
#include "program/index.h"
#include "simulate/simulate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static weft_schedule *create(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches)
{
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .loops = loops, .microbatches = microbatches};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    return schedule;
}

static weft_program *lower(const weft_schedule *schedule, const weft_lower_options *options)
{
    weft_error error = {0};
    weft_program *program = NULL;
    if (weft_program_create(schedule, options, &program, &error) != WEFT_OK) fail_msg("%s", error.text);
    return program;
}

/* Simulates and measures; returns the bubble fraction. ranks may be NULL. */
static double run(const weft_program *program, const weft_costs *costs, double *out_step, weft_bubble_rank *ranks)
{
    weft_timeline timeline;
    weft_error error = {0};
    weft_bubble_rank own[64];
    double fraction = 0;
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    if (weft_simulate(program, costs, &timeline, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_bubble_measure(&timeline, out_step, &fraction, ranks ? ranks : own);
    weft_timeline_fini(&timeline);
    return fraction;
}

static weft_costs equal(double message)
{
    static double forward[64], input[64], weight[64];
    for (int i = 0; i < 64; i++) {
        forward[i] = 1;
        input[i] = 0.75;
        weight[i] = 1.25;
    }
    return (weft_costs){.forward = forward, .backward_input = input, .backward_weight = weight, .message = message};
}

static double fraction_of(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches)
{
    weft_schedule *schedule = create(kind, ranks, loops, microbatches);
    weft_program *program = lower(schedule, &(weft_lower_options){.update = true, .clip = true, .metrics = true});
    weft_costs costs = equal(0);
    double step, fraction = run(program, &costs, &step, NULL);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
    return fraction;
}

static void same(const char *kind, int32_t p, int32_t v, int32_t m, double bubble)
{
    double fraction = fraction_of(kind, p, v, m), wanted = bubble / (1 + bubble);
    if (fabs(fraction - wanted) > 1e-12)
        fail_msg("%s, P %d, V %d, M %d: bubble fraction %.12f, not %.12f", kind, p, v, m, fraction, wanted);
}

static void test_formulas(void **state)
{
    (void)state;
    for (int32_t p = 1; p <= 6; p++)
        for (int32_t m = 1; m <= 13; m++) {
            same("gpipe", p, 1, m, (p - 1.0) / m);
            same("1f1b", p, 1, m, (p - 1.0) / m);
            same("sequential", p, 1, m, p - 1.0);
            for (int32_t v = 1; v <= 4; v++) {
                double longest = p > m ? p : m, shortest = p > m ? m : p;
                same("breadth-first", p, v, m, (v * longest + shortest - 1) / (v * (double)m) - 1);
                if (m >= p) same("depth-first", p, v, m, (p - 1.0) / ((double)m * v));
            }
        }
}

/* On a v, lowering finds the order in which buffers come free from passes that all take the same time. */
static weft_costs lowering_costs(const weft_schedule *schedule, double message)
{
    static double one[64];
    for (int i = 0; i < 64; i++) one[i] = 1;
    bool v = schedule->loops == 2 && schedule->ranks > 1 && schedule->stage_rank[schedule->stages - 1] == 0;
    if (!v) return equal(message);
    return (weft_costs){.forward = one, .backward_input = one, .backward_weight = one, .message = message};
}

/* With equal stages the edges that reuse buffers hold nothing up, whether messages take long or not. */
static void test_slots_cost_no_time(void **state)
{
    (void)state;
    size_t bytes[64];
    for (int i = 0; i < 64; i++) bytes[i] = 64;
    weft_slot_sizes sizes = {bytes, bytes, bytes};
    dice d = {4};
    for (int i = 0; i < 600; i++) {
        weft_schedule *schedule = build_kind(&d);
        weft_program *free = lower(schedule, &(weft_lower_options){.update = true});
        weft_program *bound = lower(schedule, &(weft_lower_options){.update = true, .sizes = &sizes});
        weft_costs costs = lowering_costs(schedule, dice_roll(&d, 2) * 0.1);
        double first, second;
        run(free, &costs, &first, NULL);
        run(bound, &costs, &second, NULL);
        if (second > first * (1 + 1e-9))
            fail_msg("%s, P %d, S %d, M %d, message %g: %g with slots, %g without", schedule->name, schedule->ranks,
                     schedule->stages, schedule->microbatches, costs.message, second, first);
        weft_program_destroy(free);
        weft_program_destroy(bound);
        weft_schedule_destroy(schedule);
    }
}

static double cost_of(const weft_costs *costs, weft_action a)
{
    if (a.kind == WEFT_F) return costs->forward[a.stage];
    if (a.kind == WEFT_I) return costs->backward_input[a.stage];
    if (a.kind == WEFT_W) return costs->backward_weight[a.stage];
    if (a.kind == WEFT_B && costs->backward) return costs->backward[a.stage];
    if (a.kind == WEFT_B) return costs->backward_input[a.stage] + costs->backward_weight[a.stage];
    if (a.kind == WEFT_UPDATE) return costs->update[a.stage];
    if (a.kind == WEFT_UNSHARD) return costs->gathers ? costs->gathers[a.stage] : 0;
    if (a.kind == WEFT_RESHARD) return 0;
    if (a.kind == WEFT_REDUCE_TENSOR) return costs->sums ? costs->sums[a.stage] : 0;
    if (a.kind == WEFT_REDUCE_GRAD) return costs->reductions ? costs->reductions[a.stage] : costs->reduce;
    if (a.kind > WEFT_RECV_B) return costs->collectives ? costs->collectives[a.kind] : costs->reduce;
    if (!costs->messages) return costs->message;
    int sender = a.kind == WEFT_RECV_F ? -1 : a.kind == WEFT_RECV_B;
    return costs->messages[(int)a.stage + sender];
}

/* By which the receiver's end of a message begins and ends later. */
static double late(const weft_costs *costs, weft_action a)
{
    if (a.kind != WEFT_RECV_F && a.kind != WEFT_RECV_B) return 0;
    return costs->latencies ? costs->latencies[(int)a.stage + (a.kind == WEFT_RECV_F ? -1 : 1)] : costs->latency;
}

static weft_costs random_costs(dice *d, double (*cost)[64])
{
    static double collectives[WEFT_ACTION_KINDS];
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) collectives[kind] = dice_roll(d, 3);
    return (weft_costs){.forward = cost[0],
                        .backward_input = cost[1],
                        .backward_weight = cost[2],
                        .backward = dice_roll(d, 2) ? cost[0] : NULL,
                        .update = cost[3],
                        .latency = dice_roll(d, 3),
                        .latencies = dice_roll(d, 2) ? cost[2] : NULL,
                        .gathers = dice_roll(d, 2) ? cost[1] : NULL,
                        .sums = dice_roll(d, 2) ? cost[3] : NULL,
                        .reductions = dice_roll(d, 2) ? cost[2] : NULL,
                        .message = dice_roll(d, 3),
                        .reduce = dice_roll(d, 3),
                        .collectives = dice_roll(d, 2) ? collectives : NULL};
}

/* What an action takes, or the pair that it is half of. */
static double lasts(const weft_program *p, const weft_costs *costs, uint32_t a)
{
    uint32_t second = a + 1 < p->action_count && p->actions[a + 1].paired ? a + 1 : a;
    if (!costs->pairs || !p->actions[second].paired) return cost_of(costs, p->actions[a]);
    weft_action one = p->actions[second - 1], other = p->actions[second];
    if (costs->overlap) return costs->overlap[one.kind == WEFT_F ? one.stage : other.stage];
    return cost_of(costs, one) + cost_of(costs, other);
}

/* Raises *begin where the constraint asks for it. */
static bool raise_to(double *begin, double time)
{
    bool more = time > *begin;
    if (more) *begin = time;
    return more;
}

/* Begin times by relaxation until nothing changes: every rule of the header, read plainly. */
static bool relax(const weft_program *p, const weft_costs *costs, double *begin)
{
    bool more = false;
    for (int32_t l = 0; l < p->rank_lanes[p->ranks]; l++) {
        const weft_lane *lane = &p->lanes[l];
        for (uint32_t k = 0; k < lane->count; k++) {
            uint32_t a = lane->first + k;
            bool pair = costs->pairs && p->actions[a].paired;
            if (k && !pair) more |= raise_to(&begin[a], begin[a - 1] + lasts(p, costs, a - 1));
            if (pair) more |= raise_to(&begin[a], begin[a - 1]);
            if (pair) more |= raise_to(&begin[a - 1], begin[a]);
            double after = late(costs, p->actions[a]);
            for (uint32_t i = p->after_first[a]; i < p->after_first[a + 1]; i++)
                more |= raise_to(&begin[a], begin[p->after[i]] + lasts(p, costs, p->after[i]) + after);
            uint32_t other = lane->match >= 0 ? p->lanes[lane->match].first + k : a;
            more |= raise_to(&begin[a], begin[other] + after - late(costs, p->actions[other]));
            bool all = lane->kind == WEFT_PROGRAM_REDUCE && p->actions[a].kind != WEFT_REDUCE_GRAD &&
                       p->actions[a].kind != WEFT_REDUCE_TENSOR;
            for (uint32_t b = 0; all && b < p->action_count; b++)
                if (p->actions[b].kind == p->actions[a].kind) more |= raise_to(&begin[a], begin[b]);
        }
    }
    return more;
}

static void test_longest_path(void **state)
{
    (void)state;
    dice d = {5};
    for (int i = 0; i < 300; i++) {
        weft_schedule *schedule = i % 2 ? build_kind(&d) : build_random(&d);
        stage_sizes sizes;
        build_sizes(&d, schedule->stages, &sizes);
        weft_lower_options options = build_options(&d, &sizes);
        weft_program *program = lower(schedule, &options);
        double cost[6][64], *begin = NULL;
        for (int k = 0; k < 6 * 64; k++) cost[k / 64][k % 64] = dice_roll(&d, 6);
        weft_costs costs = random_costs(&d, cost);
        if (i % 3 == 0) costs.messages = cost[4];
        if (i % 5 < 3) costs.overlap = cost[5];
        costs.pairs = i % 5 && !options.sizes; /* buffers pass from the first part to the second */
        weft_timeline timeline;
        weft_error error = {0};
        assert_int_equal(weft_allocate(program->action_count, sizeof *begin, &begin, &error), WEFT_OK);
        assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
        assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
        while (relax(program, &costs, begin)) continue;
        for (uint32_t a = 0; a < program->action_count; a++) {
            assert_true(timeline.begin[a] == begin[a]);
            assert_true(timeline.end[a] == begin[a] + lasts(program, &costs, a));
        }
        weft_timeline_fini(&timeline);
        weft_free(begin);
        weft_program_destroy(program);
        weft_schedule_destroy(schedule);
    }
}

/* Split backward passes hold a micro-batch until its W: zb-h1 in the memory of 1f1b, zb-h2 in twice as much. */
static void check_peak(const char *kind, int wanted)
{
    weft_schedule *schedule = create(kind, 4, 1, 9);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    weft_costs costs = equal(0);
    weft_bubble_rank ranks[4];
    double step;
    run(program, &costs, &step, ranks);
    assert_int_equal(ranks[0].peak_activations, wanted);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

static void test_peak(void **state)
{
    (void)state;
    weft_schedule *schedule = create("1f1b", 4, 1, 9);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    weft_costs costs = equal(0);
    weft_bubble_rank ranks[4];
    double step;
    run(program, &costs, &step, ranks);
    for (int rank = 0; rank < 4; rank++) assert_int_equal(ranks[rank].peak_activations, 4 - rank);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
    check_peak("zb-h1", 4);
    check_peak("zb-h2", 7);
    check_peak("gpipe", 9);
}

/* (cost - M T) / cost, where cost is the time of the slowest rank from its first start to its last end. */
static double rate_of(const char *kind, const weft_costs *costs, int32_t ranks, int32_t microbatches)
{
    weft_schedule *schedule = create(kind, ranks, 1, microbatches);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    weft_timeline timeline;
    weft_bubble bubble;
    weft_error error = {0};
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, costs, &timeline, &error), WEFT_OK);
    assert_int_equal(weft_bubble_init(&bubble, &timeline, &error), WEFT_OK);
    double passes = microbatches * (costs->forward[0] + costs->backward_input[0] + costs->backward_weight[0]);
    double rate = bubble.own_fraction, longest = 0;
    for (int32_t rank = 0; rank < ranks; rank++)
        longest = fmax(longest, bubble.ranks[rank].last_end - bubble.ranks[rank].first_begin);
    assert_true(bubble.own_step_time == longest && fabs(rate - (longest - passes) / longest) < 1e-12);
    weft_bubble_fini(&bubble);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
    return rate;
}

/* arXiv 2401.10241: the measured times of four models, and the bubble rates that follow, to the printed digits. */
static void test_published_rows(void **state)
{
    (void)state;
    enum { MOST = 32 };
    static const struct {
        int32_t ranks, microbatches;
        double forward, input, weight, message, one_f_one_b, h1, h2; /* 0: not compared */
    } rows[] = {
        {8, 24, 18.522, 18.086, 9.337, 0.601, 0.2431, 0.1585, 0.1083},
        {8, 32, 18.513, 18.086, 9.331, 0.626, 0.1985, 0.1242, 0.0837},
        {8, 64, 18.546, 18.097, 9.321, 0.762, 0.1240, 0.0674, 0.0444},
        {8, 24, 29.718, 29.444, 19.927, 0.527, 0.2347, 0.1323, 0.0698},
        {8, 32, 29.802, 29.428, 19.530, 0.577, 0.1898, 0.1045, 0.0559},
        {8, 64, 29.935, 29.621, 19.388, 0.535, 0.1091, 0.0554, 0.0294},
        {16, 48, 11.347, 11.248, 8.132, 0.377, 0.2552, 0, 0},
        {16, 64, 11.307, 11.254, 8.101, 0.379, 0.2082, 0, 0},
        {16, 128, 11.325, 11.308, 8.109, 0.378, 0.1251, 0, 0},
        {32, 96, 10.419, 10.207, 7.715, 0.408, 0.2646, 0, 0},
        {32, 128, 10.408, 10.204, 7.703, 0.408, 0.2168, 0, 0},
        {32, 256, 10.402, 10.248, 7.698, 0.460, 0.1352, 0, 0},
    };
    static const char *const kinds[] = {"1f1b", "zb-h1", "zb-h2"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double forward[MOST], input[MOST], weight[MOST];
        for (int s = 0; s < MOST; s++) {
            forward[s] = rows[i].forward;
            input[s] = rows[i].input;
            weight[s] = rows[i].weight;
        }
        weft_costs costs = {
            .forward = forward, .backward_input = input, .backward_weight = weight, .message = rows[i].message};
        const double printed[] = {rows[i].one_f_one_b, rows[i].h1, rows[i].h2};
        for (int k = 0; k < 3 && printed[k] > 0; k++) {
            double rate = rate_of(kinds[k], &costs, rows[i].ranks, rows[i].microbatches);
            if (fabs(rate - printed[k]) > 0.00005)
                fail_msg("%s, row %zu: %.6f, not %.4f", kinds[k], i, rate, printed[k]);
        }
    }
}

/* DualPipeV, arXiv 2412.19437, table 2: (PP / 2 - 1)(F&B + B - 3 W) for PP = 2 P stages; B is I + W. Exactly what the
 * last rank, which idles most, idles: for F = I >= W, and pairs that take from the longer of their parts to both. */
static void test_published_pairs(void **state)
{
    (void)state;
    static const double times[][3] = {{1, 1, 1}, {2, 2, 1}, {3, 3, 2}, {4, 4, 0}};
    for (size_t i = 0; i < 4 * sizeof times / sizeof *times; i++)
        for (int32_t P = 1; P <= 8; P++)
            for (int32_t M = 2 * P; M <= 4 * P + 1; M += P + 1) {
                double F = times[i / 4][0], I = times[i / 4][1], W = times[i / 4][2], step;
                double pair = I + W + (double)(i % 4) / 3 * F, cost[4][64];
                for (int s = 0; s < 64; s++)
                    for (int k = 0; k < 4; k++) cost[k][s] = k < 3 ? times[i / 4][k] : pair;
                weft_costs costs = {.forward = cost[0],
                                    .backward_input = cost[1],
                                    .backward_weight = cost[2],
                                    .overlap = i % 4 == 3 ? NULL : cost[3],
                                    .pairs = true};
                weft_schedule *schedule = create("dualpipe-v", P, 2, M);
                weft_program *program = lower(schedule, &(weft_lower_options){0});
                weft_bubble_rank ranks[64];
                run(program, &costs, &step, ranks);
                for (int32_t rank = 0; rank < P; rank++) {
                    assert_true(ranks[rank].idle <= ranks[P - 1].idle + 1e-9);
                    assert_true(fabs(ranks[rank].busy + ranks[rank].idle - step) < 1e-9);
                }
                double wanted = (P - 1) * (pair + I + W - 3 * W);
                if (fabs(ranks[P - 1].idle - wanted) > 1e-9)
                    fail_msg("P %d, M %d, F %g, W %g, pair %g: %g, not %g", P, M, F, W, pair, ranks[P - 1].idle,
                             wanted);
                weft_program_destroy(program);
                weft_schedule_destroy(schedule);
            }
}

static void test_circle(void **state)
{
    (void)state;
    weft_schedule *schedule = create("gpipe", 2, 1, 2);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    uint32_t first = program->lanes[0].first, count = program->lanes[0].count;
    weft_action held = program->actions[first];
    program->actions[first] = program->actions[first + count - 1];
    program->actions[first + count - 1] = held;
    for (uint32_t a = 0; a < program->action_count; a++) /* the last backward pass now asks first for its gradient */
        for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++)
            if (program->after[i] == first) program->after[i] = first + count - 1;
    weft_timeline timeline;
    weft_error error = {0};
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    weft_costs costs = equal(0);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "waits in a circle"));
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),        cmocka_unit_test(test_slots_cost_no_time),
        cmocka_unit_test(test_longest_path),    cmocka_unit_test(test_peak),
        cmocka_unit_test(test_circle),          cmocka_unit_test(test_published_rows),
        cmocka_unit_test(test_published_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
