/* Sharded data parallelism in the simulator: gathers and reductions take their time on their lanes, and what a rank
 * waits for them is counted as such. */
#include "simulate/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct result {
    double step, gather, reduce; /* step time; rank 0's waiting for weights and for reductions */
    int gathers, reductions;
    double hidden_gathers, hidden_reductions; /* time behind compute */
} result;

/* The measure by looking twice in every half unit: all times are halves here. */
static double hidden_by_sampling(const weft_timeline *timeline, weft_action_kind kind)
{
    const weft_program *program = timeline->program;
    double hidden = 0;
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        const weft_lane *compute = &program->lanes[program->rank_lanes[rank]];
        for (int32_t l = program->rank_lanes[rank] + 1; l < program->rank_lanes[rank + 1]; l++)
            for (uint32_t a = program->lanes[l].first; a < program->lanes[l].first + program->lanes[l].count; a++) {
                if ((weft_action_kind)program->actions[a].kind != kind) continue;
                for (double at = timeline->begin[a] + 0.125; at < timeline->end[a]; at += 0.25) {
                    uint32_t c = compute->first, past = compute->first + compute->count;
                    while (c < past && (at < timeline->begin[c] || at > timeline->end[c])) c++;
                    hidden += c < past ? 0.25 : 0;
                }
            }
    }
    return hidden;
}

static void check_hidden(const weft_timeline *timeline)
{
    for (int i = 0; i < 2; i++) {
        weft_action_kind kind = i ? WEFT_REDUCE_GRAD : WEFT_UNSHARD;
        weft_hidden part = weft_hidden_measure(timeline, kind);
        assert_true(part.seconds == (double)part.count * (i ? 1.5 : 1));
        assert_true(part.hidden == hidden_by_sampling(timeline, kind));
    }
}

/* Gathers take 1, reductions 1.5, F 1 and B 2. */
static result simulate(const weft_schedule_options *options, const weft_lower_options *lower)
{
    enum { MOST = 64 };
    static double forward[MOST], half[MOST], gathers[MOST], reductions[MOST];
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_timeline timeline;
    weft_bubble_rank ranks[MOST];
    weft_error error = {0};
    double fraction = 0;
    result out = {0};
    for (int s = 0; s < MOST; s++) {
        forward[s] = half[s] = gathers[s] = 1;
        reductions[s] = 1.5;
    }
    weft_costs costs = {.forward = forward,
                        .backward_input = half,
                        .backward_weight = half,
                        .gathers = gathers,
                        .reductions = reductions};
    assert_int_equal(weft_schedule_create(options, &schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(schedule, lower, &program, &error), WEFT_OK);
    assert_int_equal(weft_program_verify(program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    weft_bubble_measure(&timeline, &out.step, &fraction, ranks);
    out.gather = ranks[0].cause[WEFT_BUBBLE_GATHER];
    out.reduce = ranks[0].cause[WEFT_BUBBLE_REDUCE];
    for (uint32_t a = 0; a < program->action_count; a++) {
        out.gathers += program->actions[a].kind == WEFT_UNSHARD;
        out.reductions += program->actions[a].kind == WEFT_REDUCE_GRAD;
    }
    check_hidden(&timeline);
    out.hidden_gathers = weft_hidden_measure(&timeline, WEFT_UNSHARD).hidden;
    out.hidden_reductions = weft_hidden_measure(&timeline, WEFT_REDUCE_GRAD).hidden;
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
    return out;
}

static const weft_schedule_options three_stages = {.kind = "1f1b", .ranks = 1, .loops = 3, .microbatches = 1};

/* One buffer: F0 F1 F2 B2 B1 B0 waits for a gather before each pass but B2. */
static void one_buffer(void **state)
{
    (void)state;
    weft_lower_options lower = {.data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 1};
    result r = simulate(&three_stages, &lower);
    assert_int_equal(r.gathers, 5);
    assert_int_equal(r.reductions, 3);
    assert_true(r.gather == 5 && r.reduce == 1.5);
    assert_true(r.hidden_gathers == 0);
    assert_true(r.step == 9 + 5 + 1.5);
}

/* Two buffers: every gather but the first hides behind the pass before, and B1 finds its weights. */
static void two_buffers(void **state)
{
    (void)state;
    weft_lower_options lower = {.data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 2};
    result r = simulate(&three_stages, &lower);
    assert_int_equal(r.gathers, 4);
    assert_true(r.hidden_gathers == 3);
    assert_true(r.hidden_reductions == 2 * 1.5); /* all but that of the stage that ends the step */
    assert_true(r.gather == 1 && r.reduce == 1.5);
    assert_true(r.step == 9 + 1 + 1.5);
}

/* Whole weights: nothing is gathered before use; with an optimizer that is divided, once after UPDATE. */
static void whole_weights(void **state)
{
    (void)state;
    for (int shard = WEFT_SHARD_NONE; shard < WEFT_SHARD_WEIGHTS; shard++) {
        weft_lower_options lower = {.data = 2, .shard = (weft_shard)shard, .update = true};
        result r = simulate(&three_stages, &lower);
        assert_int_equal(r.gathers, shard == WEFT_SHARD_NONE ? 0 : 3);
        assert_int_equal(r.reductions, 3);
        /* The last reduction ends at 10.5. UPDATEs of stages 2 and 1, reduced by then, come first: their gathers hide
         * behind it. */
        assert_true(r.step == (shard == WEFT_SHARD_NONE ? 9 + 1.5 : 9 + 3));
        assert_true(r.gather == (shard == WEFT_SHARD_NONE ? 0 : 1.5) && r.reduce == 1.5);
    }
}

/* A gradient buffer that is wanted for another stage is reduced early, and the pass waits for that. */
static void early_reduction(void **state)
{
    (void)state;
    weft_schedule_options twice = three_stages;
    twice.microbatches = 2;
    weft_lower_options lower = {.data = 2, .shard = WEFT_SHARD_GRADIENTS, .gradient_buffers = 1};
    result r = simulate(&twice, &lower);
    assert_int_equal(r.reductions, 6);
    assert_true(r.reduce == 4 * 1.5 + 1.5); /* between the backward passes of one micro-batch, and at the end */
    assert_true(r.gather == 0);
    lower.gradient_buffers = 0;
    assert_int_equal(simulate(&twice, &lower).reductions, 3);
}

static int gathers_of(const char *kind, int32_t microbatches)
{
    weft_lower_options lower = {.data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 2};
    weft_schedule_options options = {.kind = kind, .ranks = 4, .loops = 4, .microbatches = microbatches};
    return simulate(&options, &lower).gathers;
}

/* Of all four ranks: a stage's weights are gathered twice a step under breadth-first, 2 M / P times under depth-first
 * and about 2 M times under 1F1B, less two wherever the order turns round. */
static void breadth_first_gathers_least(void **state)
{
    (void)state;
    for (int32_t M = 4; M <= 32; M *= 2) {
        assert_int_equal(gathers_of("breadth-first", M), 4 * (2 * 4 - 2));
        assert_int_equal(gathers_of("depth-first", M), 4 * (2 * M / 4 * 4 - 2 * (2 * M / 4 - 1)));
        assert_in_range(gathers_of("1f1b", M), 4 * (2 * M * 4 - 2 * (2 * M - 1)), 4 * 2 * M * 4);
    }
}

/* Parts of a pair run at the same time: what is behind both is counted once. */
static void pairs_hide_once(void **state)
{
    (void)state;
    weft_error error = {0};
    weft_schedule_options options = {.kind = "gpipe", .ranks = 1, .loops = 1, .microbatches = 1};
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_timeline timeline;
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(schedule, &(weft_lower_options){.data = 2}, &program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    for (uint32_t a = 0; a < program->action_count; a++) {
        bool reduction = program->actions[a].kind == WEFT_REDUCE_GRAD;
        timeline.begin[a] = reduction ? 1 : 0;
        timeline.end[a] = reduction ? 4 : 2;
    }
    weft_hidden part = weft_hidden_measure(&timeline, WEFT_REDUCE_GRAD);
    assert_int_equal(part.count, 1);
    assert_true(part.seconds == 3);
    assert_true(part.hidden == 1);
    assert_true(weft_hidden_share(&part) == 1.0 / 3);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_buffer),
        cmocka_unit_test(two_buffers),
        cmocka_unit_test(whole_weights),
        cmocka_unit_test(early_reduction),
        cmocka_unit_test(breadth_first_gathers_least),
        cmocka_unit_test(pairs_hide_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
